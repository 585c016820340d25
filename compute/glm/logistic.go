package glm

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
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
	separatedStep = 0.05 // of the largest, to be named
)

// Logistic is the coordinator's half of the binomial fit. The same sums lead
// it through the same questions.
//
// It asks for the log-likelihood and its derivatives at the current
// coefficients and takes the Newton step, halving it while the penalised
// log-likelihood falls. It ends when both the step and the deviance it could
// still gain are negligible; standard errors come from the information of
// that last round.
type Logistic struct {
	design  *Design
	means   []float64 // of all terms, original units
	penalty []float64
	beta    []float64 // scaled, kept terms: where the next round evaluates
	from    []float64 // where the last accepted round evaluated
	value   float64   // penalised log-likelihood there
	who     [2]int    // patients and positives there
	step    []float64 // last Newton step, before halving
	halved  int
	steady  int
	rounds  int
	model   *Model
}

// NewLogistic starts from the prevalence and no effects. The means are those
// of all columns in original units.
func NewLogistic(d *Design, prevalence float64, means []float64) *Logistic {
	l := &Logistic{design: d, means: means, penalty: d.penalty(), beta: make([]float64, len(d.kept))}
	l.beta[0] = math.Log(prevalence / (1 - prevalence))
	return l
}

// Parameters of the next round.
func (l *Logistic) Parameters() ([]byte, error) {
	all := l.design.spread(l.beta)
	for j := range all {
		if all[j] == 0 {
			all[j] = 0 // minus zero has no second spelling
		}
	}
	return compute.EncodeParameters(newtonParameters{all, l.design.centre})
}

// Model is the result, nil until Absorb has said that the fit is done.
func (l *Logistic) Model() *Model { return l.model }

// Absorb takes the sum of the round. An error that is a *compute.Diagnosis
// ends the fit.
func (l *Logistic) Absorb(sum compute.Sum) (done bool, err error) {
	s := l.design.study
	if err := checkSum(sum, NewtonLayout(s)); err != nil {
		return false, err
	}
	l.rounds++
	n := int(math.Round(sum.Field("patients")[0]))
	positives := int(math.Round(sum.Field("positives")[0]))
	p := len(l.design.kept)
	if n <= p {
		return false, tooFew(p)
	}
	if positives == 0 || positives == n {
		return false, &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "the outcome is the same for every patient, so nothing distinguishes those who respond"}
	}
	likelihood := sum.Field("log_likelihood")[0]
	value := likelihood
	for i, k := range l.penalty {
		value -= k / 2 * l.beta[i] * l.beta[i]
	}

	// A likelihood over other patients is no ground for halving: when a
	// hospital has dropped out the fit goes on from where it is.
	who := [2]int{n, positives}
	if l.from != nil && l.who == who && value < l.value-1e-12*math.Abs(l.value) {
		if l.halved++; l.halved > mostHalvings || l.rounds >= s.Schedule.Rounds {
			return false, l.noConvergence()
		}
		for i := range l.beta {
			l.beta[i] = l.from[i]/2 + l.beta[i]/2
		}
		return false, nil
	}

	information := l.design.keepMatrix(sum.Field("information"))
	normal := mat.NewSymDense(p, nil)
	normal.CopySym(information)
	gradient := l.design.keep(sum.Field("gradient"))
	for i, k := range l.penalty {
		normal.SetSym(i, i, normal.At(i, i)+k)
		gradient[i] -= k * l.beta[i]
	}
	if l.from == nil {
		// With equal weights the information has the rank of the columns.
		if dependent := diagnoseCollinearity(normal, l.design.names()); dependent != nil {
			return false, dependent
		}
	}
	f, ok := factorise(normal)
	if !ok {
		return false, l.runaway()
	}
	step := f.solve(gradient)
	step = add(step, f.solve(residual(normal, step, gradient)))

	gain := 0.0 // of the log-likelihood, predicted, times two: Newton's decrement
	largest, before, size := 0.0, 0.0, 0.0
	for i := range step {
		gain += step[i] * gradient[i]
		largest = max(largest, math.Abs(step[i]))
		size = max(size, math.Abs(l.beta[i]))
		if l.step != nil {
			before = max(before, math.Abs(l.step[i]))
		}
	}
	nullDeviance := binomialNull(n, positives)
	tolerance := s.Schedule.Tolerance
	fine := min(max(10*tolerance, finestStep), coarsestStep)
	if gain <= tolerance*(-2*value+0.1) && largest <= fine*(1+size) {
		l.finish(sum.Contributors, n, positives, likelihood, step, information, f)
		return true, nil
	}

	// Separation: the likelihood has all but converged while the coefficients
	// walk on at the same pace.
	l.steady++
	if l.step == nil || largest < steadyRatio*before || largest < 0.1 || gain > flatDeviance*nullDeviance {
		l.steady = 0
	}
	l.step = step
	if s.Model.Ridge == 0 && l.steady >= steadySteps {
		return false, l.runaway()
	}
	if l.rounds >= s.Schedule.Rounds {
		return false, l.noConvergence()
	}
	l.from, l.value, l.who, l.halved = l.beta, value, who, 0
	l.beta = add(l.beta, step)
	return false, nil
}

// runaway names the terms that walk to infinity.
func (l *Logistic) runaway() *compute.Diagnosis {
	largest := 0.0
	for _, v := range l.step {
		largest = max(largest, math.Abs(v))
	}
	var names []string
	for i, v := range l.step {
		if i > 0 && math.Abs(v) >= separatedStep*largest {
			names = append(names, l.design.terms[l.design.kept[i]].Name)
		}
	}
	return &compute.Diagnosis{Kind: compute.Separation, Terms: names,
		Message: "a combination of these terms predicts the outcome of some patients perfectly, so the best-fitting coefficients are infinite; gather levels, leave a feature out, or use a ridge"}
}

func (l *Logistic) noConvergence() *compute.Diagnosis {
	return &compute.Diagnosis{Kind: compute.NoConvergence,
		Message: fmt.Sprintf("the fit did not settle in %d rounds; allow more rounds in schedule.rounds, or look for features that nearly determine the outcome", l.rounds)}
}

func (l *Logistic) finish(contributors, n, positives int, likelihood float64, step []float64, information *mat.SymDense, f *factor) {
	s := l.design.study
	// The last step is taken too: it costs nothing and squares the error.
	beta := add(l.beta, step)
	covariance := f.inverse()
	m := l.design.newModel(beta, covariance, n, contributors, l.means)
	m.Link, m.Statistic, m.Iterations = "logit", "z", l.rounds
	m.Positives = &positives
	for i := range m.Terms {
		m.Terms[i].PValue = normalTail(m.Terms[i].Statistic)
	}
	m.Dispersion = 1
	m.LogLike = likelihood
	m.Deviance = -2 * likelihood
	m.NullDeviance = binomialNull(n, positives)
	df := float64(len(beta))
	if s.Model.Ridge > 0 {
		l.design.describePenalty(m, beta, l.penalty, 1, information, covariance)
		df = *m.EffectiveDF
	}
	m.AIC = m.Deviance + 2*df
	m.BIC = m.Deviance + math.Log(float64(n))*df
	l.model = m
}

// binomialNull is the deviance of the model with an intercept only.
func binomialNull(n, positives int) float64 {
	a, b, all := float64(positives), float64(n-positives), float64(n)
	return -2 * (a*math.Log(a/all) + b*math.Log(b/all))
}
