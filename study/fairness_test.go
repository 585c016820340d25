package study

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const audited = minimal + `fairness:
  attributes:
    - {column: sex, levels: [female, male]}
    - {column: race, levels: [A, B, C], ancestry: true, merge: {B or C: [C, B]}}
    - {column: ward, levels: [N]}
  minimum_cell: 5
  intersections: 2
  minimum_sites: 2
  largest_share: 0.9
  reference: {sex: female}
  bands: [2, 5]
  metrics: [mae, within20]
  criteria:
    - {metric: mae, attribute: sex, margin: 0.5}
    - {metric: within20, attribute: all, margin: 0.25, kind: ratio, on_fail: warn, on_insufficient: offer}
  bootstrap: 100
  purpose: {stratification: find errors by descent, basis: ethics vote 12}
`

func TestDeclarationOfTheAudit(t *testing.T) {
	want := Fairness{
		Attributes: []Attribute{
			{Column: "sex", Levels: single("female", "male"), Reference: "female"},
			{Column: "race", Levels: single("A", "B", "C"), Ancestry: true, Merges: []Merge{{"B or C", []int{1, 2}}}},
			{Column: "ward", Levels: single("N")},
		},
		Intersections: [][]int{{0, 1}, {0, 2}, {1, 2}},
		Complementary: true,
		MinimumCell:   5, MinimumSites: 2, LargestShare: 0.9,
		Bands: []float64{2, 5}, Metrics: []string{"mae", "within20"},
		Criteria:  []Criterion{{"mae", 0, 0.5, false, Block, Warn}, {"within20", -1, 0.25, true, Warn, Offer}},
		Bootstrap: 100,
		Purpose:   &Purpose{"find errors by descent", "ethics vote 12"},
	}
	if diff := cmp.Diff(want, mustParse(t, audited).Fairness); diff != "" {
		t.Errorf("fairness (-want +got):\n%s", diff)
	}
	listed := mustParse(t, strings.Replace(audited, "intersections: 2", "intersections: [[ward, race, sex], [race, ward]]", 1))
	if diff := cmp.Diff([][]int{{1, 2}, {0, 1, 2}}, listed.Fairness.Intersections); diff != "" {
		t.Error(diff)
	}
	three := mustParse(t, strings.Replace(audited, "intersections: 2", "intersections: 3", 1))
	if got := len(three.Fairness.Intersections); got != 4 {
		t.Errorf("%d intersections of three attributes, want 4", got)
	}
	if first, second := mustParse(t, audited), mustParse(t, strings.Replace(audited, "margin: 0.5", "margin: 0.6", 1)); first.Digest() == second.Digest() {
		t.Error("another margin is the same study")
	}
}

func TestThresholdsOfABinaryOutcome(t *testing.T) {
	src := strings.Replace(strings.Replace(minimal, "type: number, range: [0, 10]", `type: binary, positive: ["1"]`, 1), "gaussian", "binomial", 1)
	s := mustParse(t, src+"fairness: {attributes: [{column: sex, levels: [f]}], thresholds: [0.2, 0.5], criteria: [{metric: tpr, margin: 0.1}]}\n")
	if !cmp.Equal(s.Fairness.Thresholds, []float64{0.2, 0.5}) {
		t.Error(s.Fairness.Thresholds)
	}
}

func TestMalformedDeclarations(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"a share above one", "largest_share: 0.9", "largest_share: 1.1", "line 15: fairness.largest_share must be from 0.01 to 1"},
		{"no sites", "minimum_sites: 2", "minimum_sites: 0", "line 14: fairness.minimum_sites must be a whole number from 1 to 10000"},
		{"a misspelt key", "largest_share", "largest_shares", `line 15: unknown key "largest_shares"; did you mean "largest_share"?`},
		{"intersections too deep", "intersections: 2", "intersections: 4", "line 13: fairness.intersections must be a whole number from 1 to 3"},
		{"an intersection of one", "intersections: 2", "intersections: [[sex]]", "line 13: fairness.intersections[0]: an intersection is of at least two attributes; write [sex, race]"},
		{"an intersection twice", "intersections: 2", "intersections: [[sex, race], [race, sex]]", "line 13: fairness.intersections[1]: the intersection is declared twice; remove one of the two"},
		{"an intersection of nothing", "intersections: 2", "intersections: [[sex, age]]", `line 13: fairness.intersections[0]: "age" is no attribute; the attributes are sex, race, ward`},
		{"a reference of no attribute", "{sex: female}", "{age: old}", `line 16: fairness.reference: "age" is no attribute; the attributes are sex, race, ward`},
		{"a reference that is no group", "{sex: female}", "{sex: other}", `line 16: fairness.reference: "other" is no group of sex; the groups are female, male, unknown`},
		{"bands that fall", "[2, 5]", "[5, 2]", "line 17: fairness.bands must ascend between 0 and 10"},
		{"a band outside", "[2, 5]", "[2, 10]", "line 17: fairness.bands must ascend between 0 and 10"},
		{"thresholds of a number", "bands: [2, 5]", "thresholds: [0.5]", "line 17: fairness.thresholds: only a binary outcome has thresholds; remove it"},
		{"a metric of another outcome", "[mae, within20]", "[tpr]", `line 18: fairness.metrics: "tpr" is no metric of this outcome by which groups are compared; groups are compared by mae, bias, mse, rmse, correlation, mean_predicted, within10, within20, within30, under20, over20, log_fold_error`},
		{"a misspelt metric", "metric: mae", "metric: mea", `line 20: fairness.criteria[0].metric: "mea" is no metric of this outcome by which groups are compared; did you mean "mae"?`},
		{"a criterion without a margin", ", margin: 0.5", "", `line 20: missing key "fairness.criteria[0].margin"; say how large a difference counts as none`},
		{"a margin below zero", "margin: 0.5", "margin: -1", "line 20: fairness.criteria[0].margin must be from 0 to 1e12"},
		{"a ratio of a bias", "{metric: mae, attribute: sex, margin: 0.5}", "{metric: bias, margin: 0.5, kind: ratio}", "line 20: fairness.criteria[0].kind: bias can be zero or negative and has no ratio; use a difference"},
		{"an unknown consequence", "on_fail: warn", "on_fail: offer", `line 21: fairness.criteria[1].on_fail: "offer" is not one of block, warn`},
		{"a criterion twice", "{metric: mae, attribute: sex, margin: 0.5}", "{metric: within20, margin: 0.25, kind: ratio}", "line 21: fairness.criteria[1]: the criterion is declared twice; remove one of the two"},
		{"too few replicates", "bootstrap: 100", "bootstrap: 10", "line 22: fairness.bootstrap: fewer than 50 replicates have no 95% interval; write 0 for none"},
		{"descent without a purpose", "  purpose: {stratification: find errors by descent, basis: ethics vote 12}\n", "", "line 8: race speaks of descent: say why the audit looks at it, and on what basis; write purpose: {stratification: ..., basis: ...}"},
		{"a purpose without a basis", ", basis: ethics vote 12", "", `line 23: missing key "fairness.purpose.basis"; name the consent, approval or law that permits it`},
		{"a purpose without descent", "ancestry: true, ", "", "line 23: fairness.purpose: no attribute is marked ancestry: true; remove it"},
		{"a merge of one", "[C, B]", "[C]", `line 10: fairness.attributes[1].merge: "B or C" gathers a single group`},
		{"a merge of a stranger", "[C, B]", "[C, D]", `line 10: fairness.attributes[1].merge: "D" is no group, or is gathered twice; the groups are A, B, C, unknown`},
		{"a merge under a group's name", "B or C:", "A:", `line 10: fairness.attributes[1].merge: there is a group "A" already`},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := strings.Replace(audited, c.old, c.new, 1)
			if src == audited {
				t.Fatal("the edit changes nothing")
			}
			if _, err := Parse([]byte(src)); err == nil || err.Error() != c.want {
				t.Errorf("\n got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAnAuditHasALimitOfGroups(t *testing.T) {
	src := strings.Replace(audited, "[A, B, C]", "[A, B, C, "+levelNames(190)+"]", 1)
	if _, err := Parse([]byte(src)); err == nil || !strings.Contains(err.Error(), "more than 1000") {
		t.Error(err)
	}
}

// Who audits all patients as one group may still say how small a figure is shown.
func TestAnAuditWithoutGroupsKeepsItsCell(t *testing.T) {
	s := mustParse(t, kindStudy(numberOutcome, "{kind: glm, family: gaussian}", "fairness: {minimum_cell: 25}\n"))
	if s.Fairness.MinimumCell != 25 || len(s.Fairness.Attributes) != 0 {
		t.Errorf("%+v", s.Fairness)
	}
}

// Rule: a study that says nothing withholds what a small count could be worked out
// from; beside noise there is nothing exact to withhold.
func TestWithholdingIsTheDefault(t *testing.T) {
	const attributes = "fairness: {attributes: [{column: sex, levels: [female, male]}]%s}\n"
	for words, want := range map[string]bool{
		"": true, fmt.Sprintf(attributes, ""): true,
		fmt.Sprintf(attributes, ", disclosure: complementary"):     true,
		fmt.Sprintf(attributes, ", disclosure: primary"):           false,
		fmt.Sprintf(attributes, ", noise: {epsilon: 1, clip: 10}"): false,
	} {
		if got := mustParse(t, minimal+words).Fairness.Complementary; got != want {
			t.Errorf("%q: %v, want %v", words, got, want)
		}
	}
}
