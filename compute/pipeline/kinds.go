package pipeline

import (
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/boost"
	"github.com/consilium-fl/consilium/compute/cox"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/neural"
	"github.com/consilium-fl/consilium/study"
)

// computation is the coordinator's half of anything that asks for sums.
type computation interface {
	Next() (q compute.Question, done bool, err error)
	Absorb(compute.Sum) error
}

// fit is a computation that ends with a model.
type fit interface {
	computation
	Remarks() []compute.Diagnosis
}

// newFit begins the fit of the study's kind of model.
func newFit(s *study.Study, counts *describe.Counts) (fit, error) {
	switch s.Model.Kind {
	case study.GLM:
		return glm.New(s, counts)
	case study.Cox:
		return cox.New(s, counts)
	case study.Boost:
		return boost.New(s, counts)
	case study.Neural:
		return neural.New(s, counts)
	}
	return nil, fmt.Errorf("this version fits no model of kind %q", s.Model.Kind)
}

// modelOf is the model of a fit that is done.
func modelOf(f fit, knots [][]float64, counts *describe.Counts) *Model {
	m := &Model{Knots: knots, Means: counts.Means()}
	switch f := f.(type) {
	case *glm.Fit:
		m.GLM, m.Means = f.Model(), nil
	case *cox.Fit:
		m.Cox = f.Model()
	case *boost.Fit:
		m.Boost = f.Model()
	case *neural.Fit:
		m.Neural = f.Model()
	}
	return m
}

// decode makes a predictor of what Encode wrote.
func decode(s *study.Study, encoded []byte) (compute.Predictor, error) {
	switch s.Model.Kind {
	case study.GLM:
		return glm.Decode(s, encoded)
	case study.Cox:
		return cox.Decode(s, encoded)
	case study.Boost:
		return boost.Decode(s, encoded)
	case study.Neural:
		return neural.Decode(s, encoded)
	}
	return nil, fmt.Errorf("this version knows no model of kind %q", s.Model.Kind)
}

// half is the site's half of a package's steps.
type half struct {
	steps  func(*study.Study) []compute.StepSummary
	layout func(*study.Study, string, []byte) ([]compute.Field, error)
	answer func(*study.Study, string, []byte, *study.Matrix) ([]float64, error)
}

// halves are by the first part of a step's name.
var halves = map[string]half{
	"describe": {describe.Steps, describe.Layout, describe.Answer},
	"glm":      {glm.Steps, glm.Layout, glm.Answer},
	"cox":      {cox.Steps, cox.Layout, cox.Answer},
	"boost":    {boost.Steps, boost.Layout, boost.Answer},
	"neural":   {neural.Steps, neural.Layout, neural.Answer},
}

func halfOf(step string) (half, error) {
	name, _, _ := strings.Cut(step, "/")
	h, ok := halves[name]
	if !ok {
		return h, fmt.Errorf("there is no step %q", step)
	}
	return h, nil
}
