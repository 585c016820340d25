package page_test

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/fairness/page"
)

// Where patients are held out, the first figure is not mistaken for all of them,
// and the groups' sizes not for those of the audit.
func TestTheReportSaysOfWhomItIs(t *testing.T) {
	_, _, r := complete(t, strings.Replace(protocol, "fairness:", "validation: {kind: holdout, fraction: 0.4}\nfairness:", 1), false)
	html, err := page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: r.Audit})
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"patients whom the model had not seen, of 300", "These are all 300 patients; the errors further down are of the "} {
		if !strings.Contains(string(html), words) {
			t.Errorf("the report does not say %q", words)
		}
	}
	_, _, r = completed(t, false)
	html, _ = page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: r.Audit})
	if strings.Contains(string(html), "had not seen, of") || strings.Contains(string(html), "These are all") {
		t.Error("a report of all patients is said to be of some")
	}
}

// A difference in what groups have is not said to be an error of the model.
func TestWhatGroupsHaveIsNoError(t *testing.T) {
	_, _, r := completed(t, false)
	gap := fairness.Gap{Attribute: "h", Level: "x", Reference: "none", Estimate: 3, Lower: 2, Upper: 4, Margin: 1, Verdict: fairness.Disparity}
	audit := *r.Audit
	audit.Gaps = []fairness.Gap{gap}
	for metric, errs := range map[string]bool{"mean_predicted": false, "mae": true} {
		audit.Gaps[0].Metric = metric
		html, err := page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: &audit})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(html), "the model errs differently"); got != errs {
			t.Errorf("%s: the model is said to err differently: %v", metric, got)
		}
		if got := strings.Contains(string(html), "it is no error of the model"); got == errs {
			t.Errorf("%s: said to be no error of the model: %v", metric, got)
		}
	}
}
