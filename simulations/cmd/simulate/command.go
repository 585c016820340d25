package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/simulations/federation"
	"github.com/consilium-fl/consilium/study"
	"github.com/spf13/cobra"
)

// exitDiagnosed says that the data has no such model; result.json says why. The
// other exit codes are those of all commands.
const exitDiagnosed = 3

// options are the flags of `simulate run`.
type options struct {
	study      string
	data       string
	siteColumn string
	out        string
	seed       uint64
	drops      []string
	cipher     string
	predict    string
	monitor    string
	later      string
	json       bool
	keep       bool
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &console.Console{Stdout: stdout, Stderr: stderr}
	return c.Run(ctx, newCommand(c), args)
}

func newCommand(c *console.Console) *cobra.Command {
	root := &cobra.Command{
		Use:   "simulate",
		Short: "Run a whole consortium on one table, in one process",
		Long: `simulate runs a whole consortium in one process: coordinator, hospitals,
researcher and auditor, with the code and the encryption that they use in
production. Use it to try a study before asking hospitals to run it.`,
	}
	root.CompletionOptions.DisableDefaultCmd = true

	var o options
	run := &cobra.Command{
		Use:   "run --study S.yaml --data D.csv --site-column COLUMN --out DIR",
		Short: "Divide a table into hospitals and run a study over them",
		Long: `run divides D.csv into hospitals by the values of a column, and takes a study
through everything that a real one goes through: enrolment, approval, encrypted
rounds, bias audit, release, acceptance, and the auditor's verification.

It writes to DIR:

  result.json      what happened, and the model; the keys are stable
  result.html      the model or the description, and how it does, for people
  report.html      the bias audit, for people; not of kind describe
  card.md          the release's model card, for people; card.xml for programs
  *.pdf            result, report and card to print and to file
  audit.json       the bias audit, signed by the coordinator
  release.json     the model as offered to the hospitals, signed
  bundle/          all evidence, ciphertexts included (consilium audit verify DIR/bundle)
  predictions.csv  with --predict: row,prediction,lower,upper

With --monitor and --later a second study follows, in the same consortium: it
watches the release at the hospitals that installed it, on their later patients.
What it finds is in DIR/monitor: result.json, result.html and bundle.

Exit codes: 0 completed; 1 could not run, or the study was abandoned; 2 wrong
command line; 3 the data has no such model, and result.json says why; 4 the watch
over the release has an alert.`,
		Example: `  simulate run --study warfarin.yaml --data patients.csv --site-column site --out out/warfarin

  # what if hospital 7 contributes nothing, and 3 never helps to open a sum?
  simulate run --study warfarin.yaml --data patients.csv --site-column site --out out/dropped \
      --drop 7@collecting --drop 3@opening

  # two models of the same patients, side by side
  consilium study compare out/linear/result.json out/boosted/result.json`,
		Args: console.Arguments(), // everything is given by flags
		RunE: func(command *cobra.Command, _ []string) error {
			if err := o.check(command); err != nil {
				return err
			}
			return simulate(command.Context(), o, c)
		},
	}
	flags := run.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.study, "study", "", "protocol file of the study (YAML)")
	flags.StringVar(&o.data, "data", "", "patients of all hospitals (CSV with a header)")
	flags.StringVar(&o.siteColumn, "site-column", "", "column whose values are the hospitals' names")
	flags.StringVar(&o.out, "out", "", "folder for the results; made if it is missing")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of what the simulator itself chooses, such as the order in which\nhospitals start (default: drawn, and printed); keys and noise never depend on it")
	flags.StringArrayVar(&o.drops, "drop", nil, "SITE@collecting: the hospital contributes to no round, but helps to open the others';\nSITE@opening: it contributes but never helps to open a sum;\nSITE@away: it approves and is gone before the first round; may be repeated")
	flags.StringVar(&o.cipher, "cipher", "on", "on, or off: send the same vectors unencrypted, to compare and debug;\noff exists nowhere but in this program")
	flags.StringVar(&o.predict, "predict", "", "patients to predict with the finished model (CSV with a header)")
	flags.StringVar(&o.monitor, "monitor", "", "protocol file of a study that watches the release (YAML with a monitor section\nthat says release: this)")
	flags.StringVar(&o.later, "later", "", "patients of a later time, for --monitor (CSV with the same columns)")
	flags.BoolVar(&o.json, "json", false, "print result.json to standard output too")
	flags.BoolVar(&o.keep, "keep", false, "keep everyone's folders (keys, stores, outboxes) in DIR/consortium")
	root.AddCommand(run)
	return console.AsGroup(root)
}

// check completes the options and refuses what cannot be meant.
func (o *options) check(command *cobra.Command) error {
	if err := console.Require(command, "study", "data", "site-column", "out"); err != nil {
		return err
	}
	if (o.monitor == "") != (o.later == "") {
		return console.Usage(command, "--monitor and --later belong together")
	}
	if o.cipher != "on" && o.cipher != "off" {
		return console.Usage(command, fmt.Sprintf("--cipher is %q; it is on or off", o.cipher))
	}
	for _, text := range o.drops {
		if _, err := federation.ParseDrop(text); err != nil {
			return console.Usage(command, err.Error())
		}
	}
	if !command.Flags().Changed("seed") {
		o.seed = rand.Uint64N(1_000_000)
	}
	return nil
}

// spec reads the inputs. Nothing has been started or written yet.
func (o *options) spec() (federation.Spec, error) {
	protocol, err := os.ReadFile(o.study)
	if err != nil {
		return federation.Spec{}, err
	}
	if _, err := study.Parse(protocol); err != nil {
		if fault, ok := errors.AsType[*study.Error](err); ok {
			return federation.Spec{}, errors.New(fault.In(o.study))
		}
		return federation.Spec{}, fmt.Errorf("%s: %w", o.study, err)
	}
	sites, nowhere, err := federation.Split(records.CSV(o.data), o.siteColumn)
	if err != nil {
		return federation.Spec{}, err // which names the file
	}
	spec := federation.Spec{Protocol: protocol, Sites: sites, Nowhere: nowhere, Seed: o.seed, Unencrypted: o.cipher == "off"}
	for _, text := range o.drops {
		drop, err := federation.ParseDrop(text)
		if err != nil {
			return federation.Spec{}, err
		}
		spec.Drops = append(spec.Drops, drop)
	}
	return spec, nil
}
