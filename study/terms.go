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
// value is always 1.
type Term struct {
	Name    string // "(intercept)", "column", "column=level", "a:b=level" or "spline(column)2"
	Feature int    // index into Study.Features; -1 for the intercept and for a product
	Level   int    // index into the feature's levels; -1 if it is not a level
	Product []int  // the terms, by index, whose product this one is; nil for all others
	Knot    int    // of a spline's non-linear terms: 1, 2, ...; 0 for all others
	Lo, Hi  float64
}

// Terms are the columns of the design matrix in order: the intercept, then for
// each feature its number or its levels without the reference.
func (s *Study) Terms() []Term { return slices.Clone(s.terms) }

func (s *Study) nameTerms(r *reader, features *yaml.Node) {
	s.terms = []Term{{Name: Intercept, Feature: -1, Level: -1, Lo: 0, Hi: 1}}
	line := map[string]int{Intercept: features.Line}
	for i, f := range s.Features {
		n := features.Content[i]
		for _, term := range f.terms(i) {
			if line[term.Name] != 0 {
				r.fail(n, fmt.Sprintf("features[%d]", i), "rename a column or a level", "two terms of the model would be called %q", term.Name)
			}
			line[term.Name] = n.Line
			s.terms = append(s.terms, term)
		}
	}
	if len(s.terms) > MaxTerms {
		r.fail(features, "features", "gather levels or drop features", "the model has %d terms, more than %d", len(s.terms), MaxTerms)
	}
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
