package secagg

// gaussianColumns are the high and the low words of the sampler's table, after
// an entry of zero and filled up with zeros.
type gaussianColumns struct{ hi, lo [48]uint64 }

var gaussianLookup = func() (t gaussianColumns) {
	for k, entry := range gaussianTable {
		t.hi[k+1], t.lo[k+1] = entry.hi, entry.lo
	}
	return t
}()

// gaussian32 makes n samples, a multiple of 32, from draws of 16 bytes.
//
// Each lane compares the high word of its draw with those of the whole table,
// which all differ. That counts the entries that are not above the draw, or
// one too many: where the draw has the high word of the last one counted, and a
// smaller low word. That entry is looked up in registers, so that no address
// and no branch depends on a draw.
//
//go:noescape
func gaussian32(draws *byte, out *int64, n int, table *gaussianColumns)

// gaussianLanes is gaussianPlain, a block at a time.
func gaussianLanes(g *generator, out []int64) {
	const block = 256
	var draws [16 * block]byte
	defer clear(draws[:])
	for ; len(out) >= block; out = out[block:] {
		g.fill(draws[:], 8)
		gaussian32(&draws[0], &out[0], block, &gaussianLookup)
	}
	g.gaussianPlain(out)
}
