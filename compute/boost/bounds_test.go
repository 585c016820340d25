package boost

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// Whatever a model says and a record holds, what it adds to a sum is bounded.
func TestALossStaysWithinItsBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(21, 1))
	for _, kind := range losses[:3] {
		s := parse(t, protocol(kind, "", 1, 5))
		l := newLoss(s)
		hi, lo := 1.0, 0.0
		if s.Outcome.Range != nil {
			lo, hi = s.Outcome.Range.Lo, s.Outcome.Range.Hi
		}
		var g, h, v float64
		for _, score := range []float64{-1e300, -1e3, -30, -20, -1, 0, 1, math.Log(hi), 30, 60, 1e3, 1e300} {
			for _, y := range []float64{lo, hi} {
				a, b, c := l.at(score, y)
				g, h, v = max(g, math.Abs(a)), max(h, b), max(v, c)
				if b < 0 || c < 0 {
					t.Errorf("%s: at the score %v the hessian is %v and the loss %v", kind, score, b, c)
				}
			}
		}
		if !(g <= l.gradient && h <= l.hessian && v <= l.value) {
			t.Errorf("%s: up to %v, %v and %v; the bounds are %v, %v and %v", kind, g, h, v, l.gradient, l.hessian, l.value)
		}
		if g < 0.99*l.gradient || h < 0.99*l.hessian {
			t.Errorf("%s: the bounds %v and %v are wider than %v and %v", kind, l.gradient, l.hessian, g, h)
		}
	}
	// The Cox loss: any set of a site's records, for each event.
	plain := parse(t, protocol(study.LossCox, "", 3, 5)+"mitigation: {method: reweigh, attribute: gene, strength: [1], release: none}\n")
	for try := range 600 {
		l, weight := newLoss(plain), func() float64 { return 1 }
		if try%2 == 1 {
			l, weight = newLoss(plain.Weighted()), func() float64 { return study.MostMitigationWeight * math.Pow(random.Float64(), 4) }
		}
		n := 1 + random.IntN(40)
		times, events, weights := make([]float64, n), make([]bool, n), make([]float64, n)
		scores, g, h, v := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range times {
			times[i], events[i] = float64(random.IntN(10)), random.IntN(3) > 0
			scores[i], weights[i] = random.NormFloat64()*30, weight()
		}
		slices.SortFunc(times, func(a, b float64) int { return cmp.Compare(b, a) })
		l.coxSlopes(times, events, weights, scores, g, h, v)
		up, down, curved, value := 0.0, 0.0, 0.0, 0.0
		for i := range g {
			up, down = up+max(g[i], 0), down+max(-g[i], 0)
			curved, value = curved+h[i], value+v[i]
			if !(h[i] >= 0 && v[i] >= 0) {
				t.Fatalf("hessian %v, loss %v", h[i], v[i])
			}
		}
		e := float64(happened(events))
		if !(up <= e*l.gradient && down <= e*l.gradient && curved <= e*l.hessian && value <= e*l.value) {
			t.Fatalf("of %v events: %v, %v, %v, %v", e, up, down, curved, value)
		}
	}
}

// The rounding is fine enough beside a typical record, and sums stay exact, for
// few patients and for many, rare outcomes and long ranges.
func TestRoundingIsFineAndSumsAreExact(t *testing.T) {
	for _, kind := range losses {
		l := newLoss(parse(t, protocol(kind, "", 1, 5)))
		for _, n := range []int{40, 1000, 100_000, 1 << 24} {
			for _, mean := range []float64{1e-3, 0.1, 0.5} {
				m := moments{patients: n, events: max(int(float64(n)*mean), 1), mean: mean, spread: max(mean, math.Sqrt(mean*(1-mean)))}
				to := l.scale(n, m.events, l.expected(m), manyBits)
				q := &treeQuestion{bins: bins{{}, {edges: []float64{1}}}, loss: l, Scale: to, Patients: n, Nodes: []int{0}, Counts: []int{n}}
				if l.cox() {
					q.Events = m.events
				}
				if err := q.readGrids(); err != nil {
					t.Fatal(err)
				}
				q.inLimbs(20)
				if err := q.checkSums(); err != nil {
					t.Errorf("%s, %d patients, mean %v: %v", kind, n, mean, err)
				}
				typical := m.spread
				if l.cox() {
					typical = float64(m.events) / float64(n)
				}
				if unit := math.Ldexp(1, -to.Gradient); unit > typical/256 {
					t.Errorf("%s, %d patients, mean %v: a gradient is rounded to %v, and %v is typical", kind, n, mean, unit, typical)
				}
			}
		}
	}
}

// Rounding by chance errs in neither direction, and never by a whole unit.
func TestRoundingByChanceIsFair(t *testing.T) {
	for _, x := range []float64{0, 3, -3, 0.001, -0.001, 2.5, -7.25, 1e6 + 0.3} {
		total := 0.0
		const n = 1 << 16
		for i := range uint64(n) {
			w := float64(upOrDown(x, mix(i)>>40))
			if math.Abs(w-x) >= 1 {
				t.Fatalf("%v became %v", x, w)
			}
			total += w - x
		}
		if math.Abs(total/n) > 0.01 {
			t.Errorf("%v is off by %v in the mean", x, total/n)
		}
	}
	for cells, want := range map[int]int{1: manyBits, 1 << 9: manyBits, 1 << 13: 8, 1 << 16: fewBits, 1 << 25: fewBits} {
		if got := precision(cells); got != want {
			t.Errorf("of %d cells %d bits, want %d", cells, got, want)
		}
	}
}
