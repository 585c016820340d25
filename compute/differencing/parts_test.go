package differencing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// validated is a report whose audit is of the patients whom a validation gives; the
// cohort is of all.
func validated(t *testing.T, digest, how string, cohort, audited [3]int) Report {
	t.Helper()
	out := report(t, digest, two, cohort, [3]int{300, 300, 0}, [3]int{0, 0, 0})
	out.Audit = report(t, digest, two, audited, [3]int{300, 300, 0}, [3]int{0, 0, 0}).Audit
	text := strings.Replace(fmt.Sprintf(protocol, two), "fairness:", "validation: "+how+"\nfairness:", 1)
	out.Study = parse(t, strings.Replace(text, "minimum_contributors: 2", "minimum_contributors: 3", 1))
	return out
}

const (
	kfold   = "{kind: k-fold, folds: 5}"
	loso    = "{kind: leave-one-site-out}"
	holdout = "{kind: holdout, fraction: 0.5}"
)

// Rule: of one cohort, a k-fold or leave-one-site-out audit is of all patients and a
// hold-out's of some. The difference of a group is those who trained: of few, the
// later audit withholds the group.
func TestHoldoutAfterKFoldIsNotSubtracted(t *testing.T) {
	whole, part := [3]int{50, 60, 0}, [3]int{47, 60, 0} // three black women trained
	for _, every := range []string{kfold, loso} {
		first := validated(t, "first", every, whole, whole)
		d := Decide(validated(t, "", holdout, whole, part), []Report{first})
		for _, want := range []string{"race: black", "sex: female", "race × sex: black, female"} {
			if !slices.Contains(groups(d), want) {
				t.Errorf("%s, then hold-out: %q is shown: %q", every, want, groups(d))
			}
		}
		first = validated(t, "first", holdout, whole, part)
		d = Decide(validated(t, "", every, whole, whole), []Report{first})
		if !slices.Contains(groups(d), "race × sex: black, female") {
			t.Errorf("hold-out, then %s: black women are shown: %q", every, groups(d))
		}
		// A hold-out that leaves enough is shown.
		expect(t, Decide(validated(t, "", holdout, whole, [3]int{25, 30, 0}), []Report{validated(t, "first", every, whole, whole)}))
	}
}

// Rule: what is withheld is not what a larger group has beside the others: here both
// races grew, white patients by three only.
func TestWithheldGroupIsNotTheRestOfAll(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	d := Decide(report(t, "", two, [3]int{90, 95, 0}, [3]int{70, 83, 0}, [3]int{0, 0, 0}), []Report{first})
	for _, want := range []string{"race: white", "race: black"} {
		if !slices.Contains(groups(d), want) {
			t.Errorf("all are shown, and %q: %q", want, groups(d))
		}
	}
}

// Rule: a study that divides patients further is compared group by group and put
// together: the first report tells no sexes, and women and men of the second are
// three more than all of it.
func TestGroupsTogetherAreComparedWithTheWhole(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	first.Audit, first.Cohort.Attributes, first.Study = nil, nil, parse(t, strings.Split(fmt.Sprintf(protocol, two), "fairness:")[0]+"privacy: {minimum_contributors: 2}\n")
	now := report(t, "", two, [3]int{50, 60, 0}, [3]int{73, 80, 0}, [3]int{0, 0, 0})
	d := Decide(now, []Report{first})
	left := map[string]int{}
	for _, g := range now.Audit.Groups {
		if !slices.Contains(groups(d), GroupName(g)) {
			left[g.Attribute] += *g.N
		}
	}
	for attribute, n := range left {
		if few(n, 260, 11) {
			t.Errorf("what is shown of %s is %d of 260: %q", attribute, n, groups(d))
		}
	}
}
