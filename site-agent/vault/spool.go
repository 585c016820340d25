package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/consilium-fl/consilium/crypto/statement"
)

const spoolDir = "spool"

var (
	// ErrLost says that a contribution was sealed and is no longer in the spool:
	// the site must not seal another for the same round.
	ErrLost = errors.New("the sealed contribution is lost")
	// ErrNotKept says that a contribution could not be written to the disk.
	ErrNotKept = errors.New("the sealed contribution cannot be kept, so it is not sent")
)

// Seal makes a contribution durable: the bytes first, then the fact that this
// is the round's one contribution. It must return BEFORE the first byte leaves.
// A contribution sealed before is refused, whatever became of it.
//
// write writes the chunks and the shares and returns the signed header over
// them. The vault needs memory for a short contribution, however long this one
// is. If write fails, or the process is killed before Seal returns, nothing of the
// contribution is left or will be at the next start, and the round may be sealed
// anew under another key.
func (v *Vault) Seal(round statement.Digest, write func(*Sealing) (header []byte, err error)) (*Contribution, error) {
	s, err := v.beginSealing(round)
	if err != nil {
		return nil, err
	}
	header, err := s.make(write)
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.sealing, round)
	if err == nil && v.ended(round) {
		err = fmt.Errorf("round %s ended while its contribution was being sealed", round)
	}
	if err != nil {
		s.discard()
		v.let(s.slot)
		return nil, err
	}
	c := s.contribution()
	if s.file != nil {
		c.close = s.file.Close
		v.let(s.slot)
	} else {
		v.slots[round] = s.slot
		v.hold(s.slot, c)
	}
	if err := v.record(fact{Sealed: &sealed{round, header}}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (v *Vault) beginSealing(round statement.Digest) (*Sealing, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.rounds[round]; v.sealing[round] || r != nil && r.Header != nil {
		return nil, fmt.Errorf("%w: round %s has a contribution", ErrOnce, round)
	}
	v.sealing[round] = true
	return &Sealing{round: round, path: v.spoolPath(round), slot: v.take()}, nil
}

func (v *Vault) ended(round statement.Digest) bool {
	r := v.rounds[round]
	return r != nil && r.End != nil
}

// Sealed returns the round's contribution as it was sealed, for the caller to
// close. ok is false if there is none yet; ErrLost means that there was one and
// that its bytes are not whole any more.
func (v *Vault) Sealed(round statement.Digest) (c *Contribution, ok bool, err error) {
	c, recorded, err := v.reopen(round)
	if c == nil && err == nil {
		return nil, false, nil
	}
	if err == nil {
		err = c.check(recorded)
	}
	if err != nil {
		return nil, true, errors.Join(fmt.Errorf("%w: %w", ErrLost, err), c.Close())
	}
	return c, true, nil
}

// reopen reads the round's contribution from the spool, nil if none was sealed.
func (v *Vault) reopen(round statement.Digest) (c *Contribution, recorded statement.Digest, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.rounds[round]
	if r == nil || r.Header == nil {
		return nil, recorded, nil
	}
	c = new(Contribution)
	if s := v.slots[round]; s != nil {
		v.hold(s, c)
		err = c.readSlot(s)
	} else {
		err = c.readFile(v.spoolPath(round))
	}
	return c, *r.Header, err
}

// Wipe removes a contribution from the spool, once it counts or its round is
// over.
func (v *Vault) Wipe(round statement.Digest) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.slots[round]; s != nil {
		delete(v.slots, round)
		s.over = true
		return v.let(s)
	}
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
		path := filepath.Join(v.dir, spoolDir, f.Name())
		if strings.HasPrefix(f.Name(), slotPrefix) {
			err = v.findSlot(path)
		} else if id, parsed := statement.ParseDigest(f.Name()); parsed != nil || !v.needed(id) {
			err = os.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// needed says whether a round's contribution was sealed and may still be sent.
func (v *Vault) needed(round statement.Digest) bool {
	r := v.rounds[round]
	return r != nil && r.Header != nil && r.Receipt == nil && r.End == nil
}
