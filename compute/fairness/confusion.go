package fairness

import "math"

// Confusion counts patients by outcome and by what the model calls them.
type Confusion struct{ TP, FP, TN, FN float64 }

// N is all of them.
func (c Confusion) N() float64 { return c.TP + c.FP + c.TN + c.FN }

// Plus adds up.
func (c Confusion) Plus(o Confusion) Confusion {
	return Confusion{c.TP + o.TP, c.FP + o.FP, c.TN + o.TN, c.FN + o.FN}
}

// The rates of a confusion, NaN where nobody is in the denominator: 0/0 is not a
// number, and no value stands in for it.
func (c Confusion) TPR() float64       { return c.TP / (c.TP + c.FN) }
func (c Confusion) FPR() float64       { return c.FP / (c.FP + c.TN) }
func (c Confusion) FNR() float64       { return c.FN / (c.TP + c.FN) }
func (c Confusion) TNR() float64       { return c.TN / (c.FP + c.TN) }
func (c Confusion) PPV() float64       { return c.TP / (c.TP + c.FP) }
func (c Confusion) NPV() float64       { return c.TN / (c.TN + c.FN) }
func (c Confusion) FDR() float64       { return c.FP / (c.TP + c.FP) }
func (c Confusion) FOR() float64       { return c.FN / (c.TN + c.FN) }
func (c Confusion) Accuracy() float64  { return (c.TP + c.TN) / c.N() }
func (c Confusion) Selection() float64 { return (c.TP + c.FP) / c.N() }
func (c Confusion) F1() float64        { return 2 * c.TP / (2*c.TP + c.FP + c.FN) }

// MCC is Matthews' correlation.
func (c Confusion) MCC() float64 {
	return (c.TP*c.TN - c.FP*c.FN) / math.Sqrt((c.TP+c.FP)*(c.TP+c.FN)*(c.TN+c.FP)*(c.TN+c.FN))
}

// Benefit indices over b = predicted - actual + 1 (Speicher et al., KDD 2018).
func (c Confusion) benefit() float64 { return (c.TP + c.TN + 2*c.FP) / c.N() }

// GEI is the generalised entropy index with alpha 2.
func (c Confusion) GEI() float64 {
	mu := c.benefit()
	each := func(b float64) float64 { return (b/mu)*(b/mu) - 1 }
	return (c.FN*each(0) + (c.TP+c.TN)*each(1) + c.FP*each(2)) / (2 * c.N())
}

// Theil is the generalised entropy index with alpha 1.
func (c Confusion) Theil() float64 {
	mu := c.benefit()
	each := func(b float64) float64 { return b / mu * math.Log(b/mu) }
	return ((c.TP+c.TN)*each(1) + c.FP*each(2)) / c.N()
}

// BetweenGEI is the generalised entropy index with alpha 2 of groups whose
// patients all have their group's mean benefit: the part of GEI that lies between
// groups.
func BetweenGEI(groups ...Confusion) float64 {
	var all Confusion
	for _, g := range groups {
		all = all.Plus(g)
	}
	total, mu := 0.0, all.benefit()
	for _, g := range groups {
		if g.N() > 0 {
			b := g.benefit() / mu
			total += g.N() * (b*b - 1)
		}
	}
	return total / (2 * all.N())
}

// Gaps of a group against its reference: group minus reference, or their ratio.
// Equalized odds is the larger of the gaps of the true and the false positive
// rate, average odds their mean (Hardt et al., NIPS 2016; Bellamy et al., 2019).
func EqualizedOdds(a, b Confusion) float64 {
	return max(math.Abs(a.TPR()-b.TPR()), math.Abs(a.FPR()-b.FPR()))
}

// AverageOdds is the mean of the signed gaps.
func AverageOdds(a, b Confusion) float64 { return (a.TPR() - b.TPR() + a.FPR() - b.FPR()) / 2 }

// EqualizedOddsRatio is the smaller of the ratios, each of the smaller rate to
// the larger.
func EqualizedOddsRatio(groups ...Confusion) float64 {
	return min(Spread(Confusion.TPR, groups...).Ratio, Spread(Confusion.FPR, groups...).Ratio)
}

// Extent of a rate over groups.
type Extent struct{ Difference, Ratio float64 } // largest minus smallest; smallest over largest

// Spread is how far apart groups are. A group without the rate makes it NaN: it
// is not left out in silence.
func Spread(rate func(Confusion) float64, groups ...Confusion) Extent {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, g := range groups {
		r := rate(g)
		if math.IsNaN(r) {
			return Extent{r, r}
		}
		lo, hi = min(lo, r), max(hi, r)
	}
	return Extent{hi - lo, lo / hi}
}

// Differential is the empirical differential fairness of counts pos of n by
// group, smoothed by a: the largest logarithm of a ratio of rates, or of their
// complements, and the pair that has it (Foulds et al., ICDE 2020).
func Differential(pos, n []float64, a float64) (epsilon float64, first, second int) {
	rate := func(i int) float64 { return (pos[i] + a/2) / (n[i] + a) }
	for i := range n {
		for j := range n {
			e := max(math.Log(rate(i)/rate(j)), math.Log((1-rate(i))/(1-rate(j))))
			if e > epsilon {
				epsilon, first, second = e, i, j
			}
		}
	}
	return epsilon, first, second
}
