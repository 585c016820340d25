package coordinator_test

import (
	"errors"
	"io"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/grpc"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
)

// An auditor, who trusts nothing but the governance key, finds the evidence of
// every way that a study can go in order, and with the ciphertexts opens every
// sum again.
func TestTheEvidenceHolds(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(t *testing.T) *play{
		"completed": func(t *testing.T) *play { return begin(t, coordinator.Options{}, 4, nil) },
		"a site left out": func(t *testing.T) *play {
			return begin(t, coordinator.Options{}, 4, func(i int, h *rehearsal.Hospital) { h.Declines = i == 1 })
		},
		"a site at fault": func(t *testing.T) *play {
			return begin(t, coordinator.Options{}, 5, func(i int, h *rehearsal.Hospital) { h.BadShares = i == 4 })
		},
		"a committee replaced": func(t *testing.T) *play { return beginThen(t, 5, 2) },
		"nothing opened": func(t *testing.T) *play {
			return begin(t, coordinator.Options{}, 4, func(i int, h *rehearsal.Hospital) { h.SkipOpening = i < 2 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name != "a committee replaced" {
				long(t)
			}
			t.Parallel()
			p := play(t)
			p.finish()
			p.verify(t)
		})
	}
}

// Hospitals that are there cosign the release that they were offered: an auditor
// sees that all of them have seen the same history.
func TestHospitalsCosignTheRelease(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 4, nil)
	p.finish()
	p.Enrol(identity.RoleAuditor, "Ada")
	_, conn := p.Connect("Ada")
	for end := time.Now().Add(time.Minute); ; {
		found, err := audit.Verify(p.fetch(t, conn, false), audit.Trust{Governance: p.Governance.Public()})
		if err != nil {
			t.Fatal(err)
		}
		if bad, failed := found.First(audit.Failed); failed {
			t.Fatalf("%+v", bad)
		}
		if found.Witnesses == 4 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of 4 hospitals cosigned the release within a minute", found.Witnesses)
		}
	}
}

// fetch reads a bundle.
func (p *play) fetch(t *testing.T, conn *grpc.ClientConn, ciphertexts bool) fstest.MapFS {
	t.Helper()
	bundle := fstest.MapFS{}
	err := evidence(conn, p.study, ciphertexts, func(path string, data []byte) {
		if bundle[path] == nil {
			bundle[path] = &fstest.MapFile{Mode: 0o644}
		}
		bundle[path].Data = append(bundle[path].Data, data...)
	})
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return bundle
}

// verify has a new auditor fetch the evidence of the study, without and with
// ciphertexts, and check it.
func (p *play) verify(t *testing.T) {
	t.Helper()
	p.Enrol(identity.RoleAuditor, "Ada")
	_, conn := p.Connect("Ada")
	st, err := p.server.Status(p.study)
	if err != nil {
		t.Fatal(err)
	}
	for _, ciphertexts := range []bool{false, true} {
		bundle := p.fetch(t, conn, ciphertexts)
		found, err := audit.Verify(bundle, audit.Trust{Governance: p.Governance.Public()})
		if err != nil {
			t.Fatal(err)
		}
		if bad, failed := found.First(audit.Failed); failed {
			t.Errorf("ciphertexts %v: %+v", ciphertexts, bad)
		}
		if found.Status != st.State {
			t.Errorf("the study is %s, audited %s", st.State, found.Status)
		}
		if _, err := independent.Verify(bundle, identity.GovernanceFingerprint(p.Governance.Public())); err != nil {
			t.Errorf("ciphertexts %v: the second verifier: %v", ciphertexts, err)
		}
		if st.State == "completed" && found.Release != st.Release.String() {
			t.Errorf("release %s, audited %s", st.Release, found.Release)
		}
		for _, check := range found.Checks {
			// Hospitals may still be deciding about the release, or cosigning it.
			if ciphertexts && st.State == "completed" && check.State == audit.NotChecked && check.Check != "release decisions" && check.Check != "witnesses" {
				t.Errorf("%+v", check)
			}
		}
	}
}
