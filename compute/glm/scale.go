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
	Outcome float64   `json:"outcome"` // of a linear model: transformed, less the offset; 0 for the others
}

// newCentre takes the means of all terms, in original units, and of what a
// linear model explains. A mean that rounding put outside the declared range is
// moved to its edge.
func newCentre(s *study.Study, means []float64, outcome float64) Centre {
	terms := s.Terms()
	c := Centre{Columns: make([]float64, len(terms))}
	for j, t := range terms {
		if isNumber(terms, t) {
			c.Columns[j] = min(max(means[j], t.Lo), t.Hi) + 0 // minus zero has no second spelling
		}
	}
	if s.Model.Family == study.Gaussian {
		lo, hi := explained(s)
		c.Outcome = min(max(outcome, lo), hi) + 0
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
		if isNumber(terms, t) {
			lo, hi = t.Lo, t.Hi
		}
		if !within(c.Columns[j], lo, hi) {
			return fmt.Errorf("the centre of %s is outside its declared range", t.Name)
		}
	}
	lo, hi := 0.0, 0.0
	if s.Model.Family == study.Gaussian {
		lo, hi = explained(s)
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

// explained bounds what a linear model explains: the transformed outcome less
// the offset.
func explained(s *study.Study) (lo, hi float64) {
	lo, hi = s.Outcome.Bounds()
	if o := s.Model.Offset; o != nil {
		lo, hi = lo-o.Range.Hi, hi-o.Range.Lo
	}
	return lo, hi
}

// isNumber is false for the columns that are 0 or 1: the intercept, a level, a
// product of levels. A product with a number in it and a spline's term are
// numbers.
func isNumber(terms []study.Term, t study.Term) bool {
	for _, factor := range t.Product {
		if isNumber(terms, terms[factor]) {
			return true
		}
	}
	return t.Feature >= 0 && t.Level < 0
}

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
		if isNumber(terms, t) {
			c.half[j] = t.Hi/2 - t.Lo/2
		}
	}
	if s.Model.Family == study.Gaussian {
		lo, hi := explained(s)
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
