package cox

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// weighted is a study of the veterans whose patients weigh by the type of their
// tumour, with times taken up to months and three made-up hospitals.
// errors is the line of the study about standard errors.
func weighted(t *testing.T, stratify, ties, errors string, weights []float64) (*study.Study, []*study.Matrix) {
	t.Helper()
	s := parse(t, fmt.Sprintf(`
study: weighted
version: 1
outcome: {type: survival, time: {column: time, range: [0, 1020], grid: {step: 30}}, event: {column: status, positive: ["1"]}}
features:
  - {column: trt, type: number, range: [1, 2]}
  - {column: karno, type: number, range: [0, 100]}
  - {column: age, type: number, range: [18, 100]}
model: {kind: cox, stratify: %s, ties: %s%s}
fairness: {attributes: [{column: celltype, levels: [adeno, large, smallcell, squamous]}], minimum_cell: 1}
mitigation: {method: reweigh, attribute: celltype, strength: [1], release: none}
schedule: {tolerance: 1e-12}
`, stratify, ties, errors))
	d := readCSV(t, "survival", "veteran.csv")
	at := d.at("time")
	for _, r := range d.records {
		x, err := strconv.ParseFloat(r[at], 64)
		if err != nil {
			t.Fatal(err)
		}
		r[at] = strconv.FormatFloat(math.Ceil(x/30)*30, 'g', -1, 64)
	}
	var of [][]float64
	for _, w := range append(slices.Clone(weights), 1) { // none is of unknown type
		of = append(of, []float64{w})
	}
	sites := divide(t, s, d, func(i int, _ []string) string { return strconv.Itoa(i % 3) })
	for k := range sites {
		sites[k] = sites[k].Weighted(of)
	}
	return s.Weighted(), sites
}

const clustered = ", standard_errors: robust"

func TestWeightsAreThoseOfR(t *testing.T) {
	data, err := os.ReadFile("testdata/weights.json")
	if err != nil {
		t.Fatal(err)
	}
	var fits []struct {
		Ties, Stratify                                       string
		Coef, SE, Robust, Patients, Wald, LogLik, ZPH, Score []float64
		Hazard                                               []float64
	}
	if err := json.Unmarshal(data, &fits); err != nil {
		t.Fatal(err)
	}
	if len(fits) != 4 {
		t.Fatalf("%d fits", len(fits))
	}
	for _, want := range fits {
		s, sites := weighted(t, want.Stratify, want.Ties, clustered, []float64{0.7, 1.9, 1.25, 0.4})
		m := fit(t, s, sites)
		name := want.Stratify + ", " + want.Ties + ": "
		for j, term := range m.Terms {
			near(t, name+term.Name, term.Estimate, want.Coef[j], 1e-8)
			near(t, name+"standard error of "+term.Name, *term.ModelError, want.SE[j], 1e-8)
			near(t, name+"robust standard error of "+term.Name, term.StdError, want.Robust[j], 1e-8)
		}
		near(t, name+"null log-likelihood", m.NullLogLikelihood, want.LogLik[0], 1e-10)
		near(t, name+"log-likelihood", m.LogLikelihood, want.LogLik[1], 1e-10)
		near(t, name+"score test", m.Score.Statistic, want.Score[0], 1e-8)
		for i, p := range m.Proportional {
			near(t, name+"proportional hazards of "+p.Term, p.Statistic, want.ZPH[i], 1e-6)
		}
		// What R prints where nobody asks for anything: each patient a cluster.
		s, sites = weighted(t, want.Stratify, want.Ties, "", []float64{0.7, 1.9, 1.25, 0.4})
		own := fit(t, s, sites)
		for j, term := range own.Terms {
			near(t, name+term.Name+", by patient", term.Estimate, want.Coef[j], 1e-8)
			near(t, name+"standard error by patient of "+term.Name, term.StdError, want.Patients[j], 1e-8)
			near(t, name+"standard error of "+term.Name, *term.ModelError, want.SE[j], 1e-8)
		}
		if own.Robust.By != "patient" || own.Robust.Clusters != own.N {
			t.Errorf("%s%+v", name, own.Robust)
		}
		near(t, name+"Wald test by patient", own.Robust.Wald.Statistic, want.Wald[0], 1e-6)
		s, sites = weighted(t, want.Stratify, want.Ties, ", standard_errors: model", []float64{0.7, 1.9, 1.25, 0.4})
		if plain := fit(t, s, sites); plain.Robust != nil || plain.Terms[0].ModelError != nil {
			t.Errorf("%srobust standard errors that the study refuses", name)
		} else {
			near(t, name+"standard error that the study asks for", plain.Terms[0].StdError, want.SE[0], 1e-8)
		}
		next, cumulative := 0, 0.0
		for _, p := range m.Baseline {
			if want.Stratify == study.StratifyNone && p.Hazard > cumulative {
				near(t, fmt.Sprintf("%sbaseline at %v", name, p.Time), p.Hazard, want.Hazard[next], 1e-8)
				next, cumulative = next+1, p.Hazard
			}
		}
		if next != len(want.Hazard) {
			t.Errorf("%s%d steps of the baseline, want %d", name, next, len(want.Hazard))
		}
	}
}

// Weights of one for everybody are no weights, and a fit does not change when all
// weights are doubled but for its standard errors.
func TestWeightsOfOneAreNone(t *testing.T) {
	for _, stratify := range strata {
		s, sites := weighted(t, stratify, study.Efron, clustered, []float64{1, 1, 1, 1})
		one := fit(t, s, sites)
		_, sites = weighted(t, stratify, study.Efron, clustered, []float64{2, 2, 2, 2})
		plain := *s
		plain.Model.Weights = nil
		none, two := fit(t, &plain, withoutWeights(t, stratify)), fit(t, s, sites)
		for j, term := range none.Terms {
			near(t, term.Name, one.Terms[j].Estimate, term.Estimate, 1e-11)
			near(t, "robust error of "+term.Name, one.Terms[j].StdError, term.StdError, 1e-10)
			near(t, "doubled, "+term.Name, two.Terms[j].Estimate, one.Terms[j].Estimate, 1e-9)
			near(t, "doubled, error of "+term.Name, *two.Terms[j].ModelError*math.Sqrt2, *one.Terms[j].ModelError, 1e-8)
		}
	}
}

func withoutWeights(t *testing.T, stratify string) []*study.Matrix {
	t.Helper()
	s, _ := weighted(t, stratify, study.Efron, clustered, []float64{1, 1, 1, 1})
	s.Model.Weights = nil
	d := readCSV(t, "survival", "veteran.csv")
	at := d.at("time")
	for _, r := range d.records {
		x, _ := strconv.ParseFloat(r[at], 64)
		r[at] = strconv.FormatFloat(math.Ceil(x/30)*30, 'g', -1, 64)
	}
	return divide(t, s, d, func(i int, _ []string) string { return strconv.Itoa(i % 3) })
}
