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
		i, c := 1, 0
		place := func(v uint32) {
			rows[i*width+c] = v
			if i++; i == threshold {
				i, c = 1, c+1
			}
		}
		for d := draws; len(d) > 0; d = d[4:] {
			if v := binary.LittleEndian.Uint32(d) >> 1; v != shamirPrime {
				place(v)
			}
		}
		for c < width { // for those that were the prime
			place(uint32(random.fieldElement()))
		}
		for j := range shares {
			shareRow(&rows[0], threshold-1, width, uint64(j+1), &shares[j][4*k])
		}
	}
	return shares
}
