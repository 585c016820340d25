package glm

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// A site answers the steps of its study only, and only parameters that are in
// range and in their one spelling.
func TestSitesRefuseWhatIsNotTheStudys(t *testing.T) {
	columns, records, site := synthetic()
	studies := map[string]*study.Study{
		"poisson": parse(t, describeStudy(abc, "poisson", "")),
		"nb":      parse(t, describeStudy(abc, "negative-binomial", "")),
		"robust":  parse(t, describeStudy(abc, "poisson", ", standard_errors: robust")),
		"random":  parse(t, describeStudy(abc, "binomial", ", site_effects: random")),
		"nbmixed": parse(t, describeStudy(abc, "negative-binomial", ", site_effects: random")),
		"gamma":   parse(t, describeStudy(abc, "gamma", ", site_effects: random")),
		"reml":    parse(t, describeStudy(abc, "gaussian", ", site_effects: random")),
		"weights": parse(t, describeStudy(abc, "gaussian", ", weights: w, offset: logt")),
	}
	const at = `"coefficients":[0,0,0,0,0],"centre":{"columns":[0,5,0,0,0],"outcome":0}`
	for _, good := range []struct{ study, step, parameters string }{
		{"poisson", StepMeans, ""},
		{"poisson", StepNewton, "{" + at + "}"},
		{"nb", StepNewton, "{" + at + `,"theta":2}`},
		{"robust", StepScores, "{" + at + `,"units":[1,1,1,1,1]}`},
		{"random", StepQuadrature, "{" + at + `,"sd":0.5}`},
		{"random", StepQuadrature, "{" + at + `,"sd":0}`},
		{"nbmixed", StepQuadrature, "{" + at + `,"theta":2,"sd":0.5}`},
		{"gamma", StepQuadrature, "{" + at + `,"theta":2,"sd":0.5}`},
		{"reml", StepBetween, `{"centre":{"columns":[0,5,0,0,0],"outcome":0},"ratio":0.1}`},
		{"weights", StepGram, `{"centre":{"columns":[0,5,0,0,0],"outcome":-21}}`}, // less the offset
	} {
		s := studies[good.study]
		if _, err := Answer(s, good.step, []byte(good.parameters), matrices(t, s, columns, records, 6, site)[0]); err != nil {
			t.Errorf("%s %s: %v", good.study, good.step, err)
		}
	}
	for _, bad := range []struct{ study, step, parameters string }{
		{"poisson", StepMeans, "{}"},
		{"poisson", StepGram, `{"centre":{"columns":[0,5,0,0,0],"outcome":0}}`},
		{"poisson", StepScores, "{" + at + `,"units":[1,1,1,1,1]}`},
		{"poisson", StepNewton, "{" + at + `,"theta":2}`},
		{"poisson", StepNewton, "{" + at + `,"sd":0.5}`},
		{"poisson", StepNewton, "{" + strings.Replace(at, "[0,5", "[0,11", 1) + "}"},
		{"poisson", StepNewton, "{" + strings.Replace(at, "[0,0,0,0,0]", "[0,0,0,0,1e12]", 1) + "}"},
		{"poisson", StepNewton, "{" + strings.Replace(at, "[0,0,0,0,0]", "[-0,0,0,0,0]", 1) + "}"},
		{"nb", StepNewton, "{" + at + "}"},
		{"nb", StepNewton, "{" + at + `,"theta":0}`},
		{"nb", StepNewton, "{" + at + `,"theta":1e9}`},
		{"robust", StepScores, "{" + at + `}`},
		{"robust", StepScores, "{" + at + `,"units":[1,1,1,1]}`},
		{"robust", StepScores, "{" + at + `,"units":[1,1,0,1,1]}`},
		{"robust", StepScores, "{" + at + `,"units":[1,1,1e-300,1,1]}`},
		{"random", StepQuadrature, "{" + at + `}`},
		{"random", StepQuadrature, "{" + at + `,"sd":-0.5}`},
		{"random", StepQuadrature, "{" + at + `,"theta":2,"sd":0.5}`},
		{"nbmixed", StepQuadrature, "{" + at + `,"sd":0.5}`},
		{"nbmixed", StepQuadrature, "{" + at + `,"theta":1e9,"sd":0.5}`},
		{"gamma", StepQuadrature, "{" + at + `,"theta":0,"sd":0.5}`},
		{"gamma", StepQuadrature, "{" + at + `,"theta":2}`},
		{"random", StepQuadrature, "{" + at + `,"sd":1e3}`},
		{"random", StepNewton, "{" + at + "}"},
		{"reml", StepBetween, `{"centre":{"columns":[0,5,0,0,0],"outcome":0},"ratio":0}`},
		{"reml", StepBetween, `{"centre":{"columns":[0,5,0,0,0],"outcome":0},"ratio":1e9}`},
		{"weights", StepGram, `{"centre":{"columns":[0,5,0,0,0],"outcome":91}}`},
		{"weights", "glm/hessian", ""},
	} {
		s := studies[bad.study]
		if _, err := Layout(s, bad.step, []byte(bad.parameters)); err == nil {
			t.Errorf("%s: a layout for %s with %s", bad.study, bad.step, bad.parameters)
		}
		if _, err := Answer(s, bad.step, []byte(bad.parameters), matrices(t, s, columns, records, 6, site)[0]); err == nil {
			t.Errorf("%s: %s with %s is answered", bad.study, bad.step, bad.parameters)
		}
	}
}

// Wherever a question may ask, no number of a contribution is beyond its bound,
// also where records are at the ends of their ranges.
func TestBoundsHoldAtTheEndsOfRanges(t *testing.T) {
	extremes := map[string][]string{
		"gaussian": {"-20", "40"}, "binomial": {"0", "1"}, "poisson": {"0", "100"}, "negative-binomial": {"0", "100"}, "gamma": {"0.01", "200"},
	}
	column := map[string]string{"gaussian": "y", "binomial": "bin", "poisson": "count", "negative-binomial": "count", "gamma": "pos"}
	for family, ends := range extremes {
		for _, effects := range []string{"", ", site_effects: fixed", ", site_effects: random", ", standard_errors: robust"} {
			s := parse(t, describeStudy(abc, family, ", offset: o, weights: w"+effects))
			var records [][]string
			for i := range 64 {
				records = append(records, []string{[]string{"0", "10"}[i%2], []string{"-10", "10"}[i/2%2], "uvw"[i%3 : i%3+1], []string{"-50", "50"}[i/4%2], []string{"1e-6", "1e6"}[i/8%2], ends[i/16%2]})
			}
			m := matrices(t, s, []string{"a", "b", "c", "o", "w", column[family]}, records, 1, func(int) int { return 0 })
			theta, sd := 1e-3, 50.0
			for _, scale := range []float64{0, 1, -1, 30, -30, 1e8, -1e8} {
				q := newtonParameters{Coefficients: []float64{scale, scale, -scale, scale / 2, scale}, Centre: newCentre(s, []float64{0, 0, 10, 0, 0}, -70)}
				for j := range q.Coefficients {
					q.Coefficients[j] += 0
				}
				if family == "negative-binomial" {
					q.Theta = &theta
				}
				scores := scoreParameters{newtonParameters: q, Units: []float64{1, 0x1p-100, 1, 1, 1}}
				mixed := q
				mixed.SD = &sd
				if family == "gamma" {
					shape := float64(largestTheta)
					mixed.Theta = &shape
				}
				for step, parameters := range map[string]any{StepMeans: nil, StepNewton: q, StepScores: scores, StepQuadrature: mixed,
					StepGram: gramParameters{q.Centre}, StepBetween: betweenParameters{q.Centre, largestRatio}} {
					if _, err := stepOf(s, step); err != nil {
						continue
					}
					var encoded []byte
					if parameters != nil {
						encoded, _ = compute.EncodeParameters(parameters)
					}
					layout, err := Layout(s, step, encoded)
					if err != nil {
						t.Fatal(family, step, err)
					}
					ask(t, s, compute.Question{Step: step, Parameters: encoded, Layout: layout}, m)
					if step == StepScores || step == StepBetween || step == StepQuadrature {
						continue // cut, or not sums over records
					}
					values, err := Answer(s, step, encoded, m[0])
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range layout {
						share := f.Bound * float64(m[0].Rows()) / maxRows
						for _, v := range values[:f.Length] {
							if f.Name != "sites" && math.Abs(v) > share*(1+1e-9) {
								t.Errorf("%s%s: %s %s: %v, records of this number may add up to %v", family, effects, step, f.Name, v, share)
							}
						}
						values = values[f.Length:]
					}
				}
			}
		}
	}
}

func TestStepsSayWhatIsSent(t *testing.T) {
	for more, want := range map[string][]string{
		"gaussian":                                    {StepGram},
		"gaussian, weights: w":                        {StepMeans, StepGram},
		"gaussian, site_effects: random":              {StepGram, StepBetween},
		"binomial":                                    {StepNewton},
		"binomial, site_effects: random":              {StepQuadrature},
		"gamma, site_effects: random":                 {StepMeans, StepQuadrature},
		"negative-binomial, site_effects: random":     {StepMeans, StepQuadrature},
		"poisson, standard_errors: robust":            {StepMeans, StepNewton, StepScores},
		"gaussian, interactions: [\"a:b\"]":           {StepMeans, StepGram},
		"gaussian, standard_errors: robust, ridge: 1": {StepGram, StepScores},
	} {
		family, rest, _ := strings.Cut(more, ",")
		if rest != "" {
			rest = "," + rest
		}
		var got []string
		for _, step := range Steps(parse(t, describeStudy(abc, family, rest))) {
			got = append(got, step.Step)
			if step.Numbers < 1 || step.Rounds < 1 || step.Purpose == "" {
				t.Errorf("%s: %+v", more, step)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", more, got, want)
		}
	}
}

// What a question carries of a model predicts as the model itself does.
func TestEncodedModelPredictsTheSame(t *testing.T) {
	columns, records, site := synthetic()
	for _, c := range []struct{ family, more string }{
		{"gaussian", ""}, {"binomial", ""}, {"poisson", ", offset: logt"}, {"gamma", ", site_effects: fixed"},
		{"negative-binomial", ""}, {"poisson", `, interactions: ["a:c"]`}, {"binomial", ", site_effects: random"},
		{"negative-binomial", ", site_effects: random"}, {"gamma", ", site_effects: random"},
	} {
		s := parse(t, describeStudy(abc, c.family, c.more))
		sites := matrices(t, s, columns, records, 6, site)
		m, _, err := federate(t, s, sites)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		lean, err := Decode(s, encoded)
		if err != nil {
			t.Fatal(err)
		}
		full, err := NewPredictor(m, s)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			row, offset := sites[0].Row(i), sites[0].Offset(i)
			p, err := full.PredictWith(row, offset)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.family+" prediction", lean.Predict(row, offset), p.Value, 1e-12)
			if !(p.Lower < p.Value && p.Value < p.Upper) {
				t.Errorf("%s: %v is not between %v and %v", c.family, p.Value, p.Lower, p.Upper)
			}
			sum := 0.0
			for _, part := range p.Contributions {
				sum += part.Link
			}
			link := func(x float64) float64 {
				switch c.family {
				case "gaussian":
					return x
				case "binomial":
					return math.Log(x / (1 - x))
				}
				return math.Log(x)
			}
			if d := math.Abs(link(p.Value) - link(p.Baseline) - sum); d > 1e-9 {
				t.Errorf("%s%s: contributions add up to %v, off by %v", c.family, c.more, sum, d)
			}
		}
	}
}

func TestDecodeRefusesWhatIsNotAModelOfTheStudy(t *testing.T) {
	s := parse(t, describeStudy(abc, "poisson", ""))
	const good = `{"terms":[{"name":"(intercept)","estimate":1},{"name":"a","estimate":0.5},{"name":"c=w","estimate":-2}]}`
	p, err := Decode(s, []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "prediction", p.Predict([]float64{1, 2, 3, 1, 0}, 0.25), math.Exp(2.25), 1e-15)
	for name, bad := range map[string]string{
		"nothing":         ``,
		"no terms":        `{"terms":null}`,
		"another order":   `{"terms":[{"name":"a","estimate":1},{"name":"(intercept)","estimate":1}]}`,
		"another term":    `{"terms":[{"name":"(intercept)","estimate":1},{"name":"z","estimate":1}]}`,
		"a term twice":    `{"terms":[{"name":"(intercept)","estimate":1},{"name":"(intercept)","estimate":1}]}`,
		"beyond reach":    `{"terms":[{"name":"(intercept)","estimate":1e300}]}`,
		"minus zero":      `{"terms":[{"name":"(intercept)","estimate":-0}]}`,
		"another key":     `{"terms":[{"name":"(intercept)","estimate":1}],"x":1}`,
		"second spelling": `{"terms":[{"name":"(intercept)","estimate":1.0}]}`,
	} {
		if _, err := Decode(s, []byte(bad)); err == nil {
			t.Errorf("%s is decoded", name)
		}
	}
}

// The pieces of the likelihood keep their accuracy where exp overflows or
// vanishes.
func TestLogisticInTheTails(t *testing.T) {
	for _, eta := range []float64{-1e6, -800, -40, -1, 0, 1, 40, 800, 1e6} {
		mu, variance := logistic(eta)
		if !(mu >= 0 && mu <= 1 && variance >= 0 && variance <= 0.25) {
			t.Errorf("eta %v: %v, %v", eta, mu, variance)
		}
		if s := softplus(eta); !(s >= math.Max(eta, 0)) || math.IsInf(s, 0) {
			t.Errorf("softplus(%v) = %v", eta, s)
		}
	}
	if mu, variance := logistic(-40); relative(mu, math.Exp(-40)) > 1e-15 || relative(variance, math.Exp(-40)) > 1e-15 {
		t.Errorf("at -40: %v, %v", mu, variance)
	}
}

// The slopes that the families declare are the derivatives of their values.
func TestSlopesAreDerivatives(t *testing.T) {
	for family, outcome := range map[string]float64{"binomial": 1, "poisson": 7, "negative-binomial": 7, "gamma": 2.5} {
		f := familyOf(parse(t, describeStudy(abc, family, "")), 1.7)
		for _, eta := range []float64{-5, -1, 0.3, 2, 4} {
			const h = 1e-5
			numeric := (f.at(outcome, eta+h).value - f.at(outcome, eta-h).value) / (2 * h)
			at := f.at(outcome, eta)
			if math.Abs(numeric-at.slope) > 1e-6*(1+math.Abs(at.slope)) {
				t.Errorf("%s at %v: slope %v, numerically %v", family, eta, at.slope, numeric)
			}
			if numeric := -(f.at(outcome, eta+h).deviance - f.at(outcome, eta-h).deviance) / (4 * h); math.Abs(numeric-at.slope) > 1e-6*(1+math.Abs(at.slope)) {
				t.Errorf("%s at %v: deviance falls by %v, slope %v", family, eta, numeric, at.slope)
			}
		}
	}
	value := func(theta, y float64) float64 {
		return (&family{name: study.NegativeBinomial, theta: theta, floor: -700, ceiling: 12, rising: map[float64]rising{}}).at(y, 1.2).value
	}
	for _, y := range []float64{0, 1, 40, 2500} {
		for _, theta := range []float64{0.01, 0.8, 30, 1e4} {
			f := &family{name: study.NegativeBinomial, theta: theta, floor: -700, ceiling: 12, rising: map[float64]rising{}}
			score, _ := f.thetaSlope(y, 1.2)
			const h = 1e-4
			numeric := (value(theta*math.Exp(h), y) - value(theta*math.Exp(-h), y)) / (2 * h)
			if math.Abs(numeric-score) > 1e-5*(1+math.Abs(score)) {
				t.Errorf("theta %v, y %v: score %v, numerically %v", theta, y, score, numeric)
			}
		}
	}
}

// A step that lowers the likelihood is halved, and halved again; a likelihood
// over other patients is no reason to.
func TestStepIsHalvedWhileTheLikelihoodFalls(t *testing.T) {
	s := parse(t, `
study: one
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features: [{column: a, type: number, range: [-1, 1]}]
model: {kind: glm, family: binomial}
`)
	it := newIteration(newDesign(s, nil, newCentre(s, []float64{1, 0}, 0)), 0, 0, []float64{1, 0})
	coefficients := func() []float64 {
		parameters, err := it.parameters()
		if err != nil {
			t.Fatal(err)
		}
		var q newtonParameters
		if err := json.Unmarshal(parameters, &q); err != nil {
			t.Fatal(err)
		}
		return q.Coefficients
	}
	absorb := func(n, positives, likelihood float64) []float64 {
		t.Helper()
		sum, err := compute.NewSum(3, newtonLayout(s, it.family), []float64{n, positives, likelihood, 2, 10, 25, 1, 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := it.absorb(sum); err != nil || it.done {
			t.Fatal(it.done, err)
		}
		return coefficients()
	}
	start := coefficients()
	full, half, quarter := absorb(100, 50, -60), absorb(100, 50, -61), absorb(100, 50, -60.5)
	for j := range start {
		step := full[j] - start[j]
		if step == 0 || math.Abs(half[j]-start[j]-step/2) > 1e-15 || math.Abs(quarter[j]-start[j]-step/4) > 1e-15 {
			t.Errorf("coefficient %d: %v, %v, %v, %v", j, start[j], full[j], half[j], quarter[j])
		}
	}
	next := absorb(100, 50, -59)
	if math.Abs(next[1]-quarter[1]-(full[1]-start[1])) > 1e-12 {
		t.Error("a better likelihood is followed by a whole step")
	}
	if after := absorb(90, 45, -70); math.Abs(after[1]-next[1]-(full[1]-start[1])) > 1e-12 {
		t.Error("fewer patients have a lower likelihood; that is no reason to turn back")
	}
}
