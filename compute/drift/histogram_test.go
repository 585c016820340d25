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

// Rule: without a shift the index passes its noise as rarely as stated.
func TestNoiseOfTheIndex(t *testing.T) {
	const runs, n, m, bins, alpha = 4000, 600, 400, 10, 0.05
	r := rand.New(rand.NewPCG(7, 7))
	draw := func(n int) []float64 {
		counts := make([]float64, bins)
		for range n {
			counts[r.IntN(bins)]++
		}
		return counts
	}
	passed := 0.0
	for range runs {
		if PSI(draw(n), draw(m)) > psiNoise(bins, n, m, alpha) {
			passed++
		}
	}
	if got := passed / runs; math.Abs(got-alpha) > 0.012 {
		t.Errorf("the noise is passed in %.3f of runs, stated %.2f", got, alpha)
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
