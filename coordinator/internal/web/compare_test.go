package web

import (
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute/fairness"
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

func TestMetricsComeInTheOrderOfAllPages(t *testing.T) {
	if got, want := ordered(map[string]bool{"zeta": true, "bias": true, "fpr": true, "mae": true}), []string{"mae", "bias", "fpr", "zeta"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
