package page_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/differencing"
	"github.com/consilium-fl/consilium/compute/fairness"
	fairnesspage "github.com/consilium-fl/consilium/compute/fairness/page"
	"github.com/consilium-fl/consilium/compute/page"
)

// What is withheld for the sake of an earlier report is on no page of any kind of
// study, and no page calls it zero.
func TestPagesOfWithheldResults(t *testing.T) {
	for name, protocol := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r := complete(t, protocol)
			decision := &differencing.Decision{Compared: []differencing.Compared{}, Withheld: []differencing.Withheld{{Group: differencing.All, Result: "0123456789abcdef"}, {Group: "g: y", Result: "0123456789abcdef"}}}
			withheld, err := r.Withhold(s, decision)
			if err != nil {
				t.Fatal(err)
			}
			if withheld.Cohort.Patients.N != nil || withheld.Description != nil || withheld.Validation != nil {
				t.Errorf("all patients: %+v", withheld.Cohort.Patients)
			}
			if _, err := page.Render(page.Document{Title: s.Title, Result: withheld, Protocol: s}); err != nil {
				t.Fatal(err)
			}
			if withheld.Audit == nil {
				return
			}
			at := slices.IndexFunc(withheld.Audit.Groups, func(g fairness.Group) bool { return g.Attribute == "g" && g.Level == "y" })
			for _, g := range []fairness.Group{withheld.Audit.Groups[0], withheld.Audit.Groups[at]} {
				if g.State != fairness.Suppressed || g.N != nil || g.Metrics != nil {
					t.Errorf("%s is %+v", g.Level, g)
				}
			}
			html, err := fairnesspage.Render(fairnesspage.Document{Cohort: withheld.Cohort, Audit: withheld.Audit})
			if err != nil {
				t.Fatal(err)
			}
			if text := string(html); !strings.Contains(text, "earlier report 0123456789ab") || strings.Contains(text, "<strong>0</strong>") || strings.Contains(text, ">0 patients") {
				t.Error("the report does not say what is withheld and why, or calls it zero")
			}
		})
	}
}
