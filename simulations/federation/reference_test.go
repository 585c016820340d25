package federation

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/internal/publicdata"
	"github.com/consilium-fl/consilium/internal/records"
)

// reference holds fits of the warfarin data that were solved elsewhere, in 40-
// to 60-digit arithmetic, and rounded to the nearest double.
type reference struct {
	Linear    fit `json:"ols"`
	Logistic  fit `json:"logistic_mle_14"`
	Ridge     fit `json:"logistic_ridge1_16"`
	Separated struct {
		Columns []string `json:"separated_columns"`
	} `json:"logistic_mle_16_separation"`
	LeaveOneSiteOut struct {
		Folds map[string]struct {
			N            int       `json:"n_train"`
			Coefficients []float64 `json:"coef"`
		} `json:"folds"`
	} `json:"leave_one_site_out"`
}

type fit struct {
	N            int                `json:"n"`
	Columns      []string           `json:"column_order"`
	Coefficients map[string]float64 `json:"coef"`
	StdErrors    map[string]float64 `json:"se"`
	Deviance     float64            `json:"deviance"`
	SSE          float64            `json:"sse_sqrt"`

	InSample map[string]json.RawMessage `json:"in_sample"` // of the linear fit, by attribute
	Metrics  map[string]json.RawMessage `json:"metrics"`   // of a logistic fit, by attribute
}

func loadReference(t *testing.T) *reference {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(publicdata.Dir(t), "iwpc", "reference_glm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// referenceName is the reference's name for a term.
func referenceName(term string) string {
	if name, ok := map[string]string{
		"(intercept)":                     "intercept",
		"race4=Asian":                     "race_asian",
		"race4=Black or African American": "race_black",
		"race4=Mixed/missing":             "race_mixed_missing",
		"cyp2c9=two_variant_alleles":      "cyp2c9_two_variant_alleles",
		"enzyme_inducer=1":                "enzyme_inducer",
		"amiodarone=1":                    "amiodarone",
	}[term]; ok {
		return name
	}
	return strings.NewReplacer("vkorc1_1639=", "vkorc1_", "cyp2c9=", "cyp2c9_", "/", "", "*", "").Replace(term)
}

// warfarinSites divides the real patients by the hospitals that treated them.
func warfarinSites(t *testing.T) []Site {
	t.Helper()
	sites, _, err := Split(records.CSV(filepath.Join(publicdata.Dir(t), "iwpc", "iwpc_cohort5051_derived.csv")), "site")
	if err != nil {
		t.Fatal(err)
	}
	if len(sites) != 21 {
		t.Fatalf("the warfarin data has 21 hospitals, found %d", len(sites))
	}
	return sites
}

// protocol reads one of the demonstration's studies and edits it; every edit
// has to find its place.
func protocol(t *testing.T, name string, edits ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "demo", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for i := 0; i < len(edits); i += 2 {
		if strings.Count(text, edits[i]) != 1 {
			t.Fatalf("%s has %d times %q, not once", name, strings.Count(text, edits[i]), edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	return []byte(text)
}

// near reports whether got is want to a relative error of 1e-8.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-8*math.Abs(want) }

// sameFit compares a model with a reference fit, term by term.
func sameFit(t *testing.T, got *glm.Model, want fit) {
	t.Helper()
	if got == nil {
		t.Fatal("no model")
	}
	if got.N != want.N || len(got.Terms) != len(want.Columns) {
		t.Fatalf("%d patients and %d terms, want %d and %d", got.N, len(got.Terms), want.N, len(want.Columns))
	}
	for i, term := range got.Terms {
		name := referenceName(term.Name)
		if name != want.Columns[i] {
			t.Errorf("term %d is %s (%s), want %s", i, term.Name, name, want.Columns[i])
		}
		if !near(term.Estimate, want.Coefficients[name]) {
			t.Errorf("%s: estimate %.17g, want %.17g", term.Name, term.Estimate, want.Coefficients[name])
		}
		if !near(term.StdError, want.StdErrors[name]) {
			t.Errorf("%s: standard error %.17g, want %.17g", term.Name, term.StdError, want.StdErrors[name])
		}
	}
	deviance := want.Deviance
	if want.SSE != 0 {
		deviance = want.SSE
	}
	if !near(got.Deviance, deviance) {
		t.Errorf("deviance %.17g, want %.17g", got.Deviance, deviance)
	}
}
