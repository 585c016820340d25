package secagg

import (
	"crypto/rand"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// Seal encrypts the values, in layout order, under a key drawn for this call
// alone. A value that is not finite or out of its field's bound is a
// *RangeError; nothing is ever clipped. Sealing twice gives two contributions
// under two keys: a site that could answer one round twice must keep the first.
func (r *Round) Seal(values []float64) (*Contribution, error) { return r.seal(values, rand.Reader) }

func (r *Round) seal(values []float64, random io.Reader) (*Contribution, error) {
	if err := r.checkLength(values); err != nil {
		return nil, err
	}
	var c Contribution
	var err error
	c.Shares, err = r.sealChunks(random,
		func(from, to int) ([]float64, error) { return values[from:to], nil },
		func(*sealer) []byte { return make([]byte, r.ChunkBytes()) },
		func(_ int, chunk []byte) error { c.Chunks = append(c.Chunks, chunk); return nil })
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// SealStream is Seal for a vector that is never in memory as a whole. It calls
// read for the values in layout order, as many at a time as the slice it gives
// holds, and emit for every chunk in order; the bytes are emit's until it
// returns. Both are called from this goroutine, while others encrypt the next
// chunks. It needs memory for a chunk, or for two where there are processors to
// encrypt them at a time, whatever the vector's length.
//
// Seeds that the site has agreed on with the first members of the committee, one
// each and for this call alone, stand for those members' shares, which are then
// AgreedShare's and never sent; for how many members that can be, see Agreed. The
// other members' shares come last. After an error, of read, of emit or a *RangeError, the
// chunks so far belong to no contribution and are to be discarded.
func (r *Round) SealStream(read func(values []float64) error, emit func(chunk int, ciphertext []byte) error, seeds ...[SeedBytes]byte) (shares [][]byte, err error) {
	w, _ := windows.Get().(*window)
	if w == nil {
		w = new(window)
	}
	w.read = read
	defer w.wipe()
	return r.sealChunks(rand.Reader, w.slide, (*sealer).buffer, emit, seeds...)
}

// sealChunks seals the values that window gives, chunk by chunk, into bytes
// that buffer gives for the sealer whose turn it is, and shares the key.
func (r *Round) sealChunks(random io.Reader, window func(from, to int) ([]float64, error), buffer func(*sealer) []byte, emit func(int, []byte) error, seeds ...[SeedBytes]byte) ([][]byte, error) {
	if len(seeds) > r.Agreed() {
		return nil, fmt.Errorf("%d seeds where at most %d members hold a share that is agreed on", len(seeds), r.Agreed())
	}
	secret, err := secretGenerator(random)
	if err != nil {
		return nil, err
	}
	defer secret.wipe()
	key := make([]int64, r.degree)
	defer clear(key)
	secret.gaussian(key)
	shares := shareKey(key, r.spec.Committee, r.spec.Threshold, secret, seeds...)

	sealers := make([]*sealer, min(runtime.GOMAXPROCS(0), maxSealers, r.packing.chunks))
	for i := range sealers {
		sealers[i] = newSealer(r, key)
		defer sealers[i].wipe()
	}
	// They take turns: when one is due again, its last chunk goes out, and it
	// gets the next one as long as there are any.
	for c := range r.packing.chunks + len(sealers) {
		s, last := sealers[c%len(sealers)], c-len(sealers)
		if last >= 0 {
			s.wait()
			if err := emit(last, s.out); err != nil {
				return nil, err
			}
		}
		if c >= r.packing.chunks {
			continue
		}
		from, to := r.packing.span(c)
		values, err := window(from, to)
		if err != nil {
			return nil, err
		}
		if err := r.packing.check(from, values); err != nil {
			return nil, err
		}
		r.packing.encodeFrom(c, from, values, s.message)
		secret.gaussian(s.noise) // here and in order: the stream is one
		s.out = buffer(s)
		s.start(c)
	}
	return shares, nil
}

// maxSealers is as many as find something to do: preparing chunks, which stays on
// one goroutine, is about as much work as encrypting them.
const maxSealers = 2

// sealer encrypts a chunk at a time, apart from the goroutine that prepares
// chunks and hands them on.
type sealer struct {
	*arithmetic
	key     roundKey
	message []uint64
	noise   []int64
	own     []byte // as long as a chunk, once it is asked for
	out     []byte
	done    chan struct{} // nil when there is nothing to wait for
}

func newSealer(r *Round, key []int64) *sealer {
	s, _ := r.sealers.Get().(*sealer)
	if s == nil {
		s = &sealer{arithmetic: r.arithmetic, message: make([]uint64, r.degree*r.messageWords()), noise: make([]int64, r.degree)}
	}
	s.key = r.keyTransform(key)
	return s
}

// buffer is memory for one chunk after another.
func (s *sealer) buffer() []byte {
	if s.own == nil {
		s.own = make([]byte, s.chunkBytes())
	}
	return s.own
}

func (s *sealer) start(chunk int) {
	done := make(chan struct{})
	s.done = done
	go func() {
		defer close(done)
		s.key.encrypt(chunk, s.message, s.noise, s.out)
	}()
}

func (s *sealer) wait() {
	if s.done != nil {
		<-s.done
		s.done = nil
	}
}

// wipe leaves nothing secret, and the sealer to the next call.
func (s *sealer) wipe() {
	s.wait()
	s.key.wipe()
	clear(s.message)
	clear(s.noise)
	s.key, s.out = nil, nil
	s.sealers.Put(s)
}

func (r *Round) checkLength(values []float64) error {
	if len(values) != r.packing.values {
		return fmt.Errorf("%d values given for a layout of %d; the computation and the plan disagree", len(values), r.packing.values)
	}
	return nil
}

// windows are those that are done with, and hold nothing.
var windows sync.Pool

// window holds the values of one chunk.
type window struct {
	read   func([]float64) error
	values []float64
	to     int // one past the last value, counted from the vector's first
}

// slide moves the window to from .. to. The value of two chunks, if there is
// one, is kept; the others are new.
func (w *window) slide(from, to int) ([]float64, error) {
	keep := w.to - from
	if size := to - from; size > cap(w.values) {
		larger := make([]float64, size)
		copy(larger, w.values[len(w.values)-keep:])
		clear(w.values[:cap(w.values)])
		w.values = larger
	} else {
		copy(w.values[:keep], w.values[len(w.values)-keep:])
		w.values = w.values[:size]
	}
	if fresh := w.values[keep:]; len(fresh) > 0 {
		if err := w.read(fresh); err != nil {
			return nil, err
		}
	}
	w.to = to
	return w.values, nil
}

// wipe leaves no value, and the window to the next call.
func (w *window) wipe() {
	clear(w.values[:cap(w.values)])
	w.values, w.to, w.read = w.values[:0], 0, nil
	windows.Put(w)
}

// Unencrypted makes a contribution with a key of zero and no noise: anybody can
// read it. It opens like any other. It exists for the simulator, which compares
// rounds with and without the cipher.
func Unencrypted(r *Round, values []float64, seeds ...[SeedBytes]byte) (*Contribution, error) {
	if err := r.checkLength(values); err != nil {
		return nil, err
	}
	if err := r.packing.check(0, values); err != nil {
		return nil, err
	}
	random, err := secretGenerator(rand.Reader)
	if err != nil {
		return nil, err
	}
	none := make([]int64, r.degree)
	c := &Contribution{Shares: shareKey(none, r.spec.Committee, r.spec.Threshold, random, seeds...)}
	c.Chunks = r.encrypt(values, r.keyTransform(none), func() []int64 { return none })
	return c, nil
}

// encrypt makes the chunks of values under a given key and given errors.
func (r *Round) encrypt(values []float64, key roundKey, nextNoise func() []int64) [][]byte {
	message := make([]uint64, r.degree*r.packing.words)
	chunks := make([][]byte, r.packing.chunks)
	for c := range chunks {
		r.packing.encode(c, values, message)
		chunks[c] = make([]byte, r.ChunkBytes())
		key.encrypt(c, message, nextNoise(), chunks[c])
	}
	return chunks
}
