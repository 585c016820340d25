package pipeline

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// outOfPart are the absolute errors of all patients, by group, each by the models
// of the patients outside its part, mitigated with a strength. The mitigation knows
// only those patients too.
func outOfPart(t *testing.T, sites []*study.Matrix, method string, strength float64, part func(site, i int) int) [][]float64 {
	t.Helper()
	parts := map[int]bool{}
	for k, m := range sites {
		for i := range m.Rows() {
			parts[part(k, i)] = true
		}
	}
	errors := make([][]float64, 4)
	for left := range parts {
		var in, out pooledPatients
		for k, m := range sites {
			for i := range m.Rows() {
				p := &in
				if part(k, i) == left {
					p = &out
				}
				p.rows, p.y = append(p.rows, m.Row(i)), append(p.y, m.Outcome(i))
				p.group, p.weights = append(p.group, m.Group(i, 0)), append(p.weights, 1)
			}
		}
		beta := in.leastSquares(t)
		line := [4][2]float64{{0, 1}, {0, 1}, {0, 1}, {0, 1}}
		mitigated := beta
		if method == study.Recalibrate {
			predicted := in.predict(beta, false)
			for g := range 2 {
				var x, y []float64
				for i, v := range predicted {
					if in.group[i] == g {
						x, y = append(x, v), append(y, in.y[i])
					}
				}
				a, b := stat.LinearRegression(x, y, nil, false)
				line[g] = [2]float64{strength * a, 1 + strength*(b-1)}
			}
		} else {
			var n [2]float64
			for _, g := range in.group {
				if g < 2 {
					n[g]++
				}
			}
			for i, g := range in.group {
				if g < 2 {
					in.weights[i] = 1 + strength*((n[0]+n[1])/2/n[g]-1)
				}
			}
			mitigated = in.leastSquares(t)
		}
		for i, p := range out.predict(mitigated, false) {
			g := out.group[i]
			errors[g] = append(errors[g], math.Abs(line[g][0]+line[g][1]*p-out.y[i]))
		}
	}
	return errors
}

// meanInterval is a mean with Student's 95% interval.
func meanInterval(x []float64) [3]float64 {
	mean, sd := stat.MeanStdDev(x, nil)
	n := float64(len(x))
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * sd / math.Sqrt(n)
	return [3]float64{mean, mean - half, mean + half}
}

// Each fold's mitigation is fitted within the patients that it leaves, and the curve
// is of patients whom neither the model nor the mitigation had seen.
func TestMitigationWithinFoldsEqualsThePooledFolds(t *testing.T) {
	records, few := grouped(1200, false, 5)
	site := func(i int) string { // A and B at six hospitals, C at two
		if records[i][3] == "C" {
			return few(i)
		}
		return strconv.Itoa(i / 4 % 6)
	}
	for _, validation := range []string{"validation: {kind: k-fold, folds: 3}", "validation: {kind: leave-one-site-out}"} {
		for _, method := range []string{study.Recalibrate, study.Reweigh} {
			settings := "{method: " + method + ", attribute: g, strength: [0.5, 1], release: 1}"
			if method == study.Reweigh {
				settings = "{method: reweigh, attribute: g, strength: [0.5, 1], release: 1, balance: size}"
			}
			s := parse(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", validation, "", settings))
			sites := matrices(t, s, []string{"y", "x", "z", "g"}, records, site)
			asked := map[string]int{}
			result, err := federateSeeing(t, s, sites, fixedPoint, func(q compute.Question) { asked[q.Step]++ })
			if err != nil {
				t.Fatal(err)
			}
			part := func(k, _ int) int { return k }
			if s.Validation.Kind == study.KFold {
				part = func(k, i int) int { return sites[k].Fold(i) }
			}
			for at, p := range result.Mitigation.Points {
				want := outOfPart(t, sites, method, p.Strength, part)
				var everyone []float64
				for g, errors := range want {
					everyone = append(everyone, errors...)
					if g > 1 {
						continue // C is at two hospitals, unknown is nobody
					}
					if got := p.Groups[g].Metrics["mae"].Estimate; math.Abs(got-stat.Mean(errors, nil)) > 1e-8 {
						t.Errorf("%s, %s, point %d, group %d: a mean absolute error of %.12g, want %.12g", validation, method, at, g, got, stat.Mean(errors, nil))
					}
				}
				if got := p.Error.Estimate; math.Abs(got-stat.Mean(everyone, nil)) > 1e-8 {
					t.Errorf("%s, %s, point %d: a mean absolute error of %.12g, want %.12g", validation, method, at, got, stat.Mean(everyone, nil))
				}
				low, high := meanInterval(want[0]), meanInterval(want[1])
				if low[0] > high[0] {
					low, high = high, low
				}
				gap := high[0] - low[0]
				lower, upper := gap-math.Hypot(high[0]-high[1], low[2]-low[0]), gap+math.Hypot(high[2]-high[0], low[0]-low[1])
				if math.Abs(p.Gap.Estimate-gap) > 1e-8 || math.Abs(*p.Gap.Lower-lower) > 1e-7 || math.Abs(*p.Gap.Upper-upper) > 1e-7 {
					t.Errorf("%s, %s, point %d: a gap of %v, %v to %v, want %v, %v to %v", validation, method, at, p.Gap.Estimate, *p.Gap.Lower, *p.Gap.Upper, gap, lower, upper)
				}
				all := meanInterval(everyone)
				if math.Abs(*p.Error.Lower-all[1]) > 1e-7 || math.Abs(*p.Error.Upper-all[2]) > 1e-7 {
					t.Errorf("%s, %s, point %d: an error of %v to %v, want %v", validation, method, at, *p.Error.Lower, *p.Error.Upper, all)
				}
			}
			if !result.Mitigation.Unseen || result.Validation == nil || math.Abs(result.Validation.Metrics["mae"]-result.Mitigation.Points[2].Error.Estimate) > 1e-8 {
				t.Errorf("%s, %s: the validation is not of the released model: %+v", validation, method, result.Validation)
			}
			// The model that is released is fitted to all.
			whole := trainedOn(s, sites)
			if method == study.Recalibrate {
				checkCoefficients(t, s, result.Model, whole.leastSquares(t))
			}
			for _, step := range Steps(s, len(sites)) {
				if asked[step.Step] > step.Rounds {
					t.Errorf("%s, %s: %d rounds of %s, announced %d", validation, method, asked[step.Step], step.Step, step.Rounds)
				}
				delete(asked, step.Step)
			}
			if len(asked) > 0 {
				t.Errorf("%s, %s: steps that were not announced: %v", validation, method, asked)
			}
		}
	}
}

// A strength that one fold has no model of is not on the curve; where it was to be
// released the study goes on without a validation, as it does for any model.
func TestAFoldWithoutAMitigatedModelIsSaid(t *testing.T) {
	records, site := grouped(1200, false, 5) // B is at three hospitals, and at two where one of them is left out
	for release, good := range map[string]bool{"none": true, "1": false} {
		s := parse(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", "validation: {kind: leave-one-site-out}", "",
			"{method: recalibrate, attribute: g, strength: [1], release: "+release+"}"))
		sites := matrices(t, s, []string{"y", "x", "z", "g"}, records, site)
		result, err := federate(t, s, sites, fixedPoint)
		if err != nil {
			t.Fatal(err)
		}
		p := result.Mitigation.Points[1]
		if good {
			if result.Validation == nil || !strings.Contains(p.Failed, "a part of the validation") || result.Mitigation.Points[0].Gap == nil {
				t.Errorf("release %s: %+v", release, p)
			}
			continue
		}
		if result.Validation != nil || result.Mitigation.Unseen || p.Failed != "" || len(result.Diagnoses) == 0 || !strings.Contains(result.Diagnoses[0].Message, "fewer than two groups") {
			t.Errorf("release %s: %+v, %v", release, p, result.Diagnoses)
		}
	}
}

// A hospital answers a fold's question about the mitigation for its own fold only,
// and looks at the predictions of no part that the validation does not leave out.
func TestAFoldsMitigationIsOfTheFold(t *testing.T) {
	records, site := grouped(600, false, 5)
	s := parse(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", "validation: {kind: k-fold, folds: 3}", "",
		"{method: recalibrate, attribute: g, strength: [1], release: 1}"))
	sites := matrices(t, s, []string{"y", "x", "z", "g"}, records, site)
	var lines string
	if _, err := federateSeeing(t, s, sites, plain, func(q compute.Question) {
		if q.Step == FoldsStep && strings.Contains(string(q.Parameters), "mitigation/lines") {
			lines = string(q.Parameters)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if lines == "" {
		t.Fatal("the lines of folds were not asked for side by side")
	}
	if _, err := Layout(s, FoldsStep, []byte(lines)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new string }{
		{`"leave_out":{"fold":2}`, `"leave_out":{"fold":3}`},
		{`"leave_out":{"fold":2},`, ``},
		{`"leave_out":{"fold":2}`, `"leave_out":{"fold":1}`},
		{`"mitigation/lines"`, `"mitigation/classes"`},
	} {
		if !strings.Contains(lines, c.old) {
			t.Fatalf("no %s in the question", c.old)
		}
		if _, err := Layout(s, FoldsStep, []byte(strings.Replace(lines, c.old, c.new, 1))); err == nil {
			t.Errorf("%s in place of %s must be refused", c.new, c.old)
		}
	}
}
