package boost

import (
	"math/rand/v2"
	"testing"
)

// Cells that a site adds up in few words come out as they went in.
func TestPackedCellsAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(30, 1))
	seen := map[int]bool{}
	for _, constant := range []bool{true, false} {
		for range 3000 {
			gradient, hessian, count := 1+uint(random.IntN(exactBits)), uint(random.IntN(exactBits)), 1+uint(random.IntN(24))
			p := pack(constant, gradient, hessian, count, 63)
			seen[p.words] = true
			all := someCell(random, widths{gradient + 1, hessian, count}, constant)
			one := part(all, random.Float64(), constant)
			var a, b [3]int64
			p.put(one, a[:])
			p.put(all.less(one), b[:])
			for w := range p.words {
				a[w] += b[w]
			}
			var got [3][1]int64
			words := [3][]int64{a[:1], a[1:2], a[2:]}
			p.counts(words, got[0][:])
			got[1] = got[0]
			if !constant {
				p.hessians(words, got[1][:])
			}
			p.gradients(words, got[2][:])
			if out := (cell{got[2][0], got[1][0], got[0][0]}); out != all {
				t.Fatalf("%+v: %v came out, %v went in", p, out, all)
			}
		}
	}
	if !seen[1] || !seen[2] || !seen[3] {
		t.Errorf("packings into %v words were tried", seen)
	}
}

// someCell is often the largest or the lowest of its widths.
func someCell(random *rand.Rand, w widths, constant bool) cell {
	whole := func(bits uint) int64 {
		if random.IntN(4) == 0 {
			return 1<<bits - 1
		}
		return random.Int64N(1 << bits)
	}
	x := cell{whole(w.gradient - 1), whole(w.hessian), whole(w.count)}
	if random.IntN(2) == 0 {
		x.gradient = -x.gradient
	}
	if constant {
		x.hessian = x.count
	}
	return x
}

func part(x cell, share float64, constant bool) cell {
	out := cell{int64(float64(x.gradient) * share), int64(float64(x.hessian) * share), int64(float64(x.count) * share)}
	if constant {
		out.hessian = out.count
	}
	return out
}
