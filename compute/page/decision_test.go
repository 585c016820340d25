package page_test

import (
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	auditpage "github.com/consilium-fl/consilium/compute/fairness/page"
	"github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/page/pagetest"
)

// Rule: the page of a result says what becomes of the release before what was
// asked, in the words of the bias audit's page; a result without an audit says
// nothing of it.
func TestTheResultSaysFirstWhatBecomesOfTheRelease(t *testing.T) {
	s, r := complete(t, kinds["gaussian"])
	for outcome, test := range map[string]struct {
		verdict  string
		override *auditpage.Override
		says     []string
	}{
		"":                          {"", nil, []string{"● offered", "No criterion was declared"}},
		fairness.Offered:            {fairness.Pass, nil, []string{"● offered", "None of the study"}},
		fairness.OfferedWithWarning: {fairness.Insufficient, nil, []string{"○ offered with a warning", "<strong>calls for a warning</strong>"}},
		fairness.Blocked:            {fairness.Fail, nil, []string{"◆ blocked", "no hospital is offered the model"}},
		fairness.Blocked + ", overridden": {fairness.Fail, &auditpage.Override{Auditor: "Ada & Co", Reason: "<b>urgent</b>", Time: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)},
			[]string{"◆ blocked, and offered under an override", "Ada &amp; Co", "&lt;b&gt;urgent&lt;/b&gt;", "22 November 2026"}},
	} {
		with, audit := *r, *r.Audit
		with.Audit = &audit
		if test.verdict != "" {
			audit.Criteria = []fairness.Judged{{Metric: "mae", Attribute: fairness.All, Kind: "difference", OnFail: "block", OnInsufficient: "warn", Verdict: test.verdict, Sentence: "As judged."}}
			audit.Decision = &fairness.Decision{Outcome: strings.TrimSuffix(outcome, ", overridden")}
		}
		html, err := page.Render(page.Document{Title: s.Title, Result: &with, Protocol: s, Override: test.override})
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(html), "<h2>What was asked</h2>")
		for _, words := range append(test.says, "<h2>What becomes of the release</h2>") {
			if !strings.Contains(first, words) {
				t.Errorf("%q: before everything else the page does not say %q", outcome, words)
			}
		}
		for _, fault := range pagetest.Faults(string(html)) {
			t.Errorf("%q: %s", outcome, fault)
		}
	}
	without := *r
	without.Audit = nil
	html, err := page.Render(page.Document{Title: s.Title, Result: &without, Protocol: s})
	if err != nil || strings.Contains(string(html), "What becomes of the release") {
		t.Errorf("a result without an audit: %v", err)
	}
}
