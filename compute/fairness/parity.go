package fairness

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// Parity is how differently a group and its reference would be called positive at
// other thresholds than the study's, from the bins of their scores. A model that
// is right gives groups different scores where they have the outcome more or less
// often; these figures say how far apart the scores are, not that they should be
// closer.
//
// A gap at one threshold is the difference of two shares, and with all its digits
// it can be solved for the two counts. It is therefore rounded to what the minimum
// cell is of the smaller group: whatever the one count is, the other is then known
// to within the minimum cell at best. The bound includes the rounding.
type Parity struct {
	// Mean is the mean gap, whichever way, of the rates of being called positive,
	// over thresholds spread as the scores of the two groups are (Holistic AI's
	// statistical parity AUC).
	Mean Metric `json:"mean"`
	// Largest is the gap at the threshold where it is widest (the distance of
	// Kolmogorov and Smirnov).
	Largest   Metric  `json:"largest"`
	LargestAt float64 `json:"largest_at"`
	// Half is group minus reference at the threshold that calls about half of the
	// two groups positive.
	Half   Metric  `json:"half"`
	HalfAt float64 `json:"half_at"`
	// AlikeFrom is the highest threshold at which the rates are within a fifth of
	// each other (Holistic AI's no-disparate-impact level); absent if there is none
	// with the minimum cell of patients called positive in both groups. No verdict
	// depends on it.
	AlikeFrom *float64 `json:"alike_from,omitempty"`
}

// tails are the shares of patients at or above each bin's lower edge, and above
// the last bin.
func tails(counts []float64) []float64 {
	out := make([]float64, len(counts)+1)
	for b := len(counts) - 1; b >= 0; b-- {
		out[b] = out[b+1] + counts[b]
	}
	n := out[0]
	floats.Scale(1/n, out)
	return out
}

// meanSelectionGap is the mean over the patients of two groups of the distance
// between the groups' shares at or above the patient's score. Inside a bin the gap
// is anywhere between those of all orders of its patients; taken is the middle, and
// the bound is how far it can be off.
func meanSelectionGap(a, b []float64) (mean, bound float64) {
	above, other := tails(a), tails(b)
	all := floats.Sum(a) + floats.Sum(b)
	for k := range a {
		mass, f, g := (a[k]+b[k])/all, above[k]-above[k+1], other[k]-other[k+1]
		mean += mass * math.Abs((above[k]+above[k+1]-other[k]-other[k+1])/2)
		bound += mass * (f + g) / 2
	}
	return mean, bound
}

// largestSelectionGap is the widest gap at an edge, and that edge. Between two
// edges a gap can be wider by no more than the smaller of the groups' shares
// there.
func largestSelectionGap(a, b []float64) (gap, bound float64, edge int) {
	above, other := tails(a), tails(b)
	for k := range a {
		if d := math.Abs(above[k] - other[k]); d > gap {
			gap, edge = d, k
		}
		bound = max(bound, min(above[k]-above[k+1], other[k]-other[k+1]))
	}
	return gap, bound, edge
}

// halfSelectionGap is that at the edge which calls nearest to half of the patients
// positive; the score that calls exactly half is in a bin beside it.
func halfSelectionGap(a, b []float64) (gap, bound float64, edge int) {
	both := make([]float64, len(a))
	floats.AddTo(both, a, b)
	above, other := tails(a), tails(b)
	share := tails(both)
	for k := range share {
		if math.Abs(share[k]-0.5) < math.Abs(share[edge]-0.5) {
			edge = k
		}
	}
	for _, k := range []int{edge - 1, edge} {
		if k >= 0 && k < len(a) {
			bound = max(bound, above[k]-above[k+1], other[k]-other[k+1])
		}
	}
	return above[edge] - other[edge], bound, edge
}

// alikeFrom is the highest edge at which the groups' shares are within a fifth of
// each other, with so many patients of both; false if there is none.
func alikeFrom(a, b []float64, fewest float64) (edge int, ok bool) {
	above, other := tails(a), tails(b)
	n, m := floats.Sum(a), floats.Sum(b)
	for k := len(a) - 1; k >= 0; k-- {
		if above[k]*n < fewest-0.5 || other[k]*m < fewest-0.5 {
			continue
		}
		if r := above[k] / other[k]; r > 0.8 && r < 1.2 {
			return k, true
		}
	}
	return 0, false
}

// parity of a group and its reference; its draws are its own.
func (c *chance) parity(a, b []float64, fewest float64) *Parity {
	n, m := floats.Sum(a), floats.Sum(b)
	grid := fewest / min(n, m)
	rounded := func(gap, bound float64) Metric {
		bound += grid / 2
		return Metric{Estimate: math.Round(gap/grid) * grid, Bound: &bound}
	}
	edge := func(k int) float64 { return float64(k) / float64(len(a)) }
	p := &Parity{}
	mean, meanBound := meanSelectionGap(a, b)
	p.Mean = c.apart(mean, func() float64 {
		v, _ := meanSelectionGap(c.poisson(a), c.poisson(b))
		return v
	})
	p.Mean.Bound = &meanBound
	largest, largestBound, at := largestSelectionGap(a, b)
	p.Largest, p.LargestAt = rounded(largest, largestBound), edge(at)
	half, halfBound, at := halfSelectionGap(a, b)
	p.Half, p.HalfAt = rounded(half, halfBound), edge(at)
	if k, ok := alikeFrom(a, b, fewest); ok {
		from := edge(k)
		p.AlikeFrom = &from
	}
	return p
}

// scored is a group's patients by score, whatever their outcome.
func (t *tally) scored() []float64 {
	out := make([]float64, len(t.scoresUp))
	floats.AddTo(out, t.scoresUp, t.scoresDown)
	return out
}

// parities complete the gaps that need several rates. They come after everything
// else that is drawn.
func (c *chance) parities(a *Audit, tallies []*tally) {
	of := map[[2]string]*tally{}
	for i, t := range tallies {
		of[[2]string{a.Groups[i].Attribute, a.Groups[i].Level}] = t
	}
	for i, o := range a.Odds {
		x, y := of[[2]string{o.Attribute, o.Level}], of[[2]string{o.Attribute, o.Reference}]
		a.Odds[i].Parity = c.parity(x.scored(), y.scored(), float64(a.MinimumCell))
	}
}
