package siteagent

import (
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// A prediction of a model that asks for the group says which part of the model
// was used; whoever has no known group has the general model.
func TestAPredictionSaysWhichGroupsModelWasUsed(t *testing.T) {
	s, err := study.Parse([]byte(`study: s
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features: [{column: x, type: number, range: [-9, 9]}]
model: {kind: glm, family: binomial}
fairness: {attributes: [{column: g, levels: [a, b]}]}
mitigation: {method: thresholds, attribute: g, strength: [1], release: 1, equalize: tpr}
`))
	if err != nil {
		t.Fatal(err)
	}
	cut := 0.8
	model := &pipeline.Model{
		GLM: &glm.Model{Kind: study.GLM, Family: study.Binomial, Outcome: "y", Statistic: "z", DFResidual: 50, Covariance: make([]float64, 4),
			Terms: []glm.Term{{Name: study.Intercept, Estimate: 0.5, Mean: 1}, {Name: "x", Estimate: 1}}},
		Mitigation: &mitigation.Applied{Method: study.GroupThresholds, Attribute: "g", Strength: 1,
			Groups: []mitigation.Change{{Level: "a", Cut: &cut}, {Level: "b", General: "too small"}, {Level: study.Unknown, General: "no patients"}}},
	}
	predictor, err := model.Predictor(s)
	if err != nil {
		t.Fatal(err)
	}
	if !predictor.NeedsGroup() || !predictor.HasThresholds() {
		t.Fatal("the model asks for the group and has thresholds")
	}
	reader, err := predictor.Reader([]string{"x", "g"})
	if err != nil {
		t.Fatal(err)
	}
	for group, want := range map[string][]string{ // the probability is 0.62
		"a": {"a", "false"}, "b": {"general", "true"}, "": {"general", "true"}, "elsewhere": {"general", "true"},
	} {
		line := make([]string, 7) // prediction, lower, upper, contribution, reason, group, positive
		if reason := predict(predictor, reader, []string{"0", group}, line); reason != "" {
			t.Fatal(reason)
		}
		if !slices.Equal(line[5:], want) || line[4] != "" || line[0] != "0.6224593312" {
			t.Errorf("group %q: %q, want %q", group, line, want)
		}
	}
}
