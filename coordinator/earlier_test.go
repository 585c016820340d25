package coordinator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
)

// next proposes another study in the same consortium and plays it to its end.
func (p *play) next(protocol string) *coordinator.StudyStatus {
	p.t.Helper()
	rita := p.Researcher("Rita")
	p.study = rita.Propose(protocol)
	p.wait("every hospital approves", func(st *coordinator.StudyStatus) bool {
		for _, d := range st.Decisions {
			if d.Decision != "approved" {
				return false
			}
		}
		return len(st.Decisions) > 0
	})
	if err := rita.Start(p.study); err != nil {
		p.t.Fatal(err)
	}
	return p.finish()
}

// onePatientLess is the rehearsal's study without the first patient of the first
// hospital.
func onePatientLess() string {
	age := rand.New(rand.NewPCG(0, 1)).Float64() * 10
	rule := fmt.Sprintf("cohort:\n  exclude_if:\n    - {column: age, equals: [%q]}\nmodel:", strconv.FormatFloat(age, 'g', -1, 64))
	return strings.NewReplacer("version: 1", "version: 2", "model:", rule).Replace(rehearsal.Study)
}

// Two reports of nearly the same patients cannot be subtracted: the later one
// withholds what one patient more or less would give away, says why, and the
// auditor comes to the same.
func TestALaterReportIsNotSubtractedFromAnEarlierOne(t *testing.T) {
	long(t)
	t.Parallel()
	p := begin(t, coordinator.Options{}, 4, nil)
	p.finish()
	first := p.result()
	if first.Earlier != nil || first.Cohort.Patients.N == nil || *first.Cohort.Patients.N != 120 {
		t.Fatalf("the first result is compared with %+v; patients %+v", first.Earlier, first.Cohort.Patients)
	}

	// The same cohort is shown again.
	if st := p.next(strings.Replace(rehearsal.Study, "version: 1", "version: 3", 1)); st.State != "completed" {
		t.Fatalf("study is %s (%s)", st.State, st.Reason)
	}
	same := p.result()
	if same.Earlier == nil || len(same.Earlier.Compared) != 1 || !same.Earlier.Compared[0].Alike || same.Earlier.Withheld != nil || same.Audit.N != 120 {
		t.Errorf("the same cohort: %+v", same.Earlier)
	}

	if st := p.next(onePatientLess()); st.State != "completed" {
		t.Fatalf("study is %s (%s)", st.State, st.Reason)
	}
	later := p.result()
	if len(later.Earlier.Compared) != 2 || later.Cohort.Patients.N != nil || later.Audit.N != 0 || later.Cohort.Outcome.Mean != nil {
		t.Fatalf("one patient less: %+v, patients %+v", later.Earlier, later.Cohort.Patients)
	}
	shown, hidden := 0, 0
	for i, g := range later.Audit.Groups {
		if g.State == fairness.Suppressed {
			hidden++
			continue
		}
		shown++
		if before := first.Audit.Groups[i]; *g.N != *before.N {
			t.Errorf("%s has %d patients, before %d", g.Level, *g.N, *before.N)
		}
	}
	if shown == 0 || hidden != 2 { // all, and the sex of the one patient
		t.Errorf("%d groups are shown and %d withheld", shown, hidden)
	}
	if why := later.Audit.Hidden[0].Why; !strings.Contains(why, "by subtraction") {
		t.Errorf("the report says %q", why)
	}
	p.verify(t)

	t.Run("damage", func(t *testing.T) { damageEarlier(t, p) })
	t.Run("another researcher", func(t *testing.T) { anotherResearcher(t, p) })
}

// What the earlier results were is part of the evidence: changed or left out in
// part it is found, left out whole it is said.
func damageEarlier(t *testing.T, p *play) {
	p.Enrol(identity.RoleAuditor, "Ines")
	_, conn := p.Connect("Ines")
	whole := p.fetch(t, conn, false)
	var files []string
	for path := range whole {
		if strings.HasPrefix(path, "earlier/") {
			files = append(files, path)
		}
	}
	if len(files) != 4 { // two results and their studies
		t.Fatalf("the bundle has %q", files)
	}
	check := func(bundle fstest.MapFS) (audit.Finding, error) {
		found, err := audit.Verify(bundle, audit.Trust{Governance: p.Governance.Public()})
		if err != nil {
			t.Fatal(err)
		}
		_, second := independent.Verify(bundle, identity.GovernanceFingerprint(p.Governance.Public()))
		for _, c := range found.Checks {
			if c.State == audit.Failed || c.Check == "earlier results" {
				return c, second
			}
		}
		return audit.Finding{}, second
	}
	clone := func() fstest.MapFS {
		out := fstest.MapFS{}
		for path, f := range whole {
			out[path] = &fstest.MapFile{Mode: f.Mode, Data: bytes.Clone(f.Data)}
		}
		return out
	}
	for _, path := range files {
		changed := clone()
		changed[path].Data = bytes.Replace(changed[path].Data, []byte("0"), []byte("9"), 1)
		if c, second := check(changed); c.State != audit.Failed || second == nil {
			t.Errorf("%s was changed: %+v, %v", path, c, second)
		}
		short := clone()
		delete(short, path)
		if c, second := check(short); c.State != audit.Failed || second == nil {
			t.Errorf("%s is missing: %+v, %v", path, c, second)
		}
	}
	without := clone()
	for _, path := range files {
		delete(without, path)
	}
	if c, second := check(without); c.State != audit.NotChecked || second != nil {
		t.Errorf("without earlier results: %+v, %v", c, second)
	}
	if _, err := fs.Stat(without, "earlier"); err == nil {
		t.Error("the folder is still there")
	}
}

// A researcher gets no results of another one's studies with the evidence.
func anotherResearcher(t *testing.T, p *play) {
	p.Enrol(identity.RoleResearcher, "Rolf")
	rolf := p.Researcher("Rolf")
	p.study = rolf.Propose(strings.Replace(rehearsal.Study, "version: 1", "version: 4", 1))
	p.wait("every hospital approves", func(st *coordinator.StudyStatus) bool {
		for _, d := range st.Decisions {
			if d.Decision != "approved" {
				return false
			}
		}
		return len(st.Decisions) > 0
	})
	if err := rolf.Start(p.study); err != nil {
		t.Fatal(err)
	}
	p.finish()
	_, conn := p.Connect("Rolf")
	bundle := p.fetch(t, conn, false)
	for path := range bundle {
		if strings.HasPrefix(path, "earlier/") {
			t.Errorf("the researcher was sent %s", path)
		}
	}
	found, err := audit.Verify(bundle, audit.Trust{Governance: p.Governance.Public()})
	if err != nil {
		t.Fatal(err)
	}
	if bad, failed := found.First(audit.Failed); failed {
		t.Errorf("%+v", bad)
	}
	if text, _ := json.Marshal(found); !bytes.Contains(text, []byte("taken as stated")) {
		t.Errorf("the findings do not say what was not checked: %s", text)
	}
}
