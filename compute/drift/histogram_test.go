package drift

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func close(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s: %.12f, want %.12f", what, got, want)
	}
}

// By their definitions: the divergence is the entropy of the mixture less the mean
// entropy (Lin, 1991, equation 4.1).
func TestDistancesOfTextbooks(t *testing.T) {
	p, q := []float64{20, 30, 50}, []float64{30, 30, 40}
	close(t, "PSI", PSI(p, q), 0.1*math.Log(1.5)+0.1*math.Log(1.25))
	ks, bound := KolmogorovSmirnov(p, q)
	close(t, "KS", ks, 0.1)
	close(t, "KS bound", bound, 0.4)
	close(t, "JS of the same", JensenShannon(p, []float64{40, 60, 100}), 0)
	close(t, "JS of nothing in common", JensenShannon([]float64{10, 0}, []float64{0, 30}), 1)
	entropy := func(p float64) float64 { return -p*math.Log2(p) - (1-p)*math.Log2(1-p) }
	close(t, "JS", JensenShannon([]float64{1, 1}, []float64{3, 1}), entropy(0.625)-(entropy(0.5)+entropy(0.75))/2) // 0.048794941
	close(t, "PSI of equal shares", PSI(p, []float64{40, 60, 100}), 0)
	// An empty bin is half a patient: (0.5/10.5 - 0.5) ln ((0.5/10.5)/0.5) + ...
	close(t, "PSI with an empty bin", PSI([]float64{10, 10}, []float64{10, 0}),
		(0.5/10.5-0.5)*math.Log(0.5/10.5/0.5)+(10/10.5-0.5)*math.Log(10/10.5/0.5))
}

// Rule: bins are joined by what the baseline holds, never by where patients have
// gone since.
func TestJoiningLooksAtTheBaselineOnly(t *testing.T) {
	baseline, now := []float64{30, 5, 8, 40, 0, 0}, []float64{0, 0, 0, 0, 50, 33}
	a, b := merge(baseline, now, 11, true, false)
	if !slices.Equal(a, []float64{30, 13, 40}) || !slices.Equal(b, []float64{0, 0, 83}) {
		t.Errorf("ordered bins: %v, %v", a, b)
	}
	if psi := PSI(a, b); psi < 2 {
		t.Errorf("everybody is elsewhere, and the index is %.2f", psi)
	}
	a, b = merge([]float64{30, 5, 40, 7}, []float64{10, 20, 30, 40}, 11, false, false)
	if !slices.Equal(a, []float64{30, 40, 12}) || !slices.Equal(b, []float64{10, 30, 60}) {
		t.Errorf("levels: %v, %v", a, b)
	}
	a, _ = merge([]float64{30, 5, 40}, []float64{0, 0, 0}, 11, false, false)
	if !slices.Equal(a, []float64{35, 40}) {
		t.Errorf("one small level: %v", a)
	}
}

// Rule: without a shift the index passes its noise as rarely as stated, or more
// rarely, also where a window has few patients and far out in the tail.
func TestNoiseOfTheIndex(t *testing.T) {
	const runs = 4000
	for _, c := range []struct {
		n, m         int
		uneven       bool
		alpha, least float64
	}{{600, 400, false, 0.05, 0.03}, {1000, 60, false, 0.05, 0.02}, {1000, 60, false, 0.001, 0}, {200, 60, true, 0.01, 0.001}, {120, 1000, true, 0.05, 0.02}, {5000, 50, true, 0.01, 0}} {
		r := rand.New(rand.NewPCG(7, 7))
		draw := func(n int) []float64 {
			counts := make([]float64, 10)
			for range n {
				x := r.Float64()
				if c.uneven {
					x *= r.Float64()
				}
				counts[int(10*x)]++
			}
			return counts
		}
		passed := 0.0
		for range runs {
			a, b := merge(draw(c.n), draw(c.m), 11, true, false)
			if PSI(a, b) > psiNoise(a, b, c.alpha) {
				passed++
			}
		}
		if got := passed / runs; got > c.alpha+3*math.Sqrt(c.alpha/runs) || got < c.least {
			t.Errorf("%+v: the noise is passed in %.4f of runs", c, got)
		}
	}
}

// Rule: where small counts are protected, no bin of a window has a few patients:
// the distance of two bins, with all its digits, would tell how many.
func TestBinsOfAWindowHaveNobodyOrEnough(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 3))
	joined := 0
	for range 2000 {
		baseline, now := make([]float64, 2+random.IntN(8)), make([]float64, 10)
		now = now[:len(baseline)]
		for i := range baseline {
			baseline[i], now[i] = float64(random.IntN(60)), float64(random.IntN(1<<random.IntN(6)))
		}
		if total(baseline) < 11 || total(now) < 11 {
			continue
		}
		for _, ordered := range []bool{true, false} {
			a, b := merge(baseline, now, 11, ordered, true)
			joined += len(baseline) - len(a)
			if len(a) > 0 && (total(a) != total(baseline) || total(b) != total(now)) {
				t.Fatalf("%v and %v are joined to %v and %v", baseline, now, a, b)
			}
			for i := range a {
				if len(a) > 1 && (a[i] < 11 || b[i] > 0 && b[i] < 11) {
					t.Fatalf("%v and %v are joined to %v and %v", baseline, now, a, b)
				}
			}
		}
	}
	if joined < 1000 {
		t.Errorf("only %d bins are joined", joined)
	}
}
