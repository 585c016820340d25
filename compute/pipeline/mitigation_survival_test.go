package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const survivalStudy = `
study: survivors
version: 1
outcome: {type: survival, time: {column: time, range: [0, 12], grid: {step: 0.5}}, event: {column: event, positive: ["1"]}}
features:
  - {column: x, type: number, range: [-5, 5]}
  - {column: z, type: number, range: [-5, 5]}
model: {kind: cox, stratify: %s}
%s
fairness: {attributes: [{column: g, levels: [A, B, C]}], %s minimum_cell: 11}
mitigation: %s
schedule: {tolerance: 1e-12}
`

// survivors are patients of two groups and a handful of a third, who is at two
// hospitals of six; the hazard of group B is so many times that of A, which the
// model cannot see.
func survivors(t *testing.T, s *study.Study, n int, times float64) []*study.Matrix {
	random := rand.New(rand.NewPCG(7, 11))
	var records [][]string
	var at []string
	for i := range n {
		x, z, g, hospital := max(-5, min(5, random.NormFloat64())), max(-5, min(5, random.NormFloat64())), "A", i%6
		hazard := 0.1 * math.Exp(0.6*x-0.3*z)
		switch {
		case i%4 == 0:
			g, hazard = "B", hazard*times
		case i%97 == 1:
			g, hospital = "C", i%2
		}
		time, event := random.ExpFloat64()/hazard, "1"
		if followed := 2 + 9*random.Float64(); time > followed {
			time, event = followed, "0"
		}
		records = append(records, []string{text(max(time, 0.001)), event, text(x), text(z), g})
		at = append(at, strconv.Itoa(hospital))
	}
	return matrices(t, s, []string{"time", "event", "x", "z", "g"}, records, func(i int) string { return at[i] })
}

// The factor of a group is the sum of its events over that of the hazards which the
// released model's baseline and coefficients give each of its patients, taken
// together, until the last declared time.
func TestRecalibrationOfSurvivalIsObservedOverExpected(t *testing.T) {
	for _, stratify := range []string{study.StratifySite, study.StratifyNone} {
		s := parse(t, fmt.Sprintf(survivalStudy, stratify, "", "disclosure: primary, times: [4, 8],", "{method: recalibrate, attribute: g, strength: [0.5, 1], release: 1}"))
		sites := survivors(t, s, 1500, 2.5)
		result, err := federate(t, s, sites, fixedPoint)
		if err != nil {
			t.Fatal(err)
		}
		m := result.Model.Cox
		var events, expected [2]float64
		for _, site := range sites {
			for i := range site.Rows() {
				g := site.Group(i, 0)
				if g > 1 {
					continue
				}
				eta := 0.0
				for j, term := range m.Terms {
					eta += term.Estimate * (site.Row(i)[1+j] - term.Mean)
				}
				time, before, hazard := min(site.Outcome(i), 8), [2]float64{}, 0.0
				for _, p := range m.Baseline {
					if p.Time >= time {
						hazard = before[1] + (p.Hazard-before[1])*(time-before[0])/(p.Time-before[0])
						break
					}
					before = [2]float64{p.Time, p.Hazard}
					hazard = p.Hazard
				}
				expected[g] += min(hazard*math.Exp(eta), 64)
				if site.Event(i) && site.Outcome(i) <= 8 {
					events[g]++
				}
			}
		}
		for g, level := range []string{"A", "B"} {
			want := events[g] / expected[g]
			c := result.Model.Mitigation.Groups[g]
			if c.Level != level || c.Factor == nil || math.Abs(*c.Factor-want) > 1e-9*want {
				t.Errorf("%s, %s: %+v, want a factor of %v", stratify, level, c, want)
			}
			half := result.Mitigation.Points[1].Changes[g]
			if math.Abs(*half.Factor-math.Sqrt(want)) > 1e-9 {
				t.Errorf("%s, %s: half of the way is %v", stratify, level, *half.Factor)
			}
		}
		if c := result.Model.Mitigation.Groups[2]; c.Factor != nil || c.General == "" {
			t.Errorf("C: %+v", c)
		}
	}
}

func TestMitigationOfSurvivalClosesAPlantedGap(t *testing.T) {
	for method, closes := range map[string]float64{
		"{method: recalibrate, attribute: g, strength: [0.5, 1], release: 1}": 0.25,
		"{method: reweigh, attribute: g, strength: [0.5, 1], release: 1}":     1.01, // a weight cannot tell the groups apart
	} {
		s := parse(t, fmt.Sprintf(survivalStudy, study.StratifySite, heldOut, "disclosure: primary,", method))
		asked := map[string]int{}
		sites := survivors(t, s, 3000, 2.5)
		result, err := federateSeeing(t, s, sites, fixedPoint, func(q compute.Question) { asked[q.Step]++ })
		if err != nil {
			t.Fatal(err)
		}
		r := result.Mitigation
		if r.Error != "discordance" || r.Measure != "oe" || r.NeedsGroup != (closes < 1) || len(r.Points) != 3 {
			t.Fatalf("%s: %+v", method, r)
		}
		none, all := r.Points[0], r.Points[2]
		if !(*none.Gap.Lower > 0.3) {
			t.Errorf("%s: without mitigation the gap is %v, from %v: none was planted", method, none.Gap.Estimate, *none.Gap.Lower)
		}
		if !(all.Gap.Estimate < closes*none.Gap.Estimate) {
			t.Errorf("%s: the gap goes from %v over %v to %v", method, none.Gap.Estimate, r.Points[1].Gap.Estimate, all.Gap.Estimate)
		}
		c := result.Audit.Group("all", "all").Metrics["cindex"]
		if got, want := all.Error.Estimate, 1-c.Estimate; got != want || !(*all.Error.Lower <= got && got <= *all.Error.Upper) {
			t.Errorf("%s: the error of the released model is %v, one less its C-index %v", method, got, want)
		}
		for _, step := range Steps(s, len(sites)) {
			if asked[step.Step] > step.Rounds {
				t.Errorf("%s: %d rounds of %s, announced %d", method, asked[step.Step], step.Step, step.Rounds)
			}
			delete(asked, step.Step)
		}
		if len(asked) > 0 {
			t.Errorf("%s: steps that were not announced: %v", method, asked)
		}
	}
}

// A patient of a group is predicted the risk by which the audit judges the model.
func TestSurvivalPredictionForAGroup(t *testing.T) {
	s := parse(t, fmt.Sprintf(survivalStudy, study.StratifyNone, "", "disclosure: primary,", "{method: recalibrate, attribute: g, strength: [1], release: 1}"))
	sites := survivors(t, s, 1500, 2.5)
	result, err := federate(t, s, sites, plain)
	if err != nil {
		t.Fatal(err)
	}
	p, err := result.Model.Predictor(s)
	if err != nil {
		t.Fatal(err)
	}
	forecast, err := result.Model.Forecast(s, sites[0])
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range 40 {
		out, own, err := p.PredictFor(sites[0].Row(i), 0, sites[0].Group(i, 0))
		if err != nil {
			t.Fatal(err)
		}
		seen[own.Name] = true
		if want := 1 - forecast.Free(i, 12); math.Abs(out.Value-want) > 1e-12 || !(want > 0 && want < 1) {
			t.Errorf("patient %d of %s: a risk of %v, the audit judges %v", i, own.Name, out.Value, want)
		}
		sum := out.Baseline
		for _, c := range out.Contributions {
			sum += c.Change
		}
		if math.IsNaN(sum) {
			t.Errorf("patient %d: contributions are no numbers", i)
		}
	}
	if !seen["A"] || !seen["B"] {
		t.Errorf("groups seen: %v", seen)
	}
}

// The reweighed fit of the study is the fit of a study whose patients are copied as
// often as they weigh.
func TestReweighedSurvivalWeighsByGroupSize(t *testing.T) {
	s := parse(t, fmt.Sprintf(survivalStudy, study.StratifySite, "", "disclosure: primary,", "{method: reweigh, attribute: g, strength: [1], release: 1}"))
	sites := survivors(t, s, 1500, 2.5)
	result, err := federate(t, s, sites, fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	var n [2]float64
	for _, m := range sites {
		for i := range m.Rows() {
			if g := m.Group(i, 0); g < 2 {
				n[g]++
			}
		}
	}
	weights := [][]float64{{(n[0] + n[1]) / 2 / n[0]}, {(n[0] + n[1]) / 2 / n[1]}, {1}, {1}}
	for g, c := range result.Model.Mitigation.Groups[:2] {
		if math.Abs(c.Weights[0]-weights[g][0]) > 1e-12 {
			t.Errorf("%s weighs %v, want %v", c.Level, c.Weights, weights[g])
		}
	}
	// Of the released fit the score of the weighted partial likelihood is zero.
	var score [2]float64
	for _, m := range sites {
		for i := range m.Rows() {
			if !m.Event(i) {
				continue
			}
			var risk float64
			var mean [2]float64
			for k := range m.Rows() {
				if m.Outcome(k) < m.Outcome(i) {
					continue
				}
				eta := 0.0
				for j, term := range result.Model.Cox.Terms {
					eta += term.Estimate * m.Row(k)[1+j]
				}
				w := weights[m.Group(k, 0)][0] * math.Exp(eta)
				risk += w
				for j := range mean {
					mean[j] += w * m.Row(k)[1+j]
				}
			}
			for j := range score {
				score[j] += weights[m.Group(i, 0)][0] * (m.Row(i)[1+j] - mean[j]/risk)
			}
		}
	}
	if math.Abs(score[0]) > 1e-6 || math.Abs(score[1]) > 1e-6 {
		t.Errorf("the score is %v", score)
	}
}
