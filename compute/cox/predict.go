package cox

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// encoded is the part of a model that predicts. Terms are in the order of the
// study; one that is missing was left out of the fit and has no effect.
type encoded struct {
	Terms    []encodedTerm `json:"terms"`
	Times    []float64     `json:"times"`
	Hazards  []float64     `json:"hazards"` // cumulative, of the mean patient
	Stratify string        `json:"stratify"`
}

type encodedTerm struct {
	Name     string  `json:"name"`
	Estimate float64 `json:"estimate"`
	Mean     float64 `json:"mean"`
}

// Encode writes what Decode reads.
func (m *Model) Encode() ([]byte, error) {
	e := encoded{Terms: []encodedTerm{}, Times: []float64{}, Hazards: []float64{}, Stratify: m.Stratify}
	for _, t := range m.Terms {
		e.Terms = append(e.Terms, encodedTerm{t.Name, t.Estimate + 0, t.Mean + 0})
	}
	for _, p := range m.Baseline {
		e.Times, e.Hazards = append(e.Times, p.Time), append(e.Hazards, p.Hazard)
	}
	return compute.EncodeParameters(e)
}

// predictionReach bounds the log relative hazard of any row within the declared
// ranges.
const predictionReach = 1 << 36

// Decode makes a predictor of an encoded model. It refuses one that does not
// belong to the study.
func Decode(s *study.Study, data []byte) (compute.Predictor, error) {
	var e encoded
	if err := compute.DecodeParameters(data, &e); err != nil {
		return nil, err
	}
	if s.Model.Kind != study.Cox || e.Stratify != s.Model.Stratify {
		return nil, errors.New("the model is not one of this study")
	}
	terms := s.Terms()
	p := &predictor{coefficients: make([]float64, len(terms)), means: make([]float64, len(terms)), times: e.Times, hazards: e.Hazards}
	next, spread := 0, 0.0
	for j, t := range terms {
		if j == 0 || next == len(e.Terms) || e.Terms[next].Name != t.Name {
			continue
		}
		x := e.Terms[next]
		next++
		if !plain(x.Estimate) || !plain(x.Mean) || x.Mean < t.Lo || x.Mean > t.Hi {
			return nil, fmt.Errorf("the model's coefficient or mean of %s is no number, or out of bounds", t.Name)
		}
		p.coefficients[j], p.means[j] = x.Estimate, x.Mean
		spread += math.Abs(x.Estimate) * (t.Hi - t.Lo)
	}
	if next != len(e.Terms) {
		return nil, errors.New("the model has terms that the study does not declare, or in another order")
	}
	if !(spread <= predictionReach) {
		return nil, errors.New("the model's coefficients are too large to predict with")
	}
	return p, p.checkBaseline(s)
}

func plain(x float64) bool { return isFinite(x) && !(x == 0 && math.Signbit(x)) }

func (p *predictor) checkBaseline(s *study.Study) error {
	if len(p.times) == 0 || len(p.times) > len(s.Outcome.Grid) || len(p.hazards) != len(p.times) {
		return errors.New("the model's baseline does not fit the study's grid")
	}
	known := 0
	for k, t := range p.times {
		known += sort.SearchFloat64s(s.Outcome.Grid[known:], t)
		if known == len(s.Outcome.Grid) || s.Outcome.Grid[known] != t {
			return errors.New("the model's baseline has times that are not on the study's grid, or not ascending")
		}
		known++
		if h := p.hazards[k]; !plain(h) || h < 0 || h > highestHazard || k > 0 && h < p.hazards[k-1] {
			return errors.New("the model's cumulative hazards do not ascend from zero")
		}
	}
	return nil
}

// predictor is a compute.Survivor.
type predictor struct {
	coefficients, means []float64 // by term of the study
	times, hazards      []float64
}

// Predict is the logarithm of the hazard relative to the patient with the mean
// of every column.
func (p *predictor) Predict(row []float64, offset float64) float64 {
	eta := offset
	for j, b := range p.coefficients {
		if b != 0 {
			eta += b * (row[j] - p.means[j])
		}
	}
	return eta
}

// Survival is the probability to be free of the event beyond the time, at least
// so far as the baseline reaches. Between times of the grid the cumulative hazard
// grows evenly.
func (p *predictor) Survival(logHazard, time float64) float64 {
	k := sort.SearchFloat64s(p.times, time)
	t0, h0 := 0.0, 0.0
	if k > 0 {
		t0, h0 = p.times[k-1], p.hazards[k-1]
	}
	h := h0
	if k < len(p.times) && time > t0 {
		h += (p.hazards[k] - h0) * (time - t0) / (p.times[k] - t0)
	}
	if h == 0 {
		return 1
	}
	return math.Exp(-h * math.Exp(logHazard))
}
