package boost

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// weigh has the patients of a study weigh by their gene.
func weigh(t *testing.T, loss, settings string, sites func(*study.Study) []*study.Matrix) (*study.Study, []*study.Matrix) {
	t.Helper()
	return weighed(t, protocol(loss, settings, 3, 5), sites)
}

func weighed(t *testing.T, protocol string, sites func(*study.Study) []*study.Matrix) (*study.Study, []*study.Matrix) {
	t.Helper()
	s := parse(t, protocol+"mitigation: {method: reweigh, attribute: gene, strength: [1], release: none, balance: size}\n")
	var weighted []*study.Matrix
	for _, m := range sites(s) {
		weighted = append(weighted, m.Weighted([][]float64{{0.31}, {1.7}, {6.25}, {1}}))
	}
	return s.Weighted(), weighted
}

// With weights too the trees are those of a pooled fit, bit for bit, and however the
// patients are divided.
func TestWeightedTreesEqualThePooledFitBitForBit(t *testing.T) {
	for _, loss := range losses {
		for k, set := range []string{
			", trees: 4, depth: 3, bins: 8, min_leaf: 5, learning_rate: 0.3",
			", trees: 6, depth: 2, bins: 6, min_leaf: 10, lambda: 0, early_stopping: {patience: 2, fraction: 0.3}",
		} {
			t.Run(fmt.Sprintf("%s/settings=%d", loss, k), func(t *testing.T) {
				random := rand.New(rand.NewPCG(3, uint64(k)))
				records := patients(random, loss, 260, 3)
				s, sites := weigh(t, loss, set, func(s *study.Study) []*study.Matrix { return divide(t, random, s, columns(3), records, 7) })
				f, _ := federate(t, s, sites)
				w := newTwin(f, sites)
				if len(f.trees) == 0 {
					t.Fatal("no tree grew")
				}
				for i := range f.trees {
					if train, _ := w.losses(); f.curve[i].Loss != train {
						t.Fatalf("after %d trees the loss is %v, pooled %v", i, f.curve[i].Loss, train)
					}
					if want := w.grow(); !slices.Equal(f.trees[i], want) {
						t.Fatalf("tree %d is\n%v, pooled\n%v", i, f.trees[i], want)
					}
				}
			})
		}
	}
}

// A leaf is the weighted mean of what the score lacks, and holds as many patients as
// min_leaf says, whatever they weigh.
func TestLeavesAreWeightedMeans(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 1))
	records := patients(random, study.LossSquared, 600, 3)
	s, sites := weigh(t, study.LossSquared, ", trees: 1, depth: 2, bins: 8, min_leaf: 40, learning_rate: 1, lambda: 0",
		func(s *study.Study) []*study.Matrix { return divide(t, random, s, columns(3), records, 4) })
	f, _ := federate(t, s, sites)
	tree := f.trees[0]
	total, weight, count := make([]float64, len(tree)), make([]float64, len(tree)), make([]int, len(tree))
	for _, m := range sites {
		for i := range m.Rows() {
			row, k := referencesOf(s).append(m.Row(i)), 0
			for !tree[k].leaf() {
				n := tree[k]
				k = int(n.child)
				if !f.bins[n.column].goesLeft(n, f.bins[n.column].bin(row[n.column])) {
					k++
				}
			}
			total[k] += m.Weight(i) * (m.Outcome(i) - f.base)
			weight[k] += m.Weight(i)
			count[k]++
		}
	}
	leaves := 0
	for k, n := range tree {
		if !n.leaf() {
			continue
		}
		leaves++
		if want := total[k] / weight[k]; math.Abs(float64(n.value)-want) > 2e-3*(1+math.Abs(want)) || count[k] < 40 {
			t.Errorf("leaf %d of %d patients is %v, want %v", k, count[k], n.value, want)
		}
	}
	if leaves < 3 {
		t.Errorf("%d leaves", leaves)
	}
}

// A hospital reads a question of the weighted fit by other bounds than the same
// words of the plain one, even one after the other.
func TestWeightsWidenTheBoundsOfAQuestion(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 1))
	records := patients(random, study.LossSquared, 300, 3)
	s, sites := weigh(t, study.LossSquared, ", trees: 2, depth: 2, bins: 8, min_leaf: 40", func(s *study.Study) []*study.Matrix { return divide(t, random, s, columns(3), records, 3) })
	f := begin(t, s, sites)
	q, _, err := f.Next()
	for ; err == nil && q.Step != StepTree; q, _, err = f.Next() {
		if err := f.Absorb(ask(t, s, q, sites)); err != nil {
			t.Fatal(err)
		}
	}
	f.scale.Hessian, f.asked = 0, nil // the only one that the plain fit knows
	if q, _, err = f.Next(); err != nil {
		t.Fatal(err)
	}
	plain := *s
	plain.Model.Weights = nil
	for range 2 {
		wide, err := Layout(s, q.Step, q.Parameters)
		if err != nil {
			t.Fatal(err)
		}
		narrow, err := Layout(&plain, q.Step, q.Parameters)
		if err != nil {
			t.Fatal(err)
		}
		if !(wide[0].Bound > 10*narrow[0].Bound) {
			t.Errorf("a loss of up to %v with weights, %v without", wide[0].Bound, narrow[0].Bound)
		}
	}
}
