package coordinator_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
)

// Rule: what a study showed that came to no model counts as an earlier report, and
// its end is in the evidence with the result that it names; one that failed showed
// nothing, and its end is in the evidence alone.
func TestEndsWithoutAModelAreEarlierReports(t *testing.T) {
	long(t)
	t.Parallel()
	constant := strings.NewReplacer(
		"outcome: {column: dose, type: number, range: [0, 100], unit: mg, transform: identity}", "outcome: {column: dose, type: binary, at_least: -1000}",
		"family: gaussian", "family: binomial",
	).Replace(rehearsal.Study)
	p := start(t, &play{Consortium: rehearsal.New(t), t: t, protocol: constant}, coordinator.Options{}, 4, nil, nil)
	if st := p.finish(); st.State != "diagnosed" {
		t.Fatalf("study is %s (%s)", st.State, st.Reason)
	}
	if st := p.next(onePatientLess()); st.State != "completed" {
		t.Fatalf("study is %s (%s)", st.State, st.Reason)
	}
	later := p.result()
	if later.Earlier == nil || len(later.Earlier.Compared) != 1 || later.Cohort.Patients.N != nil || later.Audit.N != 0 {
		t.Fatalf("119 of 120 patients are shown: %+v, %+v", later.Earlier, later.Cohort.Patients)
	}
	p.verify(t)
	p.Enrol(identity.RoleAuditor, "Ines")
	_, conn := p.Connect("Ines")
	whole := p.fetch(t, conn, false)
	ends, results := earlierFiles(whole)
	if len(ends) != 1 || len(results) != 1 {
		t.Fatalf("the bundle has the ends %q and results %q", ends, results)
	}
	for _, path := range append(ends, results...) {
		for what, damage := range map[string]func(fstest.MapFS){
			"changed": func(b fstest.MapFS) {
				data := append([]byte(nil), b[path].Data...)
				data[len(data)/2] ^= 1
				b[path] = &fstest.MapFile{Mode: b[path].Mode, Data: data}
			},
			"missing": func(b fstest.MapFS) { delete(b, path) },
		} {
			bundle := fstest.MapFS{}
			for name, f := range whole {
				bundle[name] = f
			}
			damage(bundle)
			found, err := audit.Verify(bundle, audit.Trust{Governance: p.Governance.Public()})
			if err != nil {
				t.Fatal(err)
			}
			if bad, failed := found.First(audit.Failed); !failed || !strings.Contains(bad.Detail, path) {
				t.Errorf("%s is %s: %+v", path, what, bad)
			}
			if _, err := independent.Verify(bundle, identity.GovernanceFingerprint(p.Governance.Public())); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s is %s, the second verifier: %v", path, what, err)
			}
		}
	}

	// A study that needs all four hospitals fails when one is gone, and shows nothing.
	failing := strings.NewReplacer("version: 1", "version: 5", "minimum_contributors: 3", "minimum_contributors: 4").Replace(rehearsal.Study)
	if st := p.nextWithout(failing, "", p.stops[3]); st.State != "failed" {
		t.Fatalf("study is %s (%s)", st.State, st.Reason)
	}
	if st := p.nextWithout(strings.Replace(rehearsal.Study, "version: 1", "version: 6", 1), "Hospital 04", func() {}); st.State != "completed" {
		t.Fatalf("study is %s (%s)", st.State, st.Reason)
	}
	if last := p.result(); len(last.Earlier.Compared) != 2 {
		t.Errorf("compared with %+v", last.Earlier.Compared)
	}
	found, err := audit.Verify(p.fetch(t, conn, false), audit.Trust{Governance: p.Governance.Public()})
	if err != nil {
		t.Fatal(err)
	}
	if bad, failed := found.First(audit.Failed); failed {
		t.Errorf("%+v", bad)
	}
	if ends, results := earlierFiles(p.fetch(t, conn, false)); len(ends) != 2 || len(results) != 2 {
		t.Errorf("the bundle has the ends %q and results %q", ends, results)
	}
}

func earlierFiles(bundle fstest.MapFS) (ends, results []string) {
	for path := range bundle {
		switch {
		case strings.HasPrefix(path, "earlier/") && strings.HasSuffix(path, ".end.json"):
			ends = append(ends, path)
		case strings.HasPrefix(path, "earlier/") && strings.HasSuffix(path, ".json"):
			results = append(results, path)
		}
	}
	return ends, results
}

// nextWithout is next where a hospital is off the net and says nothing, and
// something happens before the start.
func (p *play) nextWithout(protocol, gone string, before func()) *coordinator.StudyStatus {
	p.t.Helper()
	rita := p.Researcher("Rita")
	p.study = rita.Propose(protocol)
	p.wait("the other hospitals approve", func(st *coordinator.StudyStatus) bool {
		for _, d := range st.Decisions {
			if d.Decision != "approved" && d.Site != gone {
				return false
			}
		}
		return len(st.Decisions) > 0
	})
	before()
	if err := rita.Start(p.study); err != nil {
		p.t.Fatal(err)
	}
	return p.finish()
}
