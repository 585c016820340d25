package fairness

import (
	"errors"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// cell is a group of patients: all of them, those of one group of an attribute,
// or of one group of each attribute of an intersection.
type cell struct {
	attributes, groups []int // none for all
	name, level        string
}

// All names the attribute and the level of the first cell: every patient.
const All = "all"

// crossing is a set of attributes and the cells of their combinations, the last
// attribute varying fastest.
type crossing struct {
	attributes, strides []int
	first, size         int
}

// crossings are all patients, each attribute, each intersection.
func crossings(s *study.Study) []crossing {
	sets := [][]int{{}}
	for a := range s.Fairness.Attributes {
		sets = append(sets, []int{a})
	}
	var out []crossing
	first := 0
	for _, set := range append(sets, s.Fairness.Intersections...) {
		c := crossing{attributes: set, strides: make([]int, len(set)), first: first, size: 1}
		for i := len(set) - 1; i >= 0; i-- {
			c.strides[i] = c.size
			c.size *= len(s.Fairness.Attributes[set[i]].Levels) + 1
		}
		first += c.size
		out = append(out, c)
	}
	return out
}

// at is the cell of the groups, given by attribute of the study.
func (c crossing) at(group func(attribute int) int) int {
	at := c.first
	for i, a := range c.attributes {
		at += c.strides[i] * group(a)
	}
	return at
}

func cells(s *study.Study) []cell {
	var out []cell
	for _, c := range crossings(s) {
		for k := range c.size {
			one := cell{attributes: c.attributes, name: All, level: All}
			var names, levels []string
			for i, a := range c.attributes {
				attribute := s.Fairness.Attributes[a]
				g := k / c.strides[i] % (len(attribute.Levels) + 1)
				one.groups = append(one.groups, g)
				names, levels = append(names, attribute.Column), append(levels, attribute.Groups()[g])
			}
			if names != nil {
				one.name, one.level = strings.Join(names, " × "), strings.Join(levels, ", ")
			}
			out = append(out, one)
		}
	}
	return out
}

// group of the cell under an attribute that it has.
func (c cell) group(attribute int) int { return c.groups[slices.Index(c.attributes, attribute)] }

// grouping says in whose place a group is counted: by attribute, for each group
// that whose name it goes by, itself where it stands alone. Nil for none.
type grouping [][]int

func (g grouping) of(attribute, group int) int {
	if g == nil {
		return group
	}
	return g[attribute][group]
}

// alone reports whether the cell is counted under its own name.
func (g grouping) alone(c cell) bool {
	for i, a := range c.attributes {
		if g.of(a, c.groups[i]) != c.groups[i] {
			return false
		}
	}
	return true
}

func (g grouping) check(s *study.Study) error {
	if g == nil {
		return nil
	}
	merged := false
	if len(g) != len(s.Fairness.Attributes) {
		return errors.New("the grouping is not of the study's attributes")
	}
	for a, of := range g {
		if len(of) != len(s.Fairness.Attributes[a].Levels)+1 {
			return errors.New("the grouping is not of the study's groups")
		}
		for k, to := range of {
			if to < 0 || to >= len(of) || of[to] != to {
				return errors.New("a group is counted in the place of none")
			}
			merged = merged || to != k
		}
	}
	if !merged {
		return errors.New("a grouping that joins no groups is a second spelling of none")
	}
	return nil
}

// sums are what is known to add up among cells: a cell of fewer attributes is the
// sum of those that divide it, as far as keep holds for them.
func sums(s *study.Study, cells []cell, keep func(int) bool) (out []disclosure.Sum) {
	all := crossings(s)
	for _, small := range all {
		for _, large := range all {
			if len(small.attributes) >= len(large.attributes) || slices.ContainsFunc(small.attributes, func(a int) bool { return !slices.Contains(large.attributes, a) }) {
				continue
			}
			of := map[int]*disclosure.Sum{}
			var order []int
			for k := large.first; k < large.first+large.size; k++ {
				total := small.at(cells[k].group)
				if !keep(k) || !keep(total) {
					continue
				}
				if of[total] == nil {
					of[total] = &disclosure.Sum{Total: total}
					order = append(order, total)
				}
				of[total].Parts = append(of[total].Parts, k)
			}
			for _, total := range order {
				out = append(out, *of[total])
			}
		}
	}
	return out
}
