package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// admissionWait is how long Admission waits for a roster.
const admissionWait = 20 * time.Second

// ledgerRosters puts every roster in force into the ledger that is not there
// yet: the first one, and one whose publication was cut short. The caller holds
// the lock.
func (d *Driver) ledgerRosters() error {
	envelopes := d.Node.Rosters().Envelopes()
	for i := d.rosters; i < len(envelopes); i++ {
		name, err := d.put(envelopes[i])
		if err != nil {
			return err
		}
		if err := d.commit([]write{{membersStream, rostered{Number: uint64(i + 1), Envelope: name}}},
			d.entry(ledger.TypeRoster, statement.Digest{}, statement.Digest{}, name, "governance")); err != nil {
			return err
		}
	}
	return nil
}

// PublishRoster puts the next signed roster in force.
func (d *Driver) PublishRoster(envelope []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.Node.AppendRoster(envelope); err != nil {
		if errors.Is(err, identity.ErrSecurity) {
			return violation(Invalid, "roster-refused", "the roster was not put in force", err.Error(), "sign the roster that follows the one in force, with the governance key")
		}
		d.Logger.Error("a roster could not be put in force", zap.Error(err))
		return problem(Unavailable, "roster-not-stored", "the roster was not put in force", "it could not be read or stored", "check that it is what the governance directory signed, then try again")
	}
	d.Logger.Info("roster in force", zap.Uint64("number", d.Roster().Number))
	return d.ledgerRosters()
}

// Rosters returns the signed rosters after a number.
func (d *Driver) Rosters(after uint64) [][]byte {
	envelopes := d.Node.Rosters().Envelopes()
	if after >= uint64(len(envelopes)) {
		return nil
	}
	return envelopes[after:]
}

// Enroll spends an invitation on a newcomer's keys.
func (d *Driver) Enroll(token string, envelope []byte) error {
	invitation, err := identity.ParseToken(token)
	if err != nil {
		return problem(Invalid, "invitation-unreadable", "the enrolment was not accepted", err.Error(), "ask the consortium for another invitation")
	}
	e, err := identity.OpenEnrolment(envelope)
	if err != nil {
		return unsigned("the enrolment", err)
	}
	if err := invitation.Covers(e); err != nil {
		return violation(Denied, "invitation-of-another", "the enrolment was not accepted", "it is not the one that the invitation is for", "enrol with the invitation made for this name and role")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := invitation.Check(d.Node.Governance(), d.Roster().Consortium, d.Now()); errors.Is(err, identity.ErrSecurity) {
		return violation(Denied, "invitation-of-another", "the enrolment was not accepted", "the invitation is of another consortium", "enrol at the coordinator that the invitation names")
	} else if before, spent := d.tokens[invitation.Digest()]; spent {
		if before.Envelope == statement.DigestOf(envelope) {
			return nil
		}
		return violation(Conflict, "invitation-spent", "the enrolment was not accepted", "the invitation was used before, with other keys",
			"if it was not you who used it, tell the consortium at once; ask for another invitation")
	} else if err != nil {
		return problem(Precondition, "invitation-expired", "the enrolment was not accepted", err.Error(), "ask the consortium for another invitation")
	}
	if _, taken := d.Roster().Member(e.Name); taken {
		return problem(Conflict, "name-taken", "the enrolment was not accepted", fmt.Sprintf("there is a member called %q already", e.Name), "ask the consortium for an invitation under another name")
	}
	name, err := d.put(envelope)
	if err != nil {
		return err
	}
	d.Logger.Info("a newcomer enrolled", zap.String("name", e.Name), zap.String("role", e.Role))
	return d.commit([]write{{membersStream, enrolled{Token: invitation.Digest(), Name: e.Name, Envelope: name, At: d.time()}}})
}

// PendingEnrolments lists the enrolments that no roster has admitted yet. Of two
// under one name the later counts: its invitation voided the earlier one.
func (d *Driver) PendingEnrolments() ([][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var envelopes [][]byte
	for i, e := range d.enrolled {
		if slices.ContainsFunc(d.enrolled[i+1:], func(later enrolled) bool { return later.Name == e.Name }) {
			continue
		}
		envelope, admitted, err := d.admittedEver(e)
		if err != nil {
			return nil, err
		}
		if !admitted {
			envelopes = append(envelopes, envelope)
		}
	}
	return envelopes, nil
}

// admittedEver reports whether any roster has listed the enrolment's key: who
// was removed is not pending again.
func (d *Driver) admittedEver(e enrolled) (envelope []byte, admitted bool, err error) {
	envelope, err = d.Blobs.Get(e.Envelope)
	if err != nil {
		return nil, false, err
	}
	opened, err := identity.OpenEnrolment(envelope)
	if err != nil {
		return nil, false, err
	}
	for _, signed := range d.Node.Rosters().Envelopes() {
		_, payload, err := statement.Payload(signed)
		if err != nil {
			return nil, false, err
		}
		var roster identity.Roster
		if err := statement.Decode(payload, &roster); err != nil {
			return nil, false, err
		}
		if m, ok := roster.Member(e.Name); ok && bytes.Equal(m.SigningKey, opened.SigningKey) {
			return envelope, true, nil
		}
	}
	return envelope, false, nil
}

// Admission waits for a newcomer to be on the roster and then gives it its
// certificate and every roster.
func (d *Driver) Admission(ctx context.Context, envelope []byte) (certificate []byte, rosters [][]byte, err error) {
	e, err := identity.OpenEnrolment(envelope)
	if err != nil {
		return nil, nil, unsigned("the enrolment", err)
	}
	timeout := time.NewTimer(admissionWait)
	defer timeout.Stop()
	for {
		changed := d.Changed()
		if !d.knows(envelope) {
			return nil, nil, problem(NotFound, "not-enrolled", "there is no such enrolment", "the coordinator has not received it, or it was received under another coordinator", "enrol first")
		}
		certificate, err := d.certify(e)
		if certificate != nil || err != nil {
			return certificate, d.Rosters(0), err
		}
		select {
		case <-changed:
		case <-timeout.C:
			return nil, nil, nil
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (d *Driver) knows(envelope []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := statement.DigestOf(envelope)
	for _, e := range d.enrolled {
		if e.Envelope == name {
			return true
		}
	}
	return false
}

// certify issues the certificate of an enrolment that the current roster lists.
func (d *Driver) certify(e *statement.Enrolment) ([]byte, error) {
	m, listed := d.Roster().Member(e.Name)
	if !listed || !bytes.Equal(m.SigningKey, e.SigningKey) {
		return nil, nil
	}
	return d.issue(e.CertificateRequest, m)
}

// Renew issues a fresh certificate to a member for its own key.
func (d *Driver) Renew(m identity.Member, request []byte) ([]byte, error) { return d.issue(request, m) }

func (d *Driver) issue(request []byte, m identity.Member) ([]byte, error) {
	der, err := d.Node.IssueCertificate(request, m, d.Now(), d.CertificateTTL)
	if errors.Is(err, identity.ErrSecurity) {
		return nil, violation(Denied, "certificate-refused", "no certificate was issued", "the request is not for the member's own rostered key", "make the request with the keys that were enrolled")
	}
	if err != nil {
		d.Logger.Warn("a certificate was not issued", zap.String("member", m.Name), zap.Error(err))
		return nil, problem(Invalid, "certificate-refused", "no certificate was issued", "the request is not a signed PKCS #10 request of a current member", "make the request with the keys that were enrolled")
	}
	return der, nil
}
