package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
)

// A checkpoint with any bit flipped or its end cut off is refused, the bits of the
// signature's last base64 digit that carry nothing included.
func TestEveryByteOfACheckpointIsSigned(t *testing.T) {
	seed := sha256.Sum256([]byte("coordinator"))
	key := ed25519.NewKeyFromSeed(seed[:])
	public := key.Public().(ed25519.PublicKey)
	want := Checkpoint{Origin: Origin("test"), Size: 17, Root: sha256.Sum256([]byte("root"))}
	signed, err := SignCheckpoint(want, key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := VerifyCheckpoint(signed, want.Origin, public); err != nil || *got != want {
		t.Fatalf("the genuine one: %+v, %v", got, err)
	}
	for i := range signed {
		for bit := range 8 {
			flipped := bytes.Clone(signed)
			flipped[i] ^= 1 << bit
			if _, err := VerifyCheckpoint(flipped, want.Origin, public); err == nil {
				t.Fatalf("bit %d of byte %d flipped: %q is accepted", bit, i, flipped)
			}
		}
		if _, err := VerifyCheckpoint(signed[:i], want.Origin, public); err == nil {
			t.Fatalf("cut at %d: accepted", i)
		}
	}
}
