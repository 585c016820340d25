package secagg

import (
	"fmt"
	"slices"
)

// Supermajority is the default threshold of a committee of m: floor(2m/3) + 1.
func Supermajority(m int) int { return 2*m/3 + 1 }

// RoundSpec is what a plan says about the secure sum of its round.
type RoundSpec struct {
	ID        [32]byte // digest of the plan; fixes the public randomness
	Suite     string   // must be what SelectSuite says
	Layout    Layout
	Invited   int // sites; the most that can contribute
	Committee int // sites that hold key shares
	Threshold int // committee members needed to open
}

// Round is a checked specification, ready to seal, add and open. It is
// immutable and safe for concurrent use.
type Round struct {
	spec    RoundSpec
	packing *packing
	*arithmetic
}

// NewRound checks a specification.
func NewRound(spec RoundSpec) (*Round, error) {
	spec.Layout = slices.Clone(spec.Layout)
	suite, err := SelectSuite(spec.Layout, spec.Invited, spec.Committee, spec.Threshold)
	if err != nil {
		return nil, err
	}
	if spec.Suite != suite {
		if _, err := suiteNamed(spec.Suite); err != nil {
			return nil, err
		}
		return nil, &SpecError{"suite", fmt.Sprintf("the plan says %s, its layout calls for %s", spec.Suite, suite)}
	}
	a := arithmetics[suite]()
	return &Round{spec: spec, packing: newPacking(spec.Layout, spec.Invited, a.suite), arithmetic: a}, nil
}

// Chunks is the number of ciphertext chunks of a contribution.
func (r *Round) Chunks() int { return r.packing.chunks }

// ChunkBytes is the length of every chunk.
func (r *Round) ChunkBytes() int { return r.chunkBytes() }

// ShareBytes is the length of every key share and opening share.
func (r *Round) ShareBytes() int { return r.shareBytes() }

// Agreed is for how many members of the committee, the first in its order, a
// contributor may agree on a share instead of sending it: one fewer than open.
func (r *Round) Agreed() int { return r.spec.Threshold - 1 }

// AgreedShare is the key share that a seed stands for.
func (r *Round) AgreedShare(seed [SeedBytes]byte) []byte {
	share := make([]byte, r.ShareBytes())
	fillFromSeed(seed, share)
	return share
}

// CheckChunk refuses bytes that are not a chunk: wrong length, or a residue
// that is not below its prime.
func (r *Round) CheckChunk(chunk []byte) error { return r.checkChunk(chunk) }

// CheckShare refuses bytes that are not a key share or opening share: wrong
// length, or an element outside the field.
func (r *Round) CheckShare(share []byte) error { return r.checkShare(share) }

// Contribution is what a site sends. Shares[j] is the plain share of the key
// for committee member j and MUST be sealed to that member before it leaves; of a
// contribution with seeds, they begin with the first member that has none.
type Contribution struct {
	Chunks [][]byte
	Shares [][]byte
}

// Wipe overwrites the key shares, for use once they are sealed.
func (c *Contribution) Wipe() {
	for _, s := range c.Shares {
		clear(s)
	}
}
