package boost

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
)

// withBaseline is a study of the Cox loss with a baseline on this grid.
func withBaseline(t testing.TB, grid, settings string, cell int) *study.Study {
	t.Helper()
	text := protocol(study.LossCox, ", baseline: breslow, trees: 6, depth: 3, bins: 12, min_leaf: 8"+settings, 3, cell)
	return parse(t, strings.Replace(text, "range: [0, 1000],", "range: [0, 1000], grid: {step: "+grid+"},", 1))
}

// pooledBaseline is Breslow's estimate of all patients at once, written as its
// definition, of times as they are placed.
func pooledBaseline(s *study.Study, p compute.Predictor, sites []*study.Matrix, place func(time float64, event bool) (int, bool), ends int) []float64 {
	out := make([]float64, ends)
	cumulative := 0.0
	for end := range out {
		events, risk := 0.0, 0.0
		for _, m := range sites {
			for i := range m.Rows() {
				in, died := place(m.Outcome(i), m.Event(i))
				if died && in == end {
					events += m.Weight(i)
				}
				if in >= end {
					risk += m.Weight(i) * math.Exp(p.Predict(m.Row(i), 0))
				}
			}
		}
		if events > 0 {
			cumulative += events / risk
		}
		out[end] = cumulative
	}
	return out
}

func TestTheBaselineIsThatOfAllPatientsPooled(t *testing.T) {
	for name, c := range map[string]struct {
		grid, settings string
		cell           int
	}{
		"as fine as the times": {"1", "", 1},
		"coarse":               {"25", "", 1},
		"merged":               {"5", "", 8},
		"stopped early":        {"5", ", early_stopping: {patience: 1, fraction: 0.3}", 8},
		"weighted":             {"5", "", 8},
	} {
		random := rand.New(rand.NewPCG(21, 4))
		s := withBaseline(t, c.grid, c.settings, c.cell)
		var sites []*study.Matrix
		if records := patients(random, study.LossCox, 500, 3); name == "weighted" {
			s, sites = weighed(t, string(s.Source()), func(s *study.Study) []*study.Matrix { return divide(t, random, s, columns(3), records, 4) })
		} else {
			sites = divide(t, random, s, columns(3), records, 4)
		}
		f, _ := federate(t, s, sites)
		m := f.Model()
		want := pooledBaseline(s, predictor(t, s, m), sites, func(time float64, event bool) (int, bool) {
			return f.runs.Place(s.Outcome.Grid, time, event)
		}, len(f.runs.Intervals))
		if len(m.Trees) == 0 || len(m.Baseline) != len(want) || !(want[len(want)-1] > 0.5) {
			t.Fatalf("%s: %d trees, a baseline of %d times: this proves nothing", name, len(m.Trees), len(want))
		}
		for k, p := range m.Baseline {
			if math.Abs(p.Hazard-want[k]) > 1e-9*want[k] || p.Survival != math.Exp(-p.Hazard) {
				t.Errorf("%s: at %v the hazard is %v, pooled %v", name, p.Time, p.Hazard, want[k])
			}
		}
		if c.grid != "1" {
			continue
		}
		// With such a grid it is Breslow's estimate of the exact times.
		exact := pooledBaseline(s, predictor(t, s, m), sites, func(time float64, event bool) (int, bool) { return int(time) - 1, event }, 1000)
		for _, p := range m.Baseline {
			if h := exact[int(p.Time)-1]; math.Abs(p.Hazard-h) > 1e-9*h {
				t.Errorf("at %v the hazard is %v, of the exact times %v", p.Time, p.Hazard, h)
			}
		}
	}
}

// No two risk sets of the last question differ by fewer than the minimum cell.
func TestTheBaselineToldApartHasTheMinimumCell(t *testing.T) {
	random := rand.New(rand.NewPCG(22, 4))
	s := withBaseline(t, "1", "", 8)
	sites := divide(t, random, s, columns(3), patients(random, study.LossCox, 600, 3), 3)
	f, questions := federate(t, s, sites)
	q := questions[len(questions)-1]
	if questions[0].Step != StepGrid || q.Step != StepBaseline {
		t.Fatalf("the first question is %s, the last %s", questions[0].Step, q.Step)
	}
	sum := ask(t, s, q, sites)
	gone := make([]int, len(f.runs.Intervals))
	for _, m := range sites {
		for i := range m.Rows() {
			if in, died := f.runs.Place(s.Outcome.Grid, m.Outcome(i), m.Event(i)); !died {
				gone[in]++
			}
		}
	}
	for k, d := range sum.Field("events") {
		if d > 0 && d < 8 || gone[k] > 0 && gone[k] < 8 {
			t.Errorf("run %d has %v events and %d censored", k, d, gone[k])
		}
	}
	if k := len(gone); k < 5 || k > 75 {
		t.Errorf("%d runs of 600 patients: this proves nothing", k)
	}
}

func TestTooFewEventsForABaselineAreKnownFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(23, 4))
	s := withBaseline(t, "5", "", 8)
	records := patients(random, study.LossCox, 200, 3)
	for i := range records {
		records[i][len(records[i])-1] = "0"
		if i < 7 {
			records[i][len(records[i])-1] = "1"
		}
	}
	sites := divide(t, random, s, columns(3), records, 2)
	f := begin(t, s, sites)
	q, _, err := f.Next()
	if err != nil {
		t.Fatal(err)
	}
	var d *compute.Diagnosis
	if err := f.Absorb(ask(t, s, q, sites)); !errors.As(err, &d) || d.Kind != compute.TooFewPatients {
		t.Errorf("seven events under a minimum cell of eight: %v", err)
	}
}

func TestOnlyABaselineMakesASurvivor(t *testing.T) {
	random := rand.New(rand.NewPCG(24, 4))
	records := patients(random, study.LossCox, 400, 3)
	s := withBaseline(t, "20", "", 5)
	f, _ := federate(t, s, divide(t, random, s, columns(3), records, 3))
	m := f.Model()
	p, ok := predictor(t, s, m).(compute.Survivor)
	if !ok {
		t.Fatal("trees with a baseline have no survival")
	}
	for _, b := range m.Baseline {
		if got, want := p.Survival(0.7, b.Time), math.Exp(-b.Hazard*math.Exp(0.7)); math.Abs(got-want) > 1e-12 {
			t.Errorf("at %v survival is %v, not %v", b.Time, got, want)
		}
	}

	without := parse(t, protocol(study.LossCox, ", trees: 6, depth: 3, bins: 12, min_leaf: 8", 3, 5))
	g, questions := federate(t, without, divide(t, random, without, columns(3), records, 3))
	for _, q := range questions {
		if q.Step == StepGrid || q.Step == StepBaseline {
			t.Errorf("a study without a baseline asks %s", q.Step)
		}
	}
	for _, step := range Steps(without) {
		if step.Step == StepGrid || step.Step == StepBaseline {
			t.Errorf("a study without a baseline announces %s", step.Step)
		}
	}
	plain, err := g.Model().Encode()
	if err != nil || bytes.Contains(plain, []byte("times")) || bytes.Contains(plain, []byte("hazards")) {
		t.Errorf("a model without a baseline is written with one: %v", err)
	}
	if _, ok := predictor(t, without, g.Model()).(compute.Survivor); ok {
		t.Error("trees without a baseline have a survival")
	}
	encoded, _ := m.Encode()
	if _, err := Decode(without, encoded); err == nil {
		t.Error("a baseline that the study does not ask for is accepted")
	}
	if _, err := Decode(s, plain); err == nil {
		t.Error("a model without the baseline that the study asks for is accepted")
	}
}

func TestQuestionsAboutTheBaselineAreChecked(t *testing.T) {
	random := rand.New(rand.NewPCG(25, 4))
	s := withBaseline(t, "20", "", 5)
	f, questions := federate(t, s, divide(t, random, s, columns(3), patients(random, study.LossCox, 400, 3), 3))
	good := questions[len(questions)-1]
	if _, err := Layout(s, StepBaseline, good.Parameters); err != nil {
		t.Fatal(err)
	}
	last := len(s.Outcome.Grid) - 1
	for name, runs := range map[string]hazard.Runs{
		"none":               {},
		"not to the end":     {Intervals: []int{1, last - 1}, Leave: []int{1}},
		"not ascending":      {Intervals: []int{3, 3, last}, Leave: []int{2}},
		"nobody leaves":      {Intervals: []int{1, last}},
		"leaving after all":  {Intervals: []int{1, last}, Leave: []int{2}},
		"beyond the grid":    {Intervals: []int{1, last + 1}, Leave: []int{1}},
		"before the first":   {Intervals: []int{-1, last}, Leave: []int{1}},
		"leaving before all": {Intervals: []int{1, last}, Leave: []int{-1, 1}},
	} {
		q := f.lastQuestion()
		q.Runs = runs
		parameters, err := compute.EncodeParameters(q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Layout(s, StepBaseline, parameters); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	without := parse(t, protocol(study.LossCox, ", trees: 6, depth: 3, bins: 12, min_leaf: 8", 3, 5))
	for _, q := range []compute.Question{good, questions[0]} {
		if _, err := Layout(without, q.Step, q.Parameters); err == nil {
			t.Errorf("a study without a baseline answers %s", q.Step)
		}
	}
	if _, err := Layout(s, StepGrid, []byte("{}")); err == nil {
		t.Error("the grid has parameters")
	}
}
