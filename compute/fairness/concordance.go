package fairness

import (
	"cmp"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// pairs are the comparable pairs of patients of one hospital: of whom one had
// the event while the other was still followed without it. A patient is in a
// pairs, of which c more are concordant than discordant; the sums over patients
// of c², c a and a² give the standard error by the infinitesimal jackknife, as
// survival::concordance does (Therneau and Watson, Mayo Clinic technical report
// 85, 2015).
type pairs struct{ concordant, tied, comparable, surplus2, surplusPairs, pairs2 float64 }

// figure is Harrell's C with its standard error. A pair of hospitals has no
// comparable patients, so the sums over hospitals are those of one stratum each.
func (p pairs) figure() ordered {
	if p.comparable == 0 {
		return ordered{estimated: estimated{math.NaN(), 0}}
	}
	d := (2*p.concordant + p.tied - p.comparable) / p.comparable // Somers' D
	return ordered{estimated: estimated{(d + 1) / 2, math.Sqrt(max(0, p.surplus2-2*d*p.surplusPairs+d*d*p.pairs2)) / p.comparable / 2}}
}

// tree counts by rank (Fenwick, Software: Practice and Experience 24, 1994).
type tree struct {
	n  float64
	at []float64
}

func (t *tree) add(rank int) {
	t.n++
	for i := rank + 1; i <= len(t.at); i += i & -i {
		t.at[i-1]++
	}
}

func (t *tree) below(rank int) (n float64) {
	for i := rank; i > 0; i -= i & -i {
		n += t.at[i-1]
	}
	return n
}

// add compares the patients of the rows with each other; they are sorted by
// time, ascending.
func (p *pairs) add(m *study.Matrix, predictions []float64, rows []int) {
	values := make([]float64, len(rows))
	for k, i := range rows {
		values[k] = predictions[i]
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(values)))
	rank := make([]int, len(rows))
	for k, v := range values {
		rank[k], _ = slices.BinarySearch(sorted, v)
	}
	surplus, of := make([]float64, len(rows)), make([]float64, len(rows))
	// compare patient k with those in the tree; sign is 1 where k had the event.
	compare := func(t *tree, k int, sign float64) {
		below := t.below(rank[k])
		tied := t.below(rank[k]+1) - below
		surplus[k] += sign * (2*below + tied - t.n)
		of[k] += t.n
		if sign > 0 {
			p.concordant, p.tied, p.comparable = p.concordant+below, p.tied+tied, p.comparable+t.n
		}
	}
	// each calls do for the patients of one time, with the event or without.
	each := func(first, last int, event bool, do func(k int)) {
		for k := first; k < last; k++ {
			if m.Event(rows[k]) == event {
				do(k)
			}
		}
	}
	var starts []int
	for k := range rows {
		if k == 0 || m.Outcome(rows[k]) != m.Outcome(rows[k-1]) {
			starts = append(starts, k)
		}
	}
	starts = append(starts, len(rows))
	// From the last time to the first: events against those followed longer. Of
	// one time, the censored outlived the events.
	later, earlier := &tree{at: make([]float64, len(sorted))}, &tree{at: make([]float64, len(sorted))}
	for g := len(starts) - 2; g >= 0; g-- {
		each(starts[g], starts[g+1], false, func(k int) { later.add(rank[k]) })
		each(starts[g], starts[g+1], true, func(k int) { compare(later, k, 1) })
		each(starts[g], starts[g+1], true, func(k int) { later.add(rank[k]) })
	}
	// And from the first to the last: everyone against the events before.
	for g := range len(starts) - 1 {
		each(starts[g], starts[g+1], true, func(k int) { compare(earlier, k, -1) })
		each(starts[g], starts[g+1], true, func(k int) { earlier.add(rank[k]) })
		each(starts[g], starts[g+1], false, func(k int) { compare(earlier, k, -1) })
	}
	for k, c := range surplus {
		p.surplus2, p.surplusPairs, p.pairs2 = p.surplus2+c*c, p.surplusPairs+c*of[k], p.pairs2+of[k]*of[k]
	}
}

// pairs of each cell, of this site and predicted by the same model.
func (q question) pairs(s *study.Study, m *study.Matrix, predictions []float64) []pairs {
	out := make([]pairs, len(q.Cells))
	rows := make([]int, 0, m.Rows())
	for r := range m.Rows() {
		if !math.IsNaN(predictions[r]) {
			rows = append(rows, r)
		}
	}
	stratum := func(int) int { return 0 }
	if s.Validation.Kind == study.KFold {
		stratum = m.Fold
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		return cmp.Or(cmp.Compare(stratum(a), stratum(b)), cmp.Compare(m.Outcome(a), m.Outcome(b)))
	})
	for first := 0; first < len(rows); {
		last := first
		for last < len(rows) && stratum(rows[last]) == stratum(rows[first]) {
			last++
		}
		for i, members := range q.members(s, m, rows[first:last]) {
			out[i].add(m, predictions, members)
		}
		first = last
	}
	return out
}

// members are the rows of each open cell, in their order.
func (q question) members(s *study.Study, m *study.Matrix, rows []int) [][]int {
	position := q.positions(s)
	crossings := crossings(s)
	out := make([][]int, len(q.Cells))
	for _, r := range rows {
		for _, c := range crossings {
			if i := position[c.at(func(a int) int { return q.Groups.of(a, m.Group(r, a)) })]; i >= 0 {
				out[i] = append(out[i], r)
			}
		}
	}
	return out
}
