package noise

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// drawer draws from exact distributions. After its source has failed it draws
// nonsense, and err says why.
type drawer struct{ source }

func newDrawer(random io.Reader) *drawer { return &drawer{source{from: random}} }

// source is independent uniform bits, read ahead.
type source struct {
	from  io.Reader
	err   error
	ahead [2048]byte
	left  int
}

func (s *source) next() uint64 {
	if s.left == 0 {
		if s.err == nil {
			_, s.err = io.ReadFull(s.from, s.ahead[:])
		}
		s.left = len(s.ahead)
	}
	s.left -= 8
	return binary.LittleEndian.Uint64(s.ahead[s.left:])
}

// below is uniform on 0 to n-1 (Lemire, ACM TOMACS 29, 2019): the high half of n
// times 64 bits, drawn again where that would favour a number.
func (s *source) below(n uint64) uint64 {
	high, low := bits.Mul64(s.next(), n)
	if low < n {
		for least := -n % n; low < least && s.err == nil; {
			high, low = bits.Mul64(s.next(), n)
		}
	}
	return high
}

// coin is true with probability exp(-a/b), for a up to b: the first k whose coin of
// probability a/(bk) shows tails is odd with that probability, by the exponential
// series.
func (d *drawer) coin(a, b uint64) bool {
	k := uint64(1)
	for d.err == nil && d.below(b*k) < a {
		k++
	}
	return k%2 == 1
}

// geometric is x with a probability proportional to exp(-x epsilon/sensitivity),
// from 0 up.
func (d *drawer) geometric(s Scale) uint64 {
	// In steps of 1/sensitivity: the part below 1, then the whole ones.
	part := d.below(s.Sensitivity)
	for d.err == nil && !d.coin(part, s.Sensitivity) {
		part = d.below(s.Sensitivity)
	}
	whole := uint64(0)
	for d.err == nil && d.coin(1, 1) {
		whole++
	}
	return (part + whole*s.Sensitivity) / s.Epsilon
}

// share is one of holders' part of x, by Pólya's urn.
func (d *drawer) share(x, holders uint64) (mine uint64) {
	if holders == 1 {
		return x
	}
	for drawn := uint64(0); drawn < x && d.err == nil; drawn++ {
		// (1/holders + mine) of (1 + drawn) balls
		if d.below(holders*(1+drawn)) < 1+holders*mine {
			mine++
		}
	}
	return mine
}
