package neural

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// fairly makes a study of the made-up patients whose network is trained by
// FairFed: the gap is that of u to v and w.
func fairly(t testing.TB, outcome, equalize string, beta float64, rounds int, others ...int) *study.Study {
	t.Helper()
	s, err := study.Parse(fmt.Appendf(nil, `
study: fairly
version: 1
outcome: %s
features:
  - {column: a, type: number, range: [-10, 10]}
  - {column: b, type: number, range: [0, 1000]}
model: {kind: neural, hidden: [4], epochs: 2, batch: 16, optimizer: {name: sgd, rate: 0.1}}
fairness: {attributes: [{column: c, levels: [u, v, w]}], minimum_cell: 5}
mitigation: {method: fairfed, attribute: c, strength: [1], release: 1, beta: %g, equalize: %s}
schedule: {rounds: %d, tolerance: 1e-12}
`, outcome, beta, equalize, rounds))
	if err != nil {
		t.Fatal(err)
	}
	return s.WeighedByGap(&study.GapWeights{Beta: beta, Reference: 0, Others: others})
}

// unequal makes hospitals of several sizes. The second has patients of one group
// only and the third none with the outcome, so that neither has a gap; the last has
// no patients.
func unequal(t testing.TB, s *study.Study) []*study.Matrix {
	records := patients(400, 21)
	return divide(t, s, records, 6, func(i int) int {
		outcome, _ := strconv.Atoi(records[i][0])
		switch {
		case i%7 == 0 && records[i][3] == "v":
			return 1
		case i%5 == 0 && outcome < 10:
			return 2
		case i%3 == 0:
			return 3
		}
		return []int{0, 0, 4}[i%3]
	})
}

// paper is FairFed of the paper, by one who sees all hospitals.
type paper struct {
	beta    float64
	cut     float64
	tpr     bool
	weights []float64 // by hospital, of the round before
}

// round takes the hospitals' predictions and what the patients have, and returns F,
// A and the distances, having changed the weights.
func (p *paper) round(hospitals [][]patient) (f, a float64, distances []float64) {
	gap := func(of []patient) (f, a float64, ok bool) {
		var n, k [2]float64
		right := 0.0
		for _, x := range of {
			called := x.probability >= p.cut
			if called == x.has {
				right++
			}
			if p.tpr && !x.has {
				continue
			}
			side := 1
			if x.reference {
				side = 0
			}
			n[side]++
			if called {
				k[side]++
			}
		}
		return k[0]/n[0] - k[1]/n[1], right / float64(len(of)), n[0] > 0 && n[1] > 0
	}
	f, a, _ = gap(slices.Concat(hospitals...))
	mean := 0.0
	for _, of := range hospitals {
		own, accuracy, ok := gap(of)
		d := math.Abs(f - own)
		if !ok {
			d = math.Abs(a - accuracy)
		}
		distances = append(distances, d)
		mean += d / float64(len(hospitals))
	}
	for k := range p.weights {
		p.weights[k] -= p.beta * (distances[k] - mean)
	}
	return f, a, distances
}

type patient struct {
	probability    float64
	has, reference bool
}

// The sums of every round are those of the paper's algorithm, run beside it by one
// who sees everything.
func TestFairFedIsTheAlgorithmOfThePaper(t *testing.T) {
	for _, equalize := range []string{"tpr", "selection_rate"} {
		s := fairly(t, binaryOutcome, equalize, 0.04, 8, 1, 2)
		sites := unequal(t, s)
		plain := *s
		network := *s.Model.Neural
		network.GapWeights = nil
		plain.Model.Neural = &network
		all := 0.0
		for _, m := range sites {
			all += float64(m.Rows())
		}
		reference := &paper{beta: 0.04, cut: 0.5, tpr: equalize == "tpr"}
		for _, m := range sites[:5] {
			reference.weights = append(reference.weights, float64(m.Rows())/all)
		}
		f, err := New(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		next := func(step string) (compute.Question, compute.Sum) {
			q, _, err := f.Next()
			if err != nil || q.Step != step {
				t.Fatalf("%s instead of %s: %v", q.Step, step, err)
			}
			sum := ask(t, s, q, sites)
			if err := f.Absorb(sum); err != nil {
				t.Fatal(err)
			}
			return q, sum
		}
		near := func(what string, round int, got, want float64) {
			if !(math.Abs(got-want) <= 1e-9) {
				t.Errorf("%s, round %d: %s is %.15g, want %.15g", equalize, round, what, got, want)
			}
		}
		next(StepMoments)
		substituted := false
		for round := range 8 {
			start := slices.Clone(f.fitted.weights)
			predictor := &predictor{f.network, f.fitted}
			var hospitals [][]patient
			for _, m := range sites[:5] {
				var of []patient
				for i := range m.Rows() {
					of = append(of, patient{predictor.Predict(m.Row(i), 0), m.Outcome(i) == 1, m.Group(i, 0) == 0})
				}
				hospitals = append(hospitals, of)
			}
			gap, accuracy, distances := reference.round(hospitals)
			next(StepRates)
			next(StepGap)
			mean := 0.0
			for _, d := range distances {
				mean += d / 5
			}
			now := f.wholes[round]
			near("the gap", round, now.Gap, gap)
			near("the accuracy", round, now.Accuracy, accuracy)
			near("the mean distance", round, now.Mean, mean)
			substituted = substituted || distances[1] > 0

			q, sum := next(StepRound)
			asked, err := f.network.readRound(q.Parameters)
			if err != nil {
				t.Fatal(err)
			}
			asked.past, asked.wholes = nil, nil
			np, err := newNetwork(&plain)
			if err != nil {
				t.Fatal(err)
			}
			unweighted, err := np.encodeRound(asked)
			if err != nil {
				t.Fatal(err)
			}
			total, change := 0.0, make([]float64, len(start))
			for k, m := range sites[:5] {
				answer, err := Answer(&plain, StepRound, unweighted, m)
				if err != nil {
					t.Fatal(err)
				}
				total += reference.weights[k]
				for i, d := range answer[4:] {
					change[i] += reference.weights[k] * d / (float64(m.Rows()) / all)
				}
			}
			near("the sum of the weights", round, sum.Field("weight")[0], total)
			for i := range start {
				near(fmt.Sprintf("change %d", i), round, sum.Field("change")[i], change[i])
				if w := float64(float32(start[i] + change[i]/total)); math.Abs(f.fitted.weights[i]-w) > 1e-6 {
					t.Errorf("round %d: weight %d is %v, want %v", round, i, f.fitted.weights[i], w)
				}
			}
		}
		if !substituted || slices.Min(reference.weights) < 0.01 {
			t.Errorf("%s: the weights end at %v: a case that proves little", equalize, reference.weights)
		}
	}
}

// A hospital that has forgotten everything answers as one that remembers.
func TestFairFedNeedsNoMemory(t *testing.T) {
	s := fairly(t, binaryOutcome, "tpr", 0.3, 5, 1, 2)
	f, err := New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	sites := unequal(t, s)
	for {
		q, done, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return
		}
		sum, again := ask(t, s, q, sites), ask(t, s, q, unequal(t, s))
		for _, field := range q.Layout {
			if !slices.Equal(sum.Field(field.Name), again.Field(field.Name)) {
				t.Errorf("%s: %s is another after a restart", q.Step, field.Name)
			}
		}
		if err := f.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
}

// However large beta is, a hospital keeps a tenth of its share and has no more than
// the largest share, or its own.
func TestFairFedKeepsEveryHospitalAndNoneAlone(t *testing.T) {
	s := fairly(t, binaryOutcome, "tpr", 100, 5, 1, 2)
	sites := unequal(t, s)
	n, err := newNetwork(s)
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, m := range sites {
		all += m.Rows()
	}
	f, err := federate(t, s, sites)
	if err != nil {
		t.Fatal(err)
	}
	least, most := false, false
	for rounds := range 5 {
		q := question{round: rounds, patients: all, fitted: f.fitted, past: f.past[:rounds], wholes: f.wholes[:rounds+1]}
		q.fitted.weights = f.past[rounds]
		for k, m := range sites[:5] {
			w, share := n.hospitalWeight(q, m), float64(m.Rows())/float64(all)
			if !(w >= 0.1*share && w <= 0.85) {
				t.Errorf("round %d: hospital %d weighs %v, its share is %v", rounds, k, w, share)
			}
			least, most = least || w == 0.1*share, most || w == 0.85
		}
		if w := n.hospitalWeight(q, sites[5]); w != 0 {
			t.Errorf("a hospital without patients weighs %v", w)
		}
	}
	if !least || !most {
		t.Error("no hospital came to a bound")
	}
}

// Two kinds of hospitals: four where the outcome follows a, and one where it
// follows the group, which b gives away there. That one has the network call its
// groups apart, a gap that the others do not have: FairFed hears less of it.
func TestFairFedNarrowsAPlantedGap(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	var records [][]string
	var at []int
	for i := range 1500 {
		a, u := random.NormFloat64(), random.IntN(2)
		hospital := i % 5
		score, apart := 1.5*a, 0.0
		if hospital == 4 {
			score, apart = 4*(float64(u)-0.5), 100*(float64(u)-0.5)
		}
		y := 0
		if random.Float64() < 1/(1+math.Exp(-score)) {
			y = 20
		}
		records = append(records, []string{strconv.Itoa(y), strconv.FormatFloat(a, 'g', -1, 64), strconv.FormatFloat(500+apart+20*random.NormFloat64(), 'g', -1, 64), "uv"[u : u+1]})
		at = append(at, hospital)
	}
	gapAt := func(beta float64) (gap, loss float64) {
		s := fairly(t, binaryOutcome, "selection_rate", max(beta, 0.001), 40, 1)
		if beta == 0 {
			s = fairly(t, binaryOutcome, "selection_rate", 1, 40, 1)
			s.Model.Neural.GapWeights = nil
		}
		sites := divide(t, s, records, 6, func(i int) int { return at[i] })
		f, err := federate(t, s, sites)
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNetwork(fairly(t, binaryOutcome, "selection_rate", 1, 40, 1))
		if err != nil {
			t.Fatal(err)
		}
		var r rates
		for _, m := range sites {
			x := n.count(f.fitted, m)
			for side := range r.of {
				r.of[side], r.positive[side] = r.of[side]+x.of[side], r.positive[side]+x.positive[side]
			}
		}
		gap, _ = r.gap()
		return math.Abs(gap), f.model.Loss
	}
	none, loss := gapAt(0)
	small, _ := gapAt(0.02)
	large, cost := gapAt(0.5)
	t.Logf("gap of the share called positive %.3f, %.3f, %.3f; loss %.4f, %.4f", none, small, large, loss, cost)
	if !(none > 0.05 && small < 0.7*none && large < 0.2*none) {
		t.Errorf("the gap goes from %v over %v to %v", none, small, large)
	}
}

// The loss stands for a rate where nobody is called positive.
func TestFairFedByLoss(t *testing.T) {
	for outcome, equalize := range map[string]string{numberOutcome: "loss", countOutcome: "loss", binaryOutcome: "loss"} {
		s := fairly(t, outcome, equalize, 0.1, 6, 1, 2)
		f, err := federate(t, s, unequal(t, s))
		if err != nil {
			t.Fatal(err)
		}
		if f.Model() == nil || len(f.wholes) != 6 || f.wholes[5].Mean == 0 || f.wholes[5].Gap == 0 {
			t.Errorf("%s: %+v", outcome, f.wholes)
		}
	}
}

func TestASiteRefusesQuestionsOfFairFedThatAreNone(t *testing.T) {
	s := fairly(t, binaryOutcome, "tpr", 0.3, 5, 1, 2)
	f, err := New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	sites := unequal(t, s)
	good := map[string]string{}
	for f.round < 2 {
		q, _, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		good[q.Step] = string(q.Parameters)
		if err := f.Absorb(ask(t, s, q, sites)); err != nil {
			t.Fatal(err)
		}
	}
	mean := strings.LastIndex(good[StepRound], `"mean":`)
	for _, c := range []struct{ step, parameters, fault string }{
		{StepRound, strings.Replace(good[StepRound], `"round":1`, `"round":2`, 1), "rounds before"},
		{StepRound, good[StepRound][:mean] + `"mean":2.5}]}`, "beyond its bounds"},
		{StepRound, good[StepRound][:mean] + `"mean":-0.1}]}`, "beyond its bounds"},
		{StepGap, strings.Replace(good[StepGap], `"mean":0`, `"mean":0.5`, 1), "what the step asks for"},
		{StepGap, good[StepGap][:strings.LastIndex(good[StepGap], `"gap":`)] + `"gap":-7,"accuracy":0.5,"mean":0}}`, "beyond its bounds"},
	} {
		if c.parameters == good[c.step] {
			t.Fatalf("%s: nothing was changed", c.step)
		}
		if _, err := Layout(s, c.step, []byte(c.parameters)); err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %q", c.step, err, c.fault)
		}
	}
	plain := *s
	network := *s.Model.Neural
	network.GapWeights = nil
	plain.Model.Neural = &network
	for step, parameters := range good {
		if step == StepMoments {
			continue
		}
		if _, err := Answer(&plain, step, []byte(parameters), sites[0]); err == nil {
			t.Errorf("%s is not of a study without fairfed", step)
		}
	}
	for _, w := range []study.GapWeights{{Beta: 0.2, Others: []int{1}}, {Beta: 0.3}, {Beta: 0.3, Others: []int{0}}, {Beta: 0.3, Others: []int{2, 1}}, {Beta: 0.3, Reference: 3, Others: []int{1}}, {Beta: 0.3, Others: []int{3}}} {
		if err := s.CheckGapWeights(&w); err == nil {
			t.Errorf("%+v is not of the study", w)
		}
	}
}

// Gaps may point opposite ways: the distance between them is not cut.
func TestTheDistanceOfOppositeGapsIsNotCut(t *testing.T) {
	s := fairly(t, binaryOutcome, "tpr", 1, 5, 1, 2)
	n, err := newNetwork(s)
	if err != nil {
		t.Fatal(err)
	}
	site := rates{of: [2]float64{3, 4}, positive: [2]float64{0, 4}, patients: 9, good: 5}
	if d := n.distance(whole{Gap: 1}, site); d != 2 || d > n.gapLayout()[1].Bound {
		t.Errorf("a distance of %v, up to %v is carried", d, n.gapLayout()[1].Bound)
	}
}

func FuzzFairFed(f *testing.F) {
	var studies []*study.Study
	for _, equalize := range []string{"selection_rate", "loss"} {
		s := fairly(f, binaryOutcome, equalize, 0.3, 4, 1, 2)
		studies = append(studies, s)
		sites := unequal(f, s)
		fit, err := New(s, nil)
		if err != nil {
			f.Fatal(err)
		}
		for fit.round < 2 {
			q, _, err := fit.Next()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(q.Step, q.Parameters)
			if err := fit.Absorb(ask(f, s, q, sites)); err != nil {
				f.Fatal(err)
			}
		}
	}
	sites := unequal(f, studies[0])
	f.Fuzz(func(t *testing.T, step string, parameters []byte) {
		for _, s := range studies {
			layout, err := Layout(s, step, parameters)
			if err != nil {
				continue
			}
			for _, m := range sites[1:] {
				values, err := Answer(s, step, parameters, m)
				if err != nil {
					continue // more patients than the question counts
				}
				checkBounds(t, layout, values)
			}
		}
	})
}
