package participant

import (
	"encoding/json"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// checkGate decides anew, from the audit and the study that this site approved,
// what the study's criteria make of the release. What a coordinator says of it is
// compared and not relied on: a model that the criteria block comes with the
// override of an auditor on the roster of the release, or is refused.
func (r *Release) checkGate(roster *identity.Roster, override []byte) error {
	if len(r.Study.Fairness.Criteria) == 0 {
		r.Gate = fairness.Decision{Outcome: fairness.Offered}
		if r.Release.Gate != "" || r.Release.Override != nil || override != nil {
			return ErrReleaseGate.because("the study declares no criterion")
		}
		return nil
	}
	var audit fairness.Audit
	if err := json.Unmarshal(r.Audit, &audit); err != nil {
		return ErrReleaseGate.because("the audit cannot be read by this agent's version")
	}
	var err error
	if r.Gate, err = fairness.Decide(r.Study, &audit); err != nil {
		return ErrReleaseGate.because("%v", err)
	}
	// A coordinator of the version before says nothing of it.
	if said := r.Release.Gate; said != "" && said != r.Gate.Outcome {
		return ErrReleaseGate.because("it is said to be %s and is %s", said, r.Gate.Outcome)
	}
	switch blocked := r.Gate.Outcome == fairness.Blocked; {
	case blocked && (r.Release.Override == nil || override == nil):
		return ErrReleaseBlocked
	case !blocked && (r.Release.Override != nil || override != nil):
		return ErrReleaseGate.because("it carries an override and nothing blocks it")
	case !blocked:
		return nil
	}
	return r.openOverride(roster, override)
}

// openOverride holds that an auditor signed the override that the release names,
// of this audit's decision.
func (r *Release) openOverride(roster *identity.Roster, envelope []byte) error {
	var o statement.ReleaseOverride
	payload, err := statement.Open(envelope, statement.KindReleaseOverride, &o, keyOf(roster, identity.RoleAuditor))
	if err != nil {
		return ErrReleaseBlocked.because("the override: %v", err)
	}
	if statement.DigestOf(payload) != *r.Release.Override || o.Study != r.Release.Study || o.Audit != r.Release.Audit || o.Gate != r.Gate.Outcome || o.Reason == "" {
		return ErrReleaseBlocked.because("the override is of another release, or gives no reason")
	}
	r.Override = &o
	return nil
}
