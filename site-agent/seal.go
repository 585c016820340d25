package siteagent

import (
	"errors"

	"github.com/consilium-fl/consilium/crypto/secagg"
)

// Sealer encrypts a vector: it gives the chunks to emit one by one, in order,
// whose bytes are emit's until it returns, and returns the plain key shares of the
// committee's members, but for the first ones, for whose shares the seeds stand.
// After an error what was emitted belongs to no contribution.
type Sealer func(r *secagg.Round, values []float64, emit func(chunk int, ciphertext []byte) error, seeds ...[secagg.SeedBytes]byte) (shares [][]byte, err error)

var errVectorLength = errors.New("the vector's length is not that of the plan's layout; the computation and the plan disagree")

// Seal is the Sealer of every agent in production.
func Seal(r *secagg.Round, values []float64, emit func(chunk int, ciphertext []byte) error, seeds ...[secagg.SeedBytes]byte) (shares [][]byte, err error) {
	rest := values
	shares, err = r.SealStream(func(next []float64) error {
		if len(next) > len(rest) {
			return errVectorLength
		}
		rest = rest[copy(next, rest):]
		return nil
	}, emit, seeds...)
	if err == nil && len(rest) > 0 {
		for _, share := range shares {
			clear(share)
		}
		return nil, errVectorLength
	}
	return shares, err
}
