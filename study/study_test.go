package study

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// example is the protocol file that the documentation shows, byte for byte.
const example = `study: warfarin-dose
version: 1
title: Stable weekly warfarin dose from genotype and clinical factors
outcome: {column: weekly_dose_mg, type: number, range: [2, 320], unit: mg/wk, transform: sqrt}   # identity | sqrt | log
features:
  - {column: age_decade, type: number, range: [1, 9]}
  - {column: vkorc1_1639, type: category, levels: [G/G, A/G, A/A, unknown], reference: G/G}
cohort: {require: [weekly_dose_mg, age_decade], exclude_if: [{column: complete_case, equals: "0"}]}
model: {kind: glm, family: gaussian, ridge: 0}          # gaussian | binomial
fairness:
  attributes:                                              # any other value, or none, is the group ` + "`unknown`" + `
    - {column: race4, levels: [White, Asian, Black or African American, Mixed/missing]}
    - {column: sex, levels: [female, male]}
  minimum_cell: 11
privacy: {minimum_contributors: 3, threshold: supermajority}
schedule: {rounds: 25, tolerance: 1e-10, deadline: 2m}
`

func mustParse(t testing.TB, src string) *Study {
	t.Helper()
	s, err := Parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func single(names ...string) []Level {
	var levels []Level
	for _, name := range names {
		levels = append(levels, Level{Name: name, Values: []string{name}})
	}
	return levels
}

func TestDocumentedExample(t *testing.T) {
	got := mustParse(t, example)
	want := &Study{
		Name:    "warfarin-dose",
		Version: 1,
		Title:   "Stable weekly warfarin dose from genotype and clinical factors",
		Outcome: Outcome{Column: "weekly_dose_mg", Type: Number, Range: &Range{2, 320}, Unit: "mg/wk", Scale: Sqrt},
		Features: []Feature{
			{Column: "age_decade", Type: Number, Range: Range{1, 9}},
			{Column: "vkorc1_1639", Type: Category, Levels: single("G/G", "A/G", "A/A", "unknown")},
		},
		Missing: []string{"NA"},
		Cohort: Cohort{
			Require:   []string{"weekly_dose_mg", "age_decade"},
			ExcludeIf: []Exclusion{{Column: "complete_case", Equals: []string{"0"}}},
		},
		Model: Model{Kind: GLM, Family: Gaussian, SiteEffects: NoSiteEffects},
		Fairness: Fairness{
			Attributes: []Attribute{
				{Column: "race4", Levels: single("White", "Asian", "Black or African American", "Mixed/missing")},
				{Column: "sex", Levels: single("female", "male")},
			},
			MinimumCell: 11, MinimumSites: 3, LargestShare: 0.85, Bootstrap: 200, Complementary: true,
		},
		Privacy:  Privacy{MinimumContributors: 3, Threshold: Supermajority},
		Schedule: Schedule{Rounds: 25, Tolerance: 1e-10, Deadline: 2 * time.Minute},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Study{})); diff != "" {
		t.Errorf("study (-want +got):\n%s", diff)
	}
	terms := []Term{
		{Name: "(intercept)", Feature: -1, Level: -1, Lo: 0, Hi: 1},
		{Name: "age_decade", Feature: 0, Level: -1, Lo: 1, Hi: 9},
		{Name: "vkorc1_1639=A/G", Feature: 1, Level: 1, Lo: 0, Hi: 1},
		{Name: "vkorc1_1639=A/A", Feature: 1, Level: 2, Lo: 0, Hi: 1},
		{Name: "vkorc1_1639=unknown", Feature: 1, Level: 3, Lo: 0, Hi: 1},
	}
	if diff := cmp.Diff(terms, got.Terms()); diff != "" {
		t.Errorf("terms (-want +got):\n%s", diff)
	}
	columns := []string{"weekly_dose_mg", "age_decade", "vkorc1_1639", "complete_case", "race4", "sex"}
	if diff := cmp.Diff(columns, got.Columns()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"female", "male", "unknown"}, got.Fairness.Attributes[1].Groups()); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestDigestIsOfTheExactBytes(t *testing.T) {
	s := mustParse(t, example)
	sum := sha256.Sum256([]byte(example))
	digest := s.Digest()
	if got, want := hex.EncodeToString(digest[:]), hex.EncodeToString(sum[:]); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	if mustParse(t, example+"\n").Digest() == s.Digest() {
		t.Error("a trailing newline left the digest as it was")
	}
	src := []byte(example)
	s, err := Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	src[0] = 'X'
	s.Source()[0] = 'Y'
	if string(s.Source()) != example {
		t.Error("the source can be changed from outside")
	}
}

func TestThreshold(t *testing.T) {
	s := mustParse(t, example)
	unanimous := mustParse(t, strings.Replace(example, "supermajority", "unanimous", 1))
	for m, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 9: 7, 16: 11, 17: 12} {
		if got := s.Threshold(m); got != want {
			t.Errorf("supermajority of %d is %d, want %d", m, got, want)
		}
		if got := unanimous.Threshold(m); got != m {
			t.Errorf("unanimous of %d is %d", m, got)
		}
	}
}

// Every attribute has the group unknown; a study that also lists it says the
// same thing twice.
func TestUnknownDeclaredAsAttributeLevelIsTheGroupUnknown(t *testing.T) {
	s, err := Parse([]byte(strings.Replace(example, "levels: [female, male]", "levels: [female, unknown, male]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Fairness.Attributes[1].Groups(); !slices.Equal(got, []string{"female", "male", "unknown"}) {
		t.Errorf("groups %q", got)
	}
}
