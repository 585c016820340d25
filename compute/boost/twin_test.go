package boost

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// twin is the pooled fit: all records in one place, no questions, no
// subtraction; every candidate is summed from the records. It shares the bins,
// the rounding of a record and the loss of a record with the package, and
// nothing of how trees grow.
type twin struct {
	study    *study.Study
	loss     *loss
	bins     bins
	scale    scale // of the next tree
	keys     [][]uint64
	binned   [][]int // by record and term
	train    []bool
	scores   []float64
	records  []*records // by site
	first    []int      // of a site's records
	monotone []int
	grown    int // trees
}

func newTwin(f *Fit, sites []*study.Matrix) *twin {
	w := &twin{study: f.study, loss: f.loss, bins: f.bins, monotone: f.monotone}
	for _, m := range sites {
		r := newRecords(f.study, m)
		w.records, w.first = append(w.records, r), append(w.first, len(w.binned))
		w.keys = append(w.keys, newCodes(r, m, f.bins).keys)
		for k, i := range r.order {
			row := r.references.append(m.Row(i))
			b := make([]int, len(row))
			for j := 1; j < len(row); j++ {
				b[j] = f.bins[j].bin(row[j])
			}
			w.binned, w.train, w.scores = append(w.binned, b), append(w.train, k < r.train), append(w.scores, f.base)
		}
	}
	w.rescale(f.loss.expected(moments{f.counts.patients, f.events, f.counts.mean, f.counts.spread}))
	return w
}

// rescale rounds the next tree by the slopes that were typical of the last.
func (w *twin) rescale(last typical) {
	train, events := 0, 0
	for _, r := range w.records {
		train, events = train+r.train, events+happened(r.events)
	}
	b := w.study.Model.Boost
	w.scale = w.loss.scale(train, events, last, precision(w.bins.asked()*openMost(b.Depth)))
}

// slopes of all records, rounded as a site rounds them.
func (w *twin) slopes() (g, h, v []int64) {
	for k, r := range w.records {
		s := w.loss.slopes(r, w.keys[k], w.scores[w.first[k]:w.first[k]+len(r.order)], w.scale, w.grown)
		g, h, v = append(g, s.gradient...), append(h, s.hessian...), append(v, s.value...)
	}
	return g, h, v
}

type twinNode struct {
	records []int
	lo, hi  float64
}

// grow adds a tree to the scores and returns it.
func (w *twin) grow() tree {
	g, h, _ := w.slopes()
	set := w.study.Model.Boost
	var root []int
	for i, in := range w.train {
		if in {
			root = append(root, i)
		}
	}
	totals := func(records []int) (G, H float64, n int) {
		var sg, sh int64
		for _, i := range records {
			sg += g[i]
			sh += h[i]
		}
		return math.Ldexp(float64(sg), -w.scale.Gradient), math.Ldexp(float64(sh), -w.scale.Hessian), len(records)
	}
	value := func(records []int, n twinNode) float64 {
		G, H, _ := totals(records)
		v := -G / (H + set.Lambda)
		if w.loss.step > 0 {
			v = min(max(v, -w.loss.step), w.loss.step)
		}
		return min(max(v, n.lo), n.hi)
	}
	cost := func(records []int, n twinNode) float64 {
		G, H, _ := totals(records)
		v := value(records, n)
		return 2*G*v + (H+set.Lambda)*v*v
	}
	var out tree
	level := []twinNode{{root, math.Inf(-1), math.Inf(1)}}
	for depth := 0; len(level) > 0; depth++ {
		var next []twinNode
		for _, n := range level {
			bestGain, found := 0.0, false
			var best node
			var bestLeft, bestRight []int
			for j, c := range w.bins {
				last := len(c.edges) - 1
				if c.missing {
					last++
				}
				for bin := 0; bin <= last && depth < set.Depth; bin++ {
					for _, left := range []bool{false, true} {
						var low, high []int
						lacking := 0
						for _, i := range n.records {
							b := w.binned[i][j]
							gone := c.missing && b == len(c.edges)+1
							if gone {
								lacking++
							}
							if gone && left || !gone && b <= bin {
								low = append(low, i)
							} else {
								high = append(high, i)
							}
						}
						if left && (lacking == 0 || bin == len(c.edges)) || len(low) < set.MinLeaf || len(high) < set.MinLeaf {
							continue
						}
						if _, H, _ := totals(low); set.Lambda == 0 && H <= 0 {
							continue
						}
						if _, H, _ := totals(high); set.Lambda == 0 && H <= 0 {
							continue
						}
						a, z := value(low, n), value(high, n)
						if w.monotone[j] > 0 && a > z || w.monotone[j] < 0 && a < z {
							continue
						}
						all, one, two := cost(n.records, n), cost(low, n), cost(high, n)
						gain := all - one - two
						if gain <= 1e-12*(math.Abs(all)+math.Abs(one)+math.Abs(two)) || found && gain <= bestGain {
							continue
						}
						found, bestGain, bestLeft, bestRight = true, gain, low, high
						best = node{column: uint16(j), bin: uint8(bin), left: left}
						if c.missing && lacking == 0 && bin < len(c.edges) {
							best.left = len(low) >= len(high)
						}
					}
				}
			}
			if !found {
				leaf := node{value: float32(value(n.records, n)*set.LearningRate) + 0}
				out = append(out, leaf)
				for i := range w.binned {
					if slices.Contains(n.records, i) {
						w.scores[i] += float64(leaf.value)
					}
				}
				continue
			}
			splits := 0
			for _, x := range out {
				if !x.leaf() {
					splits++
				}
			}
			best.child = int32(2*splits + 1)
			out = append(out, best)
			l, r := twinNode{bestLeft, n.lo, n.hi}, twinNode{bestRight, n.lo, n.hi}
			middle := value(bestLeft, n)/2 + value(bestRight, n)/2
			switch w.monotone[best.column] {
			case 1:
				l.hi, r.lo = middle, middle
			case -1:
				l.lo, r.hi = middle, middle
			}
			next = append(next, l, r)
		}
		level = next
	}
	w.grown++
	squares, curved := 0.0, 0.0
	for _, i := range root {
		squares += float64(g[i]) * float64(g[i])
		curved += float64(h[i])
	}
	n := float64(len(root))
	next := typical{math.Sqrt(math.Ldexp(squares, -2*w.scale.Gradient) / n), math.Ldexp(curved, -w.scale.Hessian) / n}
	defer w.rescale(next)
	// Those held out follow the tree as it is.
	for i, in := range w.train {
		if in {
			continue
		}
		k := 0
		for !out[k].leaf() {
			n := out[k]
			k = int(n.child)
			if !w.bins[n.column].goesLeft(n, w.binned[i][n.column]) {
				k++
			}
		}
		w.scores[i] += float64(out[k].value)
	}
	return out
}

// losses are the mean of those that train and of those held out.
func (w *twin) losses() (train, held float64) {
	_, _, v := w.slopes()
	var sums [2]int64
	var of [2]float64
	for k, r := range w.records {
		for i := range r.order {
			side := 0
			if i >= r.train {
				side = 1
			}
			sums[side] += v[w.first[k]+i]
			if !w.loss.cox() || r.events[i] {
				of[side]++
			}
		}
	}
	return math.Ldexp(float64(sums[0]), -w.scale.Loss) / max(of[0], 1), math.Ldexp(float64(sums[1]), -w.scale.Loss) / max(of[1], 1)
}

// The package's promise: the trees of a federation are those of a pooled fit on
// the same bins, bit for bit.
func TestTreesEqualThePooledFitBitForBit(t *testing.T) {
	settings := []string{
		", trees: 4, depth: 3, bins: 8, min_leaf: 5, learning_rate: 0.3",
		", trees: 4, depth: 4, bins: 16, min_leaf: 7, lambda: 0, monotone: {x0: 1, x1: -1}",
		", trees: 6, depth: 2, bins: 6, min_leaf: 10, early_stopping: {patience: 2, fraction: 0.3}",
		", trees: 3, depth: 5, bins: 32, min_leaf: 5, lambda: 0.5",
	}
	for _, loss := range losses {
		for k, set := range settings {
			for seed := range 3 {
				t.Run(fmt.Sprintf("%s/settings=%d/seed=%d", loss, k, seed), func(t *testing.T) {
					random := rand.New(rand.NewPCG(uint64(seed), uint64(k)))
					s := parse(t, protocol(loss, set, 3, 5))
					records := patients(random, loss, 150+random.IntN(150), 3)
					sites := divide(t, random, s, columns(3), records, 1+random.IntN(20))
					f, _ := federate(t, s, sites)
					w := newTwin(f, sites)
					all := len(f.trees)
					if s.Model.Boost.Patience > 0 && all != f.best {
						t.Fatalf("%d trees kept, %d are best", all, f.best)
					}
					if all == 0 {
						t.Fatal("no tree grew")
					}
					for i, point := range f.curve {
						train, held := w.losses()
						if point.Round != i || point.Loss != train || point.HeldOut != nil && *point.HeldOut != held {
							t.Fatalf("after %d trees the loss is %v, pooled %v and %v", i, point, train, held)
						}
						if i == all {
							break
						}
						if want := w.grow(); !slices.Equal(f.trees[i], want) {
							t.Fatalf("tree %d is\n%v, pooled\n%v", i, f.trees[i], want)
						}
					}
				})
			}
		}
	}
}

// Where the loss does not compare patients with each other, it does not matter
// either which hospital a patient is at.
func TestTreesDoNotDependOnHowPatientsAreDivided(t *testing.T) {
	for _, loss := range losses[:3] {
		random := rand.New(rand.NewPCG(7, 7))
		s := parse(t, protocol(loss, ", trees: 10, depth: 4, bins: 16, min_leaf: 5", 4, 5))
		records := patients(random, loss, 500, 4)
		want, _ := federate(t, s, []*study.Matrix{matrix(t, s, columns(4), records)})
		for sites := 2; sites <= 20; sites += 6 {
			got, _ := federate(t, s, divide(t, random, s, columns(4), records, sites))
			if string(got.encoded) != string(want.encoded) || string(got.edges) != string(want.edges) || got.base != want.base {
				t.Errorf("%s: %d sites grow other trees than one", loss, sites)
			}
		}
	}
}
