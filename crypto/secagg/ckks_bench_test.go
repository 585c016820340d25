package secagg

import (
	"testing"

	"github.com/tuneinsight/lattigo/v5/core/rlwe"
	"github.com/tuneinsight/lattigo/v5/schemes/ckks"
)

// BenchmarkLattigoCKKS is the homomorphic encryption that federated learning
// frameworks ship today, in the library that this package is built on: CKKS,
// N = 8192, scale 2^40, ciphertexts modulo a 60-bit and a 40-bit prime, 4096
// values to a ciphertext, under one secret key that all sites hold. NVIDIA
// FLARE configures SEAL with 60/40/40; there the third prime is for switching
// keys and never enters a ciphertext. Of the two only the public-key variant
// needs it, for the noise that it divides away.
//
// seal goes from float64 values to the bytes that travel; aggregate takes one
// more ciphertext as it came over the wire; open decrypts and decodes.
func BenchmarkLattigoCKKS(b *testing.B) {
	symmetric := newCKKS(b, nil)
	b.Run("seal", symmetric.seal)
	b.Run("aggregate", symmetric.aggregate)
	b.Run("open", symmetric.open)
	b.Run("seal-public-key", newCKKS(b, []int{40}).seal)
}

type ckksBench struct {
	encoder   *ckks.Encoder
	encryptor *rlwe.Encryptor
	decryptor *rlwe.Decryptor
	evaluator *ckks.Evaluator
	plain     *rlwe.Plaintext
	encrypted *rlwe.Ciphertext
	values    []float64
}

// newCKKS encrypts with the secret key, or with the public key where there is
// an auxiliary prime.
func newCKKS(b *testing.B, auxiliary []int) *ckksBench {
	b.Helper()
	params, err := ckks.NewParametersFromLiteral(ckks.ParametersLiteral{LogN: 13, LogQ: []int{60, 40}, LogP: auxiliary, LogDefaultScale: 40})
	if err != nil {
		b.Fatal(err)
	}
	secret, public := ckks.NewKeyGenerator(params).GenKeyPairNew()
	c := &ckksBench{
		encoder: ckks.NewEncoder(params), decryptor: ckks.NewDecryptor(params, secret), evaluator: ckks.NewEvaluator(params, nil),
		plain: ckks.NewPlaintext(params, params.MaxLevel()), encrypted: ckks.NewCiphertext(params, 1, params.MaxLevel()),
		values: benchValues(params.MaxSlots()),
	}
	if auxiliary == nil {
		c.encryptor = ckks.NewEncryptor(params, secret)
	} else {
		c.encryptor = ckks.NewEncryptor(params, public)
	}
	return c
}

func (c *ckksBench) encrypt(b *testing.B) []byte {
	if err := c.encoder.Encode(c.values, c.plain); err != nil {
		b.Fatal(err)
	}
	if err := c.encryptor.Encrypt(c.plain, c.encrypted); err != nil {
		b.Fatal(err)
	}
	wire, err := c.encrypted.MarshalBinary()
	if err != nil {
		b.Fatal(err)
	}
	return wire
}

func (c *ckksBench) seal(b *testing.B) {
	var wire []byte
	var watch stopwatch
	for b.Loop() {
		watch.begin()
		wire = c.encrypt(b)
	}
	watch.report(b, len(c.values), len(wire))
}

func (c *ckksBench) aggregate(b *testing.B) {
	wire := c.encrypt(b)
	sum := c.encrypted.CopyNew()
	next := c.encrypted.CopyNew()
	var watch stopwatch
	for b.Loop() {
		watch.begin()
		if err := next.UnmarshalBinary(wire); err != nil {
			b.Fatal(err)
		}
		if err := c.evaluator.Add(sum, next, sum); err != nil {
			b.Fatal(err)
		}
	}
	watch.report(b, len(c.values), len(wire))
}

func (c *ckksBench) open(b *testing.B) {
	c.encrypt(b)
	opened := make([]float64, len(c.values))
	var watch stopwatch
	for b.Loop() {
		watch.begin()
		c.decryptor.Decrypt(c.encrypted, c.plain)
		if err := c.encoder.Decode(c.plain, opened); err != nil {
			b.Fatal(err)
		}
	}
	for i, v := range opened {
		if d := v - c.values[i]; d > 0.01 || d < -0.01 {
			b.Fatalf("value %d is off by %v", i, d)
		}
	}
	watch.report(b, len(c.values), 0)
}
