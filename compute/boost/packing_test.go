package boost

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// Cells that share words come out of a sum as they went in, whatever the sites
// send within their bounds, and no word of a sum leaves the whole numbers of a
// float64.
func TestPackedCellsAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(30, 1))
	seen := map[int]bool{}
	for _, kind := range losses {
		l := newLoss(parse(t, protocol(kind, "", 1, 5)))
		for _, patients := range []int{20, 1000, 100_000, 1 << 24} {
			q := &treeQuestion{loss: l, Scale: l.scale(moments{patients: patients, events: patients/2 + 1, mean: 0.3, spread: 0.4}), Patients: patients}
			if l.cox() {
				q.Events = patients/2 + 1
			}
			for _, node := range []int{20, patients} {
				p := q.packing(node)
				seen[len(p.bounds)] = true
				for range 200 {
					// What the patients of a node can add up to, in two parts.
					gradient := l.bound(l.gradient, q.Scale.Gradient, node, q.Events) * (2*random.Float64() - 1)
					hessian := l.bound(l.hessian, q.Scale.Hessian, node, q.Events) * random.Float64()
					share := random.Float64()
					all := cell{int64(gradient), int64(hessian), int64(random.IntN(node + 1))}
					if random.IntN(4) == 0 {
						all = cell{int64(math.Copysign(l.bound(l.gradient, q.Scale.Gradient, node, q.Events), gradient)),
							int64(l.bound(l.hessian, q.Scale.Hessian, node, q.Events)), int64(node)}
					}
					if l.constant() {
						all.hessian = all.count
					}
					one := cell{int64(float64(all.gradient) * share), int64(float64(all.hessian) * share), int64(float64(all.count) * share)}
					if l.constant() {
						one.hessian = one.count
					}
					var a, b [3]int64
					p.put(one, a[:])
					p.put(all.less(one), b[:])
					for w, bound := range p.bounds {
						if x := math.Abs(float64(a[w])); x > bound || bound > 1<<exactBits {
							t.Fatalf("%s: a word of %v has the bound %v", kind, x, bound)
						}
						a[w] += b[w]
					}
					if got := p.get(a[:]); got != all {
						t.Fatalf("%s, %d patients: %v came out, %v went in", kind, node, got, all)
					}
				}
			}
		}
	}
	if !seen[1] || !seen[2] {
		t.Errorf("packings into %v words were tried", seen)
	}
}

// The squared loss sends one number for a bin of a usual node.
func TestASquaredLossSendsOneNumberForABin(t *testing.T) {
	l := newLoss(parse(t, protocol(study.LossSquared, "", 1, 5)))
	q := &treeQuestion{loss: l, Scale: l.scale(moments{patients: 100_000, mean: 0, spread: 1}), Patients: 100_000}
	if n := len(q.packing(10_000).bounds); n != 1 {
		t.Errorf("%d numbers", n)
	}
}
