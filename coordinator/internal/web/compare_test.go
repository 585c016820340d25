package web

import (
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

func metric(estimate, lower, upper float64) map[string]fairness.Metric {
	return map[string]fairness.Metric{"mae": {Estimate: estimate, Lower: &lower, Upper: &upper}}
}

// What is withheld, absent, not estimable or zero are different things on both
// sides, and there is a change only between two numbers.
func TestNothingWithheldIsANumber(t *testing.T) {
	a := &fairness.Audit{Groups: []fairness.Group{
		{Attribute: fairness.All, Level: fairness.All, Metrics: metric(2, 1, 3)},
		{Attribute: "sex", Level: "female", State: fairness.Suppressed, Metrics: metric(7, 6, 8)}, // were a number left in
		{Attribute: "sex", Level: "male", Metrics: metric(5, 4, 6)},
		{Attribute: "sex", Level: "unknown", State: fairness.Zero},
		{Attribute: "sex", Level: "few", Withheld: []string{"mae"}},
		{Attribute: "sex", Level: "joined", State: fairness.Merged},
		{Attribute: "sex", Level: "other", State: fairness.NotEstimable, Undefined: map[string]string{"mae": "no spread"}},
	}}
	b := &fairness.Audit{Groups: []fairness.Group{
		{Attribute: fairness.All, Level: fairness.All, Metrics: metric(1e-15, -1, 1)},
		{Attribute: "sex", Level: "female", Metrics: metric(4, 3, 5)},
		{Attribute: "sex", Level: "unknown", Metrics: metric(6, 5, 7)},
		{Attribute: "age", Level: "old", Metrics: metric(3, 2, 4)},
	}}
	tables := metricsBeside(a, b, "mg")
	if len(tables) != 1 {
		t.Fatalf("%d tables", len(tables))
	}
	want := [][4]string{
		{"All patients", "2.000", "0", "−2.000"},
		{"sex, female", "withheld", "4.000", "–"},
		{"sex, male", "5.000", "not in this report", "–"},
		{"sex, unknown", "no patients", "6.000", "–"},
		{"sex, few", "withheld", "not in this report", "–"},
		{"sex, joined", "counted with another group", "not in this report", "–"},
		{"sex, other", "no spread", "not in this report", "–"},
		{"age, old", "not in this report", "3.000", "–"},
	}
	var got [][4]string
	for _, r := range tables[0].Rows {
		got = append(got, [4]string{r.Group, r.A.Text, r.B.Text, r.Change})
		if r.A.None != (r.A.value == nil) || r.A.None && r.A.Interval != "" {
			t.Errorf("%s: %+v", r.Group, r.A)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table holds\n%q, want\n%q", got, want)
	}
}

func TestVerdictsArePairedByGroupAndMeasure(t *testing.T) {
	gap := func(level, metric, verdict string) fairness.Gap {
		return fairness.Gap{Attribute: "sex", Level: level, Metric: metric, Reference: "male", Verdict: verdict}
	}
	a := &fairness.Audit{Gaps: []fairness.Gap{gap("female", "mae", fairness.Disparity), gap("female", "bias", fairness.NoDisparity), gap("other", "mae", fairness.Disparity)}}
	b := &fairness.Audit{Gaps: []fairness.Gap{gap("female", "bias", fairness.NoDisparity), gap("female", "mae", fairness.NoDisparity), gap("new", "mae", fairness.Disparity)}}
	var got []string
	for _, l := range gapsBeside(a, b) {
		line := l.Group + " " + l.Measure
		switch {
		case l.Changed:
			line += " changed"
		case l.A.Word == "" || l.B.Word == "":
			line += " alone"
		}
		got = append(got, line)
	}
	want := []string{"sex, female Mean absolute error changed", "sex, female Bias", "sex, other Mean absolute error alone", "sex, new Mean absolute error alone"}
	if !slices.Equal(got, want) {
		t.Errorf("paired as\n%q, want\n%q", got, want)
	}
}

// A criterion with another margin is another criterion.
func TestCriteriaArePairedAsDeclared(t *testing.T) {
	judged := func(margin float64, verdict string) fairness.Judged {
		return fairness.Judged{Metric: "mae", Attribute: fairness.All, Kind: "difference", Margin: margin, Verdict: verdict}
	}
	a := &fairness.Audit{Criteria: []fairness.Judged{judged(1, fairness.Pass), judged(2, fairness.Pass)}}
	b := &fairness.Audit{Criteria: []fairness.Judged{judged(1, fairness.Fail), judged(3, fairness.Pass)}}
	var got []string
	for _, l := range criteriaBeside(a, b) {
		line := l.Margin + ": " + l.A + "/" + l.B
		if l.Changed {
			line += " changed"
		}
		got = append(got, line)
	}
	want := []string{"difference within 1: pass/fail changed", "difference within 2: pass/", "difference within 3: /pass"}
	if !slices.Equal(got, want) {
		t.Errorf("paired as\n%q, want\n%q", got, want)
	}
}

func TestMeasuresHaveNames(t *testing.T) {
	for _, test := range []struct {
		name, title, text string
		x                 float64
	}{
		{"mae", "Mean absolute error (mg)", "0.5000", 0.5},
		{"within20", "Within 20%", "50.0%", 50},
		{"within10", "Within 10%", "50.0%", 50},
		{"tpr", "True positive rate", "50.0%", 0.5},
		{"fpr_at_prevalence", "False positive rate at threshold prevalence", "50.0%", 0.5},
		{"new_measure", "new_measure", "0.5000", 0.5},
	} {
		if m := measureOf(test.name, "mg"); m.title != test.title || m.text(test.x) != test.text {
			t.Errorf("%s is %q, %q", test.name, m.title, m.text(test.x))
		}
	}
}

func TestMetricsComeInTheOrderOfAllPages(t *testing.T) {
	if got, want := ordered(map[string]bool{"zeta": true, "bias": true, "fpr": true, "mae": true}), []string{"mae", "bias", "fpr", "zeta"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Every measure by which groups are compared has a title; what a criterion lets
// pass is said as ratios where it is of a ratio; and a difference of shares is in
// points.
func TestComparisonsSpeakWords(t *testing.T) {
	for _, outcome := range []study.Type{study.Number, study.Binary, study.Survival} {
		for _, name := range study.ComparableMetrics(outcome) {
			if m := measureOf(name, ""); m.title == name {
				t.Errorf("%s has no title", name)
			}
		}
	}
	if got := marginOf(fairness.Judged{Kind: "ratio", Margin: 0.25}); got != "ratio within 0.80 to 1.25" {
		t.Error(got)
	}
	if v := verdictOf(fairness.Gap{Metric: "tpr", Estimate: -0.1, Lower: -0.2, Upper: 0.05}); v.Size != "−10.0 points" || strings.Contains(v.Interval, "%") {
		t.Errorf("%+v", v)
	}
}
