package glm

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// step is one kind of question, the site's half.
type step struct {
	name    string
	purpose string
	rounds  int
	// largest is the layout at its longest and widest.
	largest func(s *study.Study) []compute.Field
	layout  func(s *study.Study, parameters []byte) ([]compute.Field, error)
	answer  func(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error)
}

var (
	meansStep = step{
		name: StepMeans, rounds: 1, largest: meansLayout,
		purpose: "the weighted mean of every column, of the outcome and of the offset: where the fit starts",
		layout: func(s *study.Study, parameters []byte) ([]compute.Field, error) {
			if len(parameters) != 0 {
				return nil, fmt.Errorf("step %s takes no parameters", StepMeans)
			}
			return meansLayout(s), nil
		},
		answer: func(s *study.Study, _ []byte, m *study.Matrix) ([]float64, error) { return answerMeans(s, m), nil },
	}
	gramStep = step{
		name: StepGram, rounds: 1, largest: gramLayout,
		purpose: "the products of the columns with each other and with the outcome, summed over patients: all that the linear model needs",
		layout: func(s *study.Study, parameters []byte) ([]compute.Field, error) {
			_, err := readGram(s, parameters)
			return gramLayout(s), err
		},
		answer: answerGram,
	}
	newtonStep = step{
		name:    StepNewton,
		purpose: "the log-likelihood of the model at the current coefficients, its slope and its curvature, summed over patients",
		largest: func(s *study.Study) []compute.Field { return newtonLayout(s, familyOf(s, largestTheta)) },
		layout: func(s *study.Study, parameters []byte) ([]compute.Field, error) {
			q, err := readNewton(s, parameters)
			return newtonLayout(s, q.family(s)), err
		},
		answer: answerNewton,
	}
	scoresStep = step{
		name: StepScores, rounds: 1, largest: scoresLayout,
		purpose: "how far each site's patients, taken together, are from the model: products of a site's total scores, for robust standard errors",
		layout: func(s *study.Study, parameters []byte) ([]compute.Field, error) {
			_, err := readScores(s, parameters)
			return scoresLayout(s), err
		},
		answer: answerScores,
	}
	betweenStep = step{
		name: StepBetween, largest: betweenLayout,
		purpose: "the products of the columns and the outcome at the current ratio of the variances between and within sites",
		layout: func(s *study.Study, parameters []byte) ([]compute.Field, error) {
			_, err := readBetween(s, parameters)
			return betweenLayout(s), err
		},
		answer: answerBetween,
	}
	quadratureStep = step{
		name: StepQuadrature, largest: quadratureLayout,
		purpose: "the log-likelihood of each site's patients together, over all values that the site's intercept may have, its slope and its curvature",
		layout: func(s *study.Study, parameters []byte) ([]compute.Field, error) {
			_, err := readQuadrature(s, parameters)
			return quadratureLayout(s), err
		},
		answer: answerQuadrature,
	}
)

// stepsOf lists the steps of a study in order.
func stepsOf(s *study.Study) []step {
	var out []step
	if needsMeans(s) {
		out = append(out, meansStep)
	}
	random := s.Model.SiteEffects == study.RandomSiteEffects
	switch {
	case s.Model.Family == study.Gaussian && random:
		out = append(out, gramStep, betweenStep)
	case s.Model.Family == study.Gaussian:
		out = append(out, gramStep)
	case random:
		out = append(out, quadratureStep)
	default:
		out = append(out, newtonStep)
	}
	if s.Model.Robust {
		out = append(out, scoresStep)
	}
	return out
}

func stepOf(s *study.Study, name string) (step, error) {
	for _, known := range stepsOf(s) {
		if known.name == name {
			return known, nil
		}
	}
	return step{}, fmt.Errorf("the study has no step %q", name)
}

// Layout is the vector of a step. It checks the parameters fully.
func Layout(s *study.Study, name string, parameters []byte) ([]compute.Field, error) {
	known, err := stepOf(s, name)
	if err != nil {
		return nil, err
	}
	return known.layout(s, parameters)
}

// Answer is a site's vector.
func Answer(s *study.Study, name string, parameters []byte, m *study.Matrix) ([]float64, error) {
	known, err := stepOf(s, name)
	if err != nil {
		return nil, err
	}
	if err := checkRows(m); err != nil {
		return nil, err
	}
	if _, err := known.layout(s, parameters); err != nil {
		return nil, err
	}
	return known.answer(s, parameters, m)
}

// Steps says what a study of this kind sends.
func Steps(s *study.Study) []compute.StepSummary {
	if s.TermCount() != len(s.Terms()) {
		// Wherever the knots will be, there are as many terms.
		if knotted, err := s.KnottedEvenly(); err == nil {
			s = knotted
		}
	}
	var out []compute.StepSummary
	for _, known := range stepsOf(s) {
		summary := compute.StepSummary{Step: known.name, Purpose: known.purpose, Fields: known.largest(s), Rounds: known.rounds}
		if summary.Rounds == 0 {
			summary.Rounds = s.Schedule.Rounds
		}
		if known.name == StepNewton && (s.Model.Offset != nil || s.Model.Family == study.NegativeBinomial) {
			summary.Rounds += mostNullSteps
		}
		for _, f := range summary.Fields {
			summary.Numbers += f.Length
		}
		out = append(out, summary)
	}
	return out
}
