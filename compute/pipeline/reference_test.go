package pipeline

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/internal/publicdata"
)

// The published reference fits: every number computed elsewhere, with 40 to 60
// digits, on the pooled records.
type reference struct {
	ColumnOrder       []string `json:"column_order"`
	Coef, SE, T, Z    map[string]float64
	PT                map[string]float64 `json:"p_t"`
	PNormal           map[string]float64 `json:"p_normal"`
	SSE               float64            `json:"sse_sqrt"`
	SST               float64            `json:"sst_sqrt"`
	Sigma2            float64
	R2                float64 `json:"r2_sqrt"`
	AdjustedR2        float64 `json:"adj_r2_sqrt"`
	LogLikelihood     float64 `json:"log_likelihood"`
	AIC, BIC          float64
	Deviance          float64
	NullDeviance      float64                    `json:"null_deviance"`
	PenalisedDeviance float64                    `json:"penalised_deviance"`
	EffectiveDF       float64                    `json:"effective_df"`
	InSample          map[string]json.RawMessage `json:"in_sample"`
	Metrics           map[string]json.RawMessage `json:"metrics"`
}

func references(t testing.TB) map[string]reference {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(publicdata.Dir(t), "iwpc", "reference_glm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks map[string]json.RawMessage
	if err := json.Unmarshal(b, &blocks); err != nil {
		t.Fatal(err)
	}
	out := map[string]reference{}
	for _, key := range []string{"ols", "logistic_mle_14", "logistic_ridge1_14", "logistic_ridge1_16"} {
		var r reference
		if err := json.Unmarshal(blocks[key], &r); err != nil {
			t.Fatal(key, err)
		}
		if len(r.Coef) < 14 {
			t.Fatalf("%s: %d coefficients", key, len(r.Coef))
		}
		out[key] = r
	}
	return out
}

// Our names of the reference's columns.
var column = map[string]string{
	"intercept": "(intercept)", "vkorc1_AG": "vkorc1_1639=A/G", "vkorc1_AA": "vkorc1_1639=A/A",
	"cyp2c9_12": "cyp2c9=*1/*2", "cyp2c9_13": "cyp2c9=*1/*3", "cyp2c9_22": "cyp2c9=*2/*2",
	"cyp2c9_23": "cyp2c9=*2/*3", "cyp2c9_33": "cyp2c9=*3/*3", "cyp2c9_two_variant_alleles": "cyp2c9=two_variant_alleles",
	"race_asian": "race4=Asian", "race_black": "race4=Black or African American", "race_mixed_missing": "race4=Mixed/missing",
}

func checkTerms(t *testing.T, m *glm.Model, r reference, statistic, p map[string]float64) {
	t.Helper()
	if len(m.Terms) != len(r.ColumnOrder) {
		t.Fatalf("%d terms, want %d", len(m.Terms), len(r.ColumnOrder))
	}
	for i, name := range r.ColumnOrder {
		term := m.Terms[i]
		want := name
		if column[name] != "" {
			want = column[name]
		}
		if term.Name != want {
			t.Fatalf("term %d is %s, want %s", i, term.Name, want)
		}
		near(t, name+" estimate", term.Estimate, r.Coef[name], 1e-8)
		near(t, name+" std_error", term.StdError, r.SE[name], 1e-8)
		near(t, name+" statistic", term.Statistic, statistic[name], 1e-8)
		// A relative error in the statistic t is one of about t^2 in the p-value.
		near(t, name+" p_value", term.PValue, p[name], 1e-8)
	}
	if m.N != 3898 || m.Contributors != 17 {
		t.Errorf("n %d over %d sites, want 3898 over 17", m.N, m.Contributors)
	}
}

// complete are the sites that have complete cases: 17 of 21.
func TestFederatedLinearModelEqualsPooledReference(t *testing.T) {
	r := references(t)["ols"]
	for _, how := range []encoding{plain, fixedPoint} {
		result := run(t, warfarin(weeklyDose, sixLevels, linear), how)
		m := result.Model.GLM
		checkTerms(t, m, r, r.T, r.PT)
		near(t, "deviance", m.Deviance, r.SSE, 1e-10)
		near(t, "null deviance", m.NullDeviance, r.SST, 1e-10)
		near(t, "dispersion", m.Dispersion, r.Sigma2, 1e-10)
		near(t, "r2", *m.R2, r.R2, 1e-10)
		near(t, "adjusted r2", *m.AdjustedR2, r.AdjustedR2, 1e-10)
		near(t, "log-likelihood", m.LogLike, r.LogLikelihood, 1e-10)
		near(t, "aic", m.AIC, r.AIC, 1e-10)
		near(t, "bic", m.BIC, r.BIC, 1e-10)
		if m.DFResidual != 3882 {
			t.Errorf("df %d", m.DFResidual)
		}
	}
}

func TestFederatedLogisticModelsEqualPooledReferences(t *testing.T) {
	for key, src := range map[string]string{
		"logistic_mle_14":    warfarin(highDose, fourLevels, logistic),
		"logistic_ridge1_14": warfarin(highDose, fourLevels, ridge),
		"logistic_ridge1_16": warfarin(highDose, sixLevels, ridge),
	} {
		for _, how := range []encoding{plain, fixedPoint} {
			t.Run(key, func(t *testing.T) {
				r := references(t)[key]
				m := run(t, src, how).Model.GLM
				checkTerms(t, m, r, r.Z, r.PNormal)
				near(t, "deviance", m.Deviance, r.Deviance, 1e-10)
				near(t, "null deviance", m.NullDeviance, r.NullDeviance, 1e-10)
				near(t, "log-likelihood", m.LogLike, r.LogLikelihood, 1e-10)
				if r.EffectiveDF != 0 {
					near(t, "penalised deviance", *m.PenalisedDeviance, r.PenalisedDeviance, 1e-10)
					near(t, "effective df", *m.EffectiveDF, r.EffectiveDF, 1e-8)
				}
				if *m.Positives != 490 || m.Iterations > 12 {
					t.Errorf("%d positives, %d iterations", *m.Positives, m.Iterations)
				}
			})
		}
	}
}

// The last step is taken: even a coarse tolerance leaves coefficients of twice
// its digits.
func TestCoarseToleranceStillGivesManyDigits(t *testing.T) {
	r := references(t)["logistic_mle_14"]
	m := run(t, strings.Replace(warfarin(highDose, fourLevels, logistic), "1e-10", "1e-3", 1), plain).Model.GLM
	if m.Iterations > 7 {
		t.Errorf("%d rounds for a coarse tolerance", m.Iterations)
	}
	for i, name := range r.ColumnOrder {
		near(t, name, m.Terms[i].Estimate, r.Coef[name], 1e-8)
	}
}

func TestSeparationInTheRealDataIsNamed(t *testing.T) {
	s := parse(t, warfarin(highDose, sixLevels, logistic))
	columns, records, site := iwpc(t)
	result, err := federate(t, s, present(matrices(t, s, columns, records, site)), plain)
	d := diagnosis(t, err, compute.Separation)
	if !slices.Equal(d.Terms, []string{"cyp2c9=*2/*3", "cyp2c9=*3/*3"}) {
		t.Errorf("named %q", d.Terms)
	}
	if result.Model != nil || result.Cohort == nil || len(result.Diagnoses) != 1 {
		t.Error("the result of a diagnosed study has its cohort and its diagnosis, and no model")
	}
}

func TestAuditEqualsReferenceFigures(t *testing.T) {
	refs := references(t)
	dose := []string{"mae", "rmse", "bias", "within20", "r2"}
	binary := []string{"prevalence", "mean_predicted", "brier", "tpr", "fpr", "ppv", "selection_rate",
		"tpr_at_prevalence", "fpr_at_prevalence", "ppv_at_prevalence", "selection_rate_at_prevalence"}
	for _, c := range []struct {
		key, src string
		metrics  []string
		groups   map[string]json.RawMessage
	}{
		{"ols", warfarin(weeklyDose, sixLevels, linear), dose, refs["ols"].InSample},
		{"logistic_mle_14", warfarin(highDose, fourLevels, logistic), binary, refs["logistic_mle_14"].Metrics},
		{"logistic_ridge1_16", warfarin(highDose, sixLevels, ridge), binary, refs["logistic_ridge1_16"].Metrics},
	} {
		t.Run(c.key, func(t *testing.T) {
			audit := run(t, c.src, fixedPoint).Audit
			type figures map[string]any
			var all figures
			var races, sexes map[string]figures
			for key, into := range map[string]any{"all": &all, "race": &races, "sex": &sexes} {
				if err := json.Unmarshal(c.groups[key], into); err != nil {
					t.Fatal(err)
				}
			}
			want := map[[2]string]figures{{"all", "all"}: all}
			for level, f := range races {
				want[[2]string{"race4", level}] = f
			}
			for level, f := range sexes {
				if level != "NA" {
					want[[2]string{"sex", level}] = f
				}
			}
			if len(want) != 7 {
				t.Fatalf("%d groups in the reference", len(want))
			}
			for group, f := range want {
				g := audit.Group(group[0], group[1])
				if g == nil || g.State != "ok" || *g.N != int(f["n"].(float64)) {
					t.Errorf("group %v is missing, hidden, or of another size", group)
					continue
				}
				for _, name := range c.metrics {
					expected := f[name]
					switch {
					case name == "within20":
						expected = f["within20_percent"]
					case name == "r2":
						expected = f["r2_mg"]
					case slices.Contains([]string{"tpr", "fpr", "ppv", "selection_rate"}, name):
						expected = f["at_0.5"].(map[string]any)[name]
					case len(name) > 14 && name[len(name)-14:] == "_at_prevalence":
						expected = f["at_prevalence"].(map[string]any)[name[:len(name)-14]]
					}
					metric, ok := g.Metrics[name]
					if expected == nil {
						if ok || g.Undefined[name] == "" {
							t.Errorf("%v %s must be undefined, with the reason", group, name)
						}
						continue
					}
					if !ok {
						t.Errorf("%v has no %s", group, name)
						continue
					}
					near(t, group[1]+" "+name, metric.Estimate, expected.(float64), 1e-9)
				}
			}
			unknown := audit.Group("sex", "unknown")
			if unknown.State != "suppressed" || unknown.N != nil || unknown.Metrics != nil {
				t.Errorf("two patients of unknown sex: %+v", unknown)
			}
			if none := audit.Group("race4", "unknown"); none.State != "zero" || *none.N != 0 {
				t.Errorf("a group without patients: %+v", none)
			}
		})
	}
}

func run(t *testing.T, src string, how encoding) *Result {
	t.Helper()
	s := parse(t, src)
	columns, records, site := iwpc(t)
	result, err := federate(t, s, present(matrices(t, s, columns, records, site)), how)
	if err != nil {
		t.Fatal(err)
	}
	return result
}
