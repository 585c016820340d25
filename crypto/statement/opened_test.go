package statement

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
)

// What was opened once is opened from memory the next time; each rule must hold
// then as well.
func TestARepeatedOpeningChecksWhoAndWhat(t *testing.T) {
	env := signed(t)
	var first, second Approval
	for _, v := range []*Approval{&first, &second} {
		if _, err := Open(env, KindApproval, v, keyring("north")); err != nil || *v != approval {
			t.Fatalf("opened %+v, %v", v, err)
		}
	}
	var got Approval
	if _, err := Open(env, KindDecline, &got, keyring("north")); !errors.Is(err, ErrSecurity) {
		t.Errorf("as another kind: %v", err)
	}
	if _, err := Open(env, KindApproval, &got, keyring("south")); err == nil {
		t.Error("opened though its signer is no member any more")
	}
	another := func(string) (ed25519.PublicKey, error) { return key("another").Public().(ed25519.PublicKey), nil }
	if _, err := Open(env, KindApproval, &got, another); !errors.Is(err, ErrSecurity) {
		t.Errorf("under another key of its signer: %v", err)
	}
	var other Decline
	if _, err := Open(env, KindApproval, &other, keyring("north")); err == nil {
		t.Error("opened into a statement of another type")
	}
	if got != (Approval{}) {
		t.Errorf("a refused opening left %+v", got)
	}
}

func TestWhatIsOpenedTwiceDoesNotGrowIntoEachOther(t *testing.T) {
	want := []string{"east", "north", "west"}
	env, err := Sign(KindOpeningRequest, OpeningRequest{Contributors: want, Headers: make([]Digest, 3)}, "coordinator", key("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	for _, added := range []string{"one", "two"} {
		var r OpeningRequest
		if _, err := Open(env, KindOpeningRequest, &r, keyring("coordinator")); err != nil {
			t.Fatal(err)
		}
		grown := append(r.Contributors, added)
		var again OpeningRequest
		if _, err := Open(env, KindOpeningRequest, &again, keyring("coordinator")); err != nil {
			t.Fatal(err)
		}
		other := append(again.Contributors, "three")
		if !slices.Equal(r.Contributors, want) || grown[3] != added || other[3] != "three" {
			t.Fatalf("%v, %v, %v", r.Contributors, grown, other)
		}
	}
}
