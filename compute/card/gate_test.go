package card_test

import (
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/card"
	"github.com/consilium-fl/consilium/compute/fairness"
)

// Every form of a card says what the study's criteria make of the release, and
// first of all that they were overridden, by whom and why.
func TestTheCardSaysWhatBecomesOfTheRelease(t *testing.T) {
	declare := func(criteria string) card.Release {
		kinds["gated"] = strings.Replace(kinds["holdout"], "  minimum_cell: 11\n", "  minimum_cell: 11\n"+criteria, 1)
		defer delete(kinds, "gated")
		return released(t, "gated")
	}
	override := &card.Override{Auditor: "Ada", Reason: "for women only", Time: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	for name, test := range map[string]struct {
		criteria, outcome string
		override          *card.Override
		says              []string
		lacks             string
	}{
		"none":       {"", "", nil, []string{"No criterion was declared"}, "So the release is"},
		"offered":    {"  criteria: [{metric: mae, margin: 0, on_insufficient: offer}]\n", fairness.Offered, nil, []string{"stands in no way", "So the release is offered."}, "Released with a warning"},
		"warned":     {"  criteria: [{metric: mae, margin: 0}]\n", fairness.OfferedWithWarning, nil, []string{"Released with a warning", "calls for a warning", "So the release is offered with a warning."}, "override"},
		"overridden": {"  criteria: [{metric: mae, margin: 0, on_insufficient: block}]\n", fairness.Blocked, override, []string{"Released under an override", "Ada, an auditor", "22 November 2026", "for women only", "So the release is blocked."}, "Released with a warning"},
	} {
		r := declare(test.criteria)
		if d := r.Result.Audit.Decision; (d == nil) != (test.outcome == "") || d != nil && d.Outcome != test.outcome {
			t.Fatalf("%s: the decision is %+v", name, d)
		}
		r.Override = test.override
		for form, text := range forms(t, newCard(t, r)) {
			for _, words := range test.says {
				if !strings.Contains(text, words) {
					t.Errorf("%s, %s does not say %q", name, form, words)
				}
			}
			if strings.Contains(text, test.lacks) {
				t.Errorf("%s, %s says %q", name, form, test.lacks)
			}
		}
	}
}
