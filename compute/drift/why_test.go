package drift

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// Rule: why a group has no verdict does not contradict its numbers: one that is
// shown with its size in every window is not called too small.
func TestReasonForNoVerdictIsTheGroupsOwn(t *testing.T) {
	s, err := study.Parse([]byte(`study: watch
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: age, type: number, range: [18, 99]}
model: {kind: glm, family: binomial}
fairness:
  attributes: [{column: g, levels: [A]}]
  minimum_cell: 11
  minimum_sites: 1
  disclosure: complementary
monitor:
  release: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  periods: {column: visit, type: number, cuts: [0, 1, 2, 3]}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		state string
		tally *tally
		says  string
	}{
		{OK, &tally{n: 43, observed: 8, expected: 7, variance: 5, squared: 6, few: true}, "outcomes"},
		{Suppressed, nil, "large enough"},
	} {
		session := New(s)
		for range 3 {
			w := window{contributors: 3, state: make([]string, session.groups.Len()), tallies: make([]*tally, session.groups.Len())}
			w.state[0], w.tallies[0] = c.state, c.tally
			session.windows = append(session.windows, w)
		}
		g, _ := session.watch(0, limitsOf(s, session.groups.Len()))
		if g.Verdict != Insufficient || !strings.Contains(g.Why, c.says) {
			t.Errorf("%s: %s, %q", c.state, g.Verdict, g.Why)
		}
	}
}
