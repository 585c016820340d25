package secagg

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// generator is a stream of pseudorandom bits: AES in counter mode from zero
// under a key that is used for nothing else.
type generator struct {
	stream cipher.Stream
	buffer [4096]byte
	next   int
}

// counterMode is AES in counter mode from zero.
func counterMode(key []byte) cipher.Stream {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("secagg: " + err.Error()) // the key's length is wrong
	}
	return cipher.NewCTR(block, make([]byte, aes.BlockSize))
}

func newGenerator(key []byte) *generator { return streamGenerator(counterMode(key)) }

func streamGenerator(stream cipher.Stream) *generator {
	g := &generator{stream: stream}
	g.next = len(g.buffer)
	return g
}

// secretGenerator seeds a generator of secrets with 32 bytes of random, which
// outside of tests is crypto/rand.
func secretGenerator(random io.Reader) (*generator, error) {
	var key [32]byte
	defer clear(key[:])
	if _, err := io.ReadFull(random, key[:]); err != nil {
		return nil, fmt.Errorf("read randomness of the operating system: %w", err)
	}
	return newGenerator(key[:]), nil
}

func (g *generator) refill() {
	clear(g.buffer[:])
	g.stream.XORKeyStream(g.buffer[:], g.buffer[:])
	g.next = 0
}

func (g *generator) uint64() uint64 {
	if g.next+8 > len(g.buffer) {
		g.refill()
	}
	v := binary.LittleEndian.Uint64(g.buffer[g.next:])
	clear(g.buffer[g.next : g.next+8])
	g.next += 8
	return v
}

// fill yields the words of the stream that fill out, little-endian: of 8 bytes,
// as calls of uint64 would, or of 2. The length of out is a multiple of word.
func (g *generator) fill(out []byte, word int) {
	for len(out) > 0 {
		if g.next+word > len(g.buffer) {
			g.wipe() // what is left is less than a word, and skipped
			if whole := len(out) / len(g.buffer) * len(g.buffer); whole > 0 {
				clear(out[:whole])
				g.stream.XORKeyStream(out[:whole], out[:whole])
				out = out[whole:]
				continue
			}
			g.refill()
		}
		n := copy(out, g.buffer[g.next:len(g.buffer)-(len(g.buffer)-g.next)%word])
		clear(g.buffer[g.next : g.next+n])
		g.next += n
		out = out[n:]
	}
}

// wipe forgets what was drawn ahead. The key schedule inside crypto/aes is out
// of reach; it is garbage once the generator is.
func (g *generator) wipe() { clear(g.buffer[:]); g.next = len(g.buffer) }

// uniform fills out with integers uniform in [0, p): as many low bits of each
// 64-bit draw as p has, drawn again when not below p.
func (g *generator) uniform(out []uint64, p uint64) {
	mask := uint64(1)<<bits.Len64(p-1) - 1
	for k := range out {
		v := g.uint64() & mask
		for v >= p {
			v = g.uint64() & mask
		}
		out[k] = v
	}
}

// publicElements are the public ring elements a of a round. Nobody chooses them:
// the round id is a digest over a plan that fixes everything. What is here is
// HKDF's pseudorandom key.
type publicElements struct{ key []byte }

func newPublicElements(round [32]byte) publicElements {
	key, err := hkdf.Extract(sha256.New, round[:], nil)
	if err != nil {
		panic("secagg: " + err.Error()) // 32 bytes are enough
	}
	return publicElements{key}
}

// stream is the key stream of the element of a (chunk, prime).
func (e publicElements) stream(chunk, prime int) cipher.Stream {
	info := []byte("consilium secure sum, public element a")
	info = binary.BigEndian.AppendUint32(info, uint32(chunk))
	info = binary.BigEndian.AppendUint32(info, uint32(prime))
	key, err := hkdf.Expand(sha256.New, e.key, string(info), 16)
	if err != nil {
		panic("secagg: " + err.Error()) // 16 bytes are never too many
	}
	return counterMode(key)
}

// generator is the generator of the element of a (chunk, prime).
func (e publicElements) generator(chunk, prime int) *generator {
	return streamGenerator(e.stream(chunk, prime))
}
