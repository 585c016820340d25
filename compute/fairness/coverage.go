package fairness

import (
	"errors"

	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// A model that was tried on patients it had not seen is released with an
// interval around its predictions that holds for 95 of 100 patients of the whole
// (split conformal prediction, compute/validation). It need not hold in every
// group, nor do its misses lie on both sides alike: so the audit counts, in each
// group, the patients inside it and those whose outcome is above it. The interval
// score (Gneiting and Raftery, Journal of the American Statistical Association
// 102, 2007) is its width, and 40 times the distance by which it misses.

const missed = 2 / (1 - validation.Level)

// fewestMissed patients outside their intervals are needed for an interval of the
// score, which is made of them: with ten of them it holds in 82 of 100.
const fewestMissed = 20

// checkHalfWidth refuses an interval that the study's model cannot have.
func checkHalfWidth(s *study.Study, half *float64) error {
	if half == nil {
		return nil
	}
	if s.Outcome.Type == study.Binary || s.Outcome.Type == study.Survival || s.Validation.Kind == "" {
		return errors.New("an interval belongs to a number or a count, predicted by a model that was validated")
	}
	if width := s.Outcome.Range.Hi - s.Outcome.Range.Lo; !(*half > 0 && *half <= mostWidths*width) {
		return errors.New("the interval's half width is not above zero, or wider than any error")
	}
	return nil
}

func intervalQuantities() []quantity {
	const most = 2*mostWidths + missed*mostWidths
	return []quantity{{"covered", 1, 0}, {"above_interval", 1, 0}, {"interval_width", 1, 2 * mostWidths},
		{"interval_score", 1, most}, {"interval_score_squared", 1, most * most}}
}

// intervalErrors adds one patient's quantities. As it is shown, an interval of
// what cannot be negative begins at zero or above.
func intervalErrors(add func(string, int, float64), predicted, y, half float64, r study.Range) {
	width := r.Hi - r.Lo
	lower, upper := predicted-half, predicted+half
	if r.Lo >= 0 {
		lower = max(0, lower)
	}
	wide := max(0, upper-lower) / width
	miss := min(max(lower-y, y-upper, 0)/width, mostWidths)
	add("covered", 0, one(lower <= y && y <= upper))
	add("above_interval", 0, one(y > upper))
	score := wide + missed*miss
	add("interval_width", 0, wide)
	add("interval_score", 0, score)
	add("interval_score_squared", 0, score*score)
}

// interval is how a group's outcomes lie to their intervals.
type interval struct {
	n, covered, above float64
	half              float64
	width             float64
	score             sample
}

func (i *interval) measure(t *tally, g *Group) {
	t.put(g, "interval_coverage", func() Metric { return proportion(i.covered, i.n, 100) }, "covered")
	t.put(g, "above_interval", func() Metric { return proportion(i.above, i.n, 100) }, "above_interval")
	t.put(g, "below_interval", func() Metric { return proportion(i.n-i.covered-i.above, i.n, 100) }, "covered", "above_interval")
	t.put(g, "interval_width", func() Metric { return Metric{Estimate: i.width} }, intervalCut)
	// Beside the width it is the sum of the distances by which patients are missed.
	t.put(g, "interval_score", func() Metric {
		if i.n-i.covered < fewestMissed {
			return Metric{Estimate: i.score.mean()}
		}
		return positiveMean(i.score)
	}, "covered", "above_interval", intervalCut)
}

func intervalLedger() *ledger {
	l := &ledger{}
	n := l.add("", func(t *tally) float64 { return t.n })
	l.sum(n, l.add("covered", func(t *tally) float64 { return t.interval.covered }),
		l.add("above_interval", func(t *tally) float64 { return t.interval.above }),
		l.add("covered", func(t *tally) float64 { return t.n - t.interval.covered - t.interval.above }))
	return l
}
