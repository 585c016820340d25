package statement

import "testing"

// Rule: what depends on records looks the same whatever it is, and a sentence that
// nobody has written down here, which could hold anything, is never passed on.
func TestADeclineIsOneOfFourWords(t *testing.T) {
	for sentence, want := range map[string]string{
		NoUsableRecords: DeclinedRecords, RecordsUnreadable: DeclinedRecords, ValueOutOfBound: DeclinedRecords,
		StudyNotApproved: DeclinedPolicy, BelowFloor: DeclinedPolicy, ContributionLost: DeclinedState,
		"": DeclinedCheck, "patient 4711 has a dose of 90 mg": DeclinedCheck, "Policy": DeclinedCheck,
	} {
		if got := DeclineKind(sentence); got != want {
			t.Errorf("%q is declined as %s, want %s", sentence, got, want)
		}
	}
}
