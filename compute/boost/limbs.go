package boost

import (
	"errors"
	"math/bits"
)

// The sums of a level's cells lie side by side in limbs, the numbers that the
// secure sum adds up: as many of them in a limb as fit, each with as many bits as
// hold it over all sites, gradients with their sign. A slot of the secure sum has
// room for a sign and for as many contributions as there are sites, and a limb with
// several sums costs that once.
//
// No sum is cut in two. The lower part of a number adds up to more than the sum's
// lower part: how often the sites carry would be seen, and with it something of
// how a cell's patients are spread over hospitals. So a limb's sum says what the
// sums in it say, and nothing else.

// widths are the bits of a cell's sums, over all sites; none of a hessian that is
// always one.
type widths struct{ gradient, hessian, count uint }

// widest of the sums.
func (w widths) widest() uint { return max(w.gradient, w.hessian, w.count) }

// rings are the bits that a coefficient of the secure sum has for slots, those of
// its ciphertext, and how many coefficients there are. What is said of the secure
// sum here saves bytes, and nothing else rests on it.
var rings = [...]struct{ payload, bits, degree int }{{32, 53, 2048}, {84, 106, 4096}, {188, 212, 8192}}

const (
	leastLimb   = 8
	mostLimb    = exactBits
	mostMembers = 20 // of a committee
)

// narrowest is the width that holds the widest sum.
func narrowest(cells func(each func(w widths, n int))) int {
	widest := uint(leastLimb)
	cells(func(w widths, _ int) { widest = max(widest, w.widest()) })
	return int(widest)
}

// limbFor is the width that costs a site least, among so many sites, of those that
// fill a coefficient: in a slot there is room for the sign that it has, and for the
// sum. That more are invited only costs bytes.
func limbFor(cells func(each func(w widths, n int)), sites int) int {
	widest := narrowest(cells)
	members := min(sites, mostMembers)
	shares := members - 2*members/3 // that travel, of those that hold one
	best, least := widest, 0
	for _, r := range rings {
		for slots := 1; slots <= r.payload/leastLimb; slots++ {
			limb := min(r.payload/slots-1-bits.Len(uint(sites)), mostLimb)
			if limb < widest {
				break
			}
			chunk := slots * r.degree
			chunks := (limbsOf(cells, limb) + chunk - 1) / chunk
			if cost := chunks*r.degree*r.bits/8 + shares*2*r.degree; least == 0 || cost < least {
				best, least = limb, cost
			}
		}
	}
	return best
}

// limbsOf is how many limbs cells take.
func limbsOf(cells func(each func(w widths, n int)), limb int) int {
	width := uint(limb)
	limbs, have := 0, width // of the last limb
	add := func(bits uint, n int) {
		if bits == 0 {
			return
		}
		here := min(n, int((width-have)/bits))
		have += uint(here) * bits
		if n -= here; n > 0 {
			each := int(width / bits)
			limbs += (n + each - 1) / each
			have = uint((n-1)%each+1) * bits
		}
	}
	cells(func(w widths, n int) {
		add(w.count, n)
		add(w.hessian, n)
		add(w.gradient, n)
	})
	return limbs
}

// limbWriter puts the cells of one lot after another into limbs: the counts of all
// its cells, then the hessians, then the gradients, as sums of the same width fill
// a limb best.
type limbWriter struct {
	limbs []float64
	width uint
	rest  int64 // what is put and in no limb
	have  uint  // bits of it
	over  bool  // a limb has more than its bits

	cells []cell // of a lot, while it is put
}

func (l *limbWriter) putLot(cells []cell, w widths) {
	l.put(cells, w.count, func(x *cell) int64 { return x.count })
	if w.hessian > 0 {
		l.put(cells, w.hessian, func(x *cell) int64 { return x.hessian })
	}
	l.put(cells, w.gradient, func(x *cell) int64 { return x.gradient })
}

func (l *limbWriter) put(cells []cell, bits uint, of func(*cell) int64) {
	for i := range cells {
		if l.have+bits > l.width {
			l.cut()
		}
		l.rest += of(&cells[i]) << l.have
		l.have += bits
	}
}

func (l *limbWriter) cut() {
	l.over = l.over || max(l.rest, -l.rest)>>l.width != 0
	l.limbs = append(l.limbs, float64(l.rest))
	l.rest, l.have = 0, 0
}

// finish returns the limbs.
func (l *limbWriter) finish() []float64 {
	if l.have > 0 {
		l.cut()
	}
	return l.limbs
}

// limbReader reads the cells from the sum of limbs.
type limbReader struct {
	limbs []float64
	width uint
	rest  int64
	left  uint // bits of it
}

// lot fills in the cells of the next lot.
func (l *limbReader) lot(cells []cell, w widths, constant bool) {
	for i := range cells {
		cells[i].count = l.take(w.count, 0)
	}
	for i := range cells {
		if cells[i].hessian = cells[i].count; !constant {
			cells[i].hessian = l.take(w.hessian, 0)
		}
	}
	for i := range cells {
		cells[i].gradient = l.take(w.gradient, -1<<(w.gradient-1))
	}
}

// take is the next sum, which lies from least on. What it has below zero it has
// borrowed from those above.
func (l *limbReader) take(bits uint, least int64) int64 {
	if l.left < bits {
		l.rest, l.left = int64(l.limbs[0]), l.width
		l.limbs = l.limbs[1:]
	}
	x := l.rest & (1<<bits - 1)
	if x >= least+1<<bits {
		x -= 1 << bits
	}
	l.rest = (l.rest - x) >> bits
	l.left -= bits
	return x
}

var errLimbs = errors.New("the limbs of the sums are of another width than there is, or narrower than a sum")
