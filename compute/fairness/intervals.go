package fairness

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

var normal = distuv.UnitNormal.Quantile(0.975)

func student(df float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(0.975)
}

// wilson is the score interval of a proportion of k in n (Wilson, JASA 22, 1927).
func wilson(k, n float64) (lower, upper float64) {
	p, z2 := k/n, normal*normal
	center := p + z2/(2*n)
	margin := normal * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	lower, upper = (center-margin)/(1+z2/n), (center+margin)/(1+z2/n)
	// At 0 and n the limit is exact; rounding must not put it beyond.
	if k == 0 {
		lower = 0
	}
	if k == n {
		upper = 1
	}
	return lower, upper
}

// newcombe is the hybrid score interval of p1 - p2 (Newcombe, Stat Med 17,
// 1998, method 10).
func newcombe(k1, n1, k2, n2 float64) (lower, upper float64) {
	p1, p2 := k1/n1, k2/n2
	l1, u1 := wilson(k1, n1)
	l2, u2 := wilson(k2, n2)
	d := p1 - p2
	return d - math.Hypot(p1-l1, u2-p2), d + math.Hypot(u1-p1, p2-l2)
}

// sample is what an interval for a mean needs.
type sample struct{ n, sum, squares float64 }

func (s sample) mean() float64 { return s.sum / s.n }

// variance of one observation, with n-1.
func (s sample) variance() float64 {
	return max(0, s.squares-s.sum*s.sum/s.n) / (s.n - 1)
}

func (s sample) interval() (lower, upper float64, ok bool) {
	if s.n < 2 {
		return 0, 0, false
	}
	margin := student(s.n-1) * math.Sqrt(s.variance()/s.n)
	return s.mean() - margin, s.mean() + margin, true
}

// welch is the interval of the difference of two means with unequal variances
// (Welch, Biometrika 34, 1947).
func welch(a, b sample) (lower, upper float64, ok bool) {
	if a.n < 2 || b.n < 2 {
		return 0, 0, false
	}
	va, vb := a.variance()/a.n, b.variance()/b.n
	d := a.mean() - b.mean()
	if va+vb == 0 {
		return d, d, true
	}
	df := (va + vb) * (va + vb) / (va*va/(a.n-1) + vb*vb/(b.n-1))
	margin := student(df) * math.Sqrt(va+vb)
	return d - margin, d + margin, true
}

// welchP is the p-value of equal means.
func welchP(a, b sample) float64 {
	if a.n < 2 || b.n < 2 {
		return 1
	}
	va, vb := a.variance()/a.n, b.variance()/b.n
	d := a.mean() - b.mean()
	if va+vb == 0 {
		return one(d == 0)
	}
	df := (va + vb) * (va + vb) / (va*va/(a.n-1) + vb*vb/(b.n-1))
	return 2 * distuv.StudentsT{Sigma: 1, Nu: df}.CDF(-math.Abs(d)/math.Sqrt(va+vb))
}

// scoreP is the p-value of equal proportions, by the pooled z test.
func scoreP(k1, n1, k2, n2 float64) float64 {
	p := (k1 + k2) / (n1 + n2)
	se := math.Sqrt(p * (1 - p) * (1/n1 + 1/n2))
	if se == 0 {
		return 1
	}
	return 2 * distuv.UnitNormal.CDF(-math.Abs(k1/n1-k2/n2)/se)
}

// katz is the interval of a ratio of proportions on the logarithm (Katz et al.,
// Biometrics 34, 1978).
func katz(k1, n1, k2, n2 float64) (ratio, lower, upper float64, ok bool) {
	if k1 == 0 || k2 == 0 {
		return 0, 0, 0, false
	}
	ratio = k1 / n1 / (k2 / n2)
	factor := math.Exp(normal * math.Sqrt(max(0, 1/k1-1/n1+1/k2-1/n2)))
	return ratio, ratio / factor, ratio * factor, true
}

// chiSquared is the upper tail.
func chiSquared(x, df float64) float64 { return distuv.ChiSquared{K: df}.Survival(x) }

// holm adjusts p-values for their number, step down (Holm, Scandinavian Journal
// of Statistics 6, 1979).
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	out, least := make([]float64, len(p)), 0.0
	for rank, i := range order {
		least = max(least, min(1, p[i]*float64(len(p)-rank)))
		out[i] = least
	}
	return out
}
