package coordinator_test

import (
	"context"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// newcomer makes keys under an invitation and hands them in.
func newcomer(t *testing.T, c *rehearsal.Consortium, token, dir string) (enrolment []byte, err error) {
	t.Helper()
	invitation, err := identity.ParseToken(token)
	if err != nil {
		t.Fatal(err)
	}
	enrolment, err = identity.NewEnrolment(token, dir)
	if err != nil {
		t.Fatal(err)
	}
	service := consiliumv1.NewEnrollmentServiceClient(c.Dial(identity.EnrolmentTLS(invitation)))
	_, err = service.Enroll(context.Background(), &consiliumv1.EnrollRequest{Token: token, Enrolment: enrolment})
	return enrolment, err
}

func invite(t *testing.T, c *rehearsal.Consortium, name string, ttl time.Duration) string {
	t.Helper()
	token, err := c.Governance.Invite(name, identity.RoleSite, ttl, c.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAnInvitationIsSpentOnce(t *testing.T) {
	t.Parallel()
	c := rehearsal.New(t)
	c.Start(coordinator.Options{})
	token := invite(t, c, "North", time.Hour)
	dir := t.TempDir() + "/a"
	for range 2 { // the same again is harmless
		if _, err := newcomer(t, c, token, dir); err != nil {
			t.Fatal(err)
		}
	}
	_, err := newcomer(t, c, token, t.TempDir()+"/b")
	refused(t, "other keys under a spent invitation", err, "invitation-spent")
}

func TestAnInvitationExpires(t *testing.T) {
	t.Parallel()
	c := rehearsal.New(t)
	c.Start(coordinator.Options{})
	token := invite(t, c, "North", time.Minute)
	c.Clock.Skip(2 * time.Minute)
	_, err := newcomer(t, c, token, t.TempDir()+"/a")
	refused(t, "an expired invitation", err, "invitation-expired")
}

func TestAnInvitationIsForItsConsortiumAndName(t *testing.T) {
	t.Parallel()
	c, other := rehearsal.New(t), rehearsal.New(t)
	c.Start(coordinator.Options{})
	token := invite(t, other, "North", time.Hour)
	enrolment, err := identity.NewEnrolment(token, t.TempDir()+"/a")
	if err != nil {
		t.Fatal(err)
	}
	own := invite(t, c, "South", time.Hour)
	invitation, err := identity.ParseToken(own)
	if err != nil {
		t.Fatal(err)
	}
	service := consiliumv1.NewEnrollmentServiceClient(c.Dial(identity.EnrolmentTLS(invitation)))
	_, err = service.Enroll(context.Background(), &consiliumv1.EnrollRequest{Token: token, Enrolment: enrolment})
	refused(t, "an invitation of another consortium", err, "invitation-of-another")
	_, err = service.Enroll(context.Background(), &consiliumv1.EnrollRequest{Token: own, Enrolment: enrolment})
	refused(t, "an enrolment under another's invitation", err, "invitation-of-another")
	_, err = service.Admission(context.Background(), &consiliumv1.AdmissionRequest{Enrolment: enrolment})
	refused(t, "admission of who did not enrol", err, "not-enrolled")
}

// A newcomer whose invitation was lost gets another one, which voids the first;
// only the later enrolment is pending.
func TestTheLaterInvitationCounts(t *testing.T) {
	t.Parallel()
	c := rehearsal.New(t)
	c.Start(coordinator.Options{})
	if _, err := newcomer(t, c, invite(t, c, "North", time.Hour), t.TempDir()+"/a"); err != nil {
		t.Fatal(err)
	}
	later, err := newcomer(t, c, invite(t, c, "North", time.Hour), t.TempDir()+"/b")
	if err != nil {
		t.Fatal(err)
	}
	governance := consiliumv1.NewMembershipServiceClient(c.Dial(c.Governance.ClientTLS(c.Clock.Now)))
	pending, err := governance.PendingEnrolments(context.Background(), &consiliumv1.PendingEnrolmentsRequest{})
	if err != nil || len(pending.GetEnrolments()) != 1 || string(pending.GetEnrolments()[0]) != string(later) {
		t.Fatalf("%d pending, %v", len(pending.GetEnrolments()), err)
	}
	roster, err := c.Governance.Admit(pending.GetEnrolments(), c.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the same roster again is harmless
		if _, err := governance.PublishRoster(context.Background(), &consiliumv1.PublishRosterRequest{Roster: roster}); err != nil {
			t.Fatal(err)
		}
	}
	pending, err = governance.PendingEnrolments(context.Background(), &consiliumv1.PendingEnrolmentsRequest{})
	if err != nil || len(pending.GetEnrolments()) != 0 {
		t.Errorf("%d pending after admission, %v", len(pending.GetEnrolments()), err)
	}
	_, err = governance.PublishRoster(context.Background(), &consiliumv1.PublishRosterRequest{Roster: []byte("{}")})
	refused(t, "a roster that nobody signed", err, "roster-refused")
}

// Rosters are in the ledger, whichever moment the coordinator was killed at.
func TestEveryRosterIsInTheLedger(t *testing.T) {
	t.Parallel()
	c := rehearsal.New(t)
	first := c.Start(coordinator.Options{})
	c.Enrol(identity.RoleSite, "North")
	first.Stop()
	// Put in force by the identity, and not in the ledger: killed in between.
	node, err := identity.OpenNode(c.StateDir() + "/identity")
	if err != nil {
		t.Fatal(err)
	}
	roster, err := c.Governance.Remove("North", c.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := node.AppendRoster(roster); err != nil {
		t.Fatal(err)
	}
	c.Start(coordinator.Options{})
	c.Enrol(identity.RoleAuditor, "Ada")
	_, conn := c.Connect("Ada")
	entries, err := consiliumv1.NewLedgerServiceClient(conn).Entries(context.Background(), &consiliumv1.EntriesRequest{End: 4})
	if err != nil || len(entries.GetEntries()) != 4 {
		t.Errorf("%d entries, %v: want the rosters of the start, North, North's removal, Ada", len(entries.GetEntries()), err)
	}
}
