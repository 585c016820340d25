package federation

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/consilium-fl/consilium/crypto/identity"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// Names of the people that every federation has besides its sites.
const (
	researcherName = "simulation-researcher"
	auditorName    = "simulation-auditor"
)

// newcomer is someone on the way to membership.
type newcomer struct {
	name string
	role identity.Role
	dir  string // of the identity

	token      string
	invitation *identity.Invitation
	enrolment  []byte
}

// enrol takes newcomers through what people do in production: an invitation
// each, keys made in their own directory, one roster that admits all of them,
// certificates.
func enrol(ctx context.Context, governance *identity.Governance, newcomers []*newcomer, now func() time.Time) error {
	for _, n := range newcomers {
		var err error
		if n.token, err = governance.Invite(n.name, n.role, time.Hour, now()); err != nil {
			return fmt.Errorf("%s cannot be invited: %w", n.name, err)
		}
	}
	if err := each(len(newcomers), func(i int) error {
		if err := newcomers[i].ask(ctx); err != nil {
			return fmt.Errorf("%s cannot enrol: %w", newcomers[i].name, err)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := admit(ctx, governance, now); err != nil {
		return err
	}
	return each(len(newcomers), func(i int) error {
		if err := newcomers[i].join(ctx); err != nil {
			return fmt.Errorf("%s was not admitted: %w", newcomers[i].name, err)
		}
		return nil
	})
}

// each does what is to be done for each of n things, on all cores, and returns the
// error of the first that has one.
func each(n int, do func(i int) error) error {
	failed := make([]error, n)
	var group sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range n {
		free <- struct{}{}
		group.Go(func() {
			defer func() { <-free }()
			failed[i] = do(i)
		})
	}
	group.Wait()
	return cmp.Or(failed...)
}

// ask uses an invitation.
func (n *newcomer) ask(ctx context.Context) (err error) {
	if n.invitation, err = identity.ParseToken(n.token); err != nil {
		return err
	}
	if n.enrolment, err = identity.NewEnrolment(n.token, n.dir); err != nil {
		return err
	}
	conn, err := dial(n.invitation.Coordinator, identity.EnrolmentTLS(n.invitation))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = consiliumv1.NewEnrollmentServiceClient(conn).Enroll(ctx, &consiliumv1.EnrollRequest{Token: n.token, Enrolment: n.enrolment})
	return err
}

// admit signs and publishes a roster with everyone who asked.
func admit(ctx context.Context, governance *identity.Governance, now func() time.Time) error {
	conn, err := dial(governance.Rosters().Latest().Coordinator, governance.ClientTLS(now))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := consiliumv1.NewMembershipServiceClient(conn)
	pending, err := client.PendingEnrolments(ctx, &consiliumv1.PendingEnrolmentsRequest{})
	if err != nil {
		return fmt.Errorf("cannot see who enrolled: %w", err)
	}
	roster, err := governance.Admit(pending.GetEnrolments(), now())
	if err != nil {
		return fmt.Errorf("cannot admit who enrolled: %w", err)
	}
	if _, err := client.PublishRoster(ctx, &consiliumv1.PublishRosterRequest{Roster: roster}); err != nil {
		return fmt.Errorf("cannot publish the roster: %w", err)
	}
	return nil
}

// join fetches the certificate and the rosters.
func (n *newcomer) join(ctx context.Context) error {
	conn, err := dial(n.invitation.Coordinator, identity.EnrolmentTLS(n.invitation))
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := consiliumv1.NewEnrollmentServiceClient(conn).Admission(ctx, &consiliumv1.AdmissionRequest{Enrolment: n.enrolment})
	if err != nil {
		return err
	}
	if !answer.GetAdmitted() {
		return fmt.Errorf("the roster was published and does not list it")
	}
	return identity.FinishEnrolment(n.dir, n.invitation, answer.GetCertificate(), answer.GetRosters())
}

// dial prepares a connection; the first call opens it.
func dial(address string, config *tls.Config) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
}
