package pipeline

import (
	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/study"
)

// StepSummary tells a person what a step of a study sends.
type StepSummary struct {
	Step    string          `json:"step"`
	Purpose string          `json:"purpose"`
	Fields  []compute.Field `json:"fields"` // at most: an audit leaves out small groups
	Numbers int             `json:"numbers"`
	Rounds  int             `json:"rounds"` // at most

	parameters bool // the step has some
}

// Steps lists the steps of a study in order.
func Steps(s *study.Study) []StepSummary { return steps(s) }

func steps(s *study.Study) []StepSummary {
	out := []StepSummary{{Step: describe.Step, Rounds: 1, Fields: describe.Layout(s),
		Purpose: "how many patients there are, at each level and in each group, and the mean and spread of the numbers"}}
	if s.Model.Kind == study.GLM {
		if s.Model.Family == study.Gaussian {
			out = append(out, StepSummary{Step: glm.StepGram, Rounds: 1, Fields: glm.GramLayout(s), parameters: true,
				Purpose: "the products of the columns with each other and with the outcome, summed over patients: all that the linear model needs"})
		} else {
			out = append(out, StepSummary{Step: glm.StepNewton, Rounds: s.Schedule.Rounds, Fields: glm.NewtonLayout(s), parameters: true,
				Purpose: "the log-likelihood of the logistic model at the current coefficients, its slope and its curvature, summed over patients"})
		}
		out = append(out, StepSummary{Step: fairness.Step, Rounds: 1, Fields: fairness.LargestLayout(s), parameters: true,
			Purpose: "how far the model is off in each group of patients that is large enough: counts and sums of errors"})
	}
	for i := range out {
		for _, f := range out[i].Fields {
			out[i].Numbers += f.Length
		}
	}
	return out
}
