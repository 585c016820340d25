package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/study"
)

const groupsStudy = `
study: groups
version: 1
outcome: %s
features:
  - {column: x, type: number, range: [-10, 10]}
  - {column: z, type: number, range: [-10, 10]}
model: {kind: glm, family: %s}
%s
fairness: {disclosure: primary, attributes: [{column: g, levels: [A, B, C]}], %s minimum_cell: 11}
mitigation: %s
schedule: {rounds: 40, tolerance: 1e-13}
`

const (
	numberOutcome = `{column: y, type: number, range: [-50, 100], unit: mg}`
	binaryOutcome = `{column: y, type: binary, positive: ["1"]}`
	heldOut       = `validation: {kind: holdout, fraction: 0.4}`
)

// grouped makes patients of two groups and a handful of a third; shift is what
// group B has more of the outcome, or of its log odds, beyond what the model can
// see. The third is at two hospitals of six.
func grouped(n int, binary bool, shift float64) (records [][]string, site func(int) string) {
	random := rand.New(rand.NewPCG(3, 5))
	var at []string
	for i := range n {
		x, z, g := random.NormFloat64(), random.NormFloat64(), "A"
		hospital := i % 6
		switch {
		case i%4 == 0:
			g = "B"
		case i%97 == 1:
			g, hospital = "C", i%2
		}
		eta := 20 + 3*x - 2*z
		if g == "B" {
			eta += shift
		}
		y := eta + random.NormFloat64()
		if binary {
			y = 0
			if random.Float64() < 1/(1+math.Exp(20-eta)) {
				y = 1
			}
		}
		records = append(records, []string{text(y), text(x), text(z), g})
		at = append(at, strconv.Itoa(hospital))
	}
	return records, func(i int) string { return at[i] }
}

func groupsResult(t *testing.T, src string, records [][]string, site func(int) string) (*study.Study, []*study.Matrix, *Result) {
	t.Helper()
	s := parse(t, src)
	sites := matrices(t, s, []string{"y", "x", "z", "g"}, records, site)
	result, err := federate(t, s, sites, fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	return s, sites, result
}

// pooledPatients are those that the model is fitted to.
type pooledPatients struct {
	rows    [][]float64
	y       []float64
	group   []int
	weights []float64
}

func trainedOn(s *study.Study, sites []*study.Matrix) (p pooledPatients) {
	for _, m := range sites {
		for i := range m.Rows() {
			if s.Validation.Kind == study.Holdout && m.Fold(i) == study.HeldOut {
				continue
			}
			p.rows, p.y = append(p.rows, m.Row(i)), append(p.y, m.Outcome(i))
			p.group, p.weights = append(p.group, m.Group(i, 0)), append(p.weights, 1)
		}
	}
	return p
}

// leastSquares of the weighted patients, by QR.
func (p pooledPatients) leastSquares(t *testing.T) []float64 {
	t.Helper()
	a, b := mat.NewDense(len(p.y), len(p.rows[0]), nil), mat.NewVecDense(len(p.y), nil)
	for i, row := range p.rows {
		w := math.Sqrt(p.weights[i])
		for j, x := range row {
			a.Set(i, j, w*x)
		}
		b.SetVec(i, w*p.y[i])
	}
	var beta mat.VecDense
	if err := beta.SolveVec(a, b); err != nil {
		t.Fatal(err)
	}
	return beta.RawVector().Data
}

func (p pooledPatients) predict(beta []float64, binary bool) []float64 {
	out := make([]float64, len(p.rows))
	for i, row := range p.rows {
		for j, x := range row {
			out[i] += beta[j] * x
		}
		if binary {
			out[i] = 1 / (1 + math.Exp(-out[i]))
		}
	}
	return out
}

func checkCoefficients(t *testing.T, s *study.Study, m *Model, want []float64) {
	t.Helper()
	for j, got := range m.GLM.Coefficients(s) {
		if math.Abs(got-want[j]) > 1e-8*(1+math.Abs(want[j])) {
			t.Errorf("coefficient %d = %.15g, want %.15g", j, got, want[j])
		}
	}
}

func TestReweighingEqualsThePooledFit(t *testing.T) {
	records, site := grouped(1200, false, 5)
	for _, balance := range []string{"outcome", "size"} {
		s, sites, result := groupsResult(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", "", "bands: [18, 23],",
			"{method: reweigh, attribute: g, strength: [0.3, 0.7], release: 0.7, balance: "+balance+"}"), records, site)
		p := trainedOn(s, sites)
		class := func(y float64) int {
			switch {
			case balance == "size" || y < 18:
				return 0
			case y < 23:
				return 1
			}
			return 2
		}
		var n float64
		var of, group [3]float64
		var both [3][3]float64
		for i, y := range p.y {
			if g := p.group[i]; g < 2 { // C is at two hospitals only
				n++
				of[class(y)]++
				group[g]++
				both[g][class(y)]++
			}
		}
		for i, y := range p.y {
			if g := p.group[i]; g < 2 {
				w := group[g] * of[class(y)] / (n * both[g][class(y)])
				if both[g][class(y)] < 11 {
					w = 1 // too few to say so of them
				}
				if balance == "size" {
					w = n / (2 * group[g])
				}
				p.weights[i] = 1 + 0.7*(w-1)
			}
		}
		checkCoefficients(t, s, result.Model, p.leastSquares(t))
		for _, c := range result.Model.Mitigation.Groups {
			if (c.Level == "C" || c.Level == study.Unknown) != (c.General != "") {
				t.Errorf("group %s: %+v", c.Level, c)
			}
		}
		if result.Mitigation.NeedsGroup {
			t.Error("a model that was fitted with weights does not ask for the group")
		}
	}
}

func TestBoundedGroupLossEqualsThePooledSearch(t *testing.T) {
	records, site := grouped(1200, false, 5)
	s, sites, result := groupsResult(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", "", "",
		"{method: bounded-group-loss, attribute: g, strength: [0.8], release: 0.8, rounds: 4, rate: 0.7, bound: 1.5}"), records, site)
	p := trainedOn(s, sites)
	const width, strength, rate = 150.0, 0.8, 0.7
	bound := 1.5 / width * 1.5 / width
	score, total, scale := [2]float64{}, [3]float64{}, 0.0
	weigh := func(lambda [3]float64, n [2]float64) {
		for i, g := range p.group {
			p.weights[i] = 1
			if g < 2 {
				p.weights[i] = 1 - strength + strength*(lambda[0]+lambda[1+g]*(n[0]+n[1])/n[g])
			}
		}
	}
	for round := range 4 {
		var n, loss [2]float64
		for i, v := range p.predict(p.leastSquares(t), false) {
			if g := p.group[i]; g < 2 {
				n[g]++
				loss[g] += (v - p.y[i]) / width * (v - p.y[i]) / width
			}
		}
		if round == 0 {
			scale = (loss[0] + loss[1]) / (n[0] + n[1])
		}
		for g := range 2 {
			score[g] += rate * (loss[g]/n[g] - bound) / scale
		}
		sum := 1 + math.Exp(score[0]) + math.Exp(score[1])
		lambda := [3]float64{1 / sum, math.Exp(score[0]) / sum, math.Exp(score[1]) / sum}
		for k := range total {
			total[k] += lambda[k] / 4
		}
		if round < 3 {
			weigh(lambda, n)
		} else {
			weigh(total, n)
		}
	}
	checkCoefficients(t, s, result.Model, p.leastSquares(t))
}

func TestRecalibrationOfANumberEqualsThePooledLine(t *testing.T) {
	records, site := grouped(1200, false, 5)
	s, sites, result := groupsResult(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", heldOut, "",
		"{method: recalibrate, attribute: g, strength: [0.25, 1], release: 1}"), records, site)
	p := trainedOn(s, sites)
	predicted := p.predict(p.leastSquares(t), false)
	for g, level := range []string{"A", "B"} {
		var x, y []float64
		for i, v := range predicted {
			if p.group[i] == g {
				x, y = append(x, v), append(y, p.y[i])
			}
		}
		a, b := stat.LinearRegression(x, y, nil, false)
		c := result.Model.Mitigation.Groups[g]
		if c.Level != level || math.Abs(*c.Intercept-a) > 1e-7 || math.Abs(*c.Slope-b) > 1e-8 {
			t.Errorf("%s: line %v + %v x, want %v + %v x", level, *c.Intercept, *c.Slope, a, b)
		}
		c = result.Mitigation.Points[1].Changes[g]
		if math.Abs(*c.Intercept-a/4) > 1e-7 || math.Abs(*c.Slope-(1+(b-1)/4)) > 1e-8 {
			t.Errorf("%s: a quarter of the way is %v + %v x", level, *c.Intercept, *c.Slope)
		}
	}
}

func TestRecalibrationOfAProbabilityEqualsThePooledLine(t *testing.T) {
	records, site := grouped(2400, true, 1.5)
	s, sites, result := groupsResult(t, fmt.Sprintf(groupsStudy, binaryOutcome, "binomial", heldOut, "",
		"{method: recalibrate, attribute: g, strength: [1], release: 1}"), records, site)
	p := trainedOn(s, sites)
	predicted := p.predict(result.Model.GLM.Coefficients(s), true)
	for g, level := range []string{"A", "B"} {
		a, b := 0.0, 1.0
		for range 50 {
			var g0, g1, h0, h1, h2 float64
			for i, v := range predicted {
				if p.group[i] != g {
					continue
				}
				x := math.Log(v / (1 - v))
				mean := 1 / (1 + math.Exp(-a-b*x))
				g0, g1 = g0+p.y[i]-mean, g1+(p.y[i]-mean)*x
				w := mean * (1 - mean)
				h0, h1, h2 = h0+w, h1+w*x, h2+w*x*x
			}
			d := h0*h2 - h1*h1
			a, b = a+(h2*g0-h1*g1)/d, b+(h0*g1-h1*g0)/d
		}
		c := result.Model.Mitigation.Groups[g]
		if c.Level != level || math.Abs(*c.Intercept-a) > 1e-8 || math.Abs(*c.Slope-b) > 1e-8 {
			t.Errorf("%s: line %v + %v x, want %v + %v x", level, *c.Intercept, *c.Slope, a, b)
		}
	}
}

// The cuts are compared with a search over the pooled probabilities themselves.
func TestThresholdsEqualThePooledSearch(t *testing.T) {
	records, site := grouped(2400, true, 1.5)
	for _, rate := range []string{"tpr", "fpr", "selection_rate"} {
		s, sites, result := groupsResult(t, fmt.Sprintf(groupsStudy, binaryOutcome, "binomial", heldOut, "",
			"{method: thresholds, attribute: g, strength: [0.5, 1], release: 1, equalize: "+rate+", cost: {false_positive: 1, false_negative: 2}}"), records, site)
		p := trainedOn(s, sites)
		predicted := p.predict(result.Model.GLM.Coefficients(s), true)
		at := func(g int, cut float64) (share, cost float64) {
			var k, n float64
			for i, v := range predicted {
				if p.group[i] != g {
					continue
				}
				called := v >= cut
				if rate == "selection_rate" || (rate == "tpr") == (p.y[i] == 1) {
					n++
					if called {
						k++
					}
				}
				switch {
				case called && p.y[i] == 0:
					cost++
				case !called && p.y[i] == 1:
					cost += 2
				}
			}
			return k / n, cost
		}
		cuts := make([]float64, 101)
		var shares, costs [2][101]float64
		for e := range cuts {
			if cuts[e] = float64(e) / 100; e == 100 {
				cuts[e] = math.Nextafter(1, 2)
			}
			for g := range 2 {
				shares[g][e], costs[g][e] = at(g, cuts[e])
			}
		}
		nearest := func(g int, want float64) (best int) {
			for e := range cuts {
				if math.Abs(shares[g][e]-want) <= math.Abs(shares[g][best]-want) {
					best = e
				}
			}
			return best
		}
		best, cost, spread := 0.0, math.Inf(1), math.Inf(1)
		for k := range 1001 {
			a, b := nearest(0, float64(k)/1000), nearest(1, float64(k)/1000)
			apart := max(math.Abs(shares[0][a]-shares[1][b]), 0.02)
			if here := costs[0][a] + costs[1][b]; apart < spread || apart == spread && here < cost {
				best, cost, spread = float64(k)/1000, here, apart
			}
		}
		for g := range 2 {
			if got, want := *result.Model.Mitigation.Groups[g].Cut, cuts[nearest(g, best)]; got != want {
				t.Errorf("%s: group %d is called from %v, want %v", rate, g, got, want)
			}
		}
	}
}

// planted runs a cohort through every method that fits its outcome.
func plantedCurve(t *testing.T, binary bool, shift float64, method string) *mitigation.Result {
	t.Helper()
	outcome, family, n := numberOutcome, "gaussian", 4000
	if binary {
		outcome, family, n = binaryOutcome, "binomial", 12000
	}
	records, site := grouped(n, binary, shift)
	_, _, result := groupsResult(t, fmt.Sprintf(groupsStudy, outcome, family, heldOut, "", method), records, site)
	return result.Mitigation
}

var everyMethod = []struct {
	binary bool
	shift  float64
	method string
	closes float64 // the share of the gap that is left, at most
}{
	{false, 6, "{method: recalibrate, attribute: g, strength: [0.5, 1], release: none}", 0.1},
	{false, 6, "{method: reweigh, attribute: g, strength: [0.5, 1], release: none, balance: size}", 0.1},
	{false, 6, "{method: bounded-group-loss, attribute: g, strength: [0.5, 1], release: none, rounds: 12}", 0.25},
	{true, 2, "{method: thresholds, attribute: g, strength: [0.5, 1], release: none, equalize: tpr}", 0.3},
	{true, 2, "{method: recalibrate, attribute: g, strength: [0.5, 1], release: none, measure: calibration_in_the_large}", 0.2},
}

func TestPlantedBiasIsMitigated(t *testing.T) {
	for _, c := range everyMethod {
		r := plantedCurve(t, c.binary, c.shift, c.method)
		none, all := r.Points[0], r.Points[2]
		if !(*none.Gap.Lower > 0) {
			t.Errorf("%s: without mitigation the gap is %v, from %v: none was planted", c.method, none.Gap.Estimate, *none.Gap.Lower)
		}
		if !(all.Gap.Estimate < c.closes*none.Gap.Estimate) || !(r.Points[1].Gap.Estimate < none.Gap.Estimate) {
			t.Errorf("%s: the gap goes from %v over %v to %v", c.method, none.Gap.Estimate, r.Points[1].Gap.Estimate, all.Gap.Estimate)
		}
	}
}

func TestMitigationOfNothingDoesNoHarm(t *testing.T) {
	for _, c := range everyMethod {
		r := plantedCurve(t, c.binary, 0, c.method)
		for _, p := range r.Points {
			if *p.Gap.Lower > 0 && p.Gap.Estimate > 1.5**p.Gap.Floor {
				t.Errorf("%s at %v: a gap of %v appeared", c.method, p.Strength, p.Gap.Estimate)
			}
			if !(p.Error.Estimate < 1.02*r.Points[0].Error.Estimate) {
				t.Errorf("%s at %v: the error went from %v to %v", c.method, p.Strength, r.Points[0].Error.Estimate, p.Error.Estimate)
			}
		}
	}
}

func TestOnlyTheDeclaredStrengthIsReleased(t *testing.T) {
	records, site := grouped(1200, false, 5)
	for release, want := range map[string]float64{"none": 0, "0": 0, "0.5": 0.5, "1": 1} {
		_, _, result := groupsResult(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", heldOut, "",
			"{method: recalibrate, attribute: g, strength: [0, 0.5, 1], release: "+release+"}"), records, site)
		for _, p := range result.Mitigation.Points {
			if p.Released != (p.Strength == want) {
				t.Errorf("release %s: point %v released %v", release, p.Strength, p.Released)
			}
			all := result.Audit.Group("g", "B").Metrics["mae"].Estimate
			if own := p.Groups[1].Metrics["mae"].Estimate; p.Released != (own == all) {
				t.Errorf("release %s: the audit has %v for B, the point at %v %v", release, all, p.Strength, own)
			}
		}
		if (result.Model.Mitigation == nil) != (want == 0) || want > 0 && result.Model.Mitigation.Strength != want {
			t.Errorf("release %s: the model says %+v", release, result.Model.Mitigation)
		}
	}
}

func TestGroupsTooSmallToBeShownTakeNoPart(t *testing.T) {
	records, site := grouped(1200, false, 5)
	_, _, result := groupsResult(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", heldOut, "",
		"{method: recalibrate, attribute: g, strength: [1], release: 1}"), records, site)
	c := result.Model.Mitigation.Groups[2]
	if c.Level != "C" || c.Intercept != nil || !strings.Contains(c.General, "fewer than 3 hospitals") {
		t.Errorf("C: %+v", c)
	}
	for _, name := range result.Mitigation.Among {
		if name == "C" {
			t.Error("C takes part")
		}
	}
}

func TestReleaseOfAMitigationThatCannotBeEndsTheStudy(t *testing.T) {
	records, _ := grouped(1200, false, 5)
	s := parse(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", "", "",
		"{method: recalibrate, attribute: g, strength: [1], release: 1}"))
	for i := range records {
		records[i][3] = "A"
	}
	sites := matrices(t, s, []string{"y", "x", "z", "g"}, records, func(i int) string { return strconv.Itoa(i % 6) })
	_, err := federate(t, s, sites, plain)
	diagnosis(t, err, "too-few-patients")
}

func TestASiteRefusesWeightsAndLinesOfNoMitigation(t *testing.T) {
	records, site := grouped(400, false, 5)
	s := parse(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", "", "", "{method: reweigh, attribute: g, strength: [1], release: 1, balance: size}"))
	sites := matrices(t, s, []string{"y", "x", "z", "g"}, records, site)
	for parameters, why := range map[string]string{
		`{"weights":[[1],[1]]}`:                 "not of the study",
		`{"weights":[[1],[1],[1],[21]]}`:        "beyond its bounds",
		`{"weights":[[1],[1],[1],[-1]]}`:        "beyond its bounds",
		`{"weights":[[1,1],[1,1],[1,1],[1,1]]}`: "not of the classes",
	} {
		if _, err := Answer(s, "describe/counts", []byte(parameters), Site{Name: "a", Records: sites[0]}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", parameters, err)
		}
	}
	for _, step := range []string{"mitigation/lines", "mitigation/classes", "mitigation/scores", "mitigation/losses"} {
		if _, err := Layout(s, step, nil); err == nil {
			t.Errorf("%s is not of this study's method", step)
		}
	}
	held := parse(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", heldOut, "", "{method: recalibrate, attribute: g, strength: [1], release: 1}"))
	looked := ""
	if _, err := federateSeeing(t, held, matrices(t, held, []string{"y", "x", "z", "g"}, records, site), plain, func(q compute.Question) {
		if q.Step == mitigation.StepLines {
			looked = string(q.Parameters)
		}
	}); err != nil {
		t.Fatal(err)
	}
	const out = `"leave_out":{"fold":0},`
	if _, err := Layout(held, mitigation.StepLines, []byte(looked)); err != nil || !strings.Contains(looked, out) {
		t.Errorf("%s: %v", looked, err)
	}
	if _, err := Layout(held, mitigation.StepLines, []byte(strings.Replace(looked, out, "", 1))); err == nil || !strings.Contains(err.Error(), "fitted to") {
		t.Errorf("a line of patients that are held out: %v", err)
	}
	if _, err := Layout(s, "mitigation/shares", []byte(`{"parameters":{"groups":[0,1],"patients":[300,10]}}`)); err == nil || !strings.Contains(err.Error(), "minimum cell") {
		t.Errorf("shares of a small group: %v", err)
	}
}

func TestStepsBoundTheRoundsOfAMitigation(t *testing.T) {
	src := strings.Replace(groupsStudy, "{kind: glm, family: %s}", "%s", 1)
	const linear, logistic, sgd = "{kind: glm, family: gaussian, splines: [\"spline(x, df: 3)\"]}", "{kind: glm, family: binomial}", "{kind: neural, optimizer: {name: sgd, rate: 0.05}}"
	for _, c := range []struct {
		binary          bool
		model, fairness string
		method          string
	}{
		{false, linear, "", "{method: recalibrate, attribute: g, strength: [0.5, 1], release: none}"},
		{false, linear, "", "{method: bounded-group-loss, attribute: g, strength: [0.5, 1], release: 1, rounds: 3}"},
		{false, linear, "bands: [20],", "{method: reweigh, attribute: g, strength: [0.5, 1], release: 1}"},
		{true, logistic, "", "{method: reweigh, attribute: g, strength: [0.5, 1], release: 1}"},
		{true, logistic, "", "{method: recalibrate, attribute: g, strength: [0.5, 1], release: 1}"},
		{true, logistic, "", "{method: thresholds, attribute: g, strength: [0.5, 1], release: 1, equalize: fpr}"},
		{false, sgd, "", "{method: q-fedavg, attribute: g, strength: [0.5, 1], release: 1}"},
		{true, sgd, "every: 15,", "{method: fairfed, attribute: g, strength: [0.5, 1], release: 1}"},
		{false, sgd, "every: 15,", "{method: reweigh, attribute: g, strength: [0.5, 1], release: 1, balance: size}"},
	} {
		outcome := numberOutcome
		if c.binary {
			outcome = binaryOutcome
		}
		s := parse(t, fmt.Sprintf(src, outcome, c.model, heldOut, c.fairness, c.method))
		records, site := grouped(1200, c.binary, 3)
		sites := matrices(t, s, []string{"y", "x", "z", "g"}, records, site)
		asked := map[string]int{}
		if _, err := federateSeeing(t, s, sites, plain, func(q compute.Question) { asked[q.Step]++ }); err != nil {
			t.Fatal(err)
		}
		for _, step := range Steps(s, len(sites)) {
			if asked[step.Step] > step.Rounds {
				t.Errorf("%s: %d rounds of %s, announced %d", c.method, asked[step.Step], step.Step, step.Rounds)
			}
			delete(asked, step.Step)
		}
		if len(asked) > 0 {
			t.Errorf("%s: steps that were not announced: %v", c.method, asked)
		}
	}
}

func TestPredictionForAGroup(t *testing.T) {
	records, site := grouped(1200, false, 5)
	s, sites, result := groupsResult(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", heldOut, "",
		"{method: recalibrate, attribute: g, strength: [1], release: 1}"), records, site)
	p, err := result.Model.Predictor(s)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := p.Reader([]string{"g", "x", "z"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Reader([]string{"x", "z"}); err == nil {
		t.Error("the model asks for the group: a file without the column must be refused")
	}
	forecast, err := result.Model.Forecast(s, sites[0])
	if err != nil {
		t.Fatal(err)
	}
	damaged := *result.Model
	short := *damaged.Mitigation
	short.Groups = short.Groups[:2]
	damaged.Mitigation = &short
	if _, err := damaged.Predictor(s); err == nil {
		t.Error("a model that lacks a group must be refused")
	}
	if _, err := damaged.Forecast(s, sites[0]); err == nil {
		t.Error("a model that lacks a group must not be judged")
	}
	row := sites[0].Row(0)
	general, err := p.Predict(row, 0)
	if err != nil {
		t.Fatal(err)
	}
	for g, want := range map[string]string{"A": "A", "B": "B", "C": "general", "": "general", "D": "general"} {
		group := reader.Group([]string{g, "0", "0"})
		out, own, err := p.PredictFor(row, 0, group)
		if err != nil || own.Name != want {
			t.Errorf("group %q: %v, %v; want %s", g, own, err, want)
		}
		if (want == "general") != (out.Value == general.Value) {
			t.Errorf("group %q: %v, in general %v", g, out.Value, general.Value)
		}
		if group == sites[0].Group(0, 0) && math.Abs(out.Value-forecast.Values[0]) > 1e-12 {
			t.Errorf("a patient is predicted %v, the audit judges %v", out.Value, forecast.Values[0])
		}
		if !(out.Lower < out.Value && out.Value < out.Upper) {
			t.Errorf("group %q: interval %v to %v around %v", g, out.Lower, out.Upper, out.Value)
		}
	}
}

// A network without hidden layers, trained by full gradients, is the weighted
// least squares model that the weights ask for.
func TestReweighedNetworkEqualsThePooledFit(t *testing.T) {
	records, site := grouped(1200, false, 5)
	src := strings.Replace(groupsStudy, "{kind: glm, family: %s}", "%s", 1)
	s, sites, result := groupsResult(t, strings.Replace(fmt.Sprintf(src, numberOutcome, "{kind: neural, strategy: fedsgd, server: {name: sgd, rate: 0.2, momentum: 0.5}}", "", "",
		"{method: reweigh, attribute: g, strength: [1], release: 1, balance: size}"), "rounds: 40, tolerance: 1e-13", "rounds: 300, tolerance: 1e-16", 1), records, site)
	p := trainedOn(s, sites)
	var n, group [2]float64
	for _, g := range p.group {
		if g < 2 {
			group[g]++
			n[0]++
		}
	}
	for i, g := range p.group {
		if g < 2 {
			p.weights[i] = n[0] / (2 * group[g])
		}
	}
	want := p.predict(p.leastSquares(t), false)
	predictor, err := result.Model.Predictor(s)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range p.rows {
		got, err := predictor.Predict(row, 0)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got.Value-want[i]) > 1e-6*math.Abs(want[i]) { // the rounds end when the loss moves by less than it is carried with
			t.Fatalf("patient %d: %v, want %v", i, got.Value, want[i])
		}
	}
}

func TestQFedAvgIsACurveOfModels(t *testing.T) {
	records, site := grouped(1200, false, 5)
	src := strings.Replace(groupsStudy, "{kind: glm, family: %s}", "%s", 1)
	s, sites, result := groupsResult(t, strings.Replace(fmt.Sprintf(src, numberOutcome, "{kind: neural, optimizer: {name: sgd, rate: 0.05}}", heldOut, "",
		"{method: q-fedavg, attribute: g, strength: [0.5, 1], release: 0.5, q: 2}"), "rounds: 40", "rounds: 10", 1), records, site)
	if len(result.Mitigation.Points) != 3 || result.Mitigation.NeedsGroup || result.Model.Mitigation.Strength != 0.5 {
		t.Fatalf("%+v", result.Mitigation)
	}
	for _, p := range result.Mitigation.Points {
		if p.Gap == nil || p.Error == nil || p.Failed != "" {
			t.Errorf("strength %v has no point: %+v", p.Strength, p)
		}
	}
	if _, err := Answer(s, "neural/moments", []byte(`{"q":0.7}`), Site{Name: "a", Records: sites[0]}); err == nil {
		t.Error("an exponent that is no strength's must be refused")
	}
}

func TestFairFedIsACurveOfModels(t *testing.T) {
	records, site := grouped(2400, true, 1.5)
	src := strings.Replace(groupsStudy, "{kind: glm, family: %s}", "%s", 1)
	s, sites, result := groupsResult(t, strings.Replace(fmt.Sprintf(src, binaryOutcome, "{kind: neural, optimizer: {name: sgd, rate: 0.05}}", heldOut, "reference: {g: B},",
		"{method: fairfed, attribute: g, strength: [0.5, 1], release: 0.5, beta: 2}"), "rounds: 40", "rounds: 10", 1), records, site)
	if len(result.Mitigation.Points) != 3 || result.Mitigation.NeedsGroup || result.Model.Mitigation.Strength != 0.5 || result.Mitigation.Measure != "tpr" {
		t.Fatalf("%+v", result.Mitigation)
	}
	for _, p := range result.Mitigation.Points {
		if p.Gap == nil || p.Error == nil || p.Failed != "" {
			t.Errorf("strength %v has no point: %+v", p.Strength, p)
		}
	}
	if c := result.Model.Mitigation.Groups; c[0].General != "" || !strings.Contains(c[2].General, "fewer than 3 hospitals") || c[3].General == "" {
		t.Errorf("on sides of the gap: %+v", c)
	}
	if fmt.Sprint(result.Mitigation.Among) != "[A B]" {
		t.Errorf("among %v", result.Mitigation.Among)
	}
	for parameters, why := range map[string]string{
		`{"gap_weights":{"beta":0.7,"reference":1,"others":[0]}}`: "beta is not",
		`{"gap_weights":{"beta":1,"reference":0,"others":[1]}}`:   "reference is not",
	} {
		if _, err := Answer(s, "neural/moments", []byte(parameters), Site{Name: "a", Records: sites[0]}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", parameters, err)
		}
	}
}

// A patient who weighs 3 is three patients.
func TestWeightsInANetworkAreCopiesOfPatients(t *testing.T) {
	records, site := grouped(400, false, 5)
	src := strings.Replace(groupsStudy, "{kind: glm, family: %s}", "%s", 1)
	s := parse(t, fmt.Sprintf(src, numberOutcome, "{kind: neural, hidden: [4], strategy: fedsgd}", "", "", "{method: reweigh, attribute: g, strength: [1], release: 1, balance: size}"))
	sites := matrices(t, s, []string{"y", "x", "z", "g"}, records, site)
	times := map[string]int{"A": 1, "B": 3, "C": 2}
	var copies [][]string
	var at []string
	for i, r := range records {
		for range times[r[3]] {
			copies, at = append(copies, r), append(at, site(i))
		}
	}
	copied := matrices(t, s, []string{"y", "x", "z", "g"}, copies, func(i int) string { return at[i] })
	session := New(s)
	q, _, err := session.Next()
	for ; err == nil && q.Step != "neural/round"; q, _, err = session.Next() {
		if err := session.Absorb(ask(t, s, sites, q, plain)); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	asked, _, err := readScoped(s, q.Parameters)
	if err != nil {
		t.Fatal(err)
	}
	asked.Weights = [][]float64{{1}, {3}, {2}, {1}}
	weighted, err := compute.EncodeParameters(asked)
	if err != nil {
		t.Fatal(err)
	}
	for k := range sites {
		got, err := Answer(s, q.Step, weighted, Site{Name: "a", Records: sites[k]})
		if err != nil {
			t.Fatal(err)
		}
		want, err := Answer(s, q.Step, q.Parameters, Site{Name: "a", Records: copied[k]})
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(want); i++ { // but for how many they are
			if math.Abs(got[i]-want[i]) > 1e-12*(1+math.Abs(want[i])) {
				t.Errorf("site %d, number %d: %v, want %v", k, i, got[i], want[i])
			}
		}
	}
}

// Predictions of a recalibrated release need the group: a study that watches it
// has to say where to find it.
func TestARecalibratedReleaseIsWatchedWithItsMitigation(t *testing.T) {
	const watch = `
study: watch
version: 1
outcome: %s
features:
  - {column: x, type: number, range: [-10, 10]}
  - {column: z, type: number, range: [-10, 10]}
model: {kind: glm, family: gaussian}
fairness: {disclosure: primary, attributes: [%s{column: g, levels: [A, B, C]}], minimum_cell: 11}
%s
`
	const own = "{method: recalibrate, attribute: g, strength: [1], release: 1}"
	of := parse(t, fmt.Sprintf(groupsStudy, numberOutcome, "gaussian", "", "", own))
	for _, c := range []struct {
		others, mitigation string
		good               bool
	}{
		{"", "", false},
		{"", "mitigation: " + own, true},
		{"{column: h, levels: [u]}, ", "mitigation: " + own, true},
		{"", "mitigation: {method: reweigh, attribute: g, strength: [1], release: 1, balance: size}", false},
	} {
		s := parse(t, fmt.Sprintf(watch, numberOutcome, c.others, c.mitigation))
		if err := Watches(s, of); (err == nil) != c.good {
			t.Errorf("%q: %v", c.mitigation, err)
		}
	}
}
