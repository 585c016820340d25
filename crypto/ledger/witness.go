package ledger

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"sync"
)

// Witness is what a member keeps of the log: the last checkpoint it saw. It is
// safe for concurrent use, but the answers it is advanced with must come one
// after another: a late one would look like a rollback.
type Witness struct {
	origin string
	key    ed25519.PublicKey

	mu     sync.Mutex
	latest *Checkpoint
	signed []byte
}

// NewWitness resumes from the signed checkpoint that was kept, nil for none.
// The first checkpoint a witness sees is believed; every later one must extend
// it.
func NewWitness(origin string, key ed25519.PublicKey, kept []byte) (*Witness, error) {
	if _, err := noteVerifier(origin, key); err != nil {
		return nil, err
	}
	w := &Witness{origin: origin, key: bytes.Clone(key), latest: &Checkpoint{Origin: origin}}
	if kept == nil {
		return w, nil
	}
	latest, err := VerifyCheckpoint(kept, origin, key)
	if err != nil {
		return nil, fmt.Errorf("the checkpoint that was kept: %w", err)
	}
	w.latest, w.signed = latest, bytes.Clone(kept)
	return w, nil
}

// Latest returns the last checkpoint seen, of size 0 before the first.
func (w *Witness) Latest() Checkpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.latest
}

// Signed returns the last checkpoint as it was signed, nil before the first. It
// is what the caller saves, and gives to NewWitness after a restart.
func (w *Witness) Signed() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.signed)
}

// Advance accepts a checkpoint that extends the last one, by the consistency
// proof between them. Anything else is ErrSecurity and changes nothing.
func (w *Witness) Advance(checkpoint []byte, proof [][32]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	next, err := VerifyCheckpoint(checkpoint, w.origin, w.key)
	if err != nil {
		return err
	}
	if w.signed != nil {
		if err := CheckConsistency(w.latest.Size, w.latest.Root, next.Size, next.Root, proof); err != nil {
			return err
		}
	}
	w.latest, w.signed = next, bytes.Clone(checkpoint)
	return nil
}
