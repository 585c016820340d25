package mitigation

import (
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const (
	scoreBins = 100
	targets   = 1000 // common rates that are tried, and none
	// alike is how far apart the groups' rates may be for a common rate to count
	// as reached: bins are not finer.
	alike = 0.02
)

// edges of the bins of the probability: hundredths, and the common threshold. The
// last is beyond every probability.
func edges(s *study.Study) []float64 {
	var out []float64
	for k := range scoreBins {
		out = append(out, float64(k)/scoreBins)
	}
	if at, found := slices.BinarySearch(out, s.Cut()); !found {
		out = slices.Insert(out, at, s.Cut())
	}
	return append(out, math.Nextafter(1, 2))
}

// bin of a probability: that of the last edge at or below it.
func bin(edges []float64, p float64) int {
	at, found := slices.BinarySearch(edges, p)
	if !found {
		at--
	}
	return min(max(at, 0), len(edges)-2)
}

// Thresholds finds the probability from which each group is called positive.
type Thresholds struct {
	study  *study.Study
	groups *Groups
	scores map[int]scores // by group that takes part
	why    map[int]string
}

// scores are, for each edge, how many patients have at least that probability.
type scores struct{ positives, negatives []float64 }

// NewThresholds begins after the groups.
func NewThresholds(s *study.Study, g *Groups) *Thresholds { return &Thresholds{study: s, groups: g} }

// Next is the question whose sum Absorb expects.
func (t *Thresholds) Next() (q compute.Question, done bool, err error) {
	open := t.groups.Open()
	if t.scores != nil || len(open) == 0 {
		return q, true, nil
	}
	q = compute.Question{Step: StepScores, Layout: layout(t.study, StepScores, len(open))}
	q.Parameters, err = compute.EncodeParameters(question{Groups: open})
	return q, false, err
}

// Absorb takes the opened sum.
func (t *Thresholds) Absorb(sum compute.Sum) error {
	open := t.groups.Open()
	if err := check(layout(t.study, StepScores, len(open)), sum); err != nil {
		return err
	}
	t.scores, t.why = map[int]scores{}, map[int]string{}
	bins := len(edges(t.study)) - 1
	for i, k := range open {
		x := scores{atLeast(sum.Field("positives")[i*bins : (i+1)*bins]), atLeast(sum.Field("negatives")[i*bins : (i+1)*bins])}
		if minimum := t.study.Fairness.MinimumCell; min(x.positives[0], x.negatives[0]) < float64(minimum) {
			t.why[k] = fmt.Sprintf("fewer than %d of its patients have the outcome, or have it not", minimum)
			continue
		}
		t.scores[k] = x
	}
	return nil
}

func atLeast(counts []float64) []float64 {
	out := make([]float64, len(counts)+1)
	for b := len(counts) - 1; b >= 0; b-- {
		out[b] = out[b+1] + math.Round(counts[b])
	}
	return out
}

// rate that is to be the same, of those called positive from an edge on.
func (x scores) rate(equalize string, edge int) float64 {
	switch equalize {
	case "tpr":
		return x.positives[edge] / x.positives[0]
	case "fpr":
		return x.negatives[edge] / x.negatives[0]
	}
	return (x.positives[edge] + x.negatives[edge]) / (x.positives[0] + x.negatives[0])
}

// nearest edge to a rate; of two as near, that of the higher probability.
func (x scores) nearest(equalize string, rate float64) int {
	best, distance := 0, math.Inf(1)
	for e := range x.positives {
		if d := math.Abs(x.rate(equalize, e) - rate); d <= distance {
			best, distance = e, d
		}
	}
	return best
}

// common is the rate that costs least among those that all groups can have; where
// bins are too coarse for any, the one at which they differ least.
func (t *Thresholds) common() float64 {
	m := t.study.Mitigation
	best, cost, spread := 0.0, math.Inf(1), math.Inf(1)
	for k := range targets + 1 {
		rate := float64(k) / targets
		here, low, high := 0.0, math.Inf(1), math.Inf(-1)
		for _, g := range t.groups.Open() {
			x, ok := t.scores[g]
			if !ok {
				continue
			}
			e := x.nearest(m.Equalize, rate)
			here += m.FalsePositive*x.negatives[e] + m.FalseNegative*(x.positives[0]-x.positives[e])
			low, high = min(low, x.rate(m.Equalize, e)), max(high, x.rate(m.Equalize, e))
		}
		apart := max(high-low, alike)
		if apart < spread || apart == spread && here < cost {
			best, cost, spread = rate, here, apart
		}
	}
	return best
}

// Changes are the thresholds at a strength: each group's rate goes so much of the
// way from what it is at the study's threshold to the common one.
func (t *Thresholds) Changes(strength float64) []Change {
	out := t.groups.changes()
	if len(t.scores) == 0 {
		return out
	}
	m, all, common := t.study.Mitigation, edges(t.study), t.common()
	for k := range out {
		x, ok := t.scores[k]
		if !ok {
			if out[k].General == "" {
				out[k].General = t.why[k]
			}
			continue
		}
		own := x.rate(m.Equalize, slices.Index(all, t.study.Cut()))
		cut := all[x.nearest(m.Equalize, own+strength*(common-own))]
		out[k].Cut = &cut
	}
	return out
}
