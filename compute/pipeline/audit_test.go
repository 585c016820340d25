package pipeline

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/study"
)

// On every scale, and where the outcome is far from zero, the audit's figures
// are those computed directly from the records.
func TestAuditEqualsDirectComputation(t *testing.T) {
	for _, c := range []struct {
		outcome string
		value   func(y float64) float64
	}{
		{`{column: y, type: number, range: [-20, 20]}`, func(y float64) float64 { return y }},
		{`{column: y, type: number, range: [0.001, 100], transform: log}`, func(y float64) float64 { return math.Exp(y / 4) }},
		{`{column: y, type: number, range: [1000000, 1000040]}`, func(y float64) float64 { return 1000020 + y }},
	} {
		s := parse(t, fmt.Sprintf(small, c.outcome, "gaussian", 0.0, 3, 25))
		records := cohort(300, false, func(_ int, p *patient) { p.y = c.value(p.y) })
		sites := matrices(t, s, []string{"y", "a", "b", "c"}, records, func(i int) string { return fmt.Sprint(i % 4) })
		result, err := federate(t, s, sites, fixedPoint)
		if err != nil {
			t.Fatal(err)
		}
		predictor, err := glm.NewPredictor(result.Model.GLM, s)
		if err != nil {
			t.Fatal(err)
		}
		for level, name := range []string{"u", "v", "w"} {
			var n, absolute, squares, fourth, sum, within, under, y1 float64
			var outcomes []float64
			for _, m := range sites {
				for i := range m.Rows() {
					if m.Group(i, 0) != level {
						continue
					}
					p, err := predictor.Predict(m.Row(i))
					if err != nil {
						t.Fatal(err)
					}
					e := p.Value - m.Outcome(i)
					n, absolute, squares, sum = n+1, absolute+math.Abs(e), squares+e*e, sum+e
					fourth += e * e * e * e
					y1 += m.Outcome(i)
					outcomes = append(outcomes, m.Outcome(i))
					if math.Abs(e) <= 0.2*math.Abs(m.Outcome(i)) {
						within++
					} else if e < 0 {
						under++
					}
				}
			}
			spread := 0.0
			for _, y := range outcomes {
				spread += (y - y1/n) * (y - y1/n)
			}
			g := result.Audit.Group("c", name)
			near(t, "n", float64(*g.N), n, 0)
			near(t, "mae", g.Metrics["mae"].Estimate, absolute/n, 1e-8)
			near(t, "rmse", g.Metrics["rmse"].Estimate, math.Sqrt(squares/n), 1e-8)
			near(t, "within20", g.Metrics["within20"].Estimate, 100*within/n, 1e-12)
			near(t, "under20", g.Metrics["under20"].Estimate, 100*under/n, 1e-12)
			near(t, "over20", g.Metrics["over20"].Estimate, 100*(n-within-under)/n, 1e-12)
			// Student's t of the mean square's logarithm, half of which is the root's.
			root, variance := math.Sqrt(squares/n), (fourth-squares*squares/n)/(n-1)
			half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * math.Sqrt(variance/n) / (squares / n) / 2
			near(t, "rmse lower", *g.Metrics["rmse"].Lower, root*math.Exp(-half), 1e-8)
			near(t, "rmse upper", *g.Metrics["rmse"].Upper, root*math.Exp(half), 1e-8)
			near(t, "r2", g.Metrics["r2"].Estimate, 1-squares/spread, 1e-7)
			near(t, "mean_actual", g.Metrics["mean_actual"].Estimate, y1/n, 1e-12)
			if d := math.Abs(g.Metrics["bias"].Estimate - sum/n); d > 1e-8*absolute/n {
				t.Errorf("bias off by %v", d)
			}
		}
	}
}

// A prediction beyond twice the range is cut, counted and admitted.
func TestAbsurdPredictionsAreCutAndCounted(t *testing.T) {
	s := parse(t, fmt.Sprintf(small, `{column: y, type: number, range: [-20, 20]}`, "gaussian", 0.0, 3, 25))
	m := matrices(t, s, []string{"y", "a", "b", "c"}, cohort(50, false, asIs), func(int) string { return "1" })[0]
	audit, err := fairness.Local(s, &fairness.Audit{}, m, fairness.Forecast{Values: slices.Repeat([]float64{1e6}, m.Rows())})
	if err != nil {
		t.Fatal(err)
	}
	if audit.Cut != 50 || audit.Groups[0].Metrics["mae"].Estimate != 80 {
		t.Errorf("%d cut, mean absolute error %v", audit.Cut, audit.Groups[0].Metrics["mae"].Estimate)
	}
	if !strings.Contains(strings.Join(audit.Limits, " "), "50 errors were larger") {
		t.Error("the report does not say so")
	}
}

func TestDescribeOnlyStudyHasNoModel(t *testing.T) {
	s := parse(t, strings.Replace(warfarin(weeklyDose, sixLevels, linear), linear, "{kind: describe}", 1))
	columns, records, site := iwpc(t)
	result, err := federate(t, s, present(matrices(t, s, columns, records, site)), fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	if result.Model != nil || result.Audit != nil || *result.Cohort.Patients.N != 3898 || result.Cohort.Contributors != 17 {
		t.Errorf("%+v", result)
	}
	near(t, "mean dose", *result.Cohort.Outcome.Mean, 30.927223522575673, 1e-12)
	cyp2c9 := result.Cohort.Features[4]
	if n := cyp2c9.Levels[4].Count.N; n == nil || *n != 51 {
		t.Error("51 patients have *2/*3")
	}
	if few := cyp2c9.Levels[5].Count; few.State != "suppressed" || few.N != nil {
		t.Error("seven patients have *3/*3: too few to show")
	}
}

// Every patient is in one step of the calibration curve, small steps are
// hidden, and observed over expected carries its interval.
func TestCalibrationOfProbabilities(t *testing.T) {
	audit := run(t, warfarin(highDose, fourLevels, logistic), fixedPoint).Audit
	shown, states := 0, map[string]int{}
	for i, b := range audit.Calibration {
		states[b.State]++
		if b.State == "ok" {
			shown += *b.N
			if p := *b.Predicted; p < b.From || p > b.To || *b.N < 11 {
				t.Errorf("step %d: %d patients, mean probability %v", i, *b.N, p)
			}
		} else if b.Observed != nil || b.Predicted != nil {
			t.Errorf("step %d is %s and shown", i, b.State)
		}
	}
	if len(audit.Calibration) != 10 || states["suppressed"] == 0 || shown < 3800 || shown > 3897 {
		t.Errorf("%d patients in %v", shown, states)
	}
	// Delta method on the logarithm, by hand: 490 of 3898 observed, as many expected.
	all := audit.Groups[0].Metrics["observed_over_expected"]
	factor := math.Exp(1.959963984540054 * math.Sqrt((1-490./3898)/490))
	near(t, "O/E", all.Estimate, 1, 1e-9)
	near(t, "O/E lower", *all.Lower, 1/factor, 1e-9)
	near(t, "O/E upper", *all.Upper, factor, 1e-9)
}

// The verdicts are of the fixed vocabulary, and nobody is called fair.
func TestVerdictsNeverSayFair(t *testing.T) {
	audit := run(t, warfarin(weeklyDose, sixLevels, linear), plain).Audit
	found := map[string]string{}
	for _, g := range audit.Gaps {
		switch g.Verdict {
		case fairness.Disparity, fairness.NoDisparity, fairness.Insufficient:
		default:
			t.Errorf("verdict %q", g.Verdict)
		}
		if strings.Contains(strings.ToLower(g.Sentence), "fair") {
			t.Error(g.Sentence)
		}
		found[g.Metric+" "+g.Level] = g.Verdict
	}
	// Their mean absolute errors are 11.8 and 6.5 mg a week against 8.4.
	for _, group := range []string{"mae Black or African American", "mae Asian"} {
		if found[group] != fairness.Disparity {
			t.Errorf("%s: %s", group, found[group])
		}
	}
	if found["mae Mixed/missing"] != fairness.Insufficient {
		t.Error("43 patients are too few to tell")
	}
}

func predictors(t *testing.T, src string) (*glm.Predictor, *Result, []*study.Matrix) {
	t.Helper()
	s := parse(t, src)
	columns, records, site := iwpc(t)
	sites := present(matrices(t, s, columns, records, site))
	result, err := federate(t, s, sites, plain)
	if err != nil {
		t.Fatal(err)
	}
	p, err := glm.NewPredictor(result.Model.GLM, s)
	if err != nil {
		t.Fatal(err)
	}
	return p, result, sites
}

func TestPredictionsCoverAndExplain(t *testing.T) {
	for _, src := range []string{warfarin(weeklyDose, sixLevels, linear), warfarin(highDose, fourLevels, logistic)} {
		p, result, sites := predictors(t, src)
		binary := result.Model.GLM.Family == study.Binomial
		link := math.Sqrt
		if binary {
			link = func(p float64) float64 { return math.Log(p / (1 - p)) }
		}
		var n, covered, sum float64
		for _, m := range sites {
			for i := range m.Rows() {
				got, err := p.Predict(m.Row(i))
				if err != nil {
					t.Fatal(err)
				}
				if !(got.Lower <= got.Value && got.Value <= got.Upper) {
					t.Fatalf("interval %v to %v around %v", got.Lower, got.Upper, got.Value)
				}
				total := 0.0
				for _, c := range got.Contributions {
					total += c.Link
				}
				if d := math.Abs(link(got.Value) - link(got.Baseline) - total); d > 1e-9 {
					t.Fatalf("contributions miss the prediction by %v on the link", d)
				}
				if len(got.Contributions) != 8 || (got.Contributions[0].Link > 0) != (got.Contributions[0].Change > 0) {
					t.Fatalf("contributions %+v", got.Contributions)
				}
				n, sum = n+1, sum+got.Value
				if y := m.Outcome(i); got.Lower <= y && y <= got.Upper {
					covered++
				}
			}
		}
		if binary {
			// The likelihood equations: mean probability is the prevalence.
			near(t, "mean probability", sum/n, 490./3898, 1e-8)
		} else if share := covered / n; share < 0.94 || share > 0.96 {
			t.Errorf("95%% intervals cover %.3f", share)
		}
	}
}

func TestPredictorRefusesWhatItCannotKnow(t *testing.T) {
	noW := func(i int, p *patient) { p.c = string("uv"[i%2]) }
	result, err := fitted(t, false, 0, 3, 25, cohort(200, false, noW))
	if err != nil {
		t.Fatal(err)
	}
	s := parse(t, fmt.Sprintf(small, `{column: y, type: number, range: [-20, 20]}`, "gaussian", 0.0, 3, 25))
	if _, err := glm.Predict(result.Model.GLM, s, []float64{1, 0, 0, 1, 0}); err != nil {
		t.Error(err)
	}
	if _, err := glm.Predict(result.Model.GLM, s, []float64{1, 0, 0, 0, 1}); err == nil || !strings.Contains(err.Error(), "c=w") {
		t.Errorf("a level nobody had: %v", err)
	}
	if _, err := glm.Predict(result.Model.GLM, s, []float64{1, 0, 0}); err == nil {
		t.Error("a short row")
	}
	other := parse(t, warfarin(weeklyDose, sixLevels, linear))
	if _, err := glm.NewPredictor(result.Model.GLM, other); err == nil {
		t.Error("a model of another study")
	}
	damaged := *result.Model.GLM
	damaged.Covariance = damaged.Covariance[1:]
	if _, err := glm.NewPredictor(&damaged, s); err == nil {
		t.Error("a damaged model")
	}
	renamed := *result.Model.GLM
	renamed.Terms = append([]glm.Term(nil), renamed.Terms...)
	renamed.Terms[1].Name = "z"
	if _, err := glm.NewPredictor(&renamed, s); err == nil {
		t.Error("a model with a foreign term")
	}
}
