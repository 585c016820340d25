package boost

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// A split can part a category's reference from the other levels, like any level.
func TestTheReferenceOfACategoryCanBeSplit(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 1))
	records := patients(random, study.LossSquared, 400, 1)
	for i, r := range records {
		r[1] = []string{"GG", "AG", "AA", ""}[i%4]
		r[2] = map[string]string{"GG": "10", "": "5"}[r[1]]
		if r[2] == "" {
			r[2] = "0"
		}
	}
	s := parse(t, protocol(study.LossSquared, ", trees: 1, depth: 1, min_leaf: 5, learning_rate: 1, lambda: 0", 1, 5))
	f, _ := federate(t, s, divide(t, random, s, columns(1), records, 4))
	m := f.Model()
	if name := m.Bins[m.Trees[0].Column[0]].Name; name != "gene=GG" {
		t.Errorf("the split is on %s", name)
	}
	if m.Importance[0].Feature != "gene" || m.Importance[0].Splits != 1 {
		t.Errorf("importance %v", m.Importance)
	}
	p := predictor(t, s, m)
	a, b, missing := p.Predict([]float64{1, 0, 0, 0}, 0), p.Predict([]float64{1, 0, 1, 0}, 0), p.Predict([]float64{1, 0, math.NaN(), math.NaN()}, 0)
	if !(a > 6 && b < 3) || missing != a && missing != b {
		t.Errorf("predictions %v of the reference, %v of another level, %v of nobody knows which", a, b, missing)
	}
}

// A reference is no column where its sums, less those of the other levels, would
// tell of few patients.
func TestReferencesDoNotTellOfRareLevels(t *testing.T) {
	raw := bins{{}, {edges: []float64{0.5}, missing: true}, {edges: []float64{0.5}, missing: true}, {edges: []float64{0.5}, missing: true}}
	for _, c := range []struct {
		first, second, reference, missing int
		is                                bool
	}{
		{40, 50, 60, 0, true},
		{40, 0, 60, 0, true},  // nobody has the second
		{40, 3, 60, 0, false}, // three do
		{40, 3, 60, 2, true},  // with two without a value they are five
		{40, 50, 60, 4, false},
		{40, 50, 60, 5, true}, // they have a bin
		{40, 3, 60, 5, false},
		{3, 2, 60, 0, true},
		{40, 50, 4, 0, false}, // it is rare itself
	} {
		n := c.first + c.second + c.reference
		counts := [][]int{nil, {n - c.first, c.first, c.missing}, {n - c.second, c.second, c.missing}, {n - c.reference, c.reference, c.missing}}
		b := raw.merge(counts, 5)
		references{{1, 2}}.protect(b, counts, 5)
		if got := len(b[3].edges) > 0; got != c.is {
			t.Errorf("%+v: is a column: %v", c, got)
		}
	}
}

// A model that was released before there were columns of references predicts what
// it did.
func TestModelsWithoutColumnsOfReferencesAreRead(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 1))
	s := parse(t, protocol(study.LossLogistic, ", trees: 3, depth: 3, min_leaf: 5", 2, 5))
	records := patients(random, study.LossLogistic, 400, 2)
	m := matrix(t, s, columns(2), records)
	f, _ := federate(t, s, []*study.Matrix{m})
	model := f.Model()
	for _, tree := range model.Trees { // as if there were no such split
		for i, j := range tree.Column {
			if j == 4 {
				tree.Column[i] = 3
			}
		}
	}
	model.Bins[4] = Bins{Name: model.Bins[4].Name}
	now := predictor(t, s, model)
	model.Bins = slices.Clone(model.Bins[:4])
	before := predictor(t, s, model)
	for i := range m.Rows() {
		if a, b := now.Predict(m.Row(i), 0), before.Predict(m.Row(i), 0); a != b {
			t.Fatalf("%v and %v", a, b)
		}
	}
	// Questions have one spelling.
	if _, err := Layout(s, StepBins, must(compute.EncodeParameters(binsQuestion{Edges: largestBins(s)[:5].encode()}))); err == nil {
		t.Error("a question without columns of references is read")
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
