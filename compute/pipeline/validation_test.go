package pipeline

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// tryout is a study of five hospitals that validates.
const tryout = `
study: tryout
version: 1
outcome: {column: y, type: number, range: [-20, 20]}
features:
  - {column: a, type: number, range: [-10, 10]}
  - {column: b, type: number, range: [-10, 10]}
  - {column: c, type: category, levels: [u, v, w], reference: u}
model: {kind: glm, family: gaussian%s}
fairness: {disclosure: primary, attributes: [{column: c, levels: [u, v, w]}], minimum_cell: 5}
privacy: {minimum_contributors: 3}
validation: %s
`

func tryoutSites(t *testing.T, s *study.Study) []*study.Matrix {
	records := cohort(400, false, func(i int, p *patient) { p.y += p.b * p.b / 3 })
	for i := range records {
		records[i] = append(records[i], fmt.Sprint("patient ", i/2)) // two records a patient
	}
	return matrices(t, s, []string{"y", "a", "b", "c", "id"}, records, func(i int) string { return fmt.Sprint(i / 2 % 5) })
}

// outOfFold predicts every record by a pooled fit to those of which the part is
// another; a part below zero is in every fit and not tried.
func outOfFold(sites []*study.Matrix, part func(site, i int) int) (errors []float64) {
	parts := map[int]bool{}
	for k, m := range sites {
		for i := range m.Rows() {
			parts[part(k, i)] = true
		}
	}
	for left := range parts {
		if left < 0 {
			continue
		}
		var x [][]float64
		var y []float64
		for k, m := range sites {
			for i := range m.Rows() {
				if part(k, i) != left {
					x, y = append(x, m.Row(i)), append(y, m.Outcome(i))
				}
			}
		}
		b := pooledLinear(x, y, 0).coefficients
		for k, m := range sites {
			for i := range m.Rows() {
				if part(k, i) == left {
					errors = append(errors, dot(m.Row(i), b)-m.Outcome(i))
				}
			}
		}
	}
	return errors
}

func TestValidationIsOnPatientsThatTheModelHasNotSeen(t *testing.T) {
	for _, c := range []struct {
		yaml string
		part func(sites []*study.Matrix) func(site, i int) int
		fits int // models beside the released one
	}{
		{`{kind: holdout, fraction: 0.3, by: id}`, func(sites []*study.Matrix) func(int, int) int {
			return func(site, i int) int { return -sites[site].Fold(i) } // 0 is held out
		}, 0},
		{`{kind: k-fold, folds: 4, by: id}`, func(sites []*study.Matrix) func(int, int) int {
			return func(site, i int) int { return sites[site].Fold(i) }
		}, 4},
		{`{kind: leave-one-site-out}`, func([]*study.Matrix) func(int, int) int {
			return func(site, _ int) int { return site }
		}, 5},
		{`{kind: external, sites: ["Hospital 05", "Hospital 01", "Hospital 02"]}`, func([]*study.Matrix) func(int, int) int {
			return func(site, _ int) int {
				if site == 0 || site == 1 || site == 4 {
					return 0
				}
				return -1
			}
		}, 0},
	} {
		s := parse(t, fmt.Sprintf(tryout, "", c.yaml))
		sites := tryoutSites(t, s)
		result, err := federate(t, s, sites, fixedPoint)
		if err != nil {
			t.Fatal(c.yaml, err)
		}
		errors := outOfFold(sites, c.part(sites))
		absolute, squares := 0.0, 0.0
		for _, e := range errors {
			absolute, squares = absolute+math.Abs(e), squares+e*e
		}
		n := float64(len(errors))
		v := result.Validation
		if v == nil || v.N != len(errors) || v.Kind != s.Validation.Kind || v.Models != max(1, c.fits) {
			t.Fatalf("%s: validation %+v over %d patients", c.yaml, v, len(errors))
		}
		near(t, c.yaml+" mae", v.Metrics["mae"], absolute/n, 1e-9)
		near(t, c.yaml+" rmse", v.Metrics["rmse"], math.Sqrt(squares/n), 1e-9)
		// The audit is about the same predictions.
		all := result.Audit.Group("all", "all")
		if !result.Audit.Unseen || *all.N != len(errors) {
			t.Errorf("%s: the audit is over %d patients", c.yaml, *all.N)
		}
		near(t, c.yaml+" audited mae", all.Metrics["mae"].Estimate, absolute/n, 1e-9)
		// The model is fitted to all records, or to those that are not held out.
		if trained := result.Model.GLM.N; c.fits > 0 && trained != 400 || c.fits == 0 && trained != 400-len(errors) {
			t.Errorf("%s: the model is fitted to %d patients", c.yaml, trained)
		}
		if result.Model.Interval == nil || result.Model.Interval.HalfWidth != v.Prediction.HalfWidth {
			t.Errorf("%s: no interval with the model", c.yaml)
		}
	}
}

// Records of one patient are in one fold, whichever hospital has them.
func TestAPatientIsInOneFold(t *testing.T) {
	s := parse(t, fmt.Sprintf(tryout, "", `{kind: k-fold, folds: 4, by: id}`))
	for _, m := range tryoutSites(t, s) {
		for i := 0; i < m.Rows(); i += 2 {
			if m.Fold(i) != m.Fold(i+1) {
				t.Fatal("one patient in two folds")
			}
		}
	}
}

// Five hospitals of which every sum needs five leave none to be tried on.
func TestAModelThatCannotBeTriedLeavesTheStudyWhole(t *testing.T) {
	s := parse(t, strings.Replace(fmt.Sprintf(tryout, "", `{kind: leave-one-site-out}`), "minimum_contributors: 3", "minimum_contributors: 5", 1))
	result, err := federate(t, s, tryoutSites(t, s), plain)
	if err != nil {
		t.Fatal(err)
	}
	if result.Model == nil || result.Validation != nil || result.Audit == nil || result.Audit.Unseen {
		t.Errorf("model %v, validation %v", result.Model != nil, result.Validation)
	}
	if n := len(result.Diagnoses); n != 1 || result.Diagnoses[0].Kind != compute.NoValidation {
		t.Errorf("diagnoses %v", result.Diagnoses)
	}
}

func TestSplinesHaveKnotsAtFederatedQuantiles(t *testing.T) {
	s := parse(t, fmt.Sprintf(tryout, `, splines: ["spline(b, df: 3)"]`, `{kind: k-fold, folds: 3, by: id}`))
	sites := tryoutSites(t, s)
	result, err := federate(t, s, sites, fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	plainResult, err := federate(t, parse(t, fmt.Sprintf(tryout, "", `{kind: k-fold, folds: 3, by: id}`)), sites, fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	// The outcome bends with b: a curve predicts new patients better than a line.
	if curved, straight := result.Validation.Metrics["rmse"], plainResult.Validation.Metrics["rmse"]; curved > 0.95*straight {
		t.Errorf("rmse %v with the spline, %v without", curved, straight)
	}
	known, err := s.Knotted(result.Model.Knots)
	if err != nil {
		t.Fatal(err)
	}
	var x [][]float64
	var y []float64
	for _, m := range sites {
		m, err := m.Knotted(result.Model.Knots)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Rows() {
			x, y = append(x, m.Row(i)), append(y, m.Outcome(i))
		}
	}
	want := pooledLinear(x, y, 0)
	for j, term := range result.Model.GLM.Terms {
		if term.Name != known.Terms()[j].Name {
			t.Errorf("term %s where %s is due", term.Name, known.Terms()[j].Name)
		}
		near(t, term.Name, term.Estimate, want.coefficients[j], 1e-8)
	}
}

func TestSitesRefuseAScopeThatIsNotTheStudys(t *testing.T) {
	folds := parse(t, fmt.Sprintf(tryout, "", `{kind: k-fold, folds: 4, by: id}`))
	bySite := parse(t, fmt.Sprintf(tryout, "", `{kind: leave-one-site-out}`))
	none := parse(t, fmt.Sprintf(small, `{column: y, type: number, range: [-20, 20]}`, "gaussian", 0.0, 3, 25))
	for name, c := range map[string]struct {
		study *study.Study
		scope string
		good  bool
	}{
		"a fold":                     {folds, `{"leave_out":{"fold":3}}`, true},
		"everything":                 {folds, `{}`, true},
		"a fold too many":            {folds, `{"leave_out":{"fold":4}}`, false},
		"a negative fold":            {folds, `{"leave_out":{"fold":-1}}`, false},
		"a site where folds are due": {folds, `{"leave_out":{"sites":["Hospital 01"]}}`, false},
		"one site":                   {bySite, `{"leave_out":{"sites":["Hospital 01"]}}`, true},
		"two sites":                  {bySite, `{"leave_out":{"sites":["A","B"]}}`, false},
		"no site":                    {bySite, `{"leave_out":{"sites":[]}}`, false},
		"a fold of a study without":  {none, `{"leave_out":{"fold":0}}`, false},
		"knots without splines":      {none, `{"knots":[[1,2,3]]}`, false},
		"another spelling":           {none, `{ }`, false},
		"an unknown key":             {none, `{"only":{"fold":0}}`, false},
	} {
		if _, err := Layout(c.study, "describe/counts", []byte(c.scope)); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Layout(folds, validation.Step, []byte(`{"models":[]}`)); err == nil {
		t.Error("a validation of no models")
	}
}
