package neural

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// A model that has been JSON predicts the same, to the last bit, and its
// prediction is the network's output in the outcome's unit.
func TestModelSurvivesJSON(t *testing.T) {
	records := patients(200, 20)
	for name, outcome := range map[string]string{
		"number": numberOutcome, "binary": binaryOutcome, "count": countOutcome,
		"sqrt": `{column: y, type: number, range: [0, 150], transform: sqrt}`,
	} {
		s := parse(t, outcome, `{kind: neural, hidden: [6, 4], optimizer: {name: adam, rate: 0.01}}`, "{rounds: 30}")
		sites := divide(t, s, records, 3, apart(3))
		m := train(t, s, sites)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again Model
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(*m, again); d != "" {
			t.Errorf("%s: changed by JSON: %s", name, d)
		}
		encoded, err := again.Encode()
		if err != nil {
			t.Fatal(err)
		}
		p, err := Decode(s, encoded)
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNetwork(s)
		if err != nil {
			t.Fatal(err)
		}
		f, err := n.decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(n.encode(f), encoded) {
			t.Errorf("%s: a second spelling", name)
		}
		tr := n.newTrainer(f.scaling, sites[0])
		squares, around, mean := 0.0, 0.0, m.meanOutcome(t, records)
		tr.chunks(f.weights, tr.everyone(), func(part []int) {
			for k, i := range part {
				eta := tr.tape.eta(k)
				want := map[string]float64{
					"number": f.scaling.outcome.Mean + f.scaling.outcome.SD*eta,
					"sqrt":   math.Pow(max(f.scaling.outcome.Mean+f.scaling.outcome.SD*eta, 0), 2),
					"binary": 1 / (1 + math.Exp(-eta)),
					"count":  math.Exp(eta),
				}[name]
				got := p.Predict(sites[0].Row(i), 0)
				if math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
					t.Errorf("%s: record %d: %v, want %v", name, i, got, want)
				}
				y := sites[0].Outcome(i)
				squares += (y - got) * (y - got)
				around += (y - mean) * (y - mean)
			}
		})
		if name != "binary" && !(squares < 0.6*around) {
			t.Errorf("%s: predictions leave %v of the variance", name, squares/around)
		}
		if _, err := Decode(s, encoded[:len(encoded)-1]); err == nil {
			t.Error("a shortened model is decoded")
		}
		if _, err := Decode(s, append(slices.Clone(encoded), 0)); err == nil {
			t.Error("a lengthened model is decoded")
		}
	}
}

func (m *Model) meanOutcome(t *testing.T, records [][]string) float64 {
	t.Helper()
	total := 0.0
	for _, r := range records {
		var y float64
		if err := json.Unmarshal([]byte(r[0]), &y); err != nil {
			t.Fatal(err)
		}
		total += y
	}
	return total / float64(len(records))
}

// a moves the made-up outcome by 3 a standard deviation and b by 2, and the
// levels of c by up to 4, each of them a column of a spread of a half; importance
// finds that order, and is the size of the weights without hidden layers.
func TestImportanceRanksTheFeatures(t *testing.T) {
	records := patients(800, 21)
	for _, hidden := range []string{"[]", "[12]"} {
		s := parse(t, numberOutcome, `{kind: neural, hidden: `+hidden+`, activation: tanh, strategy: fedsgd, server: {name: sgd, rate: 0.05, momentum: 0.9}}`, "{rounds: 150, tolerance: 1e-9}")
		m := train(t, s, divide(t, s, records, 3, apart(3)))
		var names []string
		for _, i := range m.Importance {
			names = append(names, i.Feature)
		}
		if !slices.Equal(names, []string{"a", "c", "b"}) {
			t.Errorf("hidden %s: %v", hidden, m.Importance)
		}
		if hidden == "[]" {
			w := m.numbers(t)
			want := []Importance{{"a", math.Abs(w[0])}, {"c", math.Abs(w[2]) + math.Abs(w[3])}, {"b", math.Abs(w[1])}}
			for k, i := range m.Importance {
				if math.Abs(i.Value-want[k].Value) > 1e-9 {
					t.Errorf("importance %v, want %v", i, want[k])
				}
			}
		}
	}
}

// The scaling is the pooled mean and standard deviation, and a column without
// spread is named and not used.
func TestInputsAreStandardised(t *testing.T) {
	records := patients(300, 22)
	for _, r := range records {
		if r[3] == "w" {
			r[3] = "v"
		}
	}
	s := parse(t, numberOutcome, `{kind: neural, hidden: [4]}`, "{rounds: 2}")
	f, err := federate(t, s, divide(t, s, records, 4, apart(3)))
	if err != nil {
		t.Fatal(err)
	}
	pooled := divide(t, s, records, 1, apart(1))[0]
	for j, c := range f.Model().Columns {
		mean, variance := 0.0, 0.0
		for i := range pooled.Rows() {
			mean += pooled.Row(i)[j+1] / 300
		}
		for i := range pooled.Rows() {
			variance += math.Pow(pooled.Row(i)[j+1]-mean, 2) / 300
		}
		if math.Abs(c.Mean-mean) > 1e-10*(1+mean) || math.Abs(c.SD-math.Sqrt(variance)) > 1e-9*math.Sqrt(variance) {
			t.Errorf("%s: mean %v and standard deviation %v, want %v and %v", c.Name, c.Mean, c.SD, mean, math.Sqrt(variance))
		}
	}
	remarks := f.Remarks()
	if len(remarks) != 1 || remarks[0].Kind != compute.UnusedColumn || !slices.Equal(remarks[0].Terms, []string{"c=w"}) {
		t.Errorf("remarks %v, want one on c=w", remarks)
	}
	encoded, err := f.Model().Encode()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(s, encoded)
	if err != nil {
		t.Fatal(err)
	}
	if p.Predict([]float64{1, 0, 500, 0, 0}, 0) != p.Predict([]float64{1, 0, 500, 0, 1}, 0) {
		t.Error("a level that nobody had changes a prediction")
	}
}

// Changes cut to their bound are counted and said: one step of Adam changes each
// of the five weights by its rate, at both hospitals.
func TestClippedChangesAreRemarked(t *testing.T) {
	for rate, want := range map[string]int{"3.9": 0, "4.1": 1} {
		s := parse(t, binaryOutcome, `{kind: neural, hidden: [], batch: 0, optimizer: {name: adam, rate: `+rate+`}}`, "{rounds: 1}")
		f, err := federate(t, s, divide(t, s, patients(300, 23), 2, apart(2)))
		if err != nil {
			t.Fatal(err)
		}
		remarks := slices.DeleteFunc(f.Remarks(), func(d compute.Diagnosis) bool { return d.Kind != compute.ClippedUpdate })
		if len(remarks) != want || want == 1 && !strings.HasPrefix(remarks[0].Message, "10 numbers") {
			t.Errorf("rate %s: remarks %v", rate, remarks)
		}
	}
}

// A network that has learnt nothing is a model, with a remark.
func TestANetworkThatIsNoBetterThanItBeganIsRemarked(t *testing.T) {
	for rate, want := range map[string]int{"0.01": 0, "1": 1} {
		s := parse(t, numberOutcome, `{kind: neural, hidden: [8], optimizer: {name: adam, rate: `+rate+`}}`, "{rounds: 2}")
		f, err := federate(t, s, divide(t, s, patients(300, 23), 3, apart(3)))
		if err != nil {
			t.Fatal(err)
		}
		curve := f.Model().Curve
		if got := len(f.Remarks()); got != want || (want == 1) != (curve[len(curve)-1].Loss >= curve[0].Loss) || want == 1 && f.Remarks()[0].Kind != compute.Divergence {
			t.Errorf("rate %s: curve %v, remarks %v", rate, curve, f.Remarks())
		}
	}
}

// What a study is said to send is what it sends.
func TestStepsAreWhatIsAsked(t *testing.T) {
	for _, settings := range strategies {
		s := parse(t, numberOutcome, `{kind: neural, hidden: [4], `+settings+`}`, "{rounds: 4, tolerance: 1e-12}")
		known := map[string]compute.StepSummary{}
		for _, step := range Steps(s) {
			known[step.Step] = step
		}
		sites := divide(t, s, patients(100, 24), 2, apart(2))
		f, err := New(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]int{}
		for {
			q, done, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			asked[q.Step]++
			if d := cmp.Diff(known[q.Step].Fields, q.Layout); d != "" {
				t.Error(d)
			}
			if err := f.Absorb(ask(t, s, q, sites)); err != nil {
				t.Fatal(err)
			}
		}
		for step, n := range asked {
			if n > known[step].Rounds || known[step].Purpose == "" || known[step].Numbers == 0 {
				t.Errorf("%s is asked %d times; said to be %+v", step, n, known[step])
			}
		}
	}
}

// Products and the terms of splines are inputs like any other; a spline's terms
// count for its feature, a product for itself.
func TestInteractionsAndSplinesAreInputs(t *testing.T) {
	s := parse(t, numberOutcome, `{kind: neural, hidden: [5], interactions: ["a:c"], splines: ["spline(b, df: 3)"]}`, "{rounds: 3}")
	knots := [][]float64{{350, 450, 550, 650}}
	knotted, err := s.Knotted(knots)
	if err != nil {
		t.Fatal(err)
	}
	var sites []*study.Matrix
	for _, m := range divide(t, s, patients(200, 25), 3, apart(2)) {
		if m, err = m.Knotted(knots); err != nil {
			t.Fatal(err)
		}
		sites = append(sites, m)
	}
	m := train(t, knotted, sites)
	var names []string
	for _, i := range m.Importance {
		names = append(names, i.Feature)
	}
	slices.Sort(names)
	if want := []string{"a", "a:c=v", "a:c=w", "b", "c"}; !slices.Equal(names, want) || m.Parameters != s.Parameters() {
		t.Errorf("importance of %v, want %v; %d parameters, the study has %d", names, want, m.Parameters, s.Parameters())
	}
	encoded, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(knotted, encoded); err != nil {
		t.Error(err)
	}
}
