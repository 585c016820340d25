package glm

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// mostPredicted bounds the linear predictor of a model that a question carries.
const mostPredicted = 1e15

// lean is what of a model predicts: its coefficients in original units, in the
// order of the study's terms. A term that was left out of the fit is missing and
// counts as zero.
type lean struct {
	Terms []leanTerm `json:"terms"`
}

type leanTerm struct {
	Name     string  `json:"name"`
	Estimate float64 `json:"estimate"`
}

// Encode is the part of the model that predicts, as a question carries it.
func (m *Model) Encode() ([]byte, error) {
	var q lean
	for _, t := range m.Terms {
		q.Terms = append(q.Terms, leanTerm{t.Name, t.Estimate + 0}) // minus zero has no second spelling
	}
	return compute.EncodeParameters(q)
}

// Decode reads what Encode wrote for a model of this study.
func Decode(s *study.Study, encoded []byte) (compute.Predictor, error) {
	if s.Model.Kind != study.GLM {
		return nil, fmt.Errorf("the study fits a model of kind %s, not a generalised linear one", s.Model.Kind)
	}
	var q lean
	if err := compute.DecodeParameters(encoded, &q); err != nil {
		return nil, err
	}
	terms := s.Terms()
	coefficients, magnitudes := make([]float64, len(terms)), make([]float64, len(terms))
	next := 0
	for j, t := range terms {
		magnitudes[j] = max(math.Abs(t.Lo), math.Abs(t.Hi))
		if next < len(q.Terms) && q.Terms[next].Name == t.Name {
			coefficients[j] = q.Terms[next].Estimate
			next++
		}
	}
	if next == 0 || next < len(q.Terms) {
		return nil, errors.New("the terms of the model are not those of the study, in their order")
	}
	if err := compute.CheckCoefficients(coefficients, magnitudes, mostPredicted); err != nil {
		return nil, err
	}
	return &plain{coefficients, familyOf(s, 0), s.Outcome}, nil
}

// plain is a model without standard errors.
type plain struct {
	coefficients []float64
	family       *family
	outcome      study.Outcome
}

// Predict implements compute.Predictor.
func (p *plain) Predict(row []float64, offset float64) float64 {
	eta := offset
	for j, b := range p.coefficients {
		eta += b * row[j]
	}
	if p.family.name == study.Gaussian {
		return p.outcome.Inverse(eta)
	}
	return p.family.mean(eta)
}
