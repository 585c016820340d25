package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/simulations/federation"
	"github.com/consilium-fl/consilium/study"
)

const (
	watchFolder = "monitor"
	// exitAlert says that the watch over the release has an alert.
	exitAlert = 4
)

// watch reads the inputs of a second study, if there is to be one.
func (o *options) watch(spec *federation.Spec) error {
	if o.monitor == "" {
		return nil
	}
	protocol, err := os.ReadFile(o.monitor)
	if err != nil {
		return err
	}
	sites, _, err := federation.Split(records.CSV(o.later), o.siteColumn)
	if err != nil {
		return fmt.Errorf("%s: %w", o.later, err)
	}
	folder := filepath.Join(o.out, watchFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	spec.Watch = &federation.Watch{Protocol: protocol, Sites: sites, Bundle: filepath.Join(folder, "bundle")}
	if err := spec.Watch.Check(spec.Sites); err != nil {
		if fault, ok := errors.AsType[*study.Error](err); ok {
			return errors.New(fault.In(o.monitor))
		}
		return err
	}
	return nil
}

// concludeWatch writes what the watch has come to and says it.
func concludeWatch(o options, outcome *federation.Result, c *console.Console) error {
	folder := filepath.Join(o.out, watchFolder)
	if err := write(options{out: folder}, outcome); err != nil {
		return console.Fail("the results of the watch cannot be written", err, "choose another --out")
	}
	result := filepath.Join(folder, "result.json")
	switch {
	case outcome.Monitor == nil || outcome.Study.State != "completed":
		return &console.Problem{What: "the watch over the release was abandoned", Why: outcome.Study.Reason, Next: "see rounds in " + result}
	case !outcome.Verification.Holds:
		return &console.Problem{What: "the watch is over, but its evidence does not hold", Why: "a check of the auditor failed", Next: "see verification in " + result}
	case outcome.Monitor.Verdict == drift.Alert:
		a := outcome.Monitor.Alerts[0]
		group := "all patients"
		if a.Attribute != "all" {
			group = a.Attribute + " " + a.Level
		}
		return &console.Problem{What: "the watch over the release has an alert", Exit: exitAlert,
			Why:  fmt.Sprintf("the first of %d is about %s: the %s of %s, in the window from %s", len(outcome.Monitor.Alerts), group, a.Chart, a.Of, a.From),
			Next: "read " + filepath.Join(folder, "result.html")}
	}
	c.Notef("watch: %s: %s\n", outcome.Monitor.Verdict, filepath.Join(folder, "result.html"))
	return nil
}
