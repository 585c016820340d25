package driver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// drawn is a study of so many sites whose first question was asked of them all,
// and the plan that asked it.
func drawn(t *testing.T, sites int, threshold string) (*Driver, *studyState, *statement.Plan) {
	t.Helper()
	d := &Driver{log: ledger.NewLog(ledger.Origin("test"), ledger.NewMemory())}
	s := &studyState{id: statement.DigestOf([]byte("study")), study: &study.Study{Privacy: study.Privacy{Threshold: threshold}}}
	for _, e := range []ledger.Entry{
		{Type: ledger.TypeRoster, Subject: statement.DigestOf([]byte("first roster")), Actor: "governance"},
		{Type: ledger.TypeStart, Study: statement.DigestOf([]byte("another")).String(), Subject: s.id, Actor: "rosa"},
		{Type: ledger.TypeRoster, Subject: statement.DigestOf([]byte("roster")), Actor: "governance"},
		{Type: ledger.TypeStart, Study: s.id.String(), Subject: s.id, Actor: "rosa"},
		{Type: ledger.TypeRoster, Subject: statement.DigestOf([]byte("later roster")), Actor: "governance"},
	} {
		leaf, err := e.Leaf()
		if err == nil {
			_, err = d.log.Append(leaf)
		}
		if err != nil {
			t.Fatal(err)
		}
		d.leaves++
	}
	issued := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	plan := &statement.Plan{
		Study: s.id, Step: "describe/counts", Epoch: "1", MinimumContributors: 3,
		Layout: []secagg.Field{{Name: "n", Length: 3, Bound: 1000}},
		Issued: issued, CollectUntil: issued.Add(time.Minute), OpenUntil: issued.Add(time.Hour), Nonce: strings.Repeat("0", 32),
	}
	for i := range sites {
		plan.Invited = append(plan.Invited, fmt.Sprintf("site%02d", i))
	}
	plan.Question = plan.QuestionDigest()
	if err := d.appoint(s, plan); err != nil {
		t.Fatal(err)
	}
	var err error
	if plan.Suite, err = secagg.SelectSuite(plan.Layout, sites, len(plan.Committee), plan.Threshold); err != nil {
		t.Fatal(err)
	}
	m, err := round.New(round.Planned{Round: plan.RoundSpec().ID, Plan: *plan, At: issued})
	if err != nil {
		t.Fatal(err)
	}
	s.rounds = append(s.rounds, &roundState{Machine: m, study: s})
	return d, s, plan
}

func TestTheCommitteeIsDrawnFromTheLedgerUpToTheStart(t *testing.T) {
	d, s, plan := drawn(t, 24, study.Supermajority)
	root, err := d.log.RootAt(4)
	if err != nil {
		t.Fatal(err)
	}
	want := statement.Draw{Size: 4, Root: root, Roster: statement.DigestOf([]byte("roster"))}
	if *plan.Draw != want || !slices.Equal(plan.Committee, statement.Committee(want.Roster, plan.Invited)) || plan.Threshold != 14 {
		t.Errorf("%+v, threshold %d", plan.Draw, plan.Threshold)
	}
	plan.Invited = plan.Invited[:statement.MaxCommittee]
	if err := d.appoint(s, plan); err != nil || plan.Draw != nil || len(plan.Committee) != statement.MaxCommittee {
		t.Errorf("%d invited: %v, draw %+v", len(plan.Invited), err, plan.Draw)
	}
	s.id, s.rounds, plan.Invited = statement.DigestOf([]byte("never started")), nil, append(plan.Invited, "site99")
	if err := d.appoint(s, plan); err == nil {
		t.Error("a committee is drawn for a study that was never started")
	}
}

// Of twenty drawn of forty, up to seven may be replaced. Of up to thirteen who
// are gone the others are invited again all the same: fourteen are left to open.
func TestAQuestionIsAskedAgainWithoutMuchOfItsDrawnCommittee(t *testing.T) {
	for _, test := range []struct {
		threshold string
		gone      int
		left      int // of those gone, who left the consortium
		recalled  int
		possible  bool
	}{
		{study.Supermajority, 0, 0, 0, true},
		{study.Supermajority, 7, 7, 0, true},
		{study.Supermajority, 8, 0, 1, true},
		{study.Supermajority, 8, 7, 1, true},
		{study.Supermajority, 8, 8, 0, false},
		{study.Supermajority, 13, 0, 6, true},
		{study.Supermajority, 13, 8, 5, false},
		{study.Supermajority, 14, 0, 7, false},
		{study.Unanimous, 19, 19, 0, true},
		{study.Unanimous, 20, 0, 1, false},
	} {
		d, s, first := drawn(t, 40, test.threshold)
		eligible := without(first.Invited, first.Committee[:test.left])
		again := *first
		again.Invited = without(first.Invited, first.Committee[:test.gone])
		if err := d.appoint(s, &again); err != nil {
			t.Fatal(err)
		}
		possible := s.overlapping(&again) == nil || d.recall(s, &again, eligible)
		recalled := len(again.Invited) - len(first.Invited) + test.gone
		if possible != test.possible || recalled != test.recalled {
			t.Errorf("%s, %d gone and %d of them for good: %d invited again, possible %v; want %d, %v", test.threshold, test.gone, test.left, recalled, possible, test.recalled, test.possible)
		}
		if possible && s.overlapping(&again) != nil {
			t.Errorf("%d gone: the committees do not overlap", test.gone)
		}
		for _, name := range first.Committee[:test.left] {
			if slices.Contains(again.Invited, name) {
				t.Errorf("%s has left and is invited", name)
			}
		}
	}
}
