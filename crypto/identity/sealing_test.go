package identity

import (
	"bytes"
	"fmt"
	"testing"
)

var home = ShareAddress{Study: [32]byte{7}, Round: [32]byte{1}, Sender: "luke", Recipient: "mercy"}

func siteKeys(t *testing.T) *Keys {
	t.Helper()
	keys, err := GenerateKeys(RoleSite)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func sealed(t *testing.T, s *Sealer, to *Keys, at ShareAddress, share []byte) []byte {
	t.Helper()
	b, err := s.Seal(to.SealingPublic(), at, share)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedSharesOpenOnlyWhereTheyBelong(t *testing.T) {
	recipient := siteKeys(t)
	var sealer Sealer
	share := []byte("a share of a key")
	box := sealed(t, &sealer, recipient, home, share)
	if len(box) != len(share)+SealingOverhead {
		t.Errorf("a share of %d bytes is sealed in %d", len(share), len(box))
	}
	// One that knows the encapsulation already must refuse as one that does not.
	used := NewUnsealer(recipient)
	for range 2 {
		if got, err := used.Unseal(home, box); err != nil || !bytes.Equal(got, share) {
			t.Fatalf("%q, %v", got, err)
		}
	}
	for name, move := range map[string]func(*ShareAddress){
		"another study":     func(a *ShareAddress) { a.Study[31] ^= 1 },
		"another round":     func(a *ShareAddress) { a.Round[31] ^= 1 },
		"another sender":    func(a *ShareAddress) { a.Sender = "john" },
		"another recipient": func(a *ShareAddress) { a.Recipient = "john" },
		"swapped":           func(a *ShareAddress) { a.Sender, a.Recipient = a.Recipient, a.Sender },
		"moved boundary":    func(a *ShareAddress) { a.Sender, a.Recipient = "lukem", "ercy" },
		"study for round":   func(a *ShareAddress) { a.Study, a.Round = a.Round, a.Study },
		"nowhere":           func(a *ShareAddress) { *a = ShareAddress{} },
	} {
		away := home
		move(&away)
		for _, u := range []*Unsealer{used, NewUnsealer(recipient)} {
			if _, err := u.Unseal(away, box); err == nil {
				t.Errorf("%s: opens", name)
			}
		}
	}
	if _, err := NewUnsealer(siteKeys(t)).Unseal(home, box); err == nil {
		t.Error("opens for another member")
	}
	for i := range box {
		bad := bytes.Clone(box)
		bad[i] ^= 1
		if _, err := used.Unseal(home, bad); err == nil {
			t.Fatalf("opens with byte %d changed", i)
		}
	}
	for i := 0; i < len(box); i += 7 {
		if _, err := used.Unseal(home, box[:i]); err == nil {
			t.Fatalf("opens when cut to %d bytes", i)
		}
	}
	if _, err := used.Unseal(home, append(box, 0)); err == nil {
		t.Error("opens with a byte added")
	}
	if bytes.Equal(sealed(t, &sealer, recipient, home, share), box) {
		t.Error("sealing is not randomised")
	}
}

// An agreement gives both ends the same seed, and gives it nowhere else: as a
// sealed share opens nowhere else.
func TestAgreedSeedsBelongToOneAddress(t *testing.T) {
	recipient := siteKeys(t)
	var sealer Sealer
	agreement, seed, err := sealer.Agree(recipient.SealingPublic(), home)
	if err != nil || len(agreement) != AgreementBytes {
		t.Fatalf("%d bytes, %v", len(agreement), err)
	}
	used := NewUnsealer(recipient)
	for _, u := range []*Unsealer{used, used, NewUnsealer(recipient)} {
		if got, ok, err := u.Agreed(home, agreement); got != seed || !ok || err != nil {
			t.Fatalf("the recipient has another seed: %v, %v", ok, err)
		}
	}
	for name, move := range map[string]func(*ShareAddress){
		"another study":     func(a *ShareAddress) { a.Study[31] ^= 1 },
		"another round":     func(a *ShareAddress) { a.Round[31] ^= 1 },
		"another sender":    func(a *ShareAddress) { a.Sender = "john" },
		"another recipient": func(a *ShareAddress) { a.Recipient = "john" },
	} {
		away := home
		move(&away)
		for _, u := range []*Unsealer{used, NewUnsealer(recipient)} {
			if got, ok, err := u.Agreed(away, agreement); err == nil || !ok || got == seed {
				t.Errorf("%s: agrees", name)
			}
		}
	}
	if _, _, err := NewUnsealer(siteKeys(t)).Agreed(home, agreement); err == nil {
		t.Error("agrees with another member")
	}
	for i := range agreement {
		bad := bytes.Clone(agreement)
		bad[i] ^= 1
		if got, _, err := used.Agreed(home, bad); err == nil || got == seed {
			t.Fatalf("agrees with byte %d changed", i)
		}
	}
	if _, err := used.Unseal(home, agreement); err == nil {
		t.Error("an agreement opens as a share")
	}
	if _, ok, _ := used.Agreed(home, sealed(t, &sealer, recipient, home, []byte("share"))); ok {
		t.Error("a share is taken for an agreement")
	}
	again, other, err := sealer.Agree(recipient.SealingPublic(), home)
	if err != nil || other == seed || bytes.Equal(again, agreement) {
		t.Error("the same seed stands for two shares of a round")
	}
}

// Shares open in any order, by whoever has the key, and after a restart of
// either end.
func TestSealedSharesAreCompleteInThemselves(t *testing.T) {
	recipient := siteKeys(t)
	var before, after Sealer
	var boxes [][]byte
	at := func(i int) ShareAddress { a := home; a.Round = [32]byte{byte(i)}; return a }
	for i := range 6 {
		sealer := &before
		if i >= 3 {
			sealer = &after
		}
		boxes = append(boxes, sealed(t, sealer, recipient, at(i), []byte{byte(i)}))
	}
	u := NewUnsealer(recipient)
	for _, i := range []int{5, 0, 3, 3, 1, 4, 2} {
		for _, u := range []*Unsealer{u, NewUnsealer(recipient)} {
			if got, err := u.Unseal(at(i), boxes[i]); err != nil || len(got) != 1 || got[0] != byte(i) {
				t.Fatalf("share %d: %v, %v", i, got, err)
			}
		}
	}
}

// An encapsulation is shared by the rounds of one study between two members,
// never by two studies or two recipients, and not without end.
func TestAnEncapsulationServesOneStudyAndRecipient(t *testing.T) {
	mercy, john := siteKeys(t), siteKeys(t)
	var sealer Sealer
	encapsulation := func(to *Keys, at ShareAddress) string {
		return string(sealed(t, &sealer, to, at, nil)[:encapsulationBytes])
	}
	first := encapsulation(mercy, home)
	nextRound, nextStudy, toJohn := home, home, home
	nextRound.Round[0]++
	nextStudy.Study[0]++
	toJohn.Recipient = "john"
	if encapsulation(mercy, nextRound) != first {
		t.Error("the next round has an encapsulation of its own")
	}
	if encapsulation(mercy, nextStudy) == first {
		t.Error("two studies share an encapsulation")
	}
	if encapsulation(john, toJohn) == first {
		t.Error("two recipients share an encapsulation")
	}
	if encapsulation(john, home) == first {
		t.Error("a recipient's new key has the encapsulation for the old one")
	}
	var other Sealer
	if string(sealed(t, &other, mercy, home, nil)[:encapsulationBytes]) == first {
		t.Error("a sender that started again has the same encapsulation")
	}
	for range sharesOfOne {
		nextRound.Round[1]++
		if encapsulation(mercy, nextRound) != first {
			return
		}
	}
	t.Errorf("after %d shares the encapsulation is still the first", sharesOfOne)
}

func TestSealingNeedsASealingKey(t *testing.T) {
	researcher, err := GenerateKeys(RoleResearcher)
	if err != nil {
		t.Fatal(err)
	}
	if researcher.SealingPublic() != nil {
		t.Error("a researcher has a sealing key")
	}
	if _, err := NewUnsealer(researcher).Unseal(home, make([]byte, 2000)); err == nil {
		t.Error("a researcher unseals")
	}
	var sealer Sealer
	for _, bad := range [][]byte{nil, {1}, make([]byte, 1249)} {
		if _, err := sealer.Seal(bad, home, nil); err == nil {
			t.Errorf("sealed to a key of %d bytes", len(bad))
		}
	}
}

func TestSealersHaveNoPrintableForm(t *testing.T) {
	var sealer Sealer
	keys := siteKeys(t)
	sealed(t, &sealer, keys, home, nil)
	for _, v := range []any{&sealer, NewUnsealer(keys)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got := fmt.Sprintf(verb, v); got != "[sealer]" && got != "[unsealer]" {
				t.Errorf("%s prints %s", verb, got)
			}
		}
	}
}
