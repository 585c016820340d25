package glm

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// mixed is the coordinator's half: Newton's method on the coefficients and the
// standard deviation together, by the observed information.
type mixed struct {
	design *design
	means  []float64
	beta   []float64 // scaled, free terms, then the standard deviation
	from   []float64
	value  float64
	who    who
	halved int
	rounds int
	zero   bool    // the standard deviation has been at zero, where it does not stay
	sd     float64 // the last above zero
	model  *Model
}

func newMixed(d *design, intercept float64, means []float64) *mixed {
	b := &mixed{design: d, means: means, beta: make([]float64, len(d.free)+1)}
	b.beta[0], b.beta[len(d.free)] = intercept, 0.5
	return b
}

func (b *mixed) parameters() ([]byte, error) {
	last := len(b.beta) - 1
	sd := b.beta[last] + 0
	return compute.EncodeParameters(newtonParameters{Coefficients: b.design.spread(b.beta[:last]), Centre: b.design.centre, SD: &sd})
}

func (b *mixed) absorb(sum compute.Sum) error {
	d := b.design
	s := d.study
	layout := quadratureLayout(s)
	if err := checkSum(sum, layout); err != nil {
		return err
	}
	n, last := int(math.Round(sum.Field("patients")[0])), len(b.beta)-1
	present := who{float64(n), sum.Field("sites")[0]}
	if n <= last {
		return tooFew(last)
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
		inner := mat.NewSymDense(last, nil)
		for i := range last {
			for j := i; j < last; j++ {
				inner.SetSym(i, j, information.At(i, j))
			}
		}
		if dependent := diagnoseCollinearity(inner, d.names(), float64(n)); dependent != nil {
			return dependent
		}
	}
	if b.beta[last] == 0 {
		// At zero the likelihood is level: it is symmetric in the sign.
		gradient[last] = 0
		if information.At(last, last) <= 0 && b.rounds < s.Schedule.Rounds {
			b.zero = true // it rises from there: zero was a step too far
			b.beta = append(append([]float64(nil), b.beta[:last]...), b.sd/5)
			b.from = nil
			return nil
		}
		for i := range last {
			information.SetSym(i, last, 0)
		}
		information.SetSym(last, last, math.Abs(information.At(last, last))+1)
	}
	f, ok := steep(information)
	if !ok {
		return nearlyDependent(d)
	}
	step := f.Solve(gradient)
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
	if b.beta[last] > 0 {
		b.sd = b.beta[last]
	}
	switch low := b.sd / 5; {
	case next[last] <= 0 && b.sd < 0.2 && !b.zero, next[last] < smallestSD && low < smallestSD:
		next[last] = 0
	default:
		next[last] = min(max(next[last], low), b.sd*5+0.1, largestSD)
	}
	b.beta = next
	return nil
}

// derivatives over the free terms and the standard deviation.
func (b *mixed) derivatives(sum compute.Sum) ([]float64, *mat.SymDense) {
	p := len(b.design.terms)
	all := append(append([]int(nil), b.design.free...), p)
	gradient, information := make([]float64, len(all)), mat.NewSymDense(len(all), nil)
	for i, at := range all {
		gradient[i] = sum.Field("gradient")[at]
		for j := i; j < len(all); j++ {
			information.SetSym(i, j, sum.Field("information")[packed(p+1, at, all[j])])
		}
	}
	return gradient, information
}

// steep factorises the information, or where the likelihood is not concave a
// matrix that leads uphill all the same: first without what the standard
// deviation has to do with the rest.
func steep(information *mat.SymDense) (*cholesky.Factor, bool) {
	n := information.SymmetricDim()
	if f, ok := cholesky.Factorise(information); ok {
		return f, true
	}
	apart := mat.NewSymDense(n, nil)
	apart.CopySym(information)
	for i := range n - 1 {
		apart.SetSym(i, n-1, 0)
	}
	apart.SetSym(n-1, n-1, math.Abs(information.At(n-1, n-1)))
	if f, ok := cholesky.Factorise(apart); ok {
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

func (b *mixed) noConvergence() *compute.Diagnosis {
	return &compute.Diagnosis{Kind: compute.NoConvergence,
		Message: "the model with a random intercept did not settle; allow more rounds in schedule.rounds, look for features that nearly determine the outcome, or use site_effects: fixed"}
}

func (b *mixed) finish(sum compute.Sum, n int, estimate []float64, value float64, information *mat.SymDense) {
	d, last := b.design, len(estimate)-1
	sd := max(0, estimate[last])
	f, _ := steep(information)
	inverse := f.Inverse()
	covariance := mat.NewSymDense(last, nil)
	for i := range last {
		for j := i; j < last; j++ {
			covariance.SetSym(i, j, inverse.At(i, j))
		}
	}
	m := d.newModel(estimate[:last], covariance, n, n-last-1, sum.Contributors, b.means)
	m.Link, m.Iterations, m.Dispersion = familyOf(d.study, 0).link(), b.rounds, 1
	variance := sd * sd
	m.RandomEffects = &RandomEffects{Method: "adaptive Gauss-Hermite quadrature, 25 points", Variance: variance, Sites: int(math.Round(sum.Field("sites")[0]))}
	if d.study.Model.Family == study.Binomial {
		positives := int(math.Round(sum.Field("positives")[0]))
		m.Positives = &positives
		icc := variance / (variance + math.Pi*math.Pi/3)
		m.RandomEffects.ICC = &icc
	}
	m.LogLike = value
	m.Deviance = -2 * value
	m.AIC = -2*value + 2*float64(last+1)
	m.BIC = -2*value + math.Log(float64(n))*float64(last+1)
	m.finish(d, nil)
	b.model = m
}
