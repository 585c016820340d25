package participant

import (
	"fmt"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// A Refusal is a named reason for not doing what the coordinator asks. Compare
// with errors.Is against the values below.
type Refusal struct {
	// Code is stable, such as "plan-signature".
	Code string
	// Sentence is fixed and safe to send to the coordinator.
	Sentence string
	// Security marks what an honest coordinator never asks. It is not tried
	// again, it is recorded, and a person is told.
	Security bool
	// Later marks what may become acceptable without anyone changing the
	// request: the site waits and decides again.
	Later bool

	detail string // public facts only: names of sites, numbers of the plan
}

func (r *Refusal) Error() string {
	if r.detail == "" {
		return r.Sentence
	}
	return r.Sentence + ": " + r.detail
}

// Is reports whether target is the same named refusal.
func (r *Refusal) Is(target error) bool {
	other, ok := target.(*Refusal)
	return ok && other.Code == r.Code
}

// because returns the refusal with its detail. The detail never comes from a
// record: this package never sees one.
func (r *Refusal) because(format string, args ...any) error {
	named := *r
	named.detail = fmt.Sprintf(format, args...)
	return &named
}

func security(code, sentence string) *Refusal {
	return &Refusal{Code: code, Sentence: sentence, Security: true}
}

func ordinary(code, sentence string) *Refusal { return &Refusal{Code: code, Sentence: sentence} }

func waiting(code, sentence string) *Refusal {
	return &Refusal{Code: code, Sentence: sentence, Later: true}
}

// Refusals of a study.
var (
	ErrProposal = security("study-proposal", "the study's proposal is not signed by a rostered researcher")
	ErrProtocol = security("study-digest", "the study's protocol is not the one its proposal names")
	ErrStudy    = ordinary("study-invalid", statement.StudyUnreadable)
)

// Refusals of a plan.
var (
	ErrPlanSignature  = security("plan-signature", "the plan is not signed by the rostered coordinator")
	ErrPlanInvalid    = security("plan-invalid", "the plan does not follow from its own inputs")
	ErrNotApproved    = ordinary("study-not-approved", statement.StudyNotApproved)
	ErrRosterUnknown  = waiting("roster-unknown", "the plan names a roster this site has not seen")
	ErrNotInvited     = security("not-invited", "the plan does not invite this site")
	ErrInvitedUnknown = security("invited-unrostered", "the plan invites someone who is not a site of its roster")
	ErrInvitedRemoved = ordinary("invited-removed", statement.InvitedRemoved)
	ErrLayout         = security("layout-differs", "the plan's layout is not the one the study gives")
	ErrParameters     = security("parameters-differ", "the parameters are not those the plan names")
	ErrStep           = security("step-unknown", "the study has no such step")
	ErrThreshold      = security("threshold-differs", "the plan's threshold is not the one the study gives")
	ErrCommittee      = security("committee-differs", "the plan's committee is not the one its invited sites and its draw give")
	ErrDrawUnknown    = security("draw-unknown", "the plan's committee is drawn for a study that the ledger does not show as started")
	ErrDrawStale      = security("draw-stale", "the plan's committee is drawn from another checkpoint than the one that the study started at")
	ErrDrawForked     = security("draw-forked", "the plan's committee is drawn from a checkpoint that is not of the ledger this site has read")
	ErrDrawRoster     = security("draw-roster", "the plan's committee is drawn from another roster than the one in force when the study started")
	ErrDrawLatecomer  = security("draw-latecomer", "the plan invites a site that was admitted after its committee's draw was known")
	ErrFloor          = ordinary("below-floor", statement.BelowFloor)
	ErrNotYet         = waiting("plan-from-the-future", "the plan is issued later than this site's clock: one of the two clocks is wrong")
	ErrWindow         = waiting("window-not-over", "the plan asks about a window of time that is not over by this site's clock")
	ErrTooLate        = ordinary("plan-expired", "the plan's deadline has passed by this site's clock")
	ErrDeadline       = security("deadline-differs", "the plan's deadlines are not those the study gives")
	ErrNotInLedger    = security("not-in-ledger", "the ledger does not prove what the coordinator asks for")
	ErrForgotten      = ordinary("round-forgotten", statement.RoundForgotten)
)

// Refusals of a question that was asked before.
var (
	// The word of the end may overtake the work, so this alone proves nothing.
	ErrRoundEnded        = ordinary("round-ended", "the round has ended by the coordinator's own word")
	ErrQuestionOpened    = security("question-opened", "the question has been opened already")
	ErrQuestionPending   = waiting("question-pending", "an earlier round of the question has not ended")
	ErrQuestionShares    = ordinary("question-shares-given", statement.QuestionShares)
	ErrQuestionSet       = ordinary("question-set", statement.QuestionSet)
	ErrQuestionCommittee = ordinary("question-committee", statement.QuestionCommittee)
	ErrEpoch             = security("epoch-changed", "the plan names another cohort epoch than the study's first plan")
	ErrTooManyQuestions  = security("too-many-questions", "the study asks more questions of this step than its protocol says")
)

// Refusals of an opening.
var (
	ErrRequestSignature = security("opening-signature", "the opening request is not signed by the rostered coordinator")
	ErrRequestPlan      = security("opening-plan", "the opening request is for another round than its plan")
	ErrNotMember        = security("not-in-committee", "this site is not in the round's committee")
	ErrSetOrder         = security("set-order", "the opening request's contributors are not distinct sites in ascending order")
	ErrSetSize          = security("set-size", "the opening request's parts have different lengths")
	ErrSetFloor         = security("set-below-floor", "the opening request is for fewer sites than the plan or this site allows")
	ErrSetStranger      = security("set-stranger", "the opening request lists a site that was not invited")
	ErrHeader           = security("header-signature", "a contribution's header is not signed by its rostered site")
	ErrHeaderDigest     = security("header-digest", "a contribution's header is not the one the opening request names")
	ErrHeaderRound      = security("header-round", "a contribution's header is for another round or site")
	ErrHeaderShape      = security("header-shape", "a contribution's header does not have the plan's number of chunks and shares")
	ErrShareDigest      = security("share-digest", "a sealed share is not the one its header names")
	ErrOwnHeader        = security("own-header", "the opening request lists a contribution of this site that this site did not make")
	ErrSecondSet        = security("second-set", "this site has answered a different opening request for this round")
)

// Refusals of what the coordinator says afterwards.
var (
	ErrReceipt         = security("receipt", "the receipt is not the coordinator's for this site's contribution")
	ErrEnd             = security("round-end", "the account of the round's end is not the coordinator's for this round")
	ErrEndContradicted = security("round-end-contradicted", "the coordinator gives two accounts of how a round ended")
)

// Refusals of a release.
var (
	ErrReleaseSignature = security("release-signature", "the release is not signed by the rostered coordinator")
	ErrReleaseStudy     = security("release-study", "the release is for another study than the protocol beside it")
	ErrReleaseModel     = security("release-model", "the release's model is not the one it names")
	ErrReleaseAudit     = security("release-audit", "the release's audit is not signed by the coordinator or not the one it names")
	ErrReleaseGate      = security("release-gate", "the release's audit does not bear out what the study's criteria are said to make of it")
	ErrReleaseBlocked   = security("release-blocked", "the study's criteria block the release, and no auditor's override of that stands beside it")
	ErrReleaseRounds    = security("release-rounds", "the release's rounds are not well formed")
	ErrReleaseReceipt   = security("release-receipt", "the release lists a contribution of this site that this site did not make")
	ErrReleaseSum       = security("release-sum", "the release is built on another sum than the one whose end this site was told")
)
