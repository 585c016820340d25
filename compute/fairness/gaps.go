package fairness

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Verdicts. None of them says that a model is fair.
const (
	NoDisparity  = "no disparity found"
	Disparity    = "disparity found"
	Insufficient = "insufficient evidence"
)

// Gap compares a group with the largest group of its attribute.
type Gap struct {
	Metric    string  `json:"metric"`
	Attribute string  `json:"attribute"`
	Level     string  `json:"level"`
	Reference string  `json:"reference"` // level: the largest group
	Estimate  float64 `json:"estimate"`  // level minus reference
	Lower     float64 `json:"lower"`
	Upper     float64 `json:"upper"`
	Method    string  `json:"method"`
	Margin    float64 `json:"margin"` // a difference up to this counts as none
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

// comparison is one measure of a family.
type comparison struct {
	metric, words, unit string
	margin, scale       float64
	method              string
	difference          func(a, b *tally) (estimate, lower, upper float64, ok bool)
}

func means(of func(*tally) sample) func(a, b *tally) (float64, float64, float64, bool) {
	return func(a, b *tally) (float64, float64, float64, bool) {
		x, y := of(a), of(b)
		lower, upper, ok := welch(x, y)
		return x.mean() - y.mean(), lower, upper, ok
	}
}

func rates(of func(*tally) (k, n float64)) func(a, b *tally) (float64, float64, float64, bool) {
	return func(a, b *tally) (float64, float64, float64, bool) {
		k1, n1 := of(a)
		k2, n2 := of(b)
		if n1 == 0 || n2 == 0 {
			return 0, 0, 0, false
		}
		lower, upper := newcombe(k1, n1, k2, n2)
		return k1/n1 - k2/n2, lower, upper, true
	}
}

func comparisons(all *tally, unit string) []comparison {
	if all.survival {
		return nil
	}
	if all.binary {
		points := " percentage points"
		return []comparison{
			{"tpr", "the share of those with the outcome who are called positive", points, marginOfRate, 100, "Newcombe",
				rates(func(t *tally) (float64, float64) { return t.half.truePositives, t.positives })},
			{"fpr", "the share of those without the outcome who are called positive", points, marginOfRate, 100, "Newcombe",
				rates(func(t *tally) (float64, float64) { return t.half.selected - t.half.truePositives, t.n - t.positives })},
			{"calibration_in_the_large", "the mean of predicted minus observed", points, marginOfRate, 100, "Welch t",
				means(func(t *tally) sample { return t.err })},
		}
	}
	if unit != "" {
		unit = " " + unit
	}
	margin := marginOfError * all.absolute.mean()
	return []comparison{
		{"mae", "the mean absolute error", unit, margin, 1, "Welch t", means(func(t *tally) sample { return t.absolute })},
		{"bias", "the bias", unit, margin, 1, "Welch t", means(func(t *tally) sample { return t.err })},
		{"within20", "the share predicted within 20%", " percentage points", 100 * marginOfRate, 1, "Newcombe",
			func(a, b *tally) (float64, float64, float64, bool) {
				d, lower, upper, ok := rates(func(t *tally) (float64, float64) { return t.within, t.n })(a, b)
				return 100 * d, 100 * lower, 100 * upper, ok
			}},
	}
}

// gaps compares every group that has figures with the largest of its attribute.
func gaps(groups []Group, tallies []*tally, unit string) []Gap {
	var out []Gap
	for first := 1; first < len(groups); {
		last, largest := first, -1
		for last < len(groups) && groups[last].Attribute == groups[first].Attribute {
			if t := tallies[last]; t != nil && (largest < 0 || t.n > tallies[largest].n) {
				largest = last
			}
			last++
		}
		for _, c := range comparisons(tallies[0], unit) {
			for i := first; i < last; i++ {
				if i == largest || tallies[i] == nil {
					continue
				}
				d, lower, upper, ok := c.difference(tallies[i], tallies[largest])
				if !ok {
					continue
				}
				g := Gap{Metric: c.metric, Attribute: groups[i].Attribute, Level: groups[i].Level, Reference: groups[largest].Level,
					Estimate: d, Lower: lower, Upper: upper, Method: c.method, Margin: c.margin, Detectable: detectable(lower, upper), Verdict: verdict(lower, upper, c.margin)}
				g.Sentence = c.sentence(g)
				out = append(out, g)
			}
		}
		first = last
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
