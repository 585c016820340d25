package validation

import (
	"math"
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// Pairs counts pairs of patients for Harrell's concordance. A pair is comparable
// if the shorter time ended in an event; patients with the same time are
// comparable if one of them had the event and the other was censored, who then
// outlived the first. Tied are comparable pairs with the same prediction.
type Pairs struct{ Concordant, Tied, Comparable float64 }

// Concordance counts the pairs among a site's records of one stratum. A higher
// prediction means an earlier event. Records whose prediction is NaN are left
// out. The work grows as n log n with the records.
func Concordance(m *study.Matrix, predictions []float64, strata []int) Pairs {
	rows := make([]int, 0, len(predictions))
	for i, p := range predictions {
		if !math.IsNaN(p) {
			rows = append(rows, i)
		}
	}
	slices.SortFunc(rows, func(a, b int) int { return strata[a] - strata[b] })
	var total Pairs
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && strata[rows[n]] == strata[rows[0]] {
			n++
		}
		total.count(m, predictions, rows[:n])
		rows = rows[n:]
	}
	return total
}

// count goes from the longest time to the shortest and keeps, in a Fenwick tree
// over the ranks of the predictions, those who outlived the current time.
func (p *Pairs) count(m *study.Matrix, predictions []float64, rows []int) {
	sorted := make([]float64, len(rows))
	for k, i := range rows {
		sorted[k] = predictions[i]
	}
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	rank := func(i int) int {
		at, _ := slices.BinarySearch(sorted, predictions[i])
		return at
	}
	slices.SortFunc(rows, func(a, b int) int {
		switch {
		case m.Outcome(a) != m.Outcome(b):
			return compare(m.Outcome(b), m.Outcome(a))
		case m.Event(a) == m.Event(b):
			return 0
		case m.Event(b): // the censored first: they outlive the events of their time
			return -1
		}
		return 1
	})
	outlived := newRanks(len(sorted))
	for start := 0; start < len(rows); {
		end := start
		for end < len(rows) && m.Outcome(rows[end]) == m.Outcome(rows[start]) && m.Event(rows[end]) == m.Event(rows[start]) {
			end++
		}
		if m.Event(rows[start]) {
			for _, i := range rows[start:end] {
				at := rank(i)
				below, same := outlived.below(at), outlived.at[at]
				p.Concordant += float64(below)
				p.Tied += float64(same)
				p.Comparable += float64(outlived.n)
			}
		}
		for _, i := range rows[start:end] {
			outlived.add(rank(i))
		}
		start = end
	}
}

func compare(a, b float64) int {
	if a < b {
		return -1
	}
	return 1
}

// ranks counts how many have each rank, with sums over ranks in O(log n)
// (Fenwick, Software: Practice and Experience 24, 1994).
type ranks struct {
	n    int
	at   []int
	tree []int
}

func newRanks(n int) *ranks { return &ranks{at: make([]int, n), tree: make([]int, n+1)} }

func (r *ranks) add(rank int) {
	r.n++
	r.at[rank]++
	for k := rank + 1; k < len(r.tree); k += k & -k {
		r.tree[k]++
	}
}

// below counts those with a smaller rank.
func (r *ranks) below(rank int) int {
	n := 0
	for k := rank; k > 0; k -= k & -k {
		n += r.tree[k]
	}
	return n
}
