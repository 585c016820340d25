package secagg

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

// encodeLanes is encodeNarrow over as many coefficients as values fill, the last
// of them perhaps in part.
func encodeLanes(g *segment, values []float64, words int, message []uint64) {
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
