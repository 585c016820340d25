package fairness

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/study"
)

// Verdicts. None of them says that a model is fair.
const (
	NoDisparity  = "no disparity found"
	Disparity    = "disparity found"
	Insufficient = "insufficient evidence"
)

// Gap compares a group with the reference of its attribute: the declared one, or
// the largest.
type Gap struct {
	Metric    string  `json:"metric"`
	Attribute string  `json:"attribute"`
	Level     string  `json:"level"`
	Reference string  `json:"reference"`
	Estimate  float64 `json:"estimate"` // level minus reference
	Lower     float64 `json:"lower"`
	Upper     float64 `json:"upper"`
	Method    string  `json:"method"`
	// P is of no difference: Welch's test, or the score test of two proportions;
	// Adjusted is Holm's over all gaps of the audit.
	P        float64 `json:"p"`
	Adjusted float64 `json:"adjusted_p"`
	Margin   float64 `json:"margin"` // a difference up to this counts as none
	// Detectable is the smallest true difference that this many patients would
	// show in four of five studies: (z(0.975) + z(0.8)) standard errors, the
	// standard error taken from the width of the interval.
	Detectable float64 `json:"detectable"`
	// Effect is the difference in standard deviations of one patient (Cohen's d), of
	// means and shares.
	Effect   *float64 `json:"effect,omitempty"`
	Verdict  string   `json:"verdict"`
	Sentence string   `json:"sentence"`
}

// Default margins.
const (
	marginOfError = 0.1  // of the mean absolute error of all patients
	marginOfRate  = 0.05 // of a proportion: five percentage points; of a concordance or an area
	marginOfRatio = 0.2  // of observed over expected events
)

// comparison is one measure by which groups are compared.
type comparison struct {
	metric, words, unit string
	margin, scale       float64
	percent             bool // the report has it in percent
	of                  func(*tally) figure
	needs               []string // columns
}

// knows reports whether what the comparison is made of may be shown.
func (c comparison) knows(t *tally) bool {
	return !slices.ContainsFunc(c.needs, func(column string) bool { return t.hidden[column] })
}

// factor is what a figure is multiplied by in the report.
func (c comparison) factor() float64 {
	if c.percent {
		return 100
	}
	return 1
}

// difference of two groups in the report's unit, with the p-value of none.
func (c comparison) difference(a, b *tally) (d, lower, upper, p float64, ok bool) {
	if !c.knows(a) || !c.knows(b) {
		return
	}
	x, y := c.of(a), c.of(b)
	u := c.factor()
	if lower, upper, p, ok = x.minus(y); !ok || math.IsNaN(x.value()-y.value()) {
		return 0, 0, 0, 1, false
	}
	return u * (x.value() - y.value()), u * lower, u * upper, p, true
}

// ratio of two groups.
func (c comparison) ratio(a, b *tally) (r, lower, upper float64, ok bool) {
	if !c.knows(a) || !c.knows(b) {
		return
	}
	x, y := c.of(a), c.of(b)
	lower, upper, ok = x.over(y)
	return x.value() / y.value(), lower, upper, ok
}

// comparisons that the study asks for; the usual ones where it lists none.
func comparisons(s *study.Study, all *tally) []comparison {
	known := comparable(s, all)
	wanted := s.Fairness.Metrics
	if wanted == nil {
		switch {
		case all.survival:
			wanted = []string{"cindex", "oe", "calibration_in_the_large"}
		case all.binary:
			wanted = []string{"tpr", "fpr", "calibration_in_the_large"}
		default:
			wanted = []string{"mae", "bias", "within20"}
		}
	}
	wanted = slices.Clone(wanted)
	for _, c := range s.Fairness.Criteria {
		if !slices.Contains(wanted, c.Metric) {
			wanted = append(wanted, c.Metric)
		}
	}
	if m := s.Mitigation; m != nil && !slices.Contains(wanted, m.Measure) {
		wanted = append(wanted, m.Measure)
	}
	var out []comparison
	for _, name := range wanted {
		for _, c := range known {
			if c.metric == name {
				out = append(out, c)
			}
		}
	}
	return out
}

// comparable are the comparisons that the study's outcome and model have.
func comparable(s *study.Study, all *tally) []comparison {
	switch {
	case all.noisy != nil:
		return noisyComparisons(s, all)
	case all.survival:
		return survivalComparisons(s)
	case all.binary:
		return binaryComparisons(all)
	}
	return doseComparisons(all)
}

const points = " percentage points"

func survivalComparisons(s *study.Study) []comparison {
	out := []comparison{
		{metric: "event_share", words: "the share with the event", unit: points, margin: marginOfRate, scale: 100, needs: []string{"events"},
			of: func(t *tally) figure { return share{t.events, t.n} }},
		{metric: "cindex", words: "the concordance", margin: marginOfRate, scale: 1, needs: []string{"events"},
			of: func(t *tally) figure { return t.pairs.figure() }},
	}
	if s.HasBaseline() {
		out = append(out, comparison{metric: "oe", words: "the ratio of observed to expected events", margin: marginOfRatio, scale: 1, needs: []string{"until0"},
			of: func(t *tally) figure { return t.until[0] }})
	}
	if s.Fairness.Times != nil {
		out = append(out, comparison{metric: "calibration_in_the_large", words: "the mean of predicted minus observed risk", unit: points, margin: marginOfRate, scale: 100, needs: []string{"until0", "beyond0"},
			of: func(t *tally) figure { return t.calibrated(0) }})
	}
	return out
}

func binaryComparisons(all *tally) []comparison {
	const table, called = "confusion0", "selected0"
	count := func(metric, words string, of func(*tally) share, needs ...string) comparison {
		return comparison{metric: metric, words: words, unit: points, margin: marginOfRate, scale: 100, needs: needs, of: func(t *tally) figure { return of(t) }}
	}
	score := func(metric, words string, of func(*tally) sample) comparison {
		return comparison{metric: metric, words: words, margin: marginOfError * of(all).mean(), scale: 1, of: func(t *tally) figure { return of(t) }}
	}
	return append([]comparison{
		count("tpr", "the share of those with the outcome who are called positive", func(t *tally) share { return share{t.at[0].TP, t.positives} }, table, "positives"),
		count("fpr", "the share of those without the outcome who are called positive", func(t *tally) share { return share{t.at[0].FP, t.n - t.positives} }, table, "positives"),
		count("ppv", "the share of those called positive who have the outcome", func(t *tally) share { return share{t.at[0].TP, t.at[0].TP + t.at[0].FP} }, table, called),
		count("npv", "the share of those called negative who do not have the outcome", func(t *tally) share { return share{t.at[0].TN, t.at[0].TN + t.at[0].FN} }, table, called),
		count("accuracy", "the share who are called what they are", func(t *tally) share { return share{t.at[0].TP + t.at[0].TN, t.n} }, table, "positives", called),
		count("selection_rate", "the share who are called positive", func(t *tally) share { return share{t.at[0].TP + t.at[0].FP, t.n} }, called),
		score("brier", "the Brier score", func(t *tally) sample { return t.square }),
		score("log_loss", "the log loss", func(t *tally) sample { return t.loss }),
		{metric: "calibration_in_the_large", words: "the mean of predicted minus observed", unit: points, margin: marginOfRate, scale: 100, needs: []string{"positives"},
			of: func(t *tally) figure { return t.err }},
		{metric: "auc", words: "the area under the curve", margin: marginOfRate, scale: 1, needs: []string{"positives"},
			of: func(t *tally) figure { return t.ranked() }},
	}, rankingComparisons()...)
}

// root of the mean squared error, by the delta method.
func (t *tally) root() estimated {
	root := math.Sqrt(t.square.mean())
	return estimated{root, math.Sqrt(t.square.variance()/t.n) / (2 * root)}
}

// correlated is the correlation of predicted and actual, with the standard error
// of two normal quantities.
func (t *tally) correlated() estimated {
	if t.n < 4 || t.outcomeSpread <= t.rounding() || t.predictedSpread <= t.rounding() {
		return estimated{math.NaN(), 0}
	}
	r := min(max(t.together/math.Sqrt(t.outcomeSpread*t.predictedSpread), -1), 1)
	return estimated{r, (1 - r*r) / math.Sqrt(t.n-3)}
}

// predictions as a sample.
func (t *tally) predictions() sample {
	return sample{t.n, t.predicted, max(0, t.predictedSpread) + t.predicted*t.predicted/t.n}
}

func doseComparisons(all *tally) []comparison {
	unit := all.unit
	if unit != "" {
		unit = " " + unit
	}
	average := func(metric, words, unit string, margin float64, of func(*tally) sample) comparison {
		return comparison{metric: metric, words: words, unit: unit, margin: margin, scale: 1, of: func(t *tally) figure { return of(t) }}
	}
	count := func(metric, words string, column string, of func(*tally) float64) comparison {
		return comparison{metric: metric, words: words, unit: points, margin: 100 * marginOfRate, scale: 1, percent: true, needs: []string{column},
			of: func(t *tally) figure { return share{of(t), t.n} }}
	}
	bias := average("bias", "the bias", unit, marginOfError*all.absolute.mean(), func(t *tally) sample { return t.err })
	bias.needs = []string{totalOutcome}
	out := []comparison{
		average("mae", "the mean absolute error", unit, marginOfError*all.absolute.mean(), func(t *tally) sample { return t.absolute }),
		bias,
		average("mse", "the mean squared error", "", marginOfError*all.square.mean(), func(t *tally) sample { return t.square }),
		{metric: "rmse", words: "the root mean square error", unit: unit, margin: marginOfError * math.Sqrt(all.square.mean()), scale: 1,
			of: func(t *tally) figure { return t.root() }},
		{metric: "correlation", words: "the correlation of predicted and actual", margin: marginOfRate, scale: 1,
			of: func(t *tally) figure { return t.correlated() }},
		// Groups may well need different doses: a gap of the predictions is no fault of
		// the model unless the outcomes have none.
		average("mean_predicted", "the mean prediction", unit, marginOfError*all.absolute.mean(), func(t *tally) sample { return t.predictions() }),
	}
	if all.folds {
		out = append(out, average("log_fold_error", "the mean logarithm of predicted over actual", "", marginOfRate, func(t *tally) sample { return t.fold }))
	}
	for i, within := range closeness {
		out = append(out, count(fmt.Sprintf("within%.0f", 100*within), fmt.Sprintf("the share predicted within %.0f%%", 100*within),
			fmt.Sprint("within", i), func(t *tally) float64 { return t.within[i] }))
	}
	return append(out,
		count("under20", "the share predicted more than 20% too low", "under", func(t *tally) float64 { return t.under }),
		count("over20", "the share predicted more than 20% too high", "over", func(t *tally) float64 { return t.over }))
}

// gaps compares every group that has figures with its reference, given as
// positions among the open cells.
func gaps(s *study.Study, groups []Group, tallies []*tally, against []int) (out []Gap) {
	measures := comparisons(s, tallies[0])
	for first := 1; first < len(groups); {
		last := first
		for last < len(groups) && groups[last].Attribute == groups[first].Attribute {
			last++
		}
		for _, c := range measures {
			margin := c.margin
			for i := first; i < last; i++ {
				r := against[i]
				if tallies[i] == nil || r < 0 || tallies[r] == nil {
					continue
				}
				d, lower, upper, p, ok := c.difference(tallies[i], tallies[r])
				if !ok {
					continue
				}
				g := Gap{Metric: c.metric, Attribute: groups[i].Attribute, Level: groups[i].Level, Reference: groups[r].Level,
					Estimate: d, Lower: lower, Upper: upper, Method: c.of(tallies[i]).method(), P: p, Margin: margin, Detectable: Detectable(lower, upper), Effect: effect(c.of(tallies[i]), c.of(tallies[r])), Verdict: verdict(lower, upper, margin)}
				g.Sentence = c.sentence(g)
				out = append(out, g)
			}
		}
		first = last
	}
	p := make([]float64, len(out))
	for i := range out {
		p[i] = out[i].P
	}
	for i, adjusted := range holm(p) {
		out[i].Adjusted = adjusted
	}
	return out
}

// sentence says a gap in words a person can read aloud.
func (c comparison) sentence(g Gap) string {
	number := func(x float64) string { return decimals(x*c.scale, g.Margin*c.scale) }
	size := "higher"
	if g.Estimate < 0 {
		size = "lower"
	}
	text := fmt.Sprintf("%s: for %s, %s is %s%s %s than for %s (95%% interval of the difference %s to %s; up to %s either way counts as none): %s",
		g.Attribute, g.Level, c.words, number(math.Abs(g.Estimate)), c.unit, size, g.Reference,
		number(g.Lower), number(g.Upper), number(g.Margin), g.Verdict)
	if g.Verdict == Insufficient && (g.Lower > 0 || g.Upper < 0) {
		text += "; there is a difference, but it may or may not be larger than that"
	}
	return text + "."
}

// decimals writes x with the digits that matter beside a margin.
func decimals(x, margin float64) string {
	digits := 0
	if margin > 0 {
		digits = min(max(2-int(math.Floor(math.Log10(margin)))-1, 0), 12)
	}
	text := strconv.FormatFloat(x, 'f', digits, 64)
	if strings.Trim(text, "-0.") == "" {
		return strings.TrimPrefix(text, "-")
	}
	return text
}

// Detectable is the smallest true difference that would be found in four of five
// studies with intervals as wide as this: their 95% interval would leave out zero.
func Detectable(lower, upper float64) float64 {
	const power = 0.8416212335729143 // z(0.8)
	return (normal + power) * (upper - lower) / (2 * normal)
}

// verdict judges the whole interval, not the estimate.
func verdict(lower, upper, margin float64) string {
	switch {
	case math.Abs(lower) <= margin && math.Abs(upper) <= margin:
		return NoDisparity
	case lower > margin || upper < -margin:
		return Disparity
	}
	return Insufficient
}
