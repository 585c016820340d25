package fairness

import (
	"fmt"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// gate is what the sizes say about what may be opened.
type gate struct {
	study  *study.Study
	cells  []cell
	raw    []int // patients of each cell as the records name it
	groups grouping
	n      []int // patients counted in each cell's name
	sites  []int // hospitals that have one of them, at least
	state  []string
	open   []int // cells of the vector, all patients first
	// against is, by cell, the one that it is compared with; -1 for none.
	against []int
}

// newGate reads the opened sizes, joins groups and leaves what may still be
// opened.
func newGate(s *study.Study, sum compute.Sum) (*gate, error) {
	g := &gate{study: s, cells: cells(s)}
	for _, f := range sizesLayout(s) {
		if len(sum.Field(f.Name)) != f.Length {
			return nil, fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	whole := func(name string) (out []int) {
		for _, x := range sum.Field(name) {
			out = append(out, int(x+0.5))
		}
		return out
	}
	sites := whole("sites")
	g.raw = whole("patients")
	if g.raw[0] < s.Fairness.MinimumCell {
		return nil, &compute.Diagnosis{Kind: compute.TooFewPatients, Message: fmt.Sprintf("the audit has fewer than %d patients", s.Fairness.MinimumCell)}
	}
	g.join(sites)
	g.n, g.sites = make([]int, len(g.cells)), make([]int, len(g.cells))
	for _, c := range crossings(s) {
		for k := c.first; k < c.first+c.size; k++ {
			to := c.at(func(a int) int { return g.groups.of(a, g.cells[k].group(a)) })
			g.n[to] += g.raw[k]
			g.sites[to] = max(g.sites[to], sites[k]) // the hospitals of the groups together are at least as many
		}
	}
	g.settle(nil)
	return g, nil
}

func (g *gate) small(n, sites int) bool {
	return n > 0 && (n < g.study.Fairness.MinimumCell || sites < g.study.Fairness.MinimumSites)
}

// join counts small groups in the place of others: first as the study declares,
// then, where what is left is so little that it could be had as the rest of the
// whole, with the attribute's largest group.
func (g *gate) join(sites []int) {
	all := crossings(g.study)
	joined := false
	groups := make(grouping, len(g.study.Fairness.Attributes))
	for a, attribute := range g.study.Fairness.Attributes {
		first := all[1+a].first
		size := len(attribute.Levels) + 1
		to := make([]int, size)
		n, at := slices.Clone(g.raw[first:first+size]), slices.Clone(sites[first:first+size])
		for k := range to {
			to[k] = k
		}
		move := func(from, into int) {
			to[from] = into
			n[into], at[into] = n[into]+n[from], max(at[into], at[from])
			n[from], at[from] = 0, 0
			joined = true
		}
		for _, m := range attribute.Merges {
			if slices.ContainsFunc(m.Groups, func(k int) bool { return g.small(n[k], at[k]) }) {
				for _, k := range m.Groups[1:] {
					move(k, m.Groups[0])
				}
			}
		}
		rest, hidden, largest := 0, 0, -1
		for k := range n {
			switch {
			case g.small(n[k], at[k]):
				rest, hidden = rest+n[k], hidden+1
			case n[k] > 0 && (largest < 0 || n[k] > n[largest]):
				largest = k
			}
		}
		if g.study.Fairness.Complementary && hidden > 0 && largest >= 0 && rest-hidden < g.study.Fairness.MinimumCell {
			for k := range n {
				if g.small(n[k], at[k]) {
					move(k, largest)
					for other := range to { // who was joined to it goes along
						if to[other] == k {
							to[other] = largest
						}
					}
				}
			}
		}
		groups[a] = to
	}
	if joined {
		g.groups = groups
	}
}

// settle decides, with the hospitals that dominate a cell where that is known,
// which cells are withheld, which are open, and what each is compared with.
func (g *gate) settle(dominated []bool) {
	withhold := make([]bool, len(g.cells))
	public := make([]bool, len(g.cells))
	public[0] = true
	for c := range g.cells {
		withhold[c] = g.small(g.n[c], g.sites[c]) || dominated != nil && dominated[c]
	}
	hidden := withhold
	hidden[0] = false // of all patients the floor was checked
	if g.study.Fairness.Complementary {
		t := disclosure.Table{Counts: g.n, Sums: sums(g.study, g.cells, func(c int) bool { return g.groups.alone(g.cells[c]) })}
		hidden = t.Protect(g.study.Fairness.MinimumCell, withhold, public, nil)
	}
	g.state, g.open = make([]string, len(g.cells)), nil
	for c := range g.cells {
		switch {
		case !g.groups.alone(g.cells[c]):
			if g.state[c] = Merged; g.raw[c] == 0 {
				g.state[c] = Zero
			}
		case g.n[c] == 0:
			g.state[c] = Zero
		case hidden[c]:
			g.state[c] = Suppressed
		default:
			g.state[c] = OK
			g.open = append(g.open, c)
		}
	}
	g.against = references(g.study, g.cells, g.groups, g.open, func(c int) int { return g.n[c] })
}

// references are, by open cell, the one of the same attributes that it is
// compared with: that of the declared reference groups, or the largest.
func references(s *study.Study, cells []cell, groups grouping, open []int, n func(int) int) []int {
	of := map[int]int{} // by the first cell of a crossing
	for _, x := range crossings(s)[1:] {
		best := -1
		for _, c := range open {
			if c < x.first || c >= x.first+x.size {
				continue
			}
			declared := true
			for i, a := range cells[c].attributes {
				attribute := s.Fairness.Attributes[a]
				at := slices.Index(attribute.Groups(), attribute.Reference)
				declared = declared && at >= 0 && groups.of(a, at) == cells[c].groups[i]
			}
			if declared {
				best = c
				break
			}
			if best < 0 || n(c) > n(best) {
				best = c
			}
		}
		for c := x.first; c < x.first+x.size; c++ {
			of[c] = best
		}
	}
	out := make([]int, len(open))
	for i, c := range open {
		if r, ok := of[c]; ok && r != c {
			out[i] = r
		} else {
			out[i] = -1
		}
	}
	return out
}

// shares is the question after the sizes; nil where there is nothing to ask.
func (g *gate) shares() *sharesQuestion {
	if len(g.open) < 2 {
		return nil
	}
	q := &sharesQuestion{Groups: g.groups, Cells: g.open, Against: g.against}
	for _, c := range g.open {
		q.Patients = append(q.Patients, g.n[c])
	}
	return q
}

// absorb takes the opened shares: cells that a hospital dominates are withheld,
// and a comparison inside hospitals is asked for where enough of them can make
// it. It reports whether one hospital dominates the whole.
func (g *gate) absorb(q *sharesQuestion, sum compute.Sum) (whole bool, err error) {
	for _, f := range sharesLayout(len(q.Cells)) {
		if len(sum.Field(f.Name)) != f.Length {
			return false, fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	dominated := make([]bool, len(g.cells))
	asked := map[[2]int]bool{}
	for i, c := range q.Cells {
		dominated[c] = sum.Field("dominated")[i] > 0.5 && c > 0
		asked[[2]int{c, q.Against[i]}] = sum.Field("paired")[i] > float64(fewestInside(g.study))-0.5
	}
	g.settle(dominated)
	for i, c := range g.open {
		if !asked[[2]int{c, g.against[i]}] {
			g.against[i] = -1
		}
	}
	return sum.Field("dominated")[0] > 0.5, nil
}

// as is the name of a cell whose groups the study has joined under one, empty if
// it has not.
func (g grouping) as(s *study.Study, c cell) string {
	if g == nil {
		return ""
	}
	var names []string
	joined := false
	for i, a := range c.attributes {
		name := s.Fairness.Attributes[a].Groups()[c.groups[i]]
		for _, m := range s.Fairness.Attributes[a].Merges {
			if m.Groups[0] == c.groups[i] && g[a][m.Groups[1]] == c.groups[i] {
				name, joined = m.Name, true
			}
		}
		names = append(names, name)
	}
	if !joined {
		return ""
	}
	return strings.Join(names, ", ")
}

// fewestInside is how many hospitals a sum of their own comparisons is made of.
func fewestInside(s *study.Study) int { return max(s.Fairness.MinimumSites, s.MinimumContributors()) }

// names of the groups that are counted in a cell's place.
func (g grouping) with(s *study.Study, c cell) (names []string) {
	if g == nil {
		return nil
	}
	for i, a := range c.attributes {
		for k, to := range g[a] {
			if to == c.groups[i] && k != to {
				names = append(names, s.Fairness.Attributes[a].Groups()[k])
			}
		}
	}
	return names
}

// Division is attributes, none for all patients, and the groups of a report that
// they make: by cell, a group of each of the attributes.
type Division struct {
	Attributes []int
	Cells      [][]int
}

// Divisions are in the order of the report's groups.
func Divisions(s *study.Study) (out []Division) {
	known := cells(s)
	for _, x := range crossings(s) {
		d := Division{Attributes: x.attributes}
		for _, c := range known[x.first : x.first+x.size] {
			d.Cells = append(d.Cells, c.groups)
		}
		out = append(out, d)
	}
	return out
}
