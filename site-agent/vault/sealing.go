package vault

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// Sealing is a contribution on its way into the spool. Its parts are written as
// they are made, chunks before shares, and each is hashed once, on its way.
type Sealing struct {
	Chunks, Shares []statement.Digest // of what was written so far

	round  statement.Digest
	layout spoolLayout
	header []byte
	shares [][]byte
	slot   *slot    // whose piece holds what is in no file yet
	path   string   // of the file of a long contribution
	file   *os.File // once this is one
}

// Chunk appends a chunk of ciphertext, the next in order. The bytes are the
// caller's again when it returns.
func (s *Sealing) Chunk(ciphertext []byte) error {
	s.Chunks = append(s.Chunks, statement.DigestOf(ciphertext))
	s.layout.Chunks = append(s.layout.Chunks, len(ciphertext))
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

// make has write make the parts, and all of it on the disk when it returns. The
// error is write's own, or ErrNotKept. The digest is that of the header's payload.
func (s *Sealing) make(write func(*Sealing) (header []byte, err error)) (header statement.Digest, err error) {
	if s.header, err = write(s); err != nil {
		return header, err
	}
	_, payload, err := statement.Payload(s.header)
	if err != nil {
		return header, err
	}
	if err := s.finish(); err != nil {
		return header, fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	return statement.DigestOf(payload), nil
}

// finish appends the header, the layout and, in eight bytes, the layout's length.
func (s *Sealing) finish() error {
	s.layout.Header, s.layout.Envelope = len(s.header), statement.DigestOf(s.header)
	layout, err := json.Marshal(s.layout)
	if err != nil {
		return err
	}
	length := binary.BigEndian.AppendUint64(nil, uint64(len(layout)))
	for _, part := range [][]byte{s.header, layout, length} {
		if err := s.write(part); err != nil {
			return err
		}
	}
	if s.file == nil {
		return s.slot.keep(filepath.Dir(s.path), s.round)
	}
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(s.path))
}

func (s *Sealing) write(part []byte) error {
	most := shortBytes
	if s.file != nil {
		most = longPiece
	}
	if len(s.slot.piece)+len(part) > most {
		if err := s.flush(); err != nil {
			return fmt.Errorf("%w: %w", ErrNotKept, err)
		}
	}
	s.slot.append(part)
	return nil
}

// flush writes what is in memory to a file of the contribution's own. The file has
// its name from the beginning: without a line in the journal nobody believes it.
func (s *Sealing) flush() (err error) {
	if s.file == nil {
		if s.file, err = os.OpenFile(s.path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600); err != nil {
			return err
		}
	}
	if _, err := s.file.Write(s.slot.piece[slotHead:]); err != nil {
		return err
	}
	if cap(s.slot.piece) > longPiece {
		s.slot.piece = make([]byte, 0, longPiece)
	}
	s.slot.begin()
	return nil
}

// discard removes the file.
func (s *Sealing) discard() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.path)
	}
}

// contribution is what was sealed: a short one from memory.
func (s *Sealing) contribution() *Contribution {
	c := &Contribution{Header: s.header, Shares: s.shares}
	if s.file != nil {
		c.from = s.file
	} else {
		c.memory = s.slot.piece[slotHead:]
	}
	c.place(s.layout.Chunks)
	return c
}
