// Command consilium is the command line of the people who look after a
// consortium without sitting in a hospital: the holder of the governance key,
// the researcher and the auditor.
//
// It talks to one coordinator, as a member that the signed roster lists, and
// trusts it with little: every roster it hands over must extend the chain that
// the governance key signed, and every ledger checkpoint must extend the last
// one that this identity has seen. `study check` and `audit verify` need no
// coordinator at all.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/internal/console"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	app := &app{Console: console.Console{Stdin: stdin, Stdout: stdout, Stderr: stderr}, env: env, now: time.Now}
	return app.Run(ctx, app.root(), args)
}

// app is what every command shares: the streams, the clock and the flags that
// are the same everywhere.
type app struct {
	console.Console
	env func(string) string
	now func() time.Time

	identity string // --identity
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "consilium",
		Short: "Run studies over hospitals whose records stay home",
		Long: `Consilium fits one model over the records of many hospitals. The records stay
where they are: a hospital answers each question with one encrypted vector, and
only the sum over several hospitals is ever opened.

This is the command line of three people:

  governance   starts a consortium and decides who is in it:
               init, invite, admit, remove, roster show
  researcher   writes a study, asks the hospitals to approve it, runs it:
               enroll, study check, propose, start, watch, result, release
  auditor      reads the report and proves it without trusting anyone:
               enroll, audit pages, audit report, audit fetch, audit verify

Hospitals use the command site-agent, and the server is the command coordinator.

Researchers and auditors have an identity: a directory with their keys, made by
"consilium enroll". Name it by --identity or in the variable CONSILIUM_IDENTITY.
Studies and releases are named by their digest; the first 8 digits will do where
they are not ambiguous.

Exit codes: 0 it worked; 1 it failed or did not hold; 2 the command line is wrong;
4 a watched release has an alert.`,
		Example: `  consilium study check warfarin.yaml            what would hospitals compute and send?
  consilium study propose warfarin.yaml          ask the hospitals to approve it
  consilium study start 3f9a01c2 --wait-approvals all
  consilium study watch 3f9a01c2
  consilium audit fetch 3f9a01c2 --out bundle && consilium audit verify bundle`,
	}
	root.PersistentFlags().StringVar(&a.identity, "identity", a.env("CONSILIUM_IDENTITY"), "`DIR` with your keys, made by consilium enroll (default $CONSILIUM_IDENTITY)")
	root.PersistentFlags().BoolVar(&a.JSON, "json", false, "print JSON with stable keys instead of text")

	root.AddCommand(
		a.initCommand(), a.inviteCommand(), a.admitCommand(), a.removeCommand(), a.rosterCommand(),
		a.enrollCommand(), a.studyCommand(), a.releaseCommand(), a.auditCommand(),
	)
	return console.AsGroup(root)
}
