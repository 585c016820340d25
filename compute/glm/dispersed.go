package glm

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mathext"
)

// dispersed says that a model with a random intercept estimates a dispersion
// together with the standard deviation between sites: 1/theta of the negative
// binomial, 1/shape of the gamma family.
func dispersed(s *study.Study) bool {
	return s.Model.Family == study.NegativeBinomial || s.Model.Family == study.Gamma
}

// local is what one record of weight one adds to the whole log-likelihood, the
// gamma family's normalising terms included, with its observed derivatives: by
// the linear predictor, and by the logarithm of the dispersion if there is one.
type local struct {
	value, slope, weight float64 // weight is the second derivative, negative
	score                float64 // by ln of the dispersion
	information, cross   float64 // second derivatives, negative: of that, and with the linear predictor
}

func (f *family) local(y, eta float64) local {
	if f.name == study.Gamma {
		return f.localGamma(y, eta)
	}
	at := f.at(y, eta)
	out := local{value: at.value, slope: at.slope, weight: at.weight}
	if f.name != study.NegativeBinomial {
		return out // the link is canonical: what is expected is what is observed
	}
	mu := math.Exp(min(max(eta, f.floor), f.ceiling))
	share := f.theta / (f.theta + mu)
	score, information := f.thetaSlope(y, eta)
	out.weight = mu * share * (f.theta + y) / (f.theta + mu)
	out.score, out.information = -score, information-score
	out.cross = (y - mu) * share * (1 - share)
	return out
}

func (f *family) localGamma(y, eta float64) local {
	eta = min(max(eta, f.floor), f.ceiling)
	a, g := f.theta, &f.shape
	logY := math.Log(y)
	logRatio := logY - eta
	ratio := min(math.Exp(logRatio), mostRatio)
	score := a * (1 + g.log - g.digamma + logRatio - ratio)
	return local{
		value: a*(g.log+logRatio-ratio) - logY - g.lgamma,
		slope: a * (ratio - 1), weight: a * ratio,
		score: -score, information: a*a*g.trigamma - a - score,
		cross: a * (ratio - 1),
	}
}

// shape is what the gamma family's likelihood needs of its shape alone.
type shape struct{ log, lgamma, digamma, trigamma float64 }

func shapeOf(a float64) shape {
	lgamma, _ := math.Lgamma(a)
	return shape{math.Log(a), lgamma, mathext.Digamma(a), mathext.Zeta(2, a)}
}

// byDispersion is what a site's records have together at every node of the rule:
// derivatives by ln of the dispersion, and for every record the mixed one.
type byDispersion struct {
	score, information [nodes]float64
	crosses            []float64
}

// localBounds of a local's slope, weight and derivatives by the dispersion near
// any fit; a step too far is cut there.
func (f *family) localBounds() (slope, weight float64) {
	b := f.bounds()
	switch f.name {
	case study.NegativeBinomial:
		return 4 * b.slope, 8 * b.slope
	case study.Gamma:
		return mostRatio, mostRatio
	}
	return b.slope, max(b.weight, 1)
}

// sameOutcome is the squared coefficient of variation below which an outcome is
// the same for all: the sums know no less.
const sameOutcome = 1e-12

// firstDispersion of a model with a random intercept is theta or the shape,
// about: what the outcome varies by on the whole.
func (a *start) firstDispersion(s *study.Study) (float64, error) {
	if s.Model.Family != study.Gamma {
		return a.theta(s), nil
	}
	if !(a.spread > sameOutcome*a.outcome*a.outcome) {
		return 0, &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "every patient has the same outcome, so there is nothing to explain"}
	}
	return min(max(a.outcome*a.outcome/a.spread, 0.05), 100), nil
}

// theta is the negative binomial's or the gamma family's shape: where the next
// round evaluates.
func (b *mixed) theta() float64 {
	return min(max(math.Exp(-b.beta[len(b.beta)-1]), smallestTheta), largestTheta)
}

// dispersionSteps are the shortest and the longest of the dispersion over which the likelihood is like
// its parabola: of 1/theta itself, relative, or of ln of 1/shape.
func (b *mixed) dispersionSteps() (shortest, longest float64) {
	if b.design.study.Model.Family == study.Gamma {
		return -2, 2
	}
	return -0.9, 2
}

func (b *mixed) tooLong(step float64) bool {
	shortest, longest := b.dispersionSteps()
	return !(step >= shortest && step <= longest)
}

// moveDispersion takes the Newton step of ln of the dispersion, cut.
func (b *mixed) moveDispersion(at, step float64) (float64, error) {
	gamma := b.design.study.Model.Family == study.Gamma
	shortest, longest := b.dispersionSteps()
	step = min(max(step, shortest), longest)
	if !gamma {
		step = math.Log1p(step)
	}
	at += step
	at = min(at, -math.Log(smallestTheta))
	if -at <= math.Log(poissonTheta) {
		return at, nil
	}
	message := "the counts vary no more than Poisson's do around each site's mean, so theta is infinite; use family: poisson"
	if gamma {
		message = "the outcome hardly varies around its mean, so the shape of the gamma family is infinite; look for features that determine the outcome"
	}
	return at, &compute.Diagnosis{Kind: compute.NoConvergence, Message: message}
}
