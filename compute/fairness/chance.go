package fairness

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/consilium-fl/consilium/study"
)

// chance draws what the report says about chance. Its seed is the study's digest:
// everyone who replays the audit draws the same.
//
// The Poisson bootstrap gives each patient a weight of mean 1 and looks how much
// a figure varies (Hanley and MacGibbon, 2006; Chamandy et al., 2012). Of a
// figure that is made of counts of different patients, such as those of a
// confusion matrix or of the bins of a histogram, it needs no patient: the sum of
// the weights of m of them is Poisson with mean m, whoever they are. So it is
// drawn from the opened counts, and nothing more leaves a hospital. Of a few classes
// it is not Poisson what is drawn, but what their shares can be (possible). Sums of
// weighted errors are not asked for: of weights that the coordinator knows, as
// many replicates as a group has patients are equations that give each of their
// errors; and of weights that it does not know, sums as exact as ours are still
// a hidden subset sum problem, which lattice reduction solves for groups of this
// size (Nguyen and Stern, CRYPTO 1999). What is made of such sums has an interval
// of its own.
type chance struct {
	replicates int
	source     *rand.PCG
}

const simulations = 1000 // of the noise floor

func newChance(s *study.Study, digest [32]byte) *chance {
	return &chance{s.Fairness.Bootstrap, rand.NewPCG(binary.BigEndian.Uint64(digest[:8]), binary.BigEndian.Uint64(digest[8:16]))}
}

func (c *chance) poisson(counts []float64) []float64 {
	out := make([]float64, len(counts))
	for i, m := range counts {
		if m > 0 {
			out[i] = distuv.Poisson{Lambda: m, Src: c.source}.Rand()
		}
	}
	return out
}

// interval of the middle 95% of the replicates; false if one in ten has no value.
func (c *chance) interval(draw func() float64) (lower, upper float64, ok bool) {
	values := make([]float64, 0, c.replicates)
	for range c.replicates {
		if v := draw(); !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	if 10*len(values) < 9*c.replicates {
		return 0, 0, false
	}
	slices.Sort(values)
	at := func(p float64) float64 {
		x := p * float64(len(values)-1)
		i := min(int(x), len(values)-2)
		return values[i] + (x-float64(i))*(values[i+1]-values[i])
	}
	return at(0.025), at(0.975), true
}

func (c *chance) metric(estimate float64, draw func() float64) Metric {
	m := Metric{Estimate: estimate}
	if lower, upper, ok := c.interval(draw); ok {
		lower, upper = min(lower, estimate), max(upper, estimate)
		m.Lower, m.Upper, m.Method = &lower, &upper, "drawn from the counts, Jeffreys' prior"
	}
	return m
}

// apart is a figure of how far apart groups are, 0 if they are alike, such as the
// larger of two gaps whichever way: chance moves it away from 0 only. Replicates
// carry the chance of the counts and that of the draw, so nearly all of them are
// farther from 0 than the figure is, and their middle 95% leaves out the truth
// where groups are alike, every time. The upper limit is theirs; the lower is as
// far below the estimate, the basic bootstrap limit of Davison and Hinkley
// (Bootstrap Methods and their Application, 1997, chapter 5). Where a figure has an
// upper end the replicates do not pass it, and that limit would come too near: then
// it is the replicates' own.
func (c *chance) apart(estimate float64, draw func() float64) Metric {
	m := Metric{Estimate: estimate}
	if lower, upper, ok := c.interval(draw); ok {
		upper = max(upper, estimate)
		m.bounded(max(0, min(lower, 2*estimate-upper)), upper)
	}
	return m
}

// ratioApart is apart of a ratio of the smaller to the larger, 1 if groups are
// alike: what is far on one side is divided by as much on the other.
func (c *chance) ratioApart(estimate float64, draw func() float64) Metric {
	m := Metric{Estimate: estimate}
	if lower, upper, ok := c.interval(draw); ok {
		lower = min(lower, estimate)
		if lower > 0 {
			upper = max(upper, estimate*estimate/lower)
		} else {
			upper = 1
		}
		m.bounded(lower, min(1, upper))
	}
	return m
}

func (m *Metric) bounded(lower, upper float64) {
	m.Lower, m.Upper, m.Method = &lower, &upper, "drawn from the counts, basic limit towards being alike"
}

// possible draws what the counts of a few classes can be: from the posterior of their
// shares with Jeffreys' prior, half a patient in each class (Brown, Cai and DasGupta,
// Statistical Science 16, 2001, who show that of proportions it holds its level where
// few are counted). Replicates of a class in which nobody was seen are all zero, and
// intervals made of these are too narrow; here somebody can be in it. Of nobody at
// all there is nothing to draw.
func (c *chance) possible(counts []float64) []float64 {
	out := make([]float64, len(counts))
	if floats.Sum(counts) == 0 {
		return out
	}
	for i, m := range counts {
		out[i] = distuv.Gamma{Alpha: m + 0.5, Beta: 1, Src: c.source}.Rand()
	}
	return out
}

// drawn is a replicate of a confusion.
func (c *chance) drawn(x Confusion) Confusion {
	d := c.possible([]float64{x.TP, x.FP, x.TN, x.FN})
	return Confusion{d[0], d[1], d[2], d[3]}
}

// Largest is the widest gap between two groups of an attribute, beside what
// chance alone makes of groups of these sizes that are alike.
type Largest struct {
	Metric    string  `json:"metric"`
	Attribute string  `json:"attribute"`
	High      string  `json:"high"` // the pair that has it
	Low       string  `json:"low"`
	Estimate  float64 `json:"estimate"`
	Floor     float64 `json:"floor"` // 95 of 100 audits of alike groups show less
	P         float64 `json:"p"`     // of as much or more, were they alike
	// Farthest is the group that differs most from all patients, and FromAll by how
	// much; absent where the figure of all patients is withheld.
	Farthest string   `json:"farthest,omitempty"`
	FromAll  *float64 `json:"from_all,omitempty"`
}

// Odds are gaps of a group against its reference that need several rates.
type Odds struct {
	Attribute     string  `json:"attribute"`
	Level         string  `json:"level"`
	Reference     string  `json:"reference"`
	Threshold     float64 `json:"threshold"`
	EqualizedOdds *Metric `json:"equalized_odds,omitempty"`       // the larger of the gaps of true and false positive rate
	OddsRatio     *Metric `json:"equalized_odds_ratio,omitempty"` // the smaller of their ratios, smaller rate over larger
	AverageOdds   *Metric `json:"average_odds,omitempty"`
	ABROCA        *Metric `json:"abroca,omitempty"` // area between the receiver operating characteristics
	Parity        *Parity `json:"parity,omitempty"`
}

// add completes the report with what is drawn, in a fixed order.
func (c *chance) add(a *Audit, s *study.Study, tallies []*tally, against []int) {
	for i, t := range tallies {
		if t == nil || !t.binary {
			continue
		}
		for k, x := range t.at {
			for _, made := range []struct {
				name string
				of   func(Confusion) float64
			}{{"f1", Confusion.F1}, {"mcc", Confusion.MCC}, {"gei", Confusion.GEI}, {"theil", Confusion.Theil}} {
				name := made.name + t.suffixes[k]
				if m, ok := a.Groups[i].Metrics[name]; ok {
					a.Groups[i].Metrics[name] = c.metric(m.Estimate, func() float64 { return made.of(c.drawn(x)) })
				}
			}
		}
	}
	c.largest(a, s, tallies)
	c.inequality(a, s, tallies)
	for i, r := range against {
		if r >= 0 && tallies[i] != nil && tallies[r] != nil && tallies[i].binary {
			if o, ok := c.odds(a, i, r, tallies[i], tallies[r]); ok {
				a.Odds = append(a.Odds, o)
			}
		}
	}
}

func (c *chance) odds(a *Audit, i, r int, x, y *tally) (o Odds, known bool) {
	o = Odds{Attribute: a.Groups[i].Attribute, Level: a.Groups[i].Level, Reference: a.Groups[r].Level, Threshold: a.Thresholds[0]}
	shown := func(columns ...string) bool {
		return !slices.ContainsFunc(columns, func(name string) bool { return x.hidden[name] || y.hidden[name] })
	}
	value := func(m Metric) *Metric {
		if math.IsNaN(m.Estimate) {
			return nil
		}
		return &m
	}
	if shown("confusion0", "positives") {
		o.EqualizedOdds = value(c.apart(EqualizedOdds(x.at[0], y.at[0]), func() float64 { return EqualizedOdds(c.drawn(x.at[0]), c.drawn(y.at[0])) }))
		if ratio := EqualizedOddsRatio(x.at[0], y.at[0]); !math.IsNaN(ratio) {
			o.OddsRatio = value(c.ratioApart(ratio, func() float64 { return EqualizedOddsRatio(c.drawn(x.at[0]), c.drawn(y.at[0])) }))
		}
		o.AverageOdds = value(c.metric(AverageOdds(x.at[0], y.at[0]), func() float64 { return AverageOdds(c.drawn(x.at[0]), c.drawn(y.at[0])) }))
	}
	both := x.positives > 0 && x.positives < x.n && y.positives > 0 && y.positives < y.n
	if both && shown("positives") {
		between, bound := abroca(x.scoresUp, x.scoresDown, y.scoresUp, y.scoresDown)
		m := c.apart(between, func() float64 {
			v, _ := abroca(c.poisson(x.scoresUp), c.poisson(x.scoresDown), c.poisson(y.scoresUp), c.poisson(y.scoresDown))
			return v
		})
		m.Bound = &bound
		o.ABROCA = value(m)
	}
	return o, o.EqualizedOdds != nil || o.ABROCA != nil
}

// largest gap of each attribute and intersection, by each measure of the gaps.
func (c *chance) largest(a *Audit, s *study.Study, tallies []*tally) {
	random := rand.New(c.source)
	for _, m := range comparisons(s, tallies[0]) {
		for _, x := range crossings(s)[1:] {
			var groups []int
			var figures []figure
			var estimate []float64
			for i := x.first; i < x.first+x.size; i++ {
				if tallies[i] == nil || !m.knows(tallies[i]) {
					continue
				}
				f := m.of(tallies[i])
				groups, figures, estimate = append(groups, i), append(figures, f), append(estimate, m.factor()*f.value())
			}
			if len(groups) < 2 || slices.ContainsFunc(estimate, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
				continue
			}
			draw, ok := alike(figures)
			if !ok {
				continue
			}
			high, low := 0, 0
			for k := range estimate {
				if estimate[k] > estimate[high] {
					high = k
				}
				if estimate[k] < estimate[low] {
					low = k
				}
			}
			l := Largest{Metric: m.metric, Attribute: a.Groups[x.first].Attribute, High: a.Groups[groups[high]].Level,
				Low: a.Groups[groups[low]].Level, Estimate: estimate[high] - estimate[low]}
			spreads, values := make([]float64, simulations), make([]float64, len(groups))
			for k := range spreads {
				draw(random, values)
				spreads[k] = m.factor() * (slices.Max(values) - slices.Min(values))
				if spreads[k] >= l.Estimate {
					l.P++
				}
			}
			slices.Sort(spreads)
			l.P, l.Floor = (l.P+1)/(simulations+1), spreads[simulations*95/100]
			if m.knows(tallies[0]) {
				farthest, difference, _ := fromWhole(m.factor()*m.of(tallies[0]).value(), estimate)
				if l.FromAll = finite(difference); l.FromAll != nil {
					l.Farthest = a.Groups[groups[farthest]].Level
				}
			}
			a.Largest = append(a.Largest, l)
		}
	}
}
