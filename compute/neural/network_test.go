package neural

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

var outcomes = map[string]string{"number": numberOutcome, "binary": binaryOutcome, "count": countOutcome}

// Backpropagation is compared with differences of the loss itself, for every
// loss, activation and depth, in each single weight.
func TestGradientIsTheSlopeOfTheLoss(t *testing.T) {
	for name, outcome := range outcomes {
		for _, activation := range []string{"relu", "tanh"} {
			for _, hidden := range []string{"[]", "[5]", "[4, 3]"} {
				t.Run(name+"/"+activation+"/"+hidden, func(t *testing.T) {
					s := parse(t, outcome, fmt.Sprintf(`{kind: neural, hidden: %s, activation: %s}`, hidden, activation), "{}")
					m := divide(t, s, patients(40, 1), 1, apart(1))[0]
					n, err := newNetwork(s)
					if err != nil {
						t.Fatal(err)
					}
					tr := n.newTrainer(someScaling(n), m)
					w := n.initial(0.2)
					random := rand.New(rand.NewPCG(3, 4))
					for i := range w {
						w[i] += 0.1 * random.NormFloat64()
					}
					all := tr.everyone()
					gradient := make([]float64, len(w))
					tr.mean(w, all, gradient)
					const h = 1e-6
					for i := range w {
						at := w[i]
						w[i] = at + h
						up := tr.mean(w, all, nil)
						w[i] = at - h
						down := tr.mean(w, all, nil)
						w[i] = at
						want := (up - down) / (2 * h) / float64(len(all))
						if math.Abs(gradient[i]-want) > 1e-6*(1+math.Abs(want)) {
							t.Errorf("weight %d: slope %v, by differences %v", i, gradient[i], want)
						}
					}
				})
			}
		}
	}
}

// someScaling is near what the moments of the made-up patients give.
func someScaling(n *network) scaling {
	c := scaling{
		columns: []Column{{"a", 0.1, 1}, {"b", 500, 100}, {"c=v", 0.3, 0.5}, {"c=w", 0.3, 0.5}},
		outcome: Column{"y", 0, 1},
	}
	if n.study.Outcome.Type == "number" {
		c.outcome = Column{"y", 9, 4}
	}
	return c
}

// The clipped gradient of a batch is the mean of the records' gradients, each
// computed alone and shortened to the norm.
func TestEachRecordsGradientIsClipped(t *testing.T) {
	const norm = 0.7
	model := `{kind: neural, hidden: [4, 3], activation: tanh, clip: %v}`
	clipped := parse(t, numberOutcome, fmt.Sprintf(model, norm), "{}")
	free := parse(t, numberOutcome, fmt.Sprintf(model, 0), "{}")
	records := patients(300, 2)
	n, err := newNetwork(clipped)
	if err != nil {
		t.Fatal(err)
	}
	unclipped, err := newNetwork(free)
	if err != nil {
		t.Fatal(err)
	}
	w := n.initial(0)
	tr := n.newTrainer(someScaling(n), divide(t, clipped, records, 1, apart(1))[0])
	got := make([]float64, len(w))
	tr.mean(w, tr.everyone(), got)

	alone := unclipped.newTrainer(someScaling(n), divide(t, free, records, 1, apart(1))[0])
	want := make([]float64, len(w))
	long := 0
	for i := range records {
		g := make([]float64, len(w))
		alone.mean(w, []int{i}, g)
		if length := math.Sqrt(sumOfSquares(g)); length > norm {
			scale(norm/length, g)
			long++
		}
		add(1/float64(len(records)), g, want)
	}
	if long == 0 || long == len(records) {
		t.Fatalf("%d of %d gradients are long: nothing is tried", long, len(records))
	}
	if far := farthest(got, want); far > 1e-12 {
		t.Errorf("off by %v", far)
	}
}

// Slopes in the inputs, on which importance rests, by differences.
func TestImportanceIsTheSlopeInTheInputs(t *testing.T) {
	s := parse(t, binaryOutcome, `{kind: neural, hidden: [6], activation: tanh}`, "{}")
	n, err := newNetwork(s)
	if err != nil {
		t.Fatal(err)
	}
	m := divide(t, s, patients(30, 3), 1, apart(1))[0]
	f := fitted{someScaling(n), n.initial(0.1)}
	got := n.answerImportance(f, m)[2:]
	eta := func(inputs []float64) float64 {
		tape := n.newTape(1)
		copy(tape.outputs[0].Data, inputs)
		tape.forward(f.weights)
		return tape.eta(0)
	}
	const h = 1e-6
	for j := range n.inputs {
		want := 0.0
		for i := range m.Rows() {
			x := make([]float64, len(n.inputs))
			f.scaling.apply(x, m.Row(i))
			x[j] += h
			up := eta(x)
			x[j] -= 2 * h
			want += math.Abs(up-eta(x)) / (2 * h)
		}
		if math.Abs(got[j]-want) > 1e-6*want {
			t.Errorf("input %d: %v, by differences %v", j, got[j], want)
		}
	}
}

func TestFirstWeightsFollowTheRule(t *testing.T) {
	for activation, reach := range map[string]float64{"relu": math.Sqrt(6. / 4), "tanh": math.Sqrt(6. / (4 + 500))} {
		s := parse(t, binaryOutcome, `{kind: neural, hidden: [500], activation: `+activation+`, seed: 9}`, "{}")
		n, err := newNetwork(s)
		if err != nil {
			t.Fatal(err)
		}
		w := n.initial(0.5)
		weights, biases := n.layer(w, 0)
		largest := 0.0
		for _, x := range weights.Data {
			largest = max(largest, math.Abs(x))
		}
		if largest > reach || largest < 0.99*reach || biases[0] != 0 || w[len(w)-1] != 0.5 {
			t.Errorf("%s: weights reach %v, want just below %v; biases %v and %v", activation, largest, reach, biases[0], w[len(w)-1])
		}
	}
}
