package neural

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// tanh is one of the two activations; the other, relu, is the rule where nothing
// else is said.
const tanh = "tanh"

// network is what a study declares: the layers, the loss, and where the numbers
// come from. The weights of all layers are one vector: for each layer the matrix
// by rows, a row for each of its units, then the biases.
type network struct {
	study  *study.Study
	model  *study.NeuralModel
	inputs []study.Term // the study's terms without the intercept, for which the biases stand
	widths []int        // of the layers: inputs first, one output last
	loss   loss
}

func newNetwork(s *study.Study) (*network, error) {
	if s.Model.Kind != study.Neural || s.Model.Neural == nil {
		return nil, fmt.Errorf("the study's model is of kind %s, not a neural network", s.Model.Kind)
	}
	n := &network{study: s, model: s.Model.Neural, inputs: s.Terms()[1:]}
	if n.loss = lossOf(s.Outcome.Type); n.loss == nil {
		return nil, fmt.Errorf("a neural network predicts a number, a binary outcome or a count, not an outcome of type %s", s.Outcome.Type)
	}
	n.widths = append(append([]int{len(n.inputs)}, n.model.Hidden...), 1)
	return n, nil
}

func (n *network) layers() int { return len(n.widths) - 1 }

// parameters is the number of weights and biases, which the study bounds.
func (n *network) parameters() int {
	total := 0
	for l := range n.layers() {
		total += n.widths[l+1] * (n.widths[l] + 1)
	}
	return total
}

// layer is a view of the weights of one layer.
func (n *network) layer(w []float64, l int) (weights blas64.General, biases []float64) {
	at := 0
	for k := range l {
		at += n.widths[k+1] * (n.widths[k] + 1)
	}
	in, out := n.widths[l], n.widths[l+1]
	return blas64.General{Rows: out, Cols: in, Stride: max(in, 1), Data: w[at : at+out*in]}, w[at+out*in : at+out*in+out]
}

// initial draws the first weights, uniform with variance 2/fan-in for relu (He
// et al., ICCV 2015) and 2/(fan-in + fan-out) for tanh (Glorot and Bengio,
// AISTATS 2010); biases are 0. The last layer draws a tenth of that and has a
// given bias, so that the network starts close to predicting the mean: on a log
// scale anything else begins far off. A model without hidden layers starts at 0,
// as its loss has one minimum.
func (n *network) initial(output float64) []float64 {
	w := make([]float64, n.parameters())
	random := rand.New(rand.NewPCG(n.model.Seed, 0))
	for l := range n.layers() {
		weights, biases := n.layer(w, l)
		if n.layers() > 1 {
			fan := float64(n.widths[l])
			if n.model.Activation == tanh {
				fan += float64(n.widths[l+1])
			}
			reach := math.Sqrt(6 / fan)
			if l == n.layers()-1 {
				reach /= 10
			}
			for i := range weights.Data {
				weights.Data[i] = reach * (2*random.Float64() - 1)
			}
		}
		if l == n.layers()-1 {
			biases[0] = output
		}
	}
	return w
}

// tape is what the layers made of a batch, as backpropagation needs it.
type tape struct {
	network *network
	outputs []blas64.General // of layer l-1; outputs[0] are the inputs; a row for each record
	slopes  []blas64.General // of the loss in the sums that layer l-1 feeds to its activation
}

func (n *network) newTape(rows int) *tape {
	t := &tape{network: n}
	for _, width := range n.widths {
		for _, layers := range []*[]blas64.General{&t.outputs, &t.slopes} {
			*layers = append(*layers, blas64.General{Rows: rows, Cols: width, Stride: max(width, 1), Data: make([]float64, rows*width)})
		}
	}
	return t
}

// resize sets the number of records, at most that of newTape.
func (t *tape) resize(rows int) {
	for l := range t.outputs {
		t.outputs[l].Rows, t.slopes[l].Rows = rows, rows
	}
}

func row(a blas64.General, i int) []float64 { return a.Data[i*a.Stride : i*a.Stride+a.Cols] }

// eta is the output for record i.
func (t *tape) eta(i int) float64 { return t.outputs[len(t.outputs)-1].Data[i] }

// slope is where the slope of the loss in the output of record i goes.
func (t *tape) slope(i int) *float64 { return &t.slopes[len(t.slopes)-1].Data[i] }

// forward computes all outputs from the inputs.
func (t *tape) forward(w []float64) {
	n := t.network
	for l := range n.layers() {
		weights, biases := n.layer(w, l)
		in, out := t.outputs[l], t.outputs[l+1]
		for i := range out.Rows {
			copy(row(out, i), biases)
		}
		if in.Cols > 0 {
			blas64.Gemm(blas.NoTrans, blas.Trans, 1, in, weights, 1, out)
		}
		if l < n.layers()-1 {
			activate(n.model.Activation, out.Data[:out.Rows*out.Cols])
		}
	}
}

func activate(activation string, x []float64) {
	if activation == tanh {
		for i, v := range x {
			x[i] = math.Tanh(v)
		}
		return
	}
	for i, v := range x {
		if v < 0 {
			x[i] = 0
		}
	}
}

// backward takes the slopes in the output down to the first layer that holds
// weights, or with inputs down to the inputs.
func (t *tape) backward(w []float64, inputs bool) {
	n := t.network
	for l := n.layers() - 1; l > 0 || l == 0 && inputs; l-- {
		weights, _ := n.layer(w, l)
		from, to := t.slopes[l+1], t.slopes[l]
		if to.Cols == 0 {
			continue
		}
		blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, from, weights, 0, to)
		if l > 0 {
			derive(n.model.Activation, to.Data[:to.Rows*to.Cols], t.outputs[l].Data)
		}
	}
}

// derive multiplies slopes by the derivative of the activation, given its output.
func derive(activation string, slopes, outputs []float64) {
	if activation == tanh {
		for i := range slopes {
			slopes[i] *= 1 - outputs[i]*outputs[i]
		}
		return
	}
	for i := range slopes {
		if outputs[i] <= 0 {
			slopes[i] = 0
		}
	}
}

// clip scales the slopes of each record so that its gradient has at most the
// given L2 norm. A record's gradient in a layer is the outer product of its
// slopes and its inputs, so its norm needs no gradient (Goodfellow, 2015,
// arXiv:1510.01799).
func (t *tape) clip(norm float64) {
	last := len(t.outputs) - 1
	for i := range t.outputs[last].Rows {
		squared := 0.0
		for l := range last {
			in, out := row(t.outputs[l], i), row(t.slopes[l+1], i)
			squared += sumOfSquares(out) * (1 + sumOfSquares(in))
		}
		if length := math.Sqrt(squared); length > norm {
			for l := range last {
				scale(norm/length, row(t.slopes[l+1], i))
			}
		}
	}
}

// accumulate adds the gradient, summed over the records, to g.
func (t *tape) accumulate(g []float64) {
	n := t.network
	for l := range n.layers() {
		weights, biases := n.layer(g, l)
		in, slopes := t.outputs[l], t.slopes[l+1]
		if in.Cols > 0 {
			blas64.Gemm(blas.Trans, blas.NoTrans, 1, slopes, in, 1, weights)
		}
		for i := range slopes.Rows {
			add(1, row(slopes, i), biases)
		}
	}
}

func vector(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Data: x, Inc: 1} }

func scale(a float64, x []float64) { blas64.Scal(a, vector(x)) }

// add adds a*x to y.
func add(a float64, x, y []float64) { blas64.Axpy(a, vector(x), vector(y)) }

func sumOfSquares(x []float64) float64 { return blas64.Dot(vector(x), vector(x)) }
