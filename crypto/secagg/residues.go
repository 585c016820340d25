package secagg

import (
	"encoding/binary"
	"fmt"
)

// A chunk on the wire is, for every prime in turn, its N residues of 53 bits
// each, lowest bit first, without padding: residue k of a prime, element k of
// the transformed polynomial, occupies bits 53k to 53k+52 of that prime's bytes. N is a multiple of 64, so 64 residues
// fill 53 little-endian 64-bit words exactly.

const residueMask = 1<<residueBits - 1

// packResidues writes residues, a multiple of 64 of them, to out.
func packResidues(residues []uint64, out []byte) {
	var word uint64
	var have uint // bits in word
	for _, r := range residues {
		word |= r << have
		have += residueBits
		if have >= 64 {
			binary.LittleEndian.PutUint64(out, word)
			out = out[8:]
			have -= 64
			word = r >> (residueBits - have)
		}
	}
}

func addResiduesPlain(in []byte, sums []uint64, p uint64) error {
	var word uint64
	var have uint
	for k := range sums {
		r := word
		if have < residueBits {
			next := binary.LittleEndian.Uint64(in)
			in = in[8:]
			r |= next << have
			word = next >> (residueBits - have)
			have += 64 - residueBits
		} else {
			word >>= residueBits
			have -= residueBits
		}
		if r &= residueMask; r >= p {
			return fmt.Errorf("%w: residue %d is not below its prime", ErrMalformed, k)
		}
		sums[k] += r
	}
	return nil
}

// addChunk checks a chunk and adds its residues to sums, prime after prime.
// The sums are meaningless after an error.
func (s *suite) addChunk(chunk []byte, sums []uint64) error {
	if len(chunk) != s.chunkBytes() {
		return fmt.Errorf("%w: chunk of %d bytes, needs %d", ErrMalformed, len(chunk), s.chunkBytes())
	}
	size := s.chunkBytes() / len(s.primes)
	for i, p := range s.primes {
		if err := addResidues(chunk[i*size:(i+1)*size], sums[i*s.degree:(i+1)*s.degree], p.p); err != nil {
			return fmt.Errorf("prime %d: %w", i, err)
		}
	}
	return nil
}

// checkChunk checks a chunk without keeping its residues.
func (s *suite) checkChunk(chunk []byte) error {
	var sink [64]uint64
	if len(chunk) != s.chunkBytes() {
		return fmt.Errorf("%w: chunk of %d bytes, needs %d", ErrMalformed, len(chunk), s.chunkBytes())
	}
	const group = 64 * residueBits / 8
	perPrime := s.degree / len(sink)
	for i := 0; len(chunk) > 0; i++ {
		if err := addResidues(chunk[:group], sink[:], s.primes[i/perPrime].p); err != nil {
			return fmt.Errorf("prime %d, group %d: %w", i/perPrime, i%perPrime, err)
		}
		chunk = chunk[group:]
		clear(sink[:])
	}
	return nil
}
