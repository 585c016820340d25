package secagg

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// AddShares is a committee member's part: the sum of its plain key shares, one
// from each contributor of the announced set. A share that is not one is a
// *ShareError. That the set is big enough, and the only one ever answered for
// the round, is the caller's to know.
func (r *Round) AddShares(shares [][]byte) ([]byte, error) {
	if err := r.checkContributors(len(shares)); err != nil {
		return nil, err
	}
	for i, share := range shares {
		if err := r.checkShare(share); err != nil {
			return nil, &ShareError{Index: i, Err: err}
		}
	}
	return addShares(shares), nil
}

// addShares adds elements of the field, four at a time: two and two in the
// halves of a word, where at most MaxInvited of them are below 2^26.
func addShares(shares [][]byte) []byte {
	const halves = 0x0000_ffff_0000_ffff
	out := make([]byte, len(shares[0]))
	for at := 0; at < len(out); at += 8 {
		var even, odd uint64
		for _, share := range shares {
			x := binary.LittleEndian.Uint64(share[at:])
			even += x & halves
			odd += x >> 16 & halves
		}
		k := at / 2
		setElement(out, k, reduceField(even&0xffff_ffff))
		setElement(out, k+1, reduceField(odd&0xffff_ffff))
		setElement(out, k+2, reduceField(even>>32))
		setElement(out, k+3, reduceField(odd>>32))
	}
	return out
}

func (r *Round) checkContributors(n int) error {
	if n < 2 {
		return ErrTooFewContributors
	}
	if n > r.spec.Invited {
		return fmt.Errorf("%d contributors of %d invited sites", n, r.spec.Invited)
	}
	return nil
}

// Open opens the sum of the contributions. It asks read for every chunk of
// every contributor, chunk by chunk, and keeps one at a time. openings maps
// committee indices, from 0, to opening shares; those beyond the threshold are
// checked against it.
//
// Errors: ErrTooFewShares; *MemberError for an opening share that is malformed
// or off the polynomial; *ChunkError for a chunk that is malformed or cannot be
// read; and the ErrIntegrity family, after which the round is over for good.
func (r *Round) Open(contributors int, read func(contributor, chunk int) ([]byte, error), openings map[int][]byte) (*Sum, error) {
	if err := r.checkContributors(contributors); err != nil {
		return nil, err
	}
	key, err := r.openKey(contributors, openings)
	if err != nil {
		return nil, err
	}
	sumKey := r.keyTransform(key)
	defer sumKey.wipe()

	sum, bound := r.newSum(contributors), sumBound(contributors)
	sums := make([]uint64, len(r.primes)*r.degree)
	message := make([]uint64, r.degree*r.packing.words)
	for chunk := range r.packing.chunks {
		clear(sums)
		for i := range contributors {
			b, err := read(i, chunk)
			if err == nil {
				err = r.addChunk(b, sums)
			}
			if err != nil {
				return nil, &ChunkError{Contributor: i, Chunk: chunk, Err: err}
			}
		}
		if !sumKey.decrypt(chunk, bound, sums, message) {
			return nil, fmt.Errorf("chunk %d: %w", chunk, ErrNoiseOverflow)
		}
		if err := r.packing.decode(chunk, contributors, message, sum.fields); err != nil {
			return nil, fmt.Errorf("chunk %d: %w", chunk, err)
		}
	}
	return sum, nil
}

// openKey interpolates the sum of the contributors' keys and checks that it can
// be one.
func (r *Round) openKey(contributors int, openings map[int][]byte) ([]int64, error) {
	if len(openings) < r.spec.Threshold {
		return nil, fmt.Errorf("%w: %d of %d", ErrTooFewShares, len(openings), r.spec.Threshold)
	}
	members := slices.Sorted(maps.Keys(openings))
	points := make([]uint64, len(members))
	shares := make([][]byte, len(members))
	for i, m := range members {
		if m < 0 || m >= r.spec.Committee {
			return nil, &MemberError{Member: m, Err: fmt.Errorf("%w: the committee has %d members", ErrMalformed, r.spec.Committee)}
		}
		if err := r.checkShare(openings[m]); err != nil {
			return nil, &MemberError{Member: m, Err: err}
		}
		points[i], shares[i] = uint64(m)+1, openings[m]
	}
	off, err := offPolynomial(points, shares, r.spec.Threshold)
	if err != nil {
		return nil, err
	}
	if off >= 0 {
		return nil, &MemberError{Member: members[off], Err: errOffPolynomial}
	}
	weights, err := lagrange(points[:r.spec.Threshold], 0)
	if err != nil {
		return nil, err
	}
	values := make([]byte, r.ShareBytes())
	kernel.combine(weights, shares[:r.spec.Threshold], values)
	key := make([]int64, r.degree)
	bound := sumBound(contributors)
	for k := range key {
		v := element(values, k)
		key[k] = int64(v)
		if v > shamirPrime/2 {
			key[k] -= shamirPrime
		}
		if key[k] < -bound || key[k] > bound {
			return nil, ErrKeyOverflow
		}
	}
	return key, nil
}
