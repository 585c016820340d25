package fairness

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// noisy is the opened sums of one group, with the variance of their noise.
type noisy struct {
	binary     bool
	thresholds int
	classes    []float64 // patients
	class      float64   // variance of the noise of each
	n          float64
	clip       float64

	fewest   float64        // patients behind a figure at a time
	survival *noisySurvival // nil of other outcomes

	errors, magnitudes float64 // sums; of a binary outcome the first is of predictions
	squares            float64
	noiseErrors        float64 // variance: of the sum and, of a number, of the magnitudes
	noiseSquares       float64
}

func (t *noisy) noiseN() float64 { return t.class * float64(len(t.classes)) }

// share of the classes that in names among those that of names.
func (t *noisy) share(in, of func(class int) bool) noisyShare {
	var s noisyShare
	for c, n := range t.classes {
		if !of(c) {
			continue
		}
		s.n += n
		if in(c) {
			s.k, s.noiseK = s.k+n, s.noiseK+t.class
		} else {
			s.noiseRest += t.class
		}
	}
	return s
}

func every(int) bool { return true }

// spread is the variance of one patient's error where its mean is m, from the noisy
// squares and a standard deviation of their noise more, within what the clip admits.
func (t *noisy) spread(m float64) float64 {
	return min((t.squares+math.Sqrt(t.noiseSquares))/t.n, t.clip*t.clip) - m*m
}

// figure of a metric; false for one that noisy sums do not give.
func (t *noisy) figure(metric string) (f figure, known bool) {
	switch {
	case t.binary:
		return t.binaryFigure(metric)
	case t.survival != nil:
		return t.survivalFigure(metric)
	}
	beyond := func(classes ...int) func(int) bool {
		return func(c int) bool {
			for _, k := range classes {
				if k == c {
					return true
				}
			}
			return false
		}
	}
	switch metric {
	case "within10":
		return t.share(beyond(within10), every), true
	case "within20":
		return t.share(beyond(within10, within20), every), true
	case "within30":
		return t.share(beyond(within10, within20, low30, high30), every), true
	case "under20":
		return t.share(beyond(low30, lower), every), true
	case "over20":
		return t.share(beyond(high30, higher), every), true
	case "mae":
		return t.mean(t.magnitudes), true
	case "bias":
		return t.mean(t.errors), true
	}
	return t.squared(metric, "mse")
}

func (t *noisy) mean(total float64) estimated {
	return noisyMean(total, t.noiseErrors, t.n, t.noiseN(), t.spread(total/t.n))
}

// squared is the mean of the squares, and its root. The variance of a square is not
// asked for; between 0 and the clip's square, with this mean, it is at most this
// (Bhatia and Davis, American Mathematical Monthly 107, 2000).
func (t *noisy) squared(metric, mean string) (figure, bool) {
	m, most := min(max(t.squares/t.n, 0), t.clip*t.clip), t.clip*t.clip
	f := noisyMean(t.squares, t.noiseSquares, t.n, t.noiseN(), m*(most-m))
	switch {
	case metric == mean:
		return f, true
	case metric != "rmse":
		return nil, false
	case !(f.of > 0):
		return estimated{math.NaN(), 0}, true
	}
	root := math.Sqrt(f.of)
	return estimated{root, f.se / (2 * root)}, true
}

func (t *noisy) binaryFigure(metric string) (figure, bool) {
	switch metric {
	case "prevalence":
		return t.share(t.positive, every), true
	case "mean_predicted":
		m := min(max(t.errors/t.n, 0), 1)
		return noisyMean(t.errors, t.noiseErrors, t.n, t.noiseN(), m*(1-m)), true
	case "calibration_in_the_large":
		up := t.share(t.positive, every)
		m := (t.errors - up.k) / t.n
		// Predictions less positives, over both kinds of patients: the noise of the
		// positives counts in both.
		f := noisyMean(t.errors-up.k, t.noiseErrors+(1+2*m)*up.noiseK, t.n, t.noiseN(), t.spread(m))
		return f, true
	case "observed_over_expected":
		return t.ratio(), true
	case "brier":
		return t.squared(metric, metric)
	}
	return t.called(metric, 0)
}

// ratio of positives to what is predicted, by the delta method, where both are
// audible.
func (t *noisy) ratio() estimated {
	up := t.share(t.positive, every)
	if up.k <= audible*math.Sqrt(up.noiseK) || t.errors <= audible*math.Sqrt(t.noiseErrors) || !up.counts() {
		return estimated{math.NaN(), 0}
	}
	r := up.k / t.errors
	// Sampling: what is expected is taken as given, as in an audit without noise.
	relative := (1-up.value())/up.k + heavier*(up.noiseK/(up.k*up.k)+t.noiseErrors/(t.errors*t.errors))
	return estimated{r, r * math.Sqrt(relative)}
}

func (t *noisy) positive(class int) bool { return class > t.thresholds }

// selected reports whether the class reaches a threshold, by index from the lowest.
func (t *noisy) selected(threshold int) func(class int) bool {
	return func(class int) bool { return class%(t.thresholds+1) > threshold }
}

func not(f func(int) bool) func(int) bool { return func(c int) bool { return !f(c) } }

// called is a rate at a threshold.
func (t *noisy) called(metric string, threshold int) (figure, bool) {
	up, down, yes := t.positive, not(t.positive), t.selected(threshold)
	no := not(yes)
	switch metric {
	case "tpr":
		return t.share(yes, up), true
	case "fnr":
		return t.share(no, up), true
	case "fpr":
		return t.share(yes, down), true
	case "tnr":
		return t.share(no, down), true
	case "ppv":
		return t.share(up, yes), true
	case "fdr":
		return t.share(down, yes), true
	case "npv":
		return t.share(down, no), true
	case "for":
		return t.share(up, no), true
	case "accuracy":
		return t.share(func(c int) bool { return up(c) == yes(c) }, every), true
	case "selection_rate":
		return t.share(yes, every), true
	}
	return nil, false
}

// noisyTally reads a group: the sum of the base cells that it is made of.
func noisyTally(s *study.Study, sum compute.Sum, members []int) *tally {
	t := &noisy{binary: s.Outcome.Type == study.Binary, thresholds: len(s.Fairness.Thresholds), clip: clip(s)}
	// Each hospital's share has 1/holders of the variance.
	shares := float64(sum.Contributors) / float64(s.Holders(sum.Required)) * float64(len(members))
	totals, variances := map[string][]float64{}, map[string]float64{}
	for _, f := range noisyFields(s) {
		field, total := sum.Field(f.name), make([]float64, f.width)
		for _, c := range members {
			for k := range total {
				total[k] += math.Round(field[c*f.width+k]) * f.unit
			}
		}
		totals[f.name], variances[f.name] = total, shares*f.scale.Variance()*f.unit*f.unit
	}
	t.classes, t.class, t.fewest = totals["classes"], variances["classes"], float64(s.Fairness.MinimumCell)
	for _, n := range t.classes {
		t.n += n
	}
	switch s.Outcome.Type {
	case study.Survival:
		t.survival = newNoisySurvival(s)
		t.survival.expected, t.survival.noiseExpected = grown(totals["expected"], variances["expected"])
		t.survival.risks, t.survival.noiseRisks = grown(totals["risks"], variances["risks"])
		return &tally{noisy: t, n: t.n, survival: true}
	case study.Binary:
		t.errors, t.noiseErrors = totals["predicted"][0], variances["predicted"]
	default:
		high, low := totals["high"][0], totals["low"][0]
		t.errors, t.magnitudes, t.noiseErrors = high-low, high+low, variances["high"]+variances["low"]
	}
	t.squares, t.noiseSquares = totals["squares"][0], variances["squares"]
	return &tally{
		noisy: t, n: t.n, binary: t.binary, unit: s.Outcome.Unit,
		absolute: sample{t.n, t.magnitudes, t.squares}, square: sample{t.n, t.squares, math.NaN()}, // of all patients, for the margins
	}
}

// noisyComparisons are those of the outcome that noisy sums give.
func noisyComparisons(s *study.Study, all *tally) (out []comparison) {
	var list []comparison
	switch {
	case all.survival:
		list = survivalComparisons(s)
	case all.binary:
		list = binaryComparisons(all)
	default:
		list = doseComparisons(all)
	}
	for _, c := range list {
		if _, known := all.noisy.figure(c.metric); known {
			c.needs = nil
			c.of = func(t *tally) figure {
				f, _ := t.noisy.figure(c.metric)
				return f
			}
			out = append(out, c)
		}
	}
	return out
}

// readNoisy makes the report.
func readNoisy(s *study.Study, sizes Sizes, sum compute.Sum) (*Audit, error) {
	for _, f := range noisyLayout(s) {
		if len(sum.Field(f.Name)) != f.Length {
			return nil, fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	digest, known, minimum := s.Digest(), cells(s), s.Fairness.MinimumCell
	a := &Audit{
		Schema: Schema, Study: hex.EncodeToString(digest[:]), Name: s.Name, Version: s.Version, Title: s.Title,
		OutcomeType: string(s.Outcome.Type), Outcome: s.Outcome.Column, Unit: s.Outcome.Unit,
		Contributors: sum.Contributors, MinimumCell: minimum, Unseen: sizes.Unseen, Thresholds: s.Fairness.Thresholds, Times: s.Fairness.Times,
		Gaps: []Gap{}, Hidden: []Hidden{}, Noise: newNoise(s, sum),
	}
	if p := s.Fairness.Purpose; p != nil {
		a.Purpose = &Purpose{p.Stratification, p.Basis}
	}
	tallies, open := make([]*tally, len(known)), []int{}
	for i, members := range membersOf(s) {
		t := noisyTally(s, sum, members)
		sd := math.Sqrt(t.noisy.noiseN())
		g := Group{Attribute: known[i].name, Level: known[i].level, State: OK, Noise: &sd}
		if t.n < float64(minimum) {
			g.State = Suppressed
			a.Hidden = append(a.Hidden, Hidden{g.Attribute, g.Level, fmt.Sprintf("fewer than %d patients by the noisy count; there may be none", minimum)})
			a.Groups = append(a.Groups, g)
			continue
		}
		t.noisy.measure(s, &g)
		if g.State == OK {
			tallies[i], open = t, append(open, i)
		}
		a.Groups = append(a.Groups, g)
	}
	if tallies[0] == nil {
		return nil, &compute.Diagnosis{Kind: compute.TooMuchNoise, Message: fmt.Sprintf("the audit has fewer than %d patients by its noisy count, or too few beside the noise for any figure: over the %s of all attributes its standard deviation is %.0f patients", minimum, plural(s.Fairness.BaseCells(), "combination"), *a.Groups[0].Noise)}
	}
	a.N = *a.Groups[0].N
	against := make([]int, len(known))
	for i := range against {
		against[i] = -1
	}
	for i, to := range references(s, known, nil, open, func(c int) int { return int(tallies[c].n) }) {
		against[open[i]] = to
	}
	a.Gaps = append(a.Gaps, gaps(s, a.Groups, tallies, against)...)
	a.judge(s, tallies, against)
	if a.Criteria != nil {
		d := decide(a.Criteria)
		a.Decision = &d
	}
	if s.Fairness.Bootstrap > 0 {
		newChance(s, digest).largest(a, s, tallies)
	}
	a.Limits = noisyLimits(s, a)
	return a, nil
}

// membersOf are, by cell of the report, the base cells that it is made of.
func membersOf(s *study.Study) [][]int {
	finest := base(s)
	out := make([][]int, len(cells(s)))
	for k := range finest.size {
		for _, c := range crossings(s) {
			at := c.at(func(a int) int { return k / finest.strides[a] % (len(s.Fairness.Attributes[a].Levels) + 1) })
			out[at] = append(out[at], k)
		}
	}
	return out
}

// Reasons for which noisy sums give no figure.
const (
	loud   = "the noise is too large beside so few patients"
	unpaid = "not asked for under noise"
)

// measure fills in a group's row.
func (t *noisy) measure(s *study.Study, g *Group) {
	n := int(t.n)
	g.N, g.Metrics, g.Undefined = &n, map[string]Metric{}, map[string]string{}
	put := func(name string, f figure, low, high, unit float64) {
		v := f.value()
		if math.IsNaN(v) || math.IsInf(v, 0) {
			g.Undefined[name] = loud
			return
		}
		m := Metric{Estimate: unit * v}
		var lower, upper float64
		switch f := f.(type) {
		case noisyShare:
			lower, upper, _ = f.limits()
			m.Method = "Wilson, widened by the noise"
		case noisyEvents:
			lower, upper, _ = f.limits()
			m.Method = "score limits of a Poisson count, widened by the noise; what is expected is taken as given"
		case estimated:
			lower, upper = max(f.of-normal*f.se, low), min(f.of+normal*f.se, high)
			m.Method = "normal, with the variance of the noise"
		}
		lower, upper = unit*lower, unit*upper
		m.Lower, m.Upper = &lower, &upper
		g.Metrics[name] = m
	}
	figure := func(name string, low, high, unit float64) {
		if f, ok := t.figure(name); ok {
			put(name, f, low, high, unit)
		}
	}
	infinite := math.Inf(1)
	switch {
	case t.survival != nil:
		t.measureSurvival(s, put, g)
	case t.binary:
		figure("prevalence", 0, 1, 1)
		figure("mean_predicted", 0, 1, 1)
		figure("calibration_in_the_large", -1, 1, 1)
		figure("observed_over_expected", 0, infinite, 1)
		figure("brier", 0, 1, 1)
		for k, threshold := range s.Fairness.Thresholds {
			suffix := ""
			if k > 0 {
				suffix = "_at_" + strconv.FormatFloat(threshold, 'g', -1, 64)
			}
			for _, rate := range []string{"tpr", "fnr", "fpr", "tnr", "ppv", "fdr", "npv", "for", "accuracy", "selection_rate"} {
				f, _ := t.called(rate, k)
				put(rate+suffix, f, 0, 1, 1)
			}
		}
		for _, name := range []string{"log_loss", "auc", "pr_auc", "ece", "mce", "hosmer_lemeshow", "calibration_slope", "calibration_intercept", "f1", "mcc", "gei", "theil"} {
			g.Undefined[name] = unpaid
		}
	default:
		figure("mae", 0, infinite, 1)
		figure("bias", -infinite, infinite, 1)
		figure("mse", 0, infinite, 1)
		figure("rmse", 0, infinite, 1)
		for _, name := range []string{"within10", "within20", "within30", "under20", "over20"} {
			figure(name, 0, 1, 100)
		}
		for _, name := range []string{"mean_actual", "mean_predicted", "r2", "correlation", "calibration_slope", "agreement_lower", "agreement_upper",
			"absolute_error_p10", "absolute_error_p25", "absolute_error_p50", "absolute_error_p75", "absolute_error_p90"} {
			g.Undefined[name] = unpaid
		}
	}
	if len(g.Metrics) == 0 {
		g.State = NotEstimable
	}
}
