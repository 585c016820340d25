package differencing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// crossing is the groups that some columns divide patients into, none for all
// patients in one.
type crossing struct {
	columns []string
	part    string // of the cohort that is divided
	whole   bool   // every patient is in one of the cells
	cells   []cell
}

// comparable reports whether groups of the two can hold the same patients: one
// divides as the other does, or further. Who is held out is a part of everyone, so
// that the rest of a group, which trained the model, follows from both.
func (x crossing) comparable(o crossing) bool {
	return (x.part == o.part || x.part == everyone || o.part == everyone) && (subset(x.columns, o.columns) || subset(o.columns, x.columns))
}

func (x *crossing) add(group string, n int, in ...condition) {
	slices.SortStableFunc(in, func(a, b condition) int { return strings.Compare(a.column, b.column) })
	if x.cells == nil {
		for _, c := range in {
			x.columns = append(x.columns, c.column)
		}
	}
	x.cells = append(x.cells, cell{group: group, in: in, n: n})
}

// cell is a group of patients by what their records say: in each column of the
// crossing, one of some values.
type cell struct {
	group string // for people, and to find it in the report
	in    []condition
	n     int  // -1 if it is not shown
	gone  bool // because an earlier report would give it away
}

// key is the same for groups that are the same.
func (c cell) key() string { return fmt.Sprintf("%q", c.in) }

// condition holds for a record whose column has one of the values, or with not,
// none of them.
type condition struct {
	column string
	values []string // ascending
	not    bool
}

func (c condition) String() string { return fmt.Sprintf("%q %v %q", c.column, c.not, c.values) }

func with(column string, values []string) condition {
	return condition{column: column, values: slices.Sorted(slices.Values(values))}
}

// of is the condition on a column, nil for none.
func (c cell) of(column string) *condition {
	for k := range c.in {
		if c.in[k].column == column {
			return &c.in[k]
		}
	}
	return nil
}

// inside reports whether all who are in c are in o.
func (c cell) inside(o cell) bool {
	for _, outer := range o.in {
		if inner := c.of(outer.column); inner == nil || !inner.inside(outer) {
			return false
		}
	}
	return true
}

// meets reports whether a record can be in both.
func (c cell) meets(o cell) bool {
	for _, outer := range o.in {
		if inner := c.of(outer.column); inner != nil && inner.apart(outer) {
			return false
		}
	}
	return true
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(v string) bool { return !slices.Contains(b, v) })
}

func disjoint(a, b []string) bool {
	return !slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
}

func (a condition) inside(b condition) bool {
	switch {
	case a.not && b.not:
		return subset(b.values, a.values)
	case a.not:
		return false
	case b.not:
		return disjoint(a.values, b.values)
	}
	return subset(a.values, b.values)
}

func (a condition) apart(b condition) bool {
	switch {
	case a.not && b.not:
		return false
	case a.not:
		return subset(b.values, a.values)
	case b.not:
		return subset(a.values, b.values)
	}
	return disjoint(a.values, b.values)
}

// Parts of the patients that a crossing divides.
const (
	everyone = "everyone"
	heldOut  = "held out"
)

// crossings are all counts of patients in a report.
func crossings(r Report) []crossing {
	return slices.Concat(ofCohort(r), ofDescription(r), ofAudit(r))
}

func shown(c describe.Count) int {
	if c.N == nil {
		return -1
	}
	return *c.N
}

// missing is no value: cells are compared without spaces around them.
const missing = " "

func ofCohort(r Report) (out []crossing) {
	if r.Cohort == nil {
		return nil
	}
	single := func(group string, n describe.Count, in ...condition) {
		x := crossing{part: everyone, whole: in == nil}
		x.add(group, shown(n), in...)
		out = append(out, x)
	}
	single(All, r.Cohort.Patients)
	o := r.Study.Outcome
	if n := r.Cohort.Outcome.Positives; n != nil {
		single(Named(o.Column, "positive"), *n, outcome(o, true))
	}
	if n := r.Cohort.Outcome.Events; n != nil {
		single(Named(o.Event.Column, "event"), *n, with(o.Event.Column, o.Event.Positive))
	}
	for f, v := range r.Cohort.Features {
		if v.Levels == nil && v.Missing == nil {
			continue
		}
		x := crossing{part: everyone, whole: v.Levels != nil}
		for l, level := range v.Levels {
			x.add(Named(v.Column, level.Name), shown(level.Count), ofLevel(r.Study.Features[f], l))
		}
		if v.Missing != nil {
			x.add(Named(v.Column, "missing"), shown(*v.Missing), with(v.Column, []string{missing}))
		}
		out = append(out, x)
	}
	for a, attribute := range r.Cohort.Attributes {
		x := crossing{part: everyone, whole: true}
		for g, group := range attribute.Groups {
			x.add(Named(attribute.Column, group.Name), shown(group.Count), ofGroup(r.Study.Fairness.Attributes[a], g))
		}
		out = append(out, x)
	}
	return out
}

// All is the group of all patients.
const All = fairness.All

// Named is how a decision names a level of a column.
func Named(column, level string) string { return column + ": " + level }

// outcome is one side of a binary outcome.
func outcome(o study.Outcome, positive bool) condition {
	c := with(o.Column, o.Positive)
	if o.AtLeast != nil {
		c.values = []string{fmt.Sprint("at least ", *o.AtLeast)}
	}
	c.not = !positive
	return c
}

func ofLevel(f study.Feature, level int) condition {
	values := f.Levels[level].Values
	if f.Levels[level].Name == study.Unknown {
		values = append(slices.Clone(values), missing)
	}
	return with(f.Column, values)
}

// ofGroup is a group of an attribute; the last one is all that no level gathers.
func ofGroup(a study.Attribute, group int) condition {
	if group < len(a.Levels) {
		return with(a.Column, a.Levels[group].Values)
	}
	var values []string
	for _, level := range a.Levels {
		values = append(values, level.Values...)
	}
	c := with(a.Column, values)
	c.not = true
	return c
}

// ofDescription are cross tables and survival curves.
func ofDescription(r Report) (out []crossing) {
	if r.Description == nil {
		return nil
	}
	for _, t := range r.Description.CrossTables {
		x := crossing{part: everyone}
		for i, row := range t.Cells {
			for j, n := range row {
				x.add(TableCell(t, i, j), shown(n), of(r.Study, t.Rows, i), of(r.Study, t.Columns, j))
			}
		}
		out = append(out, x)
	}
	if r.Description.Survival == nil {
		return out
	}
	for _, by := range r.Description.Survival.Groupings {
		x := crossing{part: everyone}
		for i, curve := range by.Curves {
			x.add(Named(by.Column, curve.Group), shown(curve.Patients), of(r.Study, by.Column, i))
		}
		out = append(out, x)
	}
	return out
}

// TableCell is how a decision names a cell of a cross table.
func TableCell(t describe.CrossTable, i, j int) string {
	return Named(t.Rows+" × "+t.Columns, t.RowNames[i]+", "+t.ColumnNames[j])
}

// of is the i-th group by a column, as descriptions divide patients: by the
// levels of a category, the groups of an attribute, or the sides of a binary
// outcome.
func of(s *study.Study, column string, i int) condition {
	for _, f := range s.Features {
		if f.Column == column && f.Type == study.Category {
			return ofLevel(f, i)
		}
	}
	for _, a := range s.Fairness.Attributes {
		if a.Column == column {
			return ofGroup(a, i)
		}
	}
	return outcome(s.Outcome, i == 1)
}

// ofAudit are the audit's groups. One of an attribute with which others are
// counted is all of them together; of an intersection, whose names do not say which
// attribute was joined, no count is shown.
func ofAudit(r Report) (out []crossing) {
	// Counts under noise less those of another report are the noise, which is there
	// for that.
	if r.Audit == nil || r.Audit.Noise != nil {
		return nil
	}
	part := everyone
	if kind := r.Study.Validation.Kind; kind == study.Holdout || kind == study.External {
		part = heldOut
	}
	at := 0
	for _, d := range fairness.Divisions(r.Study) {
		x := crossing{part: part, whole: true}
		for _, groups := range d.Cells {
			g := r.Audit.Groups[at]
			at++
			var in []condition
			for k, a := range d.Attributes {
				in = append(in, ofGroup(r.Study.Fairness.Attributes[a], groups[k]))
			}
			n := -1
			switch {
			case g.State == fairness.Merged && len(d.Attributes) == 1:
				continue // counted in another's place
			case g.N == nil || len(g.With) > 0 && len(d.Attributes) > 1:
			case len(g.With) > 0:
				n, in = *g.N, []condition{ofGroups(r.Study.Fairness.Attributes[d.Attributes[0]], append([]string{g.Level}, g.With...))}
			default:
				n = *g.N
			}
			x.add(GroupName(g), n, in...)
		}
		out = append(out, x)
	}
	return out
}

// ofGroups are groups of an attribute together.
func ofGroups(a study.Attribute, names []string) condition {
	var inside, outside []string
	for g, level := range a.Levels {
		if slices.Contains(names, a.Groups()[g]) {
			inside = append(inside, level.Values...)
		} else {
			outside = append(outside, level.Values...)
		}
	}
	if slices.Contains(names, a.Groups()[len(a.Levels)]) {
		c := with(a.Column, outside)
		c.not = true
		return c
	}
	return with(a.Column, inside)
}

// GroupName is how a decision names a group of an audit.
func GroupName(g fairness.Group) string {
	if g.Attribute == All {
		return All
	}
	return Named(g.Attribute, g.Level)
}
