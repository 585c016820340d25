package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/boost"
	"github.com/consilium-fl/consilium/compute/cox"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/neural"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/internal/console"
)

func shownResult(r *pipeline.Result) string {
	var out bytes.Buffer
	a := &app{Console: console.Console{Stdout: &out, Stderr: &out}}
	a.showResult(&outcome{status: studyJSON{Title: "T", Name: "n", Version: 1, State: "completed"}, result: r})
	return out.String()
}

// Every kind of study prints what its reader looks for first.
func TestResultPrintsEveryKind(t *testing.T) {
	n, held, lower, upper := 450, 0.75, 80.0, 120.0
	correlation := -0.5
	var importance []boost.Importance
	for _, name := range strings.Split("abcdefghijklm", "") {
		importance = append(importance, boost.Importance{Feature: "feature_" + name, Gain: 2, Splits: 3})
	}
	many := describe.Count{State: describe.OK, N: &n}
	few := describe.Count{State: describe.Suppressed}
	for name, c := range map[string]struct {
		result pipeline.Result
		says   []string
		not    string
	}{
		"boost": {pipeline.Result{Model: &pipeline.Model{Boost: &boost.Model{Loss: "squared", N: 400, Contributors: 5, Trees: make([]boost.Tree, 60), Importance: importance,
			Curve: []compute.Point{{Round: 60, Loss: 0.5, HeldOut: &held}}}}},
			[]string{"boost (squared loss), 60 trees over 400 patients of 5 hospitals, loss 0.50000, on patients kept from training 0.75000", "feature_j"}, "feature_k"},
		"neural": {pipeline.Result{Model: &pipeline.Model{Neural: &neural.Model{Strategy: "fedavg", Parameters: 289, N: 400, Contributors: 5, Importance: []neural.Importance{{Feature: "age", Value: 0.25}}}}},
			[]string{"neural network (fedavg), 289 parameters over 400 patients", "age", "0.25000"}, "loss"},
		"cox": {pipeline.Result{Model: &pipeline.Model{Cox: &cox.Model{N: 225, Events: new(162), Contributors: 4, Concordance: &cox.Concordance{Estimate: 0.648},
			Terms: []cox.Term{{Name: "sex=female", Estimate: -0.6011, HazardRatio: 0.5482, Lower: 0.3885, Upper: 0.7736, StdError: 0.1757, Statistic: -3.421, PValue: 0.0006}}}}},
			[]string{"162 events", "concordance 0.648", "sex=female", "0.548", "0.389 to 0.774", "-3.42"}, "NaN"},
		"validation": {pipeline.Result{Validation: &validation.Result{Kind: "holdout", N: 90, Metrics: map[string]float64{"auc": 0.8}, Bounds: map[string]float64{"auc": 0.001},
			Intervals: map[string]validation.Interval{"auc": {Lower: 0.7, Upper: 0.9}}, Undefined: map[string]string{"r2": "everyone has the same outcome"},
			Prediction: &validation.Prediction{HalfWidth: 12, Coverage: 0.951}, Remarks: []string{"A remark."}}},
			[]string{"Validation (holdout): 90 patients", "0.8000 (exact within 0.001000)", "0.7000 to 0.9000", "everyone has the same outcome", "95.1% of them are within 12.00 mg", "A remark."}, "Brier"},
		"description": {pipeline.Result{Description: &describe.Description{
			Numbers:      []describe.Distribution{{Column: "age", Quantiles: []describe.Quantile{{Probability: 0.5, Value: -63.5}}}, {Column: "weight"}},
			Correlations: []describe.Correlation{{Columns: [2]string{"age", "weight"}, Patients: many, Correlation: &correlation}},
			CrossTables:  []describe.CrossTable{{Rows: "sex", Columns: "gene", RowNames: []string{"f"}, ColumnNames: []string{"AA", "AG"}, Cells: [][]describe.Count{{many, few}}}},
			Survival: &describe.Survival{Overall: describe.Curve{Patients: many, Events: few, Median: &lower, MedianUpper: &upper},
				Groupings: []describe.Compared{{Column: "sex", LogRank: &describe.LogRank{PValue: 0.0123}, Curves: []describe.Curve{{Group: "f", Patients: few, Events: few}}}}}}},
			[]string{"age", "-63.50", "withheld", "age, weight", "-0.500", "sex by gene", "all patients  450       withheld  80", "sex=f         withheld  withheld  -            0.0123"}, "−"},
	} {
		c.result.Cohort = &describe.Cohort{Contributors: 4, MinimumCell: 11, Patients: many, Outcome: describe.Variable{Column: "y", Unit: "mg"},
			Features: []describe.Variable{{Column: "gene", Levels: []describe.Level{{Name: "rare", Count: few}}}}}
		shown := shownResult(&c.result)
		for _, words := range append(c.says, "Cohort of 4 hospitals, 450 patients", "gene=rare  withheld") {
			if !strings.Contains(shown, words) {
				t.Errorf("%s does not say %q:\n%s", name, words, shown)
			}
		}
		if strings.Contains(shown, c.not) {
			t.Errorf("%s says %q:\n%s", name, c.not, shown)
		}
	}
}
