package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/page/paper"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/simulations/federation"
)

// simulate runs one federation and writes what came of it.
func simulate(ctx context.Context, o options, c *console.Console) error {
	c.Notef("seed %d\n", o.seed)
	spec, err := o.spec()
	if err != nil {
		return console.Fail("the study cannot be run on these files", err, "correct what it names and repeat the command")
	}
	const unwritten, elsewhere = "the results cannot be written", "choose another --out"
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return console.Fail(unwritten, err, elsewhere)
	}
	// An older run's files must not be taken for this one's.
	for _, name := range []string{"result.json", "result.html", "report.html", "report.pdf", "result.pdf",
		"card.md", "card.xml", "card.pdf", "audit.json", "release.json", "predictions.csv", "bundle", watchFolder} {
		if err := os.RemoveAll(filepath.Join(o.out, name)); err != nil {
			return console.Fail(unwritten, err, elsewhere)
		}
	}
	spec.Bundle = filepath.Join(o.out, "bundle")
	if err := o.watch(&spec); err != nil {
		return console.Fail("the release cannot be watched with these files", err, "correct what it names and repeat the command")
	}
	if o.keep {
		spec.Dir = filepath.Join(o.out, "consortium")
		if _, err := os.Stat(spec.Dir); err == nil {
			return &console.Problem{What: unwritten, Why: spec.Dir + " is there already, and may hold keys", Next: "remove it, or " + elsewhere}
		}
	}
	spec.Progress = func(line string) { c.Notef("%s\n", line) }

	outcome, err := federation.Run(ctx, spec)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, federation.ErrNoSpace):
		return console.Fail("the study could not be run", err, "make room there, or name another disk in TMPDIR, and repeat the command")
	case errors.Is(err, syscall.ENOSPC):
		return console.Fail(unwritten, err, "make room there, or "+elsewhere)
	case err != nil:
		return console.Fail("the study could not be run", err, "if the reason is not in your command line or files, repeat it with --keep and look into what everyone left")
	}
	if err := write(o, outcome); err != nil {
		return console.Fail(unwritten, err, elsewhere)
	}
	if o.json {
		if err := c.PrintJSON(outcome); err != nil {
			return err
		}
	}
	if err := conclude(o, outcome, c); err != nil || outcome.Watch == nil {
		return err
	}
	return concludeWatch(o, outcome.Watch, c)
}

// write puts everything but the bundle, which is there already, into the
// folder; result.json comes last, so that it stands for a complete folder.
func write(o options, outcome *federation.Result) error {
	report, err := onPaper(outcome.Page)
	if err != nil {
		return err
	}
	found, err := onPaper(outcome.ResultPage)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"report.pdf":   report,
		"result.pdf":   found,
		"card.pdf":     outcome.CardPDF,
		"report.html":  outcome.Page,
		"result.html":  outcome.ResultPage,
		"card.md":      outcome.Card,
		"card.xml":     outcome.CardXML,
		"audit.json":   outcome.SignedAudit,
		"release.json": outcome.SignedRelease,
	} {
		if len(content) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(o.out, name), content, 0o644); err != nil {
			return err
		}
	}
	if o.predict != "" && outcome.Model != nil {
		if err := predict(o, outcome); err != nil {
			return err
		}
	}
	file, err := os.Create(filepath.Join(o.out, "result.json"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := console.WriteJSON(file, outcome); err != nil {
		return err
	}
	return file.Close()
}

// onPaper sets a page, if there is one, as a PDF.
func onPaper(page []byte) ([]byte, error) {
	if page == nil {
		return nil, nil
	}
	return paper.Set(page, paper.About{Time: time.Now(), Software: "Consilium"})
}

func predict(o options, outcome *federation.Result) error {
	file, err := os.Create(filepath.Join(o.out, "predictions.csv"))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := outcome.Predict(records.CSV(o.predict), file); err != nil {
		return fmt.Errorf("%s: %w", o.predict, err)
	}
	return file.Close()
}

// remedy is what a person can do about a diagnosis.
func remedy(kind string) string {
	switch kind {
	case compute.ConstantTarget:
		return "check what counts as the outcome, and which records are usable"
	case compute.TooFewPatients:
		return "ask for fewer features, or add hospitals"
	case compute.TooMuchNoise:
		return "declare a larger epsilon, fewer attributes or levels, or fewer thresholds or times"
	case compute.NoConvergence:
		return "change the study's file as it says"
	case compute.Divergence:
		return "choose a smaller learning rate, or clip gradients"
	}
	return "change the study's features, or add a ridge"
}

// conclude says how it ended.
func conclude(o options, outcome *federation.Result, c *console.Console) error {
	result := filepath.Join(o.out, "result.json")
	switch {
	case outcome.Diagnosis != nil:
		d := outcome.Diagnosis
		why := d.Message
		if len(d.Terms) > 0 {
			why += " (" + strings.Join(d.Terms, ", ") + ")"
		}
		return &console.Problem{What: "the study has no model: " + string(d.Kind), Why: why,
			Next: remedy(d.Kind) + "; the details are in " + result, Exit: exitDiagnosed}
	case outcome.Study.State != "completed":
		return &console.Problem{What: "the study was abandoned: nothing was opened after the last published round", Why: outcome.Study.Reason,
			Next: "see rounds in " + result + " for who was missing"}
	case outcome.Verification != nil && !outcome.Verification.Holds:
		return &console.Problem{What: "the study completed, but its evidence does not hold", Why: "a check of the auditor failed",
			Next: "see verification in " + result}
	}
	for _, remark := range outcome.Diagnoses {
		c.Notef("remark: %s\n", remark.Error())
	}
	written := result + ", " + filepath.Join(o.out, "result.html")
	if outcome.Page != nil {
		written += " and " + filepath.Join(o.out, "report.html")
	}
	c.Notef("completed in %.1f s: %s\n", outcome.Seconds, written)
	return nil
}
