package describe

import (
	"math"
	"slices"
)

// sortNumbers sorts numbers that are not NaN, by their digits of eight bits from
// the lowest to the highest, which thousands of numbers are sorted by in a
// fraction of the time that comparing them takes. room is reused between calls.
func sortNumbers(x []float64, room *[]uint64) {
	const few = 512
	n := len(x)
	if n < few {
		slices.Sort(x)
		return
	}
	*room = slices.Grow((*room)[:0], 2*n)[:2*n]
	from, to := (*room)[:n], (*room)[n:]
	var counts [8][256]uint32
	for i, v := range x {
		// As whole numbers without a sign in the order of the numbers.
		key := math.Float64bits(v + 0)
		key ^= uint64(int64(key)>>63) | 1<<63
		from[i] = key
		for d := range counts {
			counts[d][uint8(key>>(8*d))]++
		}
	}
	for d := range counts {
		at := &counts[d]
		if at[uint8(from[0]>>(8*d))] == uint32(n) { // all have the same digit
			continue
		}
		total := uint32(0)
		for k, c := range at {
			at[k], total = total, total+c
		}
		for _, key := range from {
			digit := uint8(key >> (8 * d))
			to[at[digit]] = key
			at[digit]++
		}
		from, to = to, from
	}
	for i, key := range from {
		key ^= uint64(^int64(key)>>63) | 1<<63
		x[i] = math.Float64frombits(key)
	}
}
