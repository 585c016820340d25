package study

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Intercept is the name of the first term.
const Intercept = "(intercept)"

// Term is a column of the design matrix. Lo and Hi bound its values: the
// declared range of a number, 0 and 1 for a level and for the intercept, whose
// value is always 1, the least and the greatest product of an interaction, and
// the end of a spline's term at the end of the range.
type Term struct {
	Name    string // "(intercept)", "column", "column=level", "a:b=level" or "spline(column)2"
	Feature int    // index into Study.Features; -1 for the intercept and for a product
	Level   int    // index into the feature's levels; -1 if it is not a level
	Product []int  // the terms, by index, whose product this one is; nil for all others
	Knot    int    // of a spline's non-linear terms: 1, 2, ...; 0 for all others
	Lo, Hi  float64
}

// Terms are the columns of the design matrix in order: the intercept; for each
// feature its number or its levels without the reference; for each interaction
// a:b the products of a's terms with b's, of which those of a vary fastest, as
// in R's model.matrix; and, once the study has its knots ([Study.Knotted]), for
// each spline its second term, its third and so on. The first term of a spline
// is the number itself, which is also what an interaction multiplies.
func (s *Study) Terms() []Term { return slices.Clone(s.terms) }

// TermCount is the number of terms that the model has when its splines have
// their knots.
func (s *Study) TermCount() int {
	count := 0
	for _, term := range s.terms {
		if term.Knot == 0 {
			count++
		}
	}
	for _, spline := range s.Model.Splines {
		count += spline.DF - 1
	}
	return count
}

// Parameters is the number of coefficients, or of weights and biases, that the
// fit estimates; 0 for a description and for trees, which choose it as they
// grow.
func (s *Study) Parameters() int {
	switch {
	case s.Model.Kind == GLM:
		return s.TermCount()
	case s.Model.Kind == Cox:
		return s.TermCount() - 1 // the baseline hazard is the intercept
	case s.Model.Neural != nil:
		parameters, inputs := 0, s.TermCount()-1
		for _, units := range append(slices.Clone(s.Model.Neural.Hidden), 1) {
			parameters += (inputs + 1) * units
			inputs = units
		}
		return parameters
	}
	return 0
}

// nameTerms lays out the terms, and sees to it that no two have the same name,
// that there are not too many, and that all can be computed with.
func (s *Study) nameTerms(r *reader, features, model *yaml.Node) {
	s.terms = []Term{{Name: Intercept, Feature: -1, Level: -1, Lo: 0, Hi: 1}}
	taken := map[string]bool{Intercept: true}
	claim := func(n *yaml.Node, key, name string) {
		if taken[name] {
			r.fail(n, key, "rename a column or a level", "two terms of the model would be called %q", name)
		}
		taken[name] = true
	}
	for i, f := range s.Features {
		for _, term := range f.terms(i) {
			claim(features.Content[i], fmt.Sprintf("features[%d]", i), term.Name)
			s.terms = append(s.terms, term)
		}
	}
	if len(s.terms) > MaxTerms {
		r.fail(features, "features", "gather levels or drop features", "the model has %d terms, more than %d", len(s.terms), MaxTerms)
	}
	for i, x := range s.Model.Interactions {
		n, key := keyValue(model, "interactions").Content[i], fmt.Sprintf("model.interactions[%d]", i)
		a, b := s.termsOf(x.Features[0]), s.termsOf(x.Features[1])
		if count := len(s.terms) + len(a)*len(b); count > MaxTerms {
			r.fail(n, key, "gather levels or drop interactions", "the model has %d terms by here, more than %d", count, MaxTerms)
		}
		if r.fault != nil {
			return
		}
		for _, term := range s.products(a, b) {
			claim(n, key, term.Name)
			if within := (Range{term.Lo, term.Hi}); within.extreme() {
				r.fail(n, key, "use another unit", "%s: the products are too large or too small to compute with: at most 1e12 from 0 and at least 1e-9 wide", key)
			}
			s.terms = append(s.terms, term)
		}
	}
	for i, spline := range s.Model.Splines {
		n, key := keyValue(model, "splines").Content[i], fmt.Sprintf("model.splines[%d]", i)
		for knot := 1; knot < spline.DF; knot++ {
			claim(n, key, s.splineName(spline, knot))
		}
	}
	if count := s.TermCount(); count > MaxTerms {
		r.fail(model, "model.splines", "drop features or splines", "the model has %d terms, more than %d", count, MaxTerms)
	}
	if r.fault != nil {
		return
	}
	if _, err := s.KnottedEvenly(); err != nil {
		r.fail(model, "model.splines", "use another unit", "model.splines: a range is too narrow for the knots of its spline")
	}
}

// termsOf are the terms of a feature itself, by index.
func (s *Study) termsOf(feature int) []int {
	var own []int
	for t, term := range s.terms {
		if term.Feature == feature && term.Knot == 0 {
			own = append(own, t)
		}
	}
	return own
}

// products of two features' terms. Rounding keeps the order of numbers, so the
// products of the ends bound every product as it is computed.
func (s *Study) products(a, b []int) []Term {
	var terms []Term
	for _, j := range b {
		for _, i := range a {
			x, y := s.terms[i], s.terms[j]
			ends := []float64{x.Lo * y.Lo, x.Lo * y.Hi, x.Hi * y.Lo, x.Hi * y.Hi}
			terms = append(terms, Term{Name: x.Name + ":" + y.Name, Feature: -1, Level: -1, Product: []int{i, j},
				Lo: slices.Min(ends) + 0, Hi: slices.Max(ends) + 0}) // -0 + 0 is 0
		}
	}
	return terms
}

func (f Feature) terms(index int) []Term {
	if f.Type == Number {
		return []Term{{Name: f.Column, Feature: index, Level: -1, Lo: f.Range.Lo, Hi: f.Range.Hi}}
	}
	var terms []Term
	for i, level := range f.Levels {
		if i != f.Reference {
			terms = append(terms, Term{Name: f.Column + "=" + level.Name, Feature: index, Level: i, Lo: 0, Hi: 1})
		}
	}
	return terms
}
