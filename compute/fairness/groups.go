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
