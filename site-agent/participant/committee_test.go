package participant_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

// draws is a Ledger that a test writes into.
type draws map[statement.Digest]statement.Draw

func (d draws) Draw(study statement.Digest) (statement.Draw, bool) {
	draw, started := d[study]
	return draw, started
}

// large is a consortium of so many sites, in whose ledger the study is started.
func large(t *testing.T, sites int) (*consortium, draws) {
	t.Helper()
	c := newConsortium(t)
	var names []string
	for i := len(siteNames); i < sites; i++ {
		names = append(names, fmt.Sprintf("site%02d", i))
	}
	c.list(names...)
	started := draws{c.study.Digest(): {Size: 40, Root: statement.DigestOf([]byte("root")), Roster: c.signed(-1)}}
	c.site.Ledger = started
	return c, started
}

// list puts sites on the roster that never do anything.
func (c *consortium) list(names ...string) {
	c.t.Helper()
	var enrolments [][]byte
	for _, name := range names {
		token, err := c.governance.Invite(name, identity.RoleSite, time.Hour, now)
		check(c.t, err)
		e, err := identity.NewEnrolment(token, c.t.TempDir())
		check(c.t, err)
		enrolments = append(enrolments, e)
	}
	c.publish(c.governance.Admit(enrolments, now))
}

// signed names the signed roster at that place, counted from the end if negative.
func (c *consortium) signed(i int) statement.Digest {
	envelopes := c.coordinator.Rosters().Envelopes()
	return statement.DigestOf(envelopes[(i+len(envelopes))%len(envelopes)])
}

// drawn returns a plan for every site but those gone, which alpha accepts.
func (c *consortium) drawn(gone ...string) *statement.Plan {
	c.t.Helper()
	p := c.plan()
	p.Invited = nil
	for _, m := range c.coordinator.Rosters().Latest().Sites() {
		if !slices.Contains(gone, m.Name) {
			p.Invited = append(p.Invited, m.Name)
		}
	}
	draw, _ := c.site.Ledger.Draw(p.Study)
	p.Draw = &draw
	return c.appointed(p)
}

// appointed fills in what follows from a plan's invited sites and its draw.
func (c *consortium) appointed(p *statement.Plan) *statement.Plan {
	p.Committee = p.Appointed()
	p.Threshold = c.study.Threshold(len(p.Committee))
	return derive(p)
}

// beside are the invited sites that are not on the committee.
func beside(p *statement.Plan) []string {
	return slices.DeleteFunc(slices.Clone(p.Invited), func(name string) bool { return slices.Contains(p.Committee, name) })
}

func TestADrawnCommitteeIsAccepted(t *testing.T) {
	c, _ := large(t, 24)
	p := c.drawn()
	if len(p.Committee) != statement.MaxCommittee {
		t.Fatalf("%d on the committee", len(p.Committee))
	}
	if _, err := c.site.AcceptPlan(now, c.request(p)); err != nil {
		t.Fatal(err)
	}
}

func TestASiteBesideTheCommitteeContributesAndOpensNothing(t *testing.T) {
	c, _ := large(t, 24)
	p := c.drawn()
	c.site.Name = beside(p)[0]
	if _, err := c.site.AcceptPlan(now, c.request(p)); err != nil {
		t.Fatal(err)
	}
	_, err := c.site.AcceptOpening(now, participant.OpeningRequest{Plan: c.sign(statement.KindPlan, p)})
	wants(t, err, participant.ErrNotMember)
}

func TestEveryRefusalOfADrawnCommittee(t *testing.T) {
	c, started := large(t, 24)
	study := c.study.Digest()
	draw := started[study]
	for _, test := range []struct {
		name  string
		spoil func(c *consortium, started draws, p *statement.Plan)
		want  error
	}{
		{"a friend in place of a member", func(c *consortium, _ draws, p *statement.Plan) {
			p.Committee[0] = beside(p)[0]
			slices.Sort(p.Committee)
		}, participant.ErrCommittee},
		{"a member left out", func(c *consortium, _ draws, p *statement.Plan) {
			p.Committee = p.Committee[1:]
			p.Threshold = c.study.Threshold(len(p.Committee))
		}, participant.ErrCommittee},
		{"everybody on the committee", func(c *consortium, _ draws, p *statement.Plan) {
			p.Committee = slices.Clone(p.Invited)
			p.Threshold = c.study.Threshold(len(p.Committee))
		}, participant.ErrCommittee},
		{"no draw where one is needed", func(c *consortium, _ draws, p *statement.Plan) { p.Draw = nil }, participant.ErrPlanInvalid},
		{"a draw where none is needed", func(c *consortium, _ draws, p *statement.Plan) {
			p.Invited = p.Invited[:statement.MaxCommittee]
			c.appointed(p)
		}, participant.ErrPlanInvalid},
		{"a study that the ledger does not show as started", func(c *consortium, started draws, p *statement.Plan) { clear(started) }, participant.ErrDrawUnknown},
		{"no ledger was read", func(c *consortium, _ draws, p *statement.Plan) { c.site.Ledger = nil }, participant.ErrDrawUnknown},
		{"a checkpoint before the start", func(c *consortium, _ draws, p *statement.Plan) { p.Draw.Size-- }, participant.ErrDrawStale},
		{"a checkpoint after the start", func(c *consortium, _ draws, p *statement.Plan) { p.Draw.Size++ }, participant.ErrDrawStale},
		{"a checkpoint of a forked ledger", func(c *consortium, _ draws, p *statement.Plan) { p.Draw.Root[0] ^= 1 }, participant.ErrDrawForked},
		{"an earlier roster", func(c *consortium, _ draws, p *statement.Plan) {
			p.Draw.Roster = c.signed(0)
			c.appointed(p)
		}, participant.ErrDrawRoster},
		{"a roster tried until it draws friends", func(c *consortium, _ draws, p *statement.Plan) {
			p.Draw.Roster = statement.DigestOf([]byte("try 1"))
			c.appointed(p)
		}, participant.ErrDrawRoster},
		{"a roster that governance did not sign, in the ledger too", func(c *consortium, started draws, p *statement.Plan) {
			p.Draw.Roster = statement.DigestOf([]byte("try 1"))
			c.appointed(p)
			started[p.Study] = *p.Draw
		}, participant.ErrDrawRoster},
		{"a site admitted after the draw", func(c *consortium, _ draws, p *statement.Plan) {
			c.list("tried-many-names")
			p.Roster = c.coordinator.Rosters().Latest().Digest()
			p.Invited = append(p.Invited, "tried-many-names")
			c.appointed(p)
		}, participant.ErrDrawLatecomer},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.site.Ledger = started
			started[study] = draw
			p := c.drawn()
			test.spoil(c, started, p)
			_, err := c.site.AcceptPlan(now, c.request(derive(p)))
			wants(t, err, test.want)
			// Nor does a member help to open what it would not have contributed to.
			_, err = c.site.AcceptOpening(now, participant.OpeningRequest{Plan: c.sign(statement.KindPlan, p)})
			wants(t, err, test.want)
		})
	}
}

// A roster that comes into force while a study runs changes who may be invited,
// not the draw.
func TestTheDrawStaysForTheWholeStudy(t *testing.T) {
	c, _ := large(t, 24)
	before := c.drawn()
	c.list("latecomer")
	after := c.drawn("latecomer")
	if after.Roster == before.Roster || !slices.Equal(after.Committee, before.Committee) {
		t.Fatal("the new roster is not named, or draws anew")
	}
	if _, err := c.site.AcceptPlan(now, c.request(after)); err != nil {
		t.Fatal(err)
	}
}

// A question that is asked again is drawn for in the same order, so that those
// who left are all that changed. Up to seven of twenty may have been replaced:
// then 14 + 14 of 27 members would have to answer, and one of them twice.
func TestADrawnCommitteeThatCouldOpenAQuestionTwiceIsRefused(t *testing.T) {
	c, _ := large(t, 32)
	for _, test := range []struct {
		left int
		want error
	}{{1, nil}, {7, nil}, {8, participant.ErrQuestionCommittee}} {
		first := c.drawn()
		members := slices.DeleteFunc(slices.Clone(first.Committee), func(name string) bool { return name == "alpha" })
		again := c.drawn(members[:test.left]...)
		if n := len(again.Committee); n != statement.MaxCommittee {
			t.Fatalf("%d on the second committee", n)
		}
		c.memory.asked[first.Question] = []participant.Asked{{
			Round: statement.Digest{7}, Committee: first.Committee, Threshold: first.Threshold,
			End: &statement.RoundEnd{State: participant.Abandoned},
		}}
		_, err := c.site.AcceptPlan(now, c.request(again))
		wants(t, err, test.want)
	}
}
