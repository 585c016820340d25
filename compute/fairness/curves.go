package fairness

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// A step of a group's calibration curve has at least the minimum cell of
// patients. Under complementary disclosure the curve of all patients has steps in
// which those with the outcome and those without are none or at least the minimum
// cell, and the groups of an attribute share steps that join these, each wide enough
// that the same holds in every group. The patients who are in no group that is shown
// are such a group too: they are what is left of the curve of all patients. Between
// curves of several attributes nothing adds up but that, so intersections have none.
//
// A threshold divides a step: of its patients those above are the difference of what
// is selected and of the steps above. So there, too, must be none or enough; and
// where the rates at a threshold are withheld, no step ends at it.

// binned are a group's patients, those with the outcome, and the sum of their
// probabilities, by bin.
type binned struct {
	n, positives, predicted []float64
	cuts                    []cut
}

// cut is a place among the bins below which another figure counts patients, and
// those with the outcome: a whole number between two bins, or inside of one.
type cut struct {
	at, n, positives float64
	blind            bool // those with the outcome are withheld
	hidden           bool // all of them are
}

// probabilities of a group by bin, divided by the thresholds.
func (t *tally) probabilities() binned {
	p := binned{n: t.binN, positives: t.binPositive, predicted: t.binPredicted}
	for i, c := range t.at {
		at := t.thresholds[i] * bins
		if whole := math.Round(at); math.Abs(at-whole) < 1e-9 {
			at = whole
		}
		blind := t.hidden[fmt.Sprint("confusion", i)]
		p.cuts = append(p.cuts, cut{at: at, n: c.FN + c.TN, positives: c.FN, blind: blind, hidden: blind && t.hidden[fmt.Sprint("selected", i)]})
	}
	return p
}

// less are the patients who are in none of the groups.
func (p binned) less(groups []binned) binned {
	out := binned{n: slices.Clone(p.n), positives: slices.Clone(p.positives), cuts: slices.Clone(p.cuts)}
	for _, g := range groups {
		for b := range out.n {
			out.n[b], out.positives[b] = out.n[b]-g.n[b], out.positives[b]-g.positives[b]
		}
		for k, c := range g.cuts {
			out.cuts[k].n, out.cuts[k].positives = out.cuts[k].n-c.n, out.cuts[k].positives-c.positives
			out.cuts[k].blind, out.cuts[k].hidden = out.cuts[k].blind || c.blind, out.cuts[k].hidden || c.hidden
		}
	}
	return out
}

// joined are the counts of steps of the bins; nobody is beyond the last.
func (p binned) joined(ends []int) binned {
	out := binned{n: make([]float64, len(ends)), positives: make([]float64, len(ends)), predicted: make([]float64, len(ends))}
	from := 0
	for k, to := range ends {
		for b := from; b < to; b++ {
			out.n[k] += p.n[b]
			out.positives[k] += p.positives[b]
			if p.predicted != nil {
				out.predicted[k] += p.predicted[b]
			}
		}
		from = to
	}
	for _, c := range p.cuts {
		k, at := 0, 0.5
		for k < len(ends) && float64(ends[k]) <= c.at {
			k++
		}
		if k > 0 && float64(ends[k-1]) == c.at {
			at = 0
		}
		c.at = float64(k) + at
		out.cuts = append(out.cuts, c)
	}
	return out
}

// suffices is the rule for patients with the outcome and without: none, or enough.
func suffices(fewest float64) func(n, up float64) bool {
	return func(n, up float64) bool { return (up == 0 || up >= fewest) && (n == up || n-up >= fewest) }
}

// curves puts the calibration curves in the rows of the groups.
func (r reading) curves(a *Audit, tallies []*tally) {
	if tallies[0] == nil || !tallies[0].binary {
		return
	}
	fewest, shared := float64(r.minimum), r.study.Fairness.Complementary
	whole := tallies[0].curveEnds(fewest)
	var attributes []map[int][]int // by open cell, the ends of the steps
	for _, x := range crossings(r.study)[1:] {
		if len(x.attributes) != 1 {
			continue
		}
		var groups []int
		var parts, steps []binned
		for i := x.first; i < x.first+x.size; i++ {
			t := tallies[i]
			if t == nil || t.hidden["positives"] {
				continue
			}
			groups, parts = append(groups, i), append(parts, t.probabilities())
			steps = append(steps, parts[len(parts)-1].joined(whole))
		}
		if !shared {
			for k, i := range groups {
				ends := sharedSteps([]binned{{parts[k].n, parts[k].positives, parts[k].predicted, nil}}, func(n, _ float64) bool { return n == 0 || n >= fewest })
				a.Groups[i].Calibration = parts[k].steps(ends)
			}
			continue
		}
		var ends []int
		for _, end := range sharedSteps(append(slices.Clone(steps), tallies[0].probabilities().joined(whole).less(steps)), suffices(fewest)) {
			ends = append(ends, whole[end-1])
		}
		of := map[int][]int{}
		for _, i := range groups {
			if ends != nil {
				of[slices.Index(r.question.Cells, i)] = ends
			}
		}
		attributes = append(attributes, of)
	}
	if !shared {
		return
	}
	all, kept := r.together(func() stepped { return probabilitySteps(r.study, r.question) }, whole, attributes)
	if !all {
		a.Calibration = nil
	}
	for k, of := range attributes {
		for at, ends := range of {
			if kept[k] {
				a.Groups[r.question.Cells[at]].Calibration = r.open[at].probabilities().steps(ends)
			}
		}
	}
}

// curveEnds are the ends of the steps of all patients under complementary
// disclosure; none where there would be only one, where the number with the outcome
// is withheld, or where a threshold is another for each group.
func (t *tally) curveEnds(fewest float64) []int {
	if t.hidden["positives"] || t.ownCuts {
		return nil
	}
	return sharedSteps([]binned{t.probabilities()}, suffices(fewest))
}

// sharedSteps are the ends of steps of the bins in which every part has enough
// patients, of whom so many have the outcome, between any two cuts; nil if that is a
// single step.
func sharedSteps(parts []binned, suffices func(n, up float64) bool) (ends []int) {
	enough := func(from, to int) bool {
		return !slices.ContainsFunc(parts, func(p binned) bool { return !p.suffice(from, to, suffices) })
	}
	empty := func(from, to int) bool {
		return !slices.ContainsFunc(parts, func(p binned) bool {
			return slices.ContainsFunc(p.n[from:to], func(n float64) bool { return n > 0 })
		})
	}
	closed := func(to int) bool { // what is withheld is counted up to here
		return slices.ContainsFunc(parts, func(p binned) bool {
			return slices.ContainsFunc(p.cuts, func(c cut) bool { return (c.blind || c.hidden) && c.at == float64(to) })
		})
	}
	bins := len(parts[0].n)
	from := 0
	for to := 1; to <= bins; to++ {
		if enough(from, to) && !empty(from, to) && (to == bins || !closed(to)) {
			ends, from = append(ends, to), to
		}
	}
	if from < bins { // what is left goes with the step before, and with the one before that
		for len(ends) > 0 {
			ends = ends[:len(ends)-1]
			start := 0
			if len(ends) > 0 {
				start = ends[len(ends)-1]
			}
			if enough(start, bins) {
				ends = append(ends, bins)
				break
			}
		}
	}
	if len(ends) < 2 {
		return nil
	}
	return ends
}

// suffice reports whether a step holds enough between any two cuts, and between
// those that tell of the outcome enough with it and without.
func (p binned) suffice(from, to int, suffices func(n, up float64) bool) bool {
	patients := func(n, _ float64) bool { return suffices(n, 0) }
	return p.between(from, to, suffices, func(c cut) bool { return !c.blind && !c.hidden }) && p.between(from, to, patients, func(c cut) bool { return !c.hidden })
}

func (p binned) between(from, to int, suffices func(n, up float64) bool, shown func(cut) bool) bool {
	n, up := 0.0, 0.0 // below the step
	for b := range from {
		n, up = n+p.n[b], up+p.positives[b]
	}
	inside := []cut{}
	for _, c := range p.cuts {
		if shown(c) && float64(from) < c.at && c.at < float64(to) {
			inside = append(inside, c)
		}
	}
	slices.SortFunc(inside, func(a, b cut) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.n, b.n)) })
	end := cut{n: n, positives: up}
	for b := from; b < to; b++ {
		end.n, end.positives = end.n+p.n[b], end.positives+p.positives[b]
	}
	for _, c := range append(inside, end) {
		if !suffices(c.n-n, c.positives-up) {
			return false
		}
		n, up = c.n, c.positives
	}
	return true
}

// steps of the curve; a step without patients has none.
func (p binned) steps(ends []int) (out []Bin) {
	from := 0
	for _, to := range ends {
		n, up, predicted := 0.0, 0.0, 0.0
		for b := from; b < to; b++ {
			n, up, predicted = n+p.n[b], up+p.positives[b], predicted+p.predicted[b]
		}
		count := int(n)
		bin := Bin{From: float64(from) / bins, To: float64(to) / bins, N: &count, State: Zero}
		if n > 0 {
			mean, observed := predicted/n, proportion(up, n, 1)
			bin.State, bin.Predicted, bin.Observed = OK, &mean, &observed
		}
		out, from = append(out, bin), to
	}
	return out
}
