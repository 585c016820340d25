package glm

import (
	"errors"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
)

// StepQuadrature asks for the marginal likelihood of a model with a random
// intercept that has no closed form, and its derivatives.
const StepQuadrature = "glm/quadrature"

const (
	nodes = 25 // of each site's Gauss-Hermite rule
	// Standard deviations between sites, on the scale of the linear predictor.
	largestSD = 50
	// smallestSD is taken for none.
	smallestSD = 1e-5
)

// rule is the Gauss-Hermite rule: the integral of f(x) exp(-x^2).
var rule = func() (r struct{ x, logWeight [nodes]float64 }) {
	weights := make([]float64, nodes)
	quad.Hermite{}.FixedLocations(r.x[:], weights, math.Inf(-1), math.Inf(1))
	for k, w := range weights {
		r.logWeight[k] = math.Log(w)
	}
	return r
}()

// quadratureLayout is the log-likelihood, and its gradient and observed
// information by the coefficients and, last, the standard deviation between
// sites. A site's derivatives are cut at the bounds, which no site reaches near a
// fit: what a site's total score varies by, over the values that its intercept
// may have, is about what the information is.
func quadratureLayout(s *study.Study) []compute.Field {
	p, most := len(s.Terms())+1, maxRows*heaviest(s)
	b := familyOf(s, 0).bounds()
	layout := []compute.Field{count("patients")}
	if s.Model.Family == study.Binomial {
		layout = append(layout, count("positives"))
	}
	return append(layout, count("sites"),
		numbers("log_likelihood", 1, most*b.value+maxExponent),
		numbers("gradient", p, most*largest*b.slope*mostNode),
		numbers("information", triangle(p), most*largest*largest*max(b.weight, 1)*mostNode))
}

const (
	mostNode    = 1 << 8 // of a standard normal intercept, generously
	maxExponent = 1 << 12
)

func readQuadrature(s *study.Study, parameters []byte) (q newtonParameters, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if err := q.Centre.check(s); err != nil {
		return q, err
	}
	if q.Theta != nil {
		return q, errors.New("this step has no theta")
	}
	if q.SD == nil || !(*q.SD >= 0 && *q.SD <= largestSD) || math.Signbit(*q.SD) {
		return q, errors.New("the standard deviation between sites is outside the range in which sites evaluate the model")
	}
	return q, checkCoefficients(s, q.Coefficients)
}

func answerQuadrature(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	q, err := readQuadrature(s, parameters)
	if err != nil {
		return nil, err
	}
	f, c := q.family(s), newScale(s, q.Centre)
	p := len(c.mid)
	records, _ := weighted(m)
	value, gradient, information := 0.0, make([]float64, p+1), make([]float64, triangle(p+1))
	if records > 0 {
		value, gradient, information = integrate(f, c, m, predictors(m, c, q.Coefficients), *q.SD)
	}
	var out vector
	out.count(records)
	if f.name == study.Binomial {
		out.count(positives(m))
	}
	out.count(min(records, 1))
	out.one(value)
	out.all(gradient)
	out.all(information)
	at := 0
	for _, field := range quadratureLayout(s) {
		for range field.Length {
			out[at] = min(max(out[at], -field.Bound), field.Bound)
			at++
		}
	}
	return out, nil
}

// integrate is the log of the integral of the site's likelihood over its
// standard normal intercept u, which enters the linear predictors as sd*u, with
// its gradient and negative second derivatives. The rule is centred at the mode
// of the integrand and as wide as its curvature there (Pinheiro and Bates, J.
// Comput. Graph. Stat. 4, 1995); derivatives are moments under the integrand
// (Louis, J. R. Stat. Soc. B 44, 1982).
func integrate(f *family, c scale, m *study.Matrix, eta []float64, sd float64) (value float64, gradient, information []float64) {
	p, n := len(c.mid), len(eta)
	mode, curvature := modeOf(f, m, eta, sd)
	width := math.Sqrt(2 / curvature)

	// The integrand at the nodes, and for every record the slope and weight there.
	var u, height [nodes]float64
	slopes, weights := make([]float64, n*nodes), make([]float64, n*nodes)
	for k := range nodes {
		u[k] = mode + width*rule.x[k]
		total := compute.NewAccumulator(1)
		for i, e := range eta {
			w := m.Weight(i)
			at := f.at(m.Outcome(i), e+sd*u[k])
			total.Add(0, w*at.value)
			slopes[k*n+i], weights[k*n+i] = w*at.slope, w*at.weight
		}
		height[k] = total.Values()[0] - u[k]*u[k]/2 + rule.logWeight[k] + rule.x[k]*rule.x[k]
	}
	top := math.Inf(-1)
	for _, h := range height {
		top = max(top, h)
	}
	sum := 0.0
	var share [nodes]float64
	for k, h := range height {
		share[k] = math.Exp(h - top)
		sum += share[k]
	}
	value = top + math.Log(sum) + math.Log(width/math.Sqrt(2*math.Pi))

	// Each record's mean weight, by itself and with u and its square.
	mean, meanU, meanUU := make([]float64, n), make([]float64, n), make([]float64, n)
	for k := range nodes {
		share[k] /= sum
		for i := range n {
			w := share[k] * weights[k*n+i]
			mean[i] += w
			meanU[i] += w * u[k]
			meanUU[i] += w * u[k] * u[k]
		}
	}
	// The scores at every node: X'slope, and of the standard deviation.
	scores := make([]*columnSums, nodes)
	for k := range scores {
		scores[k] = newColumnSums(p)
	}
	within, cross := newCrossProducts(p), newColumnSums(p)
	eachBlock(m, c, func(x []float64, from, count int) {
		for k := range nodes {
			scores[k].add(x, slopes[k*n+from:k*n+from+count])
		}
		cross.add(x, meanU[from:from+count])
		scaleRows(x, mean[from:from+count])
		within.add(x, count)
	})
	square := 0.0
	for _, v := range meanUU {
		square += v
	}
	gradient = make([]float64, p+1)
	score := make([][]float64, nodes)
	for k := range nodes {
		score[k] = scores[k].values()
		// The intercept's column is of ones: its score is the sum of the slopes.
		score[k] = append(score[k], u[k]*score[k][0])
		for j, v := range score[k] {
			gradient[j] += share[k] * v
		}
	}
	withinV, crossV := within.values(), cross.values()
	information = make([]float64, triangle(p+1))
	for i := range p + 1 {
		for j := i; j <= p; j++ {
			v := square
			switch {
			case j < p:
				v = withinV[packed(p, i, j)]
			case i < p:
				v = crossV[i]
			}
			for k := range nodes {
				v -= share[k] * (score[k][i] - gradient[i]) * (score[k][j] - gradient[j])
			}
			information[packed(p+1, i, j)] = v
		}
	}
	return value, gradient, information
}

// modeOf is where the integrand is largest, and its negative second derivative
// there.
func modeOf(f *family, m *study.Matrix, eta []float64, sd float64) (u, curvature float64) {
	at := func(u float64) (value, slope, curvature float64) {
		value, slope, curvature = -u*u/2, -u, 1
		for i, e := range eta {
			if w := m.Weight(i); w > 0 {
				p := f.at(m.Outcome(i), e+sd*u)
				value += w * p.value
				slope += w * sd * p.slope
				curvature += w * sd * sd * p.weight
			}
		}
		return value, slope, curvature
	}
	value, slope, curvature := at(u)
	for range 200 {
		step := slope / curvature
		if math.Abs(step) <= 1e-12*(1+math.Abs(u)) {
			break
		}
		v, s, k := at(u + step)
		for range 60 {
			if v >= value-1e-12*math.Abs(value) {
				break
			}
			step /= 2
			v, s, k = at(u + step)
		}
		u += step
		value, slope, curvature = v, s, k
	}
	return u, curvature
}

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
	zero   bool // the standard deviation has come to zero
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
		if information.At(last, last) <= 0 && !b.zero {
			b.zero = true
			b.beta = append(append([]float64(nil), b.beta[:last]...), 0.1)
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
	step := f.solve(gradient)
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
	next[last] = min(max(next[last], b.beta[last]/5), b.beta[last]*5+0.1, largestSD)
	if next[last] < smallestSD {
		next[last] = 0
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
// matrix that leads uphill all the same.
func steep(information *mat.SymDense) (*factor, bool) {
	n := information.SymmetricDim()
	largest := 0.0
	for i := range n {
		largest = max(largest, math.Abs(information.At(i, i)))
	}
	for _, ridge := range []float64{0, 1e-3, 1e-2, 1e-1, 1, 10, 1e3} {
		a := mat.NewSymDense(n, nil)
		a.CopySym(information)
		for i := range n {
			a.SetSym(i, i, a.At(i, i)+ridge*(math.Abs(a.At(i, i))+1e-6*largest))
		}
		if f, ok := factorise(a); ok {
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
	inverse := f.inverse()
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
