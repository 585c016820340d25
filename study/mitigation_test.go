package study

import (
	"strings"
	"testing"
)

func TestMitigationIsParsedStrictly(t *testing.T) {
	const file = `study: s
version: 1
outcome: OUTCOME
features: [{column: x, type: number, range: [0, 1]}]
model: MODEL
VALIDATION
fairness: {attributes: [{column: g, levels: [a, b]}]}
mitigation: MITIGATION
`
	const number, binary, survival = `{column: y, type: number, range: [0, 9]}`, `{column: y, type: binary, positive: ["1"]}`,
		`{type: survival, time: {column: y, range: [0, 9], grid: {step: 1}}, event: {column: e, positive: ["1"]}}`
	const linear, logistic = `{kind: glm, family: gaussian}`, `{kind: glm, family: binomial}`
	for _, c := range []struct{ outcome, model, validation, mitigation, fault string }{
		{number, linear, "", "{method: reweigh, attribute: g, strength: [0, 0.5, 1], release: none, balance: size}", ""},
		{number, linear, "", "{method: recalibrate, attribute: g, strength: [1], release: 1, slope: false, measure: bias}", ""},
		{number, linear, "", "{method: bounded-group-loss, attribute: g, strength: [1], release: none, bound: 2, rounds: 3, rate: 0.5}", ""},
		{binary, logistic, "validation: {kind: holdout}", "{method: thresholds, attribute: g, strength: [1], release: 1, equalize: tpr, cost: {false_positive: 2}}", ""},
		{number, `{kind: boost, loss: squared, min_leaf: 20}`, "", "{method: recalibrate, attribute: g, strength: [1], release: none}", ""},
		{binary, `{kind: neural}`, "", "{method: fairfed, attribute: g, strength: [1], release: 1, beta: 2, equalize: selection_rate}", ""},

		{number, `{kind: neural}`, "", "{method: fairfed, attribute: g, strength: [1], release: 1, equalize: tpr}", "not one of"},
		{number, `{kind: neural, strategy: scaffold}`, "", "{method: fairfed, attribute: g, strength: [1], release: 1}", "fedprox"},
		{number, `{kind: neural, hidden: [100, 100]}`, "", "{method: fairfed, attribute: g, strength: [1], release: 1}", "carries the network"},
		{number, linear, "", "{method: fairfed, attribute: g, strength: [1], release: 1}", "neural network"},
		{number, linear, "", "{method: wish, attribute: g, strength: [1], release: none}", "not one of"},
		{number, linear, "", "{method: recalibrate, attribute: h, strength: [1], release: none}", "no attribute"},
		{number, linear, "", "{method: recalibrate, attribute: g, strength: [1]}", "missing key"},
		{number, linear, "", "{method: recalibrate, attribute: g, strength: [0.5, 1], release: 0.7}", "one of the strengths, 0.5, 1"},
		{number, linear, "", "{method: recalibrate, attribute: g, strength: [1, 0.5], release: none}", "ascend"},
		{number, linear, "", "{method: recalibrate, attribute: g, strength: [0], release: none}", "no mitigation"},
		{number, linear, "", "{method: recalibrate, attribute: g, strength: [1.5], release: none}", "from 0"},
		{number, linear, "", "{method: recalibrate, attribute: g, strength: [1], release: none, balance: size}", "recalibrate has none"},
		{number, linear, "", "{method: recalibrate, attribute: g, strength: [1], release: none, measure: tpr}", "not one of"},
		{number, linear, "", "{method: reweigh, attribute: g, strength: [1], release: none}", "bands"},
		{number, linear, "", "{method: thresholds, attribute: g, strength: [1], release: none, equalize: tpr}", "binary outcome"},
		{binary, logistic, "", "{method: thresholds, attribute: g, strength: [1], release: none}", "missing key"},
		{binary, logistic, "", "{method: thresholds, attribute: g, strength: [1], release: none, equalize: tpr, cost: {false_positive: 0, false_negative: 0}}", "must cost something"},
		{number, linear, "validation: {kind: k-fold}", "{method: recalibrate, attribute: g, strength: [1], release: 1}", ""},
		{number, linear, "validation: {kind: leave-one-site-out}", "{method: reweigh, attribute: g, strength: [1], release: 1, balance: size}", ""},
		{binary, logistic, "validation: {kind: k-fold}", "{method: thresholds, attribute: g, strength: [1], release: 1, equalize: tpr}", "one threshold"},
		{number, `{kind: boost, loss: squared, min_leaf: 20}`, "", "{method: bounded-group-loss, attribute: g, strength: [1], release: none}", ""},
		{number, `{kind: boost, loss: squared, min_leaf: 20}`, "", "{method: reweigh, attribute: g, strength: [1], release: none, balance: size}", ""},
		{survival, `{kind: boost, loss: cox, min_leaf: 20}`, "", "{method: reweigh, attribute: g, strength: [1], release: 1}", ""},
		{survival, `{kind: cox}`, "", "{method: recalibrate, attribute: g, strength: [1], release: 1}", ""},
		{survival, `{kind: cox}`, "", "{method: reweigh, attribute: g, strength: [1], release: 1}", ""},
		{survival, `{kind: cox}`, "", "{method: recalibrate, attribute: g, strength: [1], release: none, slope: true}", "factor"},
		{survival, `{kind: cox}`, "", "{method: reweigh, attribute: g, strength: [1], release: 1, balance: outcome}", "followed"},
		{survival, `{kind: cox}`, "", "{method: bounded-group-loss, attribute: g, strength: [1], release: 1}", "partial likelihood"},
		{survival, `{kind: cox}`, "", "{method: thresholds, attribute: g, strength: [1], release: 1, equalize: tpr}", "binary outcome"},
		{survival, `{kind: boost, loss: cox, min_leaf: 20}`, "", "{method: recalibrate, attribute: g, strength: [1], release: 1}", "no baseline"},
		{number, `{kind: describe}`, "", "{method: recalibrate, attribute: g, strength: [1], release: none}", "fits no model"},
	} {
		src := strings.NewReplacer("OUTCOME", c.outcome, "MODEL", c.model, "VALIDATION", c.validation, "MITIGATION", c.mitigation).Replace(file)
		s, err := Parse([]byte(src))
		switch {
		case c.fault == "" && err != nil:
			t.Errorf("%s: %v", c.mitigation, err)
		case c.fault == "" && s.Mitigation == nil:
			t.Errorf("%s: read as nothing", c.mitigation)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: %v, want a fault with %q", c.mitigation, err, c.fault)
		}
	}
}

func TestWeightsOfAMitigationMultiplyThoseOfTheStudy(t *testing.T) {
	s, err := Parse([]byte(`study: s
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features: [{column: x, type: number, range: [0, 1]}]
model: {kind: glm, family: binomial, weights: {column: w, range: [0, 3]}}
fairness: {attributes: [{column: g, levels: [a, b]}]}
mitigation: {method: reweigh, attribute: g, strength: [1], release: none}
`))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.NewBuilder([]string{"y", "x", "w", "g"})
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range [][]string{{"1", "0", "2", "a"}, {"0", "1", "3", "b"}, {"1", "1", "1", "elsewhere"}} {
		b.Add(record)
	}
	m := b.Matrix().Weighted([][]float64{{5, 7}, {11, 13}, {1, 2}})
	for i, want := range []float64{14, 33, 2} {
		if m.Weight(i) != want {
			t.Errorf("record %d weighs %v, want %v", i, m.Weight(i), want)
		}
	}
	if w := s.Weighted().Model.Weights.Range; w.Hi != 3*MostMitigationWeight || s.Model.Weights.Range.Hi != 3 {
		t.Errorf("weights are declared up to %v", w.Hi)
	}
}
