package glm

import (
	"errors"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/integrate/quad"
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
// information by the coefficients, then the standard deviation between sites,
// then, if the family has one, the logarithm of its dispersion. A site's derivatives are cut at the bounds, which no site reaches near a
// fit: what a site's total score varies by, over the values that its intercept
// may have, is about what the information is.
func quadratureLayout(s *study.Study) []compute.Field {
	p, most := len(s.Terms())+1, maxRows*heaviest(s)
	if dispersed(s) {
		p++
	}
	f := familyOf(s, 0)
	slope, weight := f.localBounds()
	layout := []compute.Field{count("patients")}
	if s.Model.Family == study.Binomial {
		layout = append(layout, count("positives"))
	}
	return append(layout, count("sites"),
		numbers("log_likelihood", 1, most*f.bounds().value+maxExponent),
		numbers("gradient", p, most*largest*slope*mostNode),
		numbers("information", triangle(p), most*largest*largest*weight*mostNode))
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
	if (q.Theta != nil) != dispersed(s) {
		return q, errors.New("theta belongs to the negative binomial and the gamma family, and only there")
	}
	if q.Theta != nil && !(*q.Theta >= smallestTheta && *q.Theta <= largestTheta) {
		return q, errors.New("theta is outside the range in which sites evaluate the model")
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
	size := p + 1
	if q.Theta != nil {
		size++
	}
	value, gradient, information := 0.0, make([]float64, size), make([]float64, triangle(size))
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
	var d byDispersion
	size := p + 1
	if f.theta > 0 {
		d.crosses, size = make([]float64, n*nodes), p+2
	}
	for k := range nodes {
		u[k] = mode + width*rule.x[k]
		total := compute.NewAccumulator(1)
		for i, e := range eta {
			w := m.Weight(i)
			at := f.local(m.Outcome(i), e+sd*u[k])
			total.Add(0, w*at.value)
			slopes[k*n+i], weights[k*n+i] = w*at.slope, w*at.weight
			if d.crosses != nil {
				d.score[k] += w * at.score
				d.information[k] += w * at.information
				d.crosses[k*n+i] = w * at.cross
			}
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

	// Each record's mean weight, by itself and with u and its square, and the mean
	// of its mixed derivative.
	mean, meanU, meanUU, mixed := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	sdMixed, own := 0.0, 0.0
	for k := range nodes {
		share[k] /= sum
		for i := range n {
			w := share[k] * weights[k*n+i]
			mean[i] += w
			meanU[i] += w * u[k]
			meanUU[i] += w * u[k] * u[k]
		}
		if d.crosses != nil {
			for i, c := range d.crosses[k*n : k*n+n] {
				mixed[i] += share[k] * c
				sdMixed += share[k] * c * u[k]
			}
			own += share[k] * d.information[k]
		}
	}
	// The scores at every node: X'slope, and of the standard deviation.
	scores := make([]*columnSums, nodes)
	for k := range scores {
		scores[k] = newColumnSums(p)
	}
	within, cross, crossMixed := newCrossProducts(p), newColumnSums(p), newColumnSums(p)
	eachBlock(m, c, func(x []float64, from, count int) {
		for k := range nodes {
			scores[k].add(x, slopes[k*n+from:k*n+from+count])
		}
		cross.add(x, meanU[from:from+count])
		crossMixed.add(x, mixed[from:from+count])
		scaleRows(x, mean[from:from+count])
		within.add(x, count)
	})
	square := 0.0
	for _, v := range meanUU {
		square += v
	}
	gradient = make([]float64, size)
	score := make([][]float64, nodes)
	for k := range nodes {
		score[k] = scores[k].values()
		// The intercept's column is of ones: its score is the sum of the slopes.
		score[k] = append(score[k], u[k]*score[k][0])
		if d.crosses != nil {
			score[k] = append(score[k], d.score[k])
		}
		for j, v := range score[k] {
			gradient[j] += share[k] * v
		}
	}
	withinV, crossV, mixedV := within.values(), cross.values(), crossMixed.values()
	information = make([]float64, triangle(size))
	for i := range size {
		for j := i; j < size; j++ {
			v := 0.0
			switch {
			case j < p:
				v = withinV[packed(p, i, j)]
			case i < p && j == p:
				v = crossV[i]
			case i < p:
				v = mixedV[i]
			case j == p:
				v = square
			case i == p:
				v = sdMixed
			default:
				v = own
			}
			for k := range nodes {
				v -= share[k] * (score[k][i] - gradient[i]) * (score[k][j] - gradient[j])
			}
			information[packed(size, i, j)] = v
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
				p := f.local(m.Outcome(i), e+sd*u)
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
