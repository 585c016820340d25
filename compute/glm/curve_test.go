package glm

import "testing"

// Each round of a fit says how far it was from its end: the largest step of a
// coefficient, which is nothing at the end and smaller there than at the start.
func TestCurveHasTheSteps(t *testing.T) {
	columns, records, site := synthetic()
	for _, family := range []string{"poisson", "gamma"} {
		s := parse(t, describeStudy(abc, family, ""))
		m, _, err := federate(t, s, matrices(t, s, columns, records, 6, site))
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Curve) < 2 {
			t.Fatalf("%s: %d rounds", family, len(m.Curve))
		}
		for _, p := range m.Curve {
			if p.Step == nil || !(*p.Step >= 0) {
				t.Fatalf("%s: round %d has the step %v", family, p.Round, p.Step)
			}
		}
		if first, last := *m.Curve[0].Step, *m.Curve[len(m.Curve)-1].Step; !(last <= 1e-6 && first > 100*last) {
			t.Errorf("%s: the steps go from %g to %g", family, first, last)
		}
	}
}
