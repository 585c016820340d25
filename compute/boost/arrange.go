package boost

import "slices"

// Whether the numbers of a class have a sign.
const (
	unsigned = iota // counts and hessians
	signed          // gradients
)

var signs = [...]int{unsigned, signed}

// A class are the sums of so many bits, with a sign or without one, in the order
// of the cells.

// tally counts the sums of each class.
type tally [2][mostLimb + 1]int

// add so many cells; none of their widths is more than a limb can have.
func (t *tally) add(w widths, n int) {
	t[unsigned][w.count] += n
	t[signed][w.gradient] += n
	if w.hessian > 0 {
		t[unsigned][w.hessian] += n
	}
}

// classes are sums, by their class.
type classes struct {
	all    [2][mostLimb + 1][]int64
	memory []int64       // in which they lie
	joined [3][256]int64 // of the groups of a lot, while they are put
	limbs  []int64       // while they are written
}

// clear has the classes begin anew, with room for so many sums.
func (c *classes) clear(sums *tally) {
	total := 0
	for _, sign := range signs {
		for _, n := range sums[sign] {
			total += n
		}
	}
	c.memory = slices.Grow(c.memory[:0], total)
	free := c.memory[:total]
	for _, sign := range signs {
		for bits, n := range sums[sign] {
			c.all[sign][bits], free = free[:0:n], free[n:]
		}
	}
}

// room is for the next n sums of a class.
func (c *classes) room(sign int, bits uint, n int) []int64 {
	all := &c.all[sign][bits]
	at := len(*all)
	*all = slices.Grow(*all, n)[:at+n]
	return (*all)[at:]
}

// take is the next n sums of a class; those of no bits are zero.
func (c *classes) take(sign int, bits uint, n int) []int64 {
	if bits == 0 {
		return make([]int64, n)
	}
	s := &c.all[sign][bits]
	out := (*s)[:n]
	*s = (*s)[n:]
	return out
}

// lot takes the next cells.
func (c *classes) lot(cells []cell, w widths, constant bool) {
	counts := c.take(unsigned, w.count, len(cells))
	hessians := counts
	if !constant {
		hessians = c.take(unsigned, w.hessian, len(cells))
	}
	for i, g := range c.take(signed, w.gradient, len(cells)) {
		cells[i] = cell{g, hessians[i], counts[i]}
	}
}

// arrangement says where in the limbs the sums lie.
type arrangement struct {
	sums      tally
	stretches []stretch
	limbs     int
}

// stretch is the next sums of a class, in neighbouring limbs: as many in each, side
// by side, the first in the lowest bits.
type stretch struct {
	sign         int
	bits         uint
	first, limbs int
	each         int
	shift        uint
}

// space is what neighbouring limbs have left: bits from .. to.
type space struct {
	first, limbs int
	from, to     uint
}

// arrange has the widest sums go first, each into the first limb with room for it,
// those with a sign before the others (first fit decreasing: Johnson, 1973).
// Numbers with a sign come from a limb's highest bits down, the others from its
// lowest up; of a limb without the former the highest bit stays free, as a limb
// has a sign.
func arrange(t *tally, limb uint) arrangement {
	a := arrangement{sums: *t}
	var spaces []space
	for _, sign := range []int{signed, unsigned} {
		for bits := limb; bits > 0; bits-- {
			n := t[sign][bits]
			if n == 0 {
				continue
			}
			top := limb
			if sign == unsigned {
				top--
			}
			spaces = a.fill(spaces, sign, bits, n, space{from: 0, to: top})
		}
	}
	return a
}

// fill places n sums into the spaces, and into new limbs like fresh. It returns
// the spaces that are left, in order.
func (a *arrangement) fill(spaces []space, sign int, bits uint, n int, fresh space) []space {
	var out []space
	for i := 0; i < len(spaces) || n > 0; i++ {
		if i == len(spaces) {
			each := int(fresh.to / bits)
			fresh.first, fresh.limbs = a.limbs, (n+each-1)/each
			a.limbs += fresh.limbs
			spaces = append(spaces, fresh)
		}
		s := spaces[i]
		for s.limbs > 0 && n > 0 {
			each := min(int((s.to-s.from)/bits), n)
			if each == 0 {
				break
			}
			limbs := min(s.limbs, n/each)
			part := space{s.first, limbs, s.from, s.to}
			shift := s.from
			if sign == signed {
				part.to -= uint(each) * bits
				shift = part.to
			} else {
				part.from += uint(each) * bits
			}
			a.stretches = append(a.stretches, stretch{sign, bits, s.first, limbs, each, shift})
			out = append(out, part)
			s.first, s.limbs, n = s.first+limbs, s.limbs-limbs, n-limbs*each
		}
		if s.limbs > 0 {
			out = append(out, s)
		}
	}
	return out
}
