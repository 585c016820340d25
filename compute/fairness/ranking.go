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
	ndcg, adjusted       limited
	chance               float64 // ndcg of an order by chance, on average
	bound, adjustedBound float64
}

// rankingMetrics are what a study can ask of its score as a ranking; they are worked
// out where it does.
var rankingMetrics = []string{"ndcg", "ndcg_adjusted"}

// rankingLimit says in the report what its figures cannot tell.
const rankingLimit = "The normalised discounted cumulative gain is of the order of a group's patients among themselves. In larger groups, and where the outcome is more common, it is higher whatever the model does; a gap of it is to be read beside what chance has, or by the gain beyond chance. Where fewer than ten of a group have the outcome, or do not, it has no interval and no gap."

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

// newRanking reads the counts by score, lowest first. Without patients with the
// outcome and without there is nothing to rank: NaN.
func newRanking(positive, negative []float64) ranking {
	var o ordering
	var d discounted
	var got, best, worst float64
	for b := len(positive) - 1; b >= 0; b-- {
		up, down := positive[b], negative[b]
		n := up + down
		if n == 0 {
			continue
		}
		rank, before := d.rank, d.sum
		afterFewer := d.to(rank + min(up, down)) // ranks only ascend
		afterMore := d.to(rank + max(up, down))
		one := tiedBin{n: n, up: up, discount: (d.to(rank+n) - before) / n}
		afterUp, afterDown := afterFewer, afterMore
		if up > down {
			afterUp, afterDown = afterMore, afterFewer
		}
		got += up * one.discount
		best += afterUp - before
		worst += d.sum - afterDown
		o.positives += up
		o.bins = append(o.bins, one)
	}
	o.n = d.rank
	if o.positives == 0 || o.positives == o.n {
		none := limited{math.NaN(), math.NaN(), math.NaN()}
		return ranking{ndcg: none, adjusted: none}
	}
	var top discounted
	o.ideal = top.to(o.positives)
	average := d.sum / o.n
	byChance := o.positives * average
	off := max(best-got, got-worst)
	r := ranking{
		ndcg: limited{of: got / o.ideal}, adjusted: limited{of: (got - byChance) / (o.ideal - byChance)}, chance: byChance / o.ideal,
		bound: off / o.ideal, adjustedBound: off / (o.ideal - byChance),
	}
	o.place()
	r.ndcg.lower, r.ndcg.upper = o.limits(r.ndcg.of, 0)
	r.adjusted.lower, r.adjusted.upper = o.limits(r.adjusted.of, average)
	return r
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
	figure := func(l limited, bound float64) func() Metric {
		return func() Metric {
			m := Metric{Estimate: l.of, Bound: &bound}
			if l.known() {
				m.Lower, m.Upper, m.Method = &l.lower, &l.upper, "test inversion over tilted orders, of the binned scores"
			}
			return m
		}
	}
	t.put(g, "ndcg", figure(r.ndcg, r.bound), "positives")
	t.put(g, "ndcg_adjusted", figure(r.adjusted, r.adjustedBound), "positives")
	t.put(g, "ndcg_by_chance", func() Metric { return Metric{Estimate: r.chance} }, "positives")
}

func rankingComparisons() []comparison {
	one := func(metric, words string, of func(r *ranking) limited) comparison {
		return comparison{metric: metric, words: words, margin: marginOfRate, scale: 1, needs: []string{"positives"},
			of: func(t *tally) figure { return of(t.order) }}
	}
	return []comparison{
		one("ndcg", "the normalised discounted cumulative gain", func(r *ranking) limited { return r.ndcg }),
		one("ndcg_adjusted", "the discounted cumulative gain beyond chance", func(r *ranking) limited { return r.adjusted }),
	}
}
