package web_test

import (
	"html"
	"net/http"
	"strings"
	"testing"
)

// showsTheGate holds every page of a release against what its study's criteria
// make of it: blocked before the override, and under it afterwards, with who
// overrode it and why, as text.
func (s *stage) showsTheGate(t *testing.T) {
	ada := s.auditor()
	has := func(name string, page answer, words ...string) {
		t.Helper()
		if page.status != http.StatusOK {
			t.Errorf("%s: %d", name, page.status)
		}
		for _, w := range words {
			if !strings.Contains(page.body, w) {
				t.Errorf("%s does not say %q", name, w)
			}
		}
	}
	lacks := func(name string, page answer, words ...string) {
		t.Helper()
		for _, w := range words {
			if strings.Contains(page.body, w) {
				t.Errorf("%s says %q", name, w)
			}
		}
	}
	has("blocked: list", s.blocked["/studies"], ">blocked</span>", "offered to nobody")
	has("blocked: study", s.blocked["/studies/ID"], ">blocked</span>", "no site is offered the model", "consilium release override", "insufficient evidence, which blocks the release")
	lacks("blocked: study", s.blocked["/studies/ID"], "Decisions on the release", "<dt>Release</dt>")
	has("blocked: report", s.blocked["/studies/ID/report"], "no hospital is offered the model")
	for path, page := range s.blocked {
		if strings.HasPrefix(path, "/compare") {
			has("blocked: compare", page, "By its criteria the release is", ">blocked<", "insufficient evidence, blocks the release", "none were examined")
		}
	}

	typed := html.EscapeString(hostile)
	study := s.studies[1]
	has("list", s.get(ada, "/studies"), ">blocked, overridden</span>", "accepted by 3 of 3")
	has("study", s.get(ada, "/studies/"+study), ">blocked, overridden</span>", "under an override", "<strong>Ada</strong>", typed, "Decisions on the release")
	lacks("study", s.get(ada, "/studies/"+study), "consilium release override")
	has("report", s.get(ada, "/studies/"+study+"/report"), "blocked, and offered under an override", "<strong>Ada</strong>", typed)
	has("compare", s.get(ada, "/compare?a="+s.studies[0]+"&b="+study), "blocked, overridden", "Ada, on ", "nobody")
	has("ledger", s.get(ada, "/ledger?from=0&study="+study), "release-override", "Ada")
}
