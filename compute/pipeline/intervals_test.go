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
		{"validation: {kind: leave-one-site-out}", ""},
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

// So have R² and the others: the result and the report say the same.
func TestMeasuresOfAValidationHaveTheAuditsIntervals(t *testing.T) {
	s := parse(t, fmt.Sprintf(tryout, "", `{kind: holdout, fraction: 0.3, by: id}`))
	result, err := federate(t, s, tryoutSites(t, s), fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"r2", "mae", "rmse", "bias", "within20"} {
		i, known := result.Validation.Intervals[name]
		if of := result.Validation.Metrics[name]; !known || i.Lower >= of || i.Upper <= of {
			t.Errorf("%s is %v, from %v to %v", name, of, i.Lower, i.Upper)
		}
		if m := result.Audit.Groups[0].Metrics[name]; i.Lower != *m.Lower || i.Upper != *m.Upper {
			t.Errorf("the validation's %s has %v, the audit's %+v", name, i, m)
		}
	}
}

// Also of a probability, whose measures the audit calls otherwise.
func TestMeasuresOfProbabilitiesHaveTheAuditsIntervals(t *testing.T) {
	s := parse(t, strings.NewReplacer("column: y, type: number, range: [-20, 20]", "column: y, type: binary, at_least: 0, range: [-20, 20]", "family: gaussian", "family: binomial").
		Replace(fmt.Sprintf(tryout, "", `{kind: holdout, fraction: 0.3, by: id}`)))
	result, err := federate(t, s, tryoutSites(t, s), fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	all := result.Audit.Groups[0].Metrics
	for name, audited := range map[string]string{"logloss": "log_loss", "brier": "brier", "prevalence": "prevalence"} {
		i, known := result.Validation.Intervals[name]
		if m := all[audited]; !known || m.Lower == nil || i.Lower != *m.Lower || i.Upper != *m.Upper {
			t.Errorf("the validation's %s has %v, the audit's %+v", name, i, m)
		}
	}
}
