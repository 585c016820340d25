package pipeline

import (
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// Layout is the vector of a step: what a site recomputes and compares with the
// plan it is sent.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if err := belongs(s, step); err != nil {
		return nil, err
	}
	if step == FoldsStep {
		return foldsLayout(s, parameters)
	}
	if mitigates(step) {
		return mitigationLayout(s, step, parameters)
	}
	if watches(step) {
		return drift.Layout(s, step, parameters)
	}
	if judges(step) {
		t, err := readTrials(s, parameters)
		if err != nil {
			return nil, err
		}
		if _, err := t.predictors(s); err != nil {
			return nil, err
		}
		if step == validation.Step {
			return validation.Layout(s), validation.Check(s, t.Parameters)
		}
		return fairness.Layout(s, step, t.Parameters)
	}
	q, known, err := readScoped(s, parameters)
	if err != nil {
		return nil, err
	}
	h, err := halfOf(step)
	if err != nil {
		return nil, err
	}
	return h.layout(known, step, q.Parameters)
}

// Answer is a site's vector.
func Answer(s *study.Study, step string, parameters []byte, site Site) ([]float64, error) {
	if err := belongs(s, step); err != nil {
		return nil, err
	}
	if step == FoldsStep {
		return answerFolds(s, parameters, site)
	}
	if mitigates(step) {
		return answerMitigation(s, step, parameters, site)
	}
	if watches(step) {
		return answerWindow(s, step, parameters, site)
	}
	if judges(step) {
		t, err := readTrials(s, parameters)
		if err != nil {
			return nil, err
		}
		f, err := t.forecast(s, site)
		if err != nil {
			return nil, err
		}
		if step == validation.Step {
			return validation.Answer(s, t.Parameters, site.Records, f.values, f.by)
		}
		if step == fairness.StepNoisy {
			return fairness.AnswerNoisy(s, t.Parameters, site.Records, f.audited(s), site.Required, site.Random)
		}
		return fairness.Answer(s, step, t.Parameters, site.Records, f.audited(s))
	}
	q, known, err := readScoped(s, parameters)
	if err != nil {
		return nil, err
	}
	m, err := q.records(site)
	if err != nil {
		return nil, err
	}
	h, err := halfOf(step)
	if err != nil {
		return nil, err
	}
	return h.answer(known, step, q.Parameters, m)
}

// judges reports whether a step is about predictions.
func judges(step string) bool {
	return step == validation.Step || strings.HasPrefix(step, "fairness/")
}

// belongs refuses a step that the study does not have.
func belongs(s *study.Study, step string) error {
	if _, known := Rounds(s, step, 0); !known {
		return fmt.Errorf("the study has no step %q", step)
	}
	return nil
}
