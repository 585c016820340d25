package vault

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

const spoolDir = "spool"

var (
	// ErrLost says that a contribution was sealed and is no longer in the spool:
	// the site must not seal another for the same round.
	ErrLost = errors.New("the sealed contribution is lost")
	// ErrNotKept says that a contribution could not be written to the disk.
	ErrNotKept = errors.New("the sealed contribution cannot be kept, so it is not sent")
)

// Sealing is a contribution on its way into the spool. Its parts are written as
// they are made, chunks before shares, and each is hashed once, on its way.
type Sealing struct {
	Chunks, Shares []statement.Digest // of what was written so far

	file   *bufio.Writer
	layout spoolLayout

	// What was written so far, until it is more than keptBytes of chunks.
	chunks, shares [][]byte
	chunkBytes     int
}

// keptBytes is how much ciphertext of a contribution that was just sealed stays
// in memory, where it need not be read again to be sent.
const keptBytes = 1 << 20

var spoolWriters = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 1<<16) }}

// Chunk appends a chunk of ciphertext, the next in order. The bytes are the
// caller's again when it returns.
func (s *Sealing) Chunk(ciphertext []byte) error {
	s.Chunks = append(s.Chunks, statement.DigestOf(ciphertext))
	s.layout.Chunks = append(s.layout.Chunks, len(ciphertext))
	if s.chunkBytes += len(ciphertext); s.chunkBytes <= keptBytes {
		s.chunks = append(s.chunks, bytes.Clone(ciphertext))
	} else {
		s.chunks = nil
	}
	return s.write(ciphertext)
}

// Share appends a key share that is sealed to the next committee member. The
// bytes do not change any more.
func (s *Sealing) Share(sealed []byte) error {
	s.Shares = append(s.Shares, statement.DigestOf(sealed))
	s.layout.Shares = append(s.layout.Shares, len(sealed))
	s.shares = append(s.shares, sealed)
	return s.write(sealed)
}

func (s *Sealing) write(part []byte) error {
	if _, err := s.file.Write(part); err != nil {
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return nil
}

// finish appends the header, the layout and, in eight bytes, the layout's length.
func (s *Sealing) finish(header []byte) error {
	s.layout.Header, s.layout.Envelope = len(header), statement.DigestOf(header)
	layout, err := json.Marshal(s.layout)
	if err != nil {
		return err
	}
	s.file.Write(header) // the writer keeps its first error until Flush
	s.file.Write(layout)
	s.file.Write(binary.BigEndian.AppendUint64(nil, uint64(len(layout))))
	return s.file.Flush()
}

// Seal makes a contribution durable: the bytes first, then the fact that this
// is the round's one contribution. It must return BEFORE the first byte leaves.
// A contribution sealed before is refused, whatever became of it.
//
// write writes the chunks and the shares and returns the signed header over
// them. The vault needs memory for one part at a time. If write fails, or the
// process is killed before Seal returns, nothing of the contribution is left or
// will be at the next start, and the round may be sealed anew under another key.
func (v *Vault) Seal(round statement.Digest, write func(*Sealing) (header []byte, err error)) (*Contribution, error) {
	if err := v.beginSealing(round); err != nil {
		return nil, err
	}
	defer v.endSealing(round)
	var header statement.Digest
	var envelope []byte
	var unmade error // write's own error, which is not the disk's
	s := new(Sealing)
	err := durable.Write(v.spoolPath(round), 0o600, func(to io.Writer) error {
		s.file = spoolWriters.Get().(*bufio.Writer)
		s.file.Reset(to)
		defer func() {
			s.file.Reset(nil) // what is in it is ciphertext, and overwritten
			spoolWriters.Put(s.file)
		}()
		if envelope, unmade = write(s); unmade != nil {
			return unmade
		}
		var payload []byte
		if _, payload, unmade = statement.Payload(envelope); unmade != nil {
			return unmade
		}
		header = statement.DigestOf(payload)
		return s.finish(envelope)
	})
	if unmade != nil {
		return nil, unmade
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	if err := v.recordSealed(round, header); err != nil {
		return nil, err
	}
	if s.chunkBytes <= keptBytes {
		return s.contribution(envelope), nil
	}
	return openSpool(v.spoolPath(round))
}

// contribution is what was sealed, from memory.
func (s *Sealing) contribution(header []byte) *Contribution {
	return &Contribution{Header: header, Shares: s.shares, lengths: s.layout.Chunks, chunks: s.chunks}
}

func (v *Vault) beginSealing(round statement.Digest) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; v.sealing[round] || r != nil && r.Header != nil {
		return fmt.Errorf("%w: round %s has a contribution", ErrOnce, round)
	}
	v.sealing[round] = true
	return nil
}

func (v *Vault) endSealing(round statement.Digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.sealing, round)
}

func (v *Vault) recordSealed(round, header statement.Digest) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; r != nil && r.End != nil {
		return errors.Join(fmt.Errorf("round %s ended while its contribution was being sealed", round), v.Wipe(round))
	}
	return v.record(fact{Sealed: &sealed{round, header}})
}

// Sealed returns the round's contribution as it was sealed, for the caller to
// close. ok is false if there is none yet; ErrLost means that there was one and
// that its bytes are not whole any more.
func (v *Vault) Sealed(round statement.Digest) (c *Contribution, ok bool, err error) {
	v.mu.Lock()
	r := v.rounds[round]
	if r == nil || r.Header == nil {
		v.mu.Unlock()
		return nil, false, nil
	}
	recorded := *r.Header
	v.mu.Unlock()
	c, err = openSpool(v.spoolPath(round))
	if err != nil {
		return nil, true, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err := c.check(recorded); err != nil {
		c.Close()
		return nil, true, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return c, true, nil
}

// Wipe removes a contribution from the spool, once it counts or its round is
// over.
func (v *Vault) Wipe(round statement.Digest) error {
	err := os.Remove(v.spoolPath(round))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (v *Vault) spoolPath(round statement.Digest) string {
	return filepath.Join(v.dir, spoolDir, round.String())
}

// cleanSpool removes what a crash left: parts of files, contributions that
// were written and not recorded (nothing of them has left), and those whose
// round needs them no more.
func (v *Vault) cleanSpool() error {
	files, err := os.ReadDir(filepath.Join(v.dir, spoolDir))
	if err != nil {
		return err
	}
	for _, f := range files {
		id, err := statement.ParseDigest(f.Name())
		if err == nil {
			if r := v.rounds[id]; r != nil && r.Header != nil && r.Receipt == nil && r.End == nil {
				continue
			}
		}
		if err := os.Remove(filepath.Join(v.dir, spoolDir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}
