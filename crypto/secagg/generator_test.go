package secagg

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
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

// draw16 is the stream's next 16 bits.
func (g *generator) draw16() uint64 {
	var b [2]byte
	g.fill(b[:], 2)
	return element(b[:], 0)
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
	g.draw16()
	if !bytes.Equal(g.buffer[:10], make([]byte, 10)) {
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

// From 16 uniform bits comes every element of the field exactly once, and
// nothing else: the elements are uniform because the stream is.
func TestFieldElementsAreUnbiased(t *testing.T) {
	draws := make([]byte, 2<<16)
	for k := range 1 << 16 {
		setElement(draws, k, uint64(k))
	}
	if n := withinField(draws); n != 2*shamirPrime {
		t.Fatalf("%d draws are kept, want %d", n/2, shamirPrime)
	}
	for k := range shamirPrime {
		if element(draws, k) != uint64(k) {
			t.Fatalf("draw %d is given as %d", k, element(draws, k))
		}
	}
}

// Draws that are not below the prime are left out wherever they stand among
// others, and the order stays.
func TestFieldElementsLeaveOutWhatIsNotBelowThePrime(t *testing.T) {
	edges := []uint64{0, 1, 14, 15, 16, 0x7ff0, 0x7ff1, 0x7fff, 0x8000, 0x8001, 0xfff0, 0xfff1, 0xfff2, 0xffff}
	random := rand.New(rand.NewPCG(5, 6))
	for n := range 24 {
		for range 2000 {
			draws := make([]byte, 2*n)
			var want []uint64
			for k := range n {
				v := edges[random.IntN(len(edges))]
				if random.IntN(3) == 0 {
					v = random.Uint64N(1 << 16)
				}
				setElement(draws, k, v)
				if v < shamirPrime {
					want = append(want, v)
				}
			}
			before := hex.EncodeToString(draws)
			if kept := withinField(draws); kept != 2*len(want) {
				t.Fatalf("%s: %d bytes are kept, want %d", before, kept, 2*len(want))
			}
			for k, v := range want {
				if element(draws, k) != v {
					t.Fatalf("%s: element %d is %d, want %d", before, k, element(draws, k), v)
				}
			}
		}
	}
}

// However many are asked for at a time, the elements are those of the stream,
// one by one.
func TestFieldElementsAreTheStreams(t *testing.T) {
	script := []uint64{0xffff_fff1_fff0_0001, 0xffff_ffff_ffff_ffff, 0xfff5_0002_fff2_0003}
	whole, parts, single := scripted(script...), scripted(script...), scripted(script...)
	want := make([]byte, 2*20000)
	whole.fieldElements(want)
	for k := range len(want) / 2 {
		v := single.draw16()
		for v >= shamirPrime {
			v = single.draw16()
		}
		if element(want, k) != v {
			t.Fatalf("element %d is %d, want %d", k, element(want, k), v)
		}
	}
	var got []byte
	for n := 0; len(got) < len(want); n++ {
		part := make([]byte, min(2*n, len(want)-len(got)))
		parts.fieldElements(part)
		got = append(got, part...)
	}
	if !bytes.Equal(got, want) {
		t.Error("in parts come other elements")
	}
	if a, b := whole.draw16(), single.draw16(); a != b || a != parts.draw16() {
		t.Error("what is drawn next differs")
	}
}

func TestFieldElementsLookUniform(t *testing.T) {
	const each = 40
	b := make([]byte, 2*each*shamirPrime)
	testGenerator(6).fieldElements(b)
	counts := make([]float64, shamirPrime)
	for k := range len(b) / 2 {
		counts[element(b, k)]++
	}
	checkChiSquare(t, "field elements", chiSquare(counts, each), shamirPrime-1)
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
		g := newPublicElements(round).generator(at[0], at[1])
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
				v := newPublicElements([32]byte{round}).generator(chunk, prime).uint64()
				if seen[v] {
					t.Fatalf("round %d, chunk %d, prime %d repeats another's", round, chunk, prime)
				}
				seen[v] = true
			}
		}
	}
}
