package fairness

import (
	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// Groups are the cells of a study's audit, all patients first, for whoever
// counts in the same groups: the watch over an installed model.
type Groups struct {
	cells     []cell
	crossings []crossing
	sums      []disclosure.Sum
}

// NewGroups of a study, none of them joined with another.
func NewGroups(s *study.Study) *Groups {
	g := &Groups{cells: cells(s), crossings: crossings(s)}
	g.sums = sums(s, g.cells, func(int) bool { return true })
	return g
}

// Len is how many there are.
func (g *Groups) Len() int { return len(g.cells) }

// Name of a group: attributes and levels.
func (g *Groups) Name(i int) (attribute, level string) { return g.cells[i].name, g.cells[i].level }

// Append appends the groups that a record is in.
func (g *Groups) Append(dst []int, m *study.Matrix, record int) []int {
	for _, c := range g.crossings {
		dst = append(dst, c.at(func(a int) int { return m.Group(record, a) }))
	}
	return dst
}

// Hide withholds counts of the groups, and whatever would give them away
// (package disclosure).
func (g *Groups) Hide(counts []int, floor int, withhold []bool) []bool {
	public := make([]bool, len(counts))
	public[0] = true
	return disclosure.Table{Counts: counts, Sums: g.sums}.Protect(floor, withhold, public, nil)
}

// HideShares withholds how many of each group have something, and how many have
// not, where either is small or would give a small number away; sizes are public,
// and -1 marks a group that is not shown.
func (g *Groups) HideShares(sizes, of []int, floor int) []bool {
	var t disclosure.Table
	var public, silent []bool
	add := func(n int, known, rest bool) int {
		t.Counts, public, silent = append(t.Counts, n), append(public, known), append(silent, rest)
		return len(t.Counts) - 1
	}
	// place is where a group's number is; that of the others follows.
	place := make([]int, len(of))
	for i, n := range of {
		if place[i] = -1; n >= 0 {
			place[i] = add(n, false, false)
			rest := add(sizes[i]-n, false, false)
			t.Sums = append(t.Sums, disclosure.Sum{Total: add(sizes[i], true, false), Parts: []int{place[i], rest}})
		}
	}
	for _, sum := range g.sums {
		if place[sum.Total] < 0 {
			continue
		}
		n := [2]int{of[sum.Total], sizes[sum.Total] - of[sum.Total]}
		one := [2]disclosure.Sum{{Total: place[sum.Total]}, {Total: place[sum.Total] + 1}}
		for _, i := range sum.Parts {
			if place[i] < 0 {
				continue
			}
			for k, have := range [2]int{of[i], sizes[i] - of[i]} {
				one[k].Parts, n[k] = append(one[k].Parts, place[i]+k), n[k]-have
			}
		}
		for k, left := range n {
			if left > 0 {
				one[k].Parts = append(one[k].Parts, add(left, false, true))
			}
		}
		t.Sums = append(t.Sums, one[0], one[1])
	}
	hidden, out := t.Protect(floor, nil, public, silent), make([]bool, len(of))
	for i, p := range place {
		out[i] = p >= 0 && (hidden[p] || hidden[p+1])
	}
	return out
}
