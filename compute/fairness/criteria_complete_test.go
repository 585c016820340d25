package fairness

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Whatever the gate hides, joins or leaves out, and whatever an earlier report has
// withheld, an honest audit is complete: a hospital takes it. One that leaves out a
// group it judges is not.
func TestAnHonestAuditLeavesNobodyOut(t *testing.T) {
	withCriteria := strings.Replace(whoIsInTheData, "fairness:\n", "fairness:\n  bootstrap: 0\n  criteria: [{metric: tpr, margin: 0.1}, {metric: brier, attribute: g, margin: 0.2}]\n", 1)
	merged := strings.Replace(withCriteria, "levels: [A, B, C, few]}", "levels: [A, B, C, few], merge: {rest: [C, few]}}", 1)
	caught := 0
	states := map[string]bool{}
	for name, protocol := range map[string]string{
		"complementary": withCriteria, "merged": merged,
		"largest group as reference": strings.Replace(withCriteria, "  reference: {g: A}\n", "", 1),
		"primary only":               strings.Replace(withCriteria, "disclosure: complementary", "disclosure: primary", 1),
	} {
		s := parsed(t, protocol)
		for _, counts := range []map[string][2]int{
			{"AU": {80, 20}, "AV": {60, 20}, "BU": {40, 10}, "BV": {60, 60}, "CU": {30, 1}, "CV": {30, 1}, "fewU": {1, 1}},
			{"AU": {80, 20}, "BU": {40, 10}},
			{"AU": {40, 40}, "AV": {2, 1}, "CU": {2, 0}, "CV": {1, 1}, "fewU": {0, 1}},
			{"AU": {40, 40}},
		} {
			a, _ := audited(t, s, people(t, s, counts), func(i, r int) float64 { return 0.4 + 0.2*float64(r%2) })
			if _, err := Decide(s, a); err != nil {
				t.Errorf("%s: %v: %v", name, counts, err)
			}
			honest, err := json.Marshal(a) // as a hospital reads it
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range a.Groups {
				states[g.State] = true
				again := new(Audit)
				if err := json.Unmarshal(honest, again); err != nil {
					t.Fatal(err)
				}
				again.Withhold(map[int]string{i: "because"})
				if _, err := Decide(s, again); err != nil {
					t.Errorf("%s: %v: without %s %s: %v", name, counts, g.Attribute, g.Level, err)
				}
			}
			for k, j := range a.Criteria {
				compared := func(g JudgedGroup) bool { return g.Attribute == j.Groups[0].Attribute && g.Reference != "" }
				if len(j.Groups) < 2 || !slices.ContainsFunc(j.Groups[1:], compared) {
					continue // without a comparison, one more or less that is withheld decides nothing
				}
				caught++
				a.Criteria[k].Groups, a.Decision = j.Groups[1:], nil
				a.Criteria[k].conclude()
				if _, err := Decide(s, a); err == nil || !strings.Contains(err.Error(), "leaves out") {
					t.Errorf("%s: %s %s was left out: %v", name, j.Groups[0].Attribute, j.Groups[0].Level, err)
				}
				a.Criteria[k].Groups = j.Groups
				a.Criteria[k].conclude()
			}
		}
	}
	if caught == 0 {
		t.Error("no group could be left out")
	}
	for _, state := range []string{OK, Suppressed, Merged, Zero} {
		if !states[state] {
			t.Errorf("no group was %s", state)
		}
	}
}
