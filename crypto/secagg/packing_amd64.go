package secagg

import "unsafe"

// scaleRound writes n values, times scale, rounded to nearest with ties to even,
// plus an offset.
//
//go:noescape
func scaleRound(values *float64, out *uint64, n int, scale float64, offset uint64)

// allWithin is zero when n values, a multiple of 8, are at most bound in
// magnitude, all of them.
//
//go:noescape
func allWithin(values *float64, n int, bound float64) (without uint64)

// outOfBoundLanes is outOfBoundPlain; that names a value at fault.
func outOfBoundLanes(values []float64, bound float64) int {
	whole := len(values) &^ 7
	if whole > 0 && allWithin(&values[0], whole, bound) != 0 {
		return outOfBoundPlain(values, bound)
	}
	if i := outOfBoundPlain(values[whole:], bound); i >= 0 {
		return whole + i
	}
	return -1
}

// scaleRound32 is scaleRound for n, a multiple of 8, results below 2^32.
//
//go:noescape
func scaleRound32(values *float64, out *uint32, n int, scale float64, offset uint64)

// concatenate32 writes groups of eight coefficients whose slots, of up to 32
// bits, lie stride bytes of slots apart, as told by concatenation.
//
//go:noescape
func concatenate32(slots *uint32, groups, stride int, table *uint64, words, terms int, message *uint64)

// encodeLanes is encodeSlotsPlain, in lanes of 32 bits where that will do.
func encodeLanes(g *segment, values []float64, words int, message []uint64) {
	if table, terms := concatenation(g, words); table != nil {
		var block [2048 + window32]uint32
		defer clear(block[:])
		stride := 8 * g.perCoeff
		groups := (len(block) - window32) / stride
		for ; len(values) >= stride; values = values[groups*stride:] {
			groups = min(groups, len(values)/stride)
			scaleRound32(&values[0], &block[0], groups*stride, g.scale, g.bound.lo)
			concatenate32(&block[0], groups, 4*stride, &table[0], words, terms, &message[0])
			message = message[8*groups*words:]
		}
	}
	var block [1024]uint64
	defer clear(block[:])
	size := len(block) / g.perCoeff * g.perCoeff
	for len(values) > 0 {
		slots := block[:min(size, len(values))]
		scaleRound(&values[0], &slots[0], len(slots), g.scale, g.bound.lo)
		values = values[len(slots):]
		for len(slots) > 0 {
			n := min(g.perCoeff, len(slots))
			concatenate(slots[:n], g.slotBits, message)
			slots = slots[n:]
			message = message[words:]
		}
	}
}

// window32 is how many slots concatenate32 sees at once.
const window32 = 32

// concatenation tells concatenate32 how to make the words of eight coefficients,
// eight words at a time. For each of these vectors the table holds the first of
// the 32 slots that it looks at, in bytes, padded to eight words; then for the
// slot that each word begins in, which of the 32 it is and how far to shift it
// down; then, for each of the terms - 1 slots after that, which it is and how far
// up, 64 for none. It is nil for slots that are too wide or too narrow for that.
func concatenation(g *segment, words int) (table []uint64, terms int) {
	if g.slotBits > 32 {
		return nil, 0
	}
	terms = int(63/g.slotBits) + 2
	for v := range words {
		first := 8 * v / words * g.perCoeff // of the coefficient that the first word is of
		var word, shift [5][8]uint64
		if terms > len(word) {
			return nil, 0
		}
		for lane := range 8 {
			c, bit := (8*v+lane)/words, uint((8*v+lane)%words*64)
			for t := range terms {
				slot := int(bit/g.slotBits) + t
				shift[t][lane] = 64
				if slot >= g.perCoeff {
					continue
				}
				at := uint(slot) * g.slotBits
				if t == 0 {
					shift[t][lane] = uint64(bit - at)
				} else if at < bit+64 {
					shift[t][lane] = uint64(at - bit)
				}
				word[t][lane] = uint64(c*g.perCoeff + slot - first)
				if word[t][lane] >= window32 {
					if shift[t][lane] < 64 {
						return nil, 0
					}
					word[t][lane] = 0
				}
			}
		}
		table = append(table, uint64(4*first), 0, 0, 0, 0, 0, 0, 0)
		for t := range terms {
			table = append(table, word[t][:]...)
			table = append(table, shift[t][:]...)
		}
	}
	return table, terms
}

// concatenate writes slots of less than 64 bits side by side.
func concatenate(slots []uint64, width uint, message []uint64) {
	var word uint64
	var have uint
	w := 0
	for _, v := range slots {
		word |= v << (have & 63)
		if have += width; have >= 64 {
			message[w] = word
			w++
			have -= 64
			word = v >> ((width - have) & 63)
		}
	}
	if have > 0 {
		message[w] = word
	}
}

// slotGroup says where up to eight slots of a coefficient are: the word that each
// begins in and how far to shift it down, the next word and how far up, and the
// slot's bits, or none for a lane without a slot.
type slotGroup struct{ word, down, next, up, mask [8]uint64 }

// separate reads the slots of coefficients, and says whether one is more than
// highest or an unused bit is set. It writes them, less the offset, in 32 or 64
// bits, stride bytes from one coefficient to the next; whole groups of eight,
// so that it writes up to seven elements beyond the last slot.
//
//go:noescape
func separate(message *uint64, coefficients, words int, groups *slotGroup, count int, highest, offset uint64, unused *[8]uint64, out *byte, stride int, narrow bool) (outside uint64)

// decodeLanes is decodeSlotsPlain but for the last few coefficients of a field,
// beyond which there is nothing to write to.
func decodeLanes(g *segment, first, contributors, words int, message []uint64, out run) (done int, ok bool) {
	from := first * g.perCoeff
	n := (g.field.Length - from - 7) / g.perCoeff // with seven elements to spare
	if n = min(n, len(message)/words); n <= 0 {
		return 0, true
	}
	groups := make([]slotGroup, (g.perCoeff+7)/8)
	var unused [8]uint64
	for w := range words {
		unused[w] = ^uint64(0)
	}
	for i := range 8 * len(groups) {
		s, lane := &groups[i/8], i%8
		if i >= g.perCoeff {
			continue
		}
		at, bit := uint(i)*g.slotBits/64, uint(i)*g.slotBits%64
		s.word[lane], s.down[lane] = uint64(at), uint64(bit)
		s.next[lane], s.up[lane] = uint64(at+1), uint64(64-bit)
		s.mask[lane] = 1<<g.slotBits - 1
		unused[at] &^= s.mask[lane] << bit
		unused[at+1] &^= s.mask[lane] >> (64 - bit)
	}
	offset := g.bound.times(uint64(contributors)).lo
	var to *byte
	size := 8
	if out.narrow != nil {
		to, size = (*byte)(unsafe.Pointer(&out.narrow[from])), 4
	} else {
		to = (*byte)(unsafe.Pointer(&out.middle[from]))
	}
	outside := separate(&message[0], n, words, &groups[0], len(groups), 2*offset, offset, &unused, to, size*g.perCoeff, size == 4)
	return n, outside == 0
}
