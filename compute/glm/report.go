package glm

import (
	"math"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// report is the model. The meat is that of robust standard errors, nil for
// those of the model.
func (it *iteration) report(meat *clusters) *Model {
	d, e := it.design, it.last
	beta, estimated, sites := e.beta, len(e.beta), 0
	if d.ownIntercepts() {
		sites = int(math.Round(e.sum.Field("sites")[0]))
		estimated += sites
	}
	df, dispersion := e.n-estimated, 1.0
	if it.family.name == study.Gamma {
		dispersion = e.sum.Field("pearson")[0] / float64(max(1, df))
	}
	covariance := scaled(e.inverse, dispersion)
	if meat != nil {
		covariance = meat.sandwich(e.inverse)
	}
	if d.ownIntercepts() {
		weight := e.sum.Field("site_weight")[0]
		a := average{intercept: e.sum.Field("intercepts")[0] / weight, slopes: make([]float64, len(beta)),
			variance: dispersion * e.sum.Field("intercept_variance")[0] / (weight * weight)}
		for i, j := range d.free {
			a.slopes[i] = e.sum.Field("intercept_slopes")[j] / weight
		}
		beta, covariance = d.withAverage(beta, covariance, a)
	}
	m := d.newModel(beta, covariance, e.n, df, e.contributors, it.means)
	m.Link, m.Iterations, m.Curve = it.family.link(), it.rounds, it.curve
	m.Dispersion, m.Deviance, m.NullDeviance = dispersion, e.deviance, it.nullDeviance(e)
	if it.family.name == study.Binomial {
		m.Positives = shown(d.study, e.sum.Field("positives")[0], e.n)
	}
	if d.ownIntercepts() {
		m.Sites = &sites
	}
	parameters := float64(estimated)
	m.LogLike = e.value
	switch it.family.name {
	case study.Binomial:
		m.NullLogLike = -m.NullDeviance / 2
	case study.Gamma:
		m.LogLike, m.NullLogLike = gammaLikelihood(e, e.deviance), gammaLikelihood(e, m.NullDeviance)
		parameters++
	case study.NegativeBinomial:
		m.Theta, m.ThetaStdError = &e.theta, &e.thetaError
		m.NullLogLike = it.null.value
		parameters++
	default:
		m.NullLogLike = it.null.value
	}
	if d.study.Model.Ridge > 0 {
		d.describePenalty(m, e.beta, it.penalty, 1, e.information, e.inverse)
		parameters += *m.EffectiveDF - float64(len(e.beta))
	}
	m.AIC = -2*m.LogLike + 2*parameters
	m.BIC = -2*m.LogLike + math.Log(float64(e.n))*parameters
	m.finish(d, meat)
	return m
}

// gammaLikelihood is the log-likelihood at the dispersion deviance/n, as R has
// it.
func gammaLikelihood(e *evaluation, deviance float64) float64 {
	weight := float64(e.n)
	if w := e.sum.Field("weight"); w != nil {
		weight = w[0]
	}
	logY := e.sum.Field("log_outcome")[0]
	shape := weight / deviance
	lgamma, _ := math.Lgamma(shape)
	// sum of w (log mu + y/mu), which the deviance holds.
	fitted := deviance/2 + logY + weight
	return (shape-1)*logY - shape*fitted + weight*(shape*math.Log(shape)-lgamma)
}

// shown is how many of n patients have the outcome; nil where these, or the others,
// are too few to be told.
func shown(s *study.Study, positives float64, n int) *int {
	k := int(math.Round(positives))
	if !disclosure.Share(k, n, s.Fairness.MinimumCell) {
		return nil
	}
	return &k
}
