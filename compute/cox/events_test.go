package cox

import "testing"

// A model does not say how many have the event where they, or the censored, are fewer
// than the minimum cell: the cohort beside it withholds that.
func TestFewEventsAreNotCounted(t *testing.T) {
	const n = 300
	for _, events := range []int{8, 11, n - 11, n - 8} {
		m, _, err := try(t, "site", 1, 11, 40, cohort(n, func(i int, p *patient) { p.e = i*7%n < events }))
		if err != nil {
			t.Fatalf("%d: %v", events, err)
		}
		few := events < 11 || n-events < 11
		if few != (m.Events == nil) || few != (m.EventsPerCoefficient == nil) || !few && *m.Events != events {
			t.Errorf("%d of %d: the model says %v", events, n, m.Events)
		}
	}
}
