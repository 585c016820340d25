package federation

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// The levels of CYP2C9 apart, in place of the demonstration's gathered level.
var apart = []string{`{two_variant_alleles: ["*2/*2", "*2/*3", "*3/*3"]}`, `"*2/*2", "*2/*3", "*3/*3"`}

// long keeps a test out of the run under the race detector: other tests have the
// same goroutines do the same, and what it looks at has nothing to do with them.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out what has nothing to do with goroutines")
	}
}

// exactly declares that every group of the minimum cell has its own figures.
var exactly = []string{"fairness:\n", "fairness:\n  disclosure: primary\n"}

func TestLinearModelEqualsReference(t *testing.T) {
	long(t)
	want := loadReference(t)
	result := run(t, Spec{Protocol: protocol(t, "warfarin-dose.yaml", exactly...), Sites: warfarinSites(t)})
	sameFit(t, result.Model.GLM, want.Linear)

	t.Run("audit", func(t *testing.T) {
		for attribute, name := range map[string]string{"all": "all", "race4": "race", "sex": "sex"} {
			for level, want := range groupsOf[doseFigures](t, want.Linear.InSample, name) {
				g := group(t, result, attribute, level)
				if want.N < 11 { // below the study's minimum cell
					if g.State != "suppressed" || g.N != nil || len(g.Metrics) > 0 {
						t.Errorf("%s %s: %d patients are not suppressed: %+v", attribute, level, want.N, g)
					}
					continue
				}
				if g.N == nil || *g.N != want.N {
					t.Fatalf("%s %s: n %v, want %d", attribute, level, g.N, want.N)
				}
				g.equals(t, "mae", want.MAE)
				g.equals(t, "rmse", want.RMSE)
				g.equals(t, "bias", want.Bias)
				g.equals(t, "within20", want.Within20)
				g.equals(t, "r2", want.R2)
			}
		}
	})
	t.Run("sites that refused", func(t *testing.T) {
		var refused []string
		for _, site := range result.Sites {
			if site.Decision == "refused" {
				refused = append(refused, site.Name)
				if site.Rows != 0 || site.Skipped["excluded"] == 0 {
					t.Errorf("site %s refused with %d rows, skipped %v", site.Name, site.Rows, site.Skipped)
				}
			}
		}
		if !slices.Equal(refused, []string{"10", "13", "18", "9"}) {
			t.Errorf("refused by %v, want the four sites without a complete case", refused)
		}
	})
}

func TestLogisticModelEqualsReference(t *testing.T) {
	long(t)
	want := loadReference(t)
	result := run(t, Spec{Protocol: protocol(t, "high-dose.yaml", exactly...), Sites: warfarinSites(t)})
	sameFit(t, result.Model.GLM, want.Logistic)
	for attribute, name := range map[string]string{"all": "all", "race4": "race", "sex": "sex"} {
		for level, want := range groupsOf[classFigures](t, want.Logistic.Metrics, name) {
			if want.N < 11 {
				continue
			}
			g := group(t, result, attribute, level)
			g.equals(t, "brier", want.Brier)
			g.equals(t, "calibration_in_the_large", want.Predicted-want.Prevalence)
			for suffix, at := range map[string]rates{"": want.Half, "_at_prevalence": want.AtPrevalence} {
				g.equals(t, "tpr"+suffix, at.TPR)
				g.equals(t, "fpr"+suffix, at.FPR)
				g.equals(t, "ppv"+suffix, at.PPV)
			}
		}
	}
}

func TestRidgeModelEqualsReference(t *testing.T) {
	long(t)
	want := loadReference(t)
	edits := append(slices.Clone(apart), "ridge: 0", "ridge: 1")
	result := run(t, Spec{Protocol: protocol(t, "high-dose.yaml", edits...), Sites: warfarinSites(t)})
	sameFit(t, result.Model.GLM, want.Ridge)
}

// No patient with these alleles needs the high dose: the model has no estimate,
// and must say so by name instead of giving a number.
func TestSeparationIsDiagnosed(t *testing.T) {
	long(t)
	want := loadReference(t)
	result := run(t, Spec{Protocol: protocol(t, "high-dose.yaml", apart...), Sites: warfarinSites(t)})
	if result.Study.State != "diagnosed" || result.Diagnosis == nil || result.Model != nil || result.Release != nil {
		t.Fatalf("state %s, diagnosis %v, model %v, release %v", result.Study.State, result.Diagnosis, result.Model, result.Release)
	}
	if result.Diagnosis.Kind != compute.Separation {
		t.Errorf("diagnosis %s, want %s", result.Diagnosis.Kind, compute.Separation)
	}
	var terms []string
	for _, term := range result.Diagnosis.Terms {
		terms = append(terms, referenceName(term))
	}
	if !slices.Equal(terms, want.Separated.Columns) {
		t.Errorf("separated terms %v, want %v", terms, want.Separated.Columns)
	}
}

// Without site 3, the largest, the fit must be the reference's fit without it.
func TestSiteDroppedAtCollectingEqualsLeaveOneOut(t *testing.T) {
	long(t)
	want := loadReference(t)
	result := run(t, Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: warfarinSites(t), Drops: []Drop{{"3", Collecting}}})
	fold := want.LeaveOneSiteOut.Folds["3"]
	if result.Model == nil || result.Model.GLM.N != fold.N {
		t.Fatalf("model %+v, want one of %d patients", result.Model, fold.N)
	}
	for i, term := range result.Model.GLM.Terms {
		if !near(term.Estimate, fold.Coefficients[i]) {
			t.Errorf("%s: estimate %.17g, want %.17g", term.Name, term.Estimate, fold.Coefficients[i])
		}
	}
}

// Every set of hospitals that leaves enough of them gives the pooled fit of the
// rest.
func TestAnySubsetDroppedAtCollectingEqualsPooledFit(t *testing.T) { anySubset(t, Collecting) }

// The same when they are away altogether, so that a committee may have to be
// asked anew.
func TestAnySubsetAwayEqualsPooledFit(t *testing.T) {
	long(t)
	anySubset(t, Away)
}

func anySubset(t *testing.T, phase Phase) {
	t.Helper()
	sites := hospitals(t, 5, 1200)
	source := protocol(t, "warfarin-dose.yaml")
	for subset := range 1 << len(sites) {
		var drops []Drop
		var left []Site
		for i, site := range sites {
			if subset>>i&1 == 1 {
				drops = append(drops, Drop{site.Name, phase})
			} else {
				left = append(left, site)
			}
		}
		if len(left) < 3 || testing.Short() && subset != 10 {
			continue
		}
		t.Run(fmt.Sprint(drops), func(t *testing.T) {
			result := run(t, Spec{Protocol: source, Sites: sites, Drops: drops})
			sameModel(t, result.Model.GLM, pooled(t, source, left).Model.GLM)
		})
	}
}

// All but the minimum may fail to contribute.
func TestAllButThreeDroppedAtCollecting(t *testing.T) {
	long(t)
	sites := warfarinSites(t)
	var drops []Drop
	var left []Site
	for _, site := range sites {
		if slices.Contains([]string{"3", "7", "14"}, site.Name) {
			left = append(left, site)
		} else {
			drops = append(drops, Drop{site.Name, Collecting})
		}
	}
	source := protocol(t, "warfarin-dose.yaml")
	result := run(t, Spec{Protocol: source, Sites: sites, Drops: drops})
	sameModel(t, result.Model.GLM, pooled(t, source, left).Model.GLM)
}

// Of 17 committee members 12 have to help; five may be gone.
func TestSitesDroppedAtOpeningChangeNothing(t *testing.T) {
	long(t)
	want := loadReference(t)
	var drops []Drop
	for _, site := range []string{"3", "7", "1", "21", "8"} {
		drops = append(drops, Drop{site, Opening})
	}
	result := run(t, Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: warfarinSites(t), Drops: drops})
	sameFit(t, result.Model.GLM, want.Linear)
	for _, r := range result.Rounds {
		if len(r.Contributors) != 17 || len(r.Openers) != 12 {
			t.Errorf("round %s: %d contributors, %d openers, want 17 and 12", r.Step, len(r.Contributors), len(r.Openers))
		}
	}
}

// The comparison without the cipher is the same computation: the model has the
// same bits.
func TestCipherOffGivesTheSameModel(t *testing.T) {
	long(t)
	spec := Spec{Protocol: protocol(t, "high-dose.yaml", "ridge: 0", "ridge: 1"), Sites: hospitals(t, 4, 800)}
	on := run(t, spec)
	spec.Unencrypted = true
	off := run(t, spec)
	if on.Cipher != "on" || off.Cipher != "off" {
		t.Errorf("cipher %q and %q, want on and off", on.Cipher, off.Cipher)
	}
	a, err := json.Marshal(on.Model)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(off.Model)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) || on.Model == nil {
		t.Errorf("models differ:\n%s\n%s", a, b)
	}
}

// pooled fits a study over all records in one place, without any federation.
func pooled(t *testing.T, source []byte, sites []Site) *pipeline.Result {
	t.Helper()
	s, err := study.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	var all [][]string
	for _, site := range sites {
		rows, err := site.Records.Open()
		if err != nil {
			t.Fatal(err)
		}
		columns = rows.Columns()
		for record, err := rows.Next(); err == nil; record, err = rows.Next() {
			all = append(all, slices.Clone(record))
		}
	}
	matrix, _, err := records.Load(s, records.Memory(columns, all))
	if err != nil {
		t.Fatal(err)
	}
	session := pipeline.New(s)
	for {
		question, done, err := session.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return session.Result()
		}
		values, err := pipeline.Answer(s, question.Step, question.Parameters, pipeline.Site{Name: "pooled", Records: matrix})
		if err != nil {
			t.Fatal(err)
		}
		sum, err := compute.NewSum(len(sites), question.Layout, values)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
}

func sameModel(t *testing.T, got, want *glm.Model) {
	t.Helper()
	if got == nil || got.N != want.N || len(got.Terms) != len(want.Terms) {
		t.Fatalf("model %v, want one of %d patients and %d terms", got != nil, want.N, len(want.Terms))
	}
	for i, w := range want.Terms {
		if g := got.Terms[i]; g.Name != w.Name || !near(g.Estimate, w.Estimate) || !near(g.StdError, w.StdError) {
			t.Errorf("%s: %.17g (%.17g), want %.17g (%.17g)", w.Name, g.Estimate, g.StdError, w.Estimate, w.StdError)
		}
	}
}

// doseFigures and classFigures are the reference's figures for a group.
type doseFigures struct {
	N        int      `json:"n"`
	MAE      float64  `json:"mae"`
	RMSE     float64  `json:"rmse"`
	Bias     float64  `json:"bias"`
	Within20 float64  `json:"within20_percent"`
	R2       *float64 `json:"r2_mg"`
}

type classFigures struct {
	N            int     `json:"n"`
	Brier        float64 `json:"brier"`
	Predicted    float64 `json:"mean_predicted"`
	Prevalence   float64 `json:"prevalence"`
	Half         rates   `json:"at_0.5"`
	AtPrevalence rates   `json:"at_prevalence"`
}

type rates struct{ TPR, FPR, PPV *float64 } // null where the group has nobody to count

// groupsOf reads the reference's figures of one attribute, by our level names.
func groupsOf[F any](t *testing.T, figures map[string]json.RawMessage, attribute string) map[string]F {
	t.Helper()
	levels := make(map[string]F)
	var err error
	if attribute == "all" {
		var all F
		err = json.Unmarshal(figures["all"], &all)
		levels["all"] = all
	} else {
		err = json.Unmarshal(figures[attribute], &levels)
	}
	if err != nil || len(levels) == 0 {
		t.Fatalf("the reference's figures by %s: %d levels, %v", attribute, len(levels), err)
	}
	if na, ok := levels["NA"]; ok {
		delete(levels, "NA")
		levels["unknown"] = na
	}
	return levels
}

// audited is a group of a result's audit.
type audited struct{ Group }

func group(t *testing.T, result *Result, attribute, level string) audited {
	t.Helper()
	for _, g := range result.Fairness.Groups {
		if g.Attribute == attribute && g.Level == level {
			return audited{g}
		}
	}
	t.Fatalf("the audit has no group %s of %s", level, attribute)
	return audited{}
}

// equals compares a metric with the reference to its printed digits.
func (g audited) equals(t *testing.T, metric string, want any) {
	t.Helper()
	var w float64
	switch want := want.(type) {
	case float64:
		w = want
	case *float64:
		if want == nil {
			if got, ok := g.Metrics[metric]; ok {
				t.Errorf("%s %s: %s is %g, the reference has none", g.Attribute, g.Level, metric, got)
			}
			return
		}
		w = *want
	}
	got, ok := g.Metrics[metric]
	if !ok || math.Abs(got-w) > 1e-9*math.Max(1, math.Abs(w)) {
		t.Errorf("%s %s: %s is %.15g, want %.15g", g.Attribute, g.Level, metric, got, w)
	}
}

// Of 3 898 patients two are of unknown sex. What a study shows that says nothing of
// disclosure does not tell it, and the figures of the groups of race, which are large,
// are the reference's.
func TestTwoPatientsDoNotFollowFromTheReport(t *testing.T) {
	long(t)
	t.Parallel()
	want := loadReference(t)
	result := run(t, Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: warfarinSites(t)})
	for level, want := range groupsOf[doseFigures](t, want.Linear.InSample, "race") {
		if want.N >= 11 {
			g := group(t, result, "race4", level)
			g.equals(t, "mae", want.MAE)
			g.equals(t, "within20", want.Within20)
		}
	}
	left := *group(t, result, "all", "all").N - *group(t, result, "sex", "female").N - *group(t, result, "sex", "male").N
	if left != 0 {
		t.Errorf("the audit leaves %d patients of unknown sex", left)
	}
	for _, a := range result.Cohort.Attributes {
		if a.Column != "sex" {
			continue
		}
		for _, g := range a.Groups {
			if (g.Count.State == describe.Suppressed) != (g.Name != "female") {
				t.Errorf("the cohort's %s: %s", g.Name, g.Count.State)
			}
		}
	}
}
