package neural

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// fitted is a network with its scaling and weights: what a question carries and
// what predicts.
type fitted struct {
	scaling scaling
	weights []float64
}

// magic begins an encoded network and says how the rest is laid out: mean and
// standard deviation of each input and of the outcome as float64, then the
// weights; all little-endian.
const magic = "neural/1"

// precision is the number of bytes of a weight. Steps of fedsgd must add up as
// on one machine; the other strategies lose nothing by float32, since local
// training is far noisier.
func (n *network) precision() int {
	if n.model.Strategy == study.FedSGD {
		return 8
	}
	return 4
}

func (n *network) encodedBytes() int {
	return len(magic) + 16*(len(n.inputs)+1) + n.precision()*n.parameters()
}

func (n *network) encode(f fitted) []byte {
	return appendFloats(append([]byte(magic), encodeScaling(f.scaling)...), f.weights, n.precision())
}

func encodeScaling(c scaling) (out []byte) {
	for _, column := range c.columns {
		out = appendFloats(out, []float64{column.Mean, column.SD}, 8)
	}
	return appendFloats(out, []float64{c.outcome.Mean, c.outcome.SD}, 8)
}

// decode accepts what encode writes and nothing else. The length is checked
// before anything is allocated.
func (n *network) decode(encoded []byte) (f fitted, err error) {
	if len(encoded) != n.encodedBytes() || string(encoded[:len(magic)]) != magic {
		return f, errors.New("the network is not one of this study: its inputs, its layers or its version differ")
	}
	head := encoded[len(magic) : len(encoded)-n.precision()*n.parameters()]
	numbers, err := readFloats(head, 8, math.MaxFloat64)
	if err != nil {
		return f, err
	}
	for j, t := range n.inputs {
		f.scaling.columns = append(f.scaling.columns, Column{t.Name, numbers[2*j], numbers[2*j+1]})
	}
	p := len(n.inputs)
	f.scaling.outcome = Column{n.study.Outcome.Column, numbers[2*p], numbers[2*p+1]}
	if err := n.check(f.scaling); err != nil {
		return f, err
	}
	f.weights, err = readFloats(encoded[len(magic)+len(head):], n.precision(), maxWeight)
	return f, err
}

func appendFloats(dst []byte, numbers []float64, precision int) []byte {
	dst = slices.Grow(dst, precision*len(numbers))
	for _, x := range numbers {
		if precision == 4 {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(x)))
		} else {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(x))
		}
	}
	return dst
}

// readFloats refuses what is not a number, what exceeds the limit, and minus
// zero, which would be a second spelling of zero.
func readFloats(b []byte, precision int, limit float64) ([]float64, error) {
	out := make([]float64, len(b)/precision)
	for i := range out {
		if precision == 4 {
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		} else {
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
		if !within(out[i], -limit, limit) {
			return nil, fmt.Errorf("number %d of the network is minus zero, no number, or too large", i)
		}
	}
	return out, nil
}

// settle makes weights what a question can carry: of its precision, without a
// minus zero. It reports whether all are numbers within the limit.
func (n *network) settle(weights []float64) bool {
	for i, w := range weights {
		if n.precision() == 4 {
			w = float64(float32(w))
		}
		if !(math.Abs(w) <= maxWeight) {
			return false
		}
		weights[i] = w + 0
	}
	return true
}

// encodedParameters are those of the importance step: a network.
type encodedParameters struct {
	Network []byte `json:"network"`
}

// roundParameters are those of a round.
type roundParameters struct {
	Round    int    `json:"round"`    // from 0
	Patients int    `json:"patients"` // of all sites, as the moments count them
	Network  []byte `json:"network"`  // training starts from it
	// Scaffold, from the second round on: the weights of the round before, and
	// the mean gradient there.
	Previous []byte `json:"previous,omitempty"`
	Control  []byte `json:"control,omitempty"`
	// FairFed: the weights of all rounds before, and what was opened of each and of
	// this one.
	Past   []byte  `json:"past,omitempty"`
	Wholes []whole `json:"wholes,omitempty"`
}

// question is what roundParameters say.
type question struct {
	round, patients   int
	fitted            fitted
	previous, control []float64   // nil in the first round, and but for scaffold
	past              [][]float64 // by round before; nil in the first round, and but for fairfed
	wholes            []whole     // nil but for fairfed
}

func (n *network) encodeRound(q question) ([]byte, error) {
	p := roundParameters{Round: q.round, Patients: q.patients, Network: n.encode(q.fitted)}
	if q.previous != nil {
		p.Previous = appendFloats(nil, q.previous, n.precision())
		p.Control = appendFloats(nil, q.control, n.precision())
	}
	for _, weights := range q.past {
		p.Past = appendFloats(p.Past, weights, n.precision())
	}
	p.Wholes = q.wholes
	return compute.EncodeParameters(p)
}

func (n *network) readRound(parameters []byte) (q question, err error) {
	if len(parameters) > n.longest() {
		return q, errors.New("the parameters of the round are longer than the network accounts for")
	}
	var p roundParameters
	if err := compute.DecodeParameters(parameters, &p); err != nil {
		return q, err
	}
	if p.Round < 0 || p.Round >= n.study.Schedule.Rounds {
		return q, fmt.Errorf("the study has %d rounds, and the question is for round %d", n.study.Schedule.Rounds, p.Round+1)
	}
	if p.Patients < 1 || p.Patients > 1<<34 { // maxRows at each of 1024 sites
		return q, errors.New("the question's number of patients is not one that a consortium can have")
	}
	q.round, q.patients = p.Round, p.Patients
	if q.fitted, err = n.decode(p.Network); err != nil {
		return q, err
	}
	if err := n.readWholes(p, &q); err != nil {
		return q, err
	}
	want := 0
	if n.model.Strategy == study.Scaffold && p.Round > 0 {
		want = n.precision() * n.parameters()
	}
	if len(p.Previous) != want || len(p.Control) != want {
		return q, errors.New("the control variates do not belong to the study's strategy, its network or the round")
	}
	if want == 0 {
		return q, nil
	}
	if q.previous, err = readFloats(p.Previous, n.precision(), maxWeight); err != nil {
		return q, err
	}
	q.control, err = readFloats(p.Control, n.precision(), controlBound)
	return q, err
}

// readWholes reads what FairFed carries of the rounds before and of this one.
func (n *network) readWholes(p roundParameters, q *question) error {
	rounds, size := 0, n.precision()*n.parameters()
	if n.model.GapWeights != nil {
		rounds = p.Round + 1
	}
	if len(p.Wholes) != rounds || len(p.Past) != max(rounds-1, 0)*size {
		return errors.New("the networks of the rounds before, or what was opened of them, do not belong to the study's strategy, its network or the round")
	}
	for ; len(p.Past) > 0; p.Past = p.Past[size:] {
		weights, err := readFloats(p.Past[:size], n.precision(), maxWeight)
		if err != nil {
			return err
		}
		q.past = append(q.past, weights)
	}
	for _, w := range p.Wholes {
		if err := n.checkWhole(w); err != nil {
			return err
		}
	}
	q.wholes = p.Wholes
	return nil
}

// readEncoded reads the parameters of the importance step.
func (n *network) readEncoded(parameters []byte) (fitted, error) {
	if len(parameters) > n.longest() {
		return fitted{}, errors.New("the parameters of the step are longer than the network accounts for")
	}
	var p encodedParameters
	if err := compute.DecodeParameters(parameters, &p); err != nil {
		return fitted{}, err
	}
	return n.decode(p.Network)
}

// longest is the length that no parameters of this network exceed: three vectors
// in base64, and names and two integers; for FairFed those of all rounds.
func (n *network) longest() int {
	vectors, beside := 3, 200
	if n.model.GapWeights != nil {
		vectors, beside = 3+n.study.Schedule.Rounds, 200+150*n.study.Schedule.Rounds
	}
	return vectors*base64.StdEncoding.EncodedLen(n.encodedBytes()) + beside
}
