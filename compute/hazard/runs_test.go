package hazard

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute/describe"
)

// Whatever the counts, those who leave together are none or at least the
// minimum cell, or they are said to be too few; and with a minimum cell of one nothing
// is merged but intervals in which nobody leaves.
func TestMergeAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 3))
	for range 2000 {
		n, cell := 1+random.IntN(12), 1+random.IntN(8)
		l := describe.Lifetable{Censored: []int{random.IntN(5) * random.IntN(2)}}
		for range n {
			l.Events = append(l.Events, random.IntN(9)*random.IntN(2))
			l.Censored = append(l.Censored, random.IntN(9)*random.IntN(2))
		}
		m, ok := Merge(l, cell)
		if !ok {
			continue
		}
		if !ascendTo(m.Intervals, n-1) || !ascendTo(m.Leave, len(m.Intervals)-1) {
			t.Fatalf("%+v of %+v", m, l)
		}
		events, censored := make([]int, len(m.Intervals)), make([]int, len(m.Intervals))
		for k := range n {
			run, _ := slices.BinarySearch(m.Intervals, k)
			leave, _ := slices.BinarySearch(m.Leave, run)
			events[run] += l.Events[k]
			censored[m.Leave[leave]] += l.Censored[k]
			if cell == 1 && l.Events[k]+l.Censored[k] > 0 && (m.Intervals[run] != k || l.Censored[k] > 0 && m.Leave[leave] != run && k < n-1 && l.Censored[n] == 0) {
				t.Fatalf("%+v merges more than it must of %+v", m, l)
			}
		}
		censored[len(censored)-1] += l.Censored[n]
		for k := range events {
			if e, c := events[k], censored[k]; e > 0 && e < cell || c > 0 && c < cell {
				t.Fatalf("%+v shows %d events and %d censored of %+v under a minimum of %d", m, e, c, l, cell)
			}
		}
	}
}
