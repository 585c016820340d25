package identity

import (
	"bytes"
	"testing"
)

// A roster with any bit flipped or its end cut off is no roster: at every byte of
// the envelope, the chain takes nothing.
func TestEveryByteOfARosterIsSigned(t *testing.T) {
	c, _ := three(t)
	envelopes := c.coordinator.Rosters().Envelopes()
	governance := c.coordinator.Governance()
	chain := func() *Chain {
		chain := NewChain(governance)
		for _, envelope := range envelopes[:len(envelopes)-1] {
			if err := chain.Append(envelope); err != nil {
				t.Fatal(err)
			}
		}
		return chain
	}
	kept := chain()
	number := kept.Latest().Number
	last := envelopes[len(envelopes)-1]
	for i := range last {
		flipped := bytes.Clone(last)
		flipped[i] ^= 1 << (i % 8)
		for what, bad := range map[string][]byte{"flipped": flipped, "cut": last[:i]} {
			if err := kept.Append(bad); err == nil || kept.Latest().Number != number {
				t.Fatalf("byte %d %s: the roster was taken: %v", i, what, err)
			}
		}
	}
	if err := kept.Append(last); err != nil || kept.Latest().Number != number+1 {
		t.Fatalf("the genuine one: %v", err)
	}
}
