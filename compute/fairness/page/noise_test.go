package page

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
)

// A report under noise says so on its first screen, explains epsilon in a sentence,
// marks every count, and lists what is not covered; one without says none of it.
func TestReportUnderNoise(t *testing.T) {
	n, few, sd := 1234, 16, 8.5
	a := &fairness.Audit{
		OutcomeType: "number", Outcome: "dose", N: n, MinimumCell: 11, Contributors: 5,
		Groups: []fairness.Group{
			{Attribute: fairness.All, Level: fairness.All, State: fairness.OK, N: &n, Noise: &sd, Metrics: map[string]fairness.Metric{"mae": {Estimate: 3}}},
			{Attribute: "sex", Level: "female", State: fairness.OK, N: &n, Noise: &sd, Metrics: map[string]fairness.Metric{"mae": {Estimate: 3}}},
			{Attribute: "sex", Level: "male", State: fairness.Suppressed, Noise: &sd},
			{Attribute: "sex", Level: "unknown", State: fairness.NotEstimable, N: &few, Noise: &sd},
		},
		Noise: &fairness.Noise{Epsilon: 0.5, Cells: 3, Required: 5, Holders: 4, Colluding: 1, Meaning: "A sentence about epsilon.",
			Queries: []fairness.NoisyQuery{{Name: "counts", Epsilon: 0.25, SD: 1}}, Covers: []string{"groups"}, Outside: []string{"the model itself"}},
	}
	html, err := Render(Document{Cohort: &describe.Cohort{}, Audit: a})
	if err != nil {
		t.Fatal(err)
	}
	text := string(html)
	for _, words := range []string{
		"≈ 1 234", "≈ 16", "epsilon 0.5", "A sentence about epsilon.", "Not covered:", "the model itself", `id="noise"`, "fewer than 5 hospitals were not to be opened", "4 hospitals make",
		"hidden: fewer than 11 patients by the noisy count", "the noise is too large beside so few patients",
	} {
		if !strings.Contains(text, words) && !strings.Contains(strings.ReplaceAll(text, "\u202f", " "), words) {
			t.Errorf("the report does not say %q", words)
		}
	}
	if !strings.Contains(text, "plot-mae") || strings.Contains(text, "plot-calibration_slope") {
		t.Error("the report draws what no group has, or leaves out what they have")
	}
	if told := strings.ReplaceAll(allPatients(a), "\u202f", " "); told != "≈ 1 234" {
		t.Errorf("a hospital is told the noisy count as %q", told)
	}
	a.Noise = nil
	for i := range a.Groups {
		a.Groups[i].Noise = nil
	}
	if html, err = Render(Document{Cohort: &describe.Cohort{}, Audit: a}); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"≈", "epsilon", "noisy", "random noise"} {
		if strings.Contains(string(html), words) {
			t.Errorf("a report without noise speaks of %q", words)
		}
	}
}
