package boost

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// Cells come out of the sum of the sites' limbs as they add up, wherever a limb
// ends, and whatever a single site has that others make up for.
func TestCellsAddUpAcrossLimbs(t *testing.T) {
	random := rand.New(rand.NewPCG(30, 2))
	for _, constant := range []bool{true, false} {
		for range 400 {
			sites, limb := 1+random.IntN(40), leastLimb+random.IntN(mostLimb-leastLimb+1)
			var all []widths
			var want []cell
			length := 0
			for range 1 + random.IntN(60) {
				w := widths{2 + uint(random.IntN(exactBits)), uint(random.IntN(exactBits)), 1 + uint(random.IntN(24))}
				if constant {
					w.hessian = 0
				}
				x := someCell(random, w, constant)
				if random.IntN(5) == 0 { // none, next to one below zero
					x = cell{}
				}
				all, want, length = append(all, w), append(want, x), length+int(w.bits())
			}
			sum := make([]float64, limbsOf(length, limb))
			rest := slices.Clone(want)
			for site := range sites {
				out := limbWriter{width: uint(limb)}
				for k := range all {
					x := rest[k]
					if site < sites-1 {
						x = part(rest[k], 2*random.Float64()-0.5, constant)
					}
					rest[k] = rest[k].less(x)
					out.putCell(x, all[k])
				}
				limbs := out.finish()
				if len(limbs) != len(sum) {
					t.Fatalf("%d limbs, want %d", len(limbs), len(sum))
				}
				for i, v := range limbs {
					if !(v >= 0 && v < math.Ldexp(1, limb)) {
						t.Fatalf("a limb of %d bits is %v", limb, v)
					}
					sum[i] += v
				}
			}
			in := limbReader{limbs: sum, width: uint(limb)}
			for k, w := range all {
				if got := in.cell(w, constant); got != want[k] {
					t.Fatalf("cell %d of %+v bits in limbs of %d from %d sites: %v came out, %v went in", k, w, limb, sites, got, want[k])
				}
			}
		}
	}
}

// A slot of the secure sum is as wide as its ring has room for, with the sum of all
// sites in it.
func TestLimbsFillTheirSlots(t *testing.T) {
	for _, sites := range []int{1, 2, 3, 5, 16, 20, 100, 1000} {
		for _, length := range []int{0, 1, 1000, 100_000, 1_000_000, 10_000_000, 1_000_000_000} {
			limb := limbFor(length, sites)
			headroom := int(math.Ceil(math.Log2(float64(sites))))
			fills := false
			for _, r := range rings {
				fills = fills || limb+1+headroom == r.slot || limb+2+headroom == r.slot
			}
			if !fills && limb != leastLimb && limb != mostLimb {
				t.Errorf("limbs of %d bits among %d sites fill no slot", limb, sites)
			}
		}
		if small, large := limbFor(1000, sites), limbFor(1_000_000_000, sites); small >= large {
			t.Errorf("among %d sites few cells are in limbs of %d bits, many of %d", sites, small, large)
		}
	}
}

// Where hospitals came of which nobody knows, a histogram that had no room for
// their patients is refused.
func TestAHistogramWithoutRoomIsRefused(t *testing.T) {
	s := parse(t, protocol(study.LossLogistic, ", trees: 1, depth: 2, bins: 4, min_leaf: 5", 2, 5))
	l := newLoss(s)
	q := &treeQuestion{bins: bins{{}, {edges: []float64{0}}}, loss: l, Scale: scale{Gradient: 8, Hessian: 8}, Patients: 100, Nodes: []int{0}, Counts: []int{100}}
	q.grids = []grid{q.everything(100)}
	q.inLimbs(3)
	fits := branch{actual: cell{gradient: 50, hessian: 6000, count: 200}, squares: 200 << 16}
	if !q.holds(0, &fits) {
		t.Error("twice the patients have no room")
	}
	for name, change := range map[string]func(b *branch){
		"count":    func(b *branch) { b.actual.count++ },
		"hessian":  func(b *branch) { b.actual.hessian = 1 << 20 },
		"gradient": func(b *branch) { b.squares = 1 << 32 },
	} {
		b := fits
		change(&b)
		if q.holds(0, &b) {
			t.Errorf("too large a %s is taken to have room", name)
		}
	}
}
