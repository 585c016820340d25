package identity

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// Chain is the verified rosters of one consortium, the first one first. It only
// grows. It is safe for concurrent use.
type Chain struct {
	governance ed25519.PublicKey

	mu        sync.RWMutex
	rosters   []*Roster
	digests   []statement.Digest // of the payloads
	envelopes [][]byte
	signed    []statement.Digest // of the envelopes
}

// NewChain returns an empty chain that accepts what the governance key signs.
func NewChain(governance ed25519.PublicKey) *Chain {
	return &Chain{governance: bytes.Clone(governance)}
}

// Append adds the next roster. Exactly a roster that the chain already holds
// changes nothing; an older one with other contents, a fork, a gap, or one that
// the governance key did not sign is ErrSecurity.
func (c *Chain) Append(envelope []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, known, err := c.verify(envelope)
	if err != nil || known {
		return err
	}
	c.add(next, envelope)
	return nil
}

// verify opens an envelope against the chain. The caller holds mu.
func (c *Chain) verify(envelope []byte) (next *Roster, known bool, err error) {
	next = new(Roster)
	payload, err := statement.Open(envelope, statement.KindRoster, next, func(keyid string) (ed25519.PublicKey, error) {
		if keyid != governanceName {
			return nil, fmt.Errorf("%w: a roster is signed by the governance key, not by a member", ErrSecurity)
		}
		return c.governance, nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("roster: %w", asSecurity(err))
	}
	if err := next.check(c.governance); err != nil {
		return nil, false, fmt.Errorf("%w: roster %d: %w", ErrSecurity, next.Number, err)
	}
	held := uint64(len(c.rosters))
	digest := statement.DigestOf(payload)
	switch {
	case next.Number > held+1:
		return nil, false, fmt.Errorf("%w: roster %d came where roster %d was due", ErrSecurity, next.Number, held+1)
	case next.Number <= held && digest == c.digests[next.Number-1]:
		return next, true, nil
	case next.Number <= held:
		return nil, false, fmt.Errorf("%w: a second, different roster %d was signed; roster %d is in force", ErrSecurity, next.Number, held)
	case held == 0:
		return next, false, nil
	}
	latest := c.rosters[held-1]
	if next.Previous != c.digests[held-1] {
		return nil, false, fmt.Errorf("%w: roster %d does not follow the roster %d that is in force", ErrSecurity, next.Number, held)
	}
	if next.Consortium != latest.Consortium {
		return nil, false, fmt.Errorf("%w: roster %d is of another consortium", ErrSecurity, next.Number)
	}
	if next.Issued.Before(latest.Issued) {
		return nil, false, fmt.Errorf("%w: roster %d is dated before roster %d", ErrSecurity, next.Number, held)
	}
	return next, false, nil
}

// asSecurity makes a roster that cannot be read a violation too: the
// coordinator passes on what governance signed, or deviates.
func asSecurity(err error) error { return fmt.Errorf("%w: %w", ErrSecurity, err) }

func (c *Chain) add(r *Roster, envelope []byte) {
	c.rosters = append(c.rosters, r)
	c.digests = append(c.digests, r.Digest())
	c.envelopes = append(c.envelopes, bytes.Clone(envelope))
	c.signed = append(c.signed, statement.DigestOf(envelope))
}

// Latest returns the roster in force, nil if there is none yet.
func (c *Chain) Latest() *Roster {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.rosters) == 0 {
		return nil
	}
	return c.rosters[len(c.rosters)-1]
}

// At returns the roster with that digest, now or earlier in force.
func (c *Chain) At(digest statement.Digest) (*Roster, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if i := slices.Index(c.digests, digest); i >= 0 {
		return c.rosters[i], true
	}
	return nil, false
}

// Signed returns the roster whose signed envelope has that digest, now or
// earlier in force. What only the signature makes unforeseeable is in this one.
func (c *Chain) Signed(envelope statement.Digest) (*Roster, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if i := slices.Index(c.signed, envelope); i >= 0 {
		return c.rosters[i], true
	}
	return nil, false
}

// Envelopes returns the signed rosters, the first one first. The caller does
// not change them.
func (c *Chain) Envelopes() [][]byte {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.envelopes)
}
