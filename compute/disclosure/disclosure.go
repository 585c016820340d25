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
// The tables of rule 2 are found in whole numbers: from the true one by steps that
// change several withheld counts so that every known sum stays as it is (walk.go).
// A count's neighbours are tried first, all others kept as they are, and more of
// them only where that does not do: a table that is found proves what it proves,
// whatever else could be changed, so that a count in a large system costs what its
// neighbourhood costs (search.go). Where none is found more is withheld. So the
// check errs on the side of silence. In the end what is withheld for others is
// shown again where the tables that were found, or others, do without it: in any
// case what follows from all that is shown, because to withhold it protects nobody.
//
// The reader who is guarded against sees everything that is shown, knows that what
// is withheld is not zero, and knows nothing else of the table; what the reader
// knows besides, such as a release of the same patients with other groups, the
// caller adds to the table. Not guarded against is one who runs these rules over
// every table that agrees with what is shown, to see which of them withhold just
// this much.
//
// Terms and rules follow Hundepool et al., Statistical Disclosure Control
// (Wiley, 2012), chapter 4.
package disclosure

// Table is counts and what is known to add up.
type Table struct {
	Counts []int
	Sums   []Sum
	// Zeros says that a count which is withheld may as well be zero. Otherwise the
	// reader knows that it is not, because zeros are shown.
	Zeros bool
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
// two groups of three patients together, the values are as far apart as they are
// where all is withheld that can be.
func (t Table) Protect(floor int, withhold, public, silent []bool) []bool {
	is := func(list []bool, i int) bool { return list != nil && list[i] }
	hidden, secret := make([]bool, len(t.Counts)), make([]bool, len(t.Counts))
	for i, count := range t.Counts {
		if count <= 0 || is(public, i) {
			continue
		}
		secret[i] = Small(count, floor) || is(withhold, i)
		hidden[i] = secret[i] || is(silent, i)
	}
	return t.Extend(floor, hidden, secret, public, nil)
}

// Extend withholds more beside what is hidden already, until the counts that
// secret names are protected as in Protect, and returns all that is hidden then.
// Other hidden counts need no protection. A count of which fixed is true stays.
// Counts of one kind, by number, are withheld and shown together; nil for each its
// own.
func (t Table) Extend(floor int, hidden, secret, fixed []bool, kind []int) []bool {
	s := newSearch(t, floor, hidden, secret, fixed, kind)
	for cell, needs := range secret {
		for needs && !s.exhausted() && !s.proven(cell, neighbourhoods[:usual]) {
			if !s.judged[cell] {
				s.attainable(cell)
				continue
			}
			next := s.complement(cell)
			if next < 0 {
				if s.proven(cell, neighbourhoods) {
					break
				}
				s.need[cell] = s.hi[cell] - s.lo[cell]
				break
			}
			s.withhold(next)
		}
	}
	if s.exhausted() {
		for i := range s.hidden {
			s.hidden[i] = s.hidden[i] || s.free(i)
		}
		return s.hidden
	}
	s.restore(hidden)
	return s.hidden
}

// Safe reports whether every count that secret names is protected as in Protect,
// where these counts are withheld. What fixed says is known whatever is withheld.
func (t Table) Safe(floor int, hidden, secret, fixed []bool) bool {
	s := newSearch(t, floor, hidden, secret, fixed, nil)
	for cell, needs := range secret {
		if !needs || s.proven(cell, neighbourhoods) {
			continue
		}
		if s.attainable(cell); s.exhausted() || !s.proven(cell, neighbourhoods) {
			return false
		}
	}
	return true
}
