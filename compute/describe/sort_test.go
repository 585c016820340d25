package describe

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestNumbersAreSortedByTheirDigits(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 8))
	var room []uint64
	for _, n := range []int{0, 1, 100, 600, 5000} {
		for kind := range 4 {
			x := make([]float64, n)
			for i := range x {
				switch kind {
				case 0:
					x[i] = random.NormFloat64()
				case 1:
					x[i] = float64(random.IntN(7) - 3)
				case 2:
					x[i] = math.Ldexp(random.Float64()-0.5, random.IntN(2000)-1000)
				default:
					x[i] = []float64{math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat64, -math.SmallestNonzeroFloat64}[random.IntN(6)]
				}
			}
			want := slices.Sorted(slices.Values(x))
			sortNumbers(x, &room)
			if !slices.Equal(x, want) {
				t.Errorf("%d numbers of kind %d are not in order", n, kind)
			}
		}
	}
}
