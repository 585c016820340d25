package secagg

import "math"

// packing is where a layout's values go: compiled once for each round.
//
// A coefficient of the ring carries `payload` message bits. Each field starts a
// fresh coefficient. A field whose slots fit puts as many of them side by side
// in a coefficient as fit, the first in the lowest bits. A field whose slots do
// not fit splits each offset value into limbs, one to a coefficient, lowest
// first, each small enough that the sum over all invited sites fits. Bits and
// coefficients that the layout does not use are zero in every contribution and
// are checked to be zero when the sum is opened.
type packing struct {
	degree, words int
	invited       int
	segments      []segment // one for each field, in order
	values        int
	coefficients  int
	chunks        int
}

type segment struct {
	field       Field
	scale       float64 // 2^FracBits
	bound       word128 // largest magnitude of an encoded value
	first       int     // index of the field's first value
	start       int     // its first coefficient
	end         int     // one past its last coefficient
	slotBits    uint    // of the sum of an offset value
	perCoeff    int     // slots side by side in a coefficient; 1 when split into limbs
	limbs       int     // coefficients to a value; 1 when it fits
	limbBits    uint    // of one contribution's limb, when limbs > 1
	topLimbBits uint    // of the highest limb
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
	g := segment{field: f, scale: scale(f.FracBits), bound: f.integerBound(), slotBits: f.slotBits(invited), perCoeff: 1, limbs: 1}
	if g.slotBits <= s.payload {
		g.perCoeff = int(s.payload / g.slotBits)
		return g
	}
	// slotBits - headroom bits hold one offset value.
	one := g.slotBits - uint(headroom(invited))
	g.limbBits = s.payload - uint(headroom(invited))
	g.limbs = int((one + g.limbBits - 1) / g.limbBits)
	g.topLimbBits = one - uint(g.limbs-1)*g.limbBits
	return g
}

// coefficients is how many the segment takes.
func (g *segment) coefficients() int {
	return (g.field.Length + g.perCoeff - 1) / g.perCoeff * g.limbs
}

// chunksOf is the number of chunks that a layout takes.
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

// span is the range of values that a chunk carries: from inclusive, to
// exclusive. A value in limbs can be in two chunks, as the last of one and the
// first of the next.
func (p *packing) span(chunk int) (from, to int) {
	lo, hi := chunk*p.degree, (chunk+1)*p.degree
	from = p.values
	for s := range p.segments {
		g := &p.segments[s]
		if g.end <= lo || g.start >= hi {
			continue
		}
		first, last := max(g.start, lo)-g.start, min(g.end, hi)-g.start
		from = min(from, g.first+first/g.limbs*g.perCoeff)
		to = g.first + min((last+g.limbs-1)/g.limbs*g.perCoeff, g.field.Length)
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
		if g.slotBits < 64 && g.limbs == 1 {
			from := (start - g.start) * g.perCoeff
			to := min((end-g.start)*g.perCoeff, g.field.Length)
			kernel.encodeSlots(g, values[g.first+from-first:g.first+to-first], p.words, message[(start-lo)*p.words:(end-lo)*p.words])
			continue
		}
		for c := start; c < end; c++ {
			m := message[(c-lo)*p.words : (c-lo+1)*p.words]
			if g.limbs > 1 {
				value, limb := (c-g.start)/g.limbs, (c-g.start)%g.limbs
				bits := g.limbBits
				if limb == g.limbs-1 {
					bits = g.topLimbBits
				}
				put(m, 0, g.encoded(values[g.first+value-first]).shr(uint(limb)*g.limbBits).low(bits))
				continue
			}
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
		if g.limbs == 1 && g.slotBits < 64 {
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
	if g.limbs > 1 {
		value, limb := c/g.limbs, c%g.limbs
		total, ok := g.addLimb(out.at(value), m, limb, contributors)
		if limb == g.limbs-1 {
			ok = ok && !highest.less(total)
			total = total.sub(offset)
		}
		out.set(value, total)
		return ok
	}
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

// addLimb adds a limb's sum in its place; false means that no contributions
// can make it. Bounding each limb keeps the total below contributors * 2^(bits
// of one offset value), hence below 2^127. A suite whose coefficients are too
// narrow for a slot has at most two words to a message, so that take sees all
// of them.
func (g *segment) addLimb(total word128, m []uint64, limb, contributors int) (word128, bool) {
	bits := g.limbBits
	if limb == g.limbs-1 {
		bits = g.topLimbBits
	}
	v := take(m, 0, 128)
	highest := (word128{0, 1}).shl(bits).sub(word128{0, 1}).times(uint64(contributors))
	if limb == 0 {
		total = word128{}
	}
	return total.add(v.shl(uint(limb) * g.limbBits)), !highest.less(v)
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
