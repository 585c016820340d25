package vault

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

const (
	// shortBytes is how long a short contribution may be, with its key shares and
	// its header.
	shortBytes = 9 << 17
	// longPiece is how much of a longer one is written to its file at a time.
	longPiece = 1 << 16
	// slotPrefix begins the names of the files of slots.
	slotPrefix = "short-"
	// slotHead is how many bytes stand before a contribution in a slot's file: the
	// round, and how long the contribution is.
	slotHead = int64(len(statement.Digest{}) + 8)
)

// A slot is where short contributions are kept, one after another: a file that
// is written from its beginning each time, in one piece, and that piece in memory,
// from which it is sent. To make, name and remove a file for each round takes
// a disk several times as long as to write it.
//
// What is in the file belongs to the round at its head, and to none if there are
// zeros. Nobody believes it before the journal says that the round's contribution
// was sealed, so that it may be written over in place.
type slot struct {
	file  *os.File // nil before the first contribution
	piece []byte   // what was written last, from its head on
	end   int64    // how much of the file may be other than zero
	held  int      // how many contributions are read from it
	over  bool     // the round needs it no more
}

// begin makes room for a head.
func (s *slot) begin() { s.piece = append(s.piece[:0], make([]byte, slotHead)...) }

// append puts a part behind the piece, which has room for a short contribution at
// most, unless one part is longer than that.
func (s *slot) append(part []byte) {
	if need := len(s.piece) + len(part); need > cap(s.piece) {
		room := max(need, min(2*cap(s.piece), shortBytes))
		s.piece = append(make([]byte, 0, room), s.piece...)
	}
	s.piece = append(s.piece, part...)
}

// keep writes the piece, of that round, to the disk.
func (s *slot) keep(dir string, round statement.Digest) error {
	if s.file == nil {
		file, err := os.CreateTemp(dir, slotPrefix+"*")
		if err != nil {
			return err
		}
		s.file = file
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	copy(s.piece, round[:])
	binary.BigEndian.PutUint64(s.piece[len(round):], uint64(len(s.piece))-uint64(slotHead))
	s.end = max(s.end, int64(len(s.piece)))
	if _, err := s.file.WriteAt(s.piece, 0); err != nil {
		return err
	}
	return s.file.Sync()
}

// contribution returns where in the file a contribution is, and of which round.
func (s *slot) contribution() (round statement.Digest, content *io.SectionReader, err error) {
	head := make([]byte, slotHead)
	if _, err := s.file.ReadAt(head, 0); errors.Is(err, io.EOF) {
		return round, nil, errIncomplete
	} else if err != nil {
		return round, nil, err
	}
	info, err := s.file.Stat()
	if err != nil {
		return round, nil, err
	}
	length := binary.BigEndian.Uint64(head[copy(round[:], head):])
	if length > uint64(info.Size()-slotHead) {
		return round, nil, errIncomplete
	}
	return round, io.NewSectionReader(s.file, slotHead, int64(length)), nil
}

var zeros [64 << 10]byte

// wipe overwrites the contribution in the file by zeros. They need not be on the
// disk at once: what is not there at the next start is removed then.
func (s *slot) wipe() error {
	for at := int64(0); at < s.end; at += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros[:min(s.end-at, int64(len(zeros)))], at); err != nil {
			return err
		}
	}
	s.end = 0
	return nil
}

// remove removes the file.
func (s *slot) remove() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}

// take returns a slot that nobody uses, or a new one.
func (v *Vault) take() *slot {
	s := new(slot)
	if last := len(v.spare) - 1; last >= 0 {
		s, v.spare = v.spare[last], v.spare[:last]
	}
	s.begin()
	return s
}

// let wipes a slot for the next contribution, once no other is read from it. One
// that cannot be wiped is removed.
func (v *Vault) let(s *slot) error {
	if s.held > 0 {
		return nil
	}
	s.over = false
	if s.wipe() != nil {
		return s.remove()
	}
	v.spare = append(v.spare, s)
	return nil
}

// hold keeps a slot as it is until the contribution, which is read from it, is
// closed.
func (v *Vault) hold(s *slot, c *Contribution) {
	s.held++
	c.close = func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		s.held--
		if s.over {
			return v.let(s)
		}
		return nil
	}
}

// findSlot opens the file of a slot that an earlier process left, and removes it
// unless a round needs what is in it.
func (v *Vault) findSlot(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s := &slot{file: file}
	round, content, err := s.contribution()
	switch {
	case err == nil && v.needed(round):
		s.end = slotHead + content.Size()
		v.slots[round] = s
		return nil
	case err == nil, errors.Is(err, errIncomplete):
		return s.remove()
	default:
		return errors.Join(err, file.Close())
	}
}

// closeSlots closes the files of slots and removes those that hold nothing.
func (v *Vault) closeSlots() error {
	var errs []error
	for _, s := range v.slots {
		errs = append(errs, s.file.Close())
	}
	for _, s := range v.spare {
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}
