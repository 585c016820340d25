package identity

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "Saint Luke", "site-1", "a.b_c", strings.Repeat("x", 64), "coordinator", "Hôpital Saint-Louis", "St. Mary's (North)", "大学病院", strings.Repeat("é", 64)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), " a", "a ", "a/b", `a\b`, "a\nb", "a\x00", "nai\u0308ve", "a\u202eb", "a\u200bb", "a\xffb", "a:b", "a*", "$a", `"a"`, "..", ".", "governance", "Governance", "a\tb", "<b>"} {
		if CheckName(bad) == nil {
			t.Errorf("%q is a name", bad)
		}
	}
}

// three returns a consortium of three members and the signed chain's parts.
func three(t testing.TB) (*consortium, *Roster) {
	c := begin(t, "north")
	c.enrol("luke", RoleSite)
	c.enrol("mercy", RoleSite)
	c.enrol("ada", RoleResearcher)
	return c, c.coordinator.Rosters().Latest()
}

func TestARosterKnowsItsMembers(t *testing.T) {
	c, roster := three(t)
	if got := len(roster.Members); got != 4 || roster.Number != 4 {
		t.Fatalf("%d members on roster %d", got, roster.Number)
	}
	var sites []string
	for _, m := range roster.Sites() {
		sites = append(sites, m.Name)
	}
	if !slices.Equal(sites, []string{"luke", "mercy"}) {
		t.Errorf("sites %v", sites)
	}
	if m := roster.CoordinatorMember(); m.Name != "coordinator" || !bytes.Equal(m.SigningKey, c.coordinator.Keys().Public()) {
		t.Errorf("coordinator is %q", m.Name)
	}
	key, err := roster.KeyOf("luke")
	if luke, _ := roster.Member("luke"); err != nil || !bytes.Equal(key, luke.SigningKey) {
		t.Errorf("key of luke: %v", err)
	}
	if _, err := roster.KeyOf("nobody"); !errors.Is(err, ErrNotMember) {
		t.Errorf("key of nobody: %v", err)
	}
	if _, err := roster.KeyOfRole(RoleCoordinator)("coordinator"); err != nil {
		t.Error(err)
	}
	if _, err := roster.KeyOfRole(RoleCoordinator)("luke"); !errors.Is(err, ErrSecurity) {
		t.Errorf("luke signs as coordinator: %v", err)
	}
	if _, err := roster.KeyOfRole(RoleSite)("nobody"); !errors.Is(err, ErrNotMember) {
		t.Errorf("nobody signs: %v", err)
	}
	empty := &Roster{}
	if empty.CoordinatorMember().Name != "" {
		t.Error("an empty roster has a coordinator")
	}
}

func TestTheDigestIsThatOfThePayload(t *testing.T) {
	c, roster := three(t)
	envelopes := c.coordinator.Rosters().Envelopes()
	_, payload, err := statement.Payload(envelopes[3])
	if err != nil || roster.Digest() != statement.DigestOf(payload) {
		t.Errorf("digest %v, %v", roster.Digest(), err)
	}
	for i, envelope := range envelopes {
		_, payload, _ := statement.Payload(envelope)
		r, ok := c.coordinator.Rosters().At(statement.DigestOf(payload))
		if !ok || r.Number != uint64(i+1) {
			t.Errorf("roster %d is not found by its digest", i+1)
		}
	}
	if _, ok := c.coordinator.Rosters().At(statement.Digest{}); ok {
		t.Error("found a roster that is not there")
	}
}

func TestFingerprintsTellMembersApart(t *testing.T) {
	_, roster := three(t)
	seen := map[string]bool{}
	for _, m := range roster.Members {
		f := m.Fingerprint()
		if len(f) != 24 || seen[f] {
			t.Errorf("fingerprint %q", f)
		}
		seen[f] = true
		m.SigningKey = slices.Clone(m.SigningKey)
		m.SigningKey[0] ^= 1
		if m.Fingerprint() == f {
			t.Error("another key, the same fingerprint")
		}
	}
}

func TestAChainTakesRostersInOrder(t *testing.T) {
	c, _ := three(t)
	envelopes := c.coordinator.Rosters().Envelopes()
	chain := NewChain(c.governance.Public())
	if chain.Latest() != nil {
		t.Error("an empty chain has a roster")
	}
	for i, envelope := range envelopes {
		for range 2 { // a repetition changes nothing
			if err := chain.Append(envelope); err != nil {
				t.Fatal(err)
			}
		}
		if chain.Latest().Number != uint64(i+1) {
			t.Errorf("roster %d in force after number %d", chain.Latest().Number, i+1)
		}
	}
	// So does a late copy of one that is known; the newest stays in force.
	if err := chain.Append(envelopes[0]); err != nil || chain.Latest().Number != 4 || len(chain.Envelopes()) != 4 {
		t.Errorf("after a late copy: %v, roster %d", err, chain.Latest().Number)
	}
}

func TestAChainRefusesWhatDoesNotFollow(t *testing.T) {
	c, latest := three(t)
	key := c.governance.key()
	next := *latest
	next.Number, next.Previous = 5, latest.Digest()
	_, stranger, _ := newAuthority("north", epoch)

	change := func(f func(r *Roster)) []byte {
		r := next
		r.Members = slices.Clone(next.Members)
		f(&r)
		return signRoster(t, r, governanceName, key)
	}
	older, _ := c.coordinator.Rosters().At(latest.Previous)
	damaged := signRoster(t, next, governanceName, key)
	damaged[len(damaged)/2] ^= 1
	other := begin(t, "south")
	for name, envelope := range map[string][]byte{
		"empty":                     nil,
		"not signed by governance":  signRoster(t, next, governanceName, stranger),
		"signed by a member":        signRoster(t, next, "coordinator", c.coordinator.Keys().Signing()),
		"member's name, gov. key":   signRoster(t, next, "coordinator", key),
		"damaged":                   damaged,
		"unsigned":                  bytes.Replace(signRoster(t, next, governanceName, key), []byte(`"signatures":[`), []byte(`"signatures":[],"x":[`), 1),
		"a gap":                     change(func(r *Roster) { r.Number = 6 }),
		"a fork of the latest":      change(func(r *Roster) { r.Number, r.Previous = 4, older.Digest(); r.Members = r.Members[:1] }),
		"an older one, changed":     change(func(r *Roster) { r.Number, r.Previous = 2, older.Previous }),
		"another first roster":      other.coordinator.Rosters().Envelopes()[0],
		"number zero":               change(func(r *Roster) { r.Number, r.Previous = 0, statement.Digest{} }),
		"a wrong predecessor":       change(func(r *Roster) { r.Previous = older.Digest() }),
		"no predecessor":            change(func(r *Roster) { r.Previous = statement.Digest{} }),
		"another consortium":        change(func(r *Roster) { r.Consortium = "south" }),
		"dated before the last":     change(func(r *Roster) { r.Issued = r.Issued.Add(-time.Second) }),
		"no authority":              change(func(r *Roster) { r.Authority = nil }),
		"authority is no authority": change(func(r *Roster) { r.Authority = c.coordinator.Certificate().Raw }),
		"no address":                change(func(r *Roster) { r.Coordinator = "coordinator" }),
		"nobody":                    change(func(r *Roster) { r.Members = nil }),
		"no coordinator": change(func(r *Roster) {
			r.Members = slices.DeleteFunc(r.Members, func(m Member) bool { return m.Role == RoleCoordinator })
		}),
		"two coordinators": change(func(r *Roster) { r.Members[0].Role = RoleCoordinator }),
		"out of order":     change(func(r *Roster) { slices.Reverse(r.Members) }),
		"a name twice":     change(func(r *Roster) { r.Members[3].Name = r.Members[2].Name }),
		"a name in another case": change(func(r *Roster) {
			r.Members[2].Name = "Luke"
			slices.SortFunc(r.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
			r.Members[3].Name = "luke"
		}),
		"a key twice":                change(func(r *Roster) { r.Members[2].SigningKey = r.Members[3].SigningKey }),
		"a sealing key twice":        change(func(r *Roster) { r.Members[2].SealingKey = r.Members[3].SealingKey }),
		"the governance key":         change(func(r *Roster) { r.Members[2].SigningKey = c.governance.Public() }),
		"a name that is none":        change(func(r *Roster) { r.Members[3].Name = "z/../z" }),
		"a role that is none":        change(func(r *Roster) { r.Members[0].Role = "root" }),
		"a short key":                change(func(r *Roster) { r.Members[0].SigningKey = r.Members[0].SigningKey[1:] }),
		"a site without sealing key": change(func(r *Roster) { r.Members[2].SealingKey = nil }),
		"a damaged sealing key":      change(func(r *Roster) { r.Members[2].SealingKey = r.Members[2].SealingKey[1:] }),
		"a researcher with one": change(func(r *Roster) {
			r.Members[0].SealingKey = r.Members[2].SealingKey
			r.Members[2].Role, r.Members[2].SealingKey = RoleAuditor, nil
		}),
	} {
		if err := c.coordinator.Rosters().Append(envelope); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s: %v", name, err)
		}
		if got := c.coordinator.Rosters().Latest(); got != latest {
			t.Fatalf("%s: refused, but roster %d is in force", name, got.Number)
		}
	}
	if err := c.coordinator.Rosters().Append(change(func(*Roster) {})); err != nil {
		t.Errorf("the one that follows: %v", err)
	}
}

func TestOnlyTheFirstRosterBeginsAChain(t *testing.T) {
	c, _ := three(t)
	chain := NewChain(c.governance.Public())
	if err := chain.Append(c.coordinator.Rosters().Envelopes()[1]); !errors.Is(err, ErrSecurity) {
		t.Errorf("began with the second roster: %v", err)
	}
	if err := NewChain(nil).Append(c.coordinator.Rosters().Envelopes()[0]); !errors.Is(err, ErrSecurity) {
		t.Errorf("a chain without a key: %v", err)
	}
}

func FuzzChain(f *testing.F) {
	c := begin(f, "north")
	genuine := c.coordinator.Rosters().Envelopes()[0]
	f.Add(genuine)
	f.Add([]byte(`{"payloadType":"application/vnd.consilium.roster.v1+json","payload":"","signatures":[{"keyid":"governance","sig":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		chain := NewChain(c.governance.Public())
		if err := chain.Append(data); err == nil && !bytes.Equal(data, genuine) {
			t.Fatal("a forged roster")
		}
		// What is inside is judged without a panic, too.
		var r Roster
		if _, payload, err := statement.Payload(data); err == nil && statement.Decode(payload, &r) == nil {
			_ = r.check(c.governance.Public())
		}
	})
}
