package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/consilium-fl/consilium/compute/boost"
	"github.com/consilium-fl/consilium/compute/cox"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/compute/neural"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// Model is a fitted model of whichever kind the study names: one of the
// pointers is set. Its JSON is that of the kind, with the knots of the study's
// splines and the interval that validation found beside it.
type Model struct {
	GLM    *glm.Model
	Cox    *cox.Model
	Boost  *boost.Model
	Neural *neural.Model

	Knots    [][]float64            // of the study's splines, in its order
	Means    []float64              // of the columns over the patients of the fit: the baseline of explanations; nil for a GLM, whose terms have them
	Interval *validation.Prediction // around a prediction; nil without a validation
	// Mitigation is what was done about differences between groups; nil if nothing.
	Mitigation *mitigation.Applied
}

// beside is what every kind's JSON has besides its own.
type beside struct {
	Knots      [][]float64            `json:"knots,omitempty"`
	Means      []float64              `json:"means,omitempty"`
	Interval   *validation.Prediction `json:"interval,omitempty"`
	Mitigation *mitigation.Applied    `json:"mitigation,omitempty"`
}

// Forms of the JSON, by kind.
type (
	glmForm struct {
		*glm.Model
		beside
	}
	coxForm struct {
		*cox.Model
		beside
	}
	boostForm struct {
		*boost.Model
		beside
	}
	neuralForm struct {
		*neural.Model
		beside
	}
)

// MarshalJSON writes the model of the kind.
func (m *Model) MarshalJSON() ([]byte, error) {
	also := beside{m.Knots, m.Means, m.Interval, m.Mitigation}
	switch {
	case m.GLM != nil:
		return json.Marshal(glmForm{m.GLM, also})
	case m.Cox != nil:
		return json.Marshal(coxForm{m.Cox, also})
	case m.Boost != nil:
		return json.Marshal(boostForm{m.Boost, also})
	case m.Neural != nil:
		return json.Marshal(neuralForm{m.Neural, also})
	}
	return nil, errors.New("an empty model has no JSON")
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Model) UnmarshalJSON(data []byte) error {
	var named struct {
		Kind string `json:"kind"`
		beside
	}
	if err := json.Unmarshal(data, &named); err != nil {
		return err
	}
	*m = Model{Knots: named.Knots, Means: named.Means, Interval: named.Interval, Mitigation: named.Mitigation}
	switch named.Kind {
	case study.GLM:
		return json.Unmarshal(data, &m.GLM)
	case study.Cox:
		return json.Unmarshal(data, &m.Cox)
	case study.Boost:
		return json.Unmarshal(data, &m.Boost)
	case study.Neural:
		return json.Unmarshal(data, &m.Neural)
	}
	return fmt.Errorf("this version knows no model of kind %q", named.Kind)
}

// encode is what a question carries of the model.
func (m *Model) encode() ([]byte, error) {
	switch {
	case m.GLM != nil:
		return m.GLM.Encode()
	case m.Cox != nil:
		return m.Cox.Encode()
	case m.Boost != nil:
		return m.Boost.Encode()
	case m.Neural != nil:
		return m.Neural.Encode()
	}
	return nil, errors.New("an empty model predicts nothing")
}
