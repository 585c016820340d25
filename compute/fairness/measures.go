package fairness

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// tally holds the opened sums of one group, in outcome units or probabilities.
type tally struct {
	n     float64
	cut   float64
	width float64 // of the outcome's range

	err, absolute, square sample // of the error, its magnitude, its square
	predicted             float64

	// survival
	survival bool
	events   float64

	// dose
	within, under, over float64
	outcome             float64
	// Sums of squares and products about the group's means.
	outcomeSpread, predictedSpread, together float64

	// binary
	binary           bool
	positives        float64
	half, prevalence confusion
}

// confusion counts patients called positive at a threshold.
type confusion struct{ selected, truePositives float64 }

func newTally(s *study.Study, sum compute.Sum, at int) *tally {
	raw := func(name string) float64 { return sum.Field(name)[at] }
	count := func(name string) float64 { return math.Round(raw(name)) }
	t := &tally{n: count("patients")}
	if t.survival = s.Outcome.Type == study.Survival; t.survival {
		t.events = count("events")
		return t
	}
	if t.binary = s.Outcome.Type == study.Binary; t.binary {
		t.positives = count("positives")
		t.half = confusion{count("selected"), count("selected_positives")}
		t.prevalence = confusion{count("selected_at_prevalence"), count("selected_positives_at_prevalence")}
		t.predicted = raw("predicted")
		t.err = sample{t.n, raw("error"), raw("error_squared")}
		t.square = sample{t.n, raw("error_squared"), raw("error_fourth")}
		return t
	}
	r := s.Outcome.Range
	w := r.Hi - r.Lo
	t.width = w
	t.cut, t.within, t.under, t.over = count("cut"), count("within"), count("under"), count("over")
	t.err = sample{t.n, w * raw("error"), w * w * raw("error_squared")}
	t.absolute = sample{t.n, w * raw("absolute_error"), w * w * raw("error_squared")}
	t.square = sample{t.n, w * w * raw("error_squared"), w * w * w * w * raw("error_fourth")}
	// Outcome and prediction are measured from the bottom of the range, which
	// keeps the differences below free of cancellation; only the means need it
	// back.
	y, p := w*raw("outcome"), w*raw("predicted")
	t.outcomeSpread = w*w*raw("outcome_squared") - y*y/t.n
	t.predictedSpread = w*w*raw("predicted_squared") - p*p/t.n
	t.together = w*w*raw("predicted_outcome") - p*y/t.n
	t.outcome, t.predicted = y+t.n*r.Lo, p+t.n*r.Lo
	return t
}

// measure fills in a group's metrics.
func (t *tally) measure(g *Group) {
	switch {
	case t.survival:
		g.Metrics["event_share"] = proportion(t.events, t.n, 1)
		return
	case t.binary:
		t.measureBinary(g)
		return
	}
	g.Metrics["mae"] = atLeastZero(mean(t.absolute))
	g.Metrics["bias"] = mean(t.err)
	g.Metrics["rmse"] = rootMean(t.square)
	g.Metrics["within20"] = proportion(t.within, t.n, 100)
	g.Metrics["under20"] = proportion(t.under, t.n, 100)
	g.Metrics["over20"] = proportion(t.over, t.n, 100)
	g.Metrics["mean_actual"] = Metric{Estimate: t.outcome / t.n}
	g.Metrics["mean_predicted"] = Metric{Estimate: t.predicted / t.n}
	// A spread within rounding of zero is zero.
	rounding := 1e-13 * t.n * t.width * t.width
	if t.outcomeSpread > rounding {
		g.Metrics["r2"] = Metric{Estimate: 1 - t.square.sum/t.outcomeSpread}
	} else {
		g.Undefined["r2"] = "everyone in the group has the same outcome"
	}
	if t.predictedSpread > rounding {
		g.Metrics["calibration_slope"] = Metric{Estimate: t.together / t.predictedSpread}
	} else {
		g.Undefined["calibration_slope"] = "everyone in the group has the same prediction"
	}
}

func (t *tally) measureBinary(g *Group) {
	g.Metrics["prevalence"] = proportion(t.positives, t.n, 1)
	g.Metrics["mean_predicted"] = Metric{Estimate: t.predicted / t.n}
	g.Metrics["brier"] = atLeastZero(mean(t.square))
	g.Metrics["calibration_in_the_large"] = mean(t.err)
	if t.positives > 0 && t.predicted > 0 {
		ratio := t.positives / t.predicted
		// Delta method on the logarithm; the expectation is taken as given.
		factor := math.Exp(normal * math.Sqrt((1-t.positives/t.n)/t.positives))
		lower, upper := ratio/factor, ratio*factor
		g.Metrics["observed_over_expected"] = Metric{ratio, &lower, &upper, "delta method on the log"}
	} else {
		g.Undefined["observed_over_expected"] = "no patient of the group has the outcome"
	}
	t.measureThreshold(g, "", t.half)
	t.measureThreshold(g, "_at_prevalence", t.prevalence)
}

func (t *tally) measureThreshold(g *Group, suffix string, c confusion) {
	rate := func(name string, k, n float64, none string) {
		if n == 0 {
			g.Undefined[name+suffix] = none
			return
		}
		g.Metrics[name+suffix] = proportion(k, n, 1)
	}
	rate("tpr", c.truePositives, t.positives, "no patient of the group has the outcome")
	rate("fpr", c.selected-c.truePositives, t.n-t.positives, "every patient of the group has the outcome")
	rate("ppv", c.truePositives, c.selected, "no patient of the group is called positive")
	rate("selection_rate", c.selected, t.n, "")
}

func mean(s sample) Metric {
	m := Metric{Estimate: s.mean()}
	if lower, upper, ok := s.interval(); ok {
		m.Lower, m.Upper, m.Method = &lower, &upper, "Student t"
	}
	return m
}

// atLeastZero cuts the interval of a measure that cannot be negative.
func atLeastZero(m Metric) Metric {
	if m.Lower != nil && *m.Lower < 0 {
		*m.Lower = 0
	}
	return m
}

// rootMean is the root of a mean of squares, with the delta method's interval:
// se(sqrt(m)) = se(m) / (2 sqrt(m)).
func rootMean(s sample) Metric {
	root := math.Sqrt(s.mean())
	m := Metric{Estimate: root}
	if s.n >= 2 && root > 0 {
		margin := normal * math.Sqrt(s.variance()/s.n) / (2 * root)
		lower, upper := max(0, root-margin), root+margin
		m.Lower, m.Upper, m.Method = &lower, &upper, "delta method"
	}
	return m
}

// proportion is k of n times unit: 1, or 100 for percent.
func proportion(k, n, unit float64) Metric {
	lower, upper := wilson(k, n)
	lower, upper = lower*unit, upper*unit
	return Metric{k / n * unit, &lower, &upper, "Wilson"}
}
