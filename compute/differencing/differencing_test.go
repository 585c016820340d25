package differencing

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

const protocol = `study: dose
version: 1
outcome: {column: dose, type: number, range: [0, 100]}
features:
  - {column: age, type: number, range: [18, 99]}
model: {kind: glm, family: gaussian}
fairness:
  attributes:
    - {column: race, levels: %s}
    - {column: sex, levels: [female, male]}
  intersections: 2
privacy: {minimum_contributors: 2}
`

func parse(t *testing.T, text string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func count(n int) describe.Count {
	if n < 0 {
		return describe.Count{State: describe.Suppressed}
	}
	return describe.Suppress(n, 0)
}

// report shows, by race, then unknown race, how many women, men and unknown
// there are; a negative number is of a withheld intersection.
func report(t *testing.T, digest, levels string, n ...[3]int) Report {
	t.Helper()
	s := parse(t, fmt.Sprintf(protocol, levels))
	cohort := &describe.Cohort{Features: make([]describe.Variable, 1), Attributes: make([]describe.Attribute, 2)}
	audit := &fairness.Audit{}
	all, sexes := 0, [3]int{}
	var races []int
	for _, row := range n {
		race := 0
		for k, m := range row {
			race, all = race+max(m, -m), all+max(m, -m)
			sexes[k] += max(m, -m)
		}
		races = append(races, race)
	}
	group := func(attribute, level string, n int) {
		g := fairness.Group{Attribute: attribute, Level: level, State: fairness.Suppressed}
		if n >= 0 {
			g.State, g.N = fairness.OK, &n
		}
		audit.Groups = append(audit.Groups, g)
	}
	cohort.Patients = count(all)
	group(fairness.All, fairness.All, all)
	for a, of := range [][]int{races, sexes[:]} {
		attribute := s.Fairness.Attributes[a]
		cohort.Attributes[a].Column = attribute.Column
		for g, name := range attribute.Groups() {
			cohort.Attributes[a].Groups = append(cohort.Attributes[a].Groups, describe.Level{Name: name, Count: count(of[g])})
			group(attribute.Column, name, of[g])
		}
	}
	for r, race := range s.Fairness.Attributes[0].Groups() {
		for k, sex := range s.Fairness.Attributes[1].Groups() {
			group("race × sex", race+", "+sex, n[r][k])
		}
	}
	out := Report{Study: s, Digest: digest, Cohort: cohort, Audit: audit}
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	return out
}

func groups(d *Decision) (out []string) {
	for _, w := range d.Withheld {
		out = append(out, w.Group)
	}
	return out
}

func expect(t *testing.T, d *Decision, want ...string) {
	t.Helper()
	if got := groups(d); !slices.Equal(got, want) {
		t.Errorf("withheld %q, not %q", got, want)
	}
}

const two = "[black, white]"

func TestFirstReportIsComparedWithNothing(t *testing.T) {
	if d := Decide(report(t, "", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0}), nil); d != nil {
		t.Errorf("decided %v", d)
	}
}

func TestSameFrozenCohortIsShownAgain(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	d := Decide(first, []Report{first})
	expect(t, d)
	if len(d.Compared) != 1 || d.Compared[0].Result != "first" || !d.Compared[0].Overlap || !d.Compared[0].Alike {
		t.Errorf("compared %+v", d.Compared)
	}
}

// Three women more: every group that holds them is withheld, no other is.
func TestDifferencingAcrossTwoReleases(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	d := Decide(report(t, "", two, [3]int{50, 60, 0}, [3]int{73, 80, 0}, [3]int{0, 0, 0}), []Report{first})
	expect(t, d, "all", "race: white", "sex: female", "race × sex: white, female")
	for _, w := range d.Withheld {
		if w.Result != "first" || !strings.Contains(w.Why(11), "first by fewer than 11 patients") {
			t.Errorf("%+v: %s", w, w.Why(11))
		}
	}
}

func TestFloorOfPatientsApartIsEnough(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	expect(t, Decide(report(t, "", two, [3]int{50, 60, 0}, [3]int{81, 80, 0}, [3]int{0, 0, 0}), []Report{first}))
	expect(t, Decide(report(t, "", two, [3]int{50, 60, 0}, [3]int{80, 80, 0}, [3]int{0, 0, 0}), []Report{first}),
		"all", "race: white", "sex: female", "race × sex: white, female")
	// Fewer than before are as telling as more.
	expect(t, Decide(report(t, "", two, [3]int{50, 60, 0}, [3]int{60, 80, 0}, [3]int{0, 0, 0}), []Report{first}),
		"all", "race: white", "sex: female", "race × sex: white, female")
}

// What is not shown cannot be subtracted from.
func TestWithheldFiguresAreComparedWithNothing(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{-5, 80, 0}, [3]int{0, 0, 0})
	expect(t, Decide(report(t, "", two, [3]int{50, 60, 0}, [3]int{-5, 80, 0}, [3]int{0, 0, 0}), []Report{first}))
}

// Every earlier report counts, not the last one only.
func TestOldReportsCount(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	second := report(t, "second", two, [3]int{150, 60, 0}, [3]int{70, 180, 0}, [3]int{0, 0, 0})
	d := Decide(report(t, "", two, [3]int{51, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0}), []Report{first, second})
	expect(t, d, "all", "race: black", "sex: female", "race × sex: black, female")
	if d.Withheld[0].Result != "first" || len(d.Compared) != 2 {
		t.Errorf("decided %+v", d)
	}
}

// The later study tells patients apart that the earlier one counted together: of
// 110 black or Asian patients it shows 105 black ones.
func TestSplitGroupIsComparedWithTheWhole(t *testing.T) {
	first := report(t, "first", "[{minority: [asian, black]}, white]", [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	d := Decide(report(t, "", "[asian, black, white]", [3]int{-2, -3, 0}, [3]int{48, 57, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0}), []Report{first})
	for _, want := range []string{"race: black", "race × sex: black, female", "race × sex: black, male"} {
		if !slices.Contains(groups(d), want) {
			t.Errorf("%q is shown: %q", want, groups(d))
		}
	}
	if slices.Contains(groups(d), "race: white") || slices.Contains(groups(d), "all") {
		t.Errorf("too much is withheld: %q", groups(d))
	}
}

// And the other way around: 105 black patients were shown; 110 are now.
func TestJoinedGroupsAreComparedWithTheirParts(t *testing.T) {
	first := report(t, "first", "[asian, black, white]", [3]int{-2, -3, 0}, [3]int{48, 57, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	d := Decide(report(t, "", "[{minority: [asian, black]}, white]", [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0}), []Report{first})
	for _, want := range []string{"race: minority", "race × sex: minority, female", "race × sex: minority, male"} {
		if !slices.Contains(groups(d), want) {
			t.Errorf("%q is shown: %q", want, groups(d))
		}
	}
}

// Two later groups together are an earlier one less five: {asian, other} of the
// first report against asian and other of the second, where white lost its unknown
// spelling.
func TestUnionOfLaterGroups(t *testing.T) {
	first := report(t, "first", "[{rest: [asian, black]}, white]", [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	d := Decide(report(t, "", "[asian, black, white]", [3]int{20, 28, 0}, [3]int{30, 37, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0}), []Report{first})
	if !slices.Contains(groups(d), "race: asian") { // the smaller of the two is enough
		t.Errorf("asian and black patients are five fewer than before and both shown: %q", groups(d))
	}
}

func TestStudiesWithoutACommonColumnAreOfOthers(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	s := parse(t, `study: other
version: 1
outcome: {column: weight, type: number, range: [0, 100]}
features:
  - {column: height, type: number, range: [100, 250]}
model: {kind: glm, family: gaussian}
privacy: {minimum_contributors: 2}
`)
	d := Decide(Report{Study: s, Cohort: &describe.Cohort{Patients: count(261), Features: make([]describe.Variable, 1)}}, []Report{first})
	expect(t, d)
	if len(d.Compared) != 1 || d.Compared[0].Overlap {
		t.Errorf("compared %+v", d.Compared)
	}
}

func TestDecisionIsAFunction(t *testing.T) {
	first := report(t, "first", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	now := report(t, "", two, [3]int{50, 60, 0}, [3]int{73, 80, 0}, [3]int{0, 0, 0})
	want := fmt.Sprintf("%+v", Decide(now, []Report{first}))
	for range 3 {
		if got := fmt.Sprintf("%+v", Decide(now, []Report{first})); got != want {
			t.Fatalf("decided %s, then %s", want, got)
		}
	}
}
