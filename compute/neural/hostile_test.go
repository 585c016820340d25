package neural

import (
	"math"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"pgregory.net/rapid"
)

// Whatever the records within the declared ranges and whatever the weights within
// their limit, every number of every answer keeps its bound, or the secure sum
// would refuse it and the study end.
func TestBoundsHoldForAnyRecordsAndWeights(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.SampledFrom([]string{"number", "binary", "count"}).Draw(r, "outcome")
		settings := rapid.SampledFrom([]string{
			`strategy: fedavg, optimizer: {name: adam, rate: 1000}`,
			`strategy: fedprox, proximal: 1000000, optimizer: {name: sgd, rate: 1000, momentum: 0.9999}`,
			`strategy: scaffold, epochs: 3, optimizer: {name: sgd, rate: 10}`,
			`strategy: fedsgd, decay: 1000000`,
			`strategy: fedsgd, clip: 0.001`,
		}).Draw(r, "settings")
		shape := rapid.SampledFrom([]string{`hidden: []`, `hidden: [3]`, `hidden: [3, 2, 3, 2, 3, 2, 3, 2]`, `hidden: [3], activation: tanh`}).Draw(r, "layers")
		s := parse(t, outcomes[name], `{kind: neural, batch: 2, `+shape+`, `+settings+`}`, "{rounds: 5}")

		// Records at the ends of the ranges, where everything is largest.
		var records [][]string
		for range rapid.IntRange(0, 6).Draw(r, "records") {
			records = append(records, []string{
				rapid.SampledFrom([]string{"0", "150", "1", "75"}).Draw(r, "y"),
				rapid.SampledFrom([]string{"-10", "10", "0", "1e-300"}).Draw(r, "a"),
				rapid.SampledFrom([]string{"0", "1000", "999.9999999"}).Draw(r, "b"),
				rapid.SampledFrom([]string{"u", "v", "w"}).Draw(r, "c")})
		}
		m := divide(t, s, records, 1, apart(1))[0]
		n, err := newNetwork(s)
		if err != nil {
			t.Fatal(err)
		}
		checkBounds(t, n.momentsLayout(), n.answerMoments(m))

		q := question{round: 0, patients: max(len(records), 1)}
		mid, half := n.ranges()
		column := func(name string, j int) Column {
			at := rapid.Float64Range(-1, 1).Draw(r, "mean")
			spread := rapid.SampledFrom([]float64{minSpread, 1e-3, 1}).Draw(r, "sd")
			return Column{name, mid[j] + half[j]*at + 0, half[j] * spread}
		}
		for j, input := range n.inputs {
			q.fitted.scaling.columns = append(q.fitted.scaling.columns, column(input.Name, j))
		}
		q.fitted.scaling.outcome = Column{"y", 0, 1}
		if name == "number" {
			q.fitted.scaling.outcome = column("y", len(n.inputs))
		}
		draw := func(limit float64) (w []float64) {
			kinds := rapid.SampledFrom([]float64{0, 1, limit, -limit, limit / 3})
			for range n.parameters() {
				w = append(w, kinds.Draw(r, "weight"))
			}
			return w
		}
		q.fitted.weights = draw(maxWeight)
		if n.model.Strategy == study.Scaffold && rapid.Bool().Draw(r, "later") {
			q.round, q.previous, q.control = 1, draw(maxWeight), draw(controlBound)
		}
		parameters, err := n.encodeRound(q)
		if err != nil {
			t.Fatal(err)
		}
		layout, err := Layout(s, StepRound, parameters)
		if err != nil {
			t.Fatalf("%v: %+v", err, q)
		}
		values, err := Answer(s, StepRound, parameters, m)
		if err != nil {
			t.Fatal(err)
		}
		checkBounds(t, layout, values)
		checkBounds(t, n.importanceLayout(), n.answerImportance(q.fitted, m))
	})
}

// A hospital left out of a fold has no records, and says nothing but zeros.
func TestNoRecordsGiveZeros(t *testing.T) {
	for name, settings := range strategies {
		s := parse(t, binaryOutcome, `{kind: neural, hidden: [3], `+settings+`}`, "{rounds: 3}")
		records := patients(60, 1)
		with := divide(t, s, records, 3, apart(2))
		f, err := New(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		for {
			q, done, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			values, err := Answer(s, q.Step, q.Parameters, with[2])
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				if v != 0 {
					t.Fatalf("%s, %s: number %d of a hospital without records is %v", name, q.Step, i, v)
				}
			}
			if err := f.Absorb(ask(t, s, q, with)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Parameters have one spelling, and anything that a fit cannot have asked is refused.
func TestForeignParametersAreRefused(t *testing.T) {
	s := parse(t, numberOutcome, `{kind: neural, hidden: [3], strategy: scaffold, optimizer: {name: sgd, rate: 0.1}}`, "{rounds: 5}")
	n, err := newNetwork(s)
	if err != nil {
		t.Fatal(err)
	}
	good := func() question {
		w := n.initial(0)
		n.settle(w)
		return question{round: 1, patients: 100, fitted: fitted{someScaling(n), w}, previous: make([]float64, len(w)), control: make([]float64, len(w))}
	}
	accept := func(q question) error {
		parameters, err := n.encodeRound(q)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Layout(s, StepRound, parameters)
		return err
	}
	if err := accept(good()); err != nil {
		t.Fatal(err)
	}
	minus := math.Copysign(0, -1)
	for what, change := range map[string]func(q *question){
		"a round beyond the last":       func(q *question) { q.round = 5 },
		"a round before the first":      func(q *question) { q.round = -1 },
		"no patients":                   func(q *question) { q.patients = 0 },
		"more patients than people":     func(q *question) { q.patients = 1 << 40 },
		"a weight that is no number":    func(q *question) { q.fitted.weights[2] = math.NaN() },
		"an infinite weight":            func(q *question) { q.fitted.weights[2] = math.Inf(1) },
		"a huge weight":                 func(q *question) { q.fitted.weights[2] = 2 * maxWeight },
		"minus zero":                    func(q *question) { q.fitted.weights[2] = minus },
		"a weight too few":              func(q *question) { q.fitted.weights = q.fitted.weights[1:] },
		"a weight too many":             func(q *question) { q.fitted.weights = append(q.fitted.weights, 0) },
		"an input too few":              func(q *question) { q.fitted.scaling.columns = q.fitted.scaling.columns[1:] },
		"a mean out of range":           func(q *question) { q.fitted.scaling.columns[0].Mean = 11 },
		"a mean that is no number":      func(q *question) { q.fitted.scaling.columns[0].Mean = math.NaN() },
		"a minute standard deviation":   func(q *question) { q.fitted.scaling.columns[0].SD = 1e-12 },
		"a negative standard deviation": func(q *question) { q.fitted.scaling.columns[0].SD = -1 },
		"a great standard deviation":    func(q *question) { q.fitted.scaling.columns[0].SD = 20 },
		"an outcome of no spread":       func(q *question) { q.fitted.scaling.outcome.SD = 0 },
		"no variates in a later round":  func(q *question) { q.previous, q.control = nil, nil },
		"variates in the first round":   func(q *question) { q.round = 0 },
		"variates too short":            func(q *question) { q.control = q.control[1:] },
		"a huge variate":                func(q *question) { q.control[0] = 65 },
		"a variate that is no number":   func(q *question) { q.control[0] = math.NaN() },
		"a huge previous weight":        func(q *question) { q.previous[0] = 2 * maxWeight },
	} {
		q := good()
		change(&q)
		if accept(q) == nil {
			t.Errorf("%s is accepted", what)
		}
	}

	parameters, err := n.encodeRound(good())
	if err != nil {
		t.Fatal(err)
	}
	text := string(parameters)
	for what, other := range map[string]string{
		"nothing":              "",
		"a space":              " " + text,
		"an end after the end": text + "{}",
		"an unknown key":       strings.Replace(text, `{"round"`, `{"x":1,"round"`, 1),
		"another version":      strings.Replace(text, "bmV1cmFsLz", "bmV1cmFsLy", 1),
		"a long text":          `{"round":` + strings.Repeat(" ", 1<<20) + `1}`,
	} {
		if other == text {
			t.Fatalf("%s: nothing was changed", what)
		}
		for _, step := range []string{StepRound, StepImportance, StepMoments} {
			if _, err := Layout(s, step, []byte(other)); err == nil && !(step == StepMoments && other == "") {
				t.Errorf("%s is accepted by %s", what, step)
			}
		}
	}
	m := divide(t, s, patients(101, 1), 1, apart(1))[0]
	if _, err := Answer(s, StepRound, parameters, m); err == nil {
		t.Error("a hospital answers though the question counts fewer patients in all than it has")
	}
	for _, step := range []string{"", "neural/x", "glm/gram"} {
		if _, err := Layout(s, step, nil); err == nil {
			t.Errorf("step %q is accepted", step)
		}
		if _, err := Answer(s, step, nil, m); err == nil {
			t.Errorf("step %q is answered", step)
		}
	}
}

// Sums that do not belong to the question, and studies that no network fits.
func TestForeignSumsAndStudiesAreRefused(t *testing.T) {
	s := parse(t, numberOutcome, `{kind: neural, hidden: [3]}`, "{rounds: 5}")
	f, err := New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := compute.NewSum(3, []compute.Field{{Name: "patients", Length: 1}}, []float64{5})
	if err != nil {
		t.Fatal(err)
	}
	if f.Absorb(other) == nil {
		t.Error("a sum of another layout is absorbed")
	}
	linear := parse(t, numberOutcome, `{kind: glm, family: gaussian}`, "{rounds: 5}")
	if _, err := New(linear, nil); err == nil {
		t.Error("a network is fitted for a linear model")
	}
	if _, err := Layout(linear, StepMoments, nil); err == nil {
		t.Error("a site answers a network's step for a linear model")
	}
}

// Without an outcome that varies, or without patients, there is a diagnosis.
func TestNothingToLearnIsDiagnosed(t *testing.T) {
	same := patients(50, 1)
	for _, r := range same {
		r[0] = "12"
	}
	for name, outcome := range outcomes {
		s := parse(t, outcome, `{kind: neural, hidden: [3]}`, "{rounds: 5}")
		_, err := federate(t, s, divide(t, s, same, 2, apart(2)))
		if d, ok := err.(*compute.Diagnosis); !ok || d.Kind != compute.ConstantTarget {
			t.Errorf("%s: %v, want %s", name, err, compute.ConstantTarget)
		}
		_, err = federate(t, s, divide(t, s, patients(4, 1), 2, apart(2)))
		if d, ok := err.(*compute.Diagnosis); !ok || d.Kind != compute.TooFewPatients {
			t.Errorf("%s: %v, want %s", name, err, compute.TooFewPatients)
		}
	}
}

func FuzzDecode(f *testing.F) {
	s := parse(f, binaryOutcome, `{kind: neural, hidden: [2]}`, "{rounds: 5}")
	n, err := newNetwork(s)
	if err != nil {
		f.Fatal(err)
	}
	w := n.initial(0)
	n.settle(w)
	encoded := n.encode(fitted{someScaling(n), w})
	parameters, err := n.encodeRound(question{round: 2, patients: 9, fitted: fitted{someScaling(n), w}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encoded, parameters)
	f.Fuzz(func(t *testing.T, encoded, parameters []byte) {
		if g, err := n.decode(encoded); err == nil && string(n.encode(g)) != string(encoded) {
			t.Error("a second spelling of a network")
		}
		if q, err := n.readRound(parameters); err == nil {
			again, err := n.encodeRound(q)
			if err != nil || string(again) != string(parameters) {
				t.Error("a second spelling of a question")
			}
		}
	})
}
