package differencing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/study"
)

const watching = `study: watch
version: 1
outcome: {column: dose, type: number, range: [0, 100]}
features:
  - {column: age, type: number, range: [18, 99]}
model: {kind: glm, family: gaussian}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
monitor:
  release: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  margin: 2
  periods: {column: visit, cuts: [%s]}
privacy: {minimum_contributors: 2}
`

// watch shows, by window, how many women and men there are; a negative number is
// withheld.
func watch(t *testing.T, digest, cuts string, n ...[2]int) Report {
	t.Helper()
	s := parse(t, fmt.Sprintf(watching, cuts))
	r := &drift.Report{Groups: []drift.Group{{Attribute: All, Level: All}, {Attribute: "sex", Level: "female"}, {Attribute: "sex", Level: "male"}, {Attribute: "sex", Level: study.Unknown}}}
	for i, w := range n {
		from, to := s.Monitor.Window(i)
		r.Windows = append(r.Windows, drift.Window{From: from, To: to})
		for k, count := range []int{max(w[0], -w[0]) + max(w[1], -w[1]), w[0], w[1], 0} {
			p := drift.Point{State: drift.Suppressed}
			if count >= 0 {
				p.State, p.N = drift.OK, &count
			}
			r.Groups[k].Points = append(r.Groups[k].Points, p)
		}
	}
	out := Report{Study: s, Digest: digest, Monitor: r}
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	return out
}

const quarters = `"2026-01-01", "2026-04-01", "2026-07-01", "2026-10-01"`

// Rule: no two windows of a monitor share patients, so none is another one less a few.
func TestWindowsOfOneMonitorDoNotOverlap(t *testing.T) {
	for _, cuts := range []string{`"2026-01-01", "2026-04-01", "2026-03-01"`, `"2026-01-01", "2026-01-01", "2026-03-01"`} {
		if _, err := study.Parse(fmt.Appendf(nil, watching, cuts)); err == nil || !strings.Contains(err.Error(), "must ascend") {
			t.Errorf("%s: %v", cuts, err)
		}
	}
}

// Rule: a monitor is compared with what the validation showed of the same patients.
// Attack: all windows together are the women who were validated, less three.
func TestMonitorIsNotSubtractedFromTheValidation(t *testing.T) {
	validated := report(t, "validated", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0}) // 120 women, 140 men
	d := Decide(watch(t, "", quarters, [2]int{50, 50}, [2]int{67, 40}), []Report{validated})
	if !slices.Contains(groups(d), "from 2026-01-01: sex: female") || slices.ContainsFunc(groups(d), func(g string) bool { return strings.Contains(g, "all") }) {
		t.Errorf("withheld %q", groups(d))
	}
	if shown := total(t, d, 1, watch(t, "", quarters, [2]int{50, 50}, [2]int{67, 40})); few(shown, 120, 11) {
		t.Errorf("120 women less %d are still a few", shown)
	}
	expect(t, Decide(watch(t, "", quarters, [2]int{50, 50}, [2]int{70, 40}), []Report{validated})) // the same women
	expect(t, Decide(watch(t, "", quarters, [2]int{50, 50}, [2]int{30, 40}), []Report{validated})) // forty fewer
}

// total is what is left of a group over all windows.
func total(t *testing.T, d *Decision, group int, r Report) (n int) {
	t.Helper()
	for w, p := range r.Monitor.Groups[group].Points {
		if !slices.Contains(groups(d), Shows(r.Monitor.Windows[w].From, r.Monitor.Groups[group])) && p.N != nil {
			n += *p.N
		}
	}
	return n
}

// Rule: who came after a result was in the ledger is not in it.
func TestLaterPatientsAreNotInAnEarlierResult(t *testing.T) {
	validated := report(t, "validated", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	now := watch(t, "", quarters, [2]int{50, 50}, [2]int{67, 40})
	validated.At = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	expect(t, Decide(now, []Report{validated}))
	validated.At = time.Date(2026, 4, 2, 9, 0, 0, 0, time.UTC) // the second window had begun
	if d := Decide(now, []Report{validated}); len(d.Withheld) == 0 {
		t.Error("nothing is withheld")
	}
}

// Rule: windows that were shown stay, the later figures give way.
func TestLaterWindowsGiveWay(t *testing.T) {
	validated := report(t, "validated", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	now := watch(t, "", quarters, [2]int{20, 50}, [2]int{97, 40})
	now.Shown = 1
	if got := groups(Decide(now, []Report{validated})); !slices.Contains(got, "from 2026-04-01: sex: female") || slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, "2026-01-01") }) {
		t.Errorf("withheld %q", got)
	}
}

// Rule: a withheld group of a window is not the rest of the window.
func TestWithheldGroupOfAWindowIsNotTheRest(t *testing.T) {
	validated := report(t, "validated", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	got := groups(Decide(watch(t, "", quarters, [2]int{117, 200}), []Report{validated}))
	for _, want := range []string{"from 2026-01-01: sex: female", "from 2026-01-01: sex: male"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is shown: %q", want, got)
		}
	}
}

// Rule: a study that reads the column of the periods may be cut by it anywhere, and
// every run of windows is compared.
func TestStudyThatReadsThePeriodIsComparedWithEveryRun(t *testing.T) {
	cohort := report(t, "cohort", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0})
	now := watch(t, "", quarters, [2]int{100, 90}, [2]int{117, 137}, [2]int{90, 100})
	expect(t, Decide(now, []Report{cohort}))
	cohort.Study = parse(t, strings.Replace(fmt.Sprintf(protocol, two), "model:", "cohort: {require: [visit]}\nmodel:", 1))
	if got := groups(Decide(now, []Report{cohort})); !slices.Contains(got, "from 2026-04-01: sex: female") {
		t.Errorf("the second window is shown: %q", got)
	}
}

// Attack by the difference of two windows: a second monitor begins a day later.
func TestWindowsOfTwoMonitorsAreNotSubtracted(t *testing.T) {
	first := watch(t, "first", quarters, [2]int{50, 50}, [2]int{60, 60}, [2]int{70, 70})
	later := `"2026-01-02", "2026-04-01", "2026-07-01", "2026-10-01"`
	d := Decide(watch(t, "", later, [2]int{48, 50}, [2]int{60, 60}, [2]int{70, 70}), []Report{first})
	got := groups(d)
	if !slices.Contains(got, "from 2026-01-02: sex: female") || !slices.Contains(got, "from 2026-01-02: all") {
		t.Errorf("two women came on the first of January: %q", got)
	}
	if slices.ContainsFunc(got, func(g string) bool { return !strings.HasPrefix(g, "from 2026-01-02") }) {
		t.Errorf("windows that are the same are withheld: %q", got)
	}
	// The same windows again.
	expect(t, Decide(watch(t, "", quarters, [2]int{50, 50}, [2]int{60, 60}, [2]int{70, 70}), []Report{first}))
	// Months of a quarter, of which a late record is one more.
	months := watch(t, "", `"2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"`, [2]int{15, 20}, [2]int{20, 18}, [2]int{16, 12})
	if got := groups(Decide(months, []Report{first})); !slices.Contains(got, "from 2026-01-01: sex: female") {
		t.Errorf("three months have one woman more than their quarter: %q", got)
	}
	// And the other way around.
	months.Digest = "months"
	if got := groups(Decide(watch(t, "", quarters, [2]int{50, 50}), []Report{months})); !slices.Contains(got, "from 2026-01-01: sex: female") {
		t.Errorf("a quarter has one woman fewer than its months: %q", got)
	}
}

// Rule: a later study of the same patients is compared with the windows shown so far.
func TestLaterStudyIsComparedWithWindows(t *testing.T) {
	first := watch(t, "watch", quarters, [2]int{50, 60}, [2]int{68, 80})
	got := groups(Decide(report(t, "", two, [3]int{50, 60, 0}, [3]int{70, 80, 0}, [3]int{0, 0, 0}), []Report{first}))
	for _, want := range []string{"all", "sex: female"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is shown: %q", want, got)
		}
	}
}
