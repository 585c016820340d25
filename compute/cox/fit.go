package cox

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

const (
	mostHalvings = 20
	// A step is fine when no coefficient, scaled, moves by more than this share:
	// ten times the study's tolerance between these two.
	finestStep, coarsestStep = 1e-9, 1e-4
	// A coefficient runs to infinity when steps stay as long while the likelihood
	// hardly grows any more: so many steps, each at least this share of the one
	// before, gaining less than this share of the likelihood.
	steadySteps    = 3
	steadyRatio    = 0.5
	shortestRun    = 0.1
	flatLikelihood = 1e-5
	separatedStep  = 0.1 // of the longest: terms that run too
)

// Fit is the coordinator's half: Newton's method from zero, then the checks.
type Fit struct {
	study   *study.Study
	counts  *describe.Counts
	terms   []study.Term // without the intercept
	kept    []int        // of terms: those in the fit
	centre  []float64
	scale   scale
	penalty []float64 // on scaled coefficients of kept terms
	remarks []compute.Diagnosis

	step      string
	merged    merged
	lifetable describe.Lifetable // without strata, or for a clock
	beta      []float64          // of kept terms, scaled
	rounds    int
	before    *accepted // whence beta was reached; nil at the start
	halved    int
	steady    int
	length    float64 // of the step before
	null      *evaluation
	nullScore float64 // the score test's statistic
	final     *evaluation
	factor    *cholesky.Factor
	curve     []compute.Point
	model     *Model

	unclustered *Model      // until the concordance has its clustered standard error
	paired      compute.Sum // that the concordance is of
}

// accepted is a point from which the fit went on.
type accepted struct {
	beta             []float64
	value            float64
	patients, events int
}

// New begins a fit to the patients who were counted.
func New(s *study.Study, counts *describe.Counts) (*Fit, error) {
	if s.Model.Kind != study.Cox || s.Outcome.Type != study.Survival {
		return nil, errors.New("a proportional hazards model needs a study of kind cox and a survival outcome")
	}
	f := &Fit{study: s, counts: counts, terms: s.Terms()[1:], step: StepNewton}
	if needsGrid(s) {
		f.step = StepGrid
	}
	means := counts.Means()[1:]
	for j, t := range f.terms {
		f.centre = append(f.centre, min(max(means[j], t.Lo), t.Hi)+0) // minus zero has no second spelling
	}
	f.scale = newScale(s, f.centre)
	empty, remarks := counts.Empty()
	f.remarks = remarks
	for j := range f.terms {
		if !slices.Contains(empty, j+1) {
			f.kept = append(f.kept, j)
			f.penalty = append(f.penalty, s.Model.Ridge/(f.scale.half[j]*f.scale.half[j]))
		}
	}
	if len(f.kept) == 0 {
		return nil, &compute.Diagnosis{Kind: compute.EmptyLevel, Message: "no term is left that has patients, so there is no effect to estimate"}
	}
	f.beta = make([]float64, len(f.kept))
	return f, nil
}

// Next is the question whose sum Absorb expects.
func (f *Fit) Next() (q compute.Question, done bool, err error) {
	if f.model != nil {
		return q, true, nil
	}
	q.Step = f.step
	switch f.step {
	case StepNewton:
		q.Parameters, err = compute.EncodeParameters(f.point())
	case StepChecks:
		q.Parameters, err = compute.EncodeParameters(f.fitted())
	case StepConcordance:
		q.Parameters, err = compute.EncodeParameters(clusters{f.point(), f.unclustered.Concordance.somers()})
	}
	if err != nil {
		return q, false, err
	}
	q.Layout, err = Layout(f.study, q.Step, q.Parameters)
	return q, false, err
}

func (f *Fit) point() point {
	p := point{Coefficients: make([]float64, len(f.terms)), Centre: f.centre}
	if f.study.Model.Stratify == study.StratifyNone {
		p.merged = f.merged
	}
	for i, j := range f.kept {
		p.Coefficients[j] = f.beta[i] + 0
	}
	return p
}

// Absorb takes the opened sum of the question of Next.
func (f *Fit) Absorb(sum compute.Sum) error {
	if f.model != nil {
		return errors.New("the model is fitted: no sum is expected")
	}
	parameters := point{merged: f.merged}
	switch f.step {
	case StepGrid:
		tables, err := describe.ReadLifetables(f.study, everyone, sum)
		if err != nil {
			return err
		}
		var d *compute.Diagnosis
		f.lifetable = tables[0][0]
		if f.merged, d = merge(f.study, f.lifetable); d != nil {
			return d
		}
		f.step = StepNewton
		return nil
	case StepNewton:
		if err := checkSum(sum, newtonLayout(f.study, parameters)); err != nil {
			return err
		}
		return f.newton(f.evaluate(sum))
	case StepConcordance:
		if err := checkSum(sum, clustersLayout()); err != nil {
			return err
		}
		f.cluster(sum)
		return nil
	}
	if err := checkSum(sum, checksLayout(f.study)); err != nil {
		return err
	}
	return f.finish(sum)
}

// evaluation is the log partial likelihood at a point, over all hospitals.
type evaluation struct {
	patients, events, contributors int
	clipped                        bool
	likelihood                     float64
	score                          []float64     // of kept terms
	information                    *mat.SymDense // of kept terms
	moments                        []*moment     // without strata, by interval with events
	intervals                      []int         // which these are
}

func (f *Fit) evaluate(sum compute.Sum) *evaluation {
	e := &evaluation{contributors: sum.Contributors, patients: int(math.Round(sum.Field("patients")[0]))}
	p := len(f.terms)
	if f.study.Model.Stratify == study.StratifySite {
		e.events = int(math.Round(sum.Field("events")[0]))
		e.likelihood = sum.Field("log_likelihood")[0]
		e.score = f.keep(sum.Field("score"))
		e.information = f.keepMatrix(sum.Field("information"))
		return e
	}
	e.clipped = sum.Field("clipped")[0] > 0.5
	e.moments, e.intervals = moments(f.study, p, sum)
	total := compute.NewAccumulator(1 + p + triangle(p))
	for j, x := range sum.Field("event_sums") {
		total.Add(1+j, x)
	}
	for _, m := range e.moments {
		e.events += m.deaths
		total.Add(0, -m.logarithms)
		for j, v := range m.mean {
			total.Add(1+j, -v)
		}
		for j, v := range m.variance {
			total.Add(1+p+j, v)
		}
	}
	values := total.Values()
	e.likelihood = values[0] + dot(f.beta, f.keep(sum.Field("event_sums")))
	e.score, e.information = f.keep(values[1:1+p]), f.keepMatrix(values[1+p:])
	return e
}

func (f *Fit) keep(all []float64) []float64 {
	out := make([]float64, len(f.kept))
	for i, j := range f.kept {
		out[i] = all[j]
	}
	return out
}

func (f *Fit) keepMatrix(triangle []float64) *mat.SymDense {
	out := mat.NewSymDense(len(f.kept), nil)
	for a, i := range f.kept {
		for b := a; b < len(f.kept); b++ {
			out.SetSym(a, b, triangle[packed(len(f.terms), i, f.kept[b])])
		}
	}
	return out
}

// newton goes one step on.
func (f *Fit) newton(e *evaluation) error {
	f.rounds++
	if e.events == 0 {
		return &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "no patient had the event, so nothing distinguishes those who have it sooner; check outcome.event.positive"}
	}
	value := e.likelihood
	for i, k := range f.penalty {
		value -= k / 2 * f.beta[i] * f.beta[i]
	}
	f.curve = append(f.curve, compute.Point{Round: f.rounds, Loss: -value / float64(e.events)})
	if !isFinite(value) {
		return f.runaway(nil)
	}
	// A likelihood of other patients is no ground for halving: when a hospital has
	// dropped out the fit goes on from where it is.
	same := f.before != nil && f.before.patients == e.patients && f.before.events == e.events
	if e.clipped || same && value < f.before.value-1e-12*math.Abs(f.before.value) {
		return f.halve()
	}
	normal := mat.NewSymDense(len(f.kept), nil)
	normal.CopySym(e.information)
	gradient := slices.Clone(e.score)
	for i, k := range f.penalty {
		normal.SetSym(i, i, normal.At(i, i)+k)
		gradient[i] -= k * f.beta[i]
	}
	if f.null == nil {
		if d := dependence(normal, f.names(), e.events, f.study.Model.Stratify == study.StratifySite); d != nil {
			return d
		}
	}
	factor, ok := cholesky.Factorise(normal)
	if !ok {
		return f.runaway(nil)
	}
	if f.null == nil {
		f.null, f.nullScore = e, quadratic(factor, e.score)
	}
	step := factor.Solve(gradient)
	gain, longest, size := dot(step, gradient), 0.0, 0.0
	for i, v := range step {
		longest, size = max(longest, math.Abs(v)), max(size, math.Abs(f.beta[i]))
	}
	tolerance := f.study.Schedule.Tolerance
	fine := min(max(10*tolerance, finestStep), coarsestStep)
	if gain <= tolerance*(math.Abs(value)+0.1) && longest <= fine*(1+size) {
		// The last step is taken too: it costs nothing and squares the error.
		f.beta = sumOf(f.beta, step)
		f.final, f.factor, f.step = e, factor, StepChecks
		return nil
	}
	f.steady++
	if f.length == 0 || longest < steadyRatio*f.length || longest < shortestRun || gain > flatLikelihood*math.Abs(f.null.likelihood) {
		f.steady = 0
	}
	f.length = longest
	if f.study.Model.Ridge == 0 && f.steady >= steadySteps {
		return f.runaway(step)
	}
	if f.rounds >= f.study.Schedule.Rounds {
		return f.noConvergence()
	}
	next, farthest := sumOf(f.beta, step), 0.0
	for _, b := range next {
		farthest += math.Abs(b) * largest
	}
	if !(farthest < reach) {
		return f.runaway(step)
	}
	f.before, f.halved = &accepted{f.beta, value, e.patients, e.events}, 0
	f.beta = next
	return nil
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func sumOf(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}

// halve goes back half of the way.
func (f *Fit) halve() error {
	if f.halved++; f.halved > mostHalvings || f.rounds >= f.study.Schedule.Rounds || f.before == nil {
		return f.noConvergence()
	}
	for i := range f.beta {
		f.beta[i] = f.before.beta[i]/2 + f.beta[i]/2
	}
	return nil
}

func (f *Fit) names() []string {
	names := make([]string, len(f.kept))
	for i, j := range f.kept {
		names[i] = f.terms[j].Name
	}
	return names
}

// runaway names the terms that walk to infinity with a step; all, if which of
// them do cannot be told.
func (f *Fit) runaway(step []float64) *compute.Diagnosis {
	longest := 0.0
	for _, v := range step {
		longest = max(longest, math.Abs(v))
	}
	var names []string
	for i, v := range step {
		if math.Abs(v) >= separatedStep*longest {
			names = append(names, f.terms[f.kept[i]].Name)
		}
	}
	return &compute.Diagnosis{Kind: compute.Separation, Terms: names,
		Message: "a combination of these terms puts every event first among the patients at risk, so the best-fitting coefficients are infinite; gather levels, leave a feature out, or use a ridge"}
}

func (f *Fit) noConvergence() *compute.Diagnosis {
	return &compute.Diagnosis{Kind: compute.NoConvergence,
		Message: fmt.Sprintf("the fit did not settle in %d rounds; allow more rounds in schedule.rounds, or look for features that nearly determine who has the event", f.rounds)}
}

// Model is the fitted model, once Next says done.
func (f *Fit) Model() *Model { return f.model }

// Remarks on the fit: levels without patients.
func (f *Fit) Remarks() []compute.Diagnosis { return f.remarks }

// checkSum makes sure that an opened sum has the fields of a layout.
func checkSum(sum compute.Sum, layout []compute.Field) error {
	for _, f := range layout {
		if len(sum.Field(f.Name)) != f.Length {
			return fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	return nil
}
