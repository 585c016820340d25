package secagg

// combineRows adds up rows of width 16-bit elements, a multiple of 64, below the
// prime, each times its weight, which is below 2^16: at most 2^10 rows. A product
// of 32 bits is added in two halves; the sum of the lower ones and 15 times that
// of the upper ones are below 2^30 together.
//
//go:noescape
func combineRows(weights *uint32, rows *[]byte, count, width int, out *byte)

// combineLanes is combinePlain, 64 elements at a time.
func combineLanes(weights []uint32, rows [][]byte, out []byte) {
	width := len(out) / 2
	if width == 0 || width%64 != 0 {
		combinePlain(weights, rows, out)
		return
	}
	for _, row := range rows[:len(weights)] {
		_ = row[len(out)-1]
	}
	combineRows(&weights[0], &rows[0], len(weights), width, &out[0])
}
