package main

import (
	"math"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// patientsNeeded is how many patients a fit needs at the least, over all
// hospitals; 0 for a description.
func patientsNeeded(s *study.Study) int {
	var need int
	trained := 1.0 // share of the patients
	switch s.Model.Kind {
	case study.Describe:
		return 0
	case study.Boost:
		need = 2 * s.Model.Boost.MinLeaf // the two sides of one split
		if s.Model.Boost.Patience > 0 {
			trained -= s.Model.Boost.Fraction
		}
	case study.GLM, study.Cox:
		need = describe.PatientsPerCoefficient * s.Parameters()
	}
	switch s.Validation.Kind {
	case study.Holdout:
		trained *= 1 - s.Validation.Fraction
	case study.KFold:
		trained *= float64(s.Validation.Folds-1) / float64(s.Validation.Folds)
	}
	need = max(need, s.Fairness.MinimumCell)
	return int(math.Ceil(float64(need)/trained - 1e-9))
}
