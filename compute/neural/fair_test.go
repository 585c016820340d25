package neural

import (
	"math"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const plainSteps = `{kind: neural, hidden: [5], strategy: fedavg, epochs: 2, batch: 16, optimizer: {name: sgd, rate: 0.05}}`

// Two hospitals of the same patients and one where the outcome follows another
// rule, which a mean over patients neglects.
func unlike(t *testing.T, s *study.Study) []*study.Matrix {
	records := patients(360, 9)
	for i := range records {
		if i%6 == 0 {
			records[i][0] = "60"
		}
	}
	return divide(t, s, records, 3, func(i int) int {
		if i%6 == 0 {
			return 1
		}
		return 0
	})
}

// The opened sums of a round of q-FedAvg are made of what every hospital answers
// a round of fedavg, by the formula of the paper.
func TestQFedAvgIsTheFormulaOfThePaper(t *testing.T) {
	const q, rate = 1.5, 0.05
	plain := parse(t, numberOutcome, plainSteps, "{rounds: 5, tolerance: 1e-12}")
	sites := unlike(t, plain)
	sharp := plain.Sharpened(q)
	f, err := New(sharp, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask1 := func(s *study.Study) compute.Question {
		question, _, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Absorb(ask(t, s, question, sites)); err != nil {
			t.Fatal(err)
		}
		return question
	}
	ask1(sharp) // the moments
	before := slices.Clone(f.fitted.weights)
	question := ask1(sharp)

	p := len(before)
	numerator, denominator := make([]float64, p), 0.0
	all := 0.0
	for _, m := range sites {
		all += float64(m.Rows())
	}
	for _, m := range sites {
		if m.Rows() == 0 {
			continue
		}
		answer, err := Answer(plain, StepRound, question.Parameters, m)
		if err != nil {
			t.Fatal(err)
		}
		share := answer[0] / all
		loss := answer[1] / answer[0]
		square := 0.0
		for i, d := range answer[4:] {
			change := d / share
			numerator[i] += share * math.Pow(loss, q) * change
			square += change * change
		}
		denominator += share * (q*math.Pow(loss, q-1)*square/rate + math.Pow(loss, q))
	}
	for i, w := range before {
		want := w + numerator[i]/denominator
		if got := f.fitted.weights[i]; math.Abs(got-want) > 1e-7*(1+math.Abs(want)) { // carried as float32
			t.Errorf("weight %d = %v, want %v", i, got, want)
		}
	}
}

// The larger the exponent, the nearer are the hospitals' losses.
func TestQFedAvgEvensOutHospitals(t *testing.T) {
	plain := parse(t, numberOutcome, plainSteps, "{rounds: 60, tolerance: 1e-12}")
	sites := unlike(t, plain)
	last := math.Inf(1)
	for _, q := range []float64{0, 0.5, 2} {
		s := plain
		if q > 0 {
			s = plain.Sharpened(q)
		}
		f, err := federate(t, s, sites)
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNetwork(plain)
		if err != nil {
			t.Fatal(err)
		}
		mean := func(m *study.Matrix) float64 {
			tr := n.newTrainer(f.fitted.scaling, m)
			return tr.mean(f.fitted.weights, tr.everyone(), nil) / float64(m.Rows())
		}
		apart := mean(sites[1]) - mean(sites[0])
		if !(apart < last) {
			t.Errorf("q %v: the losses are %v apart, before %v", q, apart, last)
		}
		last = apart
	}
}
