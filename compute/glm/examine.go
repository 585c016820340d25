package glm

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"gonum.org/v1/gonum/mat"
)

// moves is how far a step moves the linear predictor of a patient who is away
// from the mean: by a level, or by a number's spread.
func (it *iteration) moves(step []float64) []float64 {
	out := make([]float64, len(step))
	for i, v := range step {
		out[i] = v * it.spread[i]
	}
	return out
}

// examine the first evaluation: with equal weights the information has the
// rank of the columns.
func (it *iteration) examine(e *evaluation, normal *mat.SymDense) error {
	total := e.information.At(0, 0)
	if it.design.ownIntercepts() {
		total = e.sum.Field("site_weight")[0]
		if !(total > 0) {
			return &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "at every site all patients have the same outcome, so beside the sites' own intercepts nothing is left to explain"}
		}
	}
	it.spread = make([]float64, len(it.beta))
	for i, j := range it.design.free {
		it.spread[i] = 1
		if t := it.design.terms[j]; isNumber(it.design.terms, t) {
			it.spread[i] = math.Sqrt(e.information.At(i, i) / total)
		}
	}
	if it.null != nil && !(it.null.deviance > constant*float64(e.n)) {
		return &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "every patient has the same outcome, so there is nothing to explain"}
	}
	if dependent := diagnoseCollinearity(normal, it.design.names(), total); dependent != nil {
		return dependent
	}
	return nil
}

// runaway names the terms that walk to infinity.
func (it *iteration) runaway() *compute.Diagnosis {
	moves := it.moves(it.step)
	largest := size(moves)
	var names []string
	for i, v := range moves {
		if it.design.free[i] > 0 && math.Abs(v) >= separatedStep*largest {
			names = append(names, it.design.terms[it.design.free[i]].Name)
		}
	}
	return &compute.Diagnosis{Kind: compute.Separation, Terms: names,
		Message: "a combination of these terms predicts the outcome of some patients perfectly, so the best-fitting coefficients are infinite; gather levels, leave a feature out, or use a ridge"}
}

func (it *iteration) noConvergence() *compute.Diagnosis {
	return &compute.Diagnosis{Kind: compute.NoConvergence,
		Message: fmt.Sprintf("the fit did not settle in %d rounds; allow more rounds in schedule.rounds, or look for features that nearly determine the outcome", it.rounds+it.nulls)}
}
