package boost

import (
	"errors"
	"math/bits"
	"slices"
)

// The sums of a level's cells lie side by side in limbs, the numbers that the
// secure sum adds up: as many of them in a limb as fit, each with as many bits as
// hold it over all sites, gradients with their sign. A slot of the secure sum has
// room for as many contributions as there are sites, and a limb with several sums
// costs that once. Where in the limbs a sum lies: arrange.go.
//
// No sum is cut in two. The lower part of a number adds up to more than the sum's
// lower part: how often the sites carry would be seen, and with it something of
// how a cell's patients are spread over hospitals. So a limb's sum says what the
// sums in it say, and nothing else.

// widths are the bits of a cell's sums, over all sites; none of a hessian that is
// always one.
type widths struct{ gradient, hessian, count uint }

// widest of the sums, which a limb must hold: it has a sign, so a sum without one
// has a bit less.
func (w widths) widest() uint { return max(w.gradient, w.hessian+1, w.count+1) }

// rings are the bits that a coefficient of the secure sum has for slots, those of
// its ciphertext, and how many coefficients there are. What is said of the secure
// sum here saves bytes, and nothing else rests on it.
var rings = [...]struct{ payload, bits, degree int }{{32, 53, 2048}, {85, 106, 4096}, {191, 212, 8192}}

const (
	leastLimb   = 8
	mostLimb    = exactBits
	mostMembers = 20 // of a committee
)

// limbFor is the width that costs a site least, among so many sites, of those that
// fill a coefficient and hold the widest sum, where other numbers travel beside
// that have so many bits. That more are invited only costs bytes.
func limbFor(t *tally, widest, sites int, beside uint) int {
	members := min(sites, mostMembers)
	shares := members - 2*members/3 // that travel, of those that hold one
	headroom := bits.Len(uint(max(sites, 1) - 1))
	best, least := widest, 0
	for _, r := range rings {
		if int(beside)+headroom > r.payload {
			continue // which no number is cut for
		}
		for slots := 1; slots <= r.payload/leastLimb; slots++ {
			limb := min(r.payload/slots-headroom, mostLimb)
			if limb < widest {
				break
			}
			chunk := slots * r.degree
			chunks := (arrange(t, uint(limb)).limbs + chunk - 1) / chunk
			if cost := chunks*r.degree*r.bits/8 + shares*2*r.degree; least == 0 || cost < least {
				best, least = limb, cost
			}
		}
	}
	return best
}

// write appends the limbs of the sums. It is false if a sum is wider than its class.
func (a *arrangement) write(out []float64, sums *classes) ([]float64, bool) {
	sums.limbs = slices.Grow(sums.limbs[:0], a.limbs)[:a.limbs]
	limbs := sums.limbs
	clear(limbs)
	rest := sums.all
	wider := int64(0)
	for _, sign := range signs {
		for _, x := range rest[sign][0] {
			wider |= x
		}
	}
	for _, s := range a.stretches {
		here := limbs[s.first : s.first+s.limbs]
		n := len(here) * s.each
		values := rest[s.sign][s.bits][:n]
		rest[s.sign][s.bits] = rest[s.sign][s.bits][n:]
		half := int64(0) // of the numbers with a sign
		if s.sign == signed {
			half = 1 << (s.bits - 1)
		}
		bits, shift := s.bits&63, s.shift&63
		for j := range s.each {
			at := j
			for k := range here {
				x := values[at]
				at += s.each
				wider |= (x + half) >> bits
				here[k] += x << shift
			}
			shift = (shift + bits) & 63
		}
	}
	for _, limb := range limbs {
		out = append(out, float64(limb))
	}
	return out, wider == 0
}

// read is the inverse of write, for sums of limbs.
func (a *arrangement) read(limbs []float64) *classes {
	var out classes
	out.clear(&a.sums)
	for _, s := range a.stretches {
		out.room(s.sign, s.bits, s.limbs*s.each)
	}
	left := make([]int64, len(limbs)) // of each limb, without what is read
	for i, x := range limbs {
		left[i] = int64(x)
	}
	// From the last on: of numbers with a sign later ones are lower, and what one has
	// below zero it has borrowed from those above it.
	rest := out.all
	for _, s := range slices.Backward(a.stretches) {
		all := rest[s.sign][s.bits]
		from := len(all) - s.limbs*s.each
		values := all[from:]
		for k := range left[s.first : s.first+s.limbs] {
			limb := left[s.first+k]
			for j := range s.each {
				shift := s.shift + uint(j)*s.bits
				x := limb >> shift & (1<<s.bits - 1)
				if s.sign == signed {
					x = x << (64 - s.bits) >> (64 - s.bits)
				}
				values[k*s.each+j] = x
				limb -= x << shift
			}
			left[s.first+k] = limb
		}
		rest[s.sign][s.bits] = all[:from]
	}
	return &out
}

var errLimbs = errors.New("the limbs of the sums are of another width than there is, or narrower than a sum")
