package secagg

import "encoding/binary"

// shareRow evaluates width polynomials, a multiple of 32, of a degree of at
// least 1 at a point of at most 2^10. Row i of the coefficients holds those of
// the i-th power, below the prime.
//
//go:noescape
func shareRow(coefficients *uint32, degree, width int, point uint64, out *byte)

// shareKeyLanes is shareKeyPlain, a block of polynomials at a time. It draws
// the same coefficients in the same order.
func shareKeyLanes(key []int64, committee, threshold int, random *generator) [][]byte {
	const width = 128
	if threshold < 2 || len(key)%width != 0 {
		return shareKeyPlain(key, committee, threshold, random)
	}
	shares := make([][]byte, committee)
	for j := range shares {
		shares[j] = make([]byte, 4*len(key))
	}
	rows := make([]uint32, threshold*width)
	defer clear(rows)
	draws := make([]byte, 4*(threshold-1)*width)
	defer clear(draws)
	for k := 0; k < len(key); k += width {
		for c, s := range key[k : k+width] {
			rows[c] = uint32(residue(s, shamirPrime))
		}
		random.fill(draws, 4)
		if !transpose(rows[width:], draws, threshold-1, width) {
			place(rows[width:], draws, threshold-1, width, random)
		}
		for j := range shares {
			shareRow(&rows[0], threshold-1, width, uint64(j+1), &shares[j][4*k])
		}
	}
	return shares
}

// transpose turns draws of field elements, height of them for each column, into
// rows. False means that one of them is the prime and is drawn again.
func transpose(rows []uint32, draws []byte, height, width int) bool {
	rejected := uint32(0)
	for c := range width {
		column := draws[4*height*c:][:4*height]
		for i := range height {
			v := binary.LittleEndian.Uint32(column[4*i:]) >> 1
			rejected |= (v + 1) >> 31 // set for the prime alone, 2^31 - 1
			rows[i*width+c] = v
		}
	}
	return rejected == 0
}

// place is transpose with draws that are the prime left out, and as many drawn
// in the end.
func place(rows []uint32, draws []byte, height, width int, random *generator) {
	next := func() uint32 {
		for len(draws) > 0 {
			v := binary.LittleEndian.Uint32(draws) >> 1
			if draws = draws[4:]; v != shamirPrime {
				return v
			}
		}
		return uint32(random.fieldElement())
	}
	for c := range width {
		for i := range height {
			rows[i*width+c] = next()
		}
	}
}
