package pipeline

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/study"
)

// trial is a model beside the part of the patients that it was not fitted to;
// if the part is empty, it is tried on all.
type trial struct {
	leaveOut leaveOut
	model    *Model
}

// trials are the public parameters of the steps that judge predictions.
type trials struct {
	Knots      [][]float64     `json:"knots,omitempty"`
	Models     []tried         `json:"models"`
	Parameters json.RawMessage `json:"parameters,omitempty"` // of the step itself
}

// tried is a trial as it travels.
type tried struct {
	On    leaveOut `json:"on,omitzero"` // the part that the model was not fitted to
	Model []byte   `json:"model"`       // as the model's kind encodes it
	// Lines move the predictions of groups, by group of the mitigation's attribute.
	Lines mitigation.Lines `json:"lines,omitempty"`
}

func newTrials(knots [][]float64, list []trial) (*trials, error) {
	t := &trials{Knots: knots}
	for _, one := range list {
		encoded, err := one.model.encode()
		if err != nil {
			return nil, err
		}
		t.Models = append(t.Models, tried{one.leaveOut, encoded, one.model.Mitigation.Lines()})
	}
	return t, nil
}

func (t *trials) wrap(parameters []byte) ([]byte, error) {
	return compute.EncodeParameters(trials{t.Knots, t.Models, parameters})
}

// readTrials checks everything but that the models are models of the study.
func readTrials(s *study.Study, parameters []byte) (*trials, error) {
	t := new(trials)
	if err := compute.DecodeParameters(parameters, t); err != nil {
		return nil, err
	}
	if len(t.Models) == 0 {
		return nil, errors.New("there is no model to try")
	}
	for _, one := range t.Models {
		if one.On.nothing() && len(t.Models) > 1 {
			return nil, errors.New("a model that is tried on all patients is the only one")
		}
		if err := errors.Join(one.On.check(s), one.Lines.Check(s)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// forecasts are the predictions of a site's records and the model that made
// each: NaN and -1 for a record that no model is tried on.
type forecasts struct {
	values []float64
	by     []int
	models []compute.Predictor
}

// audited is what the audit takes of it.
func (f *forecasts) audited(s *study.Study) fairness.Forecast {
	out := fairness.Forecast{Values: f.values}
	if s.HasBaseline() {
		out.Free = func(record int, time float64) float64 {
			survivor, ok := f.models[f.by[record]].(compute.Survivor)
			if !ok {
				return math.NaN()
			}
			return survivor.Survival(f.values[record], time)
		}
	}
	return out
}

// predictors of the models, in order.
func (t *trials) predictors(s *study.Study) ([]compute.Predictor, error) {
	known, err := scope{Knots: t.Knots}.study(s)
	if err != nil {
		return nil, err
	}
	var list []compute.Predictor
	for _, one := range t.Models {
		p, err := decode(known, one.Model)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// judged is the key under which a matrix remembers the forecasts of models.
type judged struct{ study, models [32]byte }

// forecast predicts a site's records, each by the first model that was not
// fitted to it.
func (t *trials) forecast(s *study.Study, site Site) (*forecasts, error) {
	key, err := json.Marshal(trials{Knots: t.Knots, Models: t.Models})
	if err != nil {
		return nil, err
	}
	made, ok := site.Records.Memo(judged{s.Digest(), sha256.Sum256(key)}, func() any {
		var f *forecasts
		if f, err = t.predict(s, site); err != nil {
			return nil
		}
		return f
	}).(*forecasts)
	if !ok {
		return nil, errors.Join(errors.New("the models do not fit the records"), err)
	}
	return made, nil
}

func (t *trials) predict(s *study.Study, site Site) (*forecasts, error) {
	models, err := t.predictors(s)
	if err != nil {
		return nil, err
	}
	m := site.Records
	if t.Knots != nil {
		if m, err = m.Knotted(t.Knots); err != nil {
			return nil, err
		}
	}
	f := &forecasts{make([]float64, m.Rows()), make([]int, m.Rows()), models}
	var row []float64
	for i := range m.Rows() {
		f.values[i], f.by[i] = math.NaN(), -1
		for k, one := range t.Models {
			if one.On.nothing() || one.On.holds(site, i) {
				row = m.AppendRow(row[:0], i)
				f.values[i], f.by[i] = one.Lines.Moved(s, m, i, models[k].Predict(row, m.Offset(i))), k
				break
			}
		}
	}
	return f, nil
}
