package describe

import (
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// Survival curves where all that would give a small count away is withheld. The
// curves of the groups of a column, that of all patients and what is left of it
// are cut at the same times, so far apart that in each of them between two times
// the events are none or at least the minimum cell, and so are those who left.
// Whatever is subtracted from whatever else is then made of such counts. The
// estimates are those of the coarser grid: a curve over every interval of the
// declared one, beside the number of patients, would tell the events of each.

// protectedSurvival describes survival where gone says which groups have no
// figures at all.
func protectedSurvival(s *study.Study, by []Grouping, tables [][]Lifetable, gone func(g Grouping, group int) bool) *Survival {
	cell := s.Fairness.MinimumCell
	everyone := tables[0][0]
	ends := commonEnds([]Lifetable{everyone}, cell)
	out := &Survival{Overall: lastHidden(coarseCurve(s, "", everyone, ends, ends == nil))}
	for b, g := range by[1:] {
		hidden := make([]bool, len(g.Names))
		for k, table := range tables[b+1] {
			hidden[k] = table.Patients() == 0 || gone(g, k) || !mayTell(table, cell)
		}
		cut := hideUntilSafe(everyone, tables[b+1], hidden, cell, ends)
		c := Compared{Column: g.Column}
		var shown []Lifetable
		reference := -1
		names := g
		names.Names = nil
		for k, table := range tables[b+1] {
			curve := coarseCurve(s, g.Names[k], table, cut, hidden[k])
			if gone(g, k) {
				curve.Patients, curve.Events = Count{State: Suppressed}, Count{State: Suppressed}
			}
			c.Curves = append(c.Curves, lastHidden(curve))
			if !hidden[k] {
				if g.feature >= 0 && s.Features[g.feature].Reference == k || g.feature < 0 && k == 0 {
					reference = len(shown)
				}
				shown, names.Names = append(shown, table.coarse(cut)), append(names.Names, g.Names[k])
			}
		}
		if len(shown) > 1 && cut != nil {
			c.LogRank = logRank(shown)
			if reference >= 0 {
				c.RMST = CompareRMST(onGrid(s, cut), names, shown, reference)
			}
		}
		out.Groupings = append(out.Groupings, c)
	}
	return out
}

// mayTell reports whether a group's events and those who had none may be told.
func mayTell(l Lifetable, cell int) bool {
	events := 0
	for _, d := range l.Events {
		events += d
	}
	return may(events, cell) && may(l.Patients()-events, cell)
}

func may(n, cell int) bool { return Suppress(n, cell).State != Suppressed }

// hideUntilSafe hides curves, smallest groups first, until what is left of all
// patients without those that are shown may be told, and returns where the shown
// ones are cut; nil if none is shown.
func hideUntilSafe(everyone Lifetable, tables []Lifetable, hidden []bool, cell int, ends []int) []int {
	for {
		rest, shown, least := everyone.clone(), []Lifetable(nil), -1
		for k, table := range tables {
			if hidden[k] {
				continue
			}
			shown = append(shown, table)
			rest.subtract(table)
			if least < 0 || table.Patients() < tables[least].Patients() {
				least = k
			}
		}
		if least < 0 {
			return nil
		}
		enough := cell
		for k, table := range tables {
			if hidden[k] && table.Patients() > 0 {
				enough = 2 * cell // of several groups, each with one at least
			}
		}
		if mayTell(rest, enough) {
			if cut := commonEndsOf(append(shown, rest), cell, ends); cut != nil {
				return cut
			}
		}
		hidden[least] = true
	}
}

func (l Lifetable) clone() Lifetable {
	return Lifetable{slices.Clone(l.Events), slices.Clone(l.Censored)}
}

func (l *Lifetable) subtract(o Lifetable) {
	for k := range l.Events {
		l.Events[k] -= o.Events[k]
	}
	for k := range l.Censored {
		l.Censored[k] -= o.Censored[k]
	}
}

// commonEnds are the last intervals of runs in which all tables may be told; nil
// if they may not be told even as one run.
func commonEnds(tables []Lifetable, cell int) []int {
	var every []int
	for k := range tables[0].Events {
		every = append(every, k)
	}
	return commonEndsOf(tables, cell, every)
}

// commonEndsOf are those of the given ends between which all tables may be told.
// What is left at the end joins the runs before it.
func commonEndsOf(tables []Lifetable, cell int, ends []int) []int {
	last := len(tables[0].Events) - 1
	safe := func(after, end int) bool {
		for _, t := range tables {
			events, gone := 0, 0
			for k := after + 1; k <= end; k++ {
				events, gone = events+t.Events[k], gone+t.Censored[k]
			}
			if end == last {
				gone += t.Censored[last+1]
			}
			if !may(events, cell) || !may(gone, cell) {
				return false
			}
		}
		return true
	}
	var out []int
	after := -1
	for _, end := range ends {
		if safe(after, end) {
			out, after = append(out, end), end
		}
	}
	for after != last && len(out) > 0 {
		out = out[:len(out)-1]
		after = -1
		if len(out) > 0 {
			after = out[len(out)-1]
		}
		if safe(after, last) {
			return append(out, last)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// coarse joins the intervals between the ends; who leaves in one leaves in the run.
func (l Lifetable) coarse(ends []int) Lifetable {
	out := Lifetable{make([]int, len(ends)), make([]int, len(ends)+1)}
	run := 0
	for k := range l.Events {
		if k > ends[run] {
			run++
		}
		out.Events[run] += l.Events[k]
		out.Censored[run] += l.Censored[k]
	}
	out.Censored[len(ends)] = l.Censored[len(l.Events)]
	return out
}

// onGrid is the study with a coarser grid.
func onGrid(s *study.Study, ends []int) *study.Study {
	out, grid := *s, make([]float64, 0, len(ends))
	for _, end := range ends {
		grid = append(grid, s.Outcome.Grid[end])
	}
	out.Outcome.Grid = grid
	return &out
}

// coarseCurve is a curve cut at the ends, or no more than the counts.
func coarseCurve(s *study.Study, group string, l Lifetable, ends []int, hidden bool) Curve {
	if !hidden && ends != nil {
		return curve(onGrid(s, ends), group, l.coarse(ends))
	}
	out := Curve{Group: group, Patients: Suppress(l.Patients(), s.Fairness.MinimumCell), Events: Count{State: Suppressed}}
	if out.Patients.State != OK {
		out.Events = out.Patients
	}
	return out
}

// lastHidden withholds who left in the last run: how many were followed beyond the
// grid is one subtraction away.
func lastHidden(c Curve) Curve {
	if n := len(c.Points); n > 0 {
		c.Points[n-1].Censored = Count{State: Suppressed}
	}
	return c
}
