package secagg

// evaluateRows evaluates width polynomials, a multiple of 64, of a degree of at
// least 1 at a point of at most 2^10. Row i holds the coefficients of the i-th
// power, 16 bits each and below the prime.
//
// Horner's rule with a lazy reduction: a value w is w0 + 2^16 * w1, w0 and w1
// signed numbers of 16 bits, hence congruent to w0 + 15 * w1, and
//
//	w * x + c = w0 * x + w1 * (15 * x) + c,
//
// two products and a sum that are one instruction. With x <= 2^10 and
// |w| < 2^26 the right side is below 2^25 + 2^10 * 15 * 2^10 + 2^16 < 2^26 in magnitude
// again, and |w1| <= 2^10.
//
//go:noescape
func evaluateRows(rows *byte, degree, width int, point uint64, out *byte)

// shareRowLanes is shareRowPlain, 64 polynomials at a time.
func shareRowLanes(rows []byte, point uint64, out []byte) {
	degree, width := len(rows)/len(out)-1, len(out)/2
	if degree < 1 || width%64 != 0 {
		shareRowPlain(rows, point, out)
		return
	}
	evaluateRows(&rows[0], degree, width, point, &out[0])
}
