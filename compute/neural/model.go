package neural

import (
	"errors"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/blas/blas64"
)

// Losses, by their names in a model.
const (
	LossSquared  = "squared"  // mean squared error in standard deviations of the outcome
	LossLogistic = "logistic" // mean log loss, in nats
	LossPoisson  = "poisson"  // mean deviance
)

var lossNames = map[study.Type]string{study.Number: LossSquared, study.Binary: LossLogistic, study.Count: LossPoisson}

// Model is a trained network. It holds no record and nothing of a single site,
// and marshals to JSON without losing a bit.
type Model struct {
	Kind         string          `json:"kind"`
	Strategy     string          `json:"strategy"`
	Outcome      string          `json:"outcome"`   // column
	Transform    string          `json:"transform"` // of the outcome before it is standardised
	LossFunction string          `json:"loss_function"`
	Hidden       []int           `json:"hidden"`
	Activation   string          `json:"activation,omitempty"` // with hidden layers
	N            int             `json:"n"`
	Contributors int             `json:"contributors"`
	Parameters   int             `json:"parameters"`
	Rounds       int             `json:"rounds"` // of training
	Loss         float64         `json:"loss"`   // in training, of the finished network
	Curve        []compute.Point `json:"curve"`  // training loss after so many rounds, without the decay
	Importance   []Importance    `json:"importance"`
	Columns      []Column        `json:"columns"`         // how inputs are standardised
	Scale        *Column         `json:"scale,omitempty"` // and a number outcome
	Precision    int             `json:"precision"`       // bytes of a weight
	Weights      []byte          `json:"weights"`         // little-endian: for each layer the matrix by rows, a row for each unit, then the biases
}

func (n *network) newModel(f fitted) *Model {
	m := &Model{
		Kind:         study.Neural,
		Strategy:     n.model.Strategy,
		Outcome:      n.study.Outcome.Column,
		Transform:    string(n.study.Outcome.Scale),
		LossFunction: lossNames[n.study.Outcome.Type],
		Hidden:       append([]int{}, n.model.Hidden...),
		Parameters:   n.parameters(),
		Columns:      f.scaling.columns,
		Precision:    n.precision(),
		Weights:      appendFloats(nil, f.weights, n.precision()),
	}
	if len(n.model.Hidden) > 0 {
		m.Activation = n.model.Activation
	}
	if n.study.Outcome.Type == study.Number {
		m.Scale = &f.scaling.outcome
	}
	return m
}

// Encode is the part of the model that predicts, for Decode.
func (m *Model) Encode() ([]byte, error) {
	if len(m.Weights) != m.Precision*m.Parameters {
		return nil, errors.New("the model is damaged: its weights are not as many as its parameters")
	}
	outcome := Column{SD: 1}
	if m.Scale != nil {
		outcome = *m.Scale
	}
	return slices.Concat([]byte(magic), encodeScaling(scaling{m.Columns, outcome}), m.Weights), nil
}

// Decode reads what Encode wrote for a study. It refuses everything else, and
// numbers that a fit cannot have come to.
func Decode(s *study.Study, encoded []byte) (compute.Predictor, error) {
	n, err := newNetwork(s)
	if err != nil {
		return nil, err
	}
	f, err := n.decode(encoded)
	if err != nil {
		return nil, err
	}
	return &predictor{n, f}, nil
}

type predictor struct {
	network *network
	fitted  fitted
}

// Predict implements compute.Predictor. A network has no offset.
func (p *predictor) Predict(row []float64, _ float64) float64 {
	n := p.network
	x := make([]float64, len(n.inputs))
	p.fitted.scaling.apply(x, row)
	for l := range n.layers() {
		weights, biases := n.layer(p.fitted.weights, l)
		y := slices.Clone(biases)
		for i := range y {
			y[i] += blas64.Dot(vector(x), vector(weights.Data[i*weights.Stride:i*weights.Stride+weights.Cols]))
		}
		if l < n.layers()-1 {
			activate(n.model.Activation, y)
		}
		x = y
	}
	eta := x[0]
	switch outcome := p.fitted.scaling.outcome; n.study.Outcome.Type {
	case study.Binary:
		return sigmoid(eta)
	case study.Count:
		return math.Exp(min(eta, maxLog))
	default:
		return n.study.Outcome.Inverse(outcome.Mean + outcome.SD*eta)
	}
}
