package page_test

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/fairness/page"
)

// The first page says what becomes of the release and why, for every decision, and
// names who overrode it, with what people typed kept as text.
func TestTheReportSaysWhatBecomesOfTheRelease(t *testing.T) {
	override := &page.Override{Auditor: "Ada & Co", Reason: `for <b>women</b> only`, Time: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	for name, test := range map[string]struct {
		criterion string
		override  *page.Override
		outcome   string
		says      []string
	}{
		"none":       {"", nil, "", []string{"● offered", "No criterion was declared"}},
		"passes":     {"{metric: mae, margin: 100, on_insufficient: offer}", nil, fairness.Offered, []string{"● offered", "None of the study", "Declared: a fail blocks the release; insufficient evidence stands in no way."}},
		"warns":      {"{metric: mae, margin: 0}", nil, fairness.OfferedWithWarning, []string{"○ offered with a warning", "<strong>calls for a warning</strong>", "○ insufficient evidence"}},
		"blocks":     {"{metric: mae, margin: 0, on_insufficient: block}", nil, fairness.Blocked, []string{"◆ blocked", "no hospital is offered the model", "<strong>blocks the release</strong>"}},
		"overridden": {"{metric: mae, margin: 0, on_insufficient: block}", override, fairness.Blocked, []string{"◆ blocked, and offered under an override", "Ada &amp; Co", "22 November 2026", "for &lt;b&gt;women&lt;/b&gt; only"}},
	} {
		t.Run(name, func(t *testing.T) {
			source := protocol
			if test.criterion != "" {
				source += "  criteria: [" + test.criterion + "]\n"
			}
			_, _, r := complete(t, source, false)
			if d := r.Audit.Decision; (d == nil) != (test.outcome == "") || d != nil && d.Outcome != test.outcome {
				t.Fatalf("the decision is %+v", d)
			}
			html, err := page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: r.Audit, Override: test.override})
			if err != nil {
				t.Fatal(err)
			}
			section, _, _ := strings.Cut(string(html), "<h2>In short</h2>")
			for _, words := range test.says {
				if !strings.Contains(section, words) {
					t.Errorf("before everything else the report does not say %q", words)
				}
			}
			for parser := xml.NewDecoder(strings.NewReader(string(html))); ; {
				if _, err := parser.Token(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("not well formed: %v", err)
				}
			}
		})
	}
}
