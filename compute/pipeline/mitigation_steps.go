package pipeline

import (
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/study"
)

// mitigationSteps are the steps of a study's models with those that its
// mitigation adds: fits with weights, and what it asks itself.
func mitigationSteps(s *study.Study, models []compute.StepSummary) []compute.StepSummary {
	m := s.Mitigation
	if m == nil {
		return models
	}
	if fits := mitigation.Fits(m); fits > 0 {
		plain := map[string]int{}
		for _, step := range models {
			plain[step.Step] = step.Rounds
		}
		how := "with weights by " + s.Fairness.Attributes[m.Attribute].Column
		switch m.Method {
		case study.QFedAvg:
			how = "by q-FedAvg"
			models = halves[s.Model.Kind].steps(s.Sharpened(m.Q))
		case study.FairFed:
			how = "by FairFed"
			models = halves[s.Model.Kind].steps(s.WeighedByGap(&study.GapWeights{}))
		default:
			models = halves[s.Model.Kind].steps(s.Weighted())
		}
		for i := range models {
			models[i].Rounds = models[i].Rounds*fits + plain[models[i].Step]
			switch {
			case plain[models[i].Step] == 0: // a step of the mitigation's fits alone
			case fits == 1:
				models[i].Purpose += "; once " + how
			default:
				models[i].Purpose += fmt.Sprintf("; %d times %s", fits, how)
			}
		}
	}
	return append(models, mitigation.Steps(s)...)
}

// auditSteps are those of the audit, and of the audits of the models that are
// not released.
func auditSteps(s *study.Study) []compute.StepSummary {
	steps := fairness.Steps(s)
	if s.Mitigation != nil {
		for i := range steps {
			if steps[i].Step == fairness.Step {
				steps[i].Rounds += len(s.Mitigation.Strengths)
			}
		}
	}
	return steps
}

// mitigates reports whether a step is the mitigation's own.
func mitigates(step string) bool { return strings.HasPrefix(step, "mitigation/") }

// mitigationShown says what the mitigation's sums show beside the models.
func mitigationShown(s *study.Study) (notes []string) {
	m := s.Mitigation
	if m == nil {
		return nil
	}
	notes = []string{"mitigation: " + mitigation.Declared(s) + "."}
	column := s.Fairness.Attributes[m.Attribute].Column
	what := ""
	switch {
	case m.Method == study.FairFed:
		what = "in every round, how many of its patients the network so far calls positive, or what it loses for them, together with the other groups on its side of the gap and however few; and how far hospitals' gaps are from that, on average"
	case m.Method == study.QFedAvg:
		return append(notes, "mitigation: q-FedAvg adds one number to each of its rounds: how much the hospitals together would have the step shortened.")
	case m.Method == study.Reweigh && m.Balance == study.BalanceOutcome:
		what = "how many patients it has in each class of the outcome, however few"
	case m.Method == study.BoundedGroupLoss:
		what = "what each model of the search loses in it"
	case m.Method == study.Recalibrate && s.Outcome.Type == study.Survival:
		what = "how many of its patients had the event, and how many the model expects, however few"
	case m.Method == study.Recalibrate:
		what = "the sums of predictions and outcomes that its line is made of"
	case m.Method == study.GroupThresholds:
		what = "how many patients, with and without the outcome, have a probability in each of a hundred bins, however few"
	default:
		what = "how many patients it has"
	}
	notes = append(notes, fmt.Sprintf("mitigation: of each group of %s that passes the audit's rules the sums show, over all hospitals, %s.", column, what))
	if s.Validation.Kind == study.LeaveOneSiteOut {
		notes = append(notes, "mitigation: its sums without a hospital, subtracted from the same sums with it, are that hospital's own as far as they are counts.")
	}
	if m.NeedsGroup() {
		notes = append(notes, fmt.Sprintf("mitigation: the released model asks for %s and treats groups differently. Whether that is permitted is for the clinic and the law to say, before it is approved.", column))
	}
	return notes
}
