package page_test

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/page"
)

// A validation that came to nothing is told from none that was declared.
func TestAValidationThatFailedIsNotCalledNone(t *testing.T) {
	_, r := complete(t, kinds["gaussian"])
	failed := *r
	failed.Validation, failed.Diagnoses = nil, []compute.Diagnosis{{Kind: compute.NoValidation, Message: "m"}}
	html, err := page.Render(page.Document{Result: &failed})
	if err != nil {
		t.Fatal(err)
	}
	if page := string(html); strings.Contains(page, "The study has no validation") || !strings.Contains(page, "The validation came to nothing") {
		t.Error("the page says that the study has no validation, or nothing of it")
	}
}
