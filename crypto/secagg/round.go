package secagg

import (
	"crypto/rand"
	"fmt"
	"io"
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
	suite, err := SelectSuite(spec.Layout, spec.Invited, spec.Committee)
	if err != nil {
		return nil, err
	}
	if spec.Suite != suite {
		if _, err := suiteNamed(spec.Suite); err != nil {
			return nil, err
		}
		return nil, &SpecError{"suite", fmt.Sprintf("the plan says %s, its layout calls for %s", spec.Suite, suite)}
	}
	// With 2t <= m two halves of the committee could open two different sets,
	// and the difference of two sums can be one site's vector.
	if spec.Threshold > spec.Committee || 2*spec.Threshold <= spec.Committee {
		return nil, &SpecError{"threshold", fmt.Sprintf("%d of a committee of %d; needs more than half and at most all", spec.Threshold, spec.Committee)}
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

// CheckChunk refuses bytes that are not a chunk: wrong length, or a residue
// that is not below its prime.
func (r *Round) CheckChunk(chunk []byte) error { return r.checkChunk(chunk) }

// CheckShare refuses bytes that are not a key share or opening share: wrong
// length, or an element outside the field.
func (r *Round) CheckShare(share []byte) error { return r.checkShare(share) }

// Contribution is what a site sends. Shares[j] is the plain share of the key
// for committee member j and MUST be sealed to that member before it leaves.
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

// Seal encrypts the values, in layout order, under a key drawn for this call
// alone. A value that is not finite or out of its field's bound is a
// *RangeError; nothing is ever clipped. Sealing twice gives two contributions
// under two keys: a site that could answer one round twice must keep the first.
func (r *Round) Seal(values []float64) (*Contribution, error) { return r.seal(values, rand.Reader) }

func (r *Round) seal(values []float64, random io.Reader) (*Contribution, error) {
	if err := r.packing.check(values); err != nil {
		return nil, err
	}
	secret, err := secretGenerator(random)
	if err != nil {
		return nil, err
	}
	defer secret.wipe()

	key := make([]int64, r.degree)
	defer clear(key)
	secret.gaussian(key)

	c := &Contribution{Shares: shareKey(key, r.spec.Committee, r.spec.Threshold, secret)}
	keyMont := r.keyTransform(key)
	defer clear(keyMont)
	noise := make([]int64, r.degree)
	defer clear(noise)
	c.Chunks = r.encrypt(values, keyMont, func() []int64 {
		secret.gaussian(noise)
		return noise
	})
	return c, nil
}

// Unencrypted makes a contribution with a key of zero and no noise: anybody can
// read it. It opens like any other. It exists for the simulator, which compares
// rounds with and without the cipher.
func Unencrypted(r *Round, values []float64) (*Contribution, error) {
	if err := r.packing.check(values); err != nil {
		return nil, err
	}
	c := &Contribution{Shares: make([][]byte, r.spec.Committee)}
	for j := range c.Shares {
		c.Shares[j] = make([]byte, r.ShareBytes())
	}
	noise := make([]int64, r.degree)
	c.Chunks = r.encrypt(values, make([]uint64, len(r.primes)*r.degree), func() []int64 { return noise })
	return c, nil
}

// keyTransform returns the key modulo every prime in NTT and Montgomery form.
func (r *Round) keyTransform(key []int64) []uint64 {
	out := make([]uint64, len(r.primes)*r.degree)
	for i, sr := range r.rings {
		k := out[i*r.degree : (i+1)*r.degree]
		for j, s := range key {
			k[j] = residue(s, sr.Modulus)
		}
		sr.NTT(k, k)
		sr.MForm(k, k)
	}
	return out
}

// encrypt makes the chunks a*s + e + 2^nu * message, in NTT form, which is
// additive in the key, the error and the message.
func (r *Round) encrypt(values []float64, keyMont []uint64, nextNoise func() []int64) [][]byte {
	message := make([]uint64, r.degree*r.packing.words)
	defer clear(message)
	work := make([]uint64, r.degree)
	defer clear(work)
	mask := make([]uint64, r.degree)
	size := r.chunkBytes() / len(r.primes)

	chunks := make([][]byte, r.packing.chunks)
	for c := range chunks {
		chunk := make([]byte, r.chunkBytes())
		r.packing.encode(c, values, message)
		noise := nextNoise()
		for i, sr := range r.rings {
			for k := range work {
				m := message[k*r.packing.words : (k+1)*r.packing.words]
				work[k] = subtractOnce(r.reduceMessage(m, i)+residue(noise[k], sr.Modulus), sr.Modulus)
			}
			sr.NTT(work, work)
			maskGenerator(r.spec.ID, c, i).uniform(mask, sr.Modulus)
			sr.MulCoeffsMontgomeryThenAdd(mask, keyMont[i*r.degree:(i+1)*r.degree], work)
			packResidues(work, chunk[i*size:(i+1)*size])
		}
		chunks[c] = chunk
	}
	return chunks
}

// subtractOnce brings x < 2p below p, without a branch.
func subtractOnce(x, p uint64) uint64 {
	x -= p
	return x + p&uint64(int64(x)>>63)
}
