// Package pipeline composes the computations of a study: the counts, the model,
// the audit of its errors. It is the one place that knows which question
// follows which sum.
//
// A Session is the coordinator's side. It holds nothing but what the opened
// sums say, so one that absorbs the same sums in the same order asks the same
// questions and gives the same result, byte for byte; a coordinator that was
// killed, and an auditor with the evidence, get there by replaying.
//
// Layout and Answer are a site's side. A site recomputes the layout from the
// study it approved and compares; it answers steps of that study and no others,
// and only parameters that are well formed.
package pipeline

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/study"
)

// Result is what a study has found so far; complete when Next says done.
type Result struct {
	Study     string              `json:"study"` // digest, hex
	Name      string              `json:"name"`
	Cohort    *describe.Cohort    `json:"cohort,omitempty"`
	Model     *glm.Model          `json:"model,omitempty"`
	Audit     *fairness.Audit     `json:"audit,omitempty"`
	Diagnoses []compute.Diagnosis `json:"diagnoses,omitempty"`
}

// Session is one run of a study.
type Session struct {
	study    *study.Study
	step     string // of the open question; empty when done
	counts   *describe.Counts
	design   *glm.Design
	logistic *glm.Logistic
	question fairness.Question
	failed   *compute.Diagnosis
	result   Result
}

// New starts at the counts.
func New(s *study.Study) *Session {
	digest := s.Digest()
	return &Session{study: s, step: describe.Step, result: Result{Study: hex.EncodeToString(digest[:]), Name: s.Name}}
}

// Next is the question whose sum Absorb expects; asked again it is the same. An
// error that is a *compute.Diagnosis says why the study ends without a model.
func (s *Session) Next() (q compute.Question, done bool, err error) {
	if s.failed != nil {
		return q, true, s.failed
	}
	if s.step == "" {
		return q, true, nil
	}
	q.Step = s.step
	switch s.step {
	case glm.StepGram:
		q.Parameters, err = s.design.GramParameters()
	case glm.StepNewton:
		q.Parameters, err = s.logistic.Parameters()
	case fairness.Step:
		q.Parameters, err = s.question.Parameters()
	}
	if err != nil {
		return q, false, err
	}
	q.Layout, err = Layout(s.study, q.Step, q.Parameters)
	return q, false, err
}

// Absorb takes the opened sum of the question of Next. After a diagnosis it
// returns nil, and Next returns the diagnosis.
func (s *Session) Absorb(sum compute.Sum) error {
	if s.failed != nil || s.step == "" {
		return errors.New("the study is over: no sum is expected")
	}
	err := s.absorb(sum)
	var d *compute.Diagnosis
	if errors.As(err, &d) {
		s.failed, s.step = d, ""
		s.result.Diagnoses = append(s.result.Diagnoses, *d)
		return nil
	}
	return err
}

func (s *Session) absorb(sum compute.Sum) (err error) {
	switch s.step {
	case describe.Step:
		return s.absorbCounts(sum)
	case glm.StepGram:
		model, remarks, err := glm.FitGaussian(s.design, sum)
		if err != nil {
			return err
		}
		s.result.Diagnoses = append(s.result.Diagnoses, remarks...)
		s.audit(model)
	case glm.StepNewton:
		done, err := s.logistic.Absorb(sum)
		if err != nil || !done {
			return err
		}
		s.audit(s.logistic.Model())
	case fairness.Step:
		if s.result.Audit, err = fairness.Read(s.study, s.question, s.counts, sum); err != nil {
			return err
		}
		s.step = ""
	}
	return nil
}

func (s *Session) absorbCounts(sum compute.Sum) (err error) {
	if s.counts, err = describe.Read(s.study, sum); err != nil {
		return err
	}
	s.result.Cohort = s.counts.Cohort()
	if s.study.Model.Kind == study.Describe {
		s.step = ""
		return nil
	}
	if d := s.counts.Diagnose(); d != nil {
		return d
	}
	empty, remarks := s.counts.Empty()
	s.result.Diagnoses = append(s.result.Diagnoses, remarks...)
	means := s.counts.Means()
	s.design = glm.NewDesign(s.study, empty, glm.NewCentre(s.study, means, s.counts.MeanOutcome()))
	if s.study.Model.Family == study.Gaussian {
		s.step = glm.StepGram
		return nil
	}
	prevalence := float64(s.counts.Positives) / float64(s.counts.Patients)
	s.logistic = glm.NewLogistic(s.design, prevalence, means)
	s.step = glm.StepNewton
	return nil
}

func (s *Session) audit(model *glm.Model) {
	s.result.Model = model
	s.question = fairness.Ask(s.study, s.counts, model.Coefficients(s.study))
	s.step = fairness.Step
}

// Result is what is known so far. The caller must not change it.
func (s *Session) Result() *Result { return &s.result }

// Layout is the vector of a step: what a site recomputes and compares with the
// plan it is sent.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if err := belongs(s, step, parameters); err != nil {
		return nil, err
	}
	switch step {
	case describe.Step:
		return describe.Layout(s), nil
	case glm.StepGram:
		return glm.GramLayout(s), glm.CheckGram(s, parameters)
	case glm.StepNewton:
		return glm.NewtonLayout(s), glm.CheckNewton(s, parameters)
	default:
		return fairness.Layout(s, parameters)
	}
}

// Answer is a site's vector.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix) ([]float64, error) {
	if err := belongs(s, step, parameters); err != nil {
		return nil, err
	}
	switch step {
	case describe.Step:
		return describe.Answer(s, m)
	case glm.StepGram:
		return glm.AnswerGram(s, parameters, m)
	case glm.StepNewton:
		return glm.AnswerNewton(s, parameters, m)
	default:
		return fairness.Answer(s, parameters, m)
	}
}

// belongs refuses a step that the study does not have.
func belongs(s *study.Study, step string, parameters []byte) error {
	for _, known := range steps(s) {
		if known.Step != step {
			continue
		}
		if !known.parameters && len(parameters) != 0 {
			return fmt.Errorf("step %s takes no parameters", step)
		}
		return nil
	}
	return fmt.Errorf("the study has no step %q", step)
}
