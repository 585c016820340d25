package pipeline

import (
	"encoding/json"
	"errors"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/study"
)

// looked are the public parameters of a step that looks at a model's predictions
// for the patients that it was fitted to.
type looked struct {
	scope
	Model      []byte          `json:"model"`
	Parameters json.RawMessage `json:"parameters,omitempty"` // of the step itself
}

func readLooked(s *study.Study, parameters []byte) (q looked, p compute.Predictor, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, nil, err
	}
	if err := q.LeaveOut.check(s); err != nil {
		return q, nil, err
	}
	if q.LeaveOut.nothing() && !held(s).nothing() || q.Weights != nil || q.Q != 0 || q.GapWeights != nil {
		return q, nil, errors.New("a mitigation looks at the patients that the model is fitted to")
	}
	known, err := q.study(s)
	if err != nil {
		return q, nil, err
	}
	p, err = decode(known, q.Model)
	return q, p, err
}

// mitigationLayout is the vector of a step of the mitigation.
func mitigationLayout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if !mitigation.Predicts(step) {
		q, _, err := readScoped(s, parameters)
		if err != nil {
			return nil, err
		}
		return mitigation.Layout(s, step, q.Parameters)
	}
	q, _, err := readLooked(s, parameters)
	if err != nil {
		return nil, err
	}
	return mitigation.Layout(s, step, q.Parameters)
}

// answerMitigation is a site's vector.
func answerMitigation(s *study.Study, step string, parameters []byte, site Site) ([]float64, error) {
	if !mitigation.Predicts(step) {
		q, _, err := readScoped(s, parameters)
		if err != nil {
			return nil, err
		}
		m, err := q.records(site)
		if err != nil {
			return nil, err
		}
		return mitigation.Answer(s, step, q.Parameters, m, nil)
	}
	q, p, err := readLooked(s, parameters)
	if err != nil {
		return nil, err
	}
	m, err := q.records(site)
	if err != nil {
		return nil, err
	}
	predictions := make([]float64, m.Rows())
	var row []float64
	for i := range predictions {
		row = m.AppendRow(row[:0], i)
		predictions[i] = p.Predict(row, m.Offset(i))
		if survivor, ok := p.(compute.Survivor); ok {
			predictions[i] = -math.Log(survivor.Survival(predictions[i], min(m.Outcome(i), mitigation.Horizon(s))))
		}
	}
	return mitigation.Answer(s, step, q.Parameters, m, predictions)
}
