package fairness

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Holistic AI: a difference in standard deviations, of shares and of predictions.
func TestHolisticAIsEffects(t *testing.T) {
	near(t, "Cohen's d", *effect(share{3, 4}, share{2, 6}), 0.91097504, 1e-8)
	// Its z-score gap is the same of the mean predictions, but with the variance of
	// n where Cohen's, and ours, is that of n-1.
	a, b := of(0.9, 0.7, 0.3, 0.2), of(0.8, 1, 0.8, 0.2, 0.1, 0.2)
	near(t, "mean gap", a.mean()-b.mean(), 0.1/12, 1e-12)
	near(t, "z-score gap", standardised(a.mean()-b.mean(), 4, a.variance()*3/4, 6, b.variance()*5/6), 0.0250421, 1e-7)
	if d := *effect(a, b); !(math.Abs(d) < 0.0250421) {
		t.Errorf("with n-1 the effect is smaller, not %v", d)
	}
	if effect(share{4, 4}, share{6, 6}) != nil || effect(estimated{1, 1}, estimated{2, 1}) != nil {
		t.Error("an effect where nobody varies, or of a figure that no patient has")
	}
}

func of(values ...float64) (s sample) {
	for _, v := range values {
		s = sample{s.n + 1, s.sum + v, s.squares + v*v}
	}
	return s
}

func histogram(bins int, values ...float64) []float64 {
	out := make([]float64, bins)
	for _, v := range values {
		out[min(int(v*float64(bins)+1e-9), bins-1)]++
	}
	return out
}

// Holistic AI's predictions on a grid of tenths, which bins keep as they are.
func TestHolisticAIsThresholds(t *testing.T) {
	a, b := histogram(10, 0.9, 0.7, 0.3, 0.2), histogram(10, 0.8, 1, 0.8, 0.2, 0.1, 0.2)
	edge, ok := alikeFrom(a, b, 1)
	if !ok || edge != 7 {
		t.Errorf("alike from %d, %v; Holistic AI's level is 0.7", edge, ok)
	}
	gap, _, edge := halfSelectionGap(a, b)
	near(t, "parity at the median", gap, 0, 1e-12)
	if edge <= 3 || edge > 7 {
		t.Errorf("half of the ten are above %d tenths", edge)
	}
	if _, ok := alikeFrom(a, b, 11); ok {
		t.Error("a threshold of fewer patients than the minimum cell")
	}
}

// Scores 2u against u, u from 0 to 1 in a hundred steps: what the bins give is
// within its bound of Holistic AI's, which adds up 150 thresholds.
func TestHolisticAIsParityOfScores(t *testing.T) {
	var u, twice []float64
	for i := range 100 {
		u, twice = append(u, float64(i)/198), append(twice, float64(i)/99)
	}
	for _, bins := range []int{20, 100, 10000} {
		a, b := histogram(bins, twice...), histogram(bins, u...)
		mean, bound := meanSelectionGap(a, b)
		near(t, "SP-AUC", mean, 0.2475333, bound+1./150)
		gap, bound, at := largestSelectionGap(a, b)
		near(t, "max SP", gap, 0.5, bound+1e-12)
		near(t, "where", float64(at)/float64(bins), 0.5, 0.05)
	}
	mean, bound := meanSelectionGap(histogram(10000, twice...), histogram(10000, u...))
	near(t, "SP-AUC", mean, 0.2475333, 0.005)
	near(t, "its bound", bound, 0, 0.011)
	a := histogram(100, u...)
	if mean, _ := meanSelectionGap(a, a); mean > 1e-15 {
		t.Error("a group and itself are apart")
	}
}

// Bounds of bins hold against the scores themselves, at random.
func TestParityFromBinsIsWithinItsBound(t *testing.T) {
	random := newRandom(7)
	for range 200 {
		var x, y []float64
		for range 30 + random.IntN(100) {
			x = append(x, random.Float64()*random.Float64())
		}
		for range 30 + random.IntN(100) {
			y = append(y, random.Float64())
		}
		above := func(list []float64, c float64) (n float64) {
			for _, v := range list {
				n += one(v >= c)
			}
			return n / float64(len(list))
		}
		var largest, mean float64
		for _, list := range [][]float64{x, y} {
			for _, c := range list {
				gap := math.Abs(above(x, c) - above(y, c))
				largest, mean = max(largest, gap), mean+gap/float64(len(x)+len(y))
			}
		}
		a, b := histogram(20, x...), histogram(20, y...)
		got, bound, _ := largestSelectionGap(a, b)
		if got > largest+1e-12 || largest > got+bound+1e-12 {
			t.Errorf("largest %v, from bins %v within %v", largest, got, bound)
		}
		if got, bound := meanSelectionGap(a, b); math.Abs(got-mean) > bound+1e-12 {
			t.Errorf("mean %v, from bins %v within %v", mean, got, bound)
		}
	}
}

// A single gap in the report does not give a count away: whatever the count of the
// one group is, those of the other that agree with what is shown are at least the
// minimum cell apart.
func TestParityIsRoundedToTheMinimumCell(t *testing.T) {
	c := &chance{replicates: 50, source: newSource(1)}
	random := newRandom(3)
	for range 50 {
		var x, y []float64
		for range 40 + random.IntN(60) {
			x = append(x, random.Float64())
		}
		for range 40 + random.IntN(300) {
			y = append(y, random.Float64())
		}
		p := c.parity(histogram(100, x...), histogram(100, y...), 11)
		grid := 11 / float64(min(len(x), len(y)))
		for name, m := range map[string]Metric{"largest": p.Largest, "half": p.Half} {
			if k := m.Estimate / grid; math.Abs(k-math.Round(k)) > 1e-9 || *m.Bound < grid/2 || m.Lower != nil {
				t.Errorf("%s is %v within %v, not on the grid of %v", name, m.Estimate, *m.Bound, grid)
			}
		}
		if p.Mean.Lower == nil || p.Mean.Bound == nil {
			t.Error("the mean has no interval or no bound")
		}
	}
}

func newSource(seed uint64) *rand.PCG { return rand.NewPCG(seed, seed) }

func newRandom(seed uint64) *rand.Rand { return rand.New(newSource(seed)) }
