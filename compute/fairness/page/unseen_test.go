package page_test

import (
	"slices"
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

// Where what groups are compared by is withheld, the report does not say that they
// are too small, and draws no axis without a figure; a line of all patients is where
// their figure is shown.
func TestWhatIsWithheldIsNotCalledSmall(t *testing.T) {
	_, _, r := completed(t, true)
	audit := *r.Audit
	audit.Gaps, audit.Groups = nil, slices.Clone(r.Audit.Groups)
	render := func() string {
		html, err := page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: &audit})
		if err != nil {
			t.Fatal(err)
		}
		return string(html)
	}
	n, lower, upper := 100, 0.4, 0.6
	for i := range audit.Groups {
		g := &audit.Groups[i]
		*g = fairness.Group{Attribute: g.Attribute, Level: g.Level, N: &n, State: fairness.OK, Withheld: []string{"fpr", "tpr"}}
	}
	html := render()
	for _, words := range []string{"There are groups large enough to be compared", "No group shows a figure of "} {
		if !strings.Contains(html, words) {
			t.Errorf("the report does not say %q", words)
		}
	}
	if strings.Contains(html, "not two groups") || strings.Contains(html, `id="plot-tpr"`) {
		t.Error("groups are said to be small, or a drawing has no figure")
	}
	audit.Groups[1].Metrics = map[string]fairness.Metric{"tpr": {Estimate: 0.5, Lower: &lower, Upper: &upper}}
	_, drawing, drawn := strings.Cut(render(), `id="plot-tpr"`)
	if drawing, _, _ = strings.Cut(drawing, "</svg>"); !drawn || strings.Contains(drawing, `class="all"`) {
		t.Errorf("a figure is not drawn, or a line of all patients is where none is shown: %s", drawing)
	}
}
