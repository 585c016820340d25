package neural

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Bounds of what a site says about one weight, and the fractional bits that
// carry it. The sum is of shares: a site's number times its patients divided by
// all patients, so it keeps the bound of a single one. A change of 4 in one
// round is far beyond any training that works; 24 bits resolve it to 6e-8.
const (
	updateBound, updateBits     = 4, 24
	controlBound, controlBits   = 64, 24
	gradientBound, gradientBits = 1024, 44
)

const lossBits = 40

// chunk is how many records go through the layers at a time.
const chunk = 256

// roundLayout: the loss at the weights of the question, and what the strategy
// asks about each weight. clipped is the number of weights whose change or
// gradient was cut to its bound, overflows the number of sites whose training
// left the finite numbers.
func (n *network) roundLayout() []compute.Field {
	p := n.parameters()
	fields := []compute.Field{
		{Name: "patients", Length: 1, Bound: maxRows},
		{Name: "loss", Length: 1, FracBits: lossBits, Bound: maxRows * maxLoss * n.heaviest()},
		{Name: "clipped", Length: 1, Bound: 2 * float64(p)},
		{Name: "overflows", Length: 1, Bound: 1},
	}
	if n.model.Strategy == study.FedSGD {
		return append(fields, compute.Field{Name: "gradient", Length: p, FracBits: gradientBits, Bound: gradientBound})
	}
	if n.model.Q > 0 {
		return append(fields, compute.Field{Name: "change", Length: p, FracBits: fairBits, Bound: updateBound * mostFactor}, n.curvatureField())
	}
	if n.model.GapWeights != nil {
		return append(fields, compute.Field{Name: "change", Length: p, FracBits: fairBits, Bound: updateBound}, compute.Field{Name: "weight", Length: 1, FracBits: gapBits, Bound: 1})
	}
	fields = append(fields, compute.Field{Name: "change", Length: p, FracBits: updateBits, Bound: updateBound})
	if n.model.Strategy == study.Scaffold {
		fields = append(fields, compute.Field{Name: "control", Length: p, FracBits: controlBits, Bound: controlBound})
	}
	return fields
}

func (n *network) answerRound(q question, m *study.Matrix) []float64 {
	p, rows := n.parameters(), m.Rows()
	t := n.newTrainer(q.fitted.scaling, m)
	all := t.everyone()
	share := float64(rows) / float64(q.patients)
	clipped, overflows := 0.0, 0.0
	vector := make([]float64, 0, 4+2*p)
	vector = append(vector, float64(rows), 0, 0, 0)
	// say appends the site's share of a number for each weight.
	say := func(numbers []float64, bound float64) {
		for _, x := range numbers {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				overflows = 1
			}
			y, changed := bounded(x, bound)
			if changed {
				clipped++
			}
			vector = append(vector, share*y)
		}
	}
	switch {
	case n.model.Strategy == study.FedSGD:
		gradient := make([]float64, p)
		vector[1] = t.mean(q.fitted.weights, all, gradient)
		say(gradient, gradientBound)
	case n.model.Strategy == study.Scaffold:
		control := make([]float64, p)
		vector[1] = t.mean(q.fitted.weights, all, control)
		say(t.train(q), updateBound)
		say(control, controlBound)
	case n.model.Q > 0:
		vector[1] = t.mean(q.fitted.weights, all, nil)
		change := t.train(q)
		f, slope := n.factors(vector[1], rows)
		say(change, updateBound)
		scale(f, vector[4:])
		vector = append(vector, share*n.curvature(change, f, slope))
	case n.model.GapWeights != nil:
		vector[1] = t.mean(q.fitted.weights, all, nil)
		share = n.hospitalWeight(q, m)
		say(t.train(q), updateBound)
		vector = append(vector, share)
	default:
		vector[1] = t.mean(q.fitted.weights, all, nil)
		say(t.train(q), updateBound)
	}
	vector[2], vector[3] = clipped, overflows
	return vector
}

// trainer sends a site's records through a network.
type trainer struct {
	network *network
	scaling scaling
	matrix  *study.Matrix
	tape    *tape
	row     []float64
}

func (n *network) newTrainer(c scaling, m *study.Matrix) *trainer {
	return &trainer{network: n, scaling: c, matrix: m, tape: n.newTape(min(chunk, max(m.Rows(), 1)))}
}

func (t *trainer) everyone() []int {
	all := make([]int, t.matrix.Rows())
	for i := range all {
		all[i] = i
	}
	return all
}

// chunks calls use for the records, as many at a time as the tape holds, with
// the outputs computed.
func (t *trainer) chunks(weights []float64, records []int, use func(records []int)) {
	for part := range slices.Chunk(records, chunk) {
		t.tape.resize(len(part))
		for k, i := range part {
			t.row = t.matrix.AppendRow(t.row[:0], i)
			t.scaling.apply(row(t.tape.outputs[0], k), t.row)
		}
		t.tape.forward(weights)
		use(part)
	}
}

// outcome of a record on the scale of the loss.
func (t *trainer) outcome(i int) float64 {
	y := t.network.study.Outcome.Transform(t.matrix.Outcome(i))
	return (y - t.scaling.outcome.Mean) / t.scaling.outcome.SD
}

// heaviest is the largest weight of a record; only a mitigation gives weights.
func (n *network) heaviest() float64 {
	if w := n.study.Model.Weights; w != nil {
		return w.Range.Hi
	}
	return 1
}

// mean returns the records' summed loss, each cut off at maxLoss, times its weight. A gradient that
// is not nil must be zero; it becomes the mean of the records' gradients, each
// clipped as the study says.
func (t *trainer) mean(weights []float64, records []int, gradient []float64) float64 {
	total := compute.NewAccumulator(1)
	t.chunks(weights, records, func(records []int) {
		for k, i := range records {
			value, slope := t.network.loss(t.tape.eta(k), t.outcome(i))
			if !(value <= maxLoss) {
				value = maxLoss // or no number
			}
			w := t.matrix.Weight(i)
			total.Add(0, w*value)
			*t.tape.slope(k) = w * slope
		}
		if gradient == nil {
			return
		}
		t.tape.backward(weights, false)
		if limit := t.network.model.Clip; limit > 0 {
			t.tape.clip(limit)
		}
		t.tape.accumulate(gradient)
	})
	if gradient != nil && len(records) > 0 {
		scale(1/float64(len(records)), gradient)
	}
	return total.Values()[0]
}

// train returns how training on the site's records changes the weights.
func (t *trainer) train(q question) []float64 {
	n, start := t.network, q.fitted.weights
	weights := slices.Clone(start)
	gradient := make([]float64, len(weights))
	correction := t.correction(q)
	optimizer := &optimizer{rule: n.model.Optimizer}
	// The stream differs from that of the first weights, which is 0.
	random := rand.New(rand.NewPCG(n.model.Seed, 1+uint64(q.round)))
	order := t.everyone()
	size := n.model.Batch
	if size == 0 {
		size = max(len(order), 1)
	}
	for range n.model.Epochs {
		if size < len(order) {
			random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		for batch := range slices.Chunk(order, size) {
			clear(gradient)
			t.mean(weights, batch, gradient)
			n.decay(weights, gradient)
			if correction != nil {
				add(1, correction, gradient)
			}
			if mu := n.model.Proximal; mu > 0 && n.model.Strategy == study.FedProx {
				add(mu, weights, gradient)
				add(-mu, start, gradient)
			}
			optimizer.step(weights, gradient)
		}
	}
	add(-1, start, weights)
	return weights
}

// correction is what scaffold adds to every gradient: the mean of all sites at
// the weights of the round before, minus the site's own there. nil otherwise.
func (t *trainer) correction(q question) []float64 {
	if q.previous == nil {
		return nil
	}
	own := make([]float64, len(q.previous))
	t.mean(q.previous, t.everyone(), own)
	for i, x := range own {
		x, _ = bounded(x, controlBound)
		own[i] = q.control[i] - x
	}
	return own
}

// decay adds the slope of the penalty decay/2 * sum of squared weights, biases
// not among them.
func (n *network) decay(weights, gradient []float64) {
	if n.model.Decay == 0 {
		return
	}
	for l := range n.layers() {
		w, _ := n.layer(weights, l)
		g, _ := n.layer(gradient, l)
		add(n.model.Decay, w.Data, g.Data)
	}
}
