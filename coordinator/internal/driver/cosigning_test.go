package driver

import (
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
)

// witnessed is a driver with a log of its own and two sites.
func witnessed(t *testing.T, leaves int) (d *Driver, sites map[string]*identity.Node) {
	t.Helper()
	dir, now := t.TempDir(), time.Now()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(identity.InitConsortium(identity.InitSpec{Consortium: "test", CoordinatorAddress: "127.0.0.1:1", Now: now,
		GovernanceDir: filepath.Join(dir, "governance"), CoordinatorDir: filepath.Join(dir, "coordinator")}))
	governance, err := identity.OpenGovernance(filepath.Join(dir, "governance"))
	check(err)
	server, err := identity.OpenNode(filepath.Join(dir, "coordinator"))
	check(err)
	var enrolments [][]byte
	tokens := make(map[string]string)
	for _, name := range []string{"Aare", "Birs"} {
		tokens[name], err = governance.Invite(name, identity.RoleSite, time.Hour, now)
		check(err)
		enrolment, err := identity.NewEnrolment(tokens[name], filepath.Join(dir, name))
		check(err)
		enrolments = append(enrolments, enrolment)
	}
	roster, err := governance.Admit(enrolments, now)
	check(err)
	check(server.AppendRoster(roster))
	sites = make(map[string]*identity.Node)
	for _, enrolment := range enrolments {
		e, err := identity.OpenEnrolment(enrolment)
		check(err)
		certificate, err := server.IssueCertificate(e.CertificateRequest, identity.EnrolledMember(e), now, 0)
		check(err)
		invitation, err := identity.ParseToken(tokens[e.Name])
		check(err)
		check(identity.FinishEnrolment(filepath.Join(dir, e.Name), invitation, certificate, governance.Rosters().Envelopes()))
		sites[e.Name], err = identity.OpenNode(filepath.Join(dir, e.Name))
		check(err)
	}
	d = &Driver{
		Options: Options{Node: server, Now: time.Now}, changed: make(chan struct{}), poked: make(chan struct{}, 1),
		heard: map[string]*presence{}, cosigned: map[string]cosignature{}, keptAt: map[string]uint64{}, witnessed: make(chan struct{}),
		log: ledger.NewLog(ledger.Origin("test"), ledger.NewMemory()),
	}
	for range leaves {
		_, err := d.log.Append([]byte{byte(d.leaves)})
		check(err)
		d.leaves++
	}
	return d, sites
}

func headOf(t *testing.T, d *Driver, size uint64) ledger.Checkpoint {
	t.Helper()
	head, err := d.headAt(size)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func cosign(t *testing.T, n *identity.Node, head ledger.Checkpoint) []byte {
	t.Helper()
	signed, err := ledger.Cosign(head, time.Now(), n.Keys().Signing())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Of each site the largest checkpoint that it cosigned is kept, and what is no
// cosignature of this log by that site is a security violation.
func TestTheLargestCosignedCheckpointIsKept(t *testing.T) {
	d, sites := witnessed(t, 9)
	accept := func(site string, size uint64) {
		t.Helper()
		if err := d.Cosigned(site, size, cosign(t, sites[site], headOf(t, d, size))); err != nil {
			t.Fatal(err)
		}
	}
	sizes := func(want ...uint64) {
		t.Helper()
		notes, err := d.cosignedNotes()
		if err != nil || len(notes) != len(want) {
			t.Fatalf("%d notes, want %v: %v", len(notes), want, err)
		}
		keys := make(map[string]ed25519.PublicKey)
		for name, node := range sites {
			keys[name] = node.Keys().Signing().Public().(ed25519.PublicKey)
		}
		coordinator := d.Node.Keys().Signing().Public().(ed25519.PublicKey)
		for i, n := range notes {
			c, seen, err := ledger.VerifyCosigned(n.note, ledger.Origin("test"), coordinator, keys)
			if err != nil || c.Size != want[i] || len(seen) != n.cosignatures {
				t.Errorf("note %d: %+v, %+v, %v", i, c, seen, err)
			}
		}
	}
	sizes()
	accept("Aare", 5)
	sizes(5)
	accept("Birs", 7)
	sizes(7, 5)
	accept("Aare", 7)
	sizes(7)
	accept("Aare", 6) // an old one, late
	sizes(7)

	fork := headOf(t, d, 8)
	fork.Root[0] ^= 1
	for name, signed := range map[string][]byte{
		"of another history": cosign(t, sites["Aare"], fork),
		"by another site":    cosign(t, sites["Birs"], headOf(t, d, 8)),
		"of another size":    cosign(t, sites["Aare"], headOf(t, d, 9)),
		"short":              cosign(t, sites["Aare"], headOf(t, d, 8))[:71],
	} {
		if p, ok := errors.AsType[*Problem](d.Cosigned("Aare", 8, signed)); !ok || !p.Security || p.Code != "cosignature-refused" {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if p, ok := errors.AsType[*Problem](d.Cosigned("Aare", 10, cosign(t, sites["Aare"], fork))); !ok || p.Code != "ledger-shrunk" {
		t.Errorf("beyond the end: %+v", p)
	}
	if p, ok := errors.AsType[*Problem](d.Cosigned("Nobody", 8, cosign(t, sites["Aare"], headOf(t, d, 8)))); !ok || p.Code != "not-a-member" {
		t.Errorf("by nobody: %+v", p)
	}
	sizes(7)
}

// The evidence waits for hospitals that are there and have something to cosign,
// and for nobody else.
func TestWhoseCosignatureIsAwaited(t *testing.T) {
	d, sites := witnessed(t, 9)
	awaited := func(want bool, when string) {
		t.Helper()
		if d.awaited(9) != want {
			t.Errorf("%s: awaited %v", when, !want)
		}
	}
	left := d.Heard("Aare")
	awaited(false, "a site that never cosigned")
	if err := d.Cosigned("Aare", 5, cosign(t, sites["Aare"], headOf(t, d, 5))); err != nil {
		t.Fatal(err)
	}
	awaited(true, "a site that is behind")
	left()
	d.Now = func() time.Time { return time.Now().Add(time.Hour) }
	awaited(false, "a site that is gone")
	d.Heard("Aare")
	if err := d.Cosigned("Aare", 9, cosign(t, sites["Aare"], headOf(t, d, 9))); err != nil {
		t.Fatal(err)
	}
	awaited(false, "a site that cosigned")
	d.gatherCosignatures() // returns at once
}
