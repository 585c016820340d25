package siteagent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/outbox"
)

// EnrolOptions say who enrols and where the identity is kept.
type EnrolOptions struct {
	Dir     string // state directory
	Token   string // invitation; may be empty to go on with an unfinished enrolment
	Address string // of the coordinator; empty: the invitation's
	Proxy   string
	// Waiting is told, now and then, that the site is not on the roster yet.
	Waiting func(since time.Duration)
}

// Enrolled says who a site has become.
type Enrolled struct {
	Name       string `json:"name"`
	Consortium string `json:"consortium"`
	Roster     uint64 `json:"roster"`
	// Governance is the fingerprint of the key that signs rosters: compare it
	// with what the consortium published.
	Governance string `json:"governance"`
	// Fingerprint is this member's own, to be compared when it is admitted.
	Fingerprint string `json:"fingerprint"`
}

// Fingerprints returns, before admission, what two people compare by telephone:
// that of this newcomer's keys and that of the governance key.
func Fingerprints(dir string) (newcomer, governance string, err error) {
	invitation, envelope, err := identity.UnfinishedEnrolment(filepath.Join(dir, identityDir))
	if err != nil {
		return "", "", err
	}
	e, err := identity.OpenEnrolment(envelope)
	if err != nil {
		return "", "", err
	}
	return identity.EnrolledMember(e).Fingerprint(), identity.GovernanceFingerprint(invitation.Governance), nil
}

// PrepareEnrolment makes the site's keys and its signed enrolment, or finds the
// unfinished one. Nothing leaves.
func PrepareEnrolment(o EnrolOptions) error {
	dir := filepath.Join(o.Dir, identityDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if o.Token == "" {
		_, _, err := identity.UnfinishedEnrolment(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return errors.New("there is no unfinished enrolment here: give the invitation that the consortium sent you")
		}
		return err
	}
	invitation, err := identity.ParseToken(o.Token)
	if err != nil {
		return err
	}
	if err := forSite(invitation); err != nil {
		return err // BEFORE keys are made under it, which would be in the way of the right one
	}
	_, err = identity.NewEnrolment(o.Token, dir)
	return err
}

func forSite(invitation *identity.Invitation) error {
	if invitation.Role != identity.RoleSite {
		return fmt.Errorf("the invitation is for a %s, and this program is for sites: use the `consilium` command", invitation.Role)
	}
	return nil
}

// Enroll makes this site a member: it makes the keys here, hands in the public
// ones under the invitation, and waits until the governance key has put the site
// on the roster. Stopped and called again, it goes on.
func Enroll(ctx context.Context, o EnrolOptions) (*Enrolled, error) {
	if err := PrepareEnrolment(o); err != nil {
		return nil, err
	}
	dir := filepath.Join(o.Dir, identityDir)
	invitation, enrolment, err := identity.UnfinishedEnrolment(dir)
	if err != nil {
		return nil, err
	}
	if err := forSite(invitation); err != nil {
		return nil, err
	}
	box, err := outbox.Open(filepath.Join(o.Dir, outboxFile), nil)
	if err != nil {
		return nil, err
	}
	defer box.Close()
	address := o.Address
	if address == "" {
		address = invitation.Coordinator
	}
	link, err := uplink.Connect(uplink.Options{Address: address, Proxy: o.Proxy, TLS: identity.EnrolmentTLS(invitation), Outbox: box})
	if err != nil {
		return nil, err
	}
	defer link.Close()
	if err := handIn(ctx, link, invitation, enrolment); err != nil {
		return nil, err
	}
	if err := awaitAdmission(ctx, link, dir, invitation, enrolment, o.Waiting); err != nil {
		return nil, err
	}
	node, err := identity.OpenNode(dir)
	if err != nil {
		return nil, err
	}
	roster := node.Rosters().Latest()
	self, _ := roster.Member(node.Name())
	return &Enrolled{
		Name: node.Name(), Consortium: roster.Consortium, Roster: roster.Number,
		Governance: identity.GovernanceFingerprint(node.Governance()), Fingerprint: self.Fingerprint(),
	}, nil
}

func handIn(ctx context.Context, link *uplink.Link, invitation *identity.Invitation, enrolment []byte) error {
	var b backoff
	for {
		err := link.Enroll(ctx, invitation.Token(), enrolment)
		if err == nil || !temporary(err) || b.failures > 6 {
			return err
		}
		if err := b.wait(ctx); err != nil {
			return err
		}
		link.Reconnect()
	}
}

func awaitAdmission(ctx context.Context, link *uplink.Link, dir string, invitation *identity.Invitation, enrolment []byte, waiting func(time.Duration)) error {
	var b backoff
	began := time.Now()
	for {
		certificate, rosters, admitted, err := link.Admission(ctx, enrolment)
		switch {
		case admitted:
			return identity.FinishEnrolment(dir, invitation, certificate, rosters)
		case err != nil && !temporary(err):
			return err
		case err == nil:
			b = backoff{}
		}
		if waiting != nil {
			waiting(time.Since(began))
		}
		if err := b.wait(ctx); err != nil {
			return err
		}
		link.Reconnect()
	}
}
