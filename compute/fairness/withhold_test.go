package fairness

import (
	"reflect"
	"slices"
	"testing"
)

// Withhold knows every list of the report that tells of groups: whoever adds a
// field decides here what becomes of it.
func TestWithholdKnowsEveryPartOfTheReport(t *testing.T) {
	known := []string{
		// of the study or of nobody
		"Schema", "Study", "Name", "Version", "Title", "OutcomeType", "Outcome", "Unit", "Contributors", "MinimumCell", "Unseen",
		"Cuts", "Bands", "Times", "HalfWidth", "Purpose", "Noise", "Hidden", "Limits",
		// of all patients
		"N", "Thresholds", "Calibration", "Cut", "Hospitals",
		// of groups
		"Groups", "Gaps", "Largest", "Odds", "Within", "Inequality", "Representation", "Criteria", "Decision", "Progress",
	}
	for f := range reflect.TypeFor[Audit]().Fields() {
		if !slices.Contains(known, f.Name) {
			t.Errorf("the audit has %s, and Withhold does not say what becomes of it when a group is withheld", f.Name)
		}
	}
}

func TestWithheldGroupLeavesNoTrace(t *testing.T) {
	n, x := 50, 0.25
	m := map[string]Metric{"mae": {Estimate: 1}}
	a := &Audit{N: 150, Groups: []Group{{Attribute: All, Level: All, State: OK, N: &n, Metrics: m}, {Attribute: "g", Level: "A", State: OK, N: &n, Metrics: m}, {Attribute: "g", Level: "B", State: OK, N: &n, Metrics: m}, {Attribute: "g", Level: "C", State: OK, N: &n, Metrics: m}},
		Gaps:    []Gap{{Attribute: "g", Level: "A", Reference: "C"}, {Attribute: "g", Level: "B", Reference: "C"}},
		Largest: []Largest{{Attribute: "g", High: "A", Low: "C"}, {Attribute: "g", High: "B", Low: "C", Farthest: "A", FromAll: &x}},
		Representation: []Represented{{Attribute: "g", Level: "A", Reference: "C"}, {Attribute: "g", Level: "B", Reference: "C"},
			{Attribute: "h", Level: "U", Conditional: []Conditional{{On: "g"}, {On: "i"}}}},
		Odds:       []Odds{{Attribute: "g", Level: "A", Reference: "C"}},
		Within:     []Within{{Attribute: "g", Level: "A", Reference: "C"}},
		Inequality: []Inequality{{Attribute: "g"}, {Attribute: "h"}},
		Criteria: []Judged{{Metric: "mae", Attribute: "g", Kind: "difference", Margin: 1, OnFail: "block", OnInsufficient: "warn", Verdict: Fail,
			Groups: []JudgedGroup{{Attribute: "g", Level: "A", Reference: "C", Estimate: &x, Verdict: Fail}, {Attribute: "g", Level: "B", Reference: "C", Estimate: &x, Verdict: Pass}}}},
		Decision: &Decision{Outcome: Blocked}, Hidden: []Hidden{},
	}
	a.Withhold(map[int]string{1: "because"})
	if g := a.Groups[1]; g.State != Suppressed || g.N != nil || g.Metrics != nil || a.Groups[0].N == nil || a.Groups[2].N == nil || a.N != 150 {
		t.Errorf("groups %+v", a.Groups)
	}
	if len(a.Gaps) != 1 || a.Gaps[0].Level != "B" || len(a.Largest) != 1 || a.Largest[0].FromAll != nil || a.Largest[0].Farthest != "" || len(a.Odds)+len(a.Within) != 0 || len(a.Inequality) != 1 || a.Inequality[0].Attribute != "h" {
		t.Errorf("%+v %+v %+v %+v %+v", a.Gaps, a.Largest, a.Odds, a.Within, a.Inequality)
	}
	if r := a.Representation; len(r) != 2 || r[0].Level != "B" || len(r[1].Conditional) != 1 || r[1].Conditional[0].On != "i" {
		t.Errorf("%+v", r)
	}
	if j := a.Criteria[0]; j.Verdict != Insufficient || j.Groups[0].Estimate != nil || j.Groups[1].Estimate == nil {
		t.Errorf("criterion %+v", j)
	}
	if a.Decision.Outcome != OfferedWithWarning || len(a.Hidden) != 1 || a.Hidden[0].Why != "because" {
		t.Errorf("decision %+v, hidden %+v", a.Decision, a.Hidden)
	}
}
