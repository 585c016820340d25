package pipeline

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/study"
)

// Predictor applies a released model to single patients. It is immutable and
// safe for concurrent use.
type Predictor struct {
	study    *study.Study // with the knots of its splines
	model    *Model
	glm      *glm.Predictor // of a generalised linear model, which knows its own intervals
	other    compute.Predictor
	features [][]int // by feature: the terms that it takes part in
}

// Predictor checks that the model is one of the study.
func (m *Model) Predictor(s *study.Study) (*Predictor, error) {
	if err := m.Mitigation.Check(s); err != nil {
		return nil, err
	}
	known, err := scope{Knots: m.Knots}.study(s)
	if err != nil {
		return nil, err
	}
	p := &Predictor{study: known, model: m}
	if m.GLM != nil {
		p.glm, err = glm.NewPredictor(m.GLM, known)
		return p, err
	}
	terms := known.Terms()
	if len(m.Means) != len(terms) {
		return nil, fmt.Errorf("the model has the means of %d columns, the study %d", len(m.Means), len(terms))
	}
	encoded, err := m.encode()
	if err != nil {
		return nil, err
	}
	if p.other, err = decode(known, encoded); err != nil {
		return nil, err
	}
	p.features = make([][]int, len(known.Features))
	for j, t := range terms {
		for _, f := range featuresOf(terms, t) {
			p.features[f] = append(p.features[f], j)
		}
	}
	return p, nil
}

// featuresOf are the features that a term is made of.
func featuresOf(terms []study.Term, t study.Term) (features []int) {
	if t.Feature >= 0 {
		return []int{t.Feature}
	}
	for _, j := range t.Product {
		features = append(features, terms[j].Feature)
	}
	return features
}

// Reader turns records with these columns into rows for Predict.
func (p *Predictor) Reader(columns []string) (*study.Predictor, error) {
	return p.study.NewPredictor(columns)
}

// Predict takes a row of the reader and the record's offset. Where nothing is
// known of a prediction's uncertainty, Lower and Upper are NaN. A survival
// prediction is the probability of the event by the end of the outcome's grid
// where the model has a baseline, and the log relative hazard where it has none.
func (p *Predictor) Predict(row []float64, offset float64) (glm.Prediction, error) {
	if p.glm != nil {
		return p.glm.PredictWith(row, offset)
	}
	if len(row) != len(p.model.Means) {
		return glm.Prediction{}, fmt.Errorf("the row has %d values, the model %d columns", len(row), len(p.model.Means))
	}
	out := glm.Prediction{Value: p.value(row, offset), Lower: math.NaN(), Upper: math.NaN(), Baseline: p.value(p.model.Means, offset)}
	if i := p.model.Interval; i != nil {
		out.Lower, out.Upper = out.Value-i.HalfWidth, out.Value+i.HalfWidth
		if p.study.Outcome.Range.Lo >= 0 {
			out.Lower = max(0, out.Lower)
		}
	}
	for f, terms := range p.features {
		at := append([]float64(nil), row...)
		for _, j := range terms {
			at[j] = p.model.Means[j]
		}
		out.Contributions = append(out.Contributions, glm.Contribution{Feature: p.study.Features[f].Column, Change: out.Value - p.value(at, offset)})
	}
	return out, nil
}

func (p *Predictor) value(row []float64, offset float64) float64 {
	value := p.other.Predict(row, offset)
	if s, ok := p.other.(compute.Survivor); ok && len(p.study.Outcome.Grid) > 0 {
		return 1 - s.Survival(value, p.study.Outcome.Grid[len(p.study.Outcome.Grid)-1])
	}
	return value
}

// Forecast is what the model says of a hospital's own records, as the audit
// judges it: predictions in the outcome's unit, a probability, or a log relative
// hazard, and how likely patients are to be free of the event.
func (m *Model) Forecast(s *study.Study, records *study.Matrix) (fairness.Forecast, error) {
	if err := m.Mitigation.Check(s); err != nil {
		return fairness.Forecast{}, err
	}
	t, err := newTrials(m.Knots, []trial{{leaveOut{}, m}})
	if err != nil {
		return fairness.Forecast{}, err
	}
	f, err := t.forecast(s, Site{Records: records})
	if err != nil {
		return fairness.Forecast{}, err
	}
	return f.audited(s), nil
}
