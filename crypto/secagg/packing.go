package secagg

import (
	"math"
	"slices"
)

// packing is where a layout's values go: compiled once for each round.
//
// A coefficient of the ring carries `payload` message bits. Each field starts a
// fresh coefficient and puts as many of its slots side by side in a coefficient
// as fit, the first in the lowest bits. Bits and coefficients that the layout
// does not use are zero in every contribution and are checked to be zero when
// the sum is opened.
//
// No value is cut in two: the lower parts of several sites' values add up to more
// than the lower part of the sum, and an opening would tell how often they carry.
// So a suite whose coefficient is narrower than a slot cannot carry the layout.
type packing struct {
	degree, words int
	invited       int
	segments      []segment // one for each field, in order
	values        int
	coefficients  int
	chunks        int
}

type segment struct {
	field    Field
	scale    float64 // 2^FracBits
	bound    word128 // largest magnitude of an encoded value
	first    int     // index of the field's first value
	start    int     // its first coefficient
	end      int     // one past its last coefficient
	slotBits uint    // of the sum of an offset value
	perCoeff int     // slots side by side in a coefficient
}

func newPacking(l Layout, invited int, s *suite) *packing {
	p := &packing{degree: s.degree, words: s.messageWords(), invited: invited, segments: make([]segment, len(l))}
	for i, f := range l {
		g := newSegment(f, invited, s)
		g.first, g.start = p.values, p.coefficients
		g.end = g.start + g.coefficients()
		p.segments[i] = g
		p.values += f.Length
		p.coefficients = g.end
	}
	p.chunks = (p.coefficients + p.degree - 1) / p.degree
	return p
}

// newSegment is a field's segment, except for where it is.
func newSegment(f Field, invited int, s *suite) segment {
	bits := f.slotBits(invited)
	return segment{field: f, scale: scale(f.FracBits), bound: f.integerBound(), slotBits: bits, perCoeff: int(s.payload / bits)}
}

// coefficients is how many the segment takes.
func (g *segment) coefficients() int { return (g.field.Length + g.perCoeff - 1) / g.perCoeff }

// carries says whether a suite's coefficients are as wide as a layout's slots.
func (s *suite) carries(l Layout, invited int) bool {
	return !slices.ContainsFunc(l, func(f Field) bool { return f.slotBits(invited) > s.payload })
}

// chunksOf is the number of chunks that a layout takes in a suite that carries it.
func chunksOf(l Layout, invited int, s *suite) int {
	n := 0
	for _, f := range l {
		g := newSegment(f, invited, s)
		n += g.coefficients()
	}
	return (n + s.degree - 1) / s.degree
}

// encoded returns value v offset to be non-negative, in [0, 2*bound]. v is
// known to be in range.
func (g *segment) encoded(v float64) word128 {
	// The product with a power of two is exact, and so is the rounding of a
	// float64 to the nearest integer.
	return integer128(math.RoundToEven(v * g.scale)).add(g.bound)
}

// span is the range of values that a chunk carries: from inclusive, to exclusive.
func (p *packing) span(chunk int) (from, to int) {
	lo, hi := chunk*p.degree, (chunk+1)*p.degree
	from = p.values
	for s := range p.segments {
		g := &p.segments[s]
		if g.end <= lo || g.start >= hi {
			continue
		}
		first, last := max(g.start, lo)-g.start, min(g.end, hi)-g.start
		from = min(from, g.first+first*g.perCoeff)
		to = g.first + min(last*g.perCoeff, g.field.Length)
	}
	return from, to
}

// check refuses values, which begin with the layout's value number first, that
// are out of their fields' bounds. It comes before they are encoded.
func (p *packing) check(first int, values []float64) error {
	for s := range p.segments {
		g := &p.segments[s]
		from, to := max(g.first, first), min(g.first+g.field.Length, first+len(values))
		if from >= to {
			continue
		}
		if i := kernel.outOfBound(values[from-first:to-first], g.field.Bound); i >= 0 {
			return &RangeError{Field: g.field.Name, Index: from - g.first + i}
		}
	}
	return nil
}

func outOfBoundPlain(values []float64, bound float64) int {
	for i, v := range values {
		if !(math.Abs(v) <= bound) { // also catches NaN
			return i
		}
	}
	return -1
}

// encode writes the message of a chunk: words for each coefficient.
func (p *packing) encode(chunk int, values []float64, message []uint64) {
	p.encodeFrom(chunk, 0, values, message)
}

// encodeFrom is encode given only the values from number first on.
func (p *packing) encodeFrom(chunk, first int, values []float64, message []uint64) {
	clear(message)
	lo, hi := chunk*p.degree, (chunk+1)*p.degree
	for s := range p.segments {
		g := &p.segments[s]
		start, end := max(g.start, lo), min(g.end, hi)
		if start >= end {
			continue
		}
		if g.slotBits < 64 {
			from := (start - g.start) * g.perCoeff
			to := min((end-g.start)*g.perCoeff, g.field.Length)
			kernel.encodeSlots(g, values[g.first+from-first:g.first+to-first], p.words, message[(start-lo)*p.words:(end-lo)*p.words])
			continue
		}
		for c := start; c < end; c++ {
			m := message[(c-lo)*p.words : (c-lo+1)*p.words]
			from := (c - g.start) * g.perCoeff
			to := min(from+g.perCoeff, g.field.Length)
			slots := values[g.first+from-first : g.first+to-first]
			for i, v := range slots {
				put(m, uint(i)*g.slotBits, g.encoded(v))
			}
		}
	}
}

// encodeSlotsPlain is encode for slots of less than a word, which is nearly all
// there are.
func (g *segment) encodeSlotsPlain(values []float64, words int, message []uint64) {
	for len(values) > 0 {
		n := min(g.perCoeff, len(values))
		g.encodeCoefficient(message[:words], values[:n])
		values, message = values[n:], message[words:]
	}
}

func (g *segment) encodeCoefficient(m []uint64, slots []float64) {
	shift := uint(0)
	for _, v := range slots {
		u := uint64(int64(math.RoundToEven(v*g.scale))) + g.bound.lo
		w, b := shift/64, shift%64
		m[w] |= u << b
		if b+g.slotBits > 64 {
			m[w+1] |= u >> (64 - b)
		}
		shift += g.slotBits
	}
}

// decode reads the summed message of a chunk into sums, one run for each field,
// taking away the offset of that many contributors. It refuses slots that no
// such contributions can make, and bits outside all slots.
func (p *packing) decode(chunk, contributors int, message []uint64, sums []run) error {
	lo, hi := chunk*p.degree, (chunk+1)*p.degree
	for s := range p.segments {
		g := &p.segments[s]
		start, end := max(g.start, lo), min(g.end, hi)
		if start >= end {
			continue
		}
		m := message[(start-lo)*p.words : (end-lo)*p.words]
		if g.slotBits < 64 {
			done, ok := kernel.decodeSlots(g, start-g.start, contributors, p.words, m, sums[s])
			if !ok {
				return ErrSlotOverflow
			}
			start += done
			m = m[done*p.words:]
		}
		for c := start; c < end; c++ {
			if !g.decode(c-g.start, contributors, m[:p.words], sums[s]) {
				return ErrSlotOverflow
			}
			m = m[p.words:]
		}
	}
	for _, w := range message[min(max(p.coefficients-lo, 0), p.degree)*p.words:] {
		if w != 0 {
			return ErrSlotOverflow
		}
	}
	return nil
}

func (g *segment) decodeSlotsPlain(first, contributors, words int, message []uint64, out run) (done int, ok bool) {
	for ; len(message) > 0; message = message[words:] {
		if !g.decode(first+done, contributors, message[:words], out) {
			return done, false
		}
		done++
	}
	return done, true
}

// decode reads the summed message of the segment's coefficient number c; false
// means that no such contributions can make it.
func (g *segment) decode(c, contributors int, m []uint64, out run) bool {
	offset := g.bound.times(uint64(contributors))
	highest := offset.shl(1)
	from := c * g.perCoeff
	slots := min(g.perCoeff, g.field.Length-from)
	for i := range slots {
		v := take(m, uint(i)*g.slotBits, g.slotBits)
		if highest.less(v) {
			return false
		}
		out.set(from+i, v.sub(offset))
	}
	return zeroFrom(m, uint(slots)*g.slotBits)
}

// put ORs v into the bits of m from shift on. v ends within two words: a slot
// of 64 bits or more is alone in its coefficient or, below 96 bits, one of two.
func put(m []uint64, shift uint, v word128) {
	w, b := shift/64, shift%64
	m[w] |= v.lo << b
	if rest := v.shr(64 - b).lo; rest != 0 {
		m[w+1] |= rest
	}
}

// take reads n bits of m from shift on, which end within two words.
func take(m []uint64, shift, n uint) word128 {
	w := shift / 64
	v := word128{lo: m[w]}
	if int(w)+1 < len(m) {
		v.hi = m[w+1]
	}
	return v.shr(shift % 64).low(n)
}

// zeroFrom says whether all bits of m from shift on are zero.
func zeroFrom(m []uint64, shift uint) bool {
	for w := shift / 64; w < uint(len(m)); w++ {
		bits := m[w]
		if w == shift/64 {
			bits >>= shift % 64
		}
		if bits != 0 {
			return false
		}
	}
	return true
}
