package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/internal/durable"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// callTimeout bounds a call that does not wait for people.
const callTimeout = 30 * time.Second

// checkpointFile, in the identity directory, is the last checkpoint seen.
const checkpointFile = "checkpoint"

// connection is a member's connection to the coordinator, after roster chain,
// certificate and ledger have been brought up to date.
type connection struct {
	*grpc.ClientConn
	node       *identity.Node
	study      consiliumv1.StudyServiceClient
	membership consiliumv1.MembershipServiceClient
	ledger     consiliumv1.LedgerServiceClient
}

// openIdentity opens the directory with the member's keys.
func (a *app) openIdentity() (*identity.Node, error) {
	if a.identity == "" {
		return nil, &console.Problem{What: "no identity was named", Why: "this command acts in your name, with the keys that consilium enroll made",
			Next: "add --identity DIR, or export CONSILIUM_IDENTITY=DIR", Exit: console.ExitUsage}
	}
	node, err := identity.OpenNode(a.identity)
	if _, missing := os.Stat(filepath.Join(a.identity, "certificate.pem")); err != nil && missing == nil {
		return nil, console.Fail("cannot open the identity in "+a.identity, err, "mend what it says and repeat this command")
	}
	if err != nil {
		return nil, console.Fail("cannot open the identity in "+a.identity, err, "with an invitation from the governance: consilium enroll TOKEN --dir "+a.identity)
	}
	return node, nil
}

// connect opens the identity and a checked connection to its coordinator.
func (a *app) connect(ctx context.Context) (*connection, error) {
	node, err := a.openIdentity()
	if err != nil {
		return nil, err
	}
	if a.now().After(node.Certificate().NotAfter) {
		if err := a.recertify(ctx, node); err != nil {
			return nil, err
		}
	}
	conn, err := dial(node.Rosters().Latest().Coordinator, node.ClientTLS(a.now))
	if err != nil {
		return nil, err
	}
	c := &connection{
		ClientConn: conn, node: node,
		study:      consiliumv1.NewStudyServiceClient(conn),
		membership: consiliumv1.NewMembershipServiceClient(conn),
		ledger:     consiliumv1.NewLedgerServiceClient(conn),
	}
	for _, step := range []func(context.Context, *app) error{c.followRosters, c.renew, c.witness} {
		if err := step(ctx, a); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return c, nil
}

// dial prepares a connection; it is opened by the first call.
func dial(address string, config *tls.Config) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return nil, console.Fail("cannot connect to "+address, err, "check the coordinator's address")
	}
	return conn, nil
}

// followRosters extends the pinned roster chain.
func (c *connection) followRosters(parent context.Context, a *app) error {
	ctx, cancel := context.WithTimeout(parent, callTimeout)
	defer cancel()
	answer, err := c.membership.Rosters(ctx, &consiliumv1.RostersRequest{After: c.node.Rosters().Latest().Number})
	if status.Code(err) == codes.Unavailable && c.removed(parent, a) {
		return &console.Problem{What: "the coordinator refused the connection", Why: fmt.Sprintf("%s is not on the roster any more", c.node.Name()),
			Next: "ask the governance for a new invitation", Code: "not-a-member", Cause: err}
	}
	if err != nil {
		return refusedCall("cannot reach the consortium", err)
	}
	for _, envelope := range answer.GetRosters() {
		if err := c.node.AppendRoster(envelope); err != nil {
			return violation("the coordinator's roster was refused", err)
		}
	}
	return nil
}

// recertify gets a certificate for a member who was away for longer than the
// last one lived: the old enrolment, sent again, gets a new one as long as the
// member is on the roster.
func (a *app) recertify(ctx context.Context, node *identity.Node) error {
	const what = "the certificate has expired and was not renewed"
	enrolment, err := node.Enrolment()
	if err != nil {
		return console.Fail(what, err, "ask the governance for a new invitation")
	}
	conn, err := dial(node.Rosters().Latest().Coordinator, node.RenewalTLS(a.now))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := consiliumv1.NewEnrollmentServiceClient(conn).Admission(ctx, &consiliumv1.AdmissionRequest{Enrolment: enrolment})
	if err != nil {
		return refusedCall(what, err)
	}
	if !answer.GetAdmitted() {
		return &console.Problem{What: what, Why: "you are not on the roster any more", Next: "ask the governance for a new invitation"}
	}
	for _, envelope := range answer.GetRosters() {
		if err := node.AppendRoster(envelope); err != nil {
			return violation("the coordinator's roster was refused", err)
		}
	}
	if err := node.SetCertificate(answer.GetCertificate()); err != nil {
		return console.Fail(what, err, "")
	}
	return nil
}

// removed finds out whether a connection was refused because this member was
// taken off the roster, which in TLS 1.3 looks like a broken connection: over a
// connection without a certificate the coordinator is there and waits for the
// admission of somebody who was admitted before.
func (c *connection) removed(ctx context.Context, a *app) bool {
	enrolment, err := c.node.Enrolment()
	if err != nil {
		return false
	}
	conn, err := dial(c.node.Rosters().Latest().Coordinator, c.node.RenewalTLS(a.now))
	if err != nil {
		return false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	answer, err := consiliumv1.NewEnrollmentServiceClient(conn).Admission(ctx, &consiliumv1.AdmissionRequest{Enrolment: enrolment})
	return err == nil && !answer.GetAdmitted() || status.Code(err) == codes.DeadlineExceeded
}

// renew replaces a certificate that is about to expire.
func (c *connection) renew(ctx context.Context, a *app) error {
	if !c.node.NeedsRenewal(a.now()) {
		return nil
	}
	request, err := c.node.CertificateRequest()
	if err != nil {
		return console.Fail("cannot renew the certificate", err, "")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.membership.RenewCertificate(ctx, &consiliumv1.RenewCertificateRequest{CertificateRequest: request})
	if err != nil {
		return refusedCall("cannot renew the certificate", err)
	}
	if err := c.node.SetCertificate(answer.GetCertificate()); err != nil {
		return console.Fail("cannot store the renewed certificate", err, "")
	}
	return nil
}

const notExtended = "the coordinator's ledger does not extend the one this identity has seen"

// witness holds the coordinator's ledger against the last checkpoint that this
// identity saw, and keeps the newer one.
func (c *connection) witness(ctx context.Context, a *app) error {
	path := filepath.Join(a.identity, checkpointFile)
	kept, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return console.Fail("cannot read the last checkpoint seen", err, "")
	}
	roster := c.node.Rosters().Latest()
	witness, err := ledger.NewWitness(ledger.Origin(roster.Consortium), roster.CoordinatorMember().SigningKey, kept)
	if err != nil {
		return console.Fail("cannot use the last checkpoint seen, "+path, err, "if you know why it is damaged, move it away; the next checkpoint will be believed")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.ledger.Checkpoint(ctx, &consiliumv1.CheckpointRequest{OldSize: witness.Latest().Size})
	if err != nil {
		refused := refusedCall("cannot read the ledger's checkpoint", err)
		if p, ok := errors.AsType[*console.Problem](refused); ok && p.Security {
			p.What = notExtended
		}
		return refused
	}
	proof, err := ledger.ParseProof(answer.GetConsistency())
	if err != nil {
		return violation("the coordinator's ledger was refused", err)
	}
	if err := witness.Advance(answer.GetCheckpoint(), proof); err != nil {
		return violation(notExtended, err)
	}
	if err := durable.WriteFile(path, answer.GetCheckpoint(), 0o600); err != nil {
		return console.Fail("cannot keep the ledger's checkpoint", err, "")
	}
	return nil
}

// violation is a refusal of something that only a deviating party sends.
func violation(what string, err error) error {
	return &console.Problem{What: what, Why: console.Reason(err), Next: "stop, keep this message and " + checkpointFile + " of your identity, and tell the consortium's governance and auditors",
		Security: true, Cause: err}
}
