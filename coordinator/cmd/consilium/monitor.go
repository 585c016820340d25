package main

import (
	"fmt"
	"strconv"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/internal/console"
)

// exitAlert says that a watch over an installed release has an alert: the command
// itself did what it should.
const exitAlert = 4

// showMonitor shows what a watch over a release has seen so far.
func (a *app) showMonitor(r *pipeline.Result) {
	m := r.Monitor
	if m == nil {
		return
	}
	a.Printf("\nWatching release %s: %d windows so far\n\n", console.Short(m.Release), len(m.Windows))
	rows := [][]string{{"GROUP", "VERDICT", "WINDOWS", "LATEST", "CUSUM", "FOUND AFTER"}}
	for i, g := range m.Groups {
		name := g.Attribute + "=" + g.Level
		if i == 0 {
			name = "all patients"
		}
		row := []string{name, g.Verdict, "0", "-", "-", "-"}
		shown := 0
		for _, p := range g.Points {
			if p.State == drift.OK {
				shown++
			}
			at := p.Ratio
			if at == nil {
				at = p.Bias
			}
			if at != nil {
				row[3] = strconv.FormatFloat(at.Estimate, 'f', 3, 64)
			}
			if p.Up != nil {
				row[4] = strconv.FormatFloat(max(*p.Up, *p.Down), 'f', 2, 64)
			}
		}
		row[2] = strconv.Itoa(shown)
		if g.FoundAfter != nil {
			row[5] = strconv.FormatFloat(*g.FoundAfter, 'f', 1, 64)
		}
		rows = append(rows, row)
	}
	a.Table(rows)
	for _, w := range m.Windows {
		if w.Why != "" {
			a.Printf("  window from %s: %s, %s\n", w.From, w.State, w.Why)
		}
	}
	for _, alert := range m.Alerts {
		a.Printf("  alert: window from %s, %s %s: %s of %s %s\n", alert.From, alert.Attribute, alert.Level, alert.Chart, alert.Of, alert.Direction)
	}
}

// alerted is the problem of a watch that has an alert; nil of any other result.
func alerted(r *pipeline.Result) error {
	if r == nil || r.Monitor == nil || r.Monitor.Verdict != drift.Alert {
		return nil
	}
	m := r.Monitor
	return &console.Problem{What: "the watched release has an alert", Code: "drift-alert", Exit: exitAlert,
		Why:  fmt.Sprintf("%d in %d windows; the first in the window from %s: %s of %s in %s %s", len(m.Alerts), len(m.Windows), m.Alerts[0].From, m.Alerts[0].Chart, m.Alerts[0].Of, m.Alerts[0].Attribute, m.Alerts[0].Level),
		Next: "read consilium study result " + console.Short(m.Study) + " --out DIR, and decide whether the release stays in use"}
}
