// Package disclosure decides which counts of a table may be shown.
//
// A count of a few patients can tell who they are, and a count that is left out
// can often be had from its neighbours: the row's total less the rest of the
// row. So a table is shown by three rules, in this order.
//
//  1. Primary suppression: no count from 1 to one below the floor. Zero may be
//     shown, and is told apart from what is withheld.
//  2. Complementary suppression: more counts are withheld until, for each that
//     rule 1 withholds, two tables of whole numbers exist that agree with all
//     that is shown and differ in it by at least the floor. The smallest go
//     first.
//  3. A share k of n is shown only if k and n-k may both be shown, because
//     share and n give k away.
//
// The tables of rule 2 are found by linear programming over the known sums and
// then checked in whole numbers: a solution that is not whole proves nothing,
// and more is withheld. So the check errs on the side of silence. It assumes a
// reader who knows the rules, sees everything that is shown, knows that what is
// withheld is not zero, and knows nothing else of the table; what the reader
// knows besides, such as a release of the same patients with other groups, the
// caller adds to the table.
//
// Terms and rules follow Hundepool et al., Statistical Disclosure Control
// (Wiley, 2012), chapter 4.
package disclosure

import "slices"

// Table is counts and what is known to add up.
type Table struct {
	Counts []int
	Sums   []Sum
}

// Sum says that Counts[Total] is the sum of Counts[Parts].
type Sum struct {
	Total int
	Parts []int
}

// Small reports whether a count may not be shown.
func Small(count, floor int) bool { return 0 < count && count < floor }

// Share reports whether k of n may be shown.
func Share(k, n, floor int) bool { return !Small(k, floor) && !Small(n-k, floor) }

// Protect returns which counts are withheld: those that are small, those that
// withhold says are withheld in any case, and those that would give them away. A
// count of which public is true is known anyway and stays; one of which silent is
// true is never shown, and is in the table for what it would tell. Each may be
// nil for none. Where too few patients are in a sum to hide anybody behind, as of
// two groups of three patients together, all that can be withheld is.
func (t Table) Protect(floor int, withhold, public, silent []bool) []bool {
	hidden := make([]bool, len(t.Counts))
	is := func(list []bool, i int) bool { return list != nil && list[i] }
	s := &search{table: t, floor: floor, hidden: hidden, public: public,
		lo: append([]int(nil), t.Counts...), hi: append([]int(nil), t.Counts...), done: make([]bool, len(t.Counts))}
	for i, count := range t.Counts {
		secret := count > 0 && !is(public, i) && (Small(count, floor) || is(withhold, i))
		hidden[i] = secret || count > 0 && !is(public, i) && is(silent, i)
		s.done[i] = !secret
	}
	s.run()
	return hidden
}

// Extend withholds more beside what is hidden already, until the counts that
// secret names are protected as in Protect, and returns all that is hidden then.
// Other hidden counts need no protection. A count of which fixed is true stays.
// Counts of one kind, by number, are withheld together.
func (t Table) Extend(floor int, hidden, secret, fixed []bool, kind []int) []bool {
	s := &search{table: t, floor: floor, hidden: append([]bool(nil), hidden...), public: fixed,
		lo: append([]int(nil), t.Counts...), hi: append([]int(nil), t.Counts...), done: make([]bool, len(t.Counts))}
	s.kind = make(map[int][]int)
	for i := range s.done {
		s.done[i] = !secret[i]
		s.kind[kind[i]] = append(s.kind[kind[i]], i)
	}
	s.of = kind
	s.run()
	return s.hidden
}

// Safe reports whether every count that secret names is protected as in Protect,
// where these counts are withheld.
func (t Table) Safe(floor int, hidden, secret []bool) bool {
	s := &search{table: t, floor: floor, hidden: hidden, lo: append([]int(nil), t.Counts...), hi: append([]int(nil), t.Counts...), done: make([]bool, len(t.Counts))}
	for i := range s.done {
		s.done[i] = !secret[i]
	}
	cell, _ := s.unsafe()
	return cell < 0
}

// run withholds counts until every one is safe that needs to be.
func (s *search) run() {
	for {
		cell, part := s.unsafe()
		if cell < 0 {
			return
		}
		next := s.complement(cell, part)
		if next < 0 {
			s.done[cell] = true
			continue
		}
		s.hidden[next] = true
		if s.of != nil {
			for _, i := range s.kind[s.of[next]] {
				s.hidden[i] = s.hidden[i] || s.table.Counts[i] > 0 && !(s.public != nil && s.public[i])
			}
		}
	}
}

// search grows the set of withheld counts. What tables it has seen stays
// possible as more is withheld, so lo and hi only widen.
type search struct {
	table          Table
	floor          int
	hidden, public []bool
	lo, hi         []int  // of a count in the tables seen
	done           []bool // needs no protection, or nothing is left to hide it behind
	of             []int  // by count, its kind; nil for each its own
	kind           map[int][]int
}

func (s *search) wide(cell int) bool { return s.hi[cell]-s.lo[cell] >= s.floor || s.done[cell] }

// unsafe is a withheld count that is not wide enough, with the withheld counts
// that it is bound to; -1 if there is none.
func (s *search) unsafe() (int, component) {
	for _, c := range s.table.components(s.hidden) {
		var p *program
		for _, cell := range c.cells {
			if s.wide(cell) {
				continue
			}
			if p == nil {
				if p = s.table.program(s.hidden, c); p == nil {
					return cell, c
				}
			}
			for _, sign := range []float64{1, -1} {
				values, bounded := p.extreme(cell, sign)
				if !bounded {
					s.done[cell] = true
				}
				for i, v := range values {
					s.lo[c.cells[i]], s.hi[c.cells[i]] = min(s.lo[c.cells[i]], v), max(s.hi[c.cells[i]], v)
				}
			}
			if !s.wide(cell) {
				return cell, c
			}
		}
	}
	return -1, component{}
}

// complement is the smallest count to withhold beside the cell: of a sum that gives
// away what the cell is hidden behind, else of its own sums, else of those of the
// counts that it is bound to.
func (s *search) complement(cell int, c component) int {
	given := s.given(c)
	for at, chain := 0, []int{cell}; at < len(chain); at++ {
		for _, k := range c.sums {
			if !s.table.Sums[k].has(chain[at]) {
				continue
			}
			for _, beside := range s.table.Sums[k].all() {
				by, known := given[beside]
				if !known || slices.Contains(chain, beside) {
					continue
				}
				if best := s.smallest(-1, s.table.Sums[by]); best >= 0 {
					return best
				}
				chain = append(chain, beside)
			}
		}
	}
	best := -1
	for _, k := range c.sums {
		if sum := s.table.Sums[k]; sum.has(cell) {
			best = s.smallest(best, sum)
		}
	}
	if best >= 0 {
		return best
	}
	for _, k := range c.sums {
		best = s.smallest(best, s.table.Sums[k])
	}
	return best
}

// smallest is the smaller of a count, -1 for none, and those of a sum that can be
// withheld.
func (s *search) smallest(best int, of Sum) int {
	for _, i := range of.all() {
		if s.hidden[i] || s.table.Counts[i] == 0 || s.public != nil && s.public[i] {
			continue
		}
		if best < 0 || s.table.Counts[i] < s.table.Counts[best] || s.table.Counts[i] == s.table.Counts[best] && i < best {
			best = i
		}
	}
	return best
}

// given are the withheld counts that follow from a sum in which everything else is
// shown, or follows likewise, with that sum.
func (s *search) given(c component) map[int]int {
	out := map[int]int{}
	for changed := true; changed; {
		changed = false
		for _, k := range c.sums {
			alone, others := -1, 0
			for _, i := range s.table.Sums[k].all() {
				if _, known := out[i]; s.hidden[i] && !known {
					alone, others = i, others+1
				}
			}
			if others == 1 {
				out[alone], changed = k, true
			}
		}
	}
	return out
}

func (s Sum) all() []int { return append([]int{s.Total}, s.Parts...) }

func (s Sum) has(cell int) bool {
	for _, i := range s.Parts {
		if i == cell {
			return true
		}
	}
	return s.Total == cell
}

// component is withheld counts that sums bind together, and those sums.
type component struct{ cells, sums []int }

// components are in the order of their first counts.
func (t Table) components(hidden []bool) (out []component) {
	of := make([][]int, len(t.Counts)) // sums by withheld count
	for k, sum := range t.Sums {
		for _, i := range sum.all() {
			if hidden[i] {
				of[i] = append(of[i], k)
			}
		}
	}
	seenCell, seenSum := make([]bool, len(t.Counts)), make([]bool, len(t.Sums))
	for first := range t.Counts {
		if !hidden[first] || seenCell[first] {
			continue
		}
		c := component{cells: []int{first}}
		seenCell[first] = true
		for at := 0; at < len(c.cells); at++ {
			for _, k := range of[c.cells[at]] {
				if seenSum[k] {
					continue
				}
				seenSum[k] = true
				c.sums = append(c.sums, k)
				for _, i := range t.Sums[k].all() {
					if hidden[i] && !seenCell[i] {
						seenCell[i] = true
						c.cells = append(c.cells, i)
					}
				}
			}
		}
		out = append(out, c)
	}
	return out
}
