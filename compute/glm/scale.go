package glm

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/study"
)

// Centre is where a fit puts the origin of the columns and of the outcome: the
// means that the counts have opened, public like every opened sum. The declared
// range of a number is often far wider than its spread; centred, its products
// keep their precision, and a column is not mistaken for the intercept.
type Centre struct {
	Columns []float64 `json:"columns"` // one for each term; 0 where the term is no number
	Outcome float64   `json:"outcome"` // transformed; 0 for a binary outcome
}

// NewCentre takes the means of all terms and of the outcome, in original
// units. A mean that rounding put outside the declared range is moved to its
// edge.
func NewCentre(s *study.Study, means []float64, outcome float64) Centre {
	terms := s.Terms()
	c := Centre{Columns: make([]float64, len(terms))}
	for j, t := range terms {
		if isNumber(t) {
			c.Columns[j] = min(max(means[j], t.Lo), t.Hi) + 0 // minus zero has no second spelling
		}
	}
	if r := s.Outcome.Range; s.Outcome.Type == study.Number {
		c.Outcome = s.Outcome.Transform(min(max(outcome, r.Lo), r.Hi)) + 0
	}
	return c
}

// check refuses a centre outside the declared ranges: within them no scaled
// number exceeds largest, on which the bounds of the sums rest.
func (c Centre) check(s *study.Study) error {
	terms := s.Terms()
	if len(c.Columns) != len(terms) {
		return fmt.Errorf("the centre has %d columns, the study %d terms", len(c.Columns), len(terms))
	}
	for j, t := range terms {
		lo, hi := 0.0, 0.0
		if isNumber(t) {
			lo, hi = t.Lo, t.Hi
		}
		if !within(c.Columns[j], lo, hi) {
			return fmt.Errorf("the centre of %s is outside its declared range", t.Name)
		}
	}
	lo, hi := 0.0, 0.0
	if s.Outcome.Type == study.Number {
		lo, hi = s.Outcome.Bounds()
	}
	if !within(c.Outcome, lo, hi) {
		return errors.New("the centre of the outcome is outside its declared range")
	}
	return nil
}

// within is false for NaN and for minus zero, a second spelling of zero.
func within(x, lo, hi float64) bool {
	return x >= lo && x <= hi && !(x == 0 && math.Signbit(x))
}

func isNumber(t study.Term) bool { return t.Feature >= 0 && t.Level < 0 }

// largest is the magnitude that no scaled column and no scaled outcome exceeds.
const largest = 2

// scale maps a study's columns and outcome to [-largest, largest]:
// z = (x - mid) / half, where mid is the centre and half is half the declared
// range. The intercept and the levels of categories stay 0 or 1.
type scale struct {
	mid, half []float64
	outMid    float64
	outHalf   float64
}

func newScale(s *study.Study, centre Centre) scale {
	terms := s.Terms()
	c := scale{mid: centre.Columns, half: make([]float64, len(terms)), outMid: centre.Outcome, outHalf: 1}
	for j, t := range terms {
		c.half[j] = 1
		if isNumber(t) {
			c.half[j] = t.Hi/2 - t.Lo/2
		}
	}
	if s.Outcome.Type == study.Number {
		lo, hi := s.Outcome.Bounds()
		c.outHalf = hi/2 - lo/2
	}
	return c
}

// apply scales a row in place.
func (c scale) apply(row []float64) {
	for j := range row {
		row[j] = (row[j] - c.mid[j]) / c.half[j]
	}
}
