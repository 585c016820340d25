// Command demo shows a consortium at work: one coordinator and a site agent for
// every hospital, each a process of its own on this machine, and the commands
// that people would type. Nothing is shortened. Keys are made by their owners,
// connections use mutual TLS, hospitals approve the study after a dry run, every
// sum is encrypted, and at the end an auditor proves the result from the
// evidence alone.
//
// Without --data the patients are synthetic, made by simulations/cohort. With
// --data they are the rows of a CSV file, divided into hospitals by its column
// site. Everything is left under --out for reading: configurations, logs,
// outboxes, evidence, the report. The processes are stopped in any case.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed warfarin-dose.yaml
var protocol []byte

// limit is far above what the demonstration takes; it ends one that hangs.
const limit = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	err := run(ctx, os.Args[1:], os.Stdout)
	cancel()
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is one performance.
type demo struct {
	stage
	out       string
	begun     time.Time
	narration io.Writer
	seed      uint64 // of the synthetic patients; 0 for real ones
	address   string // of the coordinator

	hospitals []*hospital
	study     string // digest
	release   string // digest
}

func run(ctx context.Context, args []string, narration io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	data := flags.String("data", "", "patients (CSV with a column site); without it they are synthetic")
	out := flags.String("out", filepath.Join("out", "demo"), "folder for everything that is written; replaced if an earlier demonstration made it")
	bin := flags.String("bin", "bin", "folder of the programs that make build made")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: everything is given by flags, see --help", flags.Arg(0))
	}
	d := &demo{out: *out, begun: time.Now(), narration: narration, stage: stage{bin: *bin, logs: filepath.Join(*out, "logs")}}
	if err := clearOut(d.out); err != nil {
		return err
	}
	if err := os.MkdirAll(d.logs, 0o755); err != nil {
		return err
	}
	defer d.Clear()
	if err := d.admitPatients(*data); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{
		d.found, d.enrol, d.examine, d.open, // a consortium
		d.propose, d.approve, d.follow, // a study
		d.report, d.decide, d.predict, // its model
		d.prove, d.outboxes, d.summarise, // what can be checked afterwards
	} {
		if err := act(ctx); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	d.say("done: open %s in a browser", filepath.Join(d.out, "report.html"))
	return nil
}

// say narrates one step.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.narration, "%5.1f s  %s\n", time.Since(d.begun).Seconds(), fmt.Sprintf(format, args...))
}

// marker is in every folder that a demonstration made.
const marker = ".consilium-demo"

// clearOut removes an earlier demonstration, and nothing else.
func clearOut(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fmt.Errorf("%s holds something else than an earlier demonstration: choose another --out", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, marker), nil, 0o644)
}
