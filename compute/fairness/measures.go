package fairness

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// tally holds the opened sums of one group, in outcome units or probabilities.
type tally struct {
	n      float64
	cut    float64
	width  float64         // of the outcome's range
	unit   string          // of the outcome
	hidden map[string]bool // counts that are withheld, by column
	fewest float64         // patients behind a figure of a bin
	unseen bool            // by the model that predicts them
	noisy  *noisy          // what the group is read from under noise; nil without

	err, absolute, square sample // of the error, its magnitude, its square
	predicted             float64

	// survival
	survival bool
	events   float64
	pairs    pairs
	until    []events   // by horizon
	followed []followUp // by declared time

	// dose
	within      [3]float64 // closeness
	under, over float64
	outcome     float64
	// Sums of squares and products about the group's means.
	outcomeSpread, predictedSpread, together float64
	ratioVariance                            float64 // of R², by the delta method; NaN if unknown
	folds                                    bool
	fold, absoluteFold                       sample
	bands                                    []float64 // actual by predicted
	spread                                   []float64 // of the error's magnitude, by bin; nil of combinations
	interval                                 *interval // nil where the model releases none

	// binary
	binary                          bool
	positives                       float64
	loss                            sample
	at                              []Confusion // by threshold
	thresholds                      []float64
	ownCuts                         bool // groups have another first threshold
	suffixes                        []string
	binN, binPositive, binPredicted []float64
	scoresUp, scoresDown            []float64
	order                           *ranking // nil where the study does not ask for it
}

func newTally(s *study.Study, q question, sum compute.Sum, i int) *tally {
	widths := map[string]int{}
	for _, x := range q.quantities(s) {
		widths[x.name] = x.width
	}
	row := func(name string) []float64 { return sum.Field(name)[i*widths[name] : (i+1)*widths[name]] }
	raw := func(name string) float64 { return row(name)[0] }
	counts := func(name string) []float64 {
		out := slices.Clone(row(name))
		for k := range out {
			out[k] = math.Round(out[k])
		}
		return out
	}
	count := func(name string) float64 { return counts(name)[0] }
	t := &tally{n: count("patients")}
	if t.survival = s.Outcome.Type == study.Survival; t.survival {
		t.events = count("events")
		t.pairs = pairs{count("concordant"), count("tied"), count("comparable"), raw("surplus_squared"), raw("surplus_pairs"), raw("pairs_squared")}
		if !s.HasBaseline() {
			return t
		}
		seen, expected := counts("events_until"), row("expected_until")
		for k, h := range horizons(s) {
			t.until = append(t.until, events{seen[k], expected[k]})
			suffix := ""
			if k > 0 {
				suffix = "_at_" + strconv.FormatFloat(h, 'g', -1, 64)
			}
			t.suffixes = append(t.suffixes, suffix)
		}
		for k, time := range s.Fairness.Times {
			at, _ := slices.BinarySearch(s.Outcome.Grid, time)
			t.followed = append(t.followed, newFollowed(t.n, row("predicted_risk")[k], counts("events_in_interval")[:at+1], counts("gone_in_interval")[:at+1], float64(s.Fairness.MinimumCell)))
			if f := &t.followed[k]; s.Fairness.Complementary && at > 0 {
				f.coarsen(t.n)
			}
		}
		return t
	}
	if t.binary = s.Outcome.Type == study.Binary; t.binary {
		t.positives, t.ownCuts = count("positives"), q.Cuts != nil
		selected, right := counts("selected"), counts("selected_positives")
		for k, threshold := range q.thresholds(s) {
			t.thresholds = append(t.thresholds, threshold)
			t.at = append(t.at, Confusion{TP: right[k], FP: selected[k] - right[k], FN: t.positives - right[k], TN: t.n - t.positives - selected[k] + right[k]})
			suffix := "_at_" + strconv.FormatFloat(threshold, 'g', -1, 64)
			switch {
			case k == 0:
				suffix = ""
			case q.Prevalence != nil:
				suffix = "_at_prevalence"
			}
			t.suffixes = append(t.suffixes, suffix)
		}
		t.predicted = raw("predicted")
		t.err = sample{t.n, raw("error"), raw("error_squared")}
		t.square = sample{t.n, raw("error_squared"), raw("error_fourth")}
		t.loss = sample{t.n, raw("log_loss"), raw("log_loss_squared")}
		t.binN, t.binPositive, t.binPredicted = counts("bin_patients"), counts("bin_positives"), row("bin_predicted")
		t.scoresUp, t.scoresDown = counts("scores_positive"), counts("scores_negative")
		if ranks(s) {
			order := newRanking(t.scoresUp, t.scoresDown)
			t.order = &order
		}
		return t
	}
	r := s.Outcome.Range
	w := r.Hi - r.Lo
	t.width, t.unit = w, s.Outcome.Unit
	copy(t.within[:], counts("within"))
	if len(sum.Field(spreadName)) >= (i+1)*spreadBins {
		t.spread = counts(spreadName)
	}
	t.cut, t.under, t.over = count("cut"), count("under"), count("over")
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
	t.ratioVariance = ratioVariance(t.n, raw("outcome"), raw("outcome_squared"), raw("outcome_cubed"), raw("outcome_fourth"),
		raw("error_squared"), raw("error_fourth"), raw("error_squared_outcome"), raw("error_squared_outcome_squared"))
	t.outcome, t.predicted = y+t.n*r.Lo, p+t.n*r.Lo
	if t.folds = r.Lo > 0; t.folds {
		t.fold, t.absoluteFold = sample{t.n, raw("fold"), raw("fold_squared")}, sample{t.n, raw("absolute_fold"), raw("fold_squared")}
	}
	if s.Fairness.Bands != nil {
		t.bands = counts("bands")
	}
	if q.HalfWidth != nil {
		t.interval = &interval{
			covered: count("covered"), above: count("above_interval"), n: t.n, half: *q.HalfWidth, width: w * raw("interval_width") / t.n,
			score: sample{t.n, w * raw("interval_score"), w * w * raw("interval_score_squared")},
		}
	}
	return t
}

// ratioVariance is the variance of the ratio of the mean squared error to the
// variance of the outcome, which is 1-R², by the delta method: that of the mean
// of e²/V - M d²/V² with d the distance from the mean outcome, M the mean of e²
// and V that of d². Sums are of y, y², y³, y⁴, e², e⁴, e²y, e²y².
func ratioVariance(n, y, y2, y3, y4, e2, e4, e2y, e2y2 float64) float64 {
	mean := y / n
	v := y2/n - mean*mean
	if v <= 0 || n < 2 {
		return math.NaN()
	}
	m := e2 / n
	d4 := y4/n - 4*mean*y3/n + 6*mean*mean*y2/n - 3*mean*mean*mean*mean
	e2d2 := e2y2/n - 2*mean*e2y/n + mean*mean*m
	return max(0, (e4/n-m*m)/(v*v)-2*m*(e2d2-m*v)/(v*v*v)+m*m*(d4-v*v)/(v*v*v*v)) / n
}

// put records a metric, unless a count that it needs is withheld.
func (t *tally) put(g *Group, name string, m func() Metric, columns ...string) {
	for _, c := range columns {
		if t.hidden[c] {
			g.Withheld = append(g.Withheld, name)
			return
		}
	}
	g.Metrics[name] = m()
}

// measure fills in a group's metrics.
func (t *tally) measure(g *Group) {
	switch {
	case t.survival:
		t.measureSurvival(g)
	case t.binary:
		t.measureBinary(g)
	default:
		t.measureDose(g)
	}
	slices.Sort(g.Withheld)
	for _, name := range slices.Sorted(maps.Keys(g.Metrics)) {
		if math.IsNaN(g.Metrics[name].Estimate) || math.IsInf(g.Metrics[name].Estimate, 0) {
			g.Undefined[name] = "no patient is in its denominator"
			delete(g.Metrics, name)
		}
	}
}

// rounding is the sum of squares within which a spread is zero.
func (t *tally) rounding() float64 { return 1e-13 * t.n * t.width * t.width }

func (t *tally) measureDose(g *Group) {
	g.Metrics["mae"] = atLeastZero(mean(t.absolute))
	t.put(g, "bias", func() Metric { return mean(t.err) }, totalOutcome) // beside the mean prediction it is the mean outcome
	g.Metrics["mse"] = positiveMean(t.square)
	g.Metrics["rmse"] = rootMean(t.square)
	for i, share := range closeness {
		t.put(g, fmt.Sprintf("within%.0f", 100*share), func() Metric { return proportion(t.within[i], t.n, 100) }, fmt.Sprint("within", i))
	}
	t.put(g, "under20", func() Metric { return proportion(t.under, t.n, 100) }, "under")
	t.put(g, "over20", func() Metric { return proportion(t.over, t.n, 100) }, "over")
	t.put(g, "mean_actual", func() Metric { return Metric{Estimate: t.outcome / t.n} }, totalOutcome)
	g.Metrics["mean_predicted"] = Metric{Estimate: t.predicted / t.n}
	if t.folds {
		g.Metrics["log_fold_error"] = mean(t.fold)
		g.Metrics["fold_error"] = exponential(atMost(mostFold, positiveMean(t.absoluteFold)))
	}
	if t.bands != nil {
		t.put(g, "same_band", func() Metric {
			same, k := 0.0, int(math.Sqrt(float64(len(t.bands))))
			for i := range k {
				same += t.bands[i*k+i]
			}
			return proportion(same, t.n, 100)
		}, "bands")
		if !t.hidden["bands"] {
			g.Bands = whole(t.bands)
		}
	}
	if t.interval != nil {
		t.interval.measure(t, g)
	}
	rounding := t.rounding()
	if t.outcomeSpread > rounding {
		m := Metric{Estimate: 1 - t.square.sum/t.outcomeSpread}
		if !math.IsNaN(t.ratioVariance) {
			margin := normal * math.Sqrt(t.ratioVariance)
			lower, upper := m.Estimate-margin, min(1, m.Estimate+margin)
			m.Lower, m.Upper, m.Method = &lower, &upper, "delta method"
		}
		t.put(g, "r2", func() Metric { return m }, totalOutcome) // beside the mean squared error it is the sum of squares
	} else {
		g.Undefined["r2"] = "everyone in the group has the same outcome"
	}
	if t.outcomeSpread > rounding && t.predictedSpread > rounding {
		g.Metrics["correlation"] = correlation(t.together/math.Sqrt(t.outcomeSpread*t.predictedSpread), t.n)
	} else {
		g.Undefined["correlation"] = "everyone in the group has the same outcome or prediction"
	}
	if t.n > 1 {
		// Bland and Altman's limits, between which 95 of 100 errors lie if they are
		// normal (Lancet 327, 1986).
		center, sd := t.err.mean(), math.Sqrt(t.err.variance())
		margin := student(t.n-1) * sd * math.Sqrt(1/t.n+normal*normal/(2*(t.n-1)))
		for name, limit := range map[string]float64{"agreement_lower": center - normal*sd, "agreement_upper": center + normal*sd} {
			lower, upper := limit-margin, limit+margin
			t.put(g, name, func() Metric {
				return Metric{Estimate: limit, Lower: &lower, Upper: &upper, Method: "Bland and Altman, Student t, of normal errors"}
			}, totalOutcome)
		}
	}
	if t.predictedSpread > rounding {
		slope := t.together / t.predictedSpread
		m := Metric{Estimate: slope}
		if t.n > 2 {
			// Least squares of outcome on prediction, errors of one variance.
			margin := student(t.n-2) * math.Sqrt(max(0, t.outcomeSpread-slope*t.together)/(t.n-2)/t.predictedSpread)
			lower, upper := slope-margin, slope+margin
			m.Lower, m.Upper, m.Method = &lower, &upper, "least squares, Student t"
		}
		g.Metrics["calibration_slope"] = m
	} else {
		g.Undefined["calibration_slope"] = "everyone in the group has the same prediction"
	}
}

// correlation with Fisher's interval (Metron 1, 1921).
func correlation(r, n float64) Metric {
	r = min(max(r, -1), 1)
	m := Metric{Estimate: r}
	if n > 3 && math.Abs(r) < 1 {
		margin := normal / math.Sqrt(n-3)
		lower, upper := math.Tanh(math.Atanh(r)-margin), math.Tanh(math.Atanh(r)+margin)
		m.Lower, m.Upper, m.Method = &lower, &upper, "Fisher's transformation"
	}
	return m
}

func whole(x []float64) []int {
	out := make([]int, len(x))
	for i := range x {
		out[i] = int(x[i])
	}
	return out
}

func (t *tally) measureBinary(g *Group) {
	t.put(g, "prevalence", func() Metric { return proportion(t.positives, t.n, 1) }, "positives")
	t.put(g, "mean_predicted", func() Metric { return Metric{Estimate: t.predicted / t.n} }, predictedSum)
	g.Metrics["brier"] = atMost(1, positiveMean(t.square))
	g.Metrics["log_loss"] = atMost(mostLoss, positiveMean(t.loss))
	// Beside the mean prediction it gives the number of positives away.
	t.put(g, "calibration_in_the_large", t.overall, "positives")
	if t.positives > 0 && t.predicted > 0 {
		t.put(g, "observed_over_expected", func() Metric {
			ratio := t.positives / t.predicted
			// Delta method on the logarithm; the expectation is taken as given.
			factor := math.Exp(normal * math.Sqrt((1-t.positives/t.n)/t.positives))
			lower, upper := ratio/factor, ratio*factor
			return Metric{Estimate: ratio, Lower: &lower, Upper: &upper, Method: "delta method on the log"}
		}, "positives")
	} else {
		g.Undefined["observed_over_expected"] = "no patient of the group has the outcome"
	}
	t.measureScores(g)
	for i, c := range t.at {
		t.measureThreshold(g, t.suffixes[i], c, fmt.Sprint("confusion", i), fmt.Sprint("selected", i))
	}
}

func (t *tally) measureScores(g *Group) {
	if t.positives == 0 || t.positives == t.n {
		g.Undefined["auc"] = "everyone in the group has the same outcome"
	} else {
		t.put(g, "auc", func() Metric {
			auc, bound := area(t.scoresUp, t.scoresDown)
			m := Metric{Estimate: auc, Bound: &bound}
			ranked := t.ranked()
			if lower, upper, ok := ranked.limits(); ok {
				m.Lower, m.Upper, m.Method = &lower, &upper, "DeLong on the logit, of the binned scores"
				switch {
				case ranked.estimated.se == 0:
					m.Method = "Newcombe's score limits, of the binned scores"
				case min(t.positives, t.n-t.positives) < fewOrdered:
					m.Method = "DeLong on the logit or Newcombe's score limits, the outer ones, of the binned scores"
				}
			}
			return m
		}, "positives")
	}
	t.measureRanking(g)
	if t.positives > 0 {
		t.put(g, "pr_auc", func() Metric {
			lower, upper := precision(t.scoresUp, t.scoresDown)
			bound := (upper - lower) / 2
			return Metric{Estimate: (lower + upper) / 2, Bound: &bound}
		}, "positives")
	} else {
		g.Undefined["pr_auc"] = "no patient of the group has the outcome"
	}
	if worst := largestCalibrationError(t.binN, t.binPositive, t.binPredicted, t.fewest); math.IsNaN(worst) {
		g.Undefined["mce"] = "no bin of probabilities has the minimum cell of patients"
	} else {
		t.put(g, "mce", func() Metric { return Metric{Estimate: worst} }, "positives")
	}
	statistic, bins := hosmerLemeshow(t.binN, t.binPositive, t.binPredicted)
	df := bins // of new patients; those of the fit used up two
	if !t.unseen {
		df -= 2
	}
	t.put(g, "hosmer_lemeshow", func() Metric { return Metric{Estimate: statistic} }, "positives")
	if df >= 1 {
		t.put(g, "hosmer_lemeshow_p", func() Metric { return Metric{Estimate: chiSquared(statistic, df)} }, "positives")
	}
	t.put(g, "ece", func() Metric { return Metric{Estimate: calibrationError(t.binN, t.binPositive, t.binPredicted)} }, "positives")
}

func (t *tally) measureThreshold(g *Group, suffix string, c Confusion, table, selected string) {
	rate := func(name string, k, n float64, none string, columns ...string) {
		if n == 0 {
			g.Undefined[name+suffix] = none
			return
		}
		t.put(g, name+suffix, func() Metric { return proportion(k, n, 1) }, columns...)
	}
	const noPositive, noNegative = "no patient of the group has the outcome", "every patient of the group has the outcome"
	const noSelected, noRejected = "no patient of the group is called positive", "every patient of the group is called positive"
	rate("tpr", c.TP, c.TP+c.FN, noPositive, table, "positives")
	rate("fnr", c.FN, c.TP+c.FN, noPositive, table, "positives")
	rate("fpr", c.FP, c.FP+c.TN, noNegative, table, "positives")
	rate("tnr", c.TN, c.FP+c.TN, noNegative, table, "positives")
	rate("ppv", c.TP, c.TP+c.FP, noSelected, table, selected)
	rate("fdr", c.FP, c.TP+c.FP, noSelected, table, selected)
	rate("npv", c.TN, c.TN+c.FN, noRejected, table, selected)
	rate("for", c.FN, c.TN+c.FN, noRejected, table, selected)
	rate("accuracy", c.TP+c.TN, t.n, "", table, "positives", selected)
	rate("selection_rate", c.TP+c.FP, t.n, "", selected)
	t.put(g, "f1"+suffix, func() Metric { return Metric{Estimate: c.F1()} }, table, "positives", selected)
	t.put(g, "gei"+suffix, func() Metric { return Metric{Estimate: c.GEI()} }, table, "positives", selected)
	t.put(g, "theil"+suffix, func() Metric { return Metric{Estimate: c.Theil()} }, table, "positives", selected)
	t.put(g, "mcc"+suffix, func() Metric { return Metric{Estimate: c.MCC()} }, table, "positives", selected)
}

func mean(s sample) Metric {
	m := Metric{Estimate: s.mean()}
	if lower, upper, ok := s.interval(); ok {
		m.Lower, m.Upper, m.Method = &lower, &upper, "Student t"
	}
	return m
}

// positiveMean is of what cannot be negative, and of which a few patients have the
// most: squares of errors, or losses of an outcome that is rare. A group without
// these few has its mean too low and its standard error too, so the interval is of
// the logarithm, and reaches further up. Of two or three patients it may reach beyond
// all numbers: then there is none.
func positiveMean(s sample) Metric {
	m := Metric{Estimate: s.mean()}
	if lower, upper, ok := s.interval(); ok {
		if m.Estimate > 0 {
			factor := math.Exp((upper - m.Estimate) / m.Estimate)
			lower, upper = m.Estimate/factor, m.Estimate*factor
		}
		if math.IsInf(upper, 1) {
			return m
		}
		m.Lower, m.Upper, m.Method = &lower, &upper, "Student t of the logarithm"
	}
	return m
}

// atLeastZero cuts the interval of a mean that cannot be negative.
func atLeastZero(m Metric) Metric {
	if m.Lower != nil && *m.Lower < 0 {
		*m.Lower = 0
	}
	return m
}

// atMost cuts the interval of a mean of what is never larger.
func atMost(most float64, m Metric) Metric {
	if m.Upper != nil && *m.Upper > most {
		*m.Upper = most
	}
	return m
}

// exponential of a mean of magnitudes of logarithms, and of its interval.
func exponential(m Metric) Metric {
	m.Estimate = math.Exp(m.Estimate)
	if m.Lower != nil {
		*m.Lower, *m.Upper = max(1, math.Exp(*m.Lower)), math.Exp(*m.Upper)
	}
	return m
}

// rootMean is the root of a mean of squares, and of its interval.
func rootMean(s sample) Metric {
	m := positiveMean(s)
	m.Estimate = math.Sqrt(m.Estimate)
	if m.Lower != nil {
		*m.Lower, *m.Upper = math.Sqrt(*m.Lower), math.Sqrt(*m.Upper)
	}
	return m
}

// overall is the mean of predicted minus actual of a binary outcome. Where few have
// the outcome the mean of the errors is skewed as their count is, so the limits are
// Wilson's of the share who have it, as much nearer as the errors vary less than the
// outcome does.
func (t *tally) overall() Metric {
	p, centre := t.positives/t.n, t.err.mean()
	nearer := 1.0
	if p > 0 && p < 1 && t.n > 1 {
		nearer = min(1, math.Sqrt(t.err.variance()/(p*(1-p)*t.n/(t.n-1))))
	}
	l, u := wilson(t.positives, t.n)
	lower, upper := centre-nearer*(u-p), centre+nearer*(p-l)
	return Metric{Estimate: centre, Lower: &lower, Upper: &upper, Method: "Wilson, of the share with the outcome"}
}

// proportion is k of n times unit: 1, or 100 for percent.
func proportion(k, n, unit float64) Metric {
	lower, upper := wilson(k, n)
	lower, upper = lower*unit, upper*unit
	return Metric{Estimate: k / n * unit, Lower: &lower, Upper: &upper, Method: "Wilson"}
}
