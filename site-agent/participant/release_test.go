package participant_test

import (
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

// offer is a release that alpha accepts.
func (c *consortium) offer() (statement.Release, any) {
	audit := map[string]int{"n": 100}
	payload, err := statement.Encode(audit)
	check(c.t, err)
	header := statement.Digest{2}
	c.memory.headers[statement.Digest{1}] = header
	return statement.Release{
		Study: c.study.Digest(), Roster: c.coordinator.Rosters().Latest().Digest(), Audit: statement.DigestOf(payload),
		Body: []byte("{}"), Model: statement.DigestOf([]byte("{}")), Time: now,
		Rounds: []statement.ReleasedRound{{Round: statement.Digest{1}, Step: "glm/gram", Contributors: []string{"alpha", "beta"}, Headers: []statement.Digest{header, {3}}, Sum: statement.Digest{4}}},
	}, audit
}

func TestEveryRefusalOfARelease(t *testing.T) {
	c := newConsortium(t)
	request := func(r statement.Release, audit any) participant.ReleaseRequest {
		return participant.ReleaseRequest{Release: c.sign(statement.KindRelease, r), Audit: c.sign(statement.KindAudit, audit), Protocol: []byte(protocol)}
	}
	r, audit := c.offer()
	accepted, err := c.site.AcceptRelease(request(r, audit))
	if err != nil || accepted.Study.Name != "dose" {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(r *statement.Release, in *participant.ReleaseRequest)
		want   error
	}{
		{"signed by a site", func(r *statement.Release, in *participant.ReleaseRequest) {
			in.Release = c.signAs(c.nodes["beta"], statement.KindRelease, *r)
		}, participant.ErrReleaseSignature},
		{"under an unknown roster", func(r *statement.Release, _ *participant.ReleaseRequest) { r.Roster = statement.Digest{9} }, participant.ErrReleaseSignature},
		{"of another study", func(r *statement.Release, _ *participant.ReleaseRequest) { r.Study = statement.Digest{9} }, participant.ErrReleaseStudy},
		{"with another model", func(r *statement.Release, _ *participant.ReleaseRequest) { r.Body = []byte("[]") }, participant.ErrReleaseModel},
		{"with another audit", func(r *statement.Release, _ *participant.ReleaseRequest) { r.Audit = statement.Digest{9} }, participant.ErrReleaseAudit},
		{"with an audit signed by a site", func(_ *statement.Release, in *participant.ReleaseRequest) {
			in.Audit = c.signAs(c.nodes["beta"], statement.KindAudit, audit)
		}, participant.ErrReleaseAudit},
		{"without rounds", func(r *statement.Release, _ *participant.ReleaseRequest) { r.Rounds = []statement.ReleasedRound{} }, participant.ErrReleaseRounds},
		{"with a round twice", func(r *statement.Release, _ *participant.ReleaseRequest) { r.Rounds = append(r.Rounds, r.Rounds[0]) }, participant.ErrReleaseRounds},
		{"with a header missing", func(r *statement.Release, _ *participant.ReleaseRequest) {
			r.Rounds[0].Headers = r.Rounds[0].Headers[:1]
		}, participant.ErrReleaseRounds},
		{"with another contribution of this site", func(r *statement.Release, _ *participant.ReleaseRequest) {
			r.Rounds[0].Headers[0] = statement.Digest{9}
		}, participant.ErrReleaseReceipt},
		{"with a contribution that this site never made", func(r *statement.Release, _ *participant.ReleaseRequest) { r.Rounds[0].Round = statement.Digest{9} }, participant.ErrReleaseReceipt},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed, audit := c.offer()
			changed.Rounds = slices.Clone(changed.Rounds)
			in := request(changed, audit)
			test.change(&changed, &in)
			if slices.Equal(in.Release, request(r, audit).Release) {
				in.Release = c.sign(statement.KindRelease, changed)
			}
			_, err := c.site.AcceptRelease(in)
			wants(t, err, test.want)
		})
	}
	t.Run("with another sum than was told", func(t *testing.T) {
		sum := statement.Digest{8}
		c.memory.ends[statement.Digest{1}] = &statement.RoundEnd{State: "published", Sum: &sum, Contributors: []string{"alpha", "beta"}}
		_, err := c.site.AcceptRelease(request(r, audit))
		wants(t, err, participant.ErrReleaseSum)
	})
}
