package fairness

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const probable = `
study: probable
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: x, type: number, range: [0, 400]}
model: {kind: glm, family: binomial}
fairness:
  disclosure: primary
  attributes: [{column: g, levels: [A, B, few]}]
  minimum_cell: 11
`

// fourHundred are patients with predicted probabilities (i+0.5)/400 over four
// hospitals; those with i divisible by 4 are group A, three times twenty are of a
// group that is too small for a line.
func fourHundred(t *testing.T, s *study.Study) []*study.Matrix {
	t.Helper()
	var out []*study.Matrix
	for site := range 4 {
		b, err := s.NewBuilder([]string{"y", "x", "g"})
		if err != nil {
			t.Fatal(err)
		}
		for i := 100 * site; i < 100*(site+1); i++ {
			p := (float64(i) + 0.5) / 400
			g := "B"
			switch {
			case i%4 == 0:
				g = "A"
			case i%20 == 1:
				g = "few"
			}
			b.Add([]string{strconv.Itoa(int(one(float64((i*7919)%400)/400 < 0.2+0.6*p))), strconv.Itoa(i), g})
		}
		out = append(out, b.Matrix())
	}
	return out
}

func ramp(m *study.Matrix) Forecast {
	f := Forecast{Values: make([]float64, m.Rows())}
	var row []float64
	for r := range f.Values {
		row = m.AppendRow(row[:0], r)
		f.Values[r] = (row[1] + 0.5) / 400
	}
	return f
}

// R 4.5: glm(y ~ qlogis(p), binomial) of all, and of every fourth patient; the
// Hosmer-Lemeshow statistic over ten bins of equal width.
func TestRecalibrationEqualsR(t *testing.T) {
	s := parsed(t, probable)
	sites := fourHundred(t, s)
	a, opened := auditedBy(t, s, Sizes{Unseen: true}, sites, func(i int) Forecast { return ramp(sites[i]) })
	if _, asked := opened[StepRecalibration]; !asked {
		t.Fatal("no recalibration")
	}
	for _, c := range []struct {
		group                                 *Group
		intercept, slope, interceptSE, slope2 float64
	}{
		{a.Group(All, All), 0.011257689331265, 0.427397022828343, 0.1061036687528, 0.0686146884237},
		{a.Group("g", "A"), 0.056222337179063, 0.317258696720471, 0.207422051684, 0.126193699282},
	} {
		i, b := c.group.Metrics["calibration_intercept"], c.group.Metrics["calibration_slope"]
		near(t, "intercept", i.Estimate, c.intercept, 1e-7)
		near(t, "slope", b.Estimate, c.slope, 1e-7)
		near(t, "intercept's interval", *i.Upper-*i.Lower, 2*normal*c.interceptSE, 1e-5)
		near(t, "slope's interval", *b.Upper-*b.Lower, 2*normal*c.slope2, 1e-5)
	}
	near(t, "Hosmer-Lemeshow", a.Groups[0].Metrics["hosmer_lemeshow"].Estimate, 75.22611231218, 1e-9)
	near(t, "p", a.Groups[0].Metrics["hosmer_lemeshow_p"].Estimate, chiSquared(75.22611231218, 10), 1e-12)
	near(t, "MCE", a.Groups[0].Metrics["mce"].Estimate, 0.2, 1e-9)
	few := a.Group("g", "few")
	if _, has := few.Metrics["calibration_slope"]; has || !strings.Contains(few.Undefined["calibration_slope"], "fewer than 80") {
		t.Errorf("twenty patients have a line: %+v", few)
	}
	for _, cells := range [][]int{{0, 1, 3}} {
		if n := len(opened[StepRecalibration].Field("residual")); n > len(cells) {
			t.Errorf("%d groups were refitted", n)
		}
	}
	local, err := Local(s, a, sites[1], ramp(sites[1]))
	if err != nil || local.Groups[0].Metrics["calibration_slope"].Lower == nil {
		t.Errorf("no slope on own patients: %v", err)
	}
}

// Outcomes that the predictions tell apart have no line, and say so.
func TestSeparatedGroupHasNoLine(t *testing.T) {
	s := parsed(t, probable)
	sites := fourHundred(t, s)
	a, _ := auditedBy(t, s, Sizes{}, sites, func(i int) Forecast {
		f := ramp(sites[i])
		for r := range f.Values {
			f.Values[r] = 0.1 + 0.8*sites[i].Outcome(r)
		}
		return f
	})
	if _, has := a.Groups[0].Metrics["calibration_slope"]; has || a.Groups[0].Undefined["calibration_slope"] != "the fit did not converge" {
		t.Errorf("%+v", a.Groups[0].Undefined)
	}
}

// A site computes steps of the study's groups at coefficients within bounds.
func TestRecalibrationIsRefusedWhereItDoesNotBelong(t *testing.T) {
	s := parsed(t, probable)
	if _, err := Layout(s, StepRecalibration, []byte(`{"points":[[0,1],[0.5,-1]],"cells":[0,1]}`)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`{"points":[[0,1]],"cells":[0,1]}`, `{"points":[[0,65]],"cells":[0]}`, `{"points":[[-0,1]],"cells":[0]}`, `{"points":[[0,1]],"cells":[1]}`, `{"points":null,"cells":[]}`} {
		if _, err := Layout(s, StepRecalibration, []byte(bad)); err == nil {
			t.Errorf("%s has a layout", bad)
		}
	}
	if _, err := Layout(parsed(t, planted), StepRecalibration, []byte(`{"points":[[0,1]],"cells":[0]}`)); err == nil {
		t.Error("a dose is recalibrated")
	}
}

// The average precision of the scores lies between the best and the worst order
// inside bins, and is theirs where every bin has one patient.
func TestPrecisionIsWithinItsBounds(t *testing.T) {
	y := []float64{0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1}
	// sklearn 1.7: average_precision_score of these, ascending by score.
	exact := 0.0
	found := 0.0
	for k := len(y) - 1; k >= 0; k-- {
		if y[k] == 1 {
			found++
			exact += found / float64(len(y)-k) / 7
		}
	}
	for _, wide := range []int{1, 2, 3, 4, 6, 12} {
		up, down := make([]float64, len(y)/wide), make([]float64, len(y)/wide)
		for k, v := range y {
			up[k/wide] += v
			down[k/wide] += 1 - v
		}
		lower, upper := precision(up, down)
		if exact < lower-1e-12 || exact > upper+1e-12 || (wide == 1 && upper-lower > 1e-12) {
			t.Errorf("bins of %d: %v is not between %v and %v", wide, exact, lower, upper)
		}
	}
	if lower, _ := precision([]float64{0}, []float64{3}); !math.IsNaN(lower) {
		t.Error("precision without positives")
	}
}

// A report on a binary outcome has, for each attribute, how unequally its groups
// are called.
func TestInequalityByAttribute(t *testing.T) {
	s := parsed(t, probable)
	sites := fourHundred(t, s)
	a, _ := auditedBy(t, s, Sizes{}, sites, func(i int) Forecast { return ramp(sites[i]) })
	if len(a.Inequality) != 1 || a.Inequality[0].Differential.Lower == nil || a.Inequality[0].Share == nil {
		t.Fatalf("%+v", a.Inequality)
	}
	for _, o := range a.Odds {
		if o.OddsRatio == nil || o.OddsRatio.Estimate > 1 {
			t.Errorf("equalized odds ratio %+v", o.OddsRatio)
		}
	}
}

// Of a model that is sure of many patients the last bin holds scores of any size, and
// the line through the bins is too steep: the last step that may be asked for is still
// short enough to be near the end.
func TestTheLastStepMayLeaveThousandths(t *testing.T) {
	r := &recalibration{question: recalibrationQuestion{Cells: []int{0}, Points: [][2]float64{{0, 1}}}, steps: mostSteps - 1, fitted: map[int]line{}}
	sum := func(residual float64) compute.Sum {
		values := []float64{residual, 0, 100, 0, 100} // a step of residual/10 standard errors
		out, err := compute.NewSum(3, recalibrationLayout(1), values)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if err := r.absorb(sum(0.3)); err != nil || !r.done || r.fitted[0].intercept != 0.003 {
		t.Errorf("a last step of 0.03 standard errors: %+v, %v", r, err)
	}
	r.steps, r.fitted = mostSteps-1, map[int]line{}
	if err := r.absorb(sum(3)); err != nil || !r.done || len(r.fitted) != 0 {
		t.Errorf("a last step of 0.3 standard errors: %+v, %v", r, err)
	}
	r.steps, r.done = 0, false
	if err := r.absorb(sum(0.3)); err != nil || r.done || len(r.fitted) != 0 {
		t.Errorf("a first step of 0.03 standard errors: %+v, %v", r, err)
	}
}
