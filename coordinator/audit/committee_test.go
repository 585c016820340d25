package audit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// drawing is a verifier whose log holds two rosters, the second with 24 sites,
// and after some approvals the start of a study; and a plan for all 24.
func drawing(t *testing.T) (*verifier, *statement.Plan) {
	t.Helper()
	v := &verifier{}
	var sites []string
	var rosters []*identity.Roster
	enter := func(kind string, subject string) *record {
		entry := ledger.Entry{Time: time.Unix(int64(len(v.leaves)), 0), Type: kind, Subject: statement.DigestOf([]byte(subject)), Actor: "someone"}
		leaf, err := entry.Leaf()
		must(t, err)
		r := &record{index: len(v.leaves), entry: entry}
		if len(rosters) > 0 {
			r.roster = rosters[len(rosters)-1]
		}
		v.leaves, v.records = append(v.leaves, leaf), append(v.records, r)
		return r
	}
	for number := range 2 {
		roster := &identity.Roster{Number: uint64(number + 1), Members: []identity.Member{{Name: "rosa", Role: identity.RoleResearcher}}}
		for i := range 24 * number {
			sites = append(sites, fmt.Sprintf("site%02d", i))
			roster.Members = append(roster.Members, identity.Member{Name: sites[i], Role: identity.RoleSite})
		}
		enter(ledger.TypeRoster, fmt.Sprint("roster", number))
		rosters = append(rosters, roster)
	}
	enter(ledger.TypeApproval, "approval")
	v.start = enter(ledger.TypeStart, "start")
	root, err := ledger.RootOf(v.leaves)
	must(t, err)
	plan := &statement.Plan{
		Invited: sites,
		Draw:    &statement.Draw{Size: uint64(len(v.leaves)), Root: root, Roster: statement.DigestOf([]byte("roster1"))},
	}
	plan.Committee = plan.Appointed()
	enter(ledger.TypePlan, "plan")
	enter(ledger.TypeRoster, "roster2") // after the start: it draws nothing
	return v, plan
}

func TestADrawnCommitteeHolds(t *testing.T) {
	v, plan := drawing(t)
	must(t, v.checkCommittee(plan))
	if len(plan.Committee) != statement.MaxCommittee {
		t.Errorf("%d are drawn", len(plan.Committee))
	}
	plan.Invited = plan.Invited[:23] // a later round, on the same draw
	plan.Committee = plan.Appointed()
	must(t, v.checkCommittee(plan))
}

func TestACommitteeThatTheLedgerDoesNotDrawFails(t *testing.T) {
	for name, test := range map[string]struct {
		lie   func(v *verifier, p *statement.Plan)
		words string
	}{
		"a friend in place of a member": {func(_ *verifier, p *statement.Plan) {
			beside := slices.DeleteFunc(slices.Clone(p.Invited), func(name string) bool { return slices.Contains(p.Committee, name) })
			p.Committee[0] = beside[0]
			slices.Sort(p.Committee)
		}, "is not the 20"},
		"a member left out":       {func(_ *verifier, p *statement.Plan) { p.Committee = p.Committee[1:] }, "is not the 20"},
		"everybody":               {func(_ *verifier, p *statement.Plan) { p.Committee = p.Invited }, "is not the 20"},
		"before the start":        {func(_ *verifier, p *statement.Plan) { p.Draw.Size-- }, "first 3 entries"},
		"after the start":         {func(_ *verifier, p *statement.Plan) { p.Draw.Size++ }, "first 5 entries"},
		"a forked ledger":         {func(_ *verifier, p *statement.Plan) { p.Draw.Root[3] ^= 1 }, "another ledger"},
		"an earlier roster":       {redraw("roster0"), "another roster than number 2"},
		"a later roster":          {redraw("roster2"), "another roster than number 2"},
		"a roster nobody signed":  {redraw("try 1"), "another roster than number 2"},
		"a study never started":   {func(v *verifier, p *statement.Plan) { v.start = nil }, "never started"},
		"a name after the draw":   {invite("tried-many-names"), `"tried-many-names"`},
		"a researcher as a site":  {invite("rosa"), `"rosa"`},
		"no draw, the first ones": {func(_ *verifier, p *statement.Plan) { p.Draw, p.Committee = nil, p.Invited[:20] }, "is not the 24"},
	} {
		v, plan := drawing(t)
		test.lie(v, plan)
		if err := v.checkCommittee(plan); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v, want %q", name, err, test.words)
		}
	}
}

// redraw draws the committee from something else.
func redraw(from string) func(*verifier, *statement.Plan) {
	return func(_ *verifier, p *statement.Plan) {
		p.Draw.Roster = statement.DigestOf([]byte(from))
		p.Committee = p.Appointed()
	}
}

func invite(name string) func(*verifier, *statement.Plan) {
	return func(_ *verifier, p *statement.Plan) {
		p.Invited = slices.Sorted(slices.Values(append(slices.Clone(p.Invited), name)))
		p.Committee = p.Appointed()
	}
}
