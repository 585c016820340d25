package mitigation

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/study"
)

// Declared says in words what the study will try, how strongly, and which of the
// models is released; empty where it declares nothing.
func Declared(s *study.Study) string {
	m := s.Mitigation
	if m == nil {
		return ""
	}
	var strengths []string
	for _, x := range m.Strengths {
		strengths = append(strengths, decimal(x))
	}
	released := "the model without it is released, the others are only shown"
	if m.Release > 0 {
		released = "the model at strength " + decimal(m.Release) + " is released"
	}
	grid := "strengths "
	if len(strengths) == 1 {
		grid = "strength "
	}
	return fmt.Sprintf("%s, by %s (%s); %s%s beside the model without; %s", m.Method, s.Fairness.Attributes[m.Attribute].Column, settings(s), grid, strings.Join(strengths, ", "), released)
}

// settings of the method in words.
func settings(s *study.Study) string {
	m := s.Mitigation
	switch m.Method {
	case study.Reweigh:
		if m.Balance == study.BalanceSize {
			return "every group weighs as much as every other"
		}
		return "in every group the outcome weighs as in the whole"
	case study.BoundedGroupLoss:
		return fmt.Sprintf("groups whose loss is above %s weigh more, %d fits a strength", decimal(m.Bound), m.Rounds)
	case study.Recalibrate:
		switch {
		case s.Outcome.Type == study.Survival:
			return "a factor on each group's hazard"
		case s.Outcome.Type == study.Count:
			return "a factor on each group's predictions"
		case m.Slope:
			return "a line for each group's predictions"
		}
		return "each group's predictions are moved up or down"
	case study.GroupThresholds:
		return fmt.Sprintf("a threshold for each group that makes %s alike; a false positive costs %s, a false negative %s", words[m.Equalize], decimal(m.FalsePositive), decimal(m.FalseNegative))
	case study.QFedAvg:
		return "hospitals where the network loses more count more, with exponent " + decimal(m.Q) + " at strength 1"
	}
	return fmt.Sprintf("hospitals whose gap of %s is that of all patients count more, with beta %s at strength 1", words[m.Equalize], decimal(m.Beta))
}

var words = map[string]string{"tpr": "the true positive rate", "fpr": "the false positive rate", "selection_rate": "the share called positive", study.EqualLoss: "the mean loss"}

func decimal(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
