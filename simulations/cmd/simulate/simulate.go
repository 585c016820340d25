package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/consilium-fl/consilium/simulations/federation"
	"github.com/consilium-fl/consilium/site-agent/records"
)

// simulate runs one federation and writes what came of it.
func simulate(ctx context.Context, o options, stdout, stderr io.Writer) (int, error) {
	fmt.Fprintf(stderr, "seed %d\n", o.seed)
	spec, err := o.spec()
	if err != nil {
		return exitFailed, err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return exitFailed, err
	}
	// An older run's files must not be taken for this one's.
	for _, name := range []string{"result.json", "report.html", "audit.json", "release.json", "predictions.csv", "bundle"} {
		if err := os.RemoveAll(filepath.Join(o.out, name)); err != nil {
			return exitFailed, err
		}
	}
	spec.Bundle = filepath.Join(o.out, "bundle")
	if o.keep {
		spec.Dir = filepath.Join(o.out, "consortium")
		if _, err := os.Stat(spec.Dir); err == nil {
			return exitFailed, fmt.Errorf("%s is there already, and may hold keys: remove it, or choose another --out", spec.Dir)
		}
	}
	spec.Progress = func(line string) { fmt.Fprintln(stderr, line) }

	outcome, err := federation.Run(ctx, spec)
	if err != nil {
		return exitFailed, err
	}
	if err := write(o, outcome); err != nil {
		return exitFailed, err
	}
	if o.json {
		if err := encode(stdout, outcome); err != nil {
			return exitFailed, err
		}
	}
	return conclude(o, outcome, stderr), nil
}

// write puts everything but the bundle, which is there already, into the
// folder; result.json comes last, so that it stands for a complete folder.
func write(o options, outcome *federation.Result) error {
	for name, content := range map[string][]byte{
		"report.html":  outcome.Page,
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
	if err := encode(file, outcome); err != nil {
		return err
	}
	return file.Close()
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

func encode(w io.Writer, outcome *federation.Result) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(outcome)
}

// conclude says in at most three lines how it ended: what, why, what next.
func conclude(o options, outcome *federation.Result, stderr io.Writer) int {
	result := filepath.Join(o.out, "result.json")
	switch {
	case outcome.Diagnosis != nil:
		d := outcome.Diagnosis
		fmt.Fprintf(stderr, "the study has no model: %s\n", d.Kind)
		if len(d.Terms) > 0 {
			fmt.Fprintf(stderr, "why: %s (%s)\n", d.Message, strings.Join(d.Terms, ", "))
		} else {
			fmt.Fprintf(stderr, "why: %s\n", d.Message)
		}
		fmt.Fprintf(stderr, "next: change the study's features, or add a ridge; the details are in %s\n", result)
		return exitDiagnosed
	case outcome.Study.State != "completed":
		fmt.Fprintf(stderr, "the study was abandoned: nothing was opened after the last published round\n")
		fmt.Fprintf(stderr, "why: %s\n", outcome.Study.Reason)
		fmt.Fprintf(stderr, "next: see rounds in %s for who was missing\n", result)
		return exitFailed
	case outcome.Verification != nil && !outcome.Verification.Holds:
		fmt.Fprintf(stderr, "the study completed, but its evidence does not hold\nwhy: see verification in %s\n", result)
		return exitFailed
	}
	fmt.Fprintf(stderr, "completed in %.1f s: %s and %s\n", outcome.Seconds, result, filepath.Join(o.out, "report.html"))
	return exitCompleted
}
