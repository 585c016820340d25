package cox

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/hazard"
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
	baseline := hazard.CurveOf(m.Baseline)
	e := encoded{Terms: []encodedTerm{}, Times: baseline.Times, Hazards: baseline.Hazards, Stratify: m.Stratify}
	for _, t := range m.Terms {
		e.Terms = append(e.Terms, encodedTerm{t.Name, t.Estimate + 0, t.Mean + 0})
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
	p := &predictor{coefficients: make([]float64, len(terms)), means: make([]float64, len(terms)), Curve: hazard.Curve{Times: e.Times, Hazards: e.Hazards}}
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
	return p, p.Check(s.Outcome.Grid, highestHazard)
}

func plain(x float64) bool { return isFinite(x) && !(x == 0 && math.Signbit(x)) }

// predictor is a compute.Survivor.
type predictor struct {
	coefficients, means []float64 // by term of the study
	hazard.Curve
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
