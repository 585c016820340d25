package federation

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/simulations/cohort"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// clinics are more hospitals than a committee has members, all alike.
func clinics(t *testing.T, sites int) []Site {
	t.Helper()
	like := cohort.Default(1).Hospitals[0]
	spec := cohort.Spec{Noise: 1}
	for i := range sites {
		like.Name, like.Patients = fmt.Sprintf("clinic%02d", i), 25
		spec.Hospitals = append(spec.Hospitals, like)
	}
	table := cohort.Generate(spec, 7)
	divided, _, err := Split(records.Memory(table.Columns, table.Rows), "site")
	if err != nil {
		t.Fatal(err)
	}
	return divided
}

// logged reads the entries of a type, and the statements that they name, from a
// bundle.
func logged[S any](t *testing.T, bundle, kind string) []S {
	t.Helper()
	lines, err := os.ReadFile(filepath.Join(bundle, "entries.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []S
	for line := range bytes.Lines(lines) {
		entry, err := ledger.ParseEntry(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		if entry.Type != kind {
			continue
		}
		envelope, err := os.ReadFile(filepath.Join(bundle, "blobs", entry.Subject.String()))
		if err != nil {
			t.Fatal(err)
		}
		var s S
		_, payload, err := statement.Payload(envelope)
		if err == nil {
			err = statement.Decode(payload, &s)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		t.Fatalf("the bundle has no %s", kind)
	}
	return all
}

// Of 24 hospitals 20 are drawn to hold the key shares: coordinator, sites and
// auditor agree on whom, for the whole study; all 24 contribute.
func TestALargeConsortiumDrawsItsCommittee(t *testing.T) {
	sites := clinics(t, 24)
	bundle := filepath.Join(t.TempDir(), "bundle")
	result := run(t, Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: sites, Bundle: bundle})
	if result.Study.State != "completed" {
		t.Fatalf("the study is %s: %s", result.Study.State, result.Study.Reason)
	}
	for _, r := range result.Rounds {
		if len(r.Contributors) != len(sites) {
			t.Errorf("%s has %d contributors", r.Step, len(r.Contributors))
		}
	}
	plans := logged[statement.Plan](t, bundle, ledger.TypePlan)
	committee := plans[0].Committee
	for _, p := range plans {
		if p.Draw == nil || *p.Draw != *plans[0].Draw {
			t.Fatalf("%s is drawn from %+v, the first from %+v", p.Step, p.Draw, plans[0].Draw)
		}
		if !slices.Equal(p.Committee, committee) || !slices.Equal(committee, statement.Committee(p.Draw.Roster, p.Invited)) {
			t.Errorf("%s has the committee %v", p.Step, p.Committee)
		}
	}
	if len(committee) != statement.MaxCommittee {
		t.Errorf("%d are on the committee", len(committee))
	}
	for _, share := range logged[statement.OpeningShare](t, bundle, ledger.TypeOpeningShare) {
		if !slices.Contains(committee, share.Member) {
			t.Errorf("%s opened and is not on the committee", share.Member)
		}
	}
}

// When ten of the committee are away, the 14 hospitals that are left could open
// the first question a second time without anyone answering twice. One of the
// ten is invited again all the same, so that the committees overlap, and the
// study goes on.
func TestALargeConsortiumGoesOnWithoutHalfOfItsCommittee(t *testing.T) {
	long(t)
	sites := clinics(t, 24)
	var names []string
	for _, site := range sites {
		names = append(names, site.Name)
	}
	spec := Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: sites, Bundle: filepath.Join(t.TempDir(), "bundle")}
	for _, name := range names[:10] {
		spec.Drops = append(spec.Drops, Drop{name, Away})
	}
	// Who is drawn is known once everybody is on the roster, before the first
	// agent starts: then those who will be away are exchanged for members.
	drops, once := spec.Drops, false
	spec.onSite = func(_ string, o *siteagent.Options) {
		if once {
			return
		}
		once = true
		node, err := identity.OpenNode(filepath.Join(o.Dir, "identity"))
		if err != nil {
			t.Error(err)
			return
		}
		envelopes := node.Rosters().Envelopes()
		committee := statement.Committee(statement.DigestOf(envelopes[len(envelopes)-1]), names)
		for i := range drops {
			drops[i].Site = committee[2*i]
		}
	}
	result := run(t, spec)
	if result.Study.State != "completed" {
		t.Fatalf("the study is %s: %s", result.Study.State, result.Study.Reason)
	}
	plans := logged[statement.Plan](t, spec.Bundle, ledger.TypePlan)
	first, again := plans[0], plans[1]
	if again.Question != first.Question || first.Draw == nil || again.Draw != nil || len(again.Invited) != 15 {
		t.Fatalf("of %d the first question was asked, then of %d", len(first.Invited), len(again.Invited))
	}
	away := 0
	for _, drop := range drops {
		if !slices.Contains(first.Committee, drop.Site) {
			t.Errorf("%s was not drawn", drop.Site)
		}
		if slices.Contains(again.Invited, drop.Site) {
			away++
		}
	}
	if away != 1 || first.Threshold+again.Threshold <= len(sites) {
		t.Errorf("%d of those away are invited again; thresholds %d and %d", away, first.Threshold, again.Threshold)
	}
}
