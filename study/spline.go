package study

import (
	"fmt"
	"slices"
)

// SplineKnotProbabilities are the quantiles at which a spline of df terms has
// its df+1 knots: those of Harrell, Regression Modeling Strategies, 2nd ed.,
// table 2.3, which are equally spaced between outer ones of 0.10, 0.05 or
// 0.025. For more than seven knots, where the table ends, the spacing goes on
// as in rcspline.eval of his R package Hmisc.
func SplineKnotProbabilities(df int) []float64 {
	knots := df + 1
	outer := 0.05
	switch {
	case knots <= 3:
		outer = 0.10
	case knots > 6:
		outer = 0.025
	}
	p := make([]float64, knots)
	for i := range p {
		p[i] = outer + float64((1-2*outer)*float64(i)/float64(knots-1))
	}
	return p
}

// Knotted is the study whose terms include the non-linear terms of its splines,
// given for each spline its DF+1 ascending knots in the feature's own unit. It
// is still the same study: file, digest and all else stay.
func (s *Study) Knotted(knots [][]float64) (*Study, error) {
	if len(knots) != len(s.Model.Splines) {
		return nil, fmt.Errorf("the study has %d splines, and there are knots for %d", len(s.Model.Splines), len(knots))
	}
	knotted := *s
	knotted.terms = slices.DeleteFunc(s.Terms(), func(term Term) bool { return term.Knot > 0 })
	knotted.curves = nil
	for i, spline := range s.Model.Splines {
		f := s.Features[spline.Feature]
		if len(knots[i]) != spline.DF+1 {
			return nil, fmt.Errorf("the spline of %s with df: %d has %d knots, and not %d", f.Column, spline.DF, spline.DF+1, len(knots[i]))
		}
		// Written so that NaN fails.
		if !(knots[i][0] >= f.Range.Lo) || !ascending(knots[i]) || !(knots[i][spline.DF] <= f.Range.Hi) {
			return nil, fmt.Errorf("the knots of the spline of %s must ascend within its range: declare a smaller df, or the feature as a number without a spline", f.Column)
		}
		c := curve{feature: spline.Feature, first: len(knotted.terms), knots: slices.Clone(knots[i])}
		for knot := 1; knot < spline.DF; knot++ {
			hi := c.basis(knot, f.Range.Hi)
			if within := (Range{0, hi}); within.extreme() {
				return nil, fmt.Errorf("the knots of the spline of %s are too close together to compute with: declare a smaller df", f.Column)
			}
			c.most = append(c.most, hi)
			knotted.terms = append(knotted.terms, Term{Name: s.splineName(spline, knot), Feature: spline.Feature, Level: -1, Knot: knot, Lo: 0, Hi: hi})
		}
		knotted.curves = append(knotted.curves, c)
	}
	return &knotted, nil
}

// KnottedEvenly is the study with its knots spread evenly over each range. It
// has as many terms as with any knots, which is what a summary needs before
// there are quantiles.
func (s *Study) KnottedEvenly() (*Study, error) {
	var knots [][]float64
	for _, spline := range s.Model.Splines {
		within := s.Features[spline.Feature].Range
		even := within.equally(spline.DF + 2)
		knots = append(knots, even[:spline.DF+1])
	}
	return s.Knotted(knots)
}

// Knots are those of [Study.Knotted], nil before.
func (s *Study) Knots() [][]float64 {
	var knots [][]float64
	for _, c := range s.curves {
		knots = append(knots, slices.Clone(c.knots))
	}
	return knots
}

// splineName is that of the knot-th non-linear term. The number itself is the
// spline's first term, so names count from 2.
func (s *Study) splineName(spline Spline, knot int) string {
	return fmt.Sprintf("spline(%s)%d", s.Features[spline.Feature].Column, knot+1)
}

// SplineTerms are the non-linear terms of a spline with these ascending knots,
// at least three, for a value of its number: spline(x)2, spline(x)3 and so on.
func SplineTerms(knots []float64, x float64) []float64 {
	c := curve{knots: knots}
	terms := make([]float64, max(0, len(knots)-2))
	for i := range terms {
		terms[i] = c.basis(i+1, x)
	}
	return terms
}

// curve is a spline with knots.
type curve struct {
	feature int
	first   int // its first non-linear term
	knots   []float64
	most    []float64 // of each non-linear term
}

// write fills in the curve's terms for a value of its feature. Each rises from
// 0 with the value, so its greatest value is that at the end of the range; only
// rounding could lead beyond, and is cut off.
func (c *curve) write(row []float64, x float64) {
	for i, most := range c.most {
		y := c.basis(i+1, x)
		// A missing value is not a number and stays that.
		if y < 0 {
			y = 0
		}
		if y > most {
			y = most
		}
		row[c.first+i] = y
	}
}

// basis is term j, from 1, of the restricted cubic spline (Harrell, section
// 2.4.4), divided by the square of the outer knots' distance to have the unit
// of x:
//
//	(x-a)³ - (x-b)³ (c-a)/(c-b) + (x-c)³ (b-a)/(c-b), cubes of the positive parts,
//
// with knot a = j and the last two knots b, c. Beyond c the cubes cancel to a
// straight line, which is computed as such; elsewhere quotients come first, so
// that nothing overflows. Products are rounded before they are added: every
// processor gets the same number.
func (c *curve) basis(j int, x float64) float64 {
	k := len(c.knots)
	first, a, b, last := c.knots[0], c.knots[j-1], c.knots[k-2], c.knots[k-1]
	span := last - first
	switch {
	case x <= a:
		return 0
	case x >= last:
		line := float64(2*(last-a)) - (b - a) + float64(3*(x-last))
		return float64((last-a)/span) * float64((b-a)/span) * line
	}
	u := (x - a) / span
	y := float64(u * u * (x - a))
	if x > b {
		v, w := (x-b)/(last-b), (x-b)/span
		y -= float64(v * w * (x - b) * float64((last-a)/span))
	}
	return y
}
