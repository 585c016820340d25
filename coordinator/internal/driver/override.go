package driver

import (
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

const notOverridden = "the release was not overridden"

// Override has a release offered that the study's criteria block. The word is an
// auditor's: it is the auditor who reads the report for the consortium, governance
// alone makes somebody one by signing the roster, and neither the researcher, who
// wants the model used, nor whoever runs the coordinator can be one under the same
// name. The statement and the release that it calls for enter the ledger together.
func (d *Driver) Override(auditor, hex string, envelope []byte) (release statement.Digest, err error) {
	id, err := statement.ParseDigest(hex)
	if err != nil {
		return release, noStudy()
	}
	var o statement.ReleaseOverride
	payload, err := statement.Open(envelope, statement.KindReleaseOverride, &o, d.keyOf(auditor, identity.RoleAuditor))
	if err != nil {
		return release, unsigned("the override", err)
	}
	if o.Study != id {
		return release, problem(Invalid, "other-study", notOverridden, "the signed override names another study", "sign the digest of the study whose release is blocked")
	}
	if strings.TrimSpace(o.Reason) == "" {
		return release, problem(Invalid, "no-reason", notOverridden, "it gives no reason", "say why the hospitals should be offered a model that does not meet the study's criteria: --reason \"...\"")
	}
	if err := checkReason(o.Reason); err != nil {
		return release, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.study(id)
	if err != nil {
		return release, err
	}
	if made := s.overridden; made != nil {
		if made.Envelope == statement.DigestOf(envelope) {
			return *s.ended.Offered, nil // its answer was lost
		}
		return release, problem(Conflict, "overridden-already", notOverridden,
			fmt.Sprintf("%s overrode it before, on %s", made.Auditor, made.Time.UTC().Format(time.DateOnly)), "read it with: consilium release show "+id.String()[:8])
	}
	if err := s.mayOverride(&o); err != nil {
		return release, err
	}
	if err := d.checkOverridden(s, &o); err != nil {
		return release, err
	}
	return d.offerOverridden(s, &o, statement.DigestOf(payload), envelope)
}

// mayOverride holds that there is a release to override.
func (s *studyState) mayOverride(o *statement.ReleaseOverride) error {
	switch {
	case s.ended == nil:
		return problem(Precondition, "not-blocked", notOverridden, "the study has not ended, so nothing is blocked", "wait for its end: consilium study watch "+s.id.String()[:8])
	case s.gate() == "":
		return problem(Precondition, "not-blocked", notOverridden, "the study has no model to release", "consilium study result "+s.id.String()[:8])
	case s.gate() != fairness.Blocked || o.Gate != fairness.Blocked:
		return problem(Precondition, "not-blocked", notOverridden, "the release is "+s.gate()+": nothing blocks it", "consilium release show "+s.id.String()[:8])
	}
	return nil
}

// checkOverridden holds that the override is of the decision on record.
func (d *Driver) checkOverridden(s *studyState, o *statement.ReleaseOverride) error {
	report, err := d.reportOf(s)
	if err != nil {
		return err
	}
	if o.Audit != report {
		return problem(Conflict, "other-audit", notOverridden, "it is of another bias audit than the one on record", "read the audit again, then override it")
	}
	return nil
}

// reportOf is the digest of a study's bias audit, as its statements name it.
func (d *Driver) reportOf(s *studyState) (statement.Digest, error) {
	envelope, err := d.Blobs.Get(*s.ended.Audit)
	if err != nil {
		return statement.Digest{}, err
	}
	_, payload, err := statement.Payload(envelope)
	return statement.DigestOf(payload), err
}

// offerOverridden makes the override and the release that follows it facts and
// ledger entries together: there is no override without its release, nor the
// other way round, wherever the coordinator is killed.
func (d *Driver) offerOverridden(s *studyState, o *statement.ReleaseOverride, override statement.Digest, envelope []byte) (statement.Digest, error) {
	body, err := d.Blobs.Get(*s.ended.Model)
	if err != nil {
		return statement.Digest{}, err
	}
	name, err := d.put(envelope)
	if err != nil {
		return statement.Digest{}, err
	}
	release, offered, err := d.signRelease(s, o.Audit, body, o.Gate, &override)
	if err != nil {
		return statement.Digest{}, err
	}
	f := overridden{Auditor: o.Auditor, Reason: o.Reason, Time: o.Time, Envelope: name, Release: release, Offered: offered, At: d.time()}
	err = d.commit([]write{{studyStream(s.id), f}},
		d.entry(ledger.TypeReleaseOverride, s.id, statement.Digest{}, name, o.Auditor),
		d.entry(ledger.TypeRelease, s.id, statement.Digest{}, release, d.Node.Name()))
	if err == nil {
		d.Logger.Warn("a blocked release is offered under an override", zap.Stringer("study", s.id), zap.String("auditor", o.Auditor))
	}
	return offered, err
}

// gate is what the study's criteria make of its release; empty without a model.
func (s *studyState) gate() string {
	switch {
	case s.ended == nil || s.ended.Audit == nil:
		return ""
	case s.ended.Gate == nil:
		return fairness.Offered // no criterion was declared
	}
	return s.ended.Gate.Outcome
}
