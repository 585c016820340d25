package secagg

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"testing/iotest"
)

// scripted is a generator that yields the given words first.
func scripted(words ...uint64) *generator {
	g := testGenerator(0)
	g.next = len(g.buffer) - 8*len(words)
	for i, w := range words {
		binary.LittleEndian.PutUint64(g.buffer[g.next+8*i:], w)
	}
	return g
}

// The key stream is AES in counter mode from zero: NIST SP 800-38A's block
// cipher, each block the encryption of its own number.
func TestGeneratorIsAESCounterMode(t *testing.T) {
	key := make([]byte, 32)
	key[0] = 7
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	g := testGenerator(7)
	for i := range uint64(1000) { // past several refills
		var in, out [16]byte
		binary.BigEndian.PutUint64(in[8:], i)
		block.Encrypt(out[:], in[:])
		if a, b := g.uint64(), g.uint64(); a != binary.LittleEndian.Uint64(out[:]) || b != binary.LittleEndian.Uint64(out[8:]) {
			t.Fatalf("block %d differs", i)
		}
	}
	g.uint64()
	g.wipe()
	if !bytes.Equal(g.buffer[:], make([]byte, len(g.buffer))) {
		t.Error("wipe left key stream behind")
	}
}

func TestGeneratorForgetsWhatItGave(t *testing.T) {
	g := testGenerator(3)
	g.uint64()
	g.uint32()
	if !bytes.Equal(g.buffer[:12], make([]byte, 12)) {
		t.Error("words given out are still in the buffer")
	}
}

func TestSecretGeneratorNeedsRandomness(t *testing.T) {
	broken := errors.New("no entropy")
	if _, err := secretGenerator(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := secretGenerator(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("a short read was accepted")
	}
}

func TestUniformRejects(t *testing.T) {
	// Of the low seven bits, 97 and above are drawn again.
	out := make([]uint64, 3)
	scripted(97, 127, 96, 128+97, 1<<63|5, 0).uniform(out, 97)
	if out[0] != 96 || out[1] != 5 || out[2] != 0 {
		t.Errorf("got %v", out)
	}
	const p, samples = 97, 97 * 5000
	counts := make([]float64, p)
	many := make([]uint64, samples)
	testGenerator(2).uniform(many, p)
	for _, v := range many {
		counts[v]++
	}
	checkChiSquare(t, "uniform mod 97", chiSquare(counts, 5000), p-1)
}

func TestFieldElementRejectsThePrime(t *testing.T) {
	g := scripted(0xffffffff_ffffffff, 0xfffffffc_00000003) // 2^31-1 twice, then 1 and 2^31-2
	if a, b := g.fieldElement(), g.fieldElement(); a != 1 || b != shamirPrime-1 {
		t.Errorf("got %d and %d", a, b)
	}
}

// a is AES-128 in counter mode under HKDF-SHA-256 (RFC 5869) of the round id,
// chunk and prime: written out here from HMAC.
func TestPublicElementDerivation(t *testing.T) {
	round := [32]byte{1, 2, 3}
	for _, at := range [][2]int{{0, 0}, {0, 1}, {1, 0}, {70000, 3}} {
		mac := func(key []byte, parts ...[]byte) []byte {
			h := hmac.New(sha256.New, key)
			for _, p := range parts {
				h.Write(p)
			}
			return h.Sum(nil)
		}
		info := []byte("consilium secure sum, public element a")
		info = binary.BigEndian.AppendUint32(info, uint32(at[0]))
		info = binary.BigEndian.AppendUint32(info, uint32(at[1]))
		key := mac(mac(make([]byte, 32), round[:]), info, []byte{1})[:16]
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		var first [16]byte
		block.Encrypt(first[:], first[:])
		g := maskGenerator(round, at[0], at[1])
		if got := g.uint64(); got != binary.LittleEndian.Uint64(first[:]) {
			t.Errorf("chunk %d, prime %d: %x, want %s", at[0], at[1], got, hex.EncodeToString(first[:8]))
		}
	}
}

func TestPublicElementsDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	for round := range byte(4) {
		for chunk := range 300 {
			for prime := range maxPrimes {
				v := maskGenerator([32]byte{round}, chunk, prime).uint64()
				if seen[v] {
					t.Fatalf("round %d, chunk %d, prime %d repeats another's", round, chunk, prime)
				}
				seen[v] = true
			}
		}
	}
}
