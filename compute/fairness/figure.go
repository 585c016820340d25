package fairness

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// figure is one group's value of a measure, with what its uncertainty is made
// of. Figures of one measure are of one type: a share, a sample, a tally of
// events against those expected, or an estimate with a standard error.
type figure interface {
	value() float64 // NaN without a denominator
	// minus is the interval of the difference from the other group's and the
	// p-value of none; over is the interval of the ratio.
	minus(other figure) (lower, upper, p float64, ok bool)
	over(other figure) (lower, upper float64, ok bool)
	method() string // of the interval of a difference
}

// share is k of n.
type share struct{ k, n float64 }

func (s share) value() float64 { return s.k / s.n }
func (share) method() string   { return "Newcombe" }

func (s share) minus(other figure) (lower, upper, p float64, ok bool) {
	o := other.(share)
	if s.n == 0 || o.n == 0 {
		return 0, 0, 1, false
	}
	lower, upper = newcombe(s.k, s.n, o.k, o.n)
	return lower, upper, scoreP(s.k, s.n, o.k, o.n), true
}

func (s share) over(other figure) (lower, upper float64, ok bool) {
	o := other.(share)
	_, lower, upper, ok = katz(s.k, s.n, o.k, o.n)
	return lower, upper, ok
}

func (s sample) value() float64 { return s.mean() }
func (sample) method() string   { return "Welch t" }

func (s sample) minus(other figure) (lower, upper, p float64, ok bool) {
	o := other.(sample)
	lower, upper, ok = welch(s, o)
	return lower, upper, welchP(s, o), ok
}

// over is the delta method on the logarithm.
func (s sample) over(other figure) (lower, upper float64, ok bool) {
	o := other.(sample)
	if s.n < 2 || o.n < 2 {
		return 0, 0, false
	}
	return estimated{s.mean(), math.Sqrt(s.variance() / s.n)}.over(estimated{o.mean(), math.Sqrt(o.variance() / o.n)})
}

// events observed, and expected by a model that is taken as given.
type events struct{ observed, expected float64 }

func (e events) value() float64 { return e.observed / e.expected }
func (events) method() string   { return "MOVER of the exact Poisson limits" }

// limits are Garwood's (Biometrika 28, 1936), of a Poisson count over what was
// expected.
func (e events) limits() (lower, upper float64) {
	if e.observed > 0 {
		lower = distuv.ChiSquared{K: 2 * e.observed}.Quantile(0.025) / 2
	}
	return lower / e.expected, distuv.ChiSquared{K: 2*e.observed + 2}.Quantile(0.975) / 2 / e.expected
}

// minus recovers variances from the limits of each (Zou and Donner, Statistics
// in Medicine 27, 2008); its p-value is of the score test of two rates.
func (e events) minus(other figure) (lower, upper, p float64, ok bool) {
	o := other.(events)
	if e.expected <= 0 || o.expected <= 0 {
		return 0, 0, 1, false
	}
	r1, r2 := e.value(), o.value()
	l1, u1 := e.limits()
	l2, u2 := o.limits()
	pooled := (e.observed + o.observed) / (e.expected + o.expected)
	p = 1
	if se := math.Sqrt(pooled * (1/e.expected + 1/o.expected)); se > 0 {
		p = 2 * distuv.UnitNormal.CDF(-math.Abs(r1-r2)/se)
	}
	d := r1 - r2
	return d - math.Hypot(r1-l1, u2-r2), d + math.Hypot(u1-r1, r2-l2), p, true
}

func (e events) over(other figure) (lower, upper float64, ok bool) {
	o := other.(events)
	if e.observed == 0 || o.observed == 0 || e.expected <= 0 || o.expected <= 0 {
		return 0, 0, false
	}
	ratio, factor := e.value()/o.value(), math.Exp(normal*math.Sqrt(1/e.observed+1/o.observed))
	return ratio / factor, ratio * factor, true
}

// estimated is a value with a standard error.
type estimated struct{ of, se float64 }

func (e estimated) value() float64 { return e.of }
func (estimated) method() string   { return "normal, of the standard errors" }

func (e estimated) minus(other figure) (lower, upper, p float64, ok bool) {
	o := other.(estimated)
	d, se := e.of-o.of, math.Hypot(e.se, o.se)
	if math.IsNaN(d) || !(se > 0) {
		return 0, 0, 1, false
	}
	return d - normal*se, d + normal*se, 2 * distuv.UnitNormal.CDF(-math.Abs(d)/se), true
}

func (e estimated) over(other figure) (lower, upper float64, ok bool) {
	o := other.(estimated)
	if !(e.of > 0) || !(o.of > 0) {
		return 0, 0, false
	}
	ratio, factor := e.of/o.of, math.Exp(normal*math.Hypot(e.se/e.of, o.se/o.of))
	return ratio / factor, ratio * factor, true
}

// limited is a value with the limits of its interval, which need not be as far from
// it on both sides; NaN limits for none.
type limited struct{ of, lower, upper float64 }

func (l limited) value() float64 { return l.of }
func (limited) method() string   { return "MOVER of the limits of each" }
func (l limited) known() bool    { return l.lower < l.upper }
func (l limited) se() float64    { return (l.upper - l.lower) / (2 * normal) }

// minus recovers variances from the limits of each (Zou and Donner, Statistics in
// Medicine 27, 2008). The p-value is of the variance on the sides that face each
// other, so that it is below 0.05 where the interval leaves out zero.
func (l limited) minus(other figure) (lower, upper, p float64, ok bool) {
	o := other.(limited)
	if !l.known() || !o.known() {
		return 0, 0, 1, false
	}
	d := l.of - o.of
	below, above := math.Hypot(l.of-l.lower, o.upper-o.of), math.Hypot(l.upper-l.of, o.of-o.lower)
	facing := below
	if d < 0 {
		facing = above
	}
	p = 1
	if facing > 0 {
		p = 2 * distuv.UnitNormal.CDF(-normal*math.Abs(d)/facing)
	}
	return d - below, d + above, p, true
}

// over does the same on the logarithm.
func (l limited) over(other figure) (lower, upper float64, ok bool) {
	o := other.(limited)
	if !l.known() || !o.known() || !(l.lower > 0) || !(o.lower > 0) {
		return 0, 0, false
	}
	below := math.Hypot(math.Log(l.of/l.lower), math.Log(o.upper/o.of))
	above := math.Hypot(math.Log(l.upper/l.of), math.Log(o.of/o.lower))
	return l.of / o.of * math.Exp(-below), l.of / o.of * math.Exp(above), true
}

// alike draws figures of groups as large as these that do not differ: shares and
// rates at the pooled one, other values with each group's own standard error.
// False where there is nothing to draw.
func alike(list []figure) (draw func(random *rand.Rand, out []float64), ok bool) {
	var total, of float64
	switch list[0].(type) {
	case share:
		for _, f := range list {
			total, of = total+f.(share).k, of+f.(share).n
		}
		return func(random *rand.Rand, out []float64) {
			for i, f := range list {
				n := f.(share).n
				out[i] = distuv.Binomial{N: n, P: total / of, Src: random}.Rand() / n
			}
		}, true
	case events:
		for _, f := range list {
			total, of = total+f.(events).observed, of+f.(events).expected
		}
		if total == 0 {
			return nil, false
		}
		return func(random *rand.Rand, out []float64) {
			for i, f := range list {
				expected := f.(events).expected
				out[i] = distuv.Poisson{Lambda: total / of * expected, Src: random}.Rand() / expected
			}
		}, true
	}
	se := make([]float64, len(list))
	for i, f := range list {
		switch f := f.(type) {
		case sample:
			if f.n < 2 {
				return nil, false
			}
			se[i] = math.Sqrt(f.variance() / f.n)
		case estimated:
			se[i] = f.se
		case interface{ se() float64 }: // of limits, and under noise
			se[i] = f.se()
		}
		if !(se[i] >= 0) {
			return nil, false // too few for a standard error
		}
	}
	return func(random *rand.Rand, out []float64) {
		for i := range out {
			out[i] = se[i] * random.NormFloat64()
		}
	}, true
}
