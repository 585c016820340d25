package neural

import (
	"cmp"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Importance says how strongly a prediction follows a feature: the mean over
// patients of |d eta / d z|, eta being the network's output (standardised
// outcome, log odds or log expected count) and z a standardised column, added
// up over the feature's columns. It is the output's change for one standard
// deviation of the feature, near the patients as they are; it says how the model
// works, not what causes the outcome.
type Importance struct {
	Feature string  `json:"feature"`
	Value   float64 `json:"value"`
}

const slopeBits = 40

func (n *network) importanceLayout() []compute.Field {
	fields := []compute.Field{
		{Name: "patients", Length: 1, Bound: maxRows},
		{Name: "loss", Length: 1, FracBits: lossBits, Bound: maxRows * maxLoss * n.heaviest()},
	}
	if p := len(n.inputs); p > 0 {
		fields = append(fields, compute.Field{Name: "slopes", Length: p, FracBits: slopeBits, Bound: maxRows * maxSlope})
	}
	return fields
}

func (n *network) answerImportance(f fitted, m *study.Matrix) []float64 {
	t := n.newTrainer(f.scaling, m)
	all := t.everyone()
	loss := t.mean(f.weights, all, nil)
	slopes := compute.NewAccumulator(len(n.inputs))
	t.chunks(f.weights, all, func(records []int) {
		for k := range records {
			*t.tape.slope(k) = 1
		}
		t.tape.backward(f.weights, true)
		for k := range records {
			for j, x := range row(t.tape.slopes[0], k) {
				x, _ = bounded(x, maxSlope)
				slopes.Add(j, math.Abs(x))
			}
		}
	})
	return append([]float64{float64(m.Rows()), loss}, slopes.Values()...)
}

// importance adds up the means of the slopes by feature, the strongest first. A
// product of features stands for itself.
func (n *network) importance(c scaling, slopes []float64, patients float64) []Importance {
	var out []Importance
	at := map[string]int{}
	for j, term := range n.inputs {
		name := term.Name
		if term.Feature >= 0 {
			name = n.study.Features[term.Feature].Column
		}
		if _, known := at[name]; !known {
			at[name] = len(out)
			out = append(out, Importance{Feature: name})
		}
		if c.columns[j].SD > 0 {
			out[at[name]].Value += slopes[j] / patients
		}
	}
	slices.SortStableFunc(out, func(a, b Importance) int { return cmp.Compare(b.Value, a.Value) })
	return out
}
