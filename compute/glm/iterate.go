package glm

import (
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

const (
	// A Newton step of this size, relative to the coefficients, is followed by
	// one that is its square.
	finestStep    = 1e-9
	coarsestStep  = 1e-4
	steadySteps   = 3    // steps in a row that do not shrink: a coefficient on its way to infinity
	flatDeviance  = 1e-6 // share of the null deviance that a step could still gain
	mostHalvings  = 30
	steadyRatio   = 0.5
	walkingPace   = 0.02 // of a linear predictor
	separatedStep = 0.05 // of the largest, to be named
	nullStep      = 1e-8 // of the intercept alone: its square is what the likelihood still lacks
	nullTheta     = 1e-6 // relative, of one over theta beside it: the same
	mostNullSteps = 60
	poissonTheta  = 1e6 // beyond it a negative binomial is a Poisson distribution
)

// phase of an iteration.
type phase int

const (
	nullFirst phase = iota // the null model, as the start
	whole
	nullAgain // the null model of the final patients
	nullLast  // its intercept at the theta of the whole model
)

// iteration is the coordinator's half of a fit by Newton's method. The same
// sums lead it through the same questions.
//
// It asks for the log-likelihood and its derivatives at the current
// coefficients and takes the Newton step, halving it while the penalised
// log-likelihood falls. It ends when both the step and the deviance it could
// still gain are negligible; standard errors come from the information of
// that last round. Theta of a negative binomial takes its own Newton step in
// every round: it is orthogonal to the coefficients.
//
// It starts from the null model, which has an intercept only and for negative
// binomial counts a theta of its own. Where there is an offset, or a theta, that
// takes a few rounds of its own; otherwise its first question is the null model's.
type iteration struct {
	design  *design
	family  *family
	means   []float64 // of all terms, original units
	penalty []float64
	phase   phase
	beta    []float64 // scaled, free terms: where the next round evaluates
	from    []float64 // where the last accepted round evaluated
	value   float64   // penalised log-likelihood there
	who     who       // patients there
	theta   float64   // of the negative binomial: where the next round evaluates
	fromTheta,
	thetaStep float64 // relative, of one over theta
	step   []float64 // last Newton step, before halving
	spread []float64 // of the columns, scaled: 1 for a level
	jumped bool      // the last step was not Newton's but combined from several
	path   []stretch // steps that led here, where they do not square the error
	halved int
	steady int
	rounds int         // of the whole fit
	nulls  int         // rounds of the null model
	null   *evaluation // the null model
	level  *evaluation // the null model at the whole model's theta: what the deviance is compared with
	last   *evaluation
	done   bool
	curve  []compute.Point
}

// who takes part: patients, and their weight or how many of them are positive.
type who [2]float64

// evaluation is an opened sum, read.
type evaluation struct {
	sum         compute.Sum
	who         who
	n           int
	value       float64 // log-likelihood
	deviance    float64
	gradient    []float64
	information *mat.SymDense
	beta        []float64
	theta       float64
	// of the end of a fit
	inverse      *mat.SymDense
	thetaError   float64
	contributors int
}

// newIteration starts from the intercept of the null model, on the scale of
// the linear predictor.
func newIteration(d *design, intercept, theta float64, means []float64) *iteration {
	it := &iteration{design: d, means: means, penalty: d.penalty(), beta: make([]float64, len(d.free)), theta: theta}
	it.family = familyOf(d.study, theta)
	if !d.ownIntercepts() {
		it.beta[0] = intercept
	}
	if d.study.Model.Family == study.Binomial && d.study.Model.Weights == nil && d.study.Model.Offset == nil && !d.ownIntercepts() {
		it.phase = whole // the counts know the null model's deviance
	}
	return it
}

func (it *iteration) parameters() ([]byte, error) {
	q := newtonParameters{Coefficients: it.design.spread(it.beta), Centre: it.design.centre}
	if it.family.name == study.NegativeBinomial {
		q.Theta = &it.theta
	}
	return compute.EncodeParameters(q)
}

// read takes the opened sum of the round.
func (it *iteration) read(sum compute.Sum) (*evaluation, error) {
	s := it.design.study
	it.family = familyOf(s, it.theta)
	layout := newtonLayout(s, it.family)
	if err := checkSum(sum, layout); err != nil {
		return nil, err
	}
	e := &evaluation{sum: sum, n: int(math.Round(sum.Field("patients")[0])), value: sum.Field("log_likelihood")[0],
		gradient: it.design.pick(sum.Field("gradient")), information: it.design.pickMatrix(sum.Field("information")),
		beta: it.beta, theta: it.theta, contributors: sum.Contributors}
	e.who = who{float64(e.n)}
	if s.Model.Weights != nil {
		e.who[1] = sum.Field("weight")[0]
	}
	e.deviance = -2 * e.value
	if it.family.name != study.Binomial {
		e.deviance = sum.Field("deviance")[0]
		return e, nil
	}
	positives := int(math.Round(sum.Field("positives")[0]))
	if e.who[1] == 0 {
		e.who[1] = float64(positives)
	}
	if positives == 0 || positives == e.n {
		return nil, &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "the outcome is the same for every patient, so nothing distinguishes those who respond"}
	}
	return e, nil
}

// absorb takes the sum of the round. An error that is a *compute.Diagnosis
// ends the fit.
func (it *iteration) absorb(sum compute.Sum) error {
	e, err := it.read(sum)
	if err != nil {
		return err
	}
	if it.phase != whole {
		at, err := it.absorbNull(e)
		if err != nil || !at {
			return err
		}
		it.level = e
		switch it.phase {
		case nullFirst:
			it.null, it.phase = e, whole
		case nullAgain:
			it.null = e
			it.askLevel()
			return nil
		case nullLast:
			it.done = true
			return nil
		}
	}
	return it.absorbWhole(e)
}

// absorbNull moves the intercept, and theta unless it is the whole model's, and
// says when they have arrived.
func (it *iteration) absorbNull(e *evaluation) (arrived bool, err error) {
	step, thetaStep := 0.0, 0.0
	if it.phase != nullLast {
		thetaStep = it.stepTheta(e)
	}
	theta := min(max(it.theta/(1+thetaStep), smallestTheta), poissonTheta)
	if it.design.ownIntercepts() {
		// Each site's own has arrived already. What the hair of a slope adds is
		// taken off again.
		more := e.gradient[0] * e.beta[0]
		e.value, e.deviance = e.value-more, e.deviance+2*more
	} else {
		step = e.gradient[0] / e.information.At(0, 0)
		if it.family.log() {
			step = math.Log1p(step) // exact for Poisson and gamma
		}
	}
	if math.IsNaN(step+thetaStep) || math.IsInf(step, 0) {
		return false, it.noConvergence()
	}
	if math.Abs(step) <= nullStep && (math.Abs(thetaStep) <= nullTheta || theta == it.theta) {
		return true, nil
	}
	if it.nulls++; it.nulls > mostNullSteps {
		return false, it.noConvergence()
	}
	it.beta = append([]float64{it.beta[0] + max(min(step, 20), -20)}, it.beta[1:]...)
	if thetaStep != 0 {
		it.theta = theta
	}
	return false, nil
}

func (it *iteration) absorbWhole(e *evaluation) error {
	s := it.design.study
	it.rounds++
	if p := len(it.beta); e.n <= p {
		return tooFew(p)
	}
	value := e.value
	for i, k := range it.penalty {
		value -= k / 2 * it.beta[i] * it.beta[i]
	}
	// A likelihood over other patients is no ground for halving: when a
	// hospital has dropped out the fit goes on from where it is.
	if it.from != nil && it.who == e.who && value < it.value-it.slack(e) {
		return it.halve()
	}

	normal := penalised(e.information, it.penalty)
	gradient := append([]float64(nil), e.gradient...)
	for i, k := range it.penalty {
		gradient[i] -= k * it.beta[i]
	}
	if it.from == nil {
		if err := it.examine(e, normal); err != nil {
			return err
		}
	}
	f, ok := cholesky.Factorise(normal)
	if !ok {
		return it.runaway()
	}
	step := f.Solve(gradient)
	step = add(step, f.Solve(residual(normal, step, gradient)))

	gain := 0.0 // of the log-likelihood, predicted, times two: Newton's decrement
	for i := range step {
		gain += step[i] * gradient[i]
	}
	it.thetaStep = it.stepTheta(e)
	largest := size(step)
	it.curve = append(it.curve, compute.Point{Round: it.rounds, Loss: e.deviance / float64(e.n), Step: &largest})
	penalisedDeviance := e.deviance + 2*(e.value-value)
	if gain <= s.Schedule.Tolerance*(penalisedDeviance+0.1) && size(step) <= it.fine()*(1+size(it.beta))+it.blur(e, f) && math.Abs(it.thetaStep) <= finestStep {
		it.arrive(e, step, gain, f)
		return nil
	}

	// Separation: the likelihood has all but converged while the coefficients
	// walk on at the same pace.
	it.steady++
	pace := size(it.moves(step))
	if it.step == nil || pace < steadyRatio*size(it.moves(it.step)) || pace < walkingPace || gain > flatDeviance*it.nullDeviance(e) || it.family.name == study.Gamma {
		it.steady = 0
	}
	it.step = step
	if s.Model.Ridge == 0 && it.steady >= steadySteps {
		return it.runaway()
	}
	if it.rounds >= s.Schedule.Rounds {
		return it.noConvergence()
	}
	it.from, it.fromTheta, it.value, it.who, it.halved = it.beta, it.theta, value, e.who, 0
	it.advance(step)
	return it.checkTheta()
}

// resolution is what the fixed point of a field leaves open in its sum.
func (it *iteration) resolution(e *evaluation, field string) float64 {
	for _, f := range newtonLayout(it.design.study, it.family) {
		if f.Name == field {
			return float64(e.contributors) * math.Ldexp(1, -f.FracBits)
		}
	}
	return 0
}

// slack is how far rounding alone may make a likelihood fall. Its terms may be
// far larger than itself.
func (it *iteration) slack(e *evaluation) float64 {
	return 1e-9*(1+math.Abs(it.value)) + it.resolution(e, "log_likelihood")
}

// blur is how far rounding alone moves a coefficient in a step.
func (it *iteration) blur(e *evaluation, f *cholesky.Factor) float64 {
	noise := make([]float64, len(it.beta))
	for i := range noise {
		noise[i] = it.resolution(e, "gradient")
	}
	largest := 0.0
	for _, v := range f.Solve(noise) {
		largest = max(largest, math.Abs(v))
	}
	return 4 * largest
}

func (it *iteration) halve() error {
	if it.halved++; it.halved > mostHalvings || it.rounds >= it.design.study.Schedule.Rounds {
		return it.noConvergence()
	}
	if it.jumped {
		it.jumped, it.path = false, nil
		it.beta = add(it.from, it.step)
		if it.theta > 0 {
			it.theta = it.fromTheta / (1 + it.thetaStep)
		}
		return nil
	}
	half := make([]float64, len(it.beta))
	for i := range half {
		half[i] = it.from[i]/2 + it.beta[i]/2
	}
	if slices.Equal(half, it.from) {
		return it.noConvergence()
	}
	it.beta, it.path = half, nil
	if it.theta > 0 {
		it.theta = math.Sqrt(it.fromTheta * it.theta)
	}
	return nil
}

// fine is the size of the last step, which squares the error: but where the
// expected information is not the observed one it only divides it.
func (it *iteration) fine() float64 {
	if it.family.name == study.NegativeBinomial || it.family.name == study.Gamma {
		return finestStep
	}
	return min(max(10*it.design.study.Schedule.Tolerance, finestStep), coarsestStep)
}

// arrive ends the fit. The last step is taken too: it costs nothing and
// squares the error.
func (it *iteration) arrive(e *evaluation, step []float64, gain float64, f *cholesky.Factor) {
	e.beta, e.inverse = add(it.beta, step), f.Inverse()
	if it.design.study.Model.Ridge == 0 {
		e.value += gain / 2
		e.deviance -= gain
	}
	if it.family.name == study.NegativeBinomial {
		e.thetaError = it.theta / math.Sqrt(e.sum.Field("theta_information")[0])
	}
	it.last = e
	switch {
	case it.null == nil:
		it.done = true
	case it.null.who != e.who:
		it.askNull(nullAgain, it.null.theta)
	default:
		it.askLevel()
	}
}

// askLevel ends the fit, or asks for the null model at the final theta.
func (it *iteration) askLevel() {
	if it.done = it.null.theta == it.last.theta; !it.done {
		it.askNull(nullLast, it.last.theta)
	}
}

// askNull goes back to the null model. No question is asked twice: the start is
// moved by a hair.
func (it *iteration) askNull(p phase, theta float64) {
	it.phase, it.theta = p, theta
	it.beta = make([]float64, len(it.beta))
	it.beta[0] = 1e-9
	if !it.design.ownIntercepts() {
		it.beta[0] = it.null.beta[0] + 1e-6
	}
}

func (it *iteration) nullDeviance(e *evaluation) float64 {
	if it.level != nil {
		return it.level.deviance
	}
	return binomialNull(e.who[0], e.who[1])
}

// binomialNull is the deviance of the model with an intercept only.
func binomialNull(n, positives float64) float64 {
	return -2 * (positives*math.Log(positives/n) + (n-positives)*math.Log((n-positives)/n))
}
