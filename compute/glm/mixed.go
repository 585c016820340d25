package glm

import (
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// mixed is the coordinator's half: Newton's method on the coefficients, the
// standard deviation and the dispersion, if there is one, together, by the
// observed information. It maximises the marginal likelihood of the sites, in
// which the dispersion is a parameter like any other (glmmTMB does the same by
// Laplace's method; glmer of lme4 does not count the gamma family's dispersion).
type mixed struct {
	design *design
	means  []float64
	beta   []float64 // scaled, free terms, then the standard deviation, then ln of the dispersion
	from   []float64
	value  float64
	who    who
	halved int
	rounds int
	zero   bool    // the standard deviation has been at zero, where it does not stay
	sd     float64 // the last above zero
	model  *Model
}

func newMixed(d *design, intercept, theta float64, means []float64) *mixed {
	b := &mixed{design: d, means: means, beta: make([]float64, len(d.free)+1)}
	b.beta[0], b.beta[len(d.free)] = intercept, 0.5
	if dispersed(d.study) {
		b.beta = append(b.beta, -math.Log(theta))
	}
	return b
}

func (b *mixed) parameters() ([]byte, error) {
	at := len(b.design.free)
	sd := b.beta[at] + 0
	q := newtonParameters{Coefficients: b.design.spread(b.beta[:at]), Centre: b.design.centre, SD: &sd}
	if dispersed(b.design.study) {
		theta := b.theta()
		q.Theta = &theta
	}
	return compute.EncodeParameters(q)
}

func (b *mixed) absorb(sum compute.Sum) error {
	d := b.design
	s := d.study
	layout := quadratureLayout(s)
	if err := checkSum(sum, layout); err != nil {
		return err
	}
	n, at := int(math.Round(sum.Field("patients")[0])), len(d.free)
	present := who{float64(n), sum.Field("sites")[0]}
	if most := len(b.beta) - 1; n <= most {
		return tooFew(most)
	}
	if s.Model.Family == study.Binomial {
		if positives := sum.Field("positives")[0]; positives == 0 || positives == float64(n) {
			return &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "the outcome is the same for every patient, so nothing distinguishes those who respond"}
		}
	}
	value := sum.Field("log_likelihood")[0]
	b.rounds++
	if b.from != nil && b.who == present && value < b.value-1e-11*math.Abs(b.value) {
		if b.halved++; b.halved > mostHalvings || b.rounds >= s.Schedule.Rounds {
			return b.noConvergence()
		}
		half := make([]float64, len(b.beta))
		for i := range half {
			half[i] = b.from[i]/2 + b.beta[i]/2
		}
		b.beta = half
		return nil
	}
	gradient, information := b.derivatives(sum)
	if b.from == nil {
		inner := mat.NewSymDense(at, nil)
		for i := range at {
			for j := i; j < at; j++ {
				inner.SetSym(i, j, information.At(i, j))
			}
		}
		if dependent := diagnoseCollinearity(inner, d.names(), float64(n)); dependent != nil {
			return dependent
		}
	}
	if b.beta[at] == 0 {
		// At zero the likelihood is level: it is symmetric in the sign.
		gradient[at] = 0
		if information.At(at, at) <= 0 && b.rounds < s.Schedule.Rounds {
			b.zero = true // it rises from there: zero was a step too far
			b.beta = slices.Clone(b.beta)
			b.beta[at] = b.sd / 5
			b.from = nil
			return nil
		}
		own := math.Abs(information.At(at, at)) + 1
		for i := range b.beta {
			information.SetSym(i, at, 0)
		}
		information.SetSym(at, at, own)
	}
	curved := b.straight(information, gradient)
	f, ok := steep(curved, at)
	if !ok {
		return nearlyDependent(d)
	}
	step := f.Solve(gradient)
	if dispersed(s) && b.tooLong(step[at+1]) {
		// Cut by itself the step might lead downhill, unless each part leads uphill.
		if f, ok = cholesky.Factorise(setApart(curved, at)); ok {
			step = f.Solve(gradient)
		}
	}
	gain, largest, size := 0.0, 0.0, 0.0
	for i := range step {
		gain += step[i] * gradient[i]
		largest, size = max(largest, math.Abs(step[i])), max(size, math.Abs(b.beta[i]))
	}
	if gain <= s.Schedule.Tolerance*(2*math.Abs(value)+0.1) && largest <= 1e-7*(1+size) {
		b.finish(sum, n, add(b.beta, step), value+gain/2, information)
		return nil
	}
	if b.rounds >= s.Schedule.Rounds {
		return b.noConvergence()
	}
	b.from, b.value, b.who, b.halved = b.beta, value, present, 0
	next := add(b.beta, step)
	if b.beta[at] > 0 {
		b.sd = b.beta[at]
	}
	switch low := b.sd / 5; {
	case next[at] <= 0 && b.sd < 0.2 && !b.zero, next[at] < smallestSD && low < smallestSD:
		next[at] = 0
	default:
		next[at] = min(max(next[at], low), b.sd*5+0.1, largestSD)
	}
	if dispersed(s) {
		var err error
		if next[at+1], err = b.moveDispersion(b.beta[at+1], step[at+1]); err != nil {
			return err
		}
	}
	b.beta = next
	return nil
}

// straight is the information about 1/theta of a negative binomial, relative,
// for that about its logarithm: up to Poisson's distribution at zero the
// likelihood is close to a parabola in 1/theta itself.
func (b *mixed) straight(information *mat.SymDense, gradient []float64) *mat.SymDense {
	if b.design.study.Model.Family != study.NegativeBinomial {
		return information
	}
	k := len(gradient) - 1
	out := mat.NewSymDense(k+1, nil)
	out.CopySym(information)
	out.SetSym(k, k, information.At(k, k)+gradient[k])
	return out
}

// derivatives over the free terms, the standard deviation and the dispersion.
func (b *mixed) derivatives(sum compute.Sum) ([]float64, *mat.SymDense) {
	p := len(b.design.terms)
	all, size := append(slices.Clone(b.design.free), p), p+1
	if dispersed(b.design.study) {
		all, size = append(all, p+1), p+2
	}
	gradient, information := make([]float64, len(all)), mat.NewSymDense(len(all), nil)
	for i, at := range all {
		gradient[i] = sum.Field("gradient")[at]
		for j := i; j < len(all); j++ {
			information.SetSym(i, j, sum.Field("information")[packed(size, at, all[j])])
		}
	}
	return gradient, information
}

// steep factorises the information, or where the likelihood is not concave a
// matrix that leads uphill all the same: first without what the standard
// deviation and the dispersion, from the given index on, have to do with the rest.
func steep(information *mat.SymDense, from int) (*cholesky.Factor, bool) {
	n := information.SymmetricDim()
	if f, ok := cholesky.Factorise(information); ok {
		return f, true
	}
	if f, ok := cholesky.Factorise(setApart(information, from)); ok {
		return f, true
	}
	largest := 0.0
	for i := range n {
		largest = max(largest, math.Abs(information.At(i, i)))
	}
	for _, ridge := range []float64{1e-3, 1e-2, 1e-1, 1, 10, 1e3} {
		a := mat.NewSymDense(n, nil)
		a.CopySym(information)
		for i := range n {
			a.SetSym(i, i, a.At(i, i)+ridge*(math.Abs(a.At(i, i))+1e-6*largest))
		}
		if f, ok := cholesky.Factorise(a); ok {
			return f, true
		}
	}
	return nil, false
}

// setApart is the information without what the parameters from an index on have
// to do with the rest and with each other.
func setApart(information *mat.SymDense, from int) *mat.SymDense {
	n := information.SymmetricDim()
	apart := mat.NewSymDense(n, nil)
	apart.CopySym(information)
	for j := from; j < n; j++ {
		for i := range j {
			apart.SetSym(i, j, 0)
		}
		apart.SetSym(j, j, math.Abs(information.At(j, j)))
	}
	return apart
}

func (b *mixed) noConvergence() *compute.Diagnosis {
	return &compute.Diagnosis{Kind: compute.NoConvergence,
		Message: "the model with a random intercept did not settle; allow more rounds in schedule.rounds, look for features that nearly determine the outcome, or use site_effects: fixed"}
}

func (b *mixed) finish(sum compute.Sum, n int, estimate []float64, value float64, information *mat.SymDense) {
	d, at, parameters := b.design, len(b.design.free), float64(len(estimate))
	sd := max(0, estimate[at])
	f, _ := steep(information, at)
	inverse := f.Inverse()
	covariance := mat.NewSymDense(at, nil)
	for i := range at {
		for j := i; j < at; j++ {
			covariance.SetSym(i, j, inverse.At(i, j))
		}
	}
	m := d.newModel(estimate[:at], covariance, n, n-len(estimate), sum.Contributors, b.means)
	m.Link, m.Iterations, m.Dispersion = familyOf(d.study, 0).link(), b.rounds, 1
	variance := sd * sd
	m.RandomEffects = &RandomEffects{Method: "adaptive Gauss-Hermite quadrature, 25 points", Variance: variance, Sites: int(math.Round(sum.Field("sites")[0]))}
	if d.study.Model.Family == study.Binomial {
		m.Positives = shown(d.study, sum.Field("positives")[0], n)
		icc := variance / (variance + math.Pi*math.Pi/3)
		m.RandomEffects.ICC = &icc
	}
	if dispersed(d.study) {
		k := at + 1
		theta := math.Exp(-estimate[k])
		if d.study.Model.Family == study.Gamma {
			// ln of the dispersion is what is fitted.
			dispersionError := math.Sqrt(inverse.At(k, k)) / theta
			m.Dispersion, m.DispersionStdError = 1/theta, &dispersionError
		} else {
			thetaError := theta * math.Sqrt(inverse.At(k, k))
			m.Theta, m.ThetaStdError = &theta, &thetaError
		}
	}
	m.LogLike = value
	m.Deviance = -2 * value
	m.AIC = -2*value + 2*parameters
	m.BIC = -2*value + math.Log(float64(n))*parameters
	m.finish(d, nil)
	b.model = m
}
