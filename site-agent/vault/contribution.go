package vault

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// spoolLayout says how long the parts of a spool file are. They stand in it one
// after another: chunks, shares, header, this layout as JSON, and the layout's
// length in eight bytes. What is known last stands last, so that a contribution
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

	chunks  [][]byte // of one that is in memory
	file    *os.File // of one that is not
	lengths []int    // of the chunks
	offsets []int64  // of the chunks in the file
}

// Close gives the file back.
func (c *Contribution) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}

// Chunks is the number of chunks.
func (c *Contribution) Chunks() int { return len(c.lengths) }

// ChunkBytes is the length of a chunk.
func (c *Contribution) ChunkBytes(i int) int { return c.lengths[i] }

// Chunk reads a chunk. The caller does not change it.
func (c *Contribution) Chunk(i int) ([]byte, error) {
	if c.file == nil {
		return c.chunks[i], nil
	}
	chunk := make([]byte, c.lengths[i])
	_, err := c.file.ReadAt(chunk, c.offsets[i])
	return chunk, err
}

var (
	errIncomplete = errors.New("the spool is incomplete")
	errDamaged    = errors.New("the spool is damaged")
)

// openSpool reads all of a spool file but its chunks.
func openSpool(path string) (*Contribution, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	c := &Contribution{file: file}
	if err := c.read(); err != nil {
		file.Close()
		return nil, err
	}
	return c, nil
}

func (c *Contribution) read() error {
	layout, size, err := readLayout(c.file)
	if err != nil {
		return err
	}
	var at int64
	take := func(n int) int64 {
		offset := at
		// What a length names must be there BEFORE memory is taken for it.
		if n < 0 || int64(n) > size-at {
			err = errIncomplete
			return 0
		}
		at += int64(n)
		return offset
	}
	part := func(n int) []byte {
		offset := take(n)
		if err != nil {
			return nil
		}
		b := make([]byte, n)
		_, err = c.file.ReadAt(b, offset)
		return b
	}
	for _, n := range layout.Chunks {
		c.lengths, c.offsets = append(c.lengths, n), append(c.offsets, take(n))
	}
	for _, n := range layout.Shares {
		c.Shares = append(c.Shares, part(n))
	}
	c.Header = part(layout.Header)
	switch {
	case err != nil:
		return err
	case at != size:
		return errIncomplete
	case statement.DigestOf(c.Header) != layout.Envelope:
		return errDamaged
	}
	return nil
}

// readLayout returns the layout at the end of a spool file, and how many bytes
// the parts before it have.
func readLayout(file *os.File) (layout spoolLayout, size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return layout, 0, err
	}
	length := make([]byte, 8)
	end := info.Size() - int64(len(length))
	if end < 0 {
		return layout, 0, errIncomplete
	}
	if _, err := file.ReadAt(length, end); err != nil {
		return layout, 0, err
	}
	n := binary.BigEndian.Uint64(length)
	if n > uint64(end) {
		return layout, 0, errIncomplete
	}
	size = end - int64(n)
	encoded, err := io.ReadAll(io.NewSectionReader(file, size, int64(n)))
	if err != nil {
		return layout, 0, err
	}
	if json.Unmarshal(encoded, &layout) != nil {
		return layout, 0, errDamaged
	}
	return layout, size, nil
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
