package fairness

import (
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// How far off the model is in a group has a spread, and its quantiles are what a
// clinician can use: half of these patients are off by at most so much, nine of
// ten by at most that much. They are of the magnitude of the error. Which way it
// errs the shares of too low and too high say already; and the same number of
// bins tells a magnitude twice as finely.
//
// Quantiles do not add up over hospitals, counts in bins do. The bins have edges
// that every study knows beforehand, from 1/724 of the outcome's declared range
// to the whole of it, each a fifth beyond the last; one more reaches to where
// errors are cut. A quantile lies in the bin that holds its rank, so it is known
// to within that bin, and the report says so (Metric.Bound).
//
// Bins are joined to steps of at least the minimum cell of patients before
// anything is read off them, so that a quantile tells no more than a histogram
// that could be shown. The groups of an attribute join their bins as their
// calibration curves do (curves.go): under complementary disclosure, where they
// share their steps, the largest errors are out of sight from where one group has
// few patients left. Steps are joined from those of all patients,
// so that no count between two edges can be had as a difference of whole steps
// that do not meet. Combinations of attributes have none, and are not asked for
// any.

const (
	spreadBins = 40
	spreadName = "absolute_error_bins"
)

// spreadEdges are the lower ends of the bins, and the upper end of the last, in
// widths of the outcome's range.
var spreadEdges = func() (edges [spreadBins + 1]float64) {
	for k := 1; k < spreadBins; k++ {
		edges[k] = math.Exp2(-float64(spreadBins-1-k) / 4)
	}
	edges[spreadBins] = mostWidths
	return edges
}()

// spreadBin of an error, in widths.
func spreadBin(magnitude float64) int {
	k, exact := slices.BinarySearch(spreadEdges[:spreadBins], magnitude)
	if !exact {
		k--
	}
	return k
}

// spreadShares are the quantiles of the report, in percent.
var spreadShares = []int{10, 25, 50, 75, 90}

// cellsOf is how many of the question's cells have the quantity: the first ones.
func (q question) cellsOf(s *study.Study, x quantity) int {
	if x.name != spreadName {
		return len(q.Cells)
	}
	single := 0
	for _, c := range crossings(s) {
		if len(c.attributes) < 2 {
			single = c.first + c.size
		}
	}
	n, _ := slices.BinarySearch(q.Cells, single)
	return n
}

// spread puts the quantiles of the error's magnitude in the rows of the groups.
func (r reading) spread(a *Audit, tallies []*tally) {
	all := tallies[0]
	if all == nil || all.spread == nil {
		return
	}
	fewest := float64(r.minimum)
	shared := r.study.Fairness.Complementary
	ends := all.wholeSteps(fewest, shared)
	var attributes []map[int][]int // by open cell, the ends of the steps
	for _, x := range crossings(r.study)[1:] {
		if len(x.attributes) != 1 {
			continue
		}
		var cells []int
		var open []*tally
		for i := x.first; i < x.first+x.size; i++ {
			if t := tallies[i]; t != nil && a.Groups[i].State == OK {
				cells, open = append(cells, slices.Index(r.question.Cells, i)), append(open, t)
			}
		}
		of := map[int][]int{}
		for k, own := range groupSteps(all, open, ends, fewest, shared) {
			of[cells[k]] = own
		}
		attributes = append(attributes, of)
	}
	if shared {
		whole, kept := r.together(func() stepped { return magnitudeSteps(r.study, r.question) }, ends, attributes)
		if !whole {
			ends = nil
		}
		for k, of := range attributes {
			for at := range of {
				if !kept[k] {
					of[at] = nil
				}
			}
		}
	}
	all.quantiles(&a.Groups[0], ends)
	for _, of := range attributes {
		for at, own := range of {
			r.open[at].quantiles(&a.Groups[r.question.Cells[at]], own)
		}
	}
}

// magnitudes are a group's errors by bin. Under complementary disclosure it matters
// that those inside the released interval are counted too: their number divides a
// bin.
func (t *tally) magnitudes(divided bool) binned {
	p := binned{n: t.spread, positives: make([]float64, len(t.spread))}
	if divided && t.interval != nil {
		at := float64(spreadBin(t.interval.half/t.width)) + 0.5
		p.cuts = []cut{{at: at, n: t.interval.covered, hidden: t.hidden["covered"]}}
	}
	return p
}

// wholeSteps are the ends of the steps of all patients.
func (t *tally) wholeSteps(fewest float64, divided bool) []int {
	if ends := sharedSteps([]binned{t.magnitudes(divided)}, atLeast(fewest)); ends != nil {
		return ends
	}
	return []int{len(t.spread)}
}

// groupSteps are those of an attribute's groups, by group: shared by all of them
// and by the patients who are in none that is shown, or each group's own. None
// where there would be only one.
func groupSteps(all *tally, groups []*tally, ends []int, fewest float64, shared bool) [][]int {
	var parts []binned
	for _, g := range groups {
		parts = append(parts, g.magnitudes(shared).joined(ends))
	}
	together := append(slices.Clone(parts), all.magnitudes(shared).joined(ends).less(parts))
	out := make([][]int, len(groups))
	for k := range groups {
		if !shared {
			together = parts[k : k+1]
		}
		for _, step := range sharedSteps(together, atLeast(fewest)) {
			out[k] = append(out[k], ends[step-1])
		}
	}
	return out
}

// atLeast is the rule for a step: nobody, or so many.
func atLeast(fewest float64) func(n, _ float64) bool {
	return func(n, _ float64) bool { return n == 0 || n >= fewest }
}

// quantiles of a group, read off steps that hold enough patients. In the last of
// them errors have no end that means anything, and steps of several bins where few
// patients are can be wide: a quantile that is known to less than half of itself
// is not shown.
func (t *tally) quantiles(g *Group, ends []int) {
	for _, share := range spreadShares {
		name := fmt.Sprintf("absolute_error_p%d", share)
		estimate, bound := t.quantile(float64(share)/100, ends)
		if math.IsNaN(estimate) || bound > estimate/2 && bound > t.width*spreadEdges[1] {
			g.Withheld = append(g.Withheld, name)
			continue
		}
		g.Metrics[name] = Metric{Estimate: estimate, Bound: &bound}
	}
	slices.Sort(g.Withheld)
}

// quantile is the smallest magnitude at or below which a share of the patients
// are, as if those of a step were evenly spread over it, and how far that can be
// off. NaN where there are no steps.
func (t *tally) quantile(share float64, ends []int) (estimate, bound float64) {
	rank := math.Ceil(share*t.n - 1e-9)
	below, from := 0.0, 0
	for _, to := range ends {
		inside := 0.0
		for _, n := range t.spread[from:to] {
			inside += n
		}
		if inside > 0 && below+inside >= rank {
			lower, upper := t.width*spreadEdges[from], t.width*spreadEdges[to]
			estimate = lower + (upper-lower)*(rank-below)/inside
			return estimate, max(estimate-lower, upper-estimate)
		}
		below, from = below+inside, to
	}
	return math.NaN(), 0
}
