package glm

import (
	"math"

	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mathext"
)

const (
	// headroom is how far, on the scale of a logarithm, a mean may leave the
	// declared range of the outcome: a mean of 3 000 times the largest outcome
	// is no fit, only a step too far, and is taken as if it were that.
	headroom = 8
	// lowest is the least linear predictor under a log link: its mean is zero to
	// three hundred digits.
	lowest = -700
	// tail is where a logistic probability is certain beyond any doubt.
	tail = 4096
	// Thetas of a negative binomial outside are no estimates: at the upper end
	// the counts vary as Poisson's do.
	smallestTheta, largestTheta = 1e-3, 1e7
	// mostRatio cuts an outcome of the gamma family in units of its mean, and
	// mostPearson its squared relative residual: no fit is so far off, only a step
	// too far.
	mostRatio   = 1 << 20
	mostPearson = 1 << 24
)

// family is a distribution with its link, and the bounds within which a linear
// predictor is taken.
type family struct {
	name           string
	theta          float64 // of the negative binomial; the shape of a gamma model with a random intercept
	lo, hi         float64 // of the outcome
	floor, ceiling float64 // of the linear predictor
	rising         map[float64]rising
	shape          shape // of gamma, if theta is one
}

func familyOf(s *study.Study, theta float64) *family {
	f := &family{name: s.Model.Family, theta: theta, floor: -tail, ceiling: tail, rising: map[float64]rising{}}
	f.lo, f.hi = s.Outcome.Bounds()
	if f.log() {
		f.floor, f.ceiling = lowest, math.Log(max(f.hi, 1))+headroom
	}
	if f.name == study.Gamma {
		f.floor, f.ceiling = math.Log(f.lo)-headroom, math.Log(f.hi)+headroom
		if theta > 0 {
			f.shape = shapeOf(theta)
		}
	}
	return f
}

// log says that the link is the logarithm.
func (f *family) log() bool { return f.name != study.Gaussian && f.name != study.Binomial }

// link is its name.
func (f *family) link() string {
	switch {
	case f.name == study.Gaussian:
		return "identity"
	case f.name == study.Binomial:
		return "logit"
	}
	return "log"
}

// point is what one record of weight one adds at a linear predictor.
type point struct {
	value    float64 // log-likelihood; of the gamma family that of dispersion 1 without what depends on the outcome alone
	slope    float64 // derivative of the value
	weight   float64 // expected second derivative, negative
	deviance float64 // twice what the value falls short of the best
}

// at takes an outcome in its own unit.
func (f *family) at(y, eta float64) point {
	eta = min(max(eta, f.floor), f.ceiling)
	switch f.name {
	case study.Binomial:
		mu, variance := logistic(eta)
		rest := y - mu
		if y == 1 {
			rest, _ = logistic(-eta) // 1 - mu without cancellation when mu is near 1
		}
		value := y*eta - softplus(eta)
		return point{value, rest, variance, -2 * value}
	case study.Gamma:
		ratio := min(y*math.Exp(-eta), mostRatio)
		return point{-ratio - eta, ratio - 1, 1, 2 * (ratio - 1 - math.Log(y) + eta)}
	case study.Poisson:
		mu := math.Exp(eta)
		factorial, _ := math.Lgamma(y + 1)
		return point{y*eta - mu - factorial, y - mu, mu, 2 * (xlogx(y) - y*eta - (y - mu))}
	}
	mu, theta := math.Exp(eta), f.theta
	share := theta / (theta + mu)
	spread := math.Log1p(mu / theta)
	factorial, _ := math.Lgamma(y + 1)
	return point{
		value:    f.rise(y).log - factorial + y*eta - (y+theta)*spread,
		slope:    (y - mu) * share,
		weight:   mu * share,
		deviance: 2 * (xlogx(y) - y*eta - (y+theta)*(math.Log1p(y/theta)-spread)),
	}
}

// mean of the outcome at a linear predictor.
func (f *family) mean(eta float64) float64 {
	switch {
	case f.name == study.Binomial:
		mu, _ := logistic(eta)
		return mu
	case f.log():
		return math.Exp(min(max(eta, f.floor), f.ceiling))
	}
	return eta
}

// bounds of a point's numbers, for any outcome in its range and any predictor.
func (f *family) bounds() point {
	switch f.name {
	case study.Binomial:
		return point{2 * tail, 1, 0.25, 4 * tail}
	case study.Gamma:
		reach := max(math.Abs(f.floor), math.Abs(f.ceiling)) + 1
		return point{mostRatio + reach, mostRatio, 1, 2 * (mostRatio + 2*reach)}
	}
	mu, y := math.Exp(f.ceiling), f.hi
	factorial, _ := math.Lgamma(y + 1)
	value := y*(math.Abs(f.floor)+f.ceiling) + mu + math.Abs(factorial)
	out := point{value, max(mu, y), mu, 2 * (value + y*math.Log(max(y, 1)) + y + 1)}
	if f.name == study.NegativeBinomial {
		more := 2 * y * (2 + math.Log1p(max(mu, y)/smallestTheta))
		out.value += more
		out.deviance += 2 * more
	}
	return out
}

// xlogx is y ln y, 0 at 0.
func xlogx(y float64) float64 {
	if y == 0 {
		return 0
	}
	return y * math.Log(y)
}

// rising are sums over k = 0 .. y-1 that the negative binomial needs of a
// count y: of ln(1+k/theta), theta/(theta+k) and its square. They are
// lgamma(theta+y)-lgamma(theta)-y ln(theta) and the differences of its
// derivatives, without their cancellation.
type rising struct{ log, first, second float64 }

const longestSum = 1000

func (f *family) rise(y float64) rising {
	if r, ok := f.rising[y]; ok {
		return r
	}
	var r rising
	theta := f.theta
	for k := 0.0; k < min(y, longestSum); k++ {
		share := theta / (theta + k)
		r.log += math.Log1p(k / theta)
		r.first += share
		r.second += share * share
	}
	if y > longestSum {
		from := theta + longestSum
		r.log += stirlingLgamma(theta+y) - stirlingLgamma(from) - (y-longestSum)*math.Log(theta)
		r.first += theta * (mathext.Digamma(theta+y) - mathext.Digamma(from))
		r.second += theta * theta * (mathext.Zeta(2, from) - mathext.Zeta(2, theta+y))
	}
	f.rising[y] = r
	return r
}

// stirlingLgamma is ln of the gamma function for x of at least 20.
func stirlingLgamma(x float64) float64 {
	return (x-0.5)*math.Log(x) - x + math.Log(2*math.Pi)/2 + stirling(x)
}

// thetaSlope is the derivative of the negative binomial's log-likelihood by
// ln(theta), and the observed information about theta times its square, of one
// record (the score and information of theta.ml in R's MASS).
func (f *family) thetaSlope(y, eta float64) (score, information float64) {
	mu, theta := math.Exp(min(max(eta, f.floor), f.ceiling)), f.theta
	r, share := f.rise(y), theta/(theta+mu)
	score = r.first - theta*math.Log1p(mu/theta) + share*(mu-y)
	information = r.second - mu*share*(1-share) - y*share*share
	return score, information
}

// logistic returns 1/(1+exp(-eta)) and the variance mu(1-mu), both accurate
// in the tails.
func logistic(eta float64) (mu, variance float64) {
	e := math.Exp(-math.Abs(eta))
	small := e / (1 + e)
	variance = small / (1 + e)
	if eta < 0 {
		return small, variance
	}
	return 1 / (1 + e), variance
}

// softplus is ln(1 + exp(eta)).
func softplus(eta float64) float64 {
	return math.Max(eta, 0) + math.Log1p(math.Exp(-math.Abs(eta)))
}
