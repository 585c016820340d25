package statement

import (
	"errors"
	"testing"
)

// Every statement that a member makes for itself, and its kind.
func TestEveryStatementOfAMemberNamesItsSigner(t *testing.T) {
	for kind, statementOf := range map[Kind]func(name string) any{
		KindEnrolment:          func(n string) any { return &Enrolment{Name: n} },
		KindProposal:           func(n string) any { return &Proposal{Researcher: n} },
		KindStart:              func(n string) any { return &Start{Researcher: n} },
		KindApproval:           func(n string) any { return &Approval{Site: n} },
		KindDecline:            func(n string) any { return &Decline{Site: n} },
		KindContributionHeader: func(n string) any { return &ContributionHeader{Site: n} },
		KindOpeningShare:       func(n string) any { return &OpeningShare{Member: n} },
		KindOpeningFault:       func(n string) any { return &OpeningFault{Member: n} },
		KindReleaseDecision:    func(n string) any { return &ReleaseDecision{Site: n} },
	} {
		if _, err := Sign(kind, statementOf("north"), "north", key("north")); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := Sign(kind, statementOf("north"), "south", key("south")); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s, signed by another: %v", kind, err)
		}
	}
	// The coordinator's statements name nobody.
	for kind, v := range map[Kind]any{KindPlan: &Plan{}, KindReceipt: &Receipt{Site: "north"}, KindOpeningRequest: &OpeningRequest{}, KindRoundEnd: &RoundEnd{}, KindStudyEnd: &StudyEnd{}, KindRelease: &Release{}} {
		if _, err := Sign(kind, v, "coordinator", key("coordinator")); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
