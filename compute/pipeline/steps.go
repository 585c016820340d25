package pipeline

import (
	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// Steps lists the steps of a study in order, with the most rounds that each can
// take where so many hospitals are invited.
func Steps(s *study.Study, sites int) []compute.StepSummary {
	if s.Monitor != nil {
		return numbered(drift.Steps(s))
	}
	wants := splineQuantiles(s)
	if known, err := s.KnottedEvenly(); err == nil {
		s = known // with as many columns as there will be
	}
	folds := 0
	switch s.Validation.Kind {
	case study.KFold:
		folds = s.Validation.Folds
	case study.LeaveOneSiteOut:
		folds = max(1, sites)
	}
	out := []compute.StepSummary{{Step: describe.Step, Rounds: 1, Fields: describe.CountsLayout(s),
		Purpose: "how many patients there are, " + counted(s) + ", and the mean and spread of the numbers"}}
	if s.Model.Kind == study.Describe {
		return numbered(append(out, describe.Steps(s)...))
	}
	if wants != nil {
		out = append(out, describe.QuantilesSummary(s, wants))
	}
	if s.Validation.Kind != "" || len(s.Model.Splines) > 0 {
		out[0].Rounds++ // the model begins with the counts of its own patients
	}
	out = append(out, mitigationSteps(s, halves[s.Model.Kind].steps(s))...)
	if folds > 0 {
		out = append(out, foldsSummary(s, folds))
	}
	if s.Validation.Kind != "" {
		out = append(out, compute.StepSummary{Step: validation.Step, Rounds: 1, Fields: validation.Layout(s),
			Purpose: "how well the model predicts patients that it was not fitted to: sums of errors, and counts in bins of predictions"})
	}
	return numbered(append(out, followedSteps(s, auditSteps(s))...))
}

func numbered(steps []compute.StepSummary) []compute.StepSummary {
	for i := range steps {
		steps[i].Numbers = 0
		for _, f := range steps[i].Fields {
			steps[i].Numbers += f.Length
		}
		numbered(steps[i].Parts)
	}
	return steps
}
