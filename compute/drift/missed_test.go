package drift

import (
	"math/rand/v2"
	"testing"
)

// Rule: a missed window has no figures and changes none of the others': charts go on
// from the window before, and the first window that was not missed is the baseline.
func TestAMissedWindowHasNoFigures(t *testing.T) {
	s := parse(t, protocol)
	sites := hospitals(t, s, rand.New(rand.NewPCG(1, 1)), 4, steady(s, 4, 60))
	whole := federate(t, s, sites)
	r := federateBut(t, s, sites, func(window int, step string) bool {
		return window == 0 && step == StepSizes || window == 3 && step == StepWindow || window == 7
	})
	if len(r.Windows) != 8 {
		t.Fatalf("%d windows", len(r.Windows))
	}
	chart := CUSUM{K: r.Limits.K, H: r.Limits.H}
	for i, w := range r.Windows {
		missed := i == 0 || i == 3 || i == 7
		if missed != (w.Why == TooFew) || missed != (w.State == Insufficient) || missed != (w.N == nil) || missed != (w.Contributors == 0) {
			t.Errorf("window %d: %+v", i, w)
		}
		for c, g := range r.Groups {
			p, same := g.Points[i], whole.Groups[c].Points[i]
			if missed && (p.State != Missed || p.N != nil || p.Z != nil || p.Shifts != nil || p.Calls != nil) {
				t.Errorf("group %s in the missed window %d: %+v", g.Level, i, p)
			}
			if !missed && (p.State != same.State || (p.Z == nil) != (same.Z == nil) || p.Z != nil && *p.Z != *same.Z) {
				t.Errorf("group %s in window %d: %+v, want %+v", g.Level, i, p, same)
			}
		}
		all := r.Groups[0].Points[i]
		if missed {
			continue
		}
		if chart.Add(*all.Z); *all.Up != chart.Up || *all.Down != chart.Down {
			t.Errorf("window %d: the chart is at %g and %g, want %g and %g", i, *all.Up, *all.Down, chart.Up, chart.Down)
		}
		if baseline := i == 1; baseline != (len(all.Shifts) == 0) {
			t.Errorf("window %d has %d shifts", i, len(all.Shifts))
		}
	}
}
