package pipeline

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/consilium-fl/consilium/internal/publicdata"
)

const heartByFairFed = `
study: heart
version: 1
outcome: {column: num, type: binary, at_least: 1}
features:
  - {column: age, type: number, range: [0, 120], unit: y}
  - {column: sex, type: number, range: [0, 1]}
  - {column: cp, type: category, levels: ["1", "2", "3", "4"], reference: "1"}
  - {column: trestbps, type: number, range: [0, 300], unit: mmHg}
  - {column: chol, type: number, range: [0, 1000], unit: mg/dl}
  - {column: fbs, type: number, range: [0, 1]}
  - {column: restecg, type: category, levels: ["0", "1", "2"], reference: "0"}
  - {column: thalach, type: number, range: [0, 300], unit: /min}
  - {column: exang, type: number, range: [0, 1]}
  - {column: oldpeak, type: number, range: [-5, 10], unit: mm}
cohort: {exclude_if: [{column: flamby_row, equals: ["0"]}]}
model: {kind: neural, hidden: [], optimizer: {name: sgd, rate: 0.05}}
validation: {kind: k-fold, folds: 5}
privacy: {minimum_contributors: 3}
fairness: {disclosure: primary, attributes: [{column: sex, levels: ["0", "1"]}], minimum_cell: 11}
mitigation: {method: fairfed, attribute: sex, strength: [0.05, 1], release: none}
schedule: {rounds: 40}
`

// Four real hospitals, of which two have hardly any women: what FairFed does to
// the true positive rate of men and women is within chance, and costs a little.
func TestFairFedOnHeartDisease(t *testing.T) {
	f, err := os.Open(filepath.Join(publicdata.Dir(t), "heart_disease", "heart.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	records := all[1:]
	s := parse(t, heartByFairFed)
	result, err := federate(t, s, matrices(t, s, all[0], records, func(i int) string { return records[i][0] }), fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	if n := result.Cohort.Patients.N; n == nil || *n != 740 {
		t.Fatalf("not the 740 patients of FLamby")
	}
	for i, want := range []struct{ brier, gap float64 }{{0.1407, 0.184}, {0.1424, 0.166}, {0.1436, 0.166}} {
		p := result.Mitigation.Points[i]
		if math.Abs(p.Error.Estimate-want.brier) > 0.001 || math.Abs(p.Gap.Estimate-want.gap) > 0.025 || !(*p.Gap.Lower < 0.08 && *p.Gap.Upper > 0.25) {
			t.Errorf("strength %v: Brier score %.4f, gap %.3f (%.3f to %.3f), want %.4f and %.3f", p.Strength, p.Error.Estimate, p.Gap.Estimate, *p.Gap.Lower, *p.Gap.Upper, want.brier, want.gap)
		}
	}
}
