package describe

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// StepSurvival is the question for events and censorings by group and interval.
const StepSurvival = "describe/survival"

// Layout is the vector of a step of this package. It checks the parameters.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	switch step {
	case Step:
		return CountsLayout(s), noParameters(step, parameters)
	case StepQuantiles:
		return QuantilesLayout(s, parameters)
	case StepTables:
		if s.Model.Kind != study.Describe {
			break
		}
		if _, err := readTableParameters(s, parameters); err != nil {
			return nil, err
		}
		return tablesLayout(s), nil
	case StepSurvival:
		if s.Model.Kind != study.Describe || s.Outcome.Type != study.Survival {
			break
		}
		return LifetableLayout(s, Groupings(s)), noParameters(step, parameters)
	}
	return nil, fmt.Errorf("the study has no step %q", step)
}

func noParameters(step string, parameters []byte) error {
	if len(parameters) != 0 {
		return fmt.Errorf("the step %q has no parameters", step)
	}
	return nil
}

// Answer is a site's vector for a step of this package.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix) ([]float64, error) {
	if _, err := Layout(s, step, parameters); err != nil {
		return nil, err
	}
	if err := checkRows(m); err != nil {
		return nil, err
	}
	switch step {
	case StepQuantiles:
		return AnswerQuantiles(s, parameters, m)
	case StepTables:
		return answerTables(s, parameters, m)
	case StepSurvival:
		return AnswerLifetables(s, Groupings(s), m), nil
	}
	return AnswerCounts(s, m)
}

// Steps are those of a description, after the counts.
func Steps(s *study.Study) []compute.StepSummary {
	var out []compute.StepSummary
	if wants := descriptionWants(s); len(wants) > 0 {
		out = append(out, QuantilesSummary(s, wants))
	}
	if fields := tablesLayout(s); len(fields) > 0 {
		out = append(out, compute.StepSummary{Step: StepTables, Fields: fields, Numbers: length(fields), Rounds: 1,
			Purpose: "how many patients lie in each bin of each number and in each cell of two categories, and how the numbers vary together"})
	}
	if s.Outcome.Type == study.Survival {
		fields := LifetableLayout(s, Groupings(s))
		out = append(out, compute.StepSummary{Step: StepSurvival, Fields: fields, Numbers: length(fields), Rounds: 1,
			Purpose: "how many patients had the event, and how many left, in each interval of the declared grid, by level and group"})
	}
	return out
}

// QuantilesSummary says what a search for quantiles sends at most.
func QuantilesSummary(s *study.Study, wants []Want) compute.StepSummary {
	fields := LargestQuantiles(wants)
	return compute.StepSummary{Step: StepQuantiles, Fields: fields, Numbers: length(fields), Rounds: QuantileRounds,
		Purpose: "how many patients lie in bins of a number, divided further where a quantile lies and enough patients are"}
}

// LargestQuantiles is the largest vector that a search can ask for.
func LargestQuantiles(wants []Want) []compute.Field {
	first, later := 0, 0
	for _, w := range wants {
		first += 1 << firstSplit
		later += len(w.Probabilities) << w.split()
	}
	return []compute.Field{{Name: "counts", Length: max(first, later), Bound: maxRows}}
}

func length(fields []compute.Field) int {
	n := 0
	for _, f := range fields {
		n += f.Length
	}
	return n
}
