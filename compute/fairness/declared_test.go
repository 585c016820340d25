package fairness_test

import (
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// Rule: whoever approves a study reads, for each criterion, what a fail and what
// insufficient evidence will do, with the defaults spelled out.
func TestCriteriaSayWhatTheirVerdictsWillDo(t *testing.T) {
	s, err := study.Parse([]byte(`
study: gated
version: 1
outcome: {column: y, type: number, range: [0, 100]}
features: [{column: x, type: number, range: [0, 1]}]
model: {kind: glm, family: gaussian}
fairness:
  attributes: [{column: sex, levels: [f, m]}]
  criteria:
    - {metric: mae, margin: 2.5, attribute: sex}
    - {metric: mae, margin: 0.25, kind: ratio, on_fail: warn, on_insufficient: offer}
    - {metric: bias, margin: 1, on_insufficient: block}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"mae by sex: a difference from the reference group of more than 2.5 is a fail. A fail blocks the release; insufficient evidence calls for a warning.",
		"mae by every attribute: a ratio to the reference group above 1.25 or below its inverse is a fail. A fail calls for a warning; insufficient evidence stands in no way.",
		"bias by every attribute: a difference from the reference group of more than 1 is a fail. A fail blocks the release; insufficient evidence blocks the release.",
	}
	if said := fairness.Declared(s); !slices.Equal(said, want) {
		t.Errorf("said:\n%q\nwant:\n%q", said, want)
	}
}
