package vault

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// spoolLayout says how long the parts of a contribution in the spool are. They
// stand there one after another: chunks, shares, header, this layout as JSON, and
// the layout's length in eight bytes. What is known last stands last, so that a contribution
// is written from front to back while it is made.
type spoolLayout struct {
	Chunks []int `json:"chunks"`
	Shares []int `json:"shares"`
	Header int   `json:"header"`
	// Envelope is the digest of the header's envelope. The journal names the
	// payload alone, so that a damaged signature would pass unseen.
	Envelope statement.Digest `json:"envelope"`
}

// Contribution is a sealed contribution in the spool, ready to leave:
// ciphertext, key shares already sealed to the committee, and the signed header
// over both. The ciphertext stays in its file, where each chunk is read when it is
// asked for, unless it is short and was sealed just now.
type Contribution struct {
	Header []byte // envelope of statement.ContributionHeader
	Shares [][]byte

	memory  []byte      // of one that is in memory
	from    io.ReaderAt // of one that is not
	lengths []int       // of the chunks
	offsets []int64     // of the chunks in either
	close   func() error
}

// Close gives back what the contribution is read from. The chunks that it gave are
// not used any more.
func (c *Contribution) Close() error {
	if c.close == nil {
		return nil
	}
	close := c.close
	c.close = nil
	return close()
}

// Chunks is the number of chunks.
func (c *Contribution) Chunks() int { return len(c.lengths) }

// ChunkBytes is the length of a chunk.
func (c *Contribution) ChunkBytes(i int) int { return c.lengths[i] }

// Chunk reads a chunk, which is good until Close. The caller does not change it.
func (c *Contribution) Chunk(i int) ([]byte, error) {
	at, length := c.offsets[i], c.lengths[i]
	if c.from == nil {
		return c.memory[at:][:length:length], nil
	}
	chunk := make([]byte, length)
	_, err := c.from.ReadAt(chunk, at)
	return chunk, err
}

var (
	errIncomplete = errors.New("the spool is incomplete")
	errDamaged    = errors.New("the spool is damaged")
)

// readFile opens a file of its own and reads all of it but the chunks.
func (c *Contribution) readFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	c.close = file.Close
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return c.read(file, info.Size())
}

// readSlot reads all of a contribution in a slot but the chunks.
func (c *Contribution) readSlot(s *slot) error {
	_, content, err := s.contribution()
	if err != nil {
		return err
	}
	return c.read(content, content.Size())
}

func (c *Contribution) read(from io.ReaderAt, size int64) error {
	layout, rest, err := readLayout(from, size)
	if err != nil {
		return err
	}
	c.from = from
	// What a length names must be there BEFORE memory is taken for it.
	for _, n := range slices.Concat(layout.Chunks, layout.Shares, []int{layout.Header}) {
		if n < 0 || int64(n) > rest {
			return errIncomplete
		}
		rest -= int64(n)
	}
	if rest != 0 {
		return errIncomplete
	}
	at := c.place(layout.Chunks)
	part := func(n int) []byte {
		b := make([]byte, n)
		if err == nil {
			_, err = from.ReadAt(b, at)
		}
		at += int64(n)
		return b
	}
	for _, n := range layout.Shares {
		c.Shares = append(c.Shares, part(n))
	}
	c.Header = part(layout.Header)
	if err == nil && statement.DigestOf(c.Header) != layout.Envelope {
		err = errDamaged
	}
	return err
}

// place notes where the chunks are and returns where they end.
func (c *Contribution) place(lengths []int) (end int64) {
	c.lengths, c.offsets = lengths, make([]int64, len(lengths))
	for i, n := range lengths {
		c.offsets[i] = end
		end += int64(n)
	}
	return end
}

// readLayout returns the layout at the end of a contribution of that size, and how
// many bytes the parts before it have.
func readLayout(from io.ReaderAt, size int64) (layout spoolLayout, before int64, err error) {
	length := make([]byte, 8)
	end := size - int64(len(length))
	if end < 0 {
		return layout, 0, errIncomplete
	}
	if _, err := from.ReadAt(length, end); err != nil {
		return layout, 0, err
	}
	n := binary.BigEndian.Uint64(length)
	if n > uint64(end) {
		return layout, 0, errIncomplete
	}
	before = end - int64(n)
	encoded, err := io.ReadAll(io.NewSectionReader(from, before, int64(n)))
	if err != nil {
		return layout, 0, err
	}
	if json.Unmarshal(encoded, &layout) != nil {
		return layout, 0, errDamaged
	}
	return layout, before, nil
}

// check compares a contribution with its header, and the header with the one
// that was recorded. It reads every chunk once.
func (c *Contribution) check(recorded statement.Digest) error {
	_, payload, err := statement.Payload(c.Header)
	if err != nil {
		return err
	}
	if statement.DigestOf(payload) != recorded {
		return errors.New("the spool holds another contribution")
	}
	var header statement.ContributionHeader
	if err := statement.Decode(payload, &header); err != nil {
		return err
	}
	if c.Chunks() != len(header.Chunks) || len(c.Shares) != len(header.Shares) {
		return errIncomplete
	}
	for i, want := range header.Chunks {
		chunk, err := c.Chunk(i)
		if err != nil {
			return err
		}
		if statement.DigestOf(chunk) != want {
			return errDamaged
		}
	}
	for i, share := range c.Shares {
		if statement.DigestOf(share) != header.Shares[i] {
			return errDamaged
		}
	}
	return nil
}
