package statement

// A site declines in a fixed sentence (Decline.Reason), which only the evidence
// holds. Everybody else is told one of four words: enough to know whom to ask, and
// nothing of a record. What depends on records has a single word, so that a site
// without usable records, one whose file cannot be read and one with a value that
// does not fit look the same.
const (
	DeclinedRecords = "records" // its records could not be used
	DeclinedPolicy  = "policy"  // its policy, or its decision on the study
	DeclinedState   = "state"   // its own state: it waits for the next round
	DeclinedCheck   = "check"   // the question did not pass its checks
)

// Sentences of a decline that do not mean that a check failed.
const (
	NoUsableRecords   = "no usable records"
	RecordsUnreadable = "the records cannot be read"
	RecordsChanged    = "the records are not those that the study began with here"
	ValueOutOfBound   = "a value does not fit the bound of its field"
	ContributionLost  = "the sealed contribution was lost; this site waits for the next round"

	StudyNotApproved = "this site has not approved the study"
	StudyUnreadable  = "the study's protocol cannot be read by this agent's version"
	BelowFloor       = "the plan would open a sum of fewer sites than this site or the study allows"
	TooLittleNoise   = "groups of patients would be audited exactly, or with less noise than this site asks for"
	InvitedRemoved   = "the plan invites a site that has since been removed or changed its keys"

	RoundForgotten    = "this site took part in the round before its state was restored: it waits for the next round"
	QuestionShares    = "opening shares were given for an earlier round of the question"
	QuestionSet       = "after a failed opening the question may be asked only of the same sites less those seen to be at fault, and only once"
	QuestionCommittee = "an earlier round of the question and this one could both be opened: their committees need not share a member that answers"
)

// DeclineKind is the word for the sentence of a decline. A sentence that this version does not know, of
// another version or made up, is shown to nobody: it counts as a failed check,
// which is what most of them are.
func DeclineKind(sentence string) string {
	switch sentence {
	case NoUsableRecords, RecordsUnreadable, RecordsChanged, ValueOutOfBound:
		return DeclinedRecords
	case StudyNotApproved, StudyUnreadable, BelowFloor, TooLittleNoise, InvitedRemoved:
		return DeclinedPolicy
	case ContributionLost, RoundForgotten, QuestionShares, QuestionSet, QuestionCommittee:
		return DeclinedState
	}
	return DeclinedCheck
}
