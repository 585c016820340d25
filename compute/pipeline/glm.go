package pipeline

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/study"
)

// glmFit is the fit of a linear or a logistic model.
type glmFit struct {
	design   *glm.Design
	logistic *glm.Logistic // nil for a linear model
	model    *glm.Model
	remarks  []compute.Diagnosis
	study    *study.Study
}

func newGLM(s *study.Study, counts *describe.Counts) (*glmFit, error) {
	empty, remarks := counts.Empty()
	means := counts.Means()
	f := &glmFit{study: s, remarks: remarks, design: glm.NewDesign(s, empty, glm.NewCentre(s, means, counts.MeanOutcome()))}
	if s.Model.Family == study.Binomial {
		f.logistic = glm.NewLogistic(f.design, float64(counts.Positives)/float64(counts.Patients), means)
	}
	return f, nil
}

func (f *glmFit) Next() (q compute.Question, done bool, err error) {
	switch {
	case f.model != nil:
		return q, true, nil
	case f.logistic != nil:
		q.Step, q.Layout = glm.StepNewton, glm.NewtonLayout(f.study)
		q.Parameters, err = f.logistic.Parameters()
	default:
		q.Step, q.Layout = glm.StepGram, glm.GramLayout(f.study)
		q.Parameters, err = f.design.GramParameters()
	}
	return q, false, err
}

func (f *glmFit) Absorb(sum compute.Sum) error {
	if f.logistic != nil {
		done, err := f.logistic.Absorb(sum)
		if done && err == nil {
			f.model = f.logistic.Model()
		}
		return err
	}
	model, remarks, err := glm.FitGaussian(f.design, sum)
	f.model, f.remarks = model, append(f.remarks, remarks...)
	return err
}

func (f *glmFit) Remarks() []compute.Diagnosis { return f.remarks }

func glmLayout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if step == glm.StepGram {
		return glm.GramLayout(s), glm.CheckGram(s, parameters)
	}
	return glm.NewtonLayout(s), glm.CheckNewton(s, parameters)
}

func glmAnswer(s *study.Study, step string, parameters []byte, m *study.Matrix) ([]float64, error) {
	if step == glm.StepGram {
		return glm.AnswerGram(s, parameters, m)
	}
	return glm.AnswerNewton(s, parameters, m)
}

func glmSteps(s *study.Study) []compute.StepSummary {
	if s.Model.Family == study.Gaussian {
		return []compute.StepSummary{{Step: glm.StepGram, Rounds: 1, Fields: glm.GramLayout(s),
			Purpose: "the products of the columns with each other and with the outcome, summed over patients: all that the linear model needs"}}
	}
	return []compute.StepSummary{{Step: glm.StepNewton, Rounds: s.Schedule.Rounds, Fields: glm.NewtonLayout(s),
		Purpose: "the log-likelihood of the logistic model at the current coefficients, its slope and its curvature, summed over patients"}}
}

type glmPredictor struct{ p *glm.Predictor }

func (g glmPredictor) Predict(row []float64, offset float64) float64 {
	p, err := g.p.Predict(row)
	if err != nil {
		return 0
	}
	return p.Value
}

func glmEncode(m *glm.Model) ([]byte, error) { return compute.EncodeParameters(m) }

func glmDecode(s *study.Study, encoded []byte) (compute.Predictor, error) {
	var m glm.Model
	if err := compute.DecodeParameters(encoded, &m); err != nil {
		return nil, err
	}
	p, err := glm.NewPredictor(&m, s)
	if err != nil {
		return nil, fmt.Errorf("the model: %w", err)
	}
	return glmPredictor{p}, nil
}
