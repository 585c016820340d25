package fairness

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Figures of noisy sums. Their intervals hold the chance of sampling and the noise,
// whose variance is known exactly.

// heavier widens the variance of the noise: of the two-sided geometric distribution
// 95% lie within ln(20)/epsilon, and not within 1.96 standard deviations as of a
// normal one. Of a sum of many cells that is more than is needed.
var heavier = math.Pow(math.Log(20)/(normal*math.Sqrt2), 2)

// audible is how many standard deviations of its noise a count must be for anything
// to be divided by it.
const audible = 4

// noisyShare is k of n, where k and the rest of n carry noise of their own.
type noisyShare struct{ k, n, noiseK, noiseRest float64 }

// counts reports whether there is enough to divide by.
func (s noisyShare) counts() bool { return s.n > audible*math.Sqrt(s.noiseK+s.noiseRest) && s.n >= 1 }

func (s noisyShare) value() float64 {
	if !s.counts() {
		return math.NaN()
	}
	return min(max(s.k/s.n, 0), 1)
}

func (noisyShare) method() string { return "Wilson and Newcombe, widened by the noise" }

// variance of k/n where the share is p.
func (s noisyShare) variance(p float64) float64 {
	return (s.n*p*(1-p) + heavier*((1-p)*(1-p)*s.noiseK+p*p*s.noiseRest)) / (s.n * s.n)
}

// limits are the shares p that k - pn is compatible with: Wilson's interval, which
// they are without noise, by Fieller's argument.
func (s noisyShare) limits() (lower, upper float64, ok bool) {
	if !s.counts() {
		return 0, 0, false
	}
	z2, k, rest := normal*normal, heavier*s.noiseK, heavier*s.noiseRest
	a := s.n*s.n + z2*s.n - z2*(k+rest)
	b := 2*s.k*s.n + z2*s.n - 2*z2*k
	c := s.k*s.k - z2*k
	root := math.Sqrt(max(0, b*b-4*a*c))
	p := s.value() // which rounding must not leave outside
	return min(max((b-root)/(2*a), 0), p), max(min((b+root)/(2*a), 1), p), a > 0
}

func (s noisyShare) minus(other figure) (lower, upper, p float64, ok bool) {
	o := other.(noisyShare)
	l1, u1, ok1 := s.limits()
	l2, u2, ok2 := o.limits()
	if !ok1 || !ok2 {
		return 0, 0, 1, false
	}
	p1, p2 := s.value(), o.value()
	d := p1 - p2
	pooled := min(max((s.k+o.k)/(s.n+o.n), 0), 1)
	p = 1
	if se := math.Sqrt(s.variance(pooled) + o.variance(pooled)); se > 0 {
		p = 2 * distuv.UnitNormal.CDF(-math.Abs(d)/se)
	}
	return d - math.Hypot(p1-l1, u2-p2), d + math.Hypot(u1-p1, p2-l2), p, true
}

// over is the delta method on the logarithm, of shares that are audible themselves.
func (s noisyShare) over(other figure) (lower, upper float64, ok bool) {
	o := other.(noisyShare)
	variance := 0.0
	for _, x := range []noisyShare{s, o} {
		if !x.counts() || x.k < 1 || x.k <= audible*math.Sqrt(x.noiseK) {
			return 0, 0, false
		}
		p := x.value()
		variance += x.variance(p) / (p * p)
	}
	ratio, factor := s.value()/o.value(), math.Exp(normal*math.Sqrt(variance))
	return ratio / factor, ratio * factor, true
}

// se is the standard error of the share as it is.
func (s noisyShare) se() float64 { return math.Sqrt(s.variance(s.value())) }

// noisyMean is a total over n, both noisy, with the variance of one patient's part.
func noisyMean(total, noiseTotal, n, noiseN, one float64) estimated {
	if n <= audible*math.Sqrt(noiseN) || n < 1 {
		return estimated{math.NaN(), 0}
	}
	m := total / n
	return estimated{m, math.Sqrt(max(0, one)*n+heavier*(noiseTotal+m*m*noiseN)) / n}
}
