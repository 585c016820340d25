package pipeline

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/study"
)

// tableOutcomes are the outcomes of the table's patients.
var tableOutcomes = map[string]string{
	"number":   "{column: n, type: number, range: [-50, 100]}",
	"binary":   `{column: b, type: binary, positive: ["1"]}`,
	"count":    "{column: k, type: count, range: [0, 100]}",
	"survival": `{type: survival, time: {column: time, range: [0, 12], grid: {step: 0.5}}, event: {column: b, positive: ["1"]}}`,
}

const sgdNetwork = "{kind: neural, optimizer: {name: sgd, rate: 0.02}}"

// tableRows are the kinds of models and outcomes, as the researcher's guide names
// them.
var tableRows = []struct{ name, outcome, model string }{
	{"`glm`, number", "number", "{kind: glm, family: gaussian}"},
	{"`glm`, binary", "binary", "{kind: glm, family: binomial}"},
	{"`glm`, count", "count", "{kind: glm, family: poisson}"},
	{"`boost`, number", "number", "{kind: boost, loss: squared, trees: 5, depth: 2, min_leaf: 20}"},
	{"`boost`, binary", "binary", "{kind: boost, loss: logistic, trees: 5, depth: 2, min_leaf: 20}"},
	{"`boost`, count", "count", "{kind: boost, loss: poisson, trees: 5, depth: 2, min_leaf: 20}"},
	{"`neural`, number", "number", sgdNetwork},
	{"`neural`, binary", "binary", sgdNetwork},
	{"`neural`, count", "count", sgdNetwork},
	{"`cox`, survival", "survival", "{kind: cox}"},
	{"`boost`, survival", "survival", "{kind: boost, loss: cox, trees: 5, depth: 2, min_leaf: 20}"},
	{"`boost` with `baseline`, survival", "survival", "{kind: boost, loss: cox, baseline: breslow, trees: 5, depth: 2, min_leaf: 20}"},
}

// tableColumns are the methods; words that are for some outcomes only come from
// settings.
var tableColumns = []string{study.Reweigh, study.BoundedGroupLoss, study.Recalibrate, study.GroupThresholds, study.QFedAvg, study.FairFed}

func tableStudy(row int, method, validation string) string {
	settings := map[string]string{study.Reweigh: ", balance: size", study.GroupThresholds: ", equalize: tpr", study.BoundedGroupLoss: ", rounds: 2"}[method]
	return fmt.Sprintf(`
study: table
version: 1
outcome: %s
features:
  - {column: x, type: number, range: [-5, 5]}
  - {column: z, type: number, range: [-5, 5]}
model: %s
%s
fairness: {disclosure: primary, attributes: [{column: g, levels: [A, B, C]}], minimum_cell: 11}
mitigation: {method: %s, attribute: g, strength: [0.5, 1], release: 1%s}
schedule: {rounds: 30}
`, tableOutcomes[tableRows[row].outcome], tableRows[row].model, validation, method, settings)
}

// tablePatients have all outcomes; those of group B have more of each than the
// features tell.
func tablePatients(t *testing.T, s *study.Study) []*study.Matrix {
	random := rand.New(rand.NewPCG(31, 7))
	var records [][]string
	for i := range 1200 {
		x, z, g, eta := max(-5, min(5, random.NormFloat64())), max(-5, min(5, random.NormFloat64())), "A", 0.0
		switch {
		case i/6%3 == 0:
			g, eta = "B", 0.8
		case i%97 == 1:
			g = "C"
		}
		eta += 0.6*x - 0.4*z
		event := "0"
		if random.Float64() < 1/(1+math.Exp(-eta)) {
			event = "1"
		}
		count := 0
		for limit, p := math.Exp(-math.Exp(0.5+eta/2)), random.Float64(); p > limit && count < 50; count++ {
			p *= random.Float64()
		}
		records = append(records, []string{text(20 + 5*eta + random.NormFloat64()), event, strconv.Itoa(count), text(min(12, 0.01+random.ExpFloat64()*5/math.Exp(eta))), text(x), text(z), g})
	}
	return matrices(t, s, []string{"n", "b", "k", "time", "x", "z", "g"}, records, func(i int) string { return strconv.Itoa(i % 6) })
}

// Every method does what the study file's page says for every kind of model: it
// comes to a curve and a released model that predicts, or is refused with a reason.
func TestEveryMethodWithEveryModel(t *testing.T) {
	guide, err := os.ReadFile("../../docs/study-file.md")
	if err != nil {
		t.Fatal(err)
	}
	for row, r := range tableRows {
		line := "| " + r.name + " |"
		for _, method := range tableColumns {
			s, err := study.Parse([]byte(tableStudy(row, method, heldOut)))
			if err != nil {
				if !strings.HasPrefix(err.(*study.Error).Message, "mitigation: ") || err.(*study.Error).Hint == "" && method != study.Recalibrate && method != study.GroupThresholds {
					t.Errorf("%s, %s: %v", r.name, method, err)
				}
				line += " – |"
				continue
			}
			line += " yes |"
			t.Run(r.name+"/"+method, func(t *testing.T) { comesToACurve(t, s) })
		}
		if !strings.Contains(string(guide), line) {
			t.Errorf("the guide lacks the line\n%s", line)
		}
	}
}

// A method of each kind, within the folds of a validation.
func TestMethodsWithinFolds(t *testing.T) {
	const byFold, bySite = "validation: {kind: k-fold, folds: 2}", "validation: {kind: leave-one-site-out}"
	for _, c := range []struct {
		row                int
		method, validation string
	}{
		{1, study.Recalibrate, bySite}, {4, study.Reweigh, byFold}, {5, study.BoundedGroupLoss, byFold},
		{7, study.FairFed, byFold}, {8, study.QFedAvg, byFold}, {9, study.Recalibrate, byFold}, {9, study.Reweigh, bySite},
	} {
		t.Run(tableRows[c.row].name+"/"+c.method, func(t *testing.T) { comesToACurve(t, parse(t, tableStudy(c.row, c.method, c.validation))) })
	}
}

func comesToACurve(t *testing.T, s *study.Study) {
	sites := tablePatients(t, s)
	asked := map[string]int{}
	result, err := federateSeeing(t, s, sites, fixedPoint, func(q compute.Question) { asked[q.Step]++ })
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range result.Mitigation.Points {
		if p.Failed != "" || p.Error == nil || p.Gap == nil || p.Gap.Lower == nil || !(*p.Gap.Lower <= p.Gap.Estimate && p.Gap.Estimate <= *p.Gap.Upper) {
			t.Errorf("strength %v: %+v", p.Strength, p)
		}
	}
	if a := result.Model.Mitigation; a == nil || a.Strength != 1 || a.Check(s) != nil {
		t.Errorf("the model's mitigation is %+v", a)
	}
	if shown := strings.Join(Shown(s), "\n"); !strings.Contains(shown, "mitigation: "+s.Mitigation.Method+", by g (") || mitigation.Declared(s) == "" {
		t.Errorf("whoever approves the study reads\n%s", shown)
	}
	for _, step := range Steps(s, len(sites)) {
		if asked[step.Step] > step.Rounds {
			t.Errorf("%d rounds of %s, announced %d", asked[step.Step], step.Step, step.Rounds)
		}
		delete(asked, step.Step)
	}
	if len(asked) > 0 {
		t.Errorf("steps that were not announced: %v", asked)
	}
	// What hospitals are given predicts as the audit judged.
	encoded, err := json.Marshal(result.Model)
	if err != nil {
		t.Fatal(err)
	}
	var released Model
	if err := json.Unmarshal(encoded, &released); err != nil {
		t.Fatal(err)
	}
	p, err := released.Predictor(s)
	if err != nil {
		t.Fatal(err)
	}
	forecast, err := released.Forecast(s, sites[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		out, _, err := p.PredictFor(sites[0].Row(i), 0, sites[0].Group(i, 0))
		want := forecast.Values[i]
		if s.HasBaseline() {
			want = 1 - forecast.Free(i, 12)
		}
		if err != nil || math.Abs(out.Value-want) > 1e-9*(1+math.Abs(want)) {
			t.Errorf("patient %d is predicted %v, the audit judges %v: %v", i, out.Value, want, err)
		}
	}
}

// The factor of a group is what its counts add up to over what the model without
// mitigation predicts for them.
func TestRecalibrationOfACountIsObservedOverPredicted(t *testing.T) {
	s := parse(t, strings.Replace(tableStudy(2, study.Recalibrate, ""), "release: 1", "release: none", 1))
	sites := tablePatients(t, s)
	result, err := federate(t, s, sites, fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	var observed, predicted [4]float64
	for _, m := range sites {
		forecast, err := result.Model.Forecast(s, m)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Rows() {
			observed[m.Group(i, 0)] += m.Outcome(i)
			predicted[m.Group(i, 0)] += forecast.Values[i]
		}
	}
	for at, strength := range []float64{0, 0.5, 1} {
		for g, c := range result.Mitigation.Points[at].Changes {
			want := 1 + strength*(observed[g]/predicted[g]-1)
			if g < 2 && (*c.Intercept != 0 || math.Abs(*c.Slope-want) > 1e-9) {
				t.Errorf("strength %v, %s: %v + %v x, want a factor of %v", strength, c.Level, *c.Intercept, *c.Slope, want)
			}
		}
	}
	if all := result.Mitigation.Points[2]; math.Abs(*all.Changes[0].Slope-1) < 0.05 || math.Abs(*all.Changes[1].Slope-1) < 0.05 {
		t.Errorf("nothing was planted: %+v", all.Changes)
	}
}
