package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"consilium": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
		},
	})
}

// The scripts under testdata run the command as a person would, without a
// coordinator. UPDATE_SCRIPTS=1 rewrites the expected output, to be read in the
// diff.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// Help that teaches: every command says at length what it does and shows how.
func TestEveryCommandTeaches(t *testing.T) {
	app := &app{env: func(string) string { return "" }}
	seen := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		seen++
		if len(cmd.Long) < 80 {
			t.Errorf("%q has no Long text to speak of", cmd.CommandPath())
		}
		if !strings.Contains(cmd.Example, "consilium") {
			t.Errorf("%q has no Example", cmd.CommandPath())
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%q has the short text %q", cmd.CommandPath(), cmd.Short)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(app.root())
	if seen < 20 {
		t.Errorf("only %d commands were looked at", seen)
	}
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"--help"}, console.ExitOK},
		{[]string{"study"}, console.ExitOK},
		{[]string{"nonsense"}, console.ExitUsage},
		{[]string{"study", "check"}, console.ExitUsage},
		{[]string{"study", "check", "--nonsense"}, console.ExitUsage},
		{[]string{"study", "check", "no/such/file"}, console.ExitFailed},
		{[]string{"study", "start", "abc"}, console.ExitUsage},
		{[]string{"audit", "verify", "no/such/directory"}, console.ExitFailed},
		{[]string{"admit"}, console.ExitUsage},
		{[]string{"admit", "--governance", "no/such/directory"}, console.ExitFailed},
		{[]string{"admit", "--governance", "x", "--all", "--name", "y"}, console.ExitUsage},
	} {
		var out, errs bytes.Buffer
		got := run(t.Context(), test.args, strings.NewReader(""), &out, &errs, func(string) string { return "" })
		if got != test.want {
			t.Errorf("consilium %s: exit %d, want %d\n%s%s", strings.Join(test.args, " "), got, test.want, &out, &errs)
		}
	}
}

// A coordinator's refusal reaches the person with its three sentences.
func TestRefusedCallKeepsTheCoordinatorsWords(t *testing.T) {
	s, err := status.New(codes.FailedPrecondition, "internal").WithDetails(&consiliumv1.Error{
		Code: "too-few-approvals", What: "the study was not started", Why: "2 sites have approved it, it needs 3", Next: "ask more sites", Security: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	p, ok := errors.AsType[*console.Problem](refusedCall("the study was not started", s.Err()))
	if !ok {
		t.Fatal("it is no problem")
	}
	if p.What != "the study was not started" || p.Why != "2 sites have approved it, it needs 3" || p.Next != "ask more sites" || p.Code != "too-few-approvals" || !p.Security {
		t.Errorf("%+v", p)
	}
}
