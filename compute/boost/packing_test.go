package boost

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Cells that share words come out of a sum as they went in, whatever the sites
// send within their bounds.
func TestPackedCellsAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(30, 1))
	seen := map[int]bool{}
	for _, constant := range []bool{true, false} {
		for range 3000 {
			gradient, hessian, count := 1+uint(random.IntN(exactBits)), uint(random.IntN(exactBits)), 1+uint(random.IntN(24))
			p := pack(constant, gradient, hessian, count, exactBits)
			seen[p.words] = true
			whole := func(bits uint) int64 { // often the largest
				if random.IntN(4) == 0 {
					return 1<<bits - 1
				}
				return random.Int64N(1 << bits)
			}
			all := cell{whole(gradient), whole(hessian), whole(count)}
			if random.IntN(2) == 0 {
				all.gradient = -all.gradient
			}
			share := random.Float64()
			one := cell{int64(float64(all.gradient) * share), int64(float64(all.hessian) * share), int64(float64(all.count) * share)}
			if constant {
				all.hessian, one.hessian = all.count, one.count
			}
			var a, b [3]int64
			p.put(one, a[:])
			p.put(all.less(one), b[:])
			for w, bits := range p.bits[:p.words] {
				if bits > exactBits {
					t.Fatalf("%+v: a word of %d bits", p, bits)
				}
				for _, x := range []int64{a[w], b[w], a[w] + b[w]} {
					if math.Abs(float64(x)) > math.Ldexp(1, int(bits))-1 {
						t.Fatalf("%+v: %d in a word of %d bits", p, x, bits)
					}
				}
				a[w] += b[w]
			}
			if got := p.get(a[:]); got != all {
				t.Fatalf("%+v: %v came out, %v went in", p, got, all)
			}
		}
	}
	if !seen[1] || !seen[2] || !seen[3] {
		t.Errorf("packings into %v words were tried", seen)
	}
}
