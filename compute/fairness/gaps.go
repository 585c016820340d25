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
	Verdict    string  `json:"verdict"`
	Sentence   string  `json:"sentence"`
}

// Default margins.
const (
	marginOfError = 0.1  // of the mean absolute error of all patients
	marginOfRate  = 0.05 // of a proportion: five percentage points
)

// comparison is one measure by which groups are compared: a share of so many, or
// a mean.
type comparison struct {
	metric, words, unit string
	margin, scale       float64
	share               func(*tally) (k, n float64)
	mean                func(*tally) sample
	needs               []string // columns
}

func (c comparison) method() string {
	if c.share != nil {
		return "Newcombe"
	}
	return "Welch t"
}

// knows reports whether what the comparison is made of may be shown.
func (c comparison) knows(t *tally) bool {
	for _, column := range c.needs {
		if t.hidden[column] {
			return false
		}
	}
	return true
}

// unitOf is what a measure's numbers are multiplied by in the report: a share of
// doses is in percent.
func (c comparison) unitOf(dose bool) float64 {
	if c.share != nil && dose {
		return 100
	}
	return 1
}

// difference of two groups in the report's unit, with the p-value of none.
func (c comparison) difference(a, b *tally) (d, lower, upper, p float64, ok bool) {
	if !c.knows(a) || !c.knows(b) {
		return
	}
	if c.share == nil {
		x, y := c.mean(a), c.mean(b)
		lower, upper, ok = welch(x, y)
		return x.mean() - y.mean(), lower, upper, welchP(x, y), ok
	}
	k1, n1 := c.share(a)
	k2, n2 := c.share(b)
	if n1 == 0 || n2 == 0 {
		return
	}
	u := c.unitOf(!a.binary && !a.survival)
	lower, upper = newcombe(k1, n1, k2, n2)
	return u * (k1/n1 - k2/n2), u * lower, u * upper, scoreP(k1, n1, k2, n2), true
}

// ratio of two groups: Katz's interval of two shares, the delta method on the
// logarithm of two means.
func (c comparison) ratio(a, b *tally) (r, lower, upper float64, ok bool) {
	if !c.knows(a) || !c.knows(b) {
		return
	}
	if c.share != nil {
		k1, n1 := c.share(a)
		k2, n2 := c.share(b)
		return katz(k1, n1, k2, n2)
	}
	x, y := c.mean(a), c.mean(b)
	if x.n < 2 || y.n < 2 || x.mean() <= 0 || y.mean() <= 0 {
		return
	}
	r = x.mean() / y.mean()
	factor := math.Exp(normal * math.Sqrt(x.variance()/x.n/(x.mean()*x.mean())+y.variance()/y.n/(y.mean()*y.mean())))
	return r, r / factor, r * factor, true
}

// comparisons that the study asks for; the usual ones where it lists none.
func comparisons(s *study.Study, all *tally) []comparison {
	known := comparable(s, all)
	wanted := s.Fairness.Metrics
	if wanted == nil {
		switch {
		case all.survival:
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

// comparable are the comparisons of study.ComparableMetrics.
func comparable(s *study.Study, all *tally) []comparison {
	const points = " percentage points"
	count := func(metric, words string, scale float64, of func(*tally) (float64, float64), needs ...string) comparison {
		margin := marginOfRate
		if scale == 1 {
			margin *= 100
		}
		return comparison{metric: metric, words: words, unit: points, margin: margin, scale: scale, share: of, needs: needs}
	}
	if all.survival {
		return []comparison{count("event_share", "the share with the event", 100, func(t *tally) (float64, float64) { return t.events, t.n }, "events")}
	}
	if all.binary {
		const table, called = "confusion0", "selected0"
		probability := func(metric, words string, of func(*tally) sample, needs ...string) comparison {
			return comparison{metric: metric, words: words, unit: points, margin: marginOfRate, scale: 100, mean: of, needs: needs}
		}
		loss := probability("log_loss", "the log loss", func(t *tally) sample { return t.loss })
		loss.unit, loss.scale, loss.margin = "", 1, marginOfError*all.loss.mean()
		brier := probability("brier", "the Brier score", func(t *tally) sample { return t.square })
		brier.unit, brier.scale, brier.margin = "", 1, marginOfError*all.square.mean()
		return []comparison{
			count("tpr", "the share of those with the outcome who are called positive", 100, func(t *tally) (float64, float64) { return t.at[0].TP, t.positives }, table, "positives"),
			count("fpr", "the share of those without the outcome who are called positive", 100, func(t *tally) (float64, float64) { return t.at[0].FP, t.n - t.positives }, table, "positives"),
			count("ppv", "the share of those called positive who have the outcome", 100, func(t *tally) (float64, float64) { return t.at[0].TP, t.at[0].TP + t.at[0].FP }, table, called),
			count("npv", "the share of those called negative who do not have the outcome", 100, func(t *tally) (float64, float64) { return t.at[0].TN, t.at[0].TN + t.at[0].FN }, table, called),
			count("accuracy", "the share who are called what they are", 100, func(t *tally) (float64, float64) { return t.at[0].TP + t.at[0].TN, t.n }, table, "positives", called),
			count("selection_rate", "the share who are called positive", 100, func(t *tally) (float64, float64) { return t.at[0].TP + t.at[0].FP, t.n }, called),
			brier, loss,
			probability("calibration_in_the_large", "the mean of predicted minus observed", func(t *tally) sample { return t.err }, "positives"),
		}
	}
	unit := all.unit
	if unit != "" {
		unit = " " + unit
	}
	average := func(metric, words, unit string, margin float64, of func(*tally) sample) comparison {
		return comparison{metric: metric, words: words, unit: unit, margin: margin, scale: 1, mean: of}
	}
	out := []comparison{
		average("mae", "the mean absolute error", unit, marginOfError*all.absolute.mean(), func(t *tally) sample { return t.absolute }),
		average("bias", "the bias", unit, marginOfError*all.absolute.mean(), func(t *tally) sample { return t.err }),
		average("mse", "the mean squared error", "", marginOfError*all.square.mean(), func(t *tally) sample { return t.square }),
	}
	if all.folds {
		out = append(out, average("log_fold_error", "the mean logarithm of predicted over actual", "", marginOfRate, func(t *tally) sample { return t.fold }))
	}
	for i, share := range closeness {
		out = append(out, count(fmt.Sprintf("within%.0f", 100*share), fmt.Sprintf("the share predicted within %.0f%%", 100*share), 1,
			func(t *tally) (float64, float64) { return t.within[i], t.n }, fmt.Sprint("within", i)))
	}
	return append(out,
		count("under20", "the share predicted more than 20% too low", 1, func(t *tally) (float64, float64) { return t.under, t.n }, "under"),
		count("over20", "the share predicted more than 20% too high", 1, func(t *tally) (float64, float64) { return t.over, t.n }, "over"))
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
					Estimate: d, Lower: lower, Upper: upper, Method: c.method(), P: p, Margin: margin, Detectable: detectable(lower, upper), Verdict: verdict(lower, upper, margin)}
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

func detectable(lower, upper float64) float64 {
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
