// Package cox fits proportional hazards models (Cox, JRSS B 34, 1972) to
// patients that no one sees together.
//
// Stratified by site, every hospital is a stratum with a baseline hazard of its
// own. Its log partial likelihood, gradient and information need no patient of
// another hospital, so it computes them from its exact times, and only their
// sums over hospitals are opened: the fit is R's coxph(... + strata(site)), and no
// risk set leaves a hospital.
//
// Without strata the hospitals share one baseline hazard, and the partial
// likelihood compares patients of different hospitals. Then the times are taken
// at the ends of the intervals of the grid that the study declares, and for each
// interval the sums over the patients at risk are opened. Intervals are first
// merged until in each the events are none or at least the study's minimum cell,
// and so are the censored, because two risk sets that differ by one patient show
// that patient. The fit is coxph of the times on the merged grid; with a minimum
// cell of one and a grid as fine as the times it is coxph itself.
//
// Ties are Efron's (JASA 72, 1977) or Breslow's. Columns are centred at the means
// that the counts have opened and scaled by their declared ranges, where fixed
// point loses nothing; the model is reported in original units. A ridge
// subtracts lambda/2 times the sum of the squared coefficients from the log
// partial likelihood.
//
// After the fit one more sum brings what a reader asks next: the baseline, how
// often of two patients of a hospital the one with the higher hazard has the event
// first (Harrell's C; with robust standard errors one sum more has its error
// clustered by hospital), whether the hazards are proportional (the score test of
// Grambsch and Therneau, Biometrika 81, 1994, as cox.zph of R's survival 3
// computes it), and restricted mean survival times.
//
// A mitigation can have patients weigh: their relative hazards and their events
// count as many times, and tied events each with their mean weight, as in R's
// coxph(weights = ), and standard errors are the sandwich of the patients, as they
// are there. Pairs of the concordance and restricted means are of patients.
//
// Formulas: Therneau and Grambsch, Modeling Survival Data, 2000, chapters 3, 6
// and 7.
package cox

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// Steps.
const (
	StepGrid   = "cox/grid"   // events and censorings by interval; without strata, or where a clock needs them
	StepNewton = "cox/newton" // the partial likelihood at given coefficients
	StepChecks = "cox/checks" // what belongs to the fitted model
	// StepConcordance is for robust standard errors: how much each hospital decides
	// the concordance.
	StepConcordance = "cox/concordance"
)

const maxRows = 1 << 24 // of one site

// Layout is the vector of a step. It checks the parameters.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if s.Model.Kind != study.Cox || s.Outcome.Type != study.Survival {
		return nil, fmt.Errorf("the study has no step %q", step)
	}
	switch step {
	case StepGrid:
		if !needsGrid(s) {
			break
		}
		if len(parameters) != 0 {
			return nil, fmt.Errorf("the step %q has no parameters", step)
		}
		return gridLayout(s), nil
	case StepNewton:
		p, err := readPoint(s, parameters)
		if err != nil {
			return nil, err
		}
		return newtonLayout(s, p), nil
	case StepChecks:
		if _, err := readFitted(s, parameters); err != nil {
			return nil, err
		}
		return checksLayout(s), nil
	case StepConcordance:
		if _, err := readClusters(s, parameters); err != nil {
			return nil, err
		}
		return clustersLayout(), nil
	}
	return nil, fmt.Errorf("the study has no step %q", step)
}

// Answer is a site's vector for a step.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix) ([]float64, error) {
	if _, err := Layout(s, step, parameters); err != nil {
		return nil, err
	}
	if m.Rows() > maxRows {
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	}
	switch step {
	case StepGrid:
		return describe.AnswerLifetables(s, everyone, m), nil
	case StepNewton:
		p, err := readPoint(s, parameters)
		if err != nil {
			return nil, err
		}
		if s.Model.Stratify == study.StratifyNone {
			return answerPooled(s, p, m), nil
		}
		return answerStratum(s, p, m), nil
	case StepConcordance:
		q, err := readClusters(s, parameters)
		if err != nil {
			return nil, err
		}
		return q.answer(s, m), nil
	}
	p, err := readFitted(s, parameters)
	if err != nil {
		return nil, err
	}
	return answerChecks(s, p, m)
}

// everyone is the grouping of the grid: nobody is told apart.
var everyone = []describe.Grouping{describe.Everyone()}

func gridLayout(s *study.Study) []compute.Field { return describe.LifetableLayout(s, everyone) }

// Steps say what a fit sends.
func Steps(s *study.Study) []compute.StepSummary {
	var out []compute.StepSummary
	add := func(step string, fields []compute.Field, rounds int, purpose string) {
		n := 0
		for _, f := range fields {
			n += f.Length
		}
		out = append(out, compute.StepSummary{Step: step, Purpose: purpose, Fields: fields, Numbers: n, Rounds: rounds})
	}
	largest := point{}
	if needsGrid(s) {
		add(StepGrid, gridLayout(s), 1, "how many patients had the event, and how many left, in each interval of the declared grid")
	}
	if s.Model.Stratify == study.StratifyNone {
		largest.Intervals = make([]int, len(s.Outcome.Grid)) // only their number counts
		add(StepNewton, newtonLayout(s, largest), s.Schedule.Rounds, "for each interval, sums over the patients at risk of their relative hazards, times their features and products of features")
	} else {
		add(StepNewton, newtonLayout(s, largest), s.Schedule.Rounds, "how well given coefficients order the events of the hospital's own patients: log partial likelihood, gradient and information")
	}
	add(StepChecks, checksLayout(s), 1, "baseline hazard, concordance, a test that hazards are proportional, and events by interval")
	if s.Model.Robust {
		add(StepConcordance, clustersLayout(), 1, "the square of what the hospital's pairs of patients move the concordance by, for its standard error clustered by hospital")
	}
	return out
}
