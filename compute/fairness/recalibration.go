package fairness

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Do probabilities mean what they say over their whole range? The logistic
// regression of the outcome on the logarithm of the predicted odds has intercept
// 0 and slope 1 if they do; a slope below 1 says that high risks are too high and
// low ones too low (Cox, Biometrika 45, 1958; Van Calster et al., BMC Medicine
// 17, 2019). It is fitted in each group by Newton's method: a round asks for the
// five sums of gradient and information at the coefficients so far. The first are
// fitted to the binned scores that are open already, so that two rounds are the
// usual number; what is left after the last is a millionth of the standard error, or,
// where a model is sure of many patients, whose scores share the last bin, and the
// first line is far off, some thousandths of it.
//
// Numbers about a group at many points are equations for its patients' scores. So
// a group takes part only if it has mostSteps times as many patients as a round
// has sums for it, four times over.

// StepRecalibration opens the sums of a Newton step of the recalibration.
const StepRecalibration = "fairness/recalibration"

const (
	newtonSums       = 5
	mostSteps        = 4
	fewestToRefit    = 4 * newtonSums * mostSteps // patients of a group
	fewestEachOne    = 10                         // with the outcome, and without
	mostLogit        = 20
	mostCoefficient  = 64
	convergedStep    = 1e-3 // standard errors, before a last step that squares it
	lastStep         = 0.05 // standard errors, of the last step that may be asked for: it leaves their square
	mostSlopeError   = 10   // standard error of a slope
	recalibratedBits = 32
)

// recalibrationQuestion asks for the sums of cells at their coefficients.
type recalibrationQuestion struct {
	Groups grouping     `json:"groups,omitempty"`
	Points [][2]float64 `json:"points"` // intercept and slope, by cell
	Cells  []int        `json:"cells"`
}

var newtonNames = [newtonSums]string{"residual", "residual_logit", "information", "information_logit", "information_logit_squared"}

func recalibrationLayout(cells int) []compute.Field {
	bounds := [newtonSums]float64{1, mostLogit, 0.25, 0.25 * mostLogit, 0.25 * mostLogit * mostLogit}
	var fields []compute.Field
	for k, name := range newtonNames {
		fields = append(fields, compute.Field{Name: name, Length: cells, Bound: maxRows * bounds[k], FracBits: recalibratedBits})
	}
	return fields
}

func readRecalibration(s *study.Study, parameters []byte) (q recalibrationQuestion, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if s.Outcome.Type != study.Binary {
		return q, errors.New("only a probability is recalibrated")
	}
	if len(q.Points) != len(q.Cells) {
		return q, errors.New("the coefficients are not of the cells")
	}
	for _, p := range q.Points {
		for _, x := range p {
			if !(math.Abs(x) <= mostCoefficient) || x == 0 && math.Signbit(x) {
				return q, errors.New("a coefficient of the recalibration is no number, or out of bounds")
			}
		}
	}
	return q, checkCells(s, q.Groups, q.Cells)
}

// logit of a probability, as far as it counts.
func logit(p float64) float64 {
	return min(max(math.Log(p)-math.Log1p(-p), -mostLogit), mostLogit)
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func (q recalibrationQuestion) answer(s *study.Study, m *study.Matrix, predictions []float64) []float64 {
	position := question{Cells: q.Cells}.positions(s)
	crossings := crossings(s)
	sums := compute.NewAccumulator(newtonSums * len(q.Cells))
	for r, p := range predictions {
		if math.IsNaN(p) {
			continue
		}
		x, y := logit(p), m.Outcome(r)
		for _, c := range crossings {
			i := position[c.at(func(a int) int { return q.Groups.of(a, m.Group(r, a)) })]
			if i < 0 {
				continue
			}
			mu := logistic(q.Points[i][0] + q.Points[i][1]*x)
			w := mu * (1 - mu)
			for k, v := range [newtonSums]float64{y - mu, (y - mu) * x, w, w * x, w * x * x} {
				sums.Add(k*len(q.Cells)+i, v)
			}
		}
	}
	return sums.Values()
}

// line is a fitted recalibration: coefficients and their covariance.
type line struct {
	intercept, slope                 float64
	interceptVariance, slopeVariance float64
}

// newton is one step from the coefficients, and how long it is in standard
// errors; false where the information is singular or the step leaves the bounds.
func newton(at [2]float64, sums [newtonSums]float64) (next [2]float64, fit line, length float64, ok bool) {
	g0, g1, a, b, c := sums[0], sums[1], sums[2], sums[3], sums[4]
	det := a*c - b*b
	// Where predictions tell the outcomes apart the information vanishes on the
	// way to a line that is not there.
	if !(det > 1e-9*a*c) || a/det > mostSlopeError*mostSlopeError {
		return next, fit, 0, false
	}
	d0, d1 := (c*g0-b*g1)/det, (a*g1-b*g0)/det
	next = [2]float64{at[0] + d0 + 0, at[1] + d1 + 0}
	if !(math.Abs(next[0]) <= mostCoefficient && math.Abs(next[1]) <= mostCoefficient) {
		return next, fit, 0, false
	}
	return next, line{next[0], next[1], c / det, a / det}, math.Sqrt(max(0, g0*d0+g1*d1)), true
}

// binnedStart fits the line to the scores by bin, each at its middle; where that
// does not work it is that of right probabilities.
func binnedStart(up, down []float64) [2]float64 {
	at := [2]float64{0, 1}
	for range 25 {
		var sums [newtonSums]float64
		for b := range up {
			n := up[b] + down[b]
			if n == 0 {
				continue
			}
			x := logit((float64(b) + 0.5) / float64(len(up)))
			mu := logistic(at[0] + at[1]*x)
			w := n * mu * (1 - mu)
			for k, v := range [newtonSums]float64{up[b] - n*mu, (up[b] - n*mu) * x, w, w * x, w * x * x} {
				sums[k] += v
			}
		}
		next, _, length, ok := newton(at, sums)
		if !ok {
			return [2]float64{0, 1}
		}
		if at = next; length < convergedStep {
			return at
		}
	}
	return [2]float64{0, 1}
}

// recalibration is the coordinator's side: the cells that take part, where they
// are, and what came of it.
type recalibration struct {
	question recalibrationQuestion
	steps    int
	fitted   map[int]line // by cell
	done     bool
}

// newRecalibration begins with the opened errors. It is done at once where not
// even all patients are enough.
func newRecalibration(s *study.Study, q question, sum compute.Sum) *recalibration {
	r := &recalibration{question: recalibrationQuestion{Groups: q.Groups}, fitted: map[int]line{}}
	for i, c := range q.Cells {
		t := newTally(s, q, sum, i)
		enough := t.n >= fewestToRefit && min(t.positives, t.n-t.positives) >= fewestEachOne
		if i == 0 && !enough {
			r.done = true
			return r
		}
		if enough {
			r.question.Cells = append(r.question.Cells, c)
			r.question.Points = append(r.question.Points, binnedStart(t.scoresUp, t.scoresDown))
		}
	}
	return r
}

// absorb takes the sums of a step.
func (r *recalibration) absorb(sum compute.Sum) error {
	for _, f := range recalibrationLayout(len(r.question.Cells)) {
		if len(sum.Field(f.Name)) != f.Length {
			return errors.New("the opened sum is not one of a recalibration")
		}
	}
	r.steps++
	r.done = true
	points := slices.Clone(r.question.Points)
	for i, c := range r.question.Cells {
		var at [newtonSums]float64
		for k, name := range newtonNames {
			at[k] = sum.Field(name)[i]
		}
		next, fit, length, ok := newton(points[i], at)
		switch {
		case !ok: // there is no estimate so far; it stays where it is
		case length <= convergedStep, r.steps == mostSteps && length <= lastStep:
			r.fitted[c] = fit
		default:
			points[i], r.done = next, false
		}
	}
	r.question.Points = points
	r.done = r.done || r.steps == mostSteps
	return nil
}

// measure is the recalibration in a cell's row.
func (r *recalibration) measure(t *tally, cell int, g *Group) {
	fit, ok := r.fitted[cell]
	if t.hidden["positives"] { // to say why there is none would say how few they are
		g.Withheld = append(g.Withheld, "calibration_intercept", "calibration_slope")
		return
	}
	if !ok {
		why := fmt.Sprintf("fewer than %d patients of the group, or than %d with the outcome or without", fewestToRefit, fewestEachOne)
		if slices.Contains(r.question.Cells, cell) {
			why = "the fit did not converge"
		}
		g.Undefined["calibration_slope"], g.Undefined["calibration_intercept"] = why, why
		return
	}
	value := func(x, variance float64) Metric {
		margin := normal * math.Sqrt(variance)
		lower, upper := x-margin, x+margin
		return Metric{Estimate: x, Lower: &lower, Upper: &upper, Method: "logistic regression, Wald"}
	}
	t.put(g, "calibration_intercept", func() Metric { return value(fit.intercept, fit.interceptVariance) }, "positives")
	t.put(g, "calibration_slope", func() Metric { return value(fit.slope, fit.slopeVariance) }, "positives")
}
