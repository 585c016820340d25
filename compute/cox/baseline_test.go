package cox

import (
	"fmt"
	"math"
	"testing"

	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
)

// A baseline over hospitals expects about as many events as there are, also where
// one hospital has none, where hospitals' rates differ, and where one follows its
// patients for a short time only.
func TestAsManyEventsAreExpectedAsThereAre(t *testing.T) {
	for name, change := range map[string]func(i int, p *patient){
		"alike":                        asIs,
		"a hospital without events":    func(i int, p *patient) { p.e = p.e && i%4 != 1 },
		"events where few patients go": func(i int, p *patient) { p.e = p.e && (i%4 == 0 || i%5 == 0) },
		"two with a short follow-up": func(i int, p *patient) {
			if i%4 < 2 && p.t > 8 {
				p.t, p.e = 8, false
			}
		},
	} {
		d := cohort(1200, change)
		s := parse(t, fmt.Sprintf(small, study.StratifySite, 0., 3, 25))
		sites := divide(t, s, d, by(d, "site"))
		m := fit(t, s, sites)
		observed, expected := 0.0, 0.0
		for _, site := range sites {
			for i := range site.Rows() {
				row, logHazard := site.Row(i), 0.0
				for j, term := range m.Terms {
					logHazard += term.Estimate * (row[j+1] - term.Mean)
				}
				if site.Event(i) {
					observed++
				}
				expected -= math.Log(hazard.CurveOf(m.Baseline).Survival(logHazard, site.Outcome(i)))
			}
		}
		t.Logf("%s: %.0f events, %.1f expected", name, observed, expected)
		if math.Abs(observed/expected-1) > 0.03 {
			t.Errorf("%s: %.0f events, %.1f expected", name, observed, expected)
		}
	}
}

// What a hospital adds to the hazard while one of its patients is left would be that
// patient's, so it adds nothing then and does not count.
func TestNoHazardIsOfOnePatient(t *testing.T) {
	grid := []float64{2, 4, 6, 8}
	p := &patients{time: []float64{9, 5, 5, 2, 1}}
	for k, want := range []float64{5, 3, 3, 0} {
		if got := p.atRisk(grid)[k]; got != want {
			t.Errorf("at risk when interval %d begins are %v, want %v", k, got, want)
		}
	}
}
