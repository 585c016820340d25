package fairness

import "slices"

// A step of a group's calibration curve has at least the minimum cell of
// patients. Under complementary disclosure the groups of an attribute share their
// steps, each wide enough that in every group those with the outcome and those
// without are none or at least the minimum cell. The patients who are in no group
// that is shown are such a group too: they are what is left of the curve of all
// patients. Between curves of several attributes nothing adds up but that, so
// intersections have none.

// binned are a group's patients, those with the outcome, and the sum of their
// probabilities, by bin.
type binned struct{ n, positives, predicted []float64 }

// curves puts the calibration curves in the rows of the groups.
func (r reading) curves(a *Audit, tallies []*tally) {
	if tallies[0] == nil || !tallies[0].binary {
		return
	}
	for _, x := range crossings(r.study)[1:] {
		if len(x.attributes) != 1 {
			continue
		}
		all := tallies[0]
		rest := binned{slices.Clone(all.binN), slices.Clone(all.binPositive), nil}
		var groups []int
		var parts []binned
		for i := x.first; i < x.first+x.size; i++ {
			t := tallies[i]
			if t == nil || t.hidden["positives"] {
				continue
			}
			groups, parts = append(groups, i), append(parts, binned{t.binN, t.binPositive, t.binPredicted})
			for b := range rest.n {
				rest.n[b] -= t.binN[b]
				rest.positives[b] -= t.binPositive[b]
			}
		}
		fewest := float64(r.minimum)
		shared := r.study.Fairness.Complementary
		ends := sharedSteps(append(slices.Clone(parts), rest), func(n, up float64) bool {
			return (up == 0 || up >= fewest) && (n == up || n-up >= fewest)
		})
		for k, i := range groups {
			if !shared {
				ends = sharedSteps(parts[k:k+1], func(n, _ float64) bool { return n == 0 || n >= fewest })
			}
			a.Groups[i].Calibration = parts[k].steps(ends)
		}
	}
}

// sharedSteps are the ends of steps of the bins in which every part has enough
// patients, of whom so many have the outcome; nil if that is a single step.
func sharedSteps(parts []binned, suffices func(n, up float64) bool) (ends []int) {
	enough := func(from, to int) bool {
		return !slices.ContainsFunc(parts, func(p binned) bool {
			n, up := 0.0, 0.0
			for b := from; b < to; b++ {
				n, up = n+p.n[b], up+p.positives[b]
			}
			return !suffices(n, up)
		})
	}
	empty := func(from, to int) bool {
		return !slices.ContainsFunc(parts, func(p binned) bool {
			return slices.ContainsFunc(p.n[from:to], func(n float64) bool { return n > 0 })
		})
	}
	bins := len(parts[0].n)
	from := 0
	for to := 1; to <= bins; to++ {
		if enough(from, to) && !empty(from, to) {
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
