package participant_test

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

const criterion = `fairness:
  attributes:
    - {column: sex, levels: [female, male]}
  criteria: [{metric: mae, attribute: sex, margin: 1}]
`

// failing is an audit whose one criterion fails, with a decision that may not follow.
func failing(outcome string) *fairness.Audit {
	estimate, lower, upper := 3.0, 2.0, 4.0
	sentence := "mean absolute error, by sex: a difference of more than 1 was found for sex male."
	return &fairness.Audit{
		Groups: []fairness.Group{{Attribute: "all", Level: "all", State: fairness.OK}, {Attribute: "sex", Level: "female", State: fairness.OK},
			{Attribute: "sex", Level: "male", State: fairness.OK}, {Attribute: "sex", Level: "unknown", State: fairness.Zero}},
		Criteria: []fairness.Judged{{Metric: "mae", Attribute: "sex", Kind: "difference", Margin: 1, OnFail: "block", OnInsufficient: "warn", Verdict: fairness.Fail, Sentence: sentence,
			Groups: []fairness.JudgedGroup{{Attribute: "sex", Level: "male", Reference: "female", Estimate: &estimate, Lower: &lower, Upper: &upper, Verdict: fairness.Fail}}}},
		Decision: &fairness.Decision{Outcome: outcome, Reasons: []fairness.Reason{{Metric: "mae", Attribute: "sex", Kind: "difference", Margin: 1, Verdict: fairness.Fail, Effect: "block", Sentence: sentence}}},
	}
}

// A site decides anew what the study's criteria make of a release. A model that
// they block it takes only under the override of an auditor, of that very audit,
// whatever the coordinator signs.
func TestASiteTakesABlockedModelOnlyUnderAnAuditorsOverride(t *testing.T) {
	c := newConsortium(t)
	c.admit(map[string]identity.Role{"ada": identity.RoleAuditor})
	source := []byte(strings.Replace(protocol, "privacy:", criterion+"privacy:", 1))
	type offer struct {
		release  statement.Release
		audit    *fairness.Audit
		override *statement.ReleaseOverride
		signer   string
	}
	honest := func() *offer {
		r, _ := c.offer()
		r.Study, r.Gate = statement.DigestOf(source), fairness.Blocked
		return &offer{release: r, audit: failing(fairness.Blocked), signer: "ada",
			override: &statement.ReleaseOverride{Study: r.Study, Gate: fairness.Blocked, Auditor: "ada", Reason: "why", Time: now}}
	}
	// What the parts name of each other is filled in last, so that each test changes
	// one thing.
	send := func(o *offer, change func(*statement.ReleaseOverride, *statement.Release)) (*participant.Release, error) {
		payload, err := statement.Encode(o.audit)
		check(t, err)
		o.release.Audit = statement.DigestOf(payload)
		in := participant.ReleaseRequest{Audit: c.sign(statement.KindAudit, o.audit), Protocol: source}
		if o.override != nil {
			o.override.Audit = o.release.Audit
			if change != nil {
				change(o.override, &o.release)
			}
			signer := c.nodes[o.signer]
			if o.signer == "coordinator" {
				signer = c.coordinator
			}
			in.Override = c.signAs(signer, statement.KindReleaseOverride, *o.override)
			if o.release.Override == nil {
				payload, err := statement.Encode(o.override)
				check(t, err)
				digest := statement.DigestOf(payload)
				o.release.Override = &digest
			}
		}
		in.Release = c.sign(statement.KindRelease, o.release)
		return c.site.AcceptRelease(in)
	}
	taken, err := send(honest(), nil)
	if err != nil || taken.Gate.Outcome != fairness.Blocked || taken.Override == nil || taken.Override.Reason != "why" {
		t.Fatalf("under an override: %+v, %v", taken, err)
	}
	for _, test := range []struct {
		name   string
		change func(o *offer)
		within func(*statement.ReleaseOverride, *statement.Release)
		want   error
	}{
		{"under no override", func(o *offer) { o.override = nil }, nil, participant.ErrReleaseBlocked},
		{"under no override, by a coordinator that says nothing of it", func(o *offer) { o.override, o.release.Gate = nil, "" }, nil, participant.ErrReleaseBlocked},
		{"said to be offered", func(o *offer) { o.override, o.release.Gate = nil, fairness.Offered }, nil, participant.ErrReleaseGate},
		{"said to be offered by the audit, too", func(o *offer) { o.override, o.release.Gate, o.audit = nil, fairness.Offered, failing(fairness.Offered) }, nil, participant.ErrReleaseGate},
		{"with a verdict that does not follow", func(o *offer) {
			o.override, o.release.Gate, o.audit = nil, fairness.Offered, failing(fairness.Offered)
			o.audit.Criteria[0].Verdict, o.audit.Criteria[0].Groups[0].Verdict, o.audit.Decision.Reasons = fairness.Pass, fairness.Pass, []fairness.Reason{}
		}, nil, participant.ErrReleaseGate},
		{"with a wider margin", func(o *offer) { o.audit.Criteria[0].Margin = 10 }, nil, participant.ErrReleaseGate},
		{"with its criterion left out", func(o *offer) { o.audit.Criteria = nil }, nil, participant.ErrReleaseGate},
		{"overridden by a researcher", func(o *offer) { o.signer, o.override.Auditor = "rita", "rita" }, nil, participant.ErrReleaseBlocked},
		{"overridden by a site", func(o *offer) { o.signer, o.override.Auditor = "beta", "beta" }, nil, participant.ErrReleaseBlocked},
		{"overridden by the coordinator", func(o *offer) { o.signer, o.override.Auditor = "coordinator", "coordinator" }, nil, participant.ErrReleaseBlocked},
		{"under the override of another study", nil, func(o *statement.ReleaseOverride, _ *statement.Release) { o.Study = statement.Digest{9} }, participant.ErrReleaseBlocked},
		{"under the override of another audit", nil, func(o *statement.ReleaseOverride, _ *statement.Release) { o.Audit = statement.Digest{9} }, participant.ErrReleaseBlocked},
		{"under the override of another decision", nil, func(o *statement.ReleaseOverride, _ *statement.Release) { o.Gate = fairness.Offered }, participant.ErrReleaseBlocked},
		{"under another override than it names", nil, func(_ *statement.ReleaseOverride, r *statement.Release) { r.Override = &statement.Digest{9} }, participant.ErrReleaseBlocked},
		{"under an override without a reason", func(o *offer) { o.override.Reason = "" }, nil, participant.ErrReleaseBlocked},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := honest()
			if test.change != nil {
				test.change(o)
			}
			_, err := send(o, test.within)
			wants(t, err, test.want)
		})
	}
}

// A release of a study without criteria carries no word of a gate.
func TestAReleaseWithoutCriteriaCarriesNoOverride(t *testing.T) {
	c := newConsortium(t)
	c.admit(map[string]identity.Role{"ada": identity.RoleAuditor})
	override := c.signAs(c.nodes["ada"], statement.KindReleaseOverride, statement.ReleaseOverride{Auditor: "ada", Reason: "why", Time: now})
	for name, change := range map[string]func(r *statement.Release, in *participant.ReleaseRequest){
		"gate":     func(r *statement.Release, _ *participant.ReleaseRequest) { r.Gate = fairness.Offered },
		"override": func(r *statement.Release, _ *participant.ReleaseRequest) { r.Override = &statement.Digest{1} },
		"envelope": func(_ *statement.Release, in *participant.ReleaseRequest) { in.Override = override },
	} {
		r, audit := c.offer()
		r.Roster = c.coordinator.Rosters().Latest().Digest()
		in := participant.ReleaseRequest{Audit: c.sign(statement.KindAudit, audit), Protocol: []byte(protocol)}
		change(&r, &in)
		in.Release = c.sign(statement.KindRelease, r)
		_, err := c.site.AcceptRelease(in)
		if wants(t, err, participant.ErrReleaseGate); err == nil {
			t.Errorf("with a %s: accepted", name)
		}
	}
}
