package secagg

import (
	"encoding/binary"
	"fmt"
	"slices"
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

func shareKeyPlain(key []int64, committee, threshold int, random *generator) [][]byte {
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

// offPolynomial returns the index of the one share without which all lie on one
// polynomial of degree below threshold, -1 if all do, and
// ErrInconsistentShares if it cannot tell.
//
// The shares of one coefficient are a word of a Reed-Solomon code. With
// u_i = 1 / prod_{j != i} (x_i - x_j) its syndromes are
//
//	S_l = sum_i u_i * x_i^l * y_i,  l = 0 .. shares - threshold - 1,
//
// all zero exactly when the word is a codeword (MacWilliams and Sloane, The
// Theory of Error-Correcting Codes, chapter 10). One wrong share, off by e at
// x_i, makes them u_i * e * x_i^l: each x_i times the one before. Two syndromes
// are needed to see that, so two shares more than the threshold.
//
// It names the right member while one member lies. Two who lie together, with
// just two shares to spare, could make it name a third.
func offPolynomial(points []uint64, shares [][]byte, threshold int) (int, error) {
	spare := len(points) - threshold
	// factors[l][i] is u_i * x_i^l.
	factors := make([][]uint64, spare)
	for l := range factors {
		factors[l] = make([]uint64, len(points))
		for i, x := range points {
			if l > 0 {
				factors[l][i] = mulField(factors[l-1][i], x)
				continue
			}
			under := uint64(1)
			for j, o := range points {
				if j != i {
					under = mulField(under, subtractPrime(x+shamirPrime-o))
				}
			}
			factors[l][i] = inverseField(under)
		}
	}
	off := -1
	syndromes := make([]uint64, spare)
	for k := 0; k < len(shares[0]); k += 4 {
		clear(syndromes)
		for i, share := range shares {
			y := uint64(binary.LittleEndian.Uint32(share[k:]))
			for l := range syndromes {
				syndromes[l] = subtractPrime(syndromes[l] + mulField(factors[l][i], y))
			}
		}
		if !slices.ContainsFunc(syndromes, func(s uint64) bool { return s != 0 }) {
			continue
		}
		if spare < 2 || syndromes[0] == 0 {
			return 0, ErrInconsistentShares
		}
		x := mulField(syndromes[1], inverseField(syndromes[0]))
		for l := 2; l < spare; l++ {
			if syndromes[l] != mulField(x, syndromes[l-1]) {
				return 0, ErrInconsistentShares
			}
		}
		at := slices.Index(points, x)
		if at < 0 || off >= 0 && off != at {
			return 0, ErrInconsistentShares
		}
		off = at
	}
	return off, nil
}
