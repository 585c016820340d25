package secagg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
)

// Shamir's scheme, coefficient by coefficient, over the field of the prime
// 65521, the largest of 16 bits: member j, counted from 0, holds the value at
// point j + 1 of a polynomial of degree t - 1 whose value at 0 is the secret.
// Shares are additive, and t of them determine the polynomial. A share on the
// wire is N little-endian 16-bit elements.
//
// Fewer than t shares say nothing about the secret whatever the field's size, as
// long as it has a point other than 0 for every member: MaxInvited are far fewer.
// What the size decides is which sums can be told apart (see sumBound).
const shamirPrime = 1<<16 - 15

func mulField(a, b uint64) uint64 { return reduceField(a * b) }

// reduceField brings x < 2^32 below the prime, modulo which 2^16 is 15: without
// a division or a branch.
func reduceField(x uint64) uint64 {
	x = x&0xffff + 15*(x>>16) // below 2^20
	x = x&0xffff + 15*(x>>16) // below 2^16 + 2^8
	return subtractPrime(x)
}

// subtractPrime brings x < 2 * shamirPrime below the prime, without a branch.
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

// element is the k-th element of a share.
func element(share []byte, k int) uint64 { return uint64(binary.LittleEndian.Uint16(share[2*k:])) }

func setElement(share []byte, k int, v uint64) { binary.LittleEndian.PutUint16(share[2*k:], uint16(v)) }

// fieldElements fills out with uniform elements of the field: 16 bits of the
// stream each, drawn again when not below the prime. Which draws those are says
// nothing about the others.
func (g *generator) fieldElements(out []byte) {
	for len(out) > 0 {
		g.fill(out, 2)
		out = out[withinField(out):]
	}
}

// withinField moves the draws that are below the prime to the front, in order,
// and says how many bytes they fill.
func withinField(draws []byte) int {
	n := 0
	for k := 0; k < len(draws); {
		if k+8 <= len(draws) {
			if x := binary.LittleEndian.Uint64(draws[k:]); fourInField(x) {
				binary.LittleEndian.PutUint64(draws[n:], x)
				n, k = n+8, k+8
				continue
			}
		}
		for end := min(k+8, len(draws)); k < end; k += 2 {
			v := binary.LittleEndian.Uint16(draws[k:])
			binary.LittleEndian.PutUint16(draws[n:], v)
			if v < shamirPrime {
				n += 2
			}
		}
	}
	return n
}

// shareKey shares each coefficient of a key among the committee. A polynomial of
// degree t - 1 is any t of its values: the secret at 0, and what the members at
// 1 .. t-1 hold, which is uniform and independent of the secret. So those shares
// are chosen first, the ones that the seeds stand for and then random ones, and
// the others follow. It returns the shares that no seed stands for.
func shareKey(key []int64, committee, threshold int, random *generator, seeds ...[SeedBytes]byte) [][]byte {
	// Secrets and what seeds stand for are nobody's after this call. Their rows do
	// not begin a power of two of bytes after one another, where all would share a
	// few lines of the cache.
	const apart = 128
	rows, size := make([][]byte, threshold), 2*len(key)
	private := scratch(len(seeds)+1, size+apart)
	defer private.release()
	for i := range rows {
		if i <= len(seeds) {
			rows[i] = private.bytes[i*(size+apart):][:size:size]
		} else {
			rows[i] = make([]byte, size)
			random.fieldElements(rows[i])
		}
	}
	for k, s := range key {
		setElement(rows[0], k, residue(s, shamirPrime))
	}
	for i, seed := range seeds {
		fillFromSeed(seed, rows[i+1])
	}
	shares := append(make([][]byte, 0, committee), rows[1:]...)
	for j := len(shares); j < committee; j++ {
		share := make([]byte, size)
		kernel.combine(extrapolation(threshold, j+1), rows, share)
		shares = append(shares, share)
	}
	return shares[len(seeds):]
}

// scratchMemory is memory for secrets that do not leave a call. It is used again,
// and zero in between.
type scratchMemory struct{ bytes []byte }

var scratches sync.Pool

func scratch(rows, size int) *scratchMemory {
	m, _ := scratches.Get().(*scratchMemory)
	if m == nil || cap(m.bytes) < rows*size {
		m = &scratchMemory{make([]byte, rows*size)}
	}
	m.bytes = m.bytes[:rows*size]
	return m
}

func (m *scratchMemory) release() {
	clear(m.bytes)
	scratches.Put(m)
}

// SeedBytes is the length of a seed that stands for a key share.
const SeedBytes = 32

// fillFromSeed fills a share with what a seed stands for: the elements that
// AES-256 in counter mode from zero draws.
func fillFromSeed(seed [SeedBytes]byte, share []byte) {
	stream := counterMode(seed[:])
	for rest := share; len(rest) > 0; rest = rest[withinField(rest):] {
		clear(rest)
		stream.XORKeyStream(rest, rest)
	}
}

// extrapolation returns the weights that turn the values of a polynomial of
// degree below n at 0 .. n-1 into its value at x >= n:
//
//	w_i = (-1)^(n-1-i) * C(x, i) * C(x-i-1, n-1-i),
//
// which is Lagrange's formula at consecutive points.
func extrapolation(n, x int) []uint32 {
	weights := make([]uint32, n)
	for i := range weights {
		w := mulField(binomial(x, i), binomial(x-i-1, n-1-i))
		if (n-1-i)%2 != 0 {
			w = subtractPrime(shamirPrime - w)
		}
		weights[i] = uint32(w)
	}
	return weights
}

// binomial is C(n, k) in the field, for n of up to MaxInvited.
func binomial(n, k int) uint64 {
	f := factorials()
	return mulField(f.of[n], mulField(f.inverse[k], f.inverse[n-k]))
}

// factorialTable holds n! and its inverse in the field.
type factorialTable struct{ of, inverse [MaxInvited + 1]uint64 }

var factorials = sync.OnceValue(func() *factorialTable {
	f := new(factorialTable)
	f.of[0], f.inverse[0] = 1, 1
	for n := uint64(1); n <= MaxInvited; n++ {
		f.of[n] = mulField(f.of[n-1], n)
		f.inverse[n] = inverseField(f.of[n])
	}
	return f
})

// combinePlain is the sum of the rows, each times its weight: at most MaxInvited
// of them, so that a sum is below 2^42. 2^16 is 15.
func combinePlain(weights []uint32, rows [][]byte, out []byte) {
	for k := range len(out) / 2 {
		var v uint64
		for i, w := range weights {
			v += uint64(w) * element(rows[i], k)
		}
		setElement(out, k, reduceField(v&0xffff+15*(v>>16))) // below 2^31
	}
}

// checkShare checks a share's length and that every element is in the field.
func (s *suite) checkShare(share []byte) error {
	if len(share) != s.shareBytes() {
		return fmt.Errorf("%w: share of %d bytes, needs %d", ErrMalformed, len(share), s.shareBytes())
	}
	for k := 0; k < s.degree; k += 4 {
		if fourInField(binary.LittleEndian.Uint64(share[2*k:])) {
			continue
		}
		for element(share, k) < shamirPrime {
			k++
		}
		return fmt.Errorf("%w: element %d is not in the field", ErrMalformed, k)
	}
	return nil
}

// fourInField reports whether the four elements in a word are below the prime:
// one that is not has its top bit set, and what is under that carries into it.
func fourInField(x uint64) bool {
	const (
		top   = 0x8000_8000_8000_8000
		below = 0x000f_000f_000f_000f // 2^16 - shamirPrime in each lane
	)
	return (x&^top+below)&x&top == 0
}

// lagrange returns the weights that turn values of a polynomial of degree
// below len(points) at the points into its value at x. Points are distinct and
// not 0, which would be the secret itself.
func lagrange(points []uint64, x uint64) ([]uint32, error) {
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
	weights := make([]uint32, len(points))
	for i, p := range points {
		over, under := uint64(1), uint64(1)
		for j, o := range points {
			if j != i {
				over = mulField(over, subtractPrime(x+shamirPrime-o))
				under = mulField(under, subtractPrime(p+shamirPrime-o))
			}
		}
		weights[i] = uint32(mulField(over, inverseField(under)))
	}
	return weights, nil
}

// onPolynomial reports whether all shares lie on one polynomial of degree below
// threshold: whether those beyond are what the first ones make them.
func onPolynomial(points []uint64, shares [][]byte, threshold int) (bool, error) {
	want := make([]byte, len(shares[0]))
	for i := threshold; i < len(points); i++ {
		weights, err := lagrange(points[:threshold], points[i])
		if err != nil {
			return false, err
		}
		kernel.combine(weights, shares[:threshold], want)
		if !bytes.Equal(shares[i], want) {
			return false, nil
		}
	}
	return true, nil
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
// Two codewords differ in more places than there are shares to spare. So as many
// wrong shares as there are to spare, or fewer, are seen with certainty, in a field of any
// size; more of them, wrong by chance, pass a coefficient with probability
// p^-spare, and by agreement always: then the bounds on key and noise decide.
//
// It names the right member while one member lies. Of several wrong ones, with
// just two shares to spare, it could name a third: if they lie together, or by
// chance, once in p / shares.
func offPolynomial(points []uint64, shares [][]byte, threshold int) (int, error) {
	spare := len(points) - threshold
	if lie, err := onPolynomial(points, shares, threshold); lie || err != nil {
		return -1, err
	}
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
	for k := range len(shares[0]) / 2 {
		clear(syndromes)
		for i, share := range shares {
			y := element(share, k)
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
