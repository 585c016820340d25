package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

func TestATokenCarriesWhatFirstContactNeeds(t *testing.T) {
	c := begin(t, "north")
	token, err := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if err != nil {
		t.Fatal(err)
	}
	inv := c.parse("  " + token + "\n") // as it is pasted
	if inv.Name != "mercy" || inv.Role != RoleSite || inv.Consortium != "north" || inv.Coordinator != "127.0.0.1:7000" ||
		!inv.Expires.Equal(epoch.Add(time.Hour)) || !bytes.Equal(inv.Governance, c.governance.Public()) ||
		!bytes.Equal(inv.CoordinatorKey, c.coordinator.Keys().Public()) || inv.Token() != token {
		t.Errorf("%+v", inv)
	}
	again, err := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if err != nil || c.parse(again).Nonce == inv.Nonce {
		t.Errorf("two tokens share a nonce, %v", err)
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	c := begin(t, "north")
	token, err := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		for _, c := range []byte{'A', 'B', '.', ' ', '='} {
			bad := []byte(token)
			if bad[i] == c {
				continue
			}
			bad[i] = c
			if _, err := ParseToken(string(bad)); err == nil {
				t.Fatalf("parses with %q at %d", c, i)
			}
		}
		if _, err := ParseToken(token[:i]); err == nil {
			t.Fatalf("parses when cut to %d characters", i)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "long": tokenPrefix + strings.Repeat("A", maxToken), "other version": strings.Replace(token, "consilium1", "consilium2", 1),
		"padding": token + "=", "a third part": token + ".AAAA", "line break inside": token[:40] + "\n" + token[40:],
	} {
		if _, err := ParseToken(bad); err == nil {
			t.Errorf("%s: parses", name)
		}
	}
	// What governance would never sign, signed by some key that claims to be it.
	_, key, err := newAuthority("x", epoch)
	if err != nil {
		t.Fatal(err)
	}
	good := *c.parse(token)
	for name, spoil := range map[string]func(*Invitation){
		"a coordinator":      func(inv *Invitation) { inv.Role = RoleCoordinator },
		"no role":            func(inv *Invitation) { inv.Role = "" },
		"no name":            func(inv *Invitation) { inv.Name = "" },
		"no consortium":      func(inv *Invitation) { inv.Consortium = "" },
		"short nonce":        func(inv *Invitation) { inv.Nonce = inv.Nonce[2:] },
		"no coordinator key": func(inv *Invitation) { inv.CoordinatorKey = nil },
		"no governance key":  func(inv *Invitation) { inv.Governance = nil },
		"another's key":      func(inv *Invitation) { inv.Governance = c.governance.Public() },
	} {
		inv := good
		inv.Governance = key.Public().(ed25519.PublicKey)
		spoil(&inv)
		payload, err := statement.Encode(inv)
		if err != nil {
			t.Fatal(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		if _, err := ParseToken(tokenPrefix + encode(payload) + "." + encode(ed25519.Sign(key, tokenMessage(payload)))); err == nil {
			t.Errorf("%s: parses", name)
		}
	}
	// A signature on an envelope is no signature on a token.
	payload, _ := statement.Encode(good)
	encode := base64.RawURLEncoding.EncodeToString
	if _, err := ParseToken(tokenPrefix + encode(payload) + "." + encode(ed25519.Sign(c.governance.key(), payload))); !errors.Is(err, ErrSecurity) {
		t.Errorf("signature from another domain: %v", err)
	}
}

func TestTheCoordinatorChecksWhoseInvitationItIs(t *testing.T) {
	c := begin(t, "north")
	token, err := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if err != nil {
		t.Fatal(err)
	}
	inv := c.parse(token)
	if err := inv.Check(c.governance.Public(), "north", epoch.Add(time.Hour)); err != nil {
		t.Errorf("in its last second: %v", err)
	}
	if err := inv.Check(c.governance.Public(), "north", epoch.Add(time.Hour+time.Second)); err == nil || errors.Is(err, ErrSecurity) {
		t.Errorf("expired: %v", err)
	}
	if err := inv.Check(begin(t, "north").governance.Public(), "north", epoch); !errors.Is(err, ErrSecurity) {
		t.Errorf("another governance: %v", err)
	}
	if err := inv.Check(c.governance.Public(), "south", epoch); !errors.Is(err, ErrSecurity) {
		t.Errorf("another consortium: %v", err)
	}
}

func TestEnrolmentCanBeInterruptedAnywhere(t *testing.T) {
	c := begin(t, "north")
	token, err := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if err != nil {
		t.Fatal(err)
	}
	dir := c.memberDir("mercy")
	if _, _, err := UnfinishedEnrolment(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	first, err := NewEnrolment(token, dir)
	if err != nil {
		t.Fatal(err)
	}
	inv, held, err := UnfinishedEnrolment(dir)
	if err != nil || !bytes.Equal(held, first) || inv.Name != "mercy" {
		t.Errorf("unfinished: %v", err)
	}
	for _, lost := range []string{"", "invitation", "enrolment.json"} {
		if lost != "" {
			remove(lost)(t, dir)
		}
		again, err := NewEnrolment(token, dir)
		if err != nil || !bytes.Equal(again, first) {
			t.Errorf("again, having lost %q: %v", lost, err)
		}
	}
	if _, err := OpenNode(dir); err == nil {
		t.Error("opened before it was enrolled")
	}
	// A second invitation for the same name: the keys stay.
	second, err := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := NewEnrolment(second, dir)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := OpenEnrolment(first)
	after, err := OpenEnrolment(renewed)
	if err != nil || !bytes.Equal(before.SigningKey, after.SigningKey) || before.TokenDigest == after.TokenDigest {
		t.Errorf("second invitation: %v", err)
	}
	c.publish(c.governance.Admit([][]byte{renewed}, epoch))
	for range 2 { // finishing twice is no harm
		if err := FinishEnrolment(dir, c.parse(second), c.admission(renewed, epoch), c.coordinator.Rosters().Envelopes()); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := UnfinishedEnrolment(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after: %v", err)
	}
	if _, err := NewEnrolment(second, dir); err == nil {
		t.Error("enrolled over an enrolled identity")
	}
}

func TestADirectoryBelongsToOneName(t *testing.T) {
	c := begin(t, "north")
	mercy, _ := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	luke, _ := c.governance.Invite("luke", RoleSite, time.Hour, epoch)
	if _, err := NewEnrolment(mercy, c.memberDir("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewEnrolment(luke, c.memberDir("x")); err == nil {
		t.Error("two names enrol in one directory")
	}
	if err := FinishEnrolment(c.memberDir("x"), c.parse(luke), nil, nil); err == nil {
		t.Error("finished another's enrolment")
	}
}

func TestForgedEnrolmentsAreRefused(t *testing.T) {
	c := begin(t, "north")
	token, _ := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	inv := c.parse(token)
	keys, err := GenerateKeys(RoleSite)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := GenerateKeys(RoleSite)
	if err != nil {
		t.Fatal(err)
	}
	request, _ := newCertificateRequest("mercy", keys.Signing())
	strangers, _ := newCertificateRequest("mercy", stranger.Signing())
	good := statement.Enrolment{TokenDigest: inv.Digest(), Name: "mercy", Role: "site", SigningKey: keys.Public(), SealingKey: keys.SealingPublic(), CertificateRequest: request}
	sign := func(e statement.Enrolment, keys *Keys) []byte {
		envelope, err := statement.Sign(statement.KindEnrolment, e, e.Name, keys.Signing())
		if err != nil {
			t.Fatal(err)
		}
		return envelope
	}
	if e, err := OpenEnrolment(sign(good, keys)); err != nil || inv.Covers(e) != nil {
		t.Fatalf("the genuine one: %v", err)
	}
	if _, err := OpenEnrolment(sign(good, stranger)); !errors.Is(err, ErrSecurity) {
		t.Errorf("signed by another key than it carries: %v", err)
	}
	if _, err := OpenEnrolment(make([]byte, 1<<20)); err == nil {
		t.Error("opened a megabyte")
	}
	if _, err := OpenEnrolment([]byte("{}")); err == nil {
		t.Error("opened nothing")
	}
	for name, spoil := range map[string]func(*statement.Enrolment){
		"a coordinator":          func(e *statement.Enrolment) { e.Role = "coordinator"; e.SealingKey = nil },
		"no role":                func(e *statement.Enrolment) { e.Role = "" },
		"a site without sealing": func(e *statement.Enrolment) { e.SealingKey = nil },
		"an auditor with one":    func(e *statement.Enrolment) { e.Role = "auditor" },
		"another's request":      func(e *statement.Enrolment) { e.CertificateRequest = strangers },
		"no request":             func(e *statement.Enrolment) { e.CertificateRequest = nil },
		"a name that is none":    func(e *statement.Enrolment) { e.Name = "a/b" },
		"governance":             func(e *statement.Enrolment) { e.Name = "governance" },
	} {
		e := good
		spoil(&e)
		if _, err := OpenEnrolment(sign(e, keys)); err == nil {
			t.Errorf("%s: opens", name)
		}
	}
	for name, spoil := range map[string]func(*statement.Enrolment){
		"another name":  func(e *statement.Enrolment) { e.Name = "luke" },
		"another role":  func(e *statement.Enrolment) { e.Role = "auditor" },
		"another token": func(e *statement.Enrolment) { e.TokenDigest = statement.Digest{} },
	} {
		e := good
		spoil(&e)
		if err := inv.Covers(&e); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s is covered: %v", name, err)
		}
	}
}

func TestFinishEnrolmentTrustsOnlyTheInvitation(t *testing.T) {
	c := begin(t, "north")
	token, _ := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	inv := c.parse(token)
	dir := c.memberDir("mercy")
	envelope, err := NewEnrolment(token, dir)
	if err != nil {
		t.Fatal(err)
	}
	before := c.coordinator.Rosters().Envelopes()
	c.publish(c.governance.Admit([][]byte{envelope}, epoch))
	certificate, rosters := c.admission(envelope, epoch), c.coordinator.Rosters().Envelopes()
	other := begin(t, "north")
	luke := c.enrol("luke", RoleSite)

	for name, test := range map[string]struct {
		certificate []byte
		rosters     [][]byte
	}{
		"no rosters":                 {certificate, nil},
		"not listed yet":             {certificate, before},
		"another consortium's":       {certificate, other.coordinator.Rosters().Envelopes()},
		"a gap":                      {certificate, rosters[1:]},
		"no certificate":             {nil, rosters},
		"another's certificate":      {luke.Certificate().Raw, c.coordinator.Rosters().Envelopes()},
		"the coordinator's":          {c.coordinator.Certificate().Raw, rosters},
		"another consortium's cert.": {other.coordinator.Certificate().Raw, rosters},
	} {
		if err := FinishEnrolment(dir, inv, test.certificate, test.rosters); err == nil {
			t.Errorf("%s: finished", name)
		}
		if _, err := OpenNode(dir); err == nil {
			t.Fatalf("%s: the directory opens", name)
		}
	}
	if err := FinishEnrolment(dir, inv, certificate, rosters); err != nil {
		t.Fatal(err)
	}
	node, err := OpenNode(dir)
	if err != nil {
		t.Fatal(err)
	}
	if node.Name() != "mercy" || node.Role() != RoleSite || !bytes.Equal(node.Governance(), c.governance.Public()) {
		t.Errorf("%s, %s", node.Name(), node.Role())
	}
}

// A coordinator that puts its own keys in the newcomer's place is found out.
func TestAStolenInvitationIsNoticed(t *testing.T) {
	c := begin(t, "north")
	token, _ := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if _, err := NewEnrolment(token, c.memberDir("mercy")); err != nil {
		t.Fatal(err)
	}
	thief, err := NewEnrolment(token, c.memberDir("thief"))
	if err != nil {
		t.Fatal(err)
	}
	c.publish(c.governance.Admit([][]byte{thief}, epoch))
	err = FinishEnrolment(c.memberDir("mercy"), c.parse(token), c.admission(thief, epoch), c.coordinator.Rosters().Envelopes())
	if !errors.Is(err, ErrSecurity) || !strings.Contains(err.Error(), "tell the consortium") {
		t.Errorf("got %v", err)
	}
}

func TestANodeSavesARosterBeforeItUsesIt(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	c.enrol("luke", RoleSite)
	next := c.coordinator.Rosters().Envelopes()[2]

	rosters := filepath.Join(c.memberDir("mercy"), "rosters")
	aside := rosters + ".aside"
	if err := os.Rename(rosters, aside); err != nil {
		t.Fatal(err)
	}
	// The folder cannot be written: a file is in its place.
	if err := os.WriteFile(rosters, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := site.AppendRoster(next); err == nil || errors.Is(err, ErrSecurity) {
		t.Errorf("unsaved: %v", err)
	}
	if got := site.Rosters().Latest().Number; got != 2 {
		t.Errorf("roster %d is in force, unsaved", got)
	}
	if err := os.Remove(rosters); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, rosters); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := site.AppendRoster(next); err != nil {
			t.Fatal(err)
		}
	}
	reopened, err := OpenNode(c.memberDir("mercy"))
	if err != nil || reopened.Rosters().Latest().Number != 3 {
		t.Errorf("after a restart: %v", err)
	}
	forged := *reopened.Rosters().Latest()
	forged.Members = slices.Clone(forged.Members[:1])
	if err := reopened.AppendRoster(signRoster(t, forged, governanceName, c.governance.key())); !errors.Is(err, ErrSecurity) {
		t.Errorf("a fork after a restart: %v", err)
	}
}

func TestARemovedMemberStillOpensItsDirectory(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	c.publish(c.governance.Remove("mercy", epoch))
	if err := site.AppendRoster(c.coordinator.Rosters().Envelopes()[2]); err != nil {
		t.Fatal(err)
	}
	node, err := OpenNode(c.memberDir("mercy"))
	if err != nil || node.Role() != RoleSite {
		t.Errorf("%v", err)
	}
}

func FuzzParseToken(f *testing.F) {
	c := begin(f, "north")
	token, err := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(tokenPrefix + "e30.AAAA")
	f.Fuzz(func(t *testing.T, data string) {
		inv, err := ParseToken(data)
		if err == nil && bytes.Equal(inv.Governance, c.governance.Public()) && inv.Token() != token {
			t.Fatalf("a forged token: %q", data)
		}
	})
}

func FuzzOpenEnrolment(f *testing.F) {
	c := begin(f, "north")
	token, err := c.governance.Invite("ada", RoleResearcher, time.Hour, epoch)
	if err != nil {
		f.Fatal(err)
	}
	envelope, err := NewEnrolment(token, c.memberDir("ada"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := OpenEnrolment(data); err == nil && EnrolledMember(e).check() != nil {
			t.Fatal("an enrolment that no roster could list")
		}
	})
}
