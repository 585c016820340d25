package drift

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// shares of counts. A bin without anybody counts as half a patient where the
// other window has somebody, since a logarithm of zero says nothing.
func shares(a, b []float64) (p, q []float64) {
	p, q = make([]float64, len(a)), make([]float64, len(b))
	n, m := 0.0, 0.0
	for i := range a {
		p[i], q[i] = a[i], b[i]
		if a[i] == 0 && b[i] > 0 {
			p[i] = 0.5
		}
		if b[i] == 0 && a[i] > 0 {
			q[i] = 0.5
		}
		n, m = n+p[i], m+q[i]
	}
	for i := range p {
		p[i], q[i] = p[i]/n, q[i]/m
	}
	return p, q
}

// PSI is the population stability index of two histograms of counts, the sum of
// (q-p) ln(q/p) over bins: 0 for equal shares. An empty bin counts as half a
// patient.
func PSI(baseline, now []float64) float64 {
	p, q := shares(baseline, now)
	sum := 0.0
	for i := range p {
		if p[i] > 0 {
			sum += (q[i] - p[i]) * math.Log(q[i]/p[i])
		}
	}
	return sum
}

// psiNoise is what the index of two windows from the same patients exceeds with
// probability alpha, or less: the index is then about chi-squared with a degree of
// freedom less than there are bins, times 1/n + 1/m. In bins of few patients the
// logarithm makes it larger than that, by about one part in as many as the smaller
// window is to have in its smallest bin; below four that goes no further, since an
// empty bin counts as half a patient. (Alone, chi-squared was passed by 60 patients in
// ten bins twice as often as it says at 0.05, and four times at 0.0001.)
func psiNoise(baseline, now []float64, alpha float64) float64 {
	bins, n, m := len(baseline), total(baseline), total(now)
	if bins < 2 {
		return 0
	}
	fewest := n + m
	for i := range baseline {
		fewest = min(fewest, baseline[i]+now[i])
	}
	fewest *= min(n, m) / (n + m)
	return distuv.ChiSquared{K: float64(bins - 1)}.Quantile(1-alpha) * (1/n + 1/m) * (1 + 1/max(fewest, 4))
}

// JensenShannon is the divergence of two histograms of counts in bits, from 0
// for equal shares to 1 for no bin in common.
func JensenShannon(baseline, now []float64) float64 {
	n, m := total(baseline), total(now)
	sum := 0.0
	add := func(p, middle float64) {
		if p > 0 {
			sum += p * math.Log2(p/middle) / 2
		}
	}
	for i := range baseline {
		p, q := baseline[i]/n, now[i]/m
		add(p, (p+q)/2)
		add(q, (p+q)/2)
	}
	return max(0, sum)
}

// KolmogorovSmirnov is the largest difference of the cumulated shares at the
// edges of the bins. That of the values themselves is larger by at most the bound.
func KolmogorovSmirnov(baseline, now []float64) (distance, bound float64) {
	n, m := total(baseline), total(now)
	below := 0.0
	for i := range baseline {
		p, q := baseline[i]/n, now[i]/m
		below += q - p
		distance = max(distance, math.Abs(below))
		bound = max(bound, min(p, q))
	}
	return distance, bound
}

func total(counts []float64) (n float64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// merge joins bins until each holds at least so many in the baseline: neighbours
// where the bins have an order, all small ones together where they have none. It
// looks at the baseline alone, so that a shift into bins that were empty does not
// join them away; strictly, a bin has nobody or as many now, too, since a distance
// with all its digits, of two bins, gives their counts away.
func merge(baseline, now []float64, least float64, ordered, strictly bool) (a, b []float64) {
	enough := func(p, q float64) bool { return p >= least && (!strictly || q == 0 || q >= least) }
	if !ordered {
		return mergeLevels(baseline, now, enough)
	}
	p, q := 0.0, 0.0
	for i := range baseline {
		p, q = p+baseline[i], q+now[i]
		if enough(p, q) {
			a, b = append(a, p), append(b, q)
			p, q = 0, 0
		}
	}
	if (p > 0 || q > 0) && len(a) > 0 {
		last := len(a) - 1
		a[last], b[last] = a[last]+p, b[last]+q
		for ; last > 0 && !enough(a[last], b[last]); last-- {
			a[last-1], b[last-1] = a[last-1]+a[last], b[last-1]+b[last]
			a, b = a[:last], b[:last]
		}
	}
	return a, b
}

func mergeLevels(baseline, now []float64, enough func(p, q float64) bool) (a, b []float64) {
	p, q := 0.0, 0.0
	for i := range baseline {
		if enough(baseline[i], now[i]) {
			a, b = append(a, baseline[i]), append(b, now[i])
		} else {
			p, q = p+baseline[i], q+now[i]
		}
	}
	switch {
	case p == 0 && q == 0:
	case enough(p, q) || len(a) == 0:
		a, b = append(a, p), append(b, q)
	default:
		small := 0
		for i := range a {
			fits, before := enough(a[i]+p, b[i]+q), enough(a[small]+p, b[small]+q)
			if fits && !before || fits == before && a[i] < a[small] {
				small = i
			}
		}
		a[small] += p
		b[small] += q
	}
	return a, b
}
