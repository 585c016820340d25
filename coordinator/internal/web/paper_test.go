package web_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The bias audit, the result and the model card come as files to keep, under the
// policy of every page, each linked from the study's page; a study without one has
// none.
func (s *stage) onPaper(t *testing.T) {
	ada := s.auditor()
	study := s.studies[1]
	page := s.get(ada, "/studies/"+study)
	for name, file := range map[string]string{"report": "bias-audit", "result": "result", "card": "model-card"} {
		path := "/studies/" + study + "/" + name + ".pdf"
		if !strings.Contains(page.body, "../studies/"+study+"/"+name+".pdf") {
			t.Errorf("the study's page does not lead to %s", path)
		}
		a := s.get(ada, path)
		if a.status != http.StatusOK || !strings.HasPrefix(a.body, "%PDF-") || !strings.Contains(a.body[len(a.body)-32:], "%%EOF") {
			t.Fatalf("%s: %d, %d bytes", path, a.status, len(a.body))
		}
		if got, want := a.header.Get("Content-Disposition"), `attachment; filename="`+file+"-"+study[:12]+`.pdf"`; got != want {
			t.Errorf("%s is handed out as %s, want %s", path, got, want)
		}
		if text := textOf(t, []byte(a.body)); text != "" && !strings.Contains(text, "override") {
			t.Errorf("%s does not say that the release is offered under an override", path)
		}
	}
	if a := s.get(ada, "/studies/"+strings.Repeat("0", 64)+"/report.pdf"); a.status != http.StatusNotFound || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("the paper of no study: %d", a.status)
	}
}

// textOf is what poppler's pdftotext reads, where it is installed; else empty.
func textOf(t *testing.T, pdf []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		return ""
	}
	path := filepath.Join(t.TempDir(), "page.pdf")
	if err := os.WriteFile(path, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, path, "-").Output()
	if err != nil {
		t.Fatalf("pdftotext: %v", err)
	}
	return regexp.MustCompile(`\s+`).ReplaceAllString(string(out), " ")
}
