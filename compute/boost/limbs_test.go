package boost

import (
	"math"
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
			for range 1 + random.IntN(60) {
				w := widths{2 + uint(random.IntN(limb-1)), uint(random.IntN(limb)), 1 + uint(random.IntN(min(limb-1, 24)))}
				if constant {
					w.hessian = 0
				}
				all = append(all, w)
			}
			want := cellsOf(random, all, constant)
			a := arrangementOf(all, limb)
			in := a.read(spread(t, random, a, all, want, constant, sites, limb))
			for k, w := range all {
				got := make([]cell, 1)
				if in.lot(got, w, constant); got[0] != want[k] {
					t.Fatalf("cell %d of %+v bits in limbs of %d from %d sites: %v came out, %v went in", k, w, limb, sites, got[0], want[k])
				}
			}
		}
	}
}

// cellsOf has some cells of the widths.
func cellsOf(random *rand.Rand, all []widths, constant bool) []cell {
	var out []cell
	for _, w := range all {
		x := someCell(random, w, constant)
		if random.IntN(5) == 0 { // none, next to one below zero
			x = cell{}
		}
		out = append(out, x)
	}
	return out
}

func arrangementOf(all []widths, limb int) arrangement {
	var counted tally
	for _, w := range all {
		counted.add(w, 1)
	}
	return arrange(&counted, uint(limb))
}

// spread divides cells over so many sites, and adds up the limbs of all.
func spread(t *testing.T, random *rand.Rand, a arrangement, all []widths, cells []cell, constant bool, sites, limb int) []float64 {
	t.Helper()
	sum := make([]float64, a.limbs)
	rest := slices.Clone(cells)
	for site := range sites {
		var out classes
		for k, w := range all {
			x := rest[k]
			if site < sites-1 {
				x = part(rest[k], random.Float64(), constant)
				// One site's gradients can make up for another's.
				most := int64(1)<<(w.gradient-1) - 1
				low, high := max(-most, rest[k].gradient-most), min(most, rest[k].gradient+most)
				x.gradient = low + random.Int64N(high-low+1)
			}
			rest[k] = rest[k].less(x)
			out.putLot([]cell{x}, w)
		}
		limbs, ok := a.write(nil, &out)
		if !ok || len(limbs) != len(sum) {
			t.Fatalf("%d limbs for %d, and room for all: %v", len(limbs), len(sum), ok)
		}
		for i, v := range limbs {
			if math.Abs(v) > math.Ldexp(1, limb-1)-1 {
				t.Fatalf("a limb of %d bits is %v", limb, v)
			}
			sum[i] += v
		}
	}
	return sum
}

// putLot puts cells as a site puts those of its words.
func (c *classes) putLot(cells []cell, w widths) {
	put := func(sign int, bits uint, of func(cell) int64) {
		out := c.room(sign, bits, len(cells))
		for i, x := range cells {
			out[i] = of(x)
		}
	}
	put(unsigned, w.count, func(x cell) int64 { return x.count })
	if w.hessian > 0 {
		put(unsigned, w.hessian, func(x cell) int64 { return x.hessian })
	}
	put(signed, w.gradient, func(x cell) int64 { return x.gradient })
}

// What is opened is the cells' sums and nothing else: however the same sums are
// spread over sites, the limbs add up to the same.
func TestLimbsTellNothingOfTheirSites(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	all := []widths{{17, 0, 9}, {17, 0, 9}, {12, 8, 7}, {30, 0, 12}, {30, 25, 20}, {9, 0, 3}, {9, 0, 3}}
	for range 200 {
		limb := 30 + random.IntN(mostLimb-29)
		a, want := arrangementOf(all, limb), cellsOf(random, all, false)
		one := spread(t, random, a, all, want, false, 1, limb)
		if more := spread(t, random, a, all, want, false, 2+random.IntN(20), limb); !slices.Equal(one, more) {
			t.Fatalf("limbs of %d bits: %v from one site, %v from several", limb, one, more)
		}
	}
}

// Every sum has bits of one limb, which no other has.
func TestSumsInALimbLieApart(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 3))
	for range 300 {
		limb := uint(20 + random.IntN(mostLimb-19))
		var want, got tally
		total := 0
		for range 1 + random.IntN(12) {
			w := widths{2 + uint(random.IntN(int(limb)-1)), uint(random.IntN(3) * random.IntN(int(limb)/2)), 1 + uint(random.IntN(int(limb)-1))}
			want.add(w, random.IntN(90))
		}
		a := arrange(&want, limb)
		taken := make([]uint64, a.limbs)
		for _, s := range a.stretches {
			got[s.sign][s.bits] += s.limbs * s.each
			for k := range s.limbs {
				for j := range s.each {
					bits := uint64(1)<<s.bits - 1
					at := s.shift + uint(j)*s.bits
					if taken[s.first+k]&(bits<<at) != 0 || at+s.bits > limb || s.sign == unsigned && at+s.bits == limb {
						t.Fatalf("limbs of %d bits: %+v lies over another sum or beyond", limb, s)
					}
					taken[s.first+k] |= bits << at
					total += int(s.bits)
				}
			}
		}
		if got != want {
			t.Fatalf("limbs of %d bits: not all sums have a place", limb)
		}
		if slices.Contains(taken, 0) {
			t.Errorf("limbs of %d bits: one is empty", limb)
		}
	}
}

// A tree's sums leave little of the limbs empty.
func TestLimbsAreFull(t *testing.T) {
	for _, c := range []struct {
		limb          int
		gradient, sum uint
	}{{37, 13, 7}, {37, 14, 7}, {27, 15, 9}, {37, 19, 11}, {52, 25, 18}} {
		var counted tally
		const cells = 10_000
		counted.add(widths{c.gradient, 0, c.sum}, cells)
		bits := float64(cells * (c.gradient + c.sum))
		if full := bits / float64(c.limb*arrange(&counted, uint(c.limb)).limbs); full < 0.8 {
			t.Errorf("%+v: the limbs are filled to %.2f", c, full)
		}
	}
}

// A sum that is wider than its class is refused: it would change others.
func TestASumWithoutRoomIsNotSent(t *testing.T) {
	all := []widths{{9, 6, 5}, {9, 6, 5}}
	a := arrangementOf(all, 30)
	for name, x := range map[string]cell{
		"largest": {255, 63, 31}, "lowest": {-256, 0, 0},
		"gradient too high": {256, 0, 0}, "gradient too low": {-257, 0, 0}, "hessian": {0, 64, 0}, "count": {0, 0, 32}, "count below zero": {0, 0, -1},
	} {
		var out classes
		out.putLot([]cell{{}}, all[0])
		out.putLot([]cell{x}, all[1])
		if _, ok := a.write(nil, &out); ok != (name == "largest" || name == "lowest") {
			t.Errorf("%s: %v", name, ok)
		}
	}
	var none classes
	none.room(unsigned, 0, 1)[0] = 1
	empty := arrangement{}
	if _, ok := empty.write(nil, &none); ok {
		t.Error("a sum of no bits is one")
	}
}

// A slot of the secure sum is as wide as its ring has room for, with the sum of all
// sites in it, and no sum is wider than a limb.
func TestLimbsFillTheirSlots(t *testing.T) {
	for _, sites := range []int{1, 2, 3, 5, 16, 20, 100, 1000} {
		for _, n := range []int{0, 1, 1000, 100_000, 10_000_000} {
			for _, w := range []widths{{9, 0, 5}, {17, 0, 12}, {30, 22, 20}, {50, 0, 30}} {
				var counted tally
				counted.add(w, n)
				limb := limbFor(&counted, int(w.widest()), sites, 20)
				fills := limb == int(w.widest())
				for _, r := range rings {
					for slots := 1; slots <= r.payload; slots++ {
						fills = fills || limb+bits.Len(uint(sites-1)) == r.payload/slots
					}
				}
				if limb < int(w.widest()) || limb > mostLimb || !fills && limb != mostLimb {
					t.Errorf("%d cells of %v among %d sites are in limbs of %d bits", n, w, sites, limb)
				}
			}
		}
	}
	// Where longer numbers travel beside, the smallest ring has no room for them.
	var counted tally
	counted.add(widths{15, 0, 8}, 5000)
	if narrow, wide := limbFor(&counted, 15, 20, 20), limbFor(&counted, 15, 20, 40); narrow != 27 || wide == 27 {
		t.Errorf("limbs of %d and %d bits", narrow, wide)
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
