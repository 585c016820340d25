// Package hazard holds what models with a baseline hazard shared by all
// hospitals have in common: the runs of intervals of a declared grid of times
// whose risk sets may be told apart, and the cumulative hazard on such a grid.
//
// Two risk sets that differ by one patient show that patient. So intervals are
// first merged until in each the events are none or at least the study's minimum
// cell, and the censored leave together with as many others.
package hazard

import (
	"errors"
	"sort"

	"github.com/consilium-fl/consilium/compute/describe"
)

// Runs say which intervals of the grid the risk sets tell apart.
type Runs struct {
	// Intervals are the last ones of the runs that are merged, ascending.
	Intervals []int `json:"intervals,omitempty"`
	// Leave are the runs at whose end the censored leave, ascending: those of a
	// run at the end of the first of these that is not before it.
	Leave []int `json:"leave,omitempty"`
}

// Check makes sure that the runs are of this grid.
func (r Runs) Check(grid []float64) error {
	if !ascendTo(r.Intervals, len(grid)-1) {
		return errors.New("the intervals do not ascend to the end of the study's grid")
	}
	if !ascendTo(r.Leave, len(r.Intervals)-1) {
		return errors.New("the intervals at which the censored leave do not ascend to the last one")
	}
	return nil
}

func ascendTo(list []int, end int) bool {
	last := -1
	for _, k := range list {
		if k <= last {
			return false
		}
		last = k
	}
	return last == end
}

// Place is the run of an event, or the last run in which a censored patient is
// at risk. Whoever is followed beyond the grid is censored at its end.
func (r Runs) Place(grid []float64, time float64, event bool) (run int, dead bool) {
	in := sort.SearchFloat64s(grid, time)
	if in == len(grid) {
		return len(r.Intervals) - 1, false
	}
	run = sort.SearchInts(r.Intervals, in)
	if event {
		return run, true
	}
	return r.Leave[sort.SearchInts(r.Leave, run)], false
}

// Merge runs intervals together until those who leave a risk set are never
// fewer than the minimum cell: until each run's events are none or at least that
// many, and as many of the censored leave together, later than they were
// censored if need be. It is not ok if the events or the censored are too few for
// that.
func Merge(l describe.Lifetable, minimumCell int) (out Runs, ok bool) {
	type run struct{ end, events, censored int }
	var runs []run
	now := run{}
	for k := range l.Events {
		now.end, now.events, now.censored = k, now.events+l.Events[k], now.censored+l.Censored[k]
		if now.events > 0 && now.events < minimumCell || now.events+now.censored == 0 && k < len(l.Events)-1 {
			continue
		}
		runs, now = append(runs, now), run{}
	}
	if now.events > 0 { // what is left at the end joins the runs before it
		for len(runs) > 0 && now.events < minimumCell {
			last := runs[len(runs)-1]
			runs = runs[:len(runs)-1]
			now.events, now.censored = now.events+last.events, now.censored+last.censored
		}
		runs = append(runs, now)
	}
	runs[len(runs)-1].censored += l.Censored[len(l.Events)]
	few, waiting := false, 0
	for i, r := range runs {
		out.Intervals = append(out.Intervals, r.end)
		few = few || r.events > 0 && r.events < minimumCell
		if waiting += r.censored; waiting >= max(minimumCell, 1) {
			out.Leave, waiting = append(out.Leave, i), 0
		}
	}
	if few || waiting > 0 && len(out.Leave) == 0 {
		return out, false
	}
	if last := len(runs) - 1; waiting > 0 {
		out.Leave[len(out.Leave)-1] = last
	} else if len(out.Leave) == 0 || out.Leave[len(out.Leave)-1] != last {
		out.Leave = append(out.Leave, last)
	}
	return out, true
}
