package fairness

import (
	"math"
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// ranking is how well a score puts those with the outcome first, where only the top
// of a list will be looked at: the discounted cumulative gain (Järvelin and
// Kekäläinen, ACM TOIS 20, 2002; the discount 1/log2(1+rank) is that of Burges et
// al., ICML 2005) over that of the best order. The gain of a patient is the outcome,
// 0 or 1. It is read from the counts by score and outcome that the area under the
// curve is read from. Patients of a bin are tied, and each has the mean discount of
// their ranks (McSherry and Najork, ECIR 2008): it is scikit-learn's ndcg_score of
// the bins, and that of the scores themselves is within the bound, between the worst
// and the best order inside the bins.
//
// Any order, also one by chance, comes near 1 as patients become many (Wang et al.,
// COLT 2013), and nearer where the outcome is common: between groups of different
// sizes or prevalences a gap of it is mostly one of these. adjusted takes that out:
// 0 is what an order by chance has on average, 1 the best.
//
// A patient is one item of the list of the group. Several drugs ranked for each
// patient would be another figure, for which there is nothing here: a study has one
// outcome, and its model one prediction for a record.
type ranking struct {
	ndcg, adjusted       estimated
	chance               float64 // ndcg of an order by chance, on average
	bound, adjustedBound float64
}

// rankingMetrics are what a study can ask of its score as a ranking; they are worked
// out where it does.
var rankingMetrics = []string{"ndcg", "ndcg_adjusted"}

// rankingLimit says in the report what its figures cannot tell.
const rankingLimit = "The normalised discounted cumulative gain is of the order of a group's patients among themselves. In larger groups, and where the outcome is more common, it is higher whatever the model does; a gap of it is to be read beside what chance has, or by the gain beyond chance. Where fewer than about one in five of a group have the outcome, its interval is somewhat too narrow."

// ranks reports whether a study asks for them.
func ranks(s *study.Study) bool {
	asked := func(metric string) bool { return slices.Contains(rankingMetrics, metric) }
	return slices.ContainsFunc(s.Fairness.Metrics, asked) || s.Mitigation != nil && asked(s.Mitigation.Measure) ||
		slices.ContainsFunc(s.Fairness.Criteria, func(c study.Criterion) bool { return asked(c.Metric) })
}

// discounted adds up 1/log2(1+rank) over ranks from the first; ranks are asked for
// in ascending order.
type discounted struct{ rank, sum float64 }

func discount(rank float64) float64 { return 1 / math.Log2(1+rank) }

func (d *discounted) to(rank float64) float64 {
	for ; d.rank < rank; d.rank++ {
		d.sum += discount(d.rank + 1)
	}
	return d.sum
}

// gain is the discounted cumulative gain of items in bins, lowest score first, by
// the sum of their gains and their number.
func gain(gains, n []float64) (total float64) {
	var d discounted
	for b := len(n) - 1; b >= 0; b-- {
		if before := d.sum; n[b] > 0 {
			total += gains[b] / n[b] * (d.to(d.rank+n[b]) - before)
		}
	}
	return total
}

// tiedBin is a bin of patients who share ranks.
type tiedBin struct {
	up, n    float64
	discount float64 // mean of its ranks
}

// newRanking reads the counts by score, lowest first. Without patients with the
// outcome and without there is nothing to rank: NaN. With fewer than two of either
// there is no standard error.
func newRanking(positive, negative []float64) ranking {
	var bins []tiedBin // highest score first
	var d discounted
	var got, best, worst, positives float64
	for b := len(positive) - 1; b >= 0; b-- {
		up, down := positive[b], negative[b]
		n := up + down
		if n == 0 {
			continue
		}
		rank, before := d.rank, d.sum
		afterFewer := d.to(rank + min(up, down)) // ranks only ascend
		afterMore := d.to(rank + max(up, down))
		one := tiedBin{up, n, (d.to(rank+n) - before) / n}
		afterUp, afterDown := afterFewer, afterMore
		if up > down {
			afterUp, afterDown = afterMore, afterFewer
		}
		got += up * one.discount
		best += afterUp - before
		worst += d.sum - afterDown
		positives += up
		bins = append(bins, one)
	}
	n := d.rank
	if positives == 0 || positives == n {
		none := estimated{math.NaN(), math.NaN()}
		return ranking{ndcg: none, adjusted: none}
	}
	var top discounted
	ideal, byChance := top.to(positives), positives/n*d.sum
	off := max(best-got, got-worst)
	r := ranking{
		ndcg: estimated{of: got / ideal}, adjusted: estimated{of: (got - byChance) / (ideal - byChance)}, chance: byChance / ideal,
		bound: off / ideal, adjustedBound: off / (ideal - byChance),
	}
	// One patient more with the outcome adds the discount of the rank, less what the
	// figure loses by a longer best order, and by more that chance has.
	last, average := discount(positives), d.sum/n
	r.ndcg.se = rankingError(bins, positives, r.ndcg.of*last) / ideal
	r.adjusted.se = rankingError(bins, positives, average+r.adjusted.of*(last-average)) / (ideal - byChance)
	if positives < 2 || n-positives < 2 {
		r.ndcg.se, r.adjusted.se = math.NaN(), math.NaN()
	}
	return r
}

// steadyBin is how many patients the chance of the outcome at a score is taken from,
// at least.
const steadyBin = 20

// rankingError is the standard error of a sum over patients with the outcome of the
// discounts of their scores, each less a number: whether a patient of a score has it
// is binomial. The few of the first ranks decide most of it, so their own share is no
// measure of how it varies: bins are taken together, from the first rank on, until
// they have enough patients, and one patient more has the outcome as often as the
// whole. Where the outcome is rare, intervals of two such errors are too narrow: of
// drawn groups of 100 to 1600 they cover 73 to 95 in 100 where one in twenty or ten
// has it, 92 to 99 where three in ten or half have it (TestIntervalOfTheRanking).
func rankingError(bins []tiedBin, positives, less float64) float64 {
	all := 0.0
	for _, b := range bins {
		all += b.n
	}
	variance, first := 0.0, 0
	up, n := positives/all, 1.0
	for i, b := range bins {
		up, n = up+b.up, n+b.n
		if n-1 < steadyBin && i < len(bins)-1 {
			continue
		}
		q := up / n
		for _, c := range bins[first : i+1] {
			variance += c.n * q * (1 - q) * (c.discount - less) * (c.discount - less)
		}
		first, up, n = i+1, positives/all, 1
	}
	return math.Sqrt(variance)
}

// measureRanking fills in the figures of a study that asks for them.
func (t *tally) measureRanking(g *Group) {
	r := t.order
	if r == nil {
		return
	}
	if math.IsNaN(r.ndcg.of) {
		for _, name := range append([]string{"ndcg_by_chance"}, rankingMetrics...) {
			g.Undefined[name] = "everyone in the group has the same outcome"
		}
		return
	}
	figure := func(e estimated, bound float64, lowest float64) func() Metric {
		return func() Metric {
			m := Metric{Estimate: e.of, Bound: &bound}
			if !math.IsNaN(e.se) {
				lower, upper := max(lowest, e.of-normal*e.se), min(1, e.of+normal*e.se)
				m.Lower, m.Upper, m.Method = &lower, &upper, "binomial, of the binned scores"
			}
			return m
		}
	}
	t.put(g, "ndcg", figure(r.ndcg, r.bound, 0), "positives")
	t.put(g, "ndcg_adjusted", figure(r.adjusted, r.adjustedBound, math.Inf(-1)), "positives")
	t.put(g, "ndcg_by_chance", func() Metric { return Metric{Estimate: r.chance} }, "positives")
}

func rankingComparisons() []comparison {
	one := func(metric, words string, of func(r *ranking) estimated) comparison {
		return comparison{metric: metric, words: words, margin: marginOfRate, scale: 1, needs: []string{"positives"},
			of: func(t *tally) figure { return of(t.order) }}
	}
	return []comparison{
		one("ndcg", "the normalised discounted cumulative gain", func(r *ranking) estimated { return r.ndcg }),
		one("ndcg_adjusted", "the discounted cumulative gain beyond chance", func(r *ranking) estimated { return r.adjusted }),
	}
}
