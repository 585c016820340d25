package coordinator_test

import (
	"context"
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// Rule: an approval that a hospital has taken back is not entered a second time,
// whoever sends it: auditors would refuse the evidence. A new one is.
func TestADecisionThatWasTakenBackDoesNotComeAgain(t *testing.T) {
	t.Parallel()
	p, m := beginManual(t)
	study, err := statement.ParseDigest(p.study)
	if err != nil {
		t.Fatal(err)
	}
	now := p.Clock.Now()
	decide := func(approved bool, later int) error {
		t.Helper()
		envelope, err := m.Sign(statement.KindApproval, statement.Approval{Study: study, Site: m.Name, Approved: approved, Time: now.AddDate(0, 0, later)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Site.DecideStudy(context.Background(), &consiliumv1.DecideStudyRequest{Approval: envelope})
		return err
	}
	refused(t, "it is taken back", decide(false, 1), "<nil>")
	refused(t, "it is given anew", decide(true, 2), "<nil>")
	refused(t, "what was taken back is sent again", decide(false, 1), "said-before")
	refused(t, "the same once more", decide(true, 2), "<nil>")
	refused(t, "another one", decide(false, 3), "<nil>")
}
