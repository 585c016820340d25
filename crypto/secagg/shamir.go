package secagg

import (
	"encoding/binary"
	"fmt"
)

// Shamir's scheme, coefficient by coefficient, over the field of the Mersenne
// prime 2^31 - 1: member j, counted from 0, holds the value at point j + 1 of a
// polynomial of degree t - 1 whose value at 0 is the secret. Shares are
// additive, and t of them determine the polynomial. A share on the wire is N
// little-endian 32-bit elements.
const shamirPrime = 1<<31 - 1

func mulField(a, b uint64) uint64 {
	x := a * b // below 2^62
	x = x&shamirPrime + x>>31
	return subtractPrime(x)
}

// subtractPrime brings x < 2^32 - 2 below the prime, without a branch.
func subtractPrime(x uint64) uint64 {
	x -= shamirPrime
	return x + shamirPrime&uint64(int64(x)>>63)
}

func inverseField(a uint64) uint64 { // a^(p-2)
	r := uint64(1)
	for e := uint64(shamirPrime - 2); e > 0; e >>= 1 {
		if e&1 != 0 {
			r = mulField(r, a)
		}
		a = mulField(a, a)
	}
	return r
}

// fieldElement draws a uniform element.
func (g *generator) fieldElement() uint64 {
	for {
		if v := uint64(g.uint32() >> 1); v != shamirPrime {
			return v
		}
	}
}

// shareKey shares each coefficient of a key among the committee.
func shareKey(key []int64, committee, threshold int, random *generator) [][]byte {
	shares := make([][]byte, committee)
	for j := range shares {
		shares[j] = make([]byte, 4*len(key))
	}
	polynomial := make([]uint64, threshold)
	defer clear(polynomial)
	for k, s := range key {
		polynomial[0] = residue(s, shamirPrime)
		for i := 1; i < threshold; i++ {
			polynomial[i] = random.fieldElement()
		}
		for j := range shares {
			v := uint64(0)
			for i := threshold - 1; i >= 0; i-- {
				v = subtractPrime(mulField(v, uint64(j+1)) + polynomial[i])
			}
			binary.LittleEndian.PutUint32(shares[j][4*k:], uint32(v))
		}
	}
	return shares
}

// checkShare checks a share's length and that every element is in the field.
func (s *suite) checkShare(share []byte) error {
	if len(share) != s.shareBytes() {
		return fmt.Errorf("%w: share of %d bytes, needs %d", ErrMalformed, len(share), s.shareBytes())
	}
	for k := 0; k < len(share); k += 4 {
		if binary.LittleEndian.Uint32(share[k:]) >= shamirPrime {
			return fmt.Errorf("%w: element %d is not in the field", ErrMalformed, k/4)
		}
	}
	return nil
}

// lagrange returns the weights that turn values of a polynomial of degree
// below len(points) at the points into its value at x. Points are distinct and
// not 0, which would be the secret itself.
func lagrange(points []uint64, x uint64) ([]uint64, error) {
	seen := make(map[uint64]bool, len(points))
	for _, p := range points {
		if p == 0 || p >= shamirPrime {
			return nil, fmt.Errorf("%w: no committee member holds point %d", ErrMalformed, p)
		}
		if seen[p] {
			return nil, fmt.Errorf("%w: point %d is there twice", ErrMalformed, p)
		}
		seen[p] = true
	}
	weights := make([]uint64, len(points))
	for i, p := range points {
		over, under := uint64(1), uint64(1)
		for j, o := range points {
			if j != i {
				over = mulField(over, subtractPrime(x+shamirPrime-o))
				under = mulField(under, subtractPrime(p+shamirPrime-o))
			}
		}
		weights[i] = mulField(over, inverseField(under))
	}
	return weights, nil
}

// evaluate combines shares with weights into out.
func evaluate(weights []uint64, shares [][]byte, out []uint64) {
	clear(out)
	for i, w := range weights {
		share := shares[i]
		for k := range out {
			out[k] = subtractPrime(mulField(w, uint64(binary.LittleEndian.Uint32(share[4*k:]))) + out[k])
		}
	}
}

// consistent says whether all shares lie on one polynomial of degree below
// threshold: those past the first threshold are compared with what the first
// say (the parity check of a Reed-Solomon code).
func consistent(points []uint64, shares [][]byte, threshold int) (bool, error) {
	expected := make([]uint64, len(shares[0])/4)
	for i := threshold; i < len(points); i++ {
		weights, err := lagrange(points[:threshold], points[i])
		if err != nil {
			return false, err
		}
		evaluate(weights, shares[:threshold], expected)
		for k, v := range expected {
			if uint64(binary.LittleEndian.Uint32(shares[i][4*k:])) != v {
				return false, nil
			}
		}
	}
	return true, nil
}
