package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// The concordance on patients whom the model had not seen has an interval, which
// is the audit's.
func TestConcordanceOfAValidationHasItsInterval(t *testing.T) {
	for _, c := range []struct {
		validation, audit string
	}{
		{"validation: {kind: holdout, fraction: 0.3}", ""},
		{"validation: {kind: k-fold, folds: 4}", ""},
		{"validation: {kind: leave-one-site-out}", "disclosure: complementary,"},
	} {
		s := parse(t, strings.Replace(fmt.Sprintf(survivalStudy, study.StratifySite, c.validation, c.audit, ""), "mitigation: \n", "", 1))
		result, err := federate(t, s, survivors(t, s, 800, 1), fixedPoint)
		if err != nil {
			t.Fatal(c.validation, err)
		}
		of, tried := result.Validation.Metrics["cindex"]
		i, known := result.Validation.Intervals["cindex"]
		if !tried || !known {
			t.Errorf("%s: %v, interval %v", c.validation, of, i)
			continue
		}
		audited := result.Audit.Groups[0].Metrics["cindex"]
		if i.Lower >= of || i.Upper <= of || i.Upper-i.Lower > 0.2 || i.Lower != *audited.Lower || i.Upper != *audited.Upper {
			t.Errorf("%s: %v from %v to %v, audited %+v", c.validation, of, i.Lower, i.Upper, audited)
		}
	}
}
