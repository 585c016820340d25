package fairness

import (
	"math/rand/v2"
	"testing"
)

// Whatever the counts, no step of a group's curve, nor of the patients that are
// in no group that is shown, tells of fewer than the minimum cell; the steps
// cover everyone.
func TestStepsOfCurvesHoldEnough(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	made := 0
	for range 2000 {
		parts := make([]binned, 1+random.IntN(4))
		for i := range parts {
			parts[i] = binned{n: make([]float64, bins), positives: make([]float64, bins), predicted: make([]float64, bins)}
			for b := range bins {
				n := random.IntN(1 << random.IntN(9))
				up := random.IntN(n + 1)
				parts[i].n[b], parts[i].positives[b] = float64(n), float64(up)
			}
		}
		ends := sharedSteps(parts, func(n, up float64) bool { return (up == 0 || up >= 11) && (n == up || n-up >= 11) })
		if ends == nil {
			continue
		}
		made++
		if ends[len(ends)-1] != bins {
			for _, p := range parts {
				for b := ends[len(ends)-1]; b < bins; b++ {
					if p.n[b] > 0 {
						t.Fatalf("patients above the last of %v", ends)
					}
				}
			}
		}
		from := 0
		for _, to := range ends {
			for _, p := range parts {
				up, down := 0.0, 0.0
				for b := from; b < to; b++ {
					up, down = up+p.positives[b], down+p.n[b]-p.positives[b]
				}
				if up > 0 && up < 11 || down > 0 && down < 11 {
					t.Fatalf("%v with the outcome and %v without in bins %d to %d", up, down, from, to)
				}
			}
			from = to
		}
	}
	if made < 200 {
		t.Errorf("only %d curves", made)
	}
}
