package study

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const watching = `
study: watch
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: age, type: number, range: [0, 100]}
  - {column: ward, type: category, levels: [a, b]}
model: {kind: glm, family: binomial}
fairness:
  attributes:
    - {column: sex, levels: [f, m]}
monitor:
  release: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  periods: {column: visit, type: date, from: 2026-01-01, every: 30d, times: 3}
  delay: 7d
  cuts: {age: [40, 65], prediction: [0.1, 0.5]}
`

func TestMonitor(t *testing.T) {
	s := mustParse(t, watching)
	m := s.Monitor
	if m.Windows() != 3 || m.K != 0.5 || m.H != 4 || m.PSI != 0.2 || m.Margin != 0.2 || m.EWMA != nil {
		t.Errorf("%+v", m)
	}
	if from, to := m.Window(1); from != "2026-01-31" || to != "2026-03-02" {
		t.Errorf("window 1 from %s to %s", from, to)
	}
	if at, waits := m.Due(2); !waits || !at.Equal(time.Date(2026, 4, 8, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the last window is due at %s", at)
	}
	if !slices.Equal(s.HistogramCuts("age"), []float64{40, 65}) || !slices.Equal(s.HistogramCuts(Predictions), []float64{0.1, 0.5}) {
		t.Error("the declared cuts are not used")
	}
	if !slices.Contains(s.Columns(), "visit") {
		t.Error("the column of the periods is not read")
	}
	bare := mustParse(t, strings.Replace(watching, "  cuts: {age: [40, 65], prediction: [0.1, 0.5]}\n", "", 1))
	if cuts := bare.HistogramCuts("age"); len(cuts) != 9 || cuts[0] != 10 {
		t.Errorf("cuts at %v", cuts)
	}
}

// Rule: a record is in the window that holds its date, and in none if it has no
// readable date there.
func TestWindowsOfRecords(t *testing.T) {
	s := mustParse(t, watching)
	columns := []string{"visit", "y", "age", "ward", "sex"}
	for cell, want := range map[string]any{
		"2026-01-01": 0, "2026-01-30": 0, "2026-01-31": 1, "2026-03-01T23:59:59Z": 1, "2026-03-02 08:00": 2, " 2026-03-31 ": 2,
		"2025-12-31": OutsidePeriods, "2026-04-01": OutsidePeriods, "1026-01-01": OutsidePeriods,
		"": MissingPeriod, "NA": MissingPeriod, "2026-02-30": PeriodUnreadable, "01.02.2026": PeriodUnreadable, "2026-01-01x": PeriodUnreadable, "20260101": PeriodUnreadable,
	} {
		b, err := s.NewBuilder(columns)
		if err != nil {
			t.Fatal(err)
		}
		b.Add([]string{cell, "1", "50", "a", "f"})
		m := b.Matrix()
		switch want := want.(type) {
		case int:
			if m.Rows() != 1 || m.Window(0) != want || m.Value(0, 0) != 50 || m.Value(0, 1) != 0 {
				t.Errorf("%q: %d rows, skipped %v", cell, m.Rows(), b.Skipped())
			}
		case SkipReason:
			if m.Rows() != 0 || b.SkippedByColumn()[Skip{"visit", want}] != 1 {
				t.Errorf("%q: %v, want %s", cell, b.Skipped(), want)
			}
		}
	}
	numbers := mustParse(t, strings.NewReplacer("type: date, from: 2026-01-01, every: 30d, times: 3", "type: number, cuts: [0, 1.5, 3]", "  delay: 7d\n", "").Replace(watching))
	b, err := numbers.NewBuilder(columns)
	if err != nil {
		t.Fatal(err)
	}
	for _, cell := range []string{"0", "1.49", "1.5", "3", "-1", "x"} {
		b.Add([]string{cell, "1", "50", "a", "f"})
	}
	if m := b.Matrix(); m.Rows() != 3 || m.Window(1) != 0 || m.Window(2) != 1 {
		t.Errorf("%d rows, %v", m.Rows(), b.Skipped())
	}
	if _, waits := numbers.Monitor.Due(0); waits {
		t.Error("a window of numbers has no time at which it is over")
	}
	kept := b.Matrix().Select(func(i int) bool { return i > 0 })
	if kept.Rows() != 2 || kept.Window(1) != 1 {
		t.Error("a selection forgets the windows")
	}
}

func TestMalformedMonitors(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"no digest", `"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"`, "latest", "monitor.release"},
		{"an upper-case digest", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", strings.Repeat("A", 64), "monitor.release"},
		{"an unknown key", "  delay: 7d", "  dely: 7d", `did you mean "delay"`},
		{"one window", "times: 3", "times: 1", "at least two windows"},
		{"no windows", "times: 3", "times: 0", "times"},
		{"too many windows", "times: 3", "times: 121", "times"},
		{"months", "every: 30d", "every: 1mo", "from 1d to"},
		{"no date", "from: 2026-01-01", "from: 2026-13-01", "must be a date"},
		{"cuts and a start", "from: 2026-01-01, every: 30d, times: 3", "cuts: [2026-01-01, 2026-02-01, 2026-03-01], times: 3", "the cuts say it already"},
		{"cuts that fall", "from: 2026-01-01, every: 30d, times: 3", "cuts: [2026-01-01, 2026-03-01, 2026-02-01]", "must ascend"},
		{"a negative delay", "delay: 7d", "delay: -7d", "monitor.delay"},
		{"a delay of numbers", "type: date, from: 2026-01-01, every: 30d, times: 3", "type: number, cuts: [0, 1, 2]", "only windows of dates"},
		{"cuts of a category", "cuts: {age", "cuts: {ward: [1], age", `unknown key "ward"`},
		{"cuts out of range", "[40, 65]", "[40, 165]", "must ascend between 0 and 100"},
		{"a horizon without survival", "  delay: 7d", "  horizon: 3", "only a survival outcome"},
		{"no margin at all", "  delay: 7d", "  margin: 0", "monitor.margin"},
		{"no limit", "  delay: 7d", "  cusum: {h: 0}", "monitor.cusum.h"},
		{"a weight above one", "  delay: 7d", "  ewma: {weight: 1.1}", "monitor.ewma.weight"},
		{"an index of nothing", "  delay: 7d", "  psi: 0", "monitor.psi"},
		{"a validation", "model: {kind", "validation: {kind: holdout}\nmodel: {kind", "every patient it sees came after the fit"},
		{"a description", "{kind: glm, family: binomial}", "{kind: describe}", "fits no model"},
		{"criteria", "fairness:\n", "fairness:\n  criteria: [{metric: brier, margin: 0.1}]\n", "by its own margin"},
		{"audits on the way", "{kind: glm, family: binomial}\nfairness:\n", "{kind: boost, loss: logistic}\nfairness:\n  every: 2\n", "by its own margin"},
		{"joined groups", "levels: [f, m]}", "levels: [f, m], merge: {all: [f, m]}}", "joins no groups"},
		{"the outcome as the period", "column: visit", "column: y", "the outcome"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := strings.Replace(watching, c.old, c.new, 1)
			if src == watching {
				t.Fatal("nothing was changed")
			}
			if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), c.want) && !hinted(err, c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// Trees of the Cox loss rank patients and have no baseline.
func TestMonitorOfSurvivalNeedsABaseline(t *testing.T) {
	src := strings.NewReplacer(`outcome: {column: y, type: binary, positive: ["1"]}`,
		`outcome: {type: survival, time: {column: t, range: [0, 9], grid: [3, 6]}, event: {column: y, positive: ["1"]}}`,
		"{kind: glm, family: binomial}", "{kind: boost, loss: cox}").Replace(watching)
	if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), "has no baseline") {
		t.Errorf("%v", err)
	}
	cox := strings.Replace(src, "{kind: boost, loss: cox}", "{kind: cox}", 1)
	if s := mustParse(t, cox); s.Monitor.Horizon != 6 {
		t.Errorf("horizon %g, want the end of the grid", s.Monitor.Horizon)
	}
	trees := strings.Replace(src, "loss: cox}", "loss: cox, baseline: breslow}", 1)
	if s := mustParse(t, trees); s.Monitor.Horizon != 6 {
		t.Errorf("trees with a baseline: horizon %g, want the end of the grid", s.Monitor.Horizon)
	}
	if _, err := Parse([]byte(strings.Replace(cox, "  delay: 7d", "  horizon: 4", 1))); err == nil || !strings.Contains(err.Error(), "a time of the outcome's grid") {
		t.Errorf("%v", err)
	}
}

func hinted(err error, want string) bool {
	fault, ok := err.(*Error)
	return ok && strings.Contains(fault.Hint, want)
}
