package participant_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

func wants(t *testing.T, got error, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got %v\nwant %v", got, want)
	}
}

func TestAPlanThatFollowsFromItsInputsIsAccepted(t *testing.T) {
	c := newConsortium(t)
	p := c.plan()
	round, err := c.site.AcceptPlan(now, c.request(p))
	if err != nil {
		t.Fatal(err)
	}
	if round.Secagg.Chunks() == 0 || round.Plan.Step != p.Step || round.ID != statement.Digest(p.RoundSpec().ID) {
		t.Fatalf("round %+v", round)
	}
	// Asked again, for instance after a restart, it is accepted again.
	c.memory.asked[p.Question] = []participant.Asked{{Round: round.ID}}
	c.memory.questions = 1
	if _, err := c.site.AcceptPlan(now, c.request(p)); err != nil {
		t.Fatalf("the same plan again: %v", err)
	}
}

func TestEveryRefusalOfAPlan(t *testing.T) {
	c := newConsortium(t)
	cases := []struct {
		name   string
		change func(p *statement.Plan)
		want   error
	}{
		{"a study that was not approved", func(p *statement.Plan) { p.Study = statement.Digest{1} }, participant.ErrNotApproved},
		{"an unknown roster", func(p *statement.Plan) { p.Roster = statement.Digest{1} }, participant.ErrRosterUnknown},
		{"this site not invited", func(p *statement.Plan) { p.Invited = p.Invited[1:]; p.Committee = p.Invited }, participant.ErrNotInvited},
		{"a stranger invited", func(p *statement.Plan) {
			p.Invited = append(slices.Clone(p.Invited), "zeta")
			p.Committee, p.Threshold = p.Invited, 4
		}, participant.ErrInvitedUnknown},
		{"a researcher invited as a site", func(p *statement.Plan) {
			p.Invited = append(slices.Clone(p.Invited), "rita")
			p.Committee, p.Threshold = p.Invited, 4
		}, participant.ErrInvitedUnknown},
		{"a chosen committee", func(p *statement.Plan) { p.Committee = p.Committee[:3] }, participant.ErrCommittee},
		{"another threshold", func(p *statement.Plan) { p.Threshold = 4 }, participant.ErrThreshold},
		{"fewer contributors than the study allows", func(p *statement.Plan) { p.MinimumContributors = 2 }, participant.ErrFloor},
		{"another layout", func(p *statement.Plan) { p.Layout[0].Length++ }, participant.ErrLayout},
		{"a layout with another bound", func(p *statement.Plan) { p.Layout[0].Bound /= 2 }, participant.ErrLayout},
		{"a step that the study does not have", func(p *statement.Plan) { p.Step = "glm/newton" }, participant.ErrStep},
		{"other parameters", func(p *statement.Plan) { p.Parameters = statement.DigestOf([]byte("other")) }, participant.ErrParameters},
		{"a plan from the future", func(p *statement.Plan) {
			p.Issued, p.CollectUntil, p.OpenUntil = now.Add(10*time.Minute), now.Add(12*time.Minute), now.Add(14*time.Minute)
		}, participant.ErrNotYet},
		{"a plan that has expired", func(p *statement.Plan) {
			p.Issued, p.CollectUntil, p.OpenUntil = now.Add(-10*time.Minute), now.Add(-8*time.Minute), now.Add(-6*time.Minute)
		}, participant.ErrTooLate},
		{"a longer deadline than the study's", func(p *statement.Plan) { p.CollectUntil, p.OpenUntil = now.Add(time.Hour), now.Add(61*time.Minute) }, participant.ErrDeadline},
		{"a longer opening than the study's", func(p *statement.Plan) { p.OpenUntil = now.Add(time.Hour) }, participant.ErrDeadline},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			p := c.plan()
			test.change(p)
			_, err := c.site.AcceptPlan(now, c.request(derive(p)))
			wants(t, err, test.want)
		})
	}
	invalid := map[string]func(p *statement.Plan){
		"a suite that does not follow from the layout": func(p *statement.Plan) { p.Suite = "rlwe4096" },
		"times out of order":                           func(p *statement.Plan) { p.OpenUntil = p.Issued },
		"a question digest of something else":          func(p *statement.Plan) { p.Question = statement.Digest{1} },
		"sites not in ascending order":                 func(p *statement.Plan) { slices.Reverse(p.Invited) },
	}
	for name, change := range invalid {
		t.Run(name, func(t *testing.T) {
			p := c.plan()
			change(p)
			_, err := c.site.AcceptPlan(now, c.request(p))
			wants(t, err, participant.ErrPlanInvalid)
		})
	}
}

func TestAPlanSignedByAnyoneElseIsRefused(t *testing.T) {
	c := newConsortium(t)
	for _, signer := range []string{"beta", "rita"} {
		in := c.request(c.plan())
		in.Envelope = c.signAs(c.nodes[signer], statement.KindPlan, c.plan())
		_, err := c.site.AcceptPlan(now, in)
		wants(t, err, participant.ErrPlanSignature)
	}
	in := c.request(c.plan())
	in.Envelope = slices.Clone(in.Envelope)
	in.Envelope[len(in.Envelope)/2] ^= 1
	_, err := c.site.AcceptPlan(now, in)
	wants(t, err, participant.ErrPlanSignature)
}

func TestAPlanThatIsNotInTheLedgerIsRefused(t *testing.T) {
	c := newConsortium(t)
	other := c.request(c.plan())
	for name, change := range map[string]func(l *participant.Logged){
		"no entry":         func(l *participant.Logged) { l.Leaf = nil },
		"another entry":    func(l *participant.Logged) { *l = other.Logged },
		"another place":    func(l *participant.Logged) { l.Index-- },
		"another root":     func(l *participant.Logged) { l.Root[0] ^= 1 },
		"no proof":         func(l *participant.Logged) { l.Proof = nil },
		"an opening entry": func(l *participant.Logged) { *l = c.logged(ledger.TypeOpeningRequest, statement.Digest{1}, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			p := c.plan()
			p.Nonce = "ff0102030405060708090a0b0c0d0e0f"
			c.logged(ledger.TypeStart, statement.DigestOf([]byte(name)), nil) // unlike its neighbour
			in := c.request(p)
			change(&in.Logged)
			_, err := c.site.AcceptPlan(now, in)
			wants(t, err, participant.ErrNotInLedger)
		})
	}
}

func TestTheFloorIsTheSitesOwn(t *testing.T) {
	c := newConsortium(t)
	c.site.Floor = 4
	_, err := c.site.AcceptPlan(now, c.request(c.plan()))
	wants(t, err, participant.ErrFloor)
	p := c.plan()
	p.MinimumContributors = 4
	if _, err := c.site.AcceptPlan(now, c.request(p)); err != nil {
		t.Fatalf("a plan at the site's floor: %v", err)
	}
}

func TestAFloorBelowTwoIsTwo(t *testing.T) {
	c := newConsortium(t)
	c.site.Floor = 1
	p := c.plan()
	p.MinimumContributors = 1
	in := c.request(p)
	if _, err := c.site.AcceptPlan(now, in); !errors.Is(err, participant.ErrFloor) && !errors.Is(err, participant.ErrPlanInvalid) {
		t.Fatalf("a sum over one site: %v", err)
	}
}

func TestClockSkewIsTolerated(t *testing.T) {
	c := newConsortium(t)
	p := c.plan()
	in := c.request(p)
	for _, shift := range []time.Duration{-90 * time.Second, 3*time.Minute + 30*time.Second} {
		if _, err := c.site.AcceptPlan(now.Add(shift), in); err != nil {
			t.Fatalf("clock %s off: %v", shift, err)
		}
	}
}

func TestARemovedSiteGetsNoKeyShares(t *testing.T) {
	c := newConsortium(t)
	p := c.plan() // under the roster that still lists delta
	c.publish(c.governance.Remove("delta", now))
	_, err := c.site.AcceptPlan(now, c.request(p))
	wants(t, err, participant.ErrInvitedRemoved)
	// A member that was removed and came back has other keys.
	c.admit(map[string]identity.Role{"delta": identity.RoleSite})
	_, err = c.site.AcceptPlan(now, c.request(p))
	wants(t, err, participant.ErrInvitedRemoved)
}

// The rule against differencing: see the secure-sum specification,
// "Differencing across rounds".
func TestAQuestionIsAnsweredOnce(t *testing.T) {
	c := newConsortium(t)
	p := c.plan()
	earlier := statement.Digest{7}
	end := func(state string, given bool, contributors, atFault []string) *statement.RoundEnd {
		return &statement.RoundEnd{Round: earlier, Question: p.Question, State: state, SharesGiven: given, Contributors: contributors, AtFault: atFault}
	}
	five := []string{"alpha", "beta", "delta", "epsilon", "gamma"}
	cases := []struct {
		name  string
		asked []participant.Asked
		want  error
	}{
		{"opened before", []participant.Asked{{Round: earlier, ShareGiven: true, End: end("published", true, nil, nil)}}, participant.ErrQuestionOpened},
		{"opened before, without this site", []participant.Asked{{Round: earlier, End: end("published", true, nil, nil)}}, participant.ErrQuestionOpened},
		{"not ended yet", []participant.Asked{{Round: earlier}}, participant.ErrQuestionPending},
		{"abandoned before any share", []participant.Asked{{Round: earlier, End: end("abandoned", false, nil, nil)}}, nil},
		{"abandoned after shares", []participant.Asked{{Round: earlier, End: end("abandoned", true, nil, nil)}}, participant.ErrQuestionShares},
		{"abandoned, and the coordinator denies the share this site gave", []participant.Asked{{Round: earlier, ShareGiven: true, End: end("abandoned", false, nil, nil)}}, participant.ErrQuestionShares},
		{"failed, fault seen here, the rest invited", []participant.Asked{{Round: earlier, AtFault: []string{"epsilon"}, End: end("failed-integrity", true, five, []string{"epsilon"})}}, nil},
		{"failed, fault only claimed", []participant.Asked{{Round: earlier, ShareGiven: true, End: end("failed-integrity", true, five, []string{"epsilon"})}}, participant.ErrQuestionSet},
		{"failed, nobody at fault", []participant.Asked{{Round: earlier, ShareGiven: true, End: end("failed-integrity", true, siteNames, nil)}}, participant.ErrQuestionSet},
		{"failed, another set invited", []participant.Asked{{Round: earlier, AtFault: []string{"epsilon"}, End: end("failed-integrity", true, append(slices.Clone(five), "zeta"), []string{"epsilon"})}}, participant.ErrQuestionSet},
		{"failed twice", []participant.Asked{
			{Round: earlier, AtFault: []string{"epsilon"}, End: end("failed-integrity", true, five, []string{"epsilon"})},
			{Round: statement.Digest{8}, AtFault: []string{"epsilon"}, End: end("failed-integrity", true, five, []string{"epsilon"})},
		}, participant.ErrQuestionSet},
	}
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			for i := range test.asked { // the same committee each time
				test.asked[i].Committee, test.asked[i].Threshold = p.Committee, p.Threshold
			}
			c.memory.asked[p.Question] = test.asked
			_, err := c.site.AcceptPlan(now, c.request(p))
			wants(t, err, test.want)
		})
	}
}

// What the coordinator says of an earlier round's end is believed only where its
// lie would open nothing: where two committees could each open a sum of the
// question without a member in common, the question is refused. Ten sites asked,
// seven of whom open the sum of alpha, beta, delta and gamma; then alpha, beta and
// delta asked again, told that nothing was opened: without this rule the
// difference would be gamma.
func TestTwoCommitteesThatCouldBothOpenAQuestionAreRefused(t *testing.T) {
	c := newConsortium(t)
	p := c.plan() // four members, three of whom open
	ended := &statement.RoundEnd{State: "abandoned"}
	with := func(n int) (names []string) {
		return append(slices.Clone(p.Committee), "k1", "k2", "k3", "k4", "k5", "k6")[:n]
	}
	for name, test := range map[string]struct {
		committee []string
		threshold int
		want      error
	}{
		"the same committee":                           {with(4), 3, nil},
		"five members, four of whom open":              {with(5), 4, nil},
		"nine members, seven of whom open":             {with(9), 7, nil},
		"ten members, seven of whom open":              {with(10), 7, participant.ErrQuestionCommittee},
		"ten members, all of whom open":                {with(10), 10, nil},
		"four others":                                  {[]string{"k1", "k2", "k3", "k4"}, 3, participant.ErrQuestionCommittee},
		"two others":                                   {[]string{"alpha", "beta", "k1", "k2"}, 3, participant.ErrQuestionCommittee},
		"one other":                                    {[]string{"alpha", "beta", "delta", "k1"}, 3, nil},
		"a memory from before committees were written": {nil, 0, participant.ErrQuestionCommittee},
	} {
		t.Run(name, func(t *testing.T) {
			c.memory.asked[p.Question] = []participant.Asked{{Round: statement.Digest{7}, Committee: test.committee, Threshold: test.threshold, End: ended}}
			_, err := c.site.AcceptPlan(now, c.request(p))
			wants(t, err, test.want)
			_, err = c.site.AcceptOpening(now, c.opening(p, siteNames))
			wants(t, err, test.want)
		})
	}
	// After a failed opening too.
	c.memory.asked[p.Question] = []participant.Asked{{Round: statement.Digest{7}, Committee: with(10), Threshold: 7, AtFault: []string{"epsilon"},
		End: &statement.RoundEnd{State: "failed-integrity", SharesGiven: true, AtFault: []string{"epsilon"}, Contributors: []string{"alpha", "beta", "delta", "epsilon", "gamma"}}}}
	_, err := c.site.AcceptPlan(now, c.request(p))
	wants(t, err, participant.ErrQuestionCommittee)
}

func TestAStudyAsksNoMoreQuestionsThanItsProtocolSays(t *testing.T) {
	c := newConsortium(t)
	c.memory.questions = 1
	_, err := c.site.AcceptPlan(now, c.request(c.plan()))
	wants(t, err, participant.ErrTooManyQuestions)
}

func TestTheCohortEpochIsTheFirstPlans(t *testing.T) {
	c := newConsortium(t)
	c.memory.epoch = "0"
	_, err := c.site.AcceptPlan(now, c.request(c.plan()))
	wants(t, err, participant.ErrEpoch)
}

func TestAForgottenRoundIsLeftAlone(t *testing.T) {
	c := newConsortium(t)
	in := c.request(c.plan())
	c.memory.forgotten[idOf(in.Envelope)] = true
	_, err := c.site.AcceptPlan(now, in)
	wants(t, err, participant.ErrForgotten)
}

func TestARoundThatEndedStaysEnded(t *testing.T) {
	c := newConsortium(t)
	in := c.request(c.plan())
	c.memory.ends[idOf(in.Envelope)] = &statement.RoundEnd{State: "abandoned"}
	_, err := c.site.AcceptPlan(now, in)
	wants(t, err, participant.ErrRoundEnded)
	opening := c.opening(c.plan(), siteNames)
	_, err = c.site.AcceptOpening(now, opening)
	wants(t, err, participant.ErrRoundEnded)
}
