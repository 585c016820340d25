package study

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Outcomes and their study. Tests change one line.
const (
	numberOutcome   = "{column: y, type: number, range: [1, 10]}"
	binaryOutcome   = `{column: y, type: binary, positive: ["1"]}`
	countOutcome    = "{column: y, type: count, range: [0, 50]}"
	survivalOutcome = `{type: survival, time: {column: days, range: [0, 5000], unit: d}, event: {column: status, positive: ["1"], negative: ["0"]}}`
)

// kindStudy is a study of four features; more lines follow its model, which is
// on line 9.
func kindStudy(outcome, model string, more ...string) string {
	return "study: s\nversion: 1\noutcome: " + outcome + `
features:
  - {column: age, type: number, range: [0, 120]}
  - {column: bmi, type: number, range: [10, 60]}
  - {column: sex, type: category, levels: [f, m]}
  - {column: gene, type: category, levels: [GG, AG, AA]}
model: ` + model + "\n" + strings.Join(more, "")
}

// The protocol files that the documentation of the models shows.
func TestEveryDocumentedModelIsAccepted(t *testing.T) {
	const number, binary = numberOutcome, binaryOutcome
	const count = "{type: count, column: infections, range: [0, 50]}"
	const survival = `{type: survival, time: {column: days, range: [0, 5000], unit: d}, event: {column: status, positive: ["1"]}}`
	for _, c := range []struct{ outcome, model string }{
		{count, `{kind: glm, family: poisson, offset: log_days, interactions: ["treat:age"]}`},
		{count, `{kind: glm, family: negative-binomial, weights: {column: w, range: [0, 10]}, splines: ["spline(age, df: 4)"]}`},
		{number, "{kind: glm, family: gamma, site_effects: fixed}"},
		{number, "{kind: glm, family: gamma, site_effects: random}"},
		{number, "{kind: glm, family: gaussian, site_effects: fixed, standard_errors: robust}"},
		{survival, "{kind: cox, stratify: site, ties: efron}"},
		{survival, "{kind: cox, stratify: none, ties: breslow, ridge: 0.5, standard_errors: robust, interactions: [treat:age]}"},
		{number, "{kind: boost, loss: squared, trees: 100, depth: 6, bins: 64, learning_rate: 0.1, min_leaf: 20}"},
		{binary, "{kind: boost, monotone: {age: -1}, early_stopping: {patience: 10, fraction: 0.2}}"},
		{count, "{kind: boost, loss: poisson}"},
		{survival, "{kind: cox, stratify: none, time_transform: km}"},
		{survival, "{kind: cox, stratify: none, time_transform: log}"},
		{survival, "{kind: cox, time_transform: identity}"},
		{survival, "{kind: cox, time_transform: km}"},
		{survival, "{kind: cox, time_transform: rank}"},
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
			"{kind: k-fold}", "{kind: leave-one-site-out}", "{kind: external, sites: [north, south, west]}"} {
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

// TestRefusedModels: every key is refused where it makes no sense, with the
// line and a sentence.
func TestRefusedModels(t *testing.T) {
	const (
		poisson  = "{kind: glm, family: poisson}"
		gaussian = "{kind: glm, family: gaussian}"
	)
	glm := func(more string) string { return "{kind: glm, family: gaussian, " + more + "}" }
	survival := func(old, new string) string {
		if !strings.Contains(survivalOutcome, old) {
			t.Fatalf("no %q in the outcome", old)
		}
		return strings.Replace(survivalOutcome, old, new, 1)
	}
	for _, c := range []struct{ name, outcome, model, more, want string }{
		// Counts.
		{"count without range", "{column: y, type: count}", poisson, "",
			`line 3: missing key "outcome.range"; declare the plausible counts, such as range: [0, 50]; they catch mistakes and bound the encoding`},
		{"count below zero", "{column: y, type: count, range: [-1, 50]}", poisson, "",
			"line 3: outcome.range must go from one whole number to another, neither below 0: a count is one"},
		{"half a count", "{column: y, type: count, range: [0, 50.5]}", poisson, "",
			"line 3: outcome.range must go from one whole number to another, neither below 0: a count is one"},
		{"count with transform", "{column: y, type: count, range: [0, 50], transform: log}", poisson, "",
			"line 3: outcome.transform: a count has none: its model has a logarithm of its own; remove it"},
		{"count with positive", "{column: y, type: count, range: [0, 50], positive: [1]}", poisson, "", "line 3: outcome.positive: only a binary outcome has it; remove it"},
		{"count with time", "{column: y, type: count, range: [0, 50], time: {}}", poisson, "", "line 3: outcome.time: only a survival outcome has it; remove it"},
		{"number with event", "{column: y, type: number, range: [0, 50], event: {}}", gaussian, "", "line 3: outcome.event: only a survival outcome has it; remove it"},

		// Survival.
		{"survival with column", survival("type: survival", "type: survival, column: days"), "{kind: cox}", "",
			"line 3: outcome.column: a survival outcome has it in time: {column, range, unit}; remove it"},
		{"survival with range", survival("type: survival", "type: survival, range: [0, 1]"), "{kind: cox}", "",
			"line 3: outcome.range: a survival outcome has it in time: {column, range, unit}; remove it"},
		{"survival with positive", survival("type: survival", "type: survival, positive: [1]"), "{kind: cox}", "",
			"line 3: outcome.positive: a survival outcome has it in event: {column, positive, negative}; remove it"},
		{"survival with transform", survival("type: survival", "type: survival, transform: log"), "{kind: cox}", "", "line 3: outcome.transform: a survival outcome has none; remove it"},
		{"survival with at_least", survival("type: survival", "type: survival, at_least: 1"), "{kind: cox}", "", "line 3: outcome.at_least: only a binary outcome has it; remove it"},
		{"survival without time", "{type: survival, event: {column: status, positive: [1]}}", "{kind: cox}", "",
			`line 3: missing key "outcome.time"; for instance time: {column: days, range: [0, 5000], unit: d}`},
		{"survival without event", "{type: survival, time: {column: days, range: [0, 5000]}}", "{kind: cox}", "",
			`line 3: missing key "outcome.event"; for instance event: {column: status, positive: ["1"]}`},
		{"time without column", survival("column: days, ", ""), "{kind: cox}", "",
			`line 3: missing key "outcome.time.column"; name the column of the time until the event, or until the patient was last seen`},
		{"time without range", survival(", range: [0, 5000]", ""), "{kind: cox}", "",
			`line 3: missing key "outcome.time.range"; declare the plausible times, such as range: [0, 5000]; they catch unit mistakes and bound the encoding`},
		{"time before entry", survival("[0, 5000]", "[-1, 5000]"), "{kind: cox}", "", "line 3: outcome.time.range begins below 0: time is counted from the patient's entry"},
		{"time of a narrow range far away", survival("[0, 5000]", "[999999999999, 999999999999.001]"), "{kind: cox}", "",
			"line 3: outcome.time.range is too narrow, so far from 0, for its grid; use another unit"},
		{"event without positive", survival(`, positive: ["1"]`, ""), "{kind: cox}", "",
			`line 3: missing key "outcome.event.positive"; say which values mean that the event happened: positive: ["1"]; all others mean censored, unless negative: lists those`},
		{"event without column", survival("column: status, ", ""), "{kind: cox}", "", `line 3: missing key "outcome.event.column"; name the column that says whether the event happened`},
		{"event in the time's column", survival("status", "days"), "{kind: cox}", "", `line 3: column "days" is the outcome's time and cannot be its event`},
		{"event and none", survival(`negative: ["0"]`, `negative: ["1.0"]`), "{kind: cox}", "", `line 3: outcome.event.negative and outcome.event.positive both list "1.0"`},
		{"event means missing", survival(`["1"]`, "[NA]"), "{kind: cox}", "", `line 3: outcome.event.positive: "NA" means missing; leave it out, or declare missing: [...] without it`},
		{"unknown key of time", survival("unit: d", "units: d"), "{kind: cox}", "", `line 3: unknown key "units"; did you mean "unit"?`},
		{"grid is a word", survival("unit: d", "grid: fine"), "{kind: cox}", "", "line 3: outcome.time.grid must be a list; write [a, b]"},
		{"grid descends", survival("unit: d", "grid: [100, 50]"), "{kind: cox}", "",
			"line 3: outcome.time.grid must list ascending times above the beginning of outcome.time.range and not beyond its end"},
		{"grid begins at the entry", survival("unit: d", "grid: [0, 50]"), "{kind: cox}", "",
			"line 3: outcome.time.grid must list ascending times above the beginning of outcome.time.range and not beyond its end"},
		{"grid beyond the range", survival("unit: d", "grid: [50, 5001]"), "{kind: cox}", "",
			"line 3: outcome.time.grid must list ascending times above the beginning of outcome.time.range and not beyond its end"},
		{"grid without step", survival("unit: d", "grid: {}"), "{kind: cox}", "", `line 3: missing key "outcome.time.grid.step"; such as grid: {step: 30}`},
		{"grid of no step", survival("unit: d", "grid: {step: 0}"), "{kind: cox}", "", "line 3: outcome.time.grid.step must be above 0 and divide the range into at most 1000"},
		{"grid of tiny steps", survival("unit: d", "grid: {step: 1}"), "{kind: cox}", "", "line 3: outcome.time.grid.step must be above 0 and divide the range into at most 1000"},

		// Columns that are the outcome.
		{"the time as a feature", survival("column: days", "column: age"), "{kind: cox}", "", `line 5: column "age" is the outcome's time and cannot be a feature`},
		{"the event as a feature", survival("column: status", "column: sex"), "{kind: cox}", "", `line 7: column "sex" is the outcome's event and cannot be a feature`},
		{"the outcome as offset", numberOutcome, glm("offset: y"), "", `line 9: column "y" is the outcome and cannot be in model.offset`},
		{"the outcome as weight", numberOutcome, glm("weights: {column: y}"), "", `line 9: column "y" is the outcome and cannot be in model.weights`},

		// Keys by kind.
		{"kind missing", numberOutcome, "{family: gaussian}", "", `line 9: missing key "model.kind"; glm, cox, boost and neural fit a model, describe only counts`},
		{"kind misspelt", numberOutcome, "{kind: bost}", "", `line 9: model.kind: "bost" is not one of glm, cox, boost, neural, describe; did you mean "boost"?`},
		{"trees of a glm", numberOutcome, glm("trees: 10"), "", "line 9: model.trees: glm has none, only boost; remove it"},
		{"ties of a glm", numberOutcome, glm("ties: efron"), "", "line 9: model.ties: glm has none, only cox; remove it"},
		{"family of cox", survivalOutcome, "{kind: cox, family: poisson}", "", "line 9: model.family: cox has none, only glm; remove it"},
		{"ridge of boost", numberOutcome, "{kind: boost, ridge: 1}", "", "line 9: model.ridge: boost has none, only glm and cox; remove it"},
		{"interactions of boost", numberOutcome, `{kind: boost, interactions: ["age:sex"]}`, "", "line 9: model.interactions: trees find products and bends by themselves; remove it"},
		{"splines of boost", numberOutcome, `{kind: boost, splines: ["spline(age, df: 4)"]}`, "", "line 9: model.splines: trees find products and bends by themselves; remove it"},
		{"standard errors of neural", numberOutcome, "{kind: neural, standard_errors: robust}", "", "line 9: model.standard_errors: neural has none, only glm and cox; remove it"},
		{"weights of describe", numberOutcome, "{kind: describe, weights: w}", "", "line 9: model.weights: describe fits no model; remove it"},
		{"unknown key of boost", numberOutcome, "{kind: boost, tree: 10}", "", `line 9: unknown key "tree"; did you mean "trees"?`},
		{"a key of another section", numberOutcome, "{kind: neural, rounds: 30}", "",
			`line 9: unknown key "rounds"; rounds stands under schedule; known here: kind, hidden, activation, strategy, epochs, batch, optimizer, server, proximal, clip, decay, seed, interactions, splines`},
		{"unknown key of neural", numberOutcome, "{kind: neural, learning: 10}", "",
			`line 9: unknown key "learning"; known here: kind, hidden, activation, strategy, epochs, batch, optimizer, server, proximal, clip, decay, seed, interactions, splines`},

		// What fits which outcome.
		{"glm for survival", survivalOutcome, gaussian, "", "line 9: model.kind: glm does not fit a survival outcome; use kind: cox or boost, or change outcome.type"},
		{"neural for survival", survivalOutcome, "{kind: neural}", "", "line 9: model.kind: neural does not fit a survival outcome; use kind: cox or boost, or change outcome.type"},
		{"cox for a number", numberOutcome, "{kind: cox}", "",
			"line 9: model.kind: cox does not fit a number outcome; use another kind, or outcome: {type: survival, time: {...}, event: {...}}"},
		{"poisson for a number", numberOutcome, poisson, "", "line 9: model.family: poisson does not fit a number outcome; use family: gaussian or gamma, or change outcome.type"},
		{"gamma for a count", countOutcome, "{kind: glm, family: gamma}", "", "line 9: model.family: gamma does not fit a count outcome; use family: poisson or negative-binomial, or change outcome.type"},
		{"gamma from zero", "{column: y, type: number, range: [0, 10]}", "{kind: glm, family: gamma}", "", "line 9: model.family: gamma needs an outcome.range that begins above 0"},
		{"gamma of a root", "{column: y, type: number, range: [1, 10], transform: sqrt}", "{kind: glm, family: gamma}", "",
			"line 9: model.family: gamma has a logarithm of its own and takes the outcome as it is; remove outcome.transform"},
		{"family misspelt", countOutcome, "{kind: glm, family: poison}", "",
			`line 9: model.family: "poison" is not one of gaussian, binomial, poisson, gamma, negative-binomial; did you mean "poisson"?`},
		{"logistic trees of a number", numberOutcome, "{kind: boost, loss: logistic}", "", "line 9: model.loss: logistic does not fit a number outcome; use loss: squared, or change outcome.type"},
		{"squared trees of times", survivalOutcome, "{kind: boost, loss: squared}", "", "line 9: model.loss: squared does not fit a survival outcome; use loss: cox, or change outcome.type"},

		// glm and cox.
		{"weights below zero", numberOutcome, glm("weights: {column: w, range: [-1, 1]}"), "", "line 9: model.weights: a weight cannot be below 0"},
		{"offset without column", numberOutcome, glm("offset: {range: [0, 1]}"), "", `line 9: missing key "model.offset.column"; name the column`},
		{"offset is a list", numberOutcome, glm("offset: [a]"), "", "line 9: model.offset must be a single value"},
		{"site effects misspelt", numberOutcome, glm("site_effects: rando"), "", `line 9: model.site_effects: "rando" is not one of none, fixed, random; did you mean "random"?`},
		{"random and a ridge", numberOutcome, glm("site_effects: random, ridge: 1"), "", "line 9: model.ridge: random site effects are fitted without a penalty; remove it"},
		{"robust and random", numberOutcome, glm("site_effects: random, standard_errors: robust"), "",
			"line 9: model.standard_errors: random site effects already say how alike the patients of a site are; remove it"},
		{"standard errors misspelt", numberOutcome, glm("standard_errors: sandwich"), "", `line 9: model.standard_errors: "sandwich" is not one of model, robust`},
		{"ties misspelt", survivalOutcome, "{kind: cox, ties: exact}", "", `line 9: model.ties: "exact" is not one of efron, breslow`},
		{"transform misspelt", survivalOutcome, "{kind: cox, time_transform: rnak}", "", `line 9: model.time_transform: "rnak" is not one of identity, log, km, rank; did you mean "rank"?`},
		{"logarithm of nothing", survivalOutcome, "{kind: cox, time_transform: log}", "",
			"line 9: model.time_transform: a time of 0, which outcome.time.range allows, has no logarithm; let outcome.time.range begin above 0"},
		{"transform under a ridge", survivalOutcome, "{kind: cox, ridge: 1, time_transform: identity}", "",
			"line 9: model.time_transform: with a ridge proportional hazards are not tested; remove it, or ridge"},
		{"stratify by a column", survivalOutcome, "{kind: cox, stratify: sex}", "", `line 9: model.stratify: "sex" is not one of site, none`},

		// Interactions.
		{"interactions is a word", numberOutcome, glm("interactions: age"), "", "line 9: model.interactions must be a list; write [a, b]"},
		{"interaction of one", numberOutcome, glm("interactions: [age]"), "", `line 9: model.interactions[0]: "age" is not a pair of features; write "a:b"`},
		{"interaction of three", numberOutcome, glm(`interactions: ["age:bmi:sex"]`), "", `line 9: model.interactions[0]: "age:bmi:sex" multiplies 3 features; only pairs have a product; list each pair`},
		{"interaction with a stranger", numberOutcome, glm(`interactions: ["age:sexx"]`), "", `line 9: model.interactions[0]: "sexx" is not a feature; did you mean "sex"?`},
		{"interaction with the outcome", numberOutcome, glm(`interactions: ["age:y"]`), "", `line 9: model.interactions[0]: "y" is not a feature; every part must be the column of a feature`},
		{"interaction with itself", numberOutcome, glm(`interactions: ["age:age"]`), "", "line 9: model.interactions[0]: a feature has no product with itself; for a bend, use splines"},
		{"interaction twice", numberOutcome, glm(`interactions: ["age:sex", "sex:age"]`), "", "line 9: model.interactions[1]: the product is listed already; remove one of the two"},
		{"interaction with a space", numberOutcome, glm("interactions: [age: sex]"), "", `line 9: model.interactions[0] must be a single value; write "a:b" without a space, or in quotes`},

		// Splines.
		{"spline without df", numberOutcome, glm("splines: [spline(age)]"), "", `line 9: model.splines[0] is not a spline; write "spline(age, df: 4)", with the quotes`},
		{"spline without quotes", numberOutcome, glm("splines: [spline(age, df: 4)]"), "", `line 9: model.splines[0] is not a spline; write "spline(age, df: 4)", with the quotes`},
		{"spline of a stranger", numberOutcome, glm(`splines: ["spline(aeg, df: 4)"]`), "", `line 9: model.splines[0]: "aeg" is not a feature; did you mean "age"?`},
		{"spline of a category", numberOutcome, glm(`splines: ["spline(sex, df: 4)"]`), "", `line 9: model.splines[0]: "sex" is a category, which has no curve`},
		{"spline of one", numberOutcome, glm(`splines: ["spline(age, df: 1)"]`), "", "line 9: model.splines[0]: df must be a whole number from 2 to 8"},
		{"spline of many", numberOutcome, glm(`splines: ["spline(age, df: 99999999999999999999)"]`), "", "line 9: model.splines[0]: df must be a whole number from 2 to 8"},
		{"spline twice", numberOutcome, glm(`splines: ["spline(age, df: 2)", "spline( age , df: 3 )"]`), "", `line 9: model.splines[1]: "age" has a spline already; remove one of the two`},

		// Boosted trees.
		{"no trees", numberOutcome, "{kind: boost, trees: 0}", "", "line 9: model.trees must be a whole number from 1 to 2000"},
		{"too many trees", numberOutcome, "{kind: boost, trees: 2001}", "", "line 9: model.trees must be a whole number from 1 to 2000"},
		{"too deep", numberOutcome, "{kind: boost, depth: 11}", "", "line 9: model.depth must be a whole number from 1 to 10"},
		{"one bin", numberOutcome, "{kind: boost, bins: 1}", "", "line 9: model.bins must be a whole number from 2 to 255"},
		{"too many bins", numberOutcome, "{kind: boost, bins: 256}", "", "line 9: model.bins must be a whole number from 2 to 255"},
		{"learning nothing", numberOutcome, "{kind: boost, learning_rate: 0}", "", "line 9: model.learning_rate must be from 0.0001 to 1"},
		{"negative lambda", numberOutcome, "{kind: boost, lambda: -1}", "", "line 9: model.lambda must be from 0 to 1e12"},
		{"monotone category", numberOutcome, "{kind: boost, monotone: {sex: 1}}", "", "line 9: model.monotone.sex: a category has no direction"},
		{"monotone nowhere", numberOutcome, "{kind: boost, monotone: {age: 0}}", "", "line 9: model.monotone.age must be 1, never falls, or -1, never rises"},
		{"monotone a word", numberOutcome, "{kind: boost, monotone: {age: up}}", "", "line 9: model.monotone.age must be a whole number from -1 to 1"},
		{"monotone stranger", numberOutcome, "{kind: boost, monotone: {aeg: 1}}", "", `line 9: unknown key "aeg"; did you mean "age"?`},
		{"monotone nothing", numberOutcome, "{kind: boost, monotone: {}}", "", "line 9: model.monotone names no feature; for instance monotone: {age: -1}"},
		{"baseline of no hazard", numberOutcome, "{kind: boost, baseline: breslow}", "", "line 9: model.baseline: only trees of loss cox have a baseline hazard; remove it"},
		{"impatient", numberOutcome, "{kind: boost, early_stopping: {patience: 0}}", "", "line 9: model.early_stopping.patience must be a whole number from 1 to 2000"},
		{"watching all", numberOutcome, "{kind: boost, early_stopping: {fraction: 1}}", "", "line 9: model.early_stopping.fraction must be from 0.01 to 0.5"},

		// Neural networks.
		{"hidden is a number", numberOutcome, "{kind: neural, hidden: 64}", "", "line 9: model.hidden must be a list; write [a, b]"},
		{"a layer of none", numberOutcome, "{kind: neural, hidden: [0]}", "", "line 9: model.hidden[0] must be a whole number from 1 to 100000"},
		{"nine layers", numberOutcome, "{kind: neural, hidden: [1, 1, 1, 1, 1, 1, 1, 1, 1]}", "", "line 9: model.hidden has 9 elements, more than 8"},
		{"too large", numberOutcome, "{kind: neural, hidden: [100000, 100000]}", "", "line 9: the network has 10000800001 parameters, more than 2000000; make the layers smaller"},
		{"activation misspelt", numberOutcome, "{kind: neural, activation: relo}", "", `line 9: model.activation: "relo" is not one of relu, tanh; did you mean "relu"?`},
		{"strategy misspelt", numberOutcome, "{kind: neural, strategy: fedprex}", "",
			`line 9: model.strategy: "fedprex" is not one of fedavg, fedprox, scaffold, fedadam, fedyogi, fedsgd; did you mean "fedprox"?`},
		{"proximal elsewhere", numberOutcome, "{kind: neural, proximal: 1}", "", "line 9: model.proximal: only strategy: fedprox has it; remove it"},
		{"server that averages", numberOutcome, "{kind: neural, server: {rate: 1}}", "",
			"line 9: model.server: the server of fedavg averages and takes no step; only fedadam, fedyogi and fedsgd have it; remove it"},
		{"another server", numberOutcome, "{kind: neural, strategy: fedadam, server: {name: sgd}}", "", `line 9: model.server.name: "sgd" is not one of adam`},
		{"two steps of fedsgd", numberOutcome, "{kind: neural, strategy: fedsgd, optimizer: {name: adam}, server: {name: sgd}}", "",
			"line 9: model.server: fedsgd takes one step a round, and optimizer says which; remove it"},
		{"epochs of fedsgd", numberOutcome, "{kind: neural, strategy: fedsgd, epochs: 2}", "", "line 9: model.epochs: the sites of fedsgd send one gradient a round; remove it"},
		{"scaffold by adam", numberOutcome, "{kind: neural, strategy: scaffold, optimizer: {name: adam}}", "", `line 9: model.optimizer.name: "adam" is not one of sgd`},
		{"momentum of adam", numberOutcome, "{kind: neural, optimizer: {momentum: 0.9}}", "", "line 9: model.optimizer.momentum: only sgd has it; remove it"},
		{"negative seed", numberOutcome, "{kind: neural, seed: -1}", "", "line 9: model.seed must be a whole number from 0 up, of at most 64 bits"},
		{"negative clip", numberOutcome, "{kind: neural, clip: -1}", "", "line 9: model.clip must be from 0 to 1e6"},

		// Validation.
		{"validation without kind", numberOutcome, gaussian, "validation: {fraction: 0.2}\n", `line 10: missing key "validation.kind"; holdout, k-fold, leave-one-site-out or external`},
		{"validation misspelt", numberOutcome, gaussian, "validation: {kind: kfold}\n",
			`line 10: validation.kind: "kfold" is not one of holdout, k-fold, leave-one-site-out, external; did you mean "k-fold"?`},
		{"validation of a description", numberOutcome, "{kind: describe}", "validation: {kind: holdout}\n", "line 10: validation: describe fits no model; remove it"},
		{"folds of a hold-out", numberOutcome, gaussian, "validation: {kind: holdout, folds: 5}\n", "line 10: validation.folds: holdout has none; remove it"},
		{"fraction of folds", numberOutcome, gaussian, "validation: {kind: k-fold, fraction: 0.5}\n", "line 10: validation.fraction: k-fold has none; remove it"},
		{"patients of sites", numberOutcome, gaussian, "validation: {kind: leave-one-site-out, by: id}\n", "line 10: validation.by: leave-one-site-out has none; remove it"},
		{"sites of a hold-out", numberOutcome, gaussian, "validation: {kind: holdout, sites: [a]}\n", "line 10: validation.sites: holdout has none; remove it"},
		{"all held out", numberOutcome, gaussian, "validation: {kind: holdout, fraction: 1}\n", "line 10: validation.fraction must be from 0.01 to 0.9"},
		{"one fold", numberOutcome, gaussian, "validation: {kind: k-fold, folds: 1}\n", "line 10: validation.folds must be a whole number from 2 to 50"},
		{"external without sites", numberOutcome, gaussian, "validation: {kind: external}\n", `line 10: missing key "validation.sites"; list the hospitals that only validate`},
		{"external without a name", numberOutcome, gaussian, "validation: {kind: external, sites: [\"\"]}\n", "line 10: validation.sites holds an empty name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse([]byte(kindStudy(c.outcome, c.model, c.more)))
			if err == nil {
				t.Fatalf("accepted: %+v", s.Model)
			}
			if _, ok := errors.AsType[*Error](err); !ok || err.Error() != c.want {
				t.Errorf("\n got %s\nwant %s", err, c.want)
			}
		})
	}
}

func TestModelDefaults(t *testing.T) {
	for _, c := range []struct {
		outcome, model string
		want           Model
	}{
		{countOutcome, "{kind: glm, family: poisson, offset: d, weights: w}", Model{Kind: GLM, Family: Poisson, SiteEffects: NoSiteEffects,
			Offset: &Covariate{"d", Range{-50, 50}}, Weights: &Covariate{"w", Range{0, 1e6}}}},
		{survivalOutcome, "{kind: cox}", Model{Kind: Cox, Stratify: StratifySite, Ties: Efron, TimeTransform: TimeIdentity}},
		{numberOutcome, "{kind: boost}", Model{Kind: Boost, Boost: &BoostModel{Loss: LossSquared, Trees: 100, Depth: 6, Bins: 64, LearningRate: 0.1, MinLeaf: 20, Lambda: 1}}},
		{binaryOutcome, "{kind: boost, early_stopping: {}}", Model{Kind: Boost, Boost: &BoostModel{Loss: LossLogistic, Trees: 100, Depth: 6, Bins: 64, LearningRate: 0.1, MinLeaf: 20, Lambda: 1,
			Patience: 10, Fraction: 0.2}}},
		{survivalOutcome, "{kind: boost, baseline: breslow}", Model{Kind: Boost, Boost: &BoostModel{Loss: LossCox, Trees: 100, Depth: 6, Bins: 64, LearningRate: 0.1, MinLeaf: 20, Lambda: 1, Baseline: true}}},
		{countOutcome, "{kind: boost, monotone: {age: -1, bmi: 1}}", Model{Kind: Boost, Boost: &BoostModel{Loss: LossPoisson, Trees: 100, Depth: 6, Bins: 64, LearningRate: 0.1, MinLeaf: 20, Lambda: 1,
			Monotone: map[string]int{"age": -1, "bmi": 1}}}},
		{binaryOutcome, "{kind: neural}", Model{Kind: Neural, Neural: &NeuralModel{Activation: "relu", Strategy: FedAvg, Epochs: 1, Batch: 32, Seed: 1,
			Optimizer: Optimizer{Name: "adam", Rate: 0.01}}}},
		{binaryOutcome, "{kind: neural, strategy: fedprox, hidden: [8, 4], seed: 18446744073709551615}", Model{Kind: Neural, Neural: &NeuralModel{Hidden: []int{8, 4}, Activation: "relu", Strategy: FedProx,
			Epochs: 1, Batch: 32, Seed: 1<<64 - 1, Proximal: 0.01, Optimizer: Optimizer{Name: "adam", Rate: 0.001}}}},
		{binaryOutcome, "{kind: neural, strategy: scaffold}", Model{Kind: Neural, Neural: &NeuralModel{Activation: "relu", Strategy: Scaffold, Epochs: 1, Batch: 32, Seed: 1,
			Optimizer: Optimizer{Name: "sgd", Rate: 0.01}}}},
		{binaryOutcome, "{kind: neural, strategy: fedyogi}", Model{Kind: Neural, Neural: &NeuralModel{Activation: "relu", Strategy: FedYogi, Epochs: 1, Batch: 32, Seed: 1,
			Optimizer: Optimizer{Name: "adam", Rate: 0.01}, Server: Optimizer{Name: "yogi", Rate: 0.01}}}},
		{binaryOutcome, "{kind: neural, strategy: fedsgd, batch: 0}", Model{Kind: Neural, Neural: &NeuralModel{Activation: "relu", Strategy: FedSGD, Epochs: 1, Seed: 1,
			Server: Optimizer{Name: "sgd", Rate: 0.1, Momentum: 0.9}}}},
		{binaryOutcome, "{kind: neural, strategy: fedsgd, optimizer: {name: adam}}", Model{Kind: Neural, Neural: &NeuralModel{Activation: "relu", Strategy: FedSGD, Epochs: 1, Batch: 32, Seed: 1,
			Server: Optimizer{Name: "adam", Rate: 0.01}}}},
	} {
		s := mustParse(t, kindStudy(c.outcome, c.model))
		if diff := cmp.Diff(c.want, s.Model); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.model, diff)
		}
	}
	for text, want := range map[string]Validation{
		"{kind: holdout}":                      {Kind: Holdout, Fraction: 0.2},
		"{kind: k-fold, by: id}":               {Kind: KFold, Folds: 5, By: "id"},
		"{kind: leave-one-site-out}":           {Kind: LeaveOneSiteOut},
		"{kind: external, sites: [n, s-1, w]}": {Kind: External, Sites: []SiteID{"n", "s-1", "w"}},
	} {
		s := mustParse(t, kindStudy(numberOutcome, "{kind: glm, family: gaussian}", "validation: "+text+"\n"))
		if diff := cmp.Diff(want, s.Validation); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestSurvivalGrid(t *testing.T) {
	for grid, want := range map[string]func(int) float64{
		"":                            func(i int) float64 { return float64(100 * (i + 1)) },
		", grid: {step: 100}":         func(i int) float64 { return float64(100 * (i + 1)) },
		", grid: {step: 4000}":        func(i int) float64 { return []float64{4000, 5000}[i] },
		", grid: {step: 6000}":        func(int) float64 { return 5000 },
		", grid: [365, 730.5, 4999]":  func(i int) float64 { return []float64{365, 730.5, 4999}[i] },
		", grid: [1, 2, 3, 4, 5000.]": func(i int) float64 { return []float64{1, 2, 3, 4, 5000}[i] },
	} {
		s := mustParse(t, kindStudy(strings.Replace(survivalOutcome, ", unit: d", grid, 1), "{kind: cox}"))
		for i, got := range s.Outcome.Grid {
			if got != want(i) {
				t.Errorf("%s: time %d is %v, want %v", grid, i, got, want(i))
			}
		}
		if n := len(s.Outcome.Grid); grid == "" && n != 50 || n == 0 {
			t.Errorf("%s: %d times", grid, n)
		}
	}
}

// Everything that a study reads is named, each column once: what is not named
// is not looked at.
func TestColumnsNameAllThatIsRead(t *testing.T) {
	s := mustParse(t, kindStudy(survivalOutcome, "{kind: cox}", "validation: {kind: holdout, by: id}\n", "cohort: {require: [id, consent]}\n"))
	if diff := cmp.Diff([]string{"days", "status", "age", "bmi", "sex", "gene", "id", "consent"}, s.Columns()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
	s = mustParse(t, kindStudy(countOutcome, "{kind: glm, family: poisson, offset: log_days, weights: age}"))
	if diff := cmp.Diff([]string{"y", "age", "bmi", "sex", "gene", "log_days"}, s.Columns()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

func TestParametersAreCounted(t *testing.T) {
	for model, want := range map[string]int{
		"{kind: glm, family: gaussian}": 6,
		`{kind: glm, family: gaussian, interactions: ["sex:gene", "age:gene"], splines: ["spline(bmi, df: 4)"]}`: 6 + 2 + 2 + 3,
		"{kind: boost}":                    0,
		"{kind: describe}":                 0,
		"{kind: neural}":                   6,
		"{kind: neural, hidden: [64, 32]}": 6*64 + 65*32 + 33,
	} {
		if got := mustParse(t, kindStudy(numberOutcome, model)).Parameters(); got != want {
			t.Errorf("%s has %d parameters, want %d", model, got, want)
		}
	}
	if got := mustParse(t, kindStudy(survivalOutcome, "{kind: cox}")).Parameters(); got != 5 {
		t.Errorf("cox has %d parameters, want 5", got)
	}
}

// A file that nobody has approved yet cannot make a site work or allocate much:
// lists are counted before they are read, and terms before they are made.
func TestHostileFilesAreRefusedUnread(t *testing.T) {
	levels := levelNames(200)
	wide := "study: s\nversion: 1\noutcome: " + numberOutcome + "\nfeatures:\n"
	var pairs []string
	for i := range 9 {
		wide += fmt.Sprintf("  - {column: c%d, type: category, levels: [%s]}\n", i, levels)
		pairs = append(pairs, fmt.Sprintf("c%d:c%d", i, (i+1)%9))
	}
	var numbers strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&numbers, "  - {column: n%d, type: number, range: [0, 1]}\n", i)
	}
	for name, c := range map[string]struct{ src, want string }{
		"products of categories": {wide + "model: {kind: glm, family: gaussian, interactions: [" + strings.Join(pairs, ", ") + "]}\n",
			"the model has 41393 terms by here, more than 2000"},
		"very many products": {kindStudy(numberOutcome, "{kind: glm, family: gaussian, interactions: ["+strings.Repeat("a:b,", 200_000)+"]}"),
			"model.interactions has 200000 elements, more than 1000"},
		"very many splines": {kindStudy(numberOutcome, "{kind: glm, family: gaussian, splines: ["+strings.Repeat("a,", 200_000)+"]}"),
			"model.splines has 200000 elements, more than 1000"},
		"very many layers": {kindStudy(numberOutcome, "{kind: neural, hidden: ["+strings.Repeat("1,", 200_000)+"]}"),
			"model.hidden has 200000 elements, more than 8"},
		"very many times": {kindStudy(strings.Replace(survivalOutcome, "unit: d", "grid: ["+strings.Repeat("1,", 200_000)+"]", 1), "{kind: cox}"),
			"outcome.time.grid has 200000 elements, more than 1000"},
	} {
		_, err := Parse([]byte(c.src))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
