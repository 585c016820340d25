package boost

import (
	"errors"
	"math/bits"
)

// The cells of a level travel as one long number. Each cell's sums have as many
// bits of it as hold them over all sites: the count lowest, then the hessian, then
// the gradient with its sign; cell follows cell. A site's long number is written in
// two's complement and cut into limbs, which are what the secure sum adds up. What
// the limbs of all sites add up to, carried from each limb to the next, is the sum
// of the long numbers, modulo its bits. It does not matter where a cell is cut in
// two, nor that a site's gradients are below zero. A slot of the secure sum has room
// for as many contributions as there are sites, which a limb with several cells
// costs once.

// widths are the bits of a cell's sums, over all sites.
type widths struct{ gradient, hessian, count uint }

func (w widths) bits() uint { return w.gradient + w.hessian + w.count }

// Limbs are as wide as fits the slots that fill a coefficient of the secure sum: in
// the smallest ring one of 32 bits, in the next two of 42, in the largest four of
// 47. All take as much ciphertext, and the larger a ring, the larger its key shares.
// What is said of the secure sum here saves bytes, and nothing else rests on it.
var rings = [...]struct{ slot, slots, degree int }{{32, 1, 2048}, {42, 2, 4096}, {47, 4, 8192}}

const (
	slotBytes   = 53.0 / 8 // of ciphertext
	leastLimb   = 20       // among a thousand sites
	mostLimb    = 45
	mostMembers = 20 // of a committee
)

// limbFor is the width that costs a site least, among so many sites: in a slot
// there is room for the sign that it has, and for the sum. That more are invited
// only costs bytes.
func limbFor(length, sites int) int {
	members := min(sites, mostMembers)
	shares := members - 2*members/3 // that travel, of those that hold one
	best, least := 0, 0.0
	for _, r := range rings {
		limb := min(max(r.slot-1-bits.Len(uint(sites)), leastLimb), mostLimb)
		chunk := r.slots * r.degree
		chunks := (limbsOf(length, limb) + chunk - 1) / chunk
		cost := float64(chunks*chunk)*slotBytes + float64(shares*2*r.degree)
		if best == 0 || cost < least {
			best, least = limb, cost
		}
	}
	return best
}

// limbsOf is how many limbs a number of so many bits has.
func limbsOf(length, limb int) int { return (length + limb - 1) / limb }

// limbWriter cuts a long number, whose lowest bits are put first.
type limbWriter struct {
	limbs []float64
	width uint
	rest  int64 // what is put and in no limb, its carry included
	have  uint  // bits of it
}

// A long number is written and read a part at a time, of which no more than most
// bits wait: that leaves some for sums of one site that are larger than they will be
// over all. Wide sums are put and taken in pieces, beside which a limb can wait.
const (
	most  = 56
	piece = most - mostLimb + 1
)

// put adds a value of so many bits.
func (l *limbWriter) put(value int64, bits uint) {
	for l.have+bits > most {
		l.put(value&(1<<piece-1), piece)
		value >>= piece
		bits -= piece
	}
	l.rest += value << l.have
	l.have += bits
	for l.have >= l.width {
		l.cut()
		l.have -= l.width
	}
}

func (l *limbWriter) cut() {
	l.limbs = append(l.limbs, float64(l.rest&(1<<l.width-1)))
	l.rest >>= l.width
}

// finish cuts what is left, and returns the limbs.
func (l *limbWriter) finish() []float64 {
	if l.have > 0 {
		l.cut()
	}
	return l.limbs
}

// putCell adds a cell.
func (l *limbWriter) putCell(x cell, w widths) {
	if w.hessian == 0 {
		x.hessian = 0
	}
	if w.bits() <= most {
		l.put((x.gradient<<w.hessian+x.hessian)<<w.count+x.count, w.bits())
		return
	}
	l.put(x.count, w.count)
	l.put(x.hessian, w.hessian)
	l.put(x.gradient, w.gradient)
}

// limbReader reads a sum of long numbers.
type limbReader struct {
	limbs []float64
	width uint
	carry uint64
	rest  uint64
	have  uint
	owed  int64 // by the sums that are next, to one below zero
}

func (l *limbReader) take(bits uint) uint64 {
	if bits > piece {
		low := l.take(piece)
		return l.take(bits-piece)<<piece | low
	}
	if l.have < bits {
		l.carry += uint64(l.limbs[0])
		l.limbs = l.limbs[1:]
		l.rest |= l.carry & (1<<l.width - 1) << l.have
		l.carry >>= l.width
		l.have += l.width
	}
	out := l.rest & (1<<bits - 1)
	l.rest >>= bits
	l.have -= bits
	return out
}

// sum is the next one, which lies from least on.
func (l *limbReader) sum(bits uint, least int64) int64 {
	x := int64(l.take(bits)) + l.owed
	l.owed = 0
	if x >= least+1<<bits {
		x -= 1 << bits
		l.owed = 1
	}
	return x
}

// cell is the next one.
func (l *limbReader) cell(w widths, constant bool) (x cell) {
	x.count = l.sum(w.count, 0)
	x.hessian = l.sum(w.hessian, 0)
	x.gradient = l.sum(w.gradient, -1<<(w.gradient-1))
	if constant {
		x.hessian = x.count
	}
	return x
}

var errLimbs = errors.New("the limbs of the sums are of another width than there is")
