package neural

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// pooled is gradient descent on all records on one machine, written with loops
// over single numbers. It shares nothing with the package but the first weights.
type pooled struct {
	x       [][]float64 // standardised
	y       []float64
	widths  []int
	tanh    bool
	outcome study.Type
	w       []float64
	curve   []float64 // mean loss before each step
}

func newPooled(s *study.Study, m *study.Matrix, widths []int, tanh bool) *pooled {
	p := &pooled{widths: widths, tanh: tanh, outcome: s.Outcome.Type}
	n := float64(m.Rows())
	standardise := func(values []float64) (mean float64) {
		for _, v := range values {
			mean += v / n
		}
		variance := 0.0
		for _, v := range values {
			variance += (v - mean) * (v - mean) / n
		}
		for i := range values {
			values[i] = (values[i] - mean) / math.Sqrt(variance)
		}
		return mean
	}
	for range m.Rows() {
		p.x = append(p.x, make([]float64, widths[0]))
	}
	for j := range widths[0] {
		column := make([]float64, m.Rows())
		for i := range column {
			column[i] = m.Row(i)[j+1]
		}
		standardise(column)
		for i := range column {
			p.x[i][j] = column[i]
		}
	}
	for i := range m.Rows() {
		p.y = append(p.y, m.Outcome(i))
	}
	network, err := newNetwork(s)
	if err != nil {
		panic(err)
	}
	mean := 0.0
	for _, y := range p.y {
		mean += y / n
	}
	switch p.outcome {
	case study.Number:
		standardise(p.y)
		p.w = network.initial(0)
	case study.Binary:
		p.w = network.initial(math.Log(mean / (1 - mean)))
	case study.Count:
		p.w = network.initial(math.Log(mean))
	}
	return p
}

// gradient adds one record's to g and returns its loss.
func (p *pooled) gradient(x []float64, y float64, g []float64) float64 {
	outputs := [][]float64{x}
	at := 0
	var starts []int
	for l := 1; l < len(p.widths); l++ {
		starts = append(starts, at)
		in, out := p.widths[l-1], p.widths[l]
		z := make([]float64, out)
		for o := range out {
			z[o] = p.w[at+out*in+o]
			for i := range in {
				z[o] += p.w[at+o*in+i] * outputs[l-1][i]
			}
			if l < len(p.widths)-1 {
				if p.tanh {
					z[o] = math.Tanh(z[o])
				} else if z[o] < 0 {
					z[o] = 0
				}
			}
		}
		outputs = append(outputs, z)
		at += out * (in + 1)
	}
	eta := outputs[len(outputs)-1][0]
	var loss, slope float64
	switch p.outcome {
	case study.Number:
		loss, slope = (eta-y)*(eta-y), 2*(eta-y)
	case study.Binary:
		mu := 1 / (1 + math.Exp(-eta))
		loss, slope = -y*math.Log(mu)-(1-y)*math.Log(1-mu), mu-y
	case study.Count:
		loss, slope = 2*(math.Exp(eta)-y), 2*(math.Exp(eta)-y)
		if y > 0 {
			loss += 2 * y * (math.Log(y) - eta)
		}
	}
	slopes := []float64{slope}
	for l := len(p.widths) - 1; l >= 1; l-- {
		in, out, at := p.widths[l-1], p.widths[l], starts[l-1]
		below := make([]float64, in)
		for o := range out {
			g[at+out*in+o] += slopes[o]
			for i := range in {
				g[at+o*in+i] += slopes[o] * outputs[l-1][i]
				below[i] += slopes[o] * p.w[at+o*in+i]
			}
		}
		for i := range below {
			if a := outputs[l-1][i]; l > 1 && p.tanh {
				below[i] *= 1 - a*a
			} else if l > 1 && a <= 0 {
				below[i] = 0
			}
		}
		slopes = below
	}
	return loss
}

func (p *pooled) descend(steps int, rate, momentum float64) {
	velocity := make([]float64, len(p.w))
	for range steps {
		g := make([]float64, len(p.w))
		loss := 0.0
		for i := range p.x {
			loss += p.gradient(p.x[i], p.y[i], g)
		}
		p.curve = append(p.curve, loss/float64(len(p.x)))
		for j := range g {
			velocity[j] = momentum*velocity[j] + g[j]/float64(len(p.x))
			p.w[j] -= rate * velocity[j]
		}
	}
}

// Fedsgd is gradient descent on the pooled records, however they are divided
// over hospitals, one of which has none.
func TestFedSGDEqualsPooledGradientDescent(t *testing.T) {
	const rounds, momentum = 40, 0.9
	rates := map[string]float64{"number": 0.02, "binary": 0.05, "count": 0.002}
	records := patients(160, 5)
	splits := map[string]struct {
		sites int
		site  func(i int) int
	}{
		"one hospital":     {1, func(int) int { return 0 }},
		"equal hospitals":  {4, apart(3)},
		"unequal":          {3, func(i int) int { return min(i/20, 1) }},
		"by outcome":       {4, func(i int) int { y, _ := strconv.Atoi(records[i][0]); return min(y/6, 2) }},
		"twenty hospitals": {20, apart(20)},
	}
	for name, outcome := range outcomes {
		rate := rates[name]
		for _, hidden := range [][]int{nil, {6}, {5, 4}} {
			for _, activation := range []string{"relu", "tanh"} {
				if hidden == nil && activation == "tanh" {
					continue // the same model
				}
				list := "["
				for i, h := range hidden {
					if i > 0 {
						list += ", "
					}
					list += strconv.Itoa(h)
				}
				list += "]"
				s := parse(t, outcome, fmt.Sprintf(`{kind: neural, hidden: %s, activation: %s, strategy: fedsgd, server: {name: sgd, rate: %v, momentum: %v}}`,
					list, activation, rate, momentum), fmt.Sprintf("{rounds: %d, tolerance: 1e-12}", rounds))
				all := divide(t, s, records, 1, apart(1))[0]
				reference := newPooled(s, all, append(append([]int{4}, hidden...), 1), activation == "tanh")
				reference.descend(rounds, rate, momentum)
				for split, how := range splits {
					m := train(t, s, divide(t, s, records, how.sites, how.site))
					if m.N != len(records) || m.Rounds != rounds {
						t.Fatalf("%d patients, %d rounds", m.N, m.Rounds)
					}
					far := farthest(m.numbers(t), reference.w)
					curve := farthest(losses(m.Curve)[:rounds], reference.curve)
					if far > 1e-8 || curve > 1e-8 {
						t.Errorf("%s %s %s, %s: weights off by %.2g, losses by %.2g", name, list, activation, split, far, curve)
					}
				}
				if !(reference.curve[rounds-1] < 0.9*reference.curve[0]) {
					t.Errorf("%s %s: the loss went from %v to %v: nothing was learnt", name, list, reference.curve[0], reference.curve[rounds-1])
				}
			}
		}
	}
}
