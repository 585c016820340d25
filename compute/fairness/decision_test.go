package fairness

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

const gatedStudy = `
study: gated
version: 1
outcome: {column: y, type: number, range: [1, 100]}
features:
  - {column: x, type: number, range: [0, 100]}
model: {kind: glm, family: gaussian}
fairness:
  attributes:
    - {column: g, levels: [A, B]}
  criteria: [%s]
`

// judged is an audit whose criteria came out with the given intervals of one
// group; nil is a group that could not be looked at.
func judged(s *study.Study, intervals ...*[2]float64) *Audit {
	a := &Audit{}
	for _, c := range cells(s) {
		a.Groups = append(a.Groups, Group{Attribute: c.name, Level: c.level, State: OK})
	}
	a.Group("g", "unknown").State = Zero
	for i, c := range s.Fairness.Criteria {
		j := declared(s, c)
		g := JudgedGroup{Attribute: "g", Level: "B", Reference: "A", Verdict: Insufficient, Why: "withheld"}
		if x := intervals[i]; x != nil {
			middle := (x[0] + x[1]) / 2
			g.Estimate, g.Lower, g.Upper, g.Why = &middle, &x[0], &x[1], ""
		}
		g.Verdict, _ = j.verdict(g)
		j.Groups = []JudgedGroup{g}
		j.conclude()
		a.Criteria = append(a.Criteria, j)
	}
	if a.Criteria != nil {
		d := decide(a.Criteria)
		a.Decision = &d
	}
	return a
}

// Intervals that pass, fail and do not decide a margin of 1.
var (
	within  = &[2]float64{-0.5, 0.5}
	beyond  = &[2]float64{1.5, 2.5}
	between = &[2]float64{0.5, 1.5}
)

// Every verdict does what the study has declared for it, by default and in every
// other way that it can declare.
func TestEveryVerdictDoesWhatTheStudyDeclares(t *testing.T) {
	for _, test := range []struct {
		declared string
		interval *[2]float64
		want     string
	}{
		{"", within, Offered}, {"", beyond, Blocked}, {"", between, OfferedWithWarning}, {"", nil, OfferedWithWarning},
		{", on_fail: block", within, Offered}, {", on_fail: block", beyond, Blocked},
		{", on_fail: warn", within, Offered}, {", on_fail: warn", beyond, OfferedWithWarning}, {", on_fail: warn", between, OfferedWithWarning},
		{", on_insufficient: block", within, Offered}, {", on_insufficient: block", between, Blocked}, {", on_insufficient: block", nil, Blocked},
		{", on_insufficient: warn", between, OfferedWithWarning}, {", on_insufficient: offer", between, Offered}, {", on_insufficient: offer", nil, Offered},
		{", on_fail: warn, on_insufficient: block", beyond, OfferedWithWarning}, {", on_fail: warn, on_insufficient: block", between, Blocked},
		{", on_fail: block, on_insufficient: offer", beyond, Blocked}, {", on_fail: block, on_insufficient: offer", between, Offered},
	} {
		s := parsed(t, fmt.Sprintf(gatedStudy, "{metric: mae, margin: 1"+test.declared+"}"))
		a := judged(s, test.interval)
		got, err := Decide(s, a)
		if err != nil || got.Outcome != test.want {
			t.Errorf("%q of %v: %q, %v, want %q", test.declared, test.interval, got.Outcome, err, test.want)
		}
		if (len(got.Reasons) == 0) != (test.interval == within) {
			t.Errorf("%q of %v gives the reasons %+v", test.declared, test.interval, got.Reasons)
		}
	}
}

// Of several criteria the gravest counts, in whatever order they stand.
func TestTheGravestVerdictDecides(t *testing.T) {
	effects := map[string]struct {
		yaml     string
		interval *[2]float64
	}{
		Offered: {"", within}, OfferedWithWarning: {", on_fail: warn", beyond}, Blocked: {"", beyond},
	}
	order := []string{Offered, OfferedWithWarning, Blocked}
	metrics := []string{"mae", "bias"}
	for i, first := range order {
		for k, second := range order {
			one, two := effects[first], effects[second]
			s := parsed(t, fmt.Sprintf(gatedStudy, fmt.Sprintf("{metric: %s, margin: 1%s}, {metric: %s, margin: 1%s}", metrics[0], one.yaml, metrics[1], two.yaml)))
			got, err := Decide(s, judged(s, one.interval, two.interval))
			if want := order[max(i, k)]; err != nil || got.Outcome != want {
				t.Errorf("%s and %s: %q, %v", first, second, got.Outcome, err)
			}
		}
	}
}

func TestWithoutCriteriaAReleaseIsOffered(t *testing.T) {
	s := parsed(t, strings.Replace(gatedStudy, "  criteria: [%s]\n", "", 1))
	got, err := Decide(s, judged(s))
	if err != nil || got.Outcome != Offered || len(got.Reasons) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whoever hands over an audit may have changed it: what does not follow is named.
func TestADecisionThatDoesNotFollowIsRefused(t *testing.T) {
	s := parsed(t, fmt.Sprintf(gatedStudy, "{metric: mae, margin: 1}"))
	for name, test := range map[string]struct {
		change func(a *Audit)
		words  string
	}{
		"another decision":        {func(a *Audit) { a.Decision.Outcome = Offered }, "another decision"},
		"a reason left out":       {func(a *Audit) { a.Decision.Reasons = nil }, "another decision"},
		"a reason changed":        {func(a *Audit) { a.Decision.Reasons[0].Sentence = "all is well" }, "another decision"},
		"another verdict":         {func(a *Audit) { a.Criteria[0].Verdict = Pass }, "where its groups give"},
		"another group's verdict": {func(a *Audit) { a.Criteria[0].Groups[0].Verdict = Pass }, "where its interval gives"},
		"no interval":             {func(a *Audit) { a.Criteria[0].Groups[0].Lower = nil }, "without an interval"},
		"a turned interval":       {func(a *Audit) { g := &a.Criteria[0].Groups[0]; g.Lower, g.Upper = g.Upper, g.Lower }, "without an interval"},
		"a wider margin":          {func(a *Audit) { a.Criteria[0].Margin = 5 }, "not the one that the study declares"},
		"a milder consequence":    {func(a *Audit) { a.Criteria[0].OnFail = "warn" }, "not the one that the study declares"},
		"another metric":          {func(a *Audit) { a.Criteria[0].Metric = "bias" }, "not the one that the study declares"},
		"a group left out":        {func(a *Audit) { a.Criteria[0].Groups = nil }, "leaves out more than one group of g"},
		"a group made up":         {func(a *Audit) { a.Criteria[0].Groups[0].Level = "C" }, "leaves out more than one group of g"},
		"a group twice":           {func(a *Audit) { a.Criteria[0].Groups = append(a.Criteria[0].Groups, a.Criteria[0].Groups[0]) }, "twice"},
		"another reference":       {func(a *Audit) { a.Criteria[0].Groups[0].Reference = "unknown" }, "compares groups of g with unknown"},
		"a group that is nowhere": {func(a *Audit) { a.Groups = a.Groups[:3] }, "3 groups where the study declares 4"},
		"a group renamed":         {func(a *Audit) { a.Groups[2].Level = "A" }, "where the study declares g B"},
		"a group counted nowhere": {func(a *Audit) { a.Groups[2].State, a.Criteria[0].Groups = Merged, nil }, "in the place of another and of none"},
		"a criterion left out":    {func(a *Audit) { a.Criteria = nil }, "judges 0 criteria"},
		"a criterion added":       {func(a *Audit) { a.Criteria = append(a.Criteria, a.Criteria[0]) }, "judges 2 criteria"},
	} {
		a := judged(s, beyond)
		test.change(a)
		if _, err := Decide(s, a); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An audit of the version before states neither consequences nor a decision.
	old := judged(s, beyond)
	old.Decision, old.Criteria[0].OnFail, old.Criteria[0].OnInsufficient = nil, "", ""
	if got, err := Decide(s, old); err != nil || got.Outcome != Blocked {
		t.Errorf("an older audit: %+v, %v", got, err)
	}
}

// A real audit decides as its figures call for, through JSON and back; a study
// without criteria has a report without a word of it.
func TestAnAuditCarriesItsDecision(t *testing.T) {
	for criteria, want := range map[string]string{
		"{metric: mae, attribute: g, margin: 1}":                Blocked,
		"{metric: mae, attribute: g, margin: 1, on_fail: warn}": OfferedWithWarning,
		"{metric: mae, attribute: g, margin: 60}":               Offered,
		"": "",
	} {
		source := strings.Replace(planted, "criteria: [{metric: mae, attribute: g, margin: 1}]", "criteria: ["+criteria+"]", 1)
		if criteria == "" {
			source = strings.Replace(planted, "  criteria: [{metric: mae, attribute: g, margin: 1}]\n", "", 1)
		}
		s := parsed(t, source)
		sites, random := hospitals(t, s, 4, 200, halves), rand.New(rand.NewPCG(1, 2))
		a, _ := audited(t, s, sites, func(i, r int) float64 {
			e := 5 * random.NormFloat64()
			if g, _ := halves(i, r); g == "B" {
				e *= 2
			}
			return sites[i].Outcome(r) + e
		})
		encoded, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if criteria == "" {
			if strings.Contains(string(encoded), `"decision"`) || strings.Contains(string(encoded), `"on_fail"`) {
				t.Error("a report without criteria speaks of a decision")
			}
			continue
		}
		var back Audit
		if err := json.Unmarshal(encoded, &back); err != nil {
			t.Fatal(err)
		}
		if back.Decision == nil || back.Decision.Outcome != want {
			t.Errorf("%s: %+v", criteria, back.Decision)
		}
		if got, err := Decide(s, &back); err != nil || got.Outcome != want {
			t.Errorf("%s decided anew: %+v, %v", criteria, got, err)
		}
	}
}

// A criterion is said in words: its measure by a name that people know, and a
// ratio as the ratios that count, not as the margin that makes them.
func TestCriteriaAreSaidInWords(t *testing.T) {
	for _, outcome := range []study.Type{study.Number, study.Binary, study.Survival} {
		for _, metric := range study.ComparableMetrics(outcome) {
			if inWords[metric] == "" {
				t.Errorf("no words for %s", metric)
			}
		}
	}
	for want, j := range map[string]Judged{
		"observed over expected events, by every attribute: a ratio above 1.25 or below 0.80 was found in none of 2 comparisons.": {
			Metric: "oe", Attribute: All, Kind: ratio, Margin: 0.25, Groups: []JudgedGroup{{Verdict: Pass}, {Verdict: Pass}}},
		"mean absolute error, by sex: a difference of more than 2 was found for sex male.": {
			Metric: "mae", Attribute: "sex", Kind: difference, Margin: 2, Groups: []JudgedGroup{{Attribute: "sex", Level: "male", Verdict: Fail}}},
		"C-index, by sex: a difference of more than 0.1 was not found in the one comparison.": {
			Metric: "cindex", Attribute: "sex", Kind: difference, Margin: 0.1, Groups: []JudgedGroup{{Verdict: Pass}}},
		"true positive rate, by sex: whether there is a difference of more than 0.05 cannot be told for 1 of 2 groups.": {
			Metric: "tpr", Attribute: "sex", Kind: difference, Margin: 0.05, Groups: []JudgedGroup{{Verdict: Pass}, {Verdict: Insufficient}}},
	} {
		if j.conclude(); j.Sentence != want {
			t.Errorf("%q, want %q", j.Sentence, want)
		}
	}
}
