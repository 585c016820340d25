package differencing

import (
	"errors"
	"slices"
	"time"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// A study that watches a release shows its groups window after window. Its windows
// do not overlap (package study), so that no two of them differ by a few patients.
// But several together are a cohort cut in time, which another report can nearly
// be: that of the patients whom the model was fitted to or validated on, or the
// windows of another monitor that begin a day later.
//
// Which windows can be the other report's patients? If the other study reads the
// column of the periods, its cohort may be cut by it anywhere, and every run of
// windows is compared. If it does not, all windows together are: those that begin
// before its result was in the ledger, as later patients cannot be in it. Two
// monitors over one column are compared run by run, each with the longest run of
// the other inside it, the shortest around it, and the one whose ends are nearest.

// series is the counts of a monitor.
type series struct {
	monitor *study.Monitor
	shown   int        // windows that stay
	done    int        // windows
	divided []crossing // without counts, in the order of the report's groups
	n       [][]int    // by window, then group; -1 if it is not shown
	gone    [][]bool   // because an earlier report would give it away
	names   []string   // of the groups
}

// checkMonitor makes sure that the monitor's report is of so many groups.
func (r Report) checkMonitor(groups int) error {
	if r.Monitor == nil {
		return nil
	}
	bad := r.Study.Monitor == nil || len(r.Monitor.Groups) != groups || len(r.Monitor.Windows) > r.Study.Monitor.Windows()
	for _, g := range r.Monitor.Groups {
		bad = bad || len(g.Points) != len(r.Monitor.Windows)
	}
	if bad {
		return errors.New("an earlier report of a monitor is not of its study")
	}
	return nil
}

func newSeries(r Report) *series {
	if r.Monitor == nil {
		return nil
	}
	s := &series{monitor: r.Study.Monitor, shown: r.Shown, done: len(r.Monitor.Windows)}
	for _, d := range fairness.Divisions(r.Study) {
		x := crossing{part: everyone}
		for _, groups := range d.Cells {
			var in []condition
			for k, a := range d.Attributes {
				in = append(in, ofGroup(r.Study.Fairness.Attributes[a], groups[k]))
			}
			g := r.Monitor.Groups[len(s.names)]
			x.add(groupName(g), -1, in...)
			s.names = append(s.names, groupName(g))
		}
		s.divided = append(s.divided, x)
	}
	for w := range s.done {
		var n []int
		for _, g := range r.Monitor.Groups {
			at := -1
			if p := g.Points[w]; p.N != nil {
				at = *p.N
			}
			n = append(n, at)
		}
		s.n, s.gone = append(s.n, n), append(s.gone, make([]bool, len(n)))
	}
	return s
}

func groupName(g drift.Group) string {
	if g.Attribute == All {
		return All
	}
	return Named(g.Attribute, g.Level)
}

// InWindow is how a decision names a group in a window of a monitor.
func InWindow(from, group string) string { return "from " + from + ": " + group }

// Shows is how a decision names what a monitor's report shows: a window, by the
// name of its first cut, and a group of it.
func Shows(from string, g drift.Group) string { return InWindow(from, groupName(g)) }

// run is windows from one up to, and without, another.
type run struct{ from, to int }

// crossings of the windows of a run together: of each group, those that are shown.
func (s *series) crossings(r run) (out []crossing) {
	at := 0
	for _, d := range s.divided {
		x := crossing{columns: d.columns, part: d.part}
		for _, c := range d.cells {
			c.n = -1
			for w := r.from; w < r.to; w++ {
				if n := s.n[w][at]; n >= 0 {
					c.n = max(c.n, 0) + n
				}
			}
			x.cells = append(x.cells, c)
			at++
		}
		out = append(out, x)
	}
	return out
}

// runs are the windows that together may be the patients of another study, whose
// report the ledger took at some time; zero for none.
func (s *series) runs(other *study.Study, at time.Time) (out []run) {
	last := s.done
	if !at.IsZero() && s.monitor.Dates {
		day := float64(at.Unix()) / (24 * 60 * 60)
		last, _ = slices.BinarySearch(s.monitor.Cuts[:s.done], day)
	}
	if !slices.Contains(other.Columns(), s.monitor.Column) {
		if last == 0 {
			return nil
		}
		return []run{{0, last}}
	}
	for from := range last {
		for to := from + 1; to <= last; to++ {
			out = append(out, run{from, to})
		}
	}
	return out
}

// beside are what the series shows that a later report of another study, which is
// no monitor over the same column, may nearly be.
func (s *series) beside(other *study.Study, at time.Time) (out []crossing) {
	if s == nil || other.Monitor != nil && s.along(other.Monitor) {
		return nil
	}
	for _, r := range s.runs(other, at) {
		out = append(out, s.crossings(r)...)
	}
	return out
}

// along reports whether another monitor goes along the same column.
func (s *series) along(m *study.Monitor) bool {
	return s.monitor.Column == m.Column && s.monitor.Dates == m.Dates
}

// compareWindows withholds windows of the later report, of those that were not
// shown before, until no run of them is too near to an earlier report.
func (l *later) compareWindows(e Report, theirs []crossing) (changed bool) {
	s := l.windows
	if s == nil {
		return false
	}
	other := newSeries(e)
	if other != nil && other.along(s.monitor) {
		for from := range s.done {
			for to := max(from, s.shown) + 1; to <= s.done; to++ {
				for _, r := range other.nearest(s.monitor.Cuts[from], s.monitor.Cuts[to]) {
					changed = l.near(run{from, to}, other.crossings(r), e) || changed
				}
			}
		}
	} else {
		for _, r := range s.runs(e.Study, e.At) {
			changed = l.near(r, theirs, e) || changed
		}
	}
	return l.restsOfWindows(e) || changed
}

// nearest are the longest run inside an interval, the shortest around it, and the
// one whose ends are nearest to its own.
func (s *series) nearest(from, to float64) (out []run) {
	cuts := s.monitor.Cuts[:s.done+1]
	first, _ := slices.BinarySearch(cuts, from) // the first cut at or after
	last, exact := slices.BinarySearch(cuts, to)
	before, after := first, last
	if first < len(cuts) && cuts[first] != from {
		before = first - 1
	}
	if !exact {
		last-- // the last cut at or before
	}
	add := func(a, b int) {
		if r := (run{a, b}); a >= 0 && b < len(cuts) && a < b && !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	add(first, last)
	add(before, after)
	pick := func(low, high int, x float64) int {
		if low >= 0 && (high >= len(cuts) || x-cuts[low] <= cuts[high]-x) {
			return low
		}
		return high
	}
	add(pick(before, first, from), pick(last, after, to))
	return out
}

// near withholds a group in one of the windows of a run where the run is too near
// to what is shown already.
func (l *later) near(r run, theirs []crossing, e Report) (changed bool) {
	s, at := l.windows, 0
	for _, x := range s.crossings(r) {
		near, old := make([]bool, len(x.cells)), x.in(theirs)
		for _, o := range theirs {
			if x.comparable(o) {
				sameGroups(near, x, o, old, l.floor)
				unitedGroups(near, x, o, old, l.floor)
			}
		}
		for i, hit := range near {
			if hit {
				changed = l.withholdIn(r, at+i, e) || changed
			}
		}
		at += len(x.cells)
	}
	return changed
}

// withholdIn withholds a group in the window of a run, of those not shown before,
// in which it has the fewest patients.
func (l *later) withholdIn(r run, group int, e Report) bool {
	s, best := l.windows, -1
	for w := max(r.from, s.shown); w < r.to; w++ {
		if n := s.n[w][group]; n > 0 && (best < 0 || n < s.n[best][group]) {
			best = w
		}
	}
	if best < 0 {
		return false
	}
	return l.withholdWindow(best, group, e)
}

func (l *later) withholdWindow(w, group int, e Report) bool {
	s := l.windows
	if s.n[w][group] < 0 {
		return false
	}
	s.n[w][group], s.gone[w][group] = -1, true
	from, _ := s.monitor.Window(w)
	l.decision.Withheld = append(l.decision.Withheld, Withheld{InWindow(from, s.names[group]), e.Digest})
	return true
}

// restsOfWindows withholds what would give a withheld group of a window away.
func (l *later) restsOfWindows(e Report) (changed bool) {
	s := l.windows
	for w := s.shown; w < s.done; w++ {
		all := s.crossings(run{w, w + 1})
		first := make([]int, len(all))
		at := 0
		for k := range all {
			first[k], all[k].whole = at, true
			for i := range all[k].cells {
				all[k].cells[i].gone = s.gone[w][at]
				at++
			}
		}
		for _, one := range rests(all) {
			changed = l.withholdWindow(w, first[one.crossing]+one.cell, e) || changed
		}
	}
	return changed
}
