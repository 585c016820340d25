package disclosure

import (
	"math"
	"slices"
)

// neighbourhood says how many counts about one are looked at for tables: so many in
// all, so many of a long sum, and none of more sums than degree: what changes a total
// of many tables changes all of them.
type neighbourhood struct{ counts, beside, degree int }

// neighbourhoods in which tables are looked for; the last one only where nothing can
// be withheld instead.
var neighbourhoods = []neighbourhood{{24, 6, 4}, {24, 6, any}, {96, 3, any}, {384, 4, any}}

const (
	usual        = 3
	any          = math.MaxInt / 4
	surroundings = 150 // in which what is to be withheld beside a count is looked for
	mostEffort   = 4e9 // multiplications; a table that needs more shows nothing
)

// search grows the set of withheld counts. A table that was found stays possible as
// more is withheld, so lo and hi only widen; as something is shown again, those that
// change it are forgotten.
type search struct {
	table         Table
	floor, least  int // the latter of a withheld count
	hidden, fixed []bool
	secret        []bool
	need          []int   // how far apart its values are to be, by count; known once it is judged
	judged        []bool  // whether so much can be had
	all           bool    // look at the table as if all were withheld that can be
	of            [][]int // sums of a count
	kind          []int
	members       map[int][]int // of a kind; nil for each its own
	lo, hi        []int         // of a secret count in the tables found
	low, high     []*found      // the tables that have them
	changing      map[int][]*found
	fewest, most  []int // of a count where all is withheld that can be, as far as was looked
	from, to      []int // bounds of what narrow looks at; to is 0 of the others
	stamp         []int // of counts and, after them, sums: the last visit that came by
	visit         int
	effort        int
}

// found is a table that agrees with all that is shown: the counts that differ from
// the true ones, and the secrets that are safe for its sake.
type found struct {
	changed []int
	secrets []int
}

func newSearch(t Table, floor int, hidden, secret, fixed []bool, kind []int) *search {
	n := len(t.Counts)
	s := &search{table: t, floor: floor, hidden: slices.Clone(hidden), fixed: fixed, secret: secret, kind: kind,
		need: slices.Repeat([]int{floor}, n), judged: make([]bool, n),
		of: make([][]int, n), lo: slices.Clone(t.Counts), hi: slices.Clone(t.Counts), low: make([]*found, n), high: make([]*found, n),
		changing: map[int][]*found{}, fewest: slices.Clone(t.Counts), most: slices.Clone(t.Counts), from: make([]int, n), to: make([]int, n), stamp: make([]int, n+len(t.Sums))}
	for k, sum := range t.Sums {
		s.of[sum.Total] = append(s.of[sum.Total], k)
		for _, i := range sum.Parts {
			s.of[i] = append(s.of[i], k)
		}
	}
	if s.least = 1; t.Zeros {
		s.least = 0
	}
	if kind != nil {
		s.members = map[int][]int{}
		for i, k := range kind {
			s.members[k] = append(s.members[k], i)
		}
	}
	return s
}

func (s *search) wide(cell int) bool { return s.hi[cell]-s.lo[cell] >= s.need[cell] }

// exhausted reports whether the search has taken as long as it may. It is told by
// what was computed, not by a clock, so that everyone ends at the same place.
func (s *search) exhausted() bool { return s.effort > mostEffort }

// unknown reports whether a reader does not know a count.
func (s *search) unknown(i int) bool { return s.hidden[i] || s.all && s.free(i) }

// free reports whether a count can be withheld.
func (s *search) free(i int) bool {
	return !s.hidden[i] && s.table.Counts[i] >= s.least && (s.fixed == nil || !s.fixed[i])
}

// together are the counts that are withheld with one.
func (s *search) together(cell int) []int {
	if s.members == nil {
		return []int{cell}
	}
	return s.members[s.kind[cell]]
}

func (s *search) withhold(cell int) {
	for _, i := range s.together(cell) {
		if s.free(i) {
			s.hidden[i] = true
		}
	}
}

// attainable lowers what is needed of a count to what can be had where all is withheld
// that can be: of three patients among four there is no hiding behind eleven.
func (s *search) attainable(cell int) {
	s.judged[cell], s.all = true, true
	defer func() { s.all = false }()
	for _, near := range neighbourhoods {
		if s.most[cell]-s.fewest[cell] >= s.floor {
			break
		}
		cells, whole := s.around(cell, near)
		w := s.newWalk(cells)
		w.pivots *= 10 // what is not found here is not protected
		truth := w.truth[0]
		for _, sign := range []int{1, -1} {
			if w.push(0, sign, truth+sign*s.floor); !w.sound() {
				continue
			}
			for j, i := range cells { // others have come along
				n := w.above[j] + s.least
				s.fewest[i], s.most[i] = min(s.fewest[i], n), max(s.most[i], n)
			}
		}
		if s.effort += w.effort; whole {
			break
		}
	}
	s.need[cell] = min(s.most[cell]-s.fewest[cell], s.floor)
}

// proven reports whether tables are known, or found in the neighbourhoods, in which
// the count is different enough.
func (s *search) proven(cell int, in []neighbourhood) bool {
	if s.wide(cell) {
		return true
	}
	for _, near := range in {
		if s.exhausted() {
			return false
		}
		cells, whole := s.around(cell, near)
		s.explore(cell, cells)
		if s.wide(cell) {
			return true
		}
		if whole || s.narrow(cell, cells) {
			return false
		}
	}
	return false
}

// around are withheld counts that are bound to one by sums, the nearest first, and
// whether these are all; of a long sum the largest, which leave room.
func (s *search) around(cell int, near neighbourhood) (cells []int, whole bool) {
	s.visit++
	cells, whole = []int{cell}, true
	s.stamp[cell] = s.visit
	n := len(s.table.Counts)
	for at := 0; at < len(cells); at++ {
		for _, k := range s.of[cells[at]] {
			if s.stamp[n+k] == s.visit {
				continue
			}
			s.stamp[n+k] = s.visit
			var next []int
			for i := range s.table.Sums[k].each {
				if !s.unknown(i) || s.stamp[i] == s.visit {
					continue
				}
				if len(s.of[i]) > near.degree {
					whole = false
					continue
				}
				at := len(next)
				for at > 0 && s.table.Counts[next[at-1]] < s.table.Counts[i] {
					at--
				}
				if at < near.beside {
					next = slices.Insert(next, at, i)
				}
				if len(next) > near.beside {
					next, whole = next[:near.beside], false
				}
			}
			if left := near.counts - len(cells); len(next) > left {
				next, whole = next[:left], false
			}
			for _, i := range next {
				s.stamp[i] = s.visit
			}
			cells = append(cells, next...)
		}
	}
	return cells, whole
}

// each are the counts of a sum, the total first.
func (s Sum) each(yield func(int) bool) {
	if !yield(s.Total) {
		return
	}
	for _, i := range s.Parts {
		if !yield(i) {
			return
		}
	}
}

// narrow reports whether bounds that follow from the sums of these counts, one after
// the other, leave the count no room: whatever else is withheld, it is not safe.
func (s *search) narrow(cell int, cells []int) bool {
	lo, hi := s.from, s.to
	for _, i := range cells {
		lo[i], hi[i] = s.least, any
	}
	defer func() {
		for _, i := range cells {
			hi[i] = 0
		}
	}()
	bounds := func(i int) (int, int) {
		if !s.hidden[i] {
			return s.table.Counts[i], s.table.Counts[i]
		}
		if hi[i] > 0 {
			return lo[i], hi[i]
		}
		return s.least, any
	}
	for range 6 {
		changed := false
		s.visit++
		for _, from := range cells {
			for _, k := range s.of[from] {
				if at := len(s.table.Counts) + k; s.stamp[at] == s.visit {
					continue
				} else {
					s.stamp[at] = s.visit
				}
				sum := s.table.Sums[k]
				s.effort += 8 * len(sum.Parts)
				least, most := 0, 0
				for _, i := range sum.Parts {
					l, h := bounds(i)
					least, most = least+l, min(most+h, any)
				}
				tighten := func(i, l, h int) {
					if hi[i] == 0 {
						return
					}
					if l > lo[i] {
						lo[i], changed = l, true
					}
					if h < hi[i] {
						hi[i], changed = max(h, 1), true
					}
				}
				tighten(sum.Total, least, most)
				tl, th := bounds(sum.Total)
				for _, i := range sum.Parts {
					l, h := bounds(i)
					if most < any {
						tighten(i, tl-(most-h), any)
					}
					if th < any {
						tighten(i, s.least, th-(least-l))
					}
				}
			}
		}
		if hi[cell]-lo[cell] < s.need[cell] {
			return true
		}
		if !changed {
			break
		}
	}
	return false
}

// explore looks for tables in which the count, and on the way others, is larger and
// smaller, while all but these withheld counts stay as they are.
func (s *search) explore(cell int, cells []int) {
	w := s.newWalk(cells)
	for _, sign := range []int{1, -1} {
		if s.wide(cell) {
			break
		}
		need := s.lo[cell] + s.need[cell] - s.least
		if sign < 0 {
			need = s.hi[cell] - s.need[cell] - s.least
		}
		w.push(0, sign, need)
		s.learn(w)
	}
	s.effort += w.effort
}

// learn takes the table at which a walk has arrived.
func (s *search) learn(w *walk) {
	if !w.sound() {
		return
	}
	var f *found
	for j, cell := range w.cells {
		if !s.secret[cell] || s.wide(cell) {
			continue
		}
		x := w.above[j] + s.least
		if x >= s.lo[cell] && x <= s.hi[cell] {
			continue
		}
		if f == nil {
			f = &found{}
		}
		f.secrets = append(f.secrets, cell)
		if x < s.lo[cell] {
			s.lo[cell], s.low[cell] = x, f
		} else {
			s.hi[cell], s.high[cell] = x, f
		}
	}
	if f == nil {
		return
	}
	for j, cell := range w.cells {
		if w.above[j]+s.least != s.table.Counts[cell] {
			f.changed = append(f.changed, cell)
			s.changing[cell] = append(s.changing[cell], f)
		}
	}
}

// complement is the smallest count to withhold beside the cell: of a sum that gives
// away what the cell is hidden behind, else of its own sums, else of those of the
// counts that it is bound to; -1 if there is none.
func (s *search) complement(cell int) int {
	cells, whole := s.around(cell, neighbourhood{surroundings, surroundings, any})
	given := s.given(cells)
	inside := make(map[int]bool, 8)
	for at, chain := 0, []int{cell}; at < len(chain); at++ {
		inside[chain[at]] = true
		for _, k := range s.of[chain[at]] {
			for beside := range s.table.Sums[k].each {
				by, known := given[beside]
				if !known || inside[beside] {
					continue
				}
				if best := s.smallest(-1, by); best >= 0 {
					return best
				}
				inside[beside] = true
				chain = append(chain, beside)
			}
		}
	}
	best := -1
	for _, k := range s.of[cell] {
		best = s.smallest(best, k)
	}
	for {
		if best >= 0 {
			return best
		}
		for _, i := range cells {
			for _, k := range s.of[i] {
				best = s.smallest(best, k)
			}
		}
		if whole {
			return best
		}
		cells, whole = s.around(cell, neighbourhood{any, any, any})
	}
}

// smallest is the smaller of a count, -1 for none, and those of a sum that can be
// withheld.
func (s *search) smallest(best, sum int) int {
	for i := range s.table.Sums[sum].each {
		if s.free(i) && (best < 0 || s.table.Counts[i] < s.table.Counts[best] || s.table.Counts[i] == s.table.Counts[best] && i < best) {
			best = i
		}
	}
	return best
}

// given are the withheld counts that follow from a sum in which everything else is
// shown, or follows likewise, with that sum.
func (s *search) given(cells []int) map[int]int {
	out := map[int]int{}
	for at, list := 0, slices.Clone(cells); at < len(list); at++ {
		for _, k := range s.of[list[at]] {
			alone, others := -1, 0
			for i := range s.table.Sums[k].each {
				if _, known := out[i]; s.hidden[i] && !known {
					if alone, others = i, others+1; others > 1 {
						break
					}
				}
			}
			if others == 1 {
				out[alone] = k
				list = append(list, alone) // for its other sums
			}
		}
	}
	return out
}

// restore shows again what was withheld for others and what they do without.
func (s *search) restore(before []bool) {
	tried := map[int]bool{}
	for cell := range s.hidden {
		if !s.hidden[cell] || before[cell] {
			continue
		}
		if s.kind != nil {
			if tried[s.kind[cell]] {
				continue
			}
			tried[s.kind[cell]] = true
		}
		var of []int
		for _, i := range s.together(cell) {
			if s.hidden[i] && !before[i] {
				of = append(of, i)
			}
		}
		s.tryToShow(of)
	}
}

// tryToShow shows counts unless a secret needs them.
func (s *search) tryToShow(cells []int) {
	type was struct {
		cell, lo, hi int
		low, high    *found
	}
	var affected []was
	for _, i := range cells {
		s.hidden[i] = false
		for _, f := range s.changing[i] {
			for _, c := range f.secrets {
				if s.low[c] != f && s.high[c] != f {
					continue
				}
				affected = append(affected, was{c, s.lo[c], s.hi[c], s.low[c], s.high[c]})
				if s.low[c] == f {
					s.lo[c], s.low[c] = s.table.Counts[c], nil
				}
				if s.high[c] == f {
					s.hi[c], s.high[c] = s.table.Counts[c], nil
				}
			}
		}
	}
	for _, a := range affected {
		if s.proven(a.cell, neighbourhoods[:usual]) {
			continue
		}
		for _, i := range cells {
			s.hidden[i] = true
		}
		for _, a := range slices.Backward(affected) {
			s.lo[a.cell], s.hi[a.cell], s.low[a.cell], s.high[a.cell] = a.lo, a.hi, a.low, a.high
		}
		return
	}
}
