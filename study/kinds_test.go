package study

import "testing"

// The protocol files that the documentation of the models shows.
func TestEveryDocumentedModelIsAccepted(t *testing.T) {
	const number = "{column: y, type: number, range: [1, 10]}"
	const binary = `{column: y, type: binary, positive: ["1"]}`
	const count = "{type: count, column: infections, range: [0, 50]}"
	const survival = `{type: survival, time: {column: days, range: [0, 5000], unit: d}, event: {column: status, positive: ["1"]}}`
	for _, c := range []struct{ outcome, model string }{
		{count, `{kind: glm, family: poisson, offset: log_days, interactions: ["treat:age"]}`},
		{count, `{kind: glm, family: negative-binomial, weights: {column: w, range: [0, 10]}, splines: ["spline(age, df: 4)"]}`},
		{number, "{kind: glm, family: gamma, site_effects: random}"},
		{number, "{kind: glm, family: gaussian, site_effects: fixed, standard_errors: robust}"},
		{survival, "{kind: cox, stratify: site, ties: efron}"},
		{survival, "{kind: cox, stratify: none, ties: breslow, ridge: 0.5, standard_errors: robust, interactions: [treat:age]}"},
		{number, "{kind: boost, loss: squared, trees: 100, depth: 6, bins: 64, learning_rate: 0.1, min_leaf: 20}"},
		{binary, "{kind: boost, monotone: {age: -1}, early_stopping: {patience: 10, fraction: 0.2}}"},
		{count, "{kind: boost, loss: poisson}"},
		{survival, "{kind: boost, loss: cox}"},
		{binary, "{kind: neural, hidden: [64, 32], activation: relu, strategy: fedavg, epochs: 1, batch: 32, optimizer: {name: adam, rate: 0.001}, seed: 1}"},
		{number, "{kind: neural, hidden: [], strategy: fedsgd, batch: 0, server: {name: sgd, rate: 0.1}}"},
		{number, "{kind: neural, strategy: fedprox, proximal: 0.1, clip: 1, decay: 0.01}"},
		{count, "{kind: neural, strategy: scaffold, optimizer: {name: sgd, rate: 0.01, momentum: 0.9}}"},
		{count, "{kind: neural, strategy: fedyogi, server: {rate: 0.01}}"},
		{survival, "{kind: describe}"},
	} {
		src := "study: s\nversion: 1\noutcome: " + c.outcome + "\nfeatures:\n  - {column: age, type: number, range: [0, 120]}\n" +
			"  - {column: treat, type: category, levels: [no, yes]}\nmodel: " + c.model + "\n"
		for _, validation := range []string{"", "{kind: holdout, fraction: 0.2, by: subject_id}", "{kind: k-fold, folds: 5, by: subject_id}",
			"{kind: k-fold}", "{kind: leave-one-site-out}", "{kind: external, sites: [north, south]}"} {
			whole := src
			if validation != "" && c.model != "{kind: describe}" {
				whole += "validation: " + validation + "\n"
			}
			if _, err := Parse([]byte(whole)); err != nil {
				t.Errorf("%s\n%v", whole, err)
			}
		}
	}
}
