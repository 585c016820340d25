package fairness

import (
	"strings"
	"testing"
)

// Coverage, width and score are those of the definition, by group; a range from
// zero cuts intervals there.
func TestCoverageOfTheReleasedInterval(t *testing.T) {
	s := parsed(t, strings.Replace(planted, "fairness:", "validation: {kind: k-fold, folds: 5}\nfairness:", 1))
	s.Fairness.Complementary = false // it withholds a width from which little is missing
	sites := hospitals(t, s, 4, 200, halves)
	half := 6.0
	predict := func(i, r int) float64 {
		g, _ := halves(i, r)
		return sites[i].Outcome(r) + float64(r%17-8)*(1+one(g == "B")) - 25*one(r%31 == 0)
	}
	a, _ := auditedBy(t, s, Sizes{Unseen: true, HalfWidth: &half}, sites, func(i int) Forecast {
		f := Forecast{Values: make([]float64, sites[i].Rows())}
		for r := range f.Values {
			f.Values[r] = predict(i, r)
		}
		return f
	})
	for _, level := range []string{"A", "B"} {
		var n, covered, above, width, score float64
		for i, m := range sites {
			for r := range m.Rows() {
				if g, _ := halves(i, r); g != level {
					continue
				}
				y, lower, upper := m.Outcome(r), max(0, predict(i, r)-half), predict(i, r)+half
				n, covered, above, width = n+1, covered+one(lower <= y && y <= upper), above+one(y > upper), width+upper-lower
				score += upper - lower + 2/0.05*(max(0, lower-y)+max(0, y-upper))
			}
		}
		g := a.Group("g", level)
		near(t, "coverage", g.Metrics["interval_coverage"].Estimate, 100*covered/n, 1e-12)
		near(t, "above", g.Metrics["above_interval"].Estimate, 100*above/n, 1e-12)
		near(t, "below", g.Metrics["below_interval"].Estimate, 100*(n-covered-above)/n, 1e-12)
		near(t, "width", g.Metrics["interval_width"].Estimate, width/n, 1e-9)
		near(t, "score", g.Metrics["interval_score"].Estimate, score/n, 1e-9)
	}
	if a.HalfWidth == nil || *a.HalfWidth != half {
		t.Error("the report does not say which interval")
	}
}

// A site computes no coverage of an interval that the study's model cannot have.
func TestIntervalBelongsToAValidatedDose(t *testing.T) {
	validated := parsed(t, strings.Replace(planted, "fairness:", "validation: {kind: k-fold, folds: 5}\nfairness:", 1))
	for _, c := range []struct {
		parameters string
		fine       bool
	}{{`{"half_width":6,"cells":[0]}`, true}, {`{"half_width":0,"cells":[0]}`, false}, {`{"half_width":-1,"cells":[0]}`, false}, {`{"half_width":1e9,"cells":[0]}`, false}} {
		if _, err := Layout(validated, Step, []byte(c.parameters)); (err == nil) != c.fine {
			t.Errorf("%s: %v", c.parameters, err)
		}
	}
	if _, err := Layout(parsed(t, planted), Step, []byte(`{"half_width":6,"cells":[0]}`)); err == nil {
		t.Error("an interval without a validation")
	}
	if _, err := Layout(parsed(t, lung), Step, []byte(`{"half_width":6,"cells":[0]}`)); err == nil {
		t.Error("an interval of a survival outcome")
	}
}
