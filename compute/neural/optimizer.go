package neural

import (
	"math"

	"github.com/consilium-fl/consilium/study"
)

// Constants of Adam (Kingma and Ba, ICLR 2015).
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// Constants of the adaptive server steps (Reddi et al., ICLR 2021, algorithm 2
// and section 4).
const (
	serverBeta2 = 0.99
	tau         = 1e-3
)

// Step rules.
const (
	adam = "adam"
	yogi = "yogi"
)

// optimizer steps weights against a gradient. The products of its sums are
// rounded one by one (float64(...)): a fused multiply-add, which some processors
// have and others not, would make an auditor's replay differ.
type optimizer struct {
	rule          study.Optimizer
	steps         float64
	first, second []float64 // nil until a rule needs them
}

// step takes the weights against the gradient, which it may change.
func (o *optimizer) step(weights, gradient []float64) {
	switch o.rule.Name {
	case adam:
		o.adam(weights, gradient)
		return
	case yogi:
		scale(-1, gradient)
		o.adaptive(weights, gradient)
		return
	}
	rate, momentum := o.rule.Rate, o.rule.Momentum
	if momentum == 0 {
		for i, g := range gradient {
			weights[i] -= float64(rate * g)
		}
		return
	}
	if o.first == nil {
		o.first = make([]float64, len(weights))
	}
	for i, g := range gradient {
		o.first[i] = float64(momentum*o.first[i]) + g
		weights[i] -= float64(rate * o.first[i])
	}
}

func (o *optimizer) adam(weights, gradient []float64) {
	if o.first == nil {
		o.first, o.second = make([]float64, len(weights)), make([]float64, len(weights))
	}
	o.steps++
	rate := o.rule.Rate / (1 - math.Pow(beta1, o.steps))
	debias := 1 / (1 - math.Pow(beta2, o.steps))
	for i, g := range gradient {
		m := float64(beta1*o.first[i]) + float64((1-beta1)*g)
		v := float64(beta2*o.second[i]) + float64((1-beta2)*float64(g*g))
		o.first[i], o.second[i] = m, v
		weights[i] -= float64(rate*m) / (math.Sqrt(float64(v*debias)) + epsilon)
	}
}

// adaptive takes the weights along a change, scaled for each weight by how the
// changes of former rounds were: FedAdam, or FedYogi.
func (o *optimizer) adaptive(weights, change []float64) {
	if o.first == nil {
		o.first, o.second = make([]float64, len(weights)), make([]float64, len(weights))
		for i := range o.second {
			o.second[i] = tau * tau
		}
	}
	for i, d := range change {
		o.first[i] = float64(beta1*o.first[i]) + float64((1-beta1)*d)
		squared, v := float64(d*d), o.second[i]
		if o.rule.Name == yogi {
			switch {
			case v > squared:
				v -= float64((1 - serverBeta2) * squared)
			case v < squared:
				v += float64((1 - serverBeta2) * squared)
			}
		} else {
			v = float64(serverBeta2*v) + float64((1-serverBeta2)*squared)
		}
		o.second[i] = v
		weights[i] += float64(o.rule.Rate*o.first[i]) / (math.Sqrt(v) + tau)
	}
}
