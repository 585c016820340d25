// Package fairness audits for whom a model errs, and how sure that is.
//
// After the fit every hospital computes, for each declared group of its own
// patients, the sums that the error measures are made of: one more vector in
// the secure sum. Only totals over all hospitals are opened, so the audit tells
// about groups of patients and never about a hospital; each hospital can
// compare its own figures with the whole's on its own machine (Local).
//
// A group with fewer patients than the study's minimum cell is not part of the
// vector at all: which groups are large enough is known from the counts, and the
// question lists them. It is reported as suppressed, never as zero.
//
// The audit never says that a model is fair. For each pair of groups it says
// whether a disparity beyond a stated margin was found, was not found, or
// cannot be told from so few patients.
//
// Intervals are at 95%: Wilson for proportions, Newcombe's hybrid for their
// differences, Student's t for means, the delta method for the root mean square.
package fairness

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Step is the name of the one question.
const Step = "fairness/errors"

const (
	maxRows  = 1 << 24 // of one site
	fracBits = 60
	// An error beyond this many widths of the outcome's declared range counts
	// as this large, so that one absurd prediction cannot burst the encoding.
	// How many were cut is part of the report.
	mostWidths = 2
	bins       = 10 // of the calibration curve of probabilities
	// Within this share of the actual outcome a dose counts as right.
	closeEnough = 0.2
)

// cell is a group of patients: all of them, or those of one group of one
// attribute.
type cell struct {
	attribute, group int // -1, 0 for all
	name, level      string
}

// All names the attribute and the level of the first cell: every patient.
const All = "all"

func cells(s *study.Study) []cell {
	out := []cell{{-1, 0, All, All}}
	for a, attribute := range s.Fairness.Attributes {
		for g, level := range attribute.Groups() {
			out = append(out, cell{a, g, attribute.Column, level})
		}
	}
	return out
}

// Sizes are how many patients there are to audit, as the counts have opened
// them.
type Sizes struct {
	Patients  int
	Positives int // of a binary outcome
	Group     func(attribute, group int) int
	Unseen    bool // the models that predict had not seen these patients
}

// question is what an audit asks: which groups are large enough to be part of
// the vector. The predictions that it judges are asked for beside it.
type question struct {
	Prevalence *float64 `json:"prevalence,omitempty"` // binary: the second threshold
	Cells      []int    `json:"cells"`                // 0 is all patients; then each attribute's groups in order
}

func newQuestion(s *study.Study, sizes Sizes) question {
	var q question
	if s.Outcome.Type == study.Binary {
		prevalence := float64(sizes.Positives) / float64(sizes.Patients)
		q.Prevalence = &prevalence
	}
	for i, c := range cells(s) {
		if c.attribute < 0 || sizes.Group(c.attribute, c.group) >= s.Fairness.MinimumCell {
			q.Cells = append(q.Cells, i)
		}
	}
	return q
}

func readQuestion(s *study.Study, parameters []byte) (question, error) {
	var q question
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if binary := s.Outcome.Type == study.Binary; binary != (q.Prevalence != nil) {
		return q, errors.New("a threshold at the prevalence belongs to a binary outcome, and only there")
	}
	if q.Prevalence != nil && !(*q.Prevalence > 0 && *q.Prevalence < 1) {
		return q, errors.New("the prevalence is not between 0 and 1")
	}
	all := len(cells(s))
	if len(q.Cells) == 0 || q.Cells[0] != 0 {
		return q, errors.New("an audit begins with all patients")
	}
	for i, c := range q.Cells {
		if c >= all || i > 0 && c <= q.Cells[i-1] {
			return q, errors.New("the groups of the audit are not ascending groups of the study")
		}
	}
	return q, nil
}

// quantity is a field of the vector: one number per cell, or per bin.
type quantity struct {
	name   string
	bound  float64 // on the magnitude for one patient; 0 for a count
	perBin bool
}

// Errors are measured in widths of the outcome's range, or as probabilities.
func quantities(s *study.Study) []quantity {
	switch s.Outcome.Type {
	case study.Survival:
		return []quantity{{name: "patients"}, {name: "events"}}
	case study.Binary:
		return []quantity{
			{name: "patients"}, {name: "positives"},
			{name: "selected"}, {name: "selected_positives"},
			{name: "selected_at_prevalence"}, {name: "selected_positives_at_prevalence"},
			{name: "predicted", bound: 1}, {name: "error", bound: 1},
			{name: "error_squared", bound: 1}, {name: "error_fourth", bound: 1},
			{name: "bin_patients", perBin: true}, {name: "bin_positives", perBin: true},
			{name: "bin_predicted", bound: 1, perBin: true},
		}
	}
	const e, p = mostWidths, mostWidths + 1
	return []quantity{
		{name: "patients"}, {name: "within"}, {name: "under"}, {name: "over"}, {name: "cut"},
		{name: "error", bound: e}, {name: "absolute_error", bound: e},
		{name: "error_squared", bound: e * e}, {name: "error_fourth", bound: e * e * e * e},
		{name: "outcome", bound: 1}, {name: "outcome_squared", bound: 1},
		{name: "predicted", bound: p}, {name: "predicted_squared", bound: p * p}, {name: "predicted_outcome", bound: p},
	}
}

func layout(s *study.Study, open int) []compute.Field {
	var fields []compute.Field
	for _, q := range quantities(s) {
		f := compute.Field{Name: q.name, Length: open, Bound: maxRows}
		if q.perBin {
			f.Length = bins
		}
		if q.bound > 0 {
			f.FracBits, f.Bound = fracBits, maxRows*q.bound
		}
		fields = append(fields, f)
	}
	return fields
}

// Layout is the vector of a step.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if step != Step {
		return nil, fmt.Errorf("the audit has no step %q", step)
	}
	q, err := readQuestion(s, parameters)
	if err != nil {
		return nil, err
	}
	return layout(s, len(q.Cells)), nil
}

// Steps are those of the audit.
func Steps(s *study.Study) []compute.StepSummary {
	return []compute.StepSummary{{Step: Step, Rounds: 1, Fields: layout(s, len(cells(s))),
		Purpose: "how far the model is off in each group of patients that is large enough: counts and sums of errors"}}
}

// Answer is a site's vector. Predictions are those of a compute.Predictor, one
// for each record; a record whose prediction is NaN is not part of the audit.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix, predictions []float64) ([]float64, error) {
	switch {
	case step != Step:
		return nil, fmt.Errorf("the audit has no step %q", step)
	case m.Rows() > maxRows:
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	case len(predictions) != m.Rows():
		return nil, fmt.Errorf("%d predictions for %d records", len(predictions), m.Rows())
	}
	q, err := readQuestion(s, parameters)
	if err != nil {
		return nil, err
	}
	return q.answer(s, m, predictions), nil
}

func (q question) answer(s *study.Study, m *study.Matrix, predictions []float64) []float64 {
	open := len(q.Cells)
	quantities := quantities(s)
	start := make([]int, len(quantities))
	length := 0
	for k, x := range quantities {
		start[k] = length
		if length += open; x.perBin {
			length += bins - open
		}
	}
	position := make(map[int]int, open) // by cell
	for i, c := range q.Cells {
		position[c] = i
	}
	first := make([]int, len(s.Fairness.Attributes)) // by attribute: its first cell
	next := 1
	for a, attribute := range s.Fairness.Attributes {
		first[a] = next
		next += len(attribute.Groups())
	}

	sums := compute.NewAccumulator(length)
	var values []float64
	member := make([]int, 0, len(first)+1)
	for r := range m.Rows() {
		p, y := predictions[r], m.Outcome(r)
		if math.IsNaN(p) {
			continue
		}
		bin := 0
		switch s.Outcome.Type {
		case study.Survival:
			values = append(values[:0], 1, one(m.Event(r)))
		case study.Binary:
			bin = min(int(p*bins), bins-1)
			values = binaryErrors(values[:0], p, y, *q.Prevalence)
		default:
			values = doseErrors(values[:0], p, y, *s.Outcome.Range)
		}
		member = append(member[:0], 0)
		for a := range first {
			if i, ok := position[first[a]+m.Group(r, a)]; ok {
				member = append(member, i)
			}
		}
		for k, x := range quantities {
			if x.perBin {
				sums.Add(start[k]+bin, values[k])
				continue
			}
			for _, i := range member {
				sums.Add(start[k]+i, values[k])
			}
		}
	}
	return sums.Values()
}

// doseErrors appends one patient's quantities, in the order of quantities.
func doseErrors(dst []float64, predicted, y float64, r study.Range) []float64 {
	width := r.Hi - r.Lo
	e := predicted - y
	within := math.Abs(e) <= closeEnough*math.Abs(y)
	// Differences first: outcome and prediction are measured from the bottom
	// of the range.
	actual := (y - r.Lo) / width
	scaled := e / width
	cut := math.Abs(scaled) > mostWidths
	if cut {
		scaled = math.Copysign(mostWidths, scaled)
	}
	p := actual + scaled
	square := scaled * scaled
	return append(dst, 1, one(within), one(!within && e < 0), one(!within && e > 0), one(cut),
		scaled, math.Abs(scaled), square, square*square,
		actual, actual*actual, p, p*p, p*actual)
}

func binaryErrors(dst []float64, p, y, prevalence float64) []float64 {
	half, second := one(p >= 0.5), one(p >= prevalence)
	e := p - y
	square := e * e
	return append(dst, 1, y, half, half*y, second, second*y, p, e, square, square*square, 1, y, p)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
