package fairness

import (
	"math"
	"testing"
)

// Limits of few patients are numbers, or there are none: a site writes them as JSON,
// which has no word for infinity. What is never beyond a bound has no limit beyond it.
func TestLimitsOfTwoPatientsAreNumbers(t *testing.T) {
	two := func(a, b float64) sample { return sample{n: 2, sum: a + b, squares: a*a + b*b} }
	for name, m := range map[string]Metric{
		"mean":       positiveMean(two(0, 1e-300)),
		"fold error": exponential(atMost(mostFold, positiveMean(two(0.001, 0.14)))),
		"apart":      positiveMean(two(1e-9, 300)),
		"score":      atMost(1, positiveMean(two(0, 0.2))),
	} {
		for _, limit := range []*float64{m.Lower, m.Upper} {
			if limit != nil && (math.IsInf(*limit, 0) || math.IsNaN(*limit)) {
				t.Errorf("%s has the limit %g", name, *limit)
			}
		}
		if m.Upper != nil && !(*m.Lower <= m.Estimate && m.Estimate <= *m.Upper) {
			t.Errorf("%s of %g is between %g and %g", name, m.Estimate, *m.Lower, *m.Upper)
		}
	}
	if m := atMost(1, positiveMean(two(0, 0.2))); m.Upper == nil || *m.Upper != 1 {
		t.Errorf("a score that is at most 1 has limits %v", m.Upper)
	}
}
