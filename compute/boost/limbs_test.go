package boost

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// Cells come out of the sum of the sites' limbs as they add up, whatever a single
// site has that others make up for.
func TestCellsAddUpInLimbs(t *testing.T) {
	random := rand.New(rand.NewPCG(30, 2))
	for _, constant := range []bool{true, false} {
		for range 400 {
			sites, limb := 1+random.IntN(40), 24+random.IntN(mostLimb-23)
			var all []widths
			var want []cell
			for range 1 + random.IntN(60) {
				w := widths{2 + uint(random.IntN(limb-1)), uint(random.IntN(limb)), 1 + uint(random.IntN(24))}
				if constant {
					w.hessian = 0
				}
				x := someCell(random, w, constant)
				if random.IntN(5) == 0 { // none, next to one below zero
					x = cell{}
				}
				all, want = append(all, w), append(want, x)
			}
			length := limbsOf(func(each func(widths, int)) {
				for _, w := range all {
					each(w, 1)
				}
			}, limb)
			sum := make([]float64, length)
			rest := slices.Clone(want)
			for site := range sites {
				out := limbWriter{width: uint(limb)}
				for k := range all {
					x := rest[k]
					if site < sites-1 {
						x = part(rest[k], 2*random.Float64()-0.5, constant)
					}
					rest[k] = rest[k].less(x)
					out.putLot([]cell{x}, all[k])
				}
				limbs := out.finish()
				if len(limbs) != len(sum) {
					t.Fatalf("%d limbs, want %d", len(limbs), len(sum))
				}
				for i, v := range limbs {
					sum[i] += v
				}
			}
			in := limbReader{limbs: sum, width: uint(limb)}
			for k, w := range all {
				got := make([]cell, 1)
				if in.lot(got, w, constant); got[0] != want[k] {
					t.Fatalf("cell %d of %+v bits in limbs of %d from %d sites: %v came out, %v went in", k, w, limb, sites, got[0], want[k])
				}
			}
		}
	}
}

// What is opened is the cells' sums and nothing else: however the same sums are
// spread over sites, the limbs add up to the same.
func TestLimbsTellNothingOfTheirSites(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	all := []widths{{17, 0, 9}, {17, 0, 9}, {12, 8, 7}, {30, 0, 12}, {30, 25, 20}, {9, 0, 3}, {9, 0, 3}}
	for range 200 {
		limb := 30 + random.IntN(mostLimb-29)
		var want []cell
		for _, w := range all {
			want = append(want, someCell(random, w, w.hessian == 0))
		}
		spread := func(sites int) []float64 {
			var sum []float64
			rest := slices.Clone(want)
			for site := range sites {
				out := limbWriter{width: uint(limb)}
				for k, w := range all {
					x := rest[k]
					if site < sites-1 {
						x = part(rest[k], 2*random.Float64()-0.5, w.hessian == 0)
					}
					rest[k] = rest[k].less(x)
					out.putLot([]cell{x}, w)
				}
				limbs := out.finish()
				if sum == nil {
					sum = make([]float64, len(limbs))
				}
				for i, v := range limbs {
					sum[i] += v
				}
			}
			return sum
		}
		if one, more := spread(1), spread(2+random.IntN(20)); !slices.Equal(one, more) {
			t.Fatalf("limbs of %d bits: %v from one site, %v from several", limb, one, more)
		}
	}
}

// Cells of the same widths are counted at once, as they are put one by one.
func TestLimbsAreCounted(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 3))
	for range 300 {
		limb := 20 + random.IntN(mostLimb-19)
		out := limbWriter{width: uint(limb)}
		counted := limbsOf(func(each func(widths, int)) {
			for range 1 + random.IntN(6) {
				w, n := widths{2 + uint(random.IntN(limb-1)), uint(random.IntN(3) * random.IntN(limb/2)), 1 + uint(random.IntN(limb))}, random.IntN(90)
				each(w, n)
				out.putLot(make([]cell, n), w)
			}
		}, limb)
		if got := len(out.finish()); got != counted {
			t.Fatalf("limbs of %d bits: %d are counted, %d written", limb, counted, got)
		}
	}
}

// A slot of the secure sum is as wide as its ring has room for, with the sum of all
// sites in it, and no sum is wider than a limb.
func TestLimbsFillTheirSlots(t *testing.T) {
	for _, sites := range []int{1, 2, 3, 5, 16, 20, 100, 1000} {
		for _, n := range []int{0, 1, 1000, 100_000, 10_000_000} {
			for _, w := range []widths{{9, 0, 5}, {17, 0, 12}, {30, 22, 20}, {50, 0, 30}} {
				cells := func(each func(widths, int)) { each(w, n) }
				limb := limbFor(cells, sites)
				fills := limb == int(w.widest())
				for _, r := range rings {
					for slots := 1; slots <= r.payload; slots++ {
						fills = fills || limb+1+bits.Len(uint(sites)) == r.payload/slots
					}
				}
				if limb < int(w.widest()) || limb > mostLimb || !fills && limb != mostLimb {
					t.Errorf("%d cells of %v among %d sites are in limbs of %d bits", n, w, sites, limb)
				}
			}
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
