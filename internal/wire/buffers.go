// Package wire is what both ends of a connection between members have in common
// beneath the calls: how the bytes get from a message to the network and back.
// Nothing in it changes a byte that travels.
//
// A round moves megabytes of ciphertext and sealed shares between parties who do
// little else with them, so that a needless pass over the bytes shows in what the
// round costs. It opens no connection and reads no message.
package wire

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/experimental"
)

// gRPC's own buffers come in five sizes and are cleared in full each time they are
// used: a message of 40 kB clears a megabyte first. These come in every power of
// two, and are not cleared, because every reader of theirs gets the bytes that
// were written before and no others. The codec of the messages can be given them
// in no other place than here.
func init() { experimental.SetDefaultBufferPool(pool) }

var pool = new(buffers)

const (
	smallest = 8  // 256 bytes
	largest  = 22 // 4 MB; a longer one is made for its message and left to the collector
)

// buffers are byte slices that are used again, by the power of two of their length.
type buffers struct{ sizes [largest + 1]sync.Pool }

// Get returns a buffer of a length, with anything in it.
func (p *buffers) Get(length int) *[]byte {
	size := max(smallest, bits.Len(uint(max(length, 1)-1)))
	if size > largest {
		made := make([]byte, length)
		return &made
	}
	used, ok := p.sizes[size].Get().(*[]byte)
	if !ok {
		made := make([]byte, 1<<size)
		used = &made
	}
	*used = (*used)[:length]
	return used
}

// Put takes a buffer back. The caller does not use it any more.
func (p *buffers) Put(used *[]byte) {
	size := bits.Len(uint(cap(*used))) - 1
	if size >= smallest && size <= largest && cap(*used) == 1<<size {
		p.sizes[size].Put(used)
	}
}
