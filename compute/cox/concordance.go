package cox

import (
	"math"
	"slices"
	"sort"

	"github.com/consilium-fl/consilium/compute"
)

// tree counts by rank, in a Fenwick tree.
type tree []float64

func (t tree) add(rank int) {
	for i := rank + 1; i <= len(t); i += i & -i {
		t[i-1]++
	}
}

// below counts what was added at lower ranks.
func (t tree) below(rank int) (n float64) {
	for i := rank; i > 0; i -= i & -i {
		n += t[i-1]
	}
	return n
}

// concordance compares all pairs of a site's patients of whom one had the event
// while the other was still followed without it. It returns the concordant pairs,
// in which the one with the event had the higher hazard, the discordant, and those
// with equal hazards; and over patients, each of whom is in a pairs of which c
// more are concordant than discordant, the sums of c^2, c a and a^2, which give
// the standard error by the infinitesimal jackknife.
func (p *patients) concordance() []float64 {
	ranks := slices.Clone(p.eta)
	slices.Sort(ranks)
	ranks = slices.Compact(ranks)
	rank := make([]int, len(p.eta))
	for i, eta := range p.eta {
		rank[i] = sort.SearchFloat64s(ranks, eta)
	}
	n := len(p.time)
	surplus, pairs := make([]float64, n), make([]float64, n)
	totals := [3]float64{}
	// compare record i with the records in the tree; sign is 1 where it is the
	// one with the event.
	compare := func(t tree, size float64, i int, sign float64) {
		below := t.below(rank[i])
		tied := t.below(rank[i]+1) - below
		surplus[i] += sign * (below - (size - below - tied))
		pairs[i] += size
		if sign > 0 {
			totals[0] += below
			totals[1] += size - below - tied
			totals[2] += tied
		}
	}
	ties := func(first, step int) (last int) {
		for last = first; last >= 0 && last < n && p.time[last] == p.time[first]; last += step {
		}
		return last
	}
	// From the last time to the first: each event against those followed longer.
	later, size := make(tree, len(ranks)), 0.0
	enter := func(t tree, first, last, step int, event bool, size *float64) {
		for i := first; i != last; i += step {
			if p.event[i] == event {
				t.add(rank[i])
				*size++
			}
		}
	}
	for first := 0; first < n; {
		last := ties(first, 1)
		enter(later, first, last, 1, false, &size)
		for i := first; i < last; i++ {
			if p.event[i] {
				compare(later, size, i, 1)
			}
		}
		enter(later, first, last, 1, true, &size)
		first = last
	}
	// And from the first to the last: each patient against the events before.
	earlier, events := make(tree, len(ranks)), 0.0
	for first := n - 1; first >= 0; {
		last := ties(first, -1)
		for i := first; i > last; i-- {
			if p.event[i] {
				compare(earlier, events, i, -1)
			}
		}
		enter(earlier, first, last, -1, true, &events)
		for i := first; i > last; i-- {
			if !p.event[i] {
				compare(earlier, events, i, -1)
			}
		}
		first = last
	}
	squares := compute.NewAccumulator(3)
	for i, c := range surplus {
		squares.Add(0, c*c)
		squares.Add(1, c*pairs[i])
		squares.Add(2, pairs[i]*pairs[i])
	}
	return append(totals[:], squares.Values()...)
}

// Concordance is Harrell's C: of the pairs of patients of the same hospital of
// whom one had the event while the other was still followed without it, the share
// in which the one with the event had the higher hazard; equal hazards count
// half.
type Concordance struct {
	Estimate float64 `json:"estimate"`
	StdError float64 `json:"std_error"`
	// ClusteredError is the standard error clustered by hospital, where standard
	// errors are robust.
	ClusteredError *float64 `json:"clustered_std_error,omitempty"`

	Concordant float64 `json:"concordant"` // pairs
	Discordant float64 `json:"discordant"`
	Tied       float64 `json:"tied"` // in the hazard
}

// newConcordance takes the opened sums of concordance; nil without pairs.
func newConcordance(totals, squares []float64) *Concordance {
	c := &Concordance{Concordant: math.Round(totals[0]), Discordant: math.Round(totals[1]), Tied: math.Round(totals[2])}
	pairs := c.pairs()
	if pairs == 0 {
		return nil
	}
	d := c.somers()
	c.Estimate = (d + 1) / 2
	c.StdError = math.Sqrt(max(0, squares[0]-2*d*squares[1]+d*d*squares[2])) / pairs / 2
	return c
}
