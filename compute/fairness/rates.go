package fairness

import (
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// A rate and the number of patients that it is of give the count away, and so do
// other rates of the same patients, and the same rate of the groups that make up
// a larger one. So the counts of each open cell are a table, where a count is the
// sum of its parts; and each count over all open cells is a table, where a cell
// is the sum of those that divide it and of a rest that is never shown. What of
// either is withheld takes the rates with it that need it. The tables are gated
// one by one: as a single system they would withhold nearly everything, since the
// small count of one small group is bound to all counts of all groups.

// column is a count that a rate is made of.
type column struct {
	name  string
	of    func(t *tally) float64
	known bool                // of all patients: the description of the cohort shows it
	data  bool                // it is the same whatever the model predicts
	has   func(t *tally) bool // nil for every cell
	plain bool                // where it is zero the report says why there are no rates of it
}

// shown reports whether the description of the cohort shows the count of all
// patients.
func (c column) shown(all *tally, floor int) bool {
	return c.known && disclosure.Share(int(c.of(all)), int(all.n), floor)
}

// sameData is what an audit of the same patients withholds, by open cell; nil for no
// such audit.
type sameData struct {
	cells  []int
	hidden []map[string]bool
}

// everything is an audit that withholds all of it.
var everything = &sameData{}

// hides and shows report what the audit does with a column that is the same in both.
func (a *sameData) hides(i int, c column) bool {
	return a != nil && (a == everything || c.data && a.hidden[i][c.name])
}

func (a *sameData) shows(i int, c column) bool {
	return a != nil && a != everything && c.data && c.name != "" && !a.hidden[i][c.name]
}

// public reports whether a count of an open cell is shown elsewhere.
func (c column) public(t *tally, floor, i int, beside *sameData) bool {
	return i == 0 && c.shown(t, floor) || beside.shows(i, c)
}

// ledger is the columns of an outcome and which add up to which, by index.
type ledger struct {
	columns []column
	sums    [][]int // the total, then its parts
}

func (l *ledger) add(name string, of func(t *tally) float64) int {
	l.columns = append(l.columns, column{name: name, of: of})
	return len(l.columns) - 1
}

func (l *ledger) sum(total int, parts ...int) {
	l.sums = append(l.sums, append([]int{total}, parts...))
}

// ledgers of a study. The first column of each is the patients.
func ledgers(s *study.Study, q question) (out []*ledger) {
	thresholds := q.thresholds(s)
	patients := func(l *ledger) int { return l.add("", func(t *tally) float64 { return t.n }) }
	l := &ledger{}
	n := patients(l)
	switch s.Outcome.Type {
	case study.Survival:
		all := l.add("events", func(t *tally) float64 { return t.events })
		l.sum(n, all, l.add("events", func(t *tally) float64 { return t.n - t.events }))
		l.addSurvival(s, n, all)
		for k := range l.columns {
			l.columns[k].data = true
		}
		return []*ledger{l}
	case study.Binary:
		up := l.add("positives", func(t *tally) float64 { return t.positives })
		down := l.add("positives", func(t *tally) float64 { return t.n - t.positives })
		l.sum(n, up, down)
		l.columns[up].known, l.columns[down].known = true, true
		l.columns[up].data, l.columns[down].data = true, true
		l.columns[up].plain, l.columns[down].plain = true, true
		order := ascending(thresholds)
		before := [2]int{up, down} // true and false positives at the threshold before
		for _, i := range order {
			name := fmt.Sprint("confusion", i)
			tp := l.add(name, func(t *tally) float64 { return t.at[i].TP })
			fn := l.add(name, func(t *tally) float64 { return t.at[i].FN })
			fp := l.add(name, func(t *tally) float64 { return t.at[i].FP })
			tn := l.add(name, func(t *tally) float64 { return t.at[i].TN })
			selected := l.add(fmt.Sprint("selected", i), func(t *tally) float64 { return t.at[i].TP + t.at[i].FP })
			rejected := l.add(fmt.Sprint("selected", i), func(t *tally) float64 { return t.at[i].FN + t.at[i].TN })
			l.columns[selected].plain, l.columns[rejected].plain = true, true
			l.sum(up, tp, fn)
			l.sum(down, fp, tn)
			l.sum(selected, tp, fp)
			l.sum(rejected, fn, tn)
			l.sum(n, selected, rejected)
			for k, now := range [2]int{tp, fp} {
				if before[k] == up || before[k] == down {
					continue // fn and tn are the difference
				}
				whole, part := l.columns[before[k]].of, l.columns[now].of
				l.sum(before[k], now, l.add("", func(t *tally) float64 { return whole(t) - part(t) }))
			}
			before = [2]int{tp, fp}
		}
		return []*ledger{l}
	}
	var within [3]int
	for i := range within {
		within[i] = l.add(fmt.Sprint("within", i), func(t *tally) float64 { return t.within[i] })
	}
	l.sum(n, within[2], l.add("", func(t *tally) float64 { return t.n - t.within[2] }))
	for i := range within[1:] {
		l.sum(within[i+1], within[i], l.add("", func(t *tally) float64 { return t.within[i+1] - t.within[i] }))
	}
	outside := l.add("", func(t *tally) float64 { return t.n - t.within[1] })
	under := l.add("under", func(t *tally) float64 { return t.under })
	over := l.add("over", func(t *tally) float64 { return t.over })
	l.sum(n, within[1], outside)
	l.sum(outside, under, over)
	out = append(out, l)
	if q.HalfWidth != nil {
		out = append(out, intervalLedger())
	}
	if k := len(s.Fairness.Bands) + 1; k > 1 {
		b := &ledger{}
		n := patients(b)
		parts := make([]int, k*k)
		for i := range parts {
			parts[i] = b.add("bands", func(t *tally) float64 { return t.bands[i] })
		}
		b.sum(n, parts...)
		out = append(out, b)
	}
	return out
}

// ascending are the indices of the thresholds from the lowest.
func ascending(thresholds []float64) []int {
	order := make([]int, len(thresholds))
	for i := range order {
		order[i] = i
	}
	for i := 1; i < len(order); i++ {
		for j := i; j > 0 && thresholds[order[j]] < thresholds[order[j-1]]; j-- {
			order[j], order[j-1] = order[j-1], order[j]
		}
	}
	return order
}

// withheld returns, by open cell, the names of the columns that may not be shown.
// Beside another model's audit of the same patients, what is the same in both is
// shown in both or in none.
func withheld(s *study.Study, q question, tallies []*tally, floor int, beside *sameData) []map[string]bool {
	out := make([]map[string]bool, len(q.Cells))
	for i := range out {
		out[i] = map[string]bool{}
	}
	if !s.Fairness.Complementary {
		return out
	}
	if beside != nil && !slices.Equal(beside.cells, q.Cells) {
		beside = everything // of other groups: nothing can be said of both
	}
	for _, l := range ledgers(s, q) {
		l.jointly(s, q, tallies, floor, beside, out)
	}
	withholdTotals(s, q, tallies, floor, out)
	return out
}

// openSum is a sum among open cells, by position, with a rest where not all of
// its parts are open.
type openSum struct {
	total int
	parts []int
	rest  bool
}

func openSums(s *study.Study, q question) (out []openSum) {
	known := cells(s)
	position := make(map[int]int, len(q.Cells))
	for i, c := range q.Cells {
		position[c] = i
	}
	for _, sum := range sums(s, known, func(c int) bool { return q.Groups.alone(known[c]) }) {
		total, ok := position[sum.Total]
		if !ok {
			continue
		}
		one := openSum{total: total}
		for _, part := range sum.Parts {
			if i, ok := position[part]; ok {
				one.parts = append(one.parts, i)
			} else {
				one.rest = true
			}
		}
		if one.parts != nil {
			out = append(out, one)
		}
	}
	return out
}
