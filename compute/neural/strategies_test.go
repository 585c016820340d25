package neural

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// strategies with settings under which the made-up problem is learnt in 30 rounds.
var strategies = map[string]string{
	"fedavg":   `strategy: fedavg, epochs: 2, optimizer: {name: adam, rate: 0.01}`,
	"momentum": `strategy: fedavg, epochs: 2, optimizer: {name: sgd, rate: 0.01, momentum: 0.9}, clip: 5, decay: 0.0001`,
	"fedprox":  `strategy: fedprox, epochs: 2, proximal: 0.1, optimizer: {name: adam, rate: 0.01}`,
	"scaffold": `strategy: scaffold, epochs: 2, optimizer: {name: sgd, rate: 0.05}`,
	"fedadam":  `strategy: fedadam, epochs: 2, optimizer: {name: adam, rate: 0.005}, server: {name: adam, rate: 0.05}`,
	"fedyogi":  `strategy: fedyogi, epochs: 2, optimizer: {name: adam, rate: 0.005}, server: {name: yogi, rate: 0.05}`,
	"sgd":      `strategy: fedsgd, server: {name: sgd, rate: 0.1, momentum: 0.9}`,
	"adam":     `strategy: fedsgd, server: {name: adam, rate: 0.05}`,
	"yogi":     `strategy: fedsgd, server: {name: yogi, rate: 0.05}`,
}

// Hospitals that differ in the outcome still learn together: half of the
// outcome's variance that a straight line leaves is gone, or more.
func TestEveryStrategyLearns(t *testing.T) {
	records := patients(600, 11)
	byOutcome := func(i int) int { y, _ := strconv.Atoi(records[i][0]); return min(y/7, 2) }
	for name, settings := range strategies {
		s := parse(t, numberOutcome, `{kind: neural, hidden: [16], activation: tanh, seed: 3, `+settings+`}`, "{rounds: 30, tolerance: 1e-12}")
		m := train(t, s, divide(t, s, records, 4, byOutcome))
		first, last := m.Curve[0].Loss, m.Curve[len(m.Curve)-1].Loss
		t.Logf("%s: loss %.3f -> %.3f", name, first, last)
		if !(last < 0.25*first) {
			t.Errorf("%s: the loss went from %v to %v", name, first, last)
		}
		if len(m.Curve) != m.Rounds+1 || m.Curve[m.Rounds].Round != m.Rounds || m.Loss != last {
			t.Errorf("%s: a curve of %d points for %d rounds", name, len(m.Curve), m.Rounds)
		}
	}
}

// One batch, one epoch and plain steps: the mean of the sites' weights is the
// weights after the mean gradient, so fedavg is gradient descent.
func TestAveragingOneStepIsFedSGD(t *testing.T) {
	records := patients(300, 6)
	uneven := func(i int) int { return min(i/30, 2) }
	var got [2]*Model
	for i, settings := range []string{
		`strategy: fedavg, batch: 0, optimizer: {name: sgd, rate: 0.05}, decay: 0.01`,
		`strategy: fedsgd, server: {name: sgd, rate: 0.05}, decay: 0.01`,
	} {
		s := parse(t, numberOutcome, `{kind: neural, hidden: [5], `+settings+`}`, "{rounds: 20, tolerance: 1e-12}")
		got[i] = train(t, s, divide(t, s, records, 3, uneven))
	}
	// float32 and 24 bits against float64 and 44.
	if far := farthest(got[0].numbers(t), got[1].numbers(t)); far > 1e-5 {
		t.Errorf("off by %v", far)
	}
}

// Scaffold with exact control variates does not drift: where hospitals differ
// and train long, fedavg stops short of the pooled optimum and scaffold gets
// there. That is what the control variates are for.
func TestScaffoldDoesNotDrift(t *testing.T) {
	records := patients(400, 8)
	byA := func(i int) int {
		a, _ := strconv.ParseFloat(records[i][1], 64)
		if a > 0.5 {
			return 1
		}
		return 0
	}
	loss := func(settings string, rounds int) float64 {
		s := parse(t, numberOutcome, `{kind: neural, hidden: [], `+settings+`}`, fmt.Sprintf("{rounds: %d, tolerance: 1e-12}", rounds))
		return train(t, s, divide(t, s, records, 2, byA)).Loss
	}
	optimum := loss(`strategy: fedsgd, server: {name: sgd, rate: 1, momentum: 0.9}`, 600)
	average := loss(`strategy: fedavg, epochs: 20, batch: 0, optimizer: {name: sgd, rate: 0.02}`, 100) - optimum
	scaffold := loss(`strategy: scaffold, epochs: 20, batch: 0, optimizer: {name: sgd, rate: 0.02}`, 100) - optimum
	t.Logf("optimum %.6f, fedavg %.3g above it, scaffold %.3g", optimum, average, scaffold)
	if !(average > 1e-4) || !(scaffold < average/1000) {
		t.Errorf("fedavg is %v above the optimum of %v, scaffold %v", average, optimum, scaffold)
	}
}

// The proximal term holds a site back: with a heavy one a round changes little.
func TestProximalTermHoldsBack(t *testing.T) {
	records := patients(200, 9)
	move := func(mu float64) float64 {
		s := parse(t, numberOutcome, fmt.Sprintf(`{kind: neural, hidden: [4], strategy: fedprox, proximal: %v, epochs: 20, optimizer: {name: sgd, rate: 0.01}}`, mu), "{rounds: 1}")
		m := train(t, s, divide(t, s, records, 2, apart(2)))
		n, err := newNetwork(s)
		if err != nil {
			t.Fatal(err)
		}
		return farthest(m.numbers(t), n.initial(0))
	}
	if free, held := move(0), move(50); !(held < free/5) || held == 0 {
		t.Errorf("a weight moves by %v, held back by %v", free, held)
	}
}

// The adaptive rules by hand, two steps of one weight (Reddi et al., algorithm 2).
func TestAdaptiveStepsAreThoseOfThePaper(t *testing.T) {
	for _, name := range []string{adam, yogi} {
		m, v, w := 0.0, 1e-6, 0.0
		o := optimizer{rule: study.Optimizer{Name: name, Rate: 0.1}}
		weights := []float64{0}
		for k, d := range []float64{0.5, -0.0004} {
			m = 0.9*m + 0.1*d
			if name == adam {
				v = 0.99*v + 0.01*d*d
			} else {
				sign := 1.0
				if v < d*d {
					sign = -1
				}
				v -= 0.01 * d * d * sign
			}
			w += 0.1 * m / (math.Sqrt(v) + 1e-3)
			o.adaptive(weights, []float64{d})
			if math.Abs(weights[0]-w) > 1e-14 {
				t.Errorf("%s, step %d: %v, want %v", name, k+1, weights[0], w)
			}
		}
	}
}

func TestSameSeedGivesTheSameBytes(t *testing.T) {
	records := patients(200, 4)
	for name, settings := range strategies {
		var all [][]byte
		for _, seed := range []int{1, 1, 2} {
			s := parse(t, binaryOutcome, fmt.Sprintf(`{kind: neural, hidden: [7], %s, seed: %d}`, settings, seed), "{rounds: 3}")
			m, err := json.Marshal(train(t, s, divide(t, s, records, 3, apart(3))))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		if !bytes.Equal(all[0], all[1]) {
			t.Errorf("%s: two runs of one study differ", name)
		}
		if bytes.Equal(all[0], all[2]) {
			t.Errorf("%s: the seed makes no difference", name)
		}
	}
}

// Without hidden layers the squared loss has the least-squares solution, the log
// loss the maximum likelihood estimate: where the gradient vanishes.
func TestBaselineReachesTheOptimum(t *testing.T) {
	records := patients(300, 10)
	for name, outcome := range outcomes {
		s := parse(t, outcome, `{kind: neural, hidden: [], strategy: fedsgd, server: {name: sgd, rate: `+map[string]string{"number": "0.2", "binary": "1", "count": "0.02"}[name]+`, momentum: 0.9}}`, "{rounds: 1000, tolerance: 1e-15}")
		sites := divide(t, s, records, 3, apart(3))
		m := train(t, s, sites)
		n, err := newNetwork(s)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		f, err := n.decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		all := divide(t, s, records, 1, apart(1))[0]
		tr := n.newTrainer(f.scaling, all)
		g := make([]float64, n.parameters())
		tr.mean(f.weights, tr.everyone(), g)
		if length := math.Sqrt(sumOfSquares(g)); length > 1e-5 {
			t.Errorf("%s: a gradient of length %v remains after %d rounds", name, length, m.Rounds)
		}
		if m.Rounds == 1000 {
			t.Errorf("%s: the tolerance did not end the fit", name)
		}
	}
}

// Steps far too long end with a diagnosis that says what to do, not with a model.
func TestDivergenceIsDiagnosed(t *testing.T) {
	records := patients(200, 12)
	for name, settings := range map[string]string{
		"local":  `strategy: fedavg, epochs: 5, optimizer: {name: sgd, rate: 100}`,
		"server": `strategy: fedsgd, server: {name: sgd, rate: 100}`,
		"adam":   `strategy: fedadam, optimizer: {name: sgd, rate: 1}, server: {name: adam, rate: 1000}`,
	} {
		for kind, outcome := range map[string]string{"number": numberOutcome, "count": countOutcome} {
			s := parse(t, outcome, `{kind: neural, hidden: [8], `+settings+`}`, "{rounds: 50, tolerance: 1e-12}")
			f, err := federate(t, s, divide(t, s, records, 3, apart(3)))
			var d *compute.Diagnosis
			if !errors.As(err, &d) || d.Kind != compute.Divergence || f.Model() != nil {
				t.Errorf("%s, %s: got %v, want the diagnosis %s", name, kind, err, compute.Divergence)
				continue
			}
			t.Log(d)
			if _, done, again := f.Next(); !done || !errors.As(again, &d) {
				t.Errorf("%s: the diagnosis does not last", name)
			}
		}
	}
}

// A hospital that is missing in a round leaves the mean over the others.
func TestMissingHospitalLeavesTheMeanOfTheOthers(t *testing.T) {
	records := patients(300, 13)
	s := parse(t, numberOutcome, `{kind: neural, hidden: [], strategy: fedsgd, server: {name: sgd, rate: 0.1}}`, "{rounds: 1}")
	sites := divide(t, s, records, 3, apart(3))
	f, err := New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	present := sites
	for {
		q, done, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		if q.Step == StepRound {
			present = sites[:2]
		}
		if err := f.Absorb(ask(t, s, q, present)); err != nil {
			t.Fatal(err)
		}
	}
	n := f.network
	g := make([]float64, n.parameters())
	both := divide(t, s, records, 3, apart(3))[:2]
	for _, m := range both {
		tr := n.newTrainer(f.fitted.scaling, m)
		own := make([]float64, n.parameters())
		tr.mean(n.initial(0), tr.everyone(), own)
		add(float64(m.Rows())/200, own, g)
	}
	scale(-0.1, g)
	if far := farthest(f.Model().numbers(t), g); far > 1e-9 {
		t.Errorf("off by %v", far)
	}
}
