// Package compute says what a computation is: a sequence of questions, each
// answered by every site with one vector of numbers of which only the sum is
// opened. Both halves of a computation live in one sub-package: the
// coordinator's half turns opened sums into the next question or the result,
// the site's half turns a question and the design matrix into the vector.
//
// Everything here is pure: no network, clock, log or randomness. A session
// that absorbs the same sums asks the same questions and gives the same
// result, byte for byte, which is how a restarted coordinator resumes and how
// an auditor replays.
package compute

import (
	"fmt"
	"strings"
)

// Field describes a run of numbers in a vector. It has the shape of
// secagg.Field, to which the edges convert it.
type Field struct {
	Name     string  `json:"name"`
	Length   int     `json:"length"`
	FracBits int     `json:"frac_bits"` // fractional bits of the fixed-point encoding
	Bound    float64 `json:"bound"`     // on the magnitude of each number of one contribution
}

// Question is what one round asks.
type Question struct {
	Step       string  // such as "glm/gram"; together with the study it fixes the layout
	Layout     []Field // never empty
	Parameters []byte  // public parameters of the step as JSON; nil if it has none
}

// Sum is an opened sum: for every field of the layout, the total over the
// contributors.
type Sum struct {
	Contributors int
	Sites        []string // the contributors by name, ascending; empty where names play no part
	Required     int      // contributors without whom it was not to be opened; 0 where that is the study's minimum
	fields       map[string][]float64
}

// NewSum splits a sum's values by the fields of its layout.
func NewSum(contributors int, layout []Field, values []float64) (Sum, error) {
	s := Sum{Contributors: contributors, fields: make(map[string][]float64, len(layout))}
	for _, f := range layout {
		if f.Length < 1 || len(values) < f.Length {
			return Sum{}, fmt.Errorf("sum of %d values does not fit its layout at field %q of length %d", len(values), f.Name, f.Length)
		}
		s.fields[f.Name], values = values[:f.Length], values[f.Length:]
	}
	if len(values) != 0 {
		return Sum{}, fmt.Errorf("sum has %d values more than its layout", len(values))
	}
	return s, nil
}

// Field returns the totals of a field, nil if the layout has none of that name.
func (s Sum) Field(name string) []float64 { return s.fields[name] }

// Part is the sum of the fields whose names end in a suffix, without it.
func (s Sum) Part(suffix string) Sum {
	part := Sum{Contributors: s.Contributors, Sites: s.Sites, Required: s.Required, fields: map[string][]float64{}}
	for name, values := range s.fields {
		if own, ok := strings.CutSuffix(name, suffix); ok {
			part.fields[own] = values
		}
	}
	return part
}

// Diagnosis kinds.
const (
	Separation     = "separation"
	Collinearity   = "collinearity"
	EmptyLevel     = "empty-level"
	TooFewPatients = "too-few-patients"
	NoConvergence  = "no-convergence"
	ConstantTarget = "constant-outcome"
	PerfectFit     = "perfect-fit"   // a remark: there is an estimate
	NoValidation   = "no-validation" // a remark: there is a model
	TooMuchNoise   = "too-much-noise"
)

// Diagnosis is the named reason why a model, or a term of it, has no estimate.
// As an error it ends a session; as part of a result it explains a term that
// was left out.
type Diagnosis struct {
	Kind    string   `json:"kind"`
	Terms   []string `json:"terms,omitempty"`
	Message string   `json:"message"`
}

func (d *Diagnosis) Error() string {
	if len(d.Terms) == 0 {
		return fmt.Sprintf("%s: %s", d.Kind, d.Message)
	}
	return fmt.Sprintf("%s (%s): %s", d.Kind, strings.Join(d.Terms, ", "), d.Message)
}
