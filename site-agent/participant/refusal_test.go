package participant_test

import (
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

// What is known of a declined round is one word. A refusal that says that the
// coordinator did what an honest one never does counts as a failed check, and one
// that is this site's own doing never does.
func TestARefusalHasItsWord(t *testing.T) {
	for want, refusals := range map[string][]*participant.Refusal{
		statement.DeclinedCheck: {participant.ErrPlanSignature, participant.ErrPlanInvalid, participant.ErrNotInvited, participant.ErrInvitedUnknown, participant.ErrLayout,
			participant.ErrParameters, participant.ErrStep, participant.ErrThreshold, participant.ErrCommittee, participant.ErrDrawUnknown, participant.ErrDrawStale,
			participant.ErrDrawForked, participant.ErrDrawRoster, participant.ErrDrawLatecomer, participant.ErrDeadline, participant.ErrNotInLedger,
			participant.ErrQuestionOpened, participant.ErrEpoch, participant.ErrTooManyQuestions},
		statement.DeclinedPolicy: {participant.ErrNotApproved, participant.ErrStudy, participant.ErrFloor, participant.ErrInvitedRemoved},
		statement.DeclinedState:  {participant.ErrForgotten, participant.ErrQuestionShares, participant.ErrQuestionSet, participant.ErrQuestionCommittee},
	} {
		for _, r := range refusals {
			if got := statement.DeclineKind(r.Sentence); got != want {
				t.Errorf("%s is declined as %s, want %s", r.Code, got, want)
			}
			if r.Later || r.Security != (want == statement.DeclinedCheck) {
				t.Errorf("%s has later %v, security %v", r.Code, r.Later, r.Security)
			}
		}
	}
}
