package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// The calibration of a yes-or-no outcome on patients whom the model had not seen is
// shown whatever the disclosure; where small groups are not to be worked out it has
// the steps of the audit, each with none or enough of either outcome.
func TestCalibrationHasTheStepsThatMayBeShown(t *testing.T) {
	for _, disclosure := range []string{"primary", "complementary"} {
		s := parse(t, fmt.Sprintf(`study: calibrated
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: x, type: number, range: [-6, 6]}
model: {kind: glm, family: binomial}
validation: {kind: k-fold, folds: 3}
fairness: {disclosure: %s}
`, disclosure))
		random := rand.New(rand.NewPCG(5, 1))
		var records [][]string
		for range 900 {
			x, y := random.NormFloat64(), "0"
			if random.Float64() < 1/(1+math.Exp(1-2*x)) {
				y = "1"
			}
			records = append(records, []string{y, strconv.FormatFloat(x, 'f', 6, 64)})
		}
		result, err := federate(t, s, matrices(t, s, []string{"y", "x"}, records, func(i int) string { return strconv.Itoa(i % 4) }), plain)
		if err != nil {
			t.Fatal(err)
		}
		steps, patients := result.Validation.Calibration, 0
		if len(steps) < 3 {
			t.Fatalf("%s: %d steps", disclosure, len(steps))
		}
		for k, b := range steps {
			with := int(math.Round(*b.Actual * float64(*b.N)))
			patients += *b.N
			if few := with < 11 || *b.N-with < 11; few && disclosure == "complementary" {
				t.Errorf("%s: %d of %d have the outcome in a step", disclosure, with, *b.N)
			}
			if of := result.Audit.Calibration; disclosure == "complementary" && (len(of) != len(steps) || of[k].From != b.From || *of[k].N != *b.N || of[k].Observed.Estimate != *b.Actual) {
				t.Errorf("step %d is not the audit's", k)
			}
		}
		if patients != result.Validation.N {
			t.Errorf("%s: %d of %d patients are in a step", disclosure, patients, result.Validation.N)
		}
	}
}
