// Package validation measures how well a model predicts patients it was not
// fitted to.
//
// Every hospital predicts its own patients, each by a model that did not see
// them, and contributes sums of errors and counts in declared bins. What needs
// an order of patients, the area under the curve, the concordance, the width of
// an interval, comes from counts: within a hospital for survival outcomes, over
// fine fixed bins for the others, with the bound of the error that the bins
// bring printed beside it.
//
// Errors of numbers and counts are measured in widths of the outcome's declared
// range; one beyond two widths counts as two, and how many were cut is said.
//
// Formulas: Hand and Till, Machine Learning 45 (2001) for the area under the
// curve from counts; Harrell et al., Statistics in Medicine 15 (1996) for
// concordance; Vovk et al., Algorithmic Learning in a Random World (2005) for the
// interval from the quantile of absolute errors.
package validation

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Step is the name of the one question. Parameters says what it asks besides.
const Step = "validation/errors"

const (
	maxRows  = 1 << 24 // of one site
	fracBits = 60
	// mostWidths cuts absurd errors, as the audit does.
	mostWidths = 2
	// scoreBins divide the probabilities for the area under the curve, errorBins
	// the absolute errors for the interval.
	scoreBins = 4096
	errorBins = 4096
	// mostLoss cuts the log loss and the Poisson deviance of one patient.
	mostLoss = 1 << 10
	// An error within this share of the actual outcome counts as right.
	closeEnough = 0.2
)

// quantity is a field of the vector.
type quantity struct {
	name   string
	length int
	bound  float64 // on the magnitude for one patient; 0 for a count
}

func quantities(s *study.Study) []quantity {
	cells := curveCells(s)
	curve := []quantity{{"curve_patients", cells, 0}, {"curve_predicted", cells, mostWidths + 1}, {"curve_actual", cells, 1}}
	switch s.Outcome.Type {
	case study.Binary:
		return append([]quantity{
			{"patients", 1, 0}, {"positives", 1, 0},
			{"log_loss", 1, mostLoss}, {"log_loss_squared", 1, mostLoss * mostLoss},
			{"error_squared", 1, 1}, {"error_fourth", 1, 1},
			{"scores_positive", scoreBins, 0}, {"scores_negative", scoreBins, 0},
		}, curve...)
	case study.Survival:
		return []quantity{
			{"patients", 1, 0}, {"events", 1, 0},
			{"concordant", 1, maxRows}, {"tied", 1, maxRows}, {"comparable", 1, maxRows},
		}
	}
	const e = mostWidths
	out := append([]quantity{
		{"patients", 1, 0}, {"within", 1, 0}, {"cut", 1, 0},
		{"error", 1, e}, {"absolute_error", 1, e}, {"error_squared", 1, e * e}, {"error_fourth", 1, e * e * e * e},
		{"actual", 1, 1}, {"actual_squared", 1, 1},
		{"predicted", 1, e + 1}, {"predicted_squared", 1, (e + 1) * (e + 1)}, {"predicted_actual", 1, e + 1},
		{"error_sizes", errorBins, 0},
	}, curve...)
	if s.Outcome.Type == study.Count {
		out = append(out, quantity{"deviance", 1, mostLoss})
	}
	return out
}

// Layout is the vector of the step.
func Layout(s *study.Study) []compute.Field {
	var fields []compute.Field
	for _, q := range quantities(s) {
		f := compute.Field{Name: q.name, Length: q.length, Bound: maxRows}
		if q.bound > 0 {
			f.FracBits, f.Bound = fracBits, maxRows*q.bound
		}
		if q.bound == maxRows { // pairs of patients
			f.FracBits = 0
		}
		fields = append(fields, f)
	}
	return fields
}

// vector collects a site's sums under the names of their fields.
type vector struct {
	at   map[string]int
	sums *compute.Accumulator
}

func newVector(s *study.Study) vector {
	v := vector{at: map[string]int{}}
	length := 0
	for _, q := range quantities(s) {
		v.at[q.name] = length
		length += q.length
	}
	v.sums = compute.NewAccumulator(length)
	return v
}

func (v vector) add(name string, x float64)            { v.sums.Add(v.at[name], x) }
func (v vector) addAt(name string, bin int, x float64) { v.sums.Add(v.at[name]+bin, x) }

// Answer is a site's vector. Parameters are those of the question; predictions are those of a compute.Predictor, one
// for each record; NaN where the record is not to be tried. Of a survival
// outcome, records are compared within a stratum, given for each record: those
// whom the same model predicts.
func Answer(s *study.Study, parameters []byte, m *study.Matrix, predictions []float64, strata []int) ([]float64, error) {
	g, err := readGrid(s, parameters)
	switch {
	case err != nil:
		return nil, err
	case m.Rows() > maxRows:
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	case len(predictions) != m.Rows() || len(strata) != m.Rows():
		return nil, fmt.Errorf("%d predictions for %d records", len(predictions), m.Rows())
	}
	v := newVector(s)
	for i, p := range predictions {
		if math.IsNaN(p) {
			continue
		}
		v.add("patients", 1)
		switch s.Outcome.Type {
		case study.Binary:
			v.addBinary(g, p, m.Outcome(i))
		case study.Survival:
			if m.Event(i) {
				v.add("events", 1)
			}
		default:
			v.addNumber(s, g, p, m.Outcome(i))
		}
	}
	if s.Outcome.Type == study.Survival {
		c := Concordance(m, predictions, strata)
		v.add("concordant", c.Concordant)
		v.add("tied", c.Tied)
		v.add("comparable", c.Comparable)
	}
	return v.sums.Values(), nil
}

func (v vector) addBinary(g grid, p, y float64) {
	v.add("positives", y)
	loss := min(-math.Log(p), mostLoss)
	if y == 0 {
		loss = min(-math.Log1p(-p), mostLoss)
	}
	v.add("log_loss", loss)
	v.add("log_loss_squared", loss*loss)
	e := p - y
	v.add("error_squared", e*e)
	v.add("error_fourth", e*e*e*e)
	bin := scoreBin(p)
	if y == 1 {
		v.addAt("scores_positive", bin, 1)
	} else {
		v.addAt("scores_negative", bin, 1)
	}
	v.addCurve(g.cell(p), p, y)
}

func (v vector) addNumber(s *study.Study, g grid, p, y float64) {
	r := s.Outcome.Range
	width := r.Hi - r.Lo
	within := math.Abs(p-y) <= closeEnough*math.Abs(y)
	actual, e := (y-r.Lo)/width, (p-y)/width
	if math.Abs(e) > mostWidths {
		v.add("cut", 1)
		e = math.Copysign(mostWidths, e)
	}
	if within {
		v.add("within", 1)
	}
	predicted := actual + e
	v.add("error", e)
	v.add("absolute_error", math.Abs(e))
	v.add("error_squared", e*e)
	v.add("error_fourth", e*e*e*e)
	v.add("actual", actual)
	v.add("actual_squared", actual*actual)
	v.add("predicted", predicted)
	v.add("predicted_squared", predicted*predicted)
	v.add("predicted_actual", predicted*actual)
	v.addAt("error_sizes", errorBin(math.Abs(e)), 1)
	if s.Outcome.Type == study.Count {
		v.add("deviance", min(poissonDeviance(y, p), mostLoss))
	}
	v.addCurve(g.cell(p), predicted, actual)
}

// scoreBin is the bin of a probability. Three quarters of the bins are laid evenly
// over probabilities and a quarter over their logits, which tells apart those near
// 0 and 1: of a rare outcome all probabilities are small, and of a model that is
// sure of itself nearly all are at the ends.
func scoreBin(p float64) int {
	const reach = 32 // beyond it p is 0 or 1 to a float64
	logit := min(max(math.Log(p/(1-p)), -reach), reach)
	return min(int((0.75*p+0.25*(logit/reach+1)/2)*scoreBins), scoreBins-1)
}

// smallestError is the lower end, in widths of the outcome's range, of the
// second bin of absolute errors. From there bins grow by a constant factor, so
// that an interval is as fine, relative to its width, for a precise model of a
// wide range as for a coarse one.
const smallestError = 1e-6

// errorBin is the bin of an absolute error in widths of the range.
func errorBin(e float64) int {
	if e < smallestError {
		return 0
	}
	share := math.Log(e/smallestError) / math.Log(mostWidths/smallestError)
	return min(1+int(share*(errorBins-1)), errorBins-1)
}

// errorEdge is the upper end of a bin of absolute errors.
func errorEdge(bin int) float64 {
	if bin == 0 {
		return smallestError
	}
	return smallestError * math.Pow(mostWidths/smallestError, float64(bin)/(errorBins-1))
}

// poissonDeviance of one count: 2 (y ln(y/mu) - (y-mu)).
func poissonDeviance(y, mu float64) float64 {
	if y == 0 {
		return 2 * mu
	}
	return 2 * (y*math.Log(y/mu) - (y - mu))
}
