package study

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// minimal is the shortest study. Tests change or add one line.
const minimal = `study: small
version: 1
outcome: {column: y, type: number, range: [0, 10]}
features:
  - {column: x, type: number, range: [0, 1]}
model: {kind: glm, family: gaussian}
`

// TestMalformedFiles changes one thing in a good file and expects one message.
func TestMalformedFiles(t *testing.T) {
	const (
		outcome = "outcome: {column: y, type: number, range: [0, 10]}\n"
		feature = "  - {column: x, type: number, range: [0, 1]}\n"
		model   = "model: {kind: glm, family: gaussian}\n"
	)
	binary := func(outcome string) func(string) string {
		return func(src string) string {
			src = strings.Replace(src, "{column: y, type: number, range: [0, 10]}", outcome, 1)
			return strings.Replace(src, "gaussian", "binomial", 1)
		}
	}
	for _, c := range []struct {
		name     string
		old, new string
		edit     func(string) string
		want     string
	}{
		// The file as a whole.
		{name: "empty", edit: func(string) string { return "" }, want: "S.yaml: the file is empty"},
		{name: "only a comment", edit: func(string) string { return "# nothing\n" }, want: "S.yaml: the file is empty"},
		{name: "not UTF-8", old: "small", new: "sm\xe4ll", want: "S.yaml: not a text file in UTF-8"},
		{name: "too long", edit: func(src string) string { return src + strings.Repeat("#", MaxFileBytes) },
			want: "S.yaml: the file has 1048743 bytes, more than 1048576"},
		{name: "text that runs backwards", old: "small", new: "small # \u202eskaerts", want: "S.yaml:1: an invisible character changes the direction of the text; remove it"},
		{name: "a list", edit: func(string) string { return "- study\n" },
			want: "S.yaml:1: a study must be keys with values (study, version, title, outcome, features, missing, cohort, model, validation, fairness, mitigation, privacy, schedule, monitor)"},
		{name: "a second document", edit: func(src string) string { return src + "---\n" + src },
			want: "S.yaml:7: a second document begins here; keep one study per file"},
		{name: "not YAML", old: "version: 1", new: "version: [1", want: "S.yaml:2: not valid YAML: did not find expected ',' or ']'"},
		{name: "not YAML at the end", edit: func(string) string { return "study: [1\n" }, want: "S.yaml:2: not valid YAML: did not find expected ',' or ']'"},
		{name: "a colon too many", old: "small", new: "small: 1", want: "S.yaml:1: not valid YAML: mapping values are not allowed in this context"},
		{name: "not indented", old: model, new: "privacy:\n  threshold: unanimous\n minimum_contributors: 3\n", want: "S.yaml:8: not valid YAML: did not find expected key"},
		{name: "a tab", old: "  - {", new: "\t- {", want: "S.yaml:5: not valid YAML: a tab indents the line; indent with spaces"},
		{name: "an anchor", old: "small", new: "&s small", want: "S.yaml:1: YAML anchors and references are not allowed; write the value out, in quotes if it begins with * or &"},
		{name: "a reference", old: "features:\n", new: "title: &t x\nprivacy: *t\nfeatures:\n",
			want: "S.yaml:4: YAML anchors and references are not allowed; write the value out, in quotes if it begins with * or &"},
		{name: "a star allele without quotes", old: feature, new: "  - {column: x, type: category, levels: [\"*1/*1\", *1/*2]}\n",
			want: `S.yaml:5: *1/*2 without quotes is a YAML reference, not a value; write "*1/*2"`},
		{name: "a star in a column of values", old: feature, new: "  - column: x\n    type: category\n    levels:\n      - \"*1\"\n      - *2\n",
			want: `S.yaml:9: *2 without quotes is a YAML reference, not a value; write "*2"`},
		{name: "a tag", old: "small", new: "!!str small", want: `S.yaml:1: the YAML tag "!!str" is not allowed; leave the tag out`},
		{name: "a merge key", old: model, new: "<<: {model: 1}\n" + model,
			want: `S.yaml:6: unknown key "<<"; known here: study, version, title, outcome, features, missing, cohort, model, validation, fairness, mitigation, privacy, schedule, monitor`},
		{name: "deep nesting", old: "small", new: strings.Repeat("[", 20) + strings.Repeat("]", 20), want: "S.yaml:1: nested too deeply for a study"},

		// Keys.
		{name: "unknown key", old: "features:", new: "feature:", want: `S.yaml:4: unknown key "feature"; did you mean "features"?`},
		{name: "swapped letters", old: "outcome:", new: "ouctome:", want: `S.yaml:3: unknown key "ouctome"; did you mean "outcome"?`},
		{name: "another case", old: "outcome:", new: "Outcome:", want: `S.yaml:3: unknown key "Outcome"; did you mean "outcome"?`},
		{name: "hyphen for underscore", old: model, new: model + "privacy: {minimum-contributors: 3}\n",
			want: `S.yaml:7: unknown key "minimum-contributors"; did you mean "minimum_contributors"?`},
		{name: "unknown key inside", old: "family:", new: "famly:", want: `S.yaml:6: unknown key "famly"; did you mean "family"?`},
		{name: "unknown key like none", old: "family:", new: "colour:", want: `S.yaml:6: unknown key "colour"; known here: kind, family, ridge, offset, weights, interactions, splines, site_effects, standard_errors`},
		{name: "an overlong key", old: model, new: strings.Repeat("k", 500) + ": 1\n" + model,
			want: `S.yaml:6: unknown key "` + strings.Repeat("k", 387) + "...; known here: study, version, title, outcome, features, missing, cohort, model, validation, fairness, mitigation, privacy, schedule, monitor"},
		{name: "duplicate key", old: model, new: "study: again\n" + model, want: `S.yaml:6: duplicate key "study", first on line 1; remove one of the two`},
		{name: "duplicate key inside", old: "kind: glm", new: "kind: glm, kind: describe", want: `S.yaml:6: duplicate key "kind", first on line 6; remove one of the two`},
		{name: "a key that is a list", old: model, new: "? [a]\n: 1\n" + model, want: "S.yaml:6: a key must be a word"},
		{name: "missing study", old: "study: small\n", want: `S.yaml:1: missing key "study"; give the study a short name`},
		{name: "missing version", old: "version: 1\n", want: `S.yaml:1: missing key "version"; begin with version: 1`},
		{name: "missing outcome", old: outcome, want: `S.yaml:1: missing key "outcome"; say which column the study is about`},
		{name: "missing features", old: "features:\n" + feature, want: `S.yaml:1: missing key "features"; list the columns that the model sees`},
		{name: "missing model", old: model, want: `S.yaml:1: missing key "model"; for instance model: {kind: glm, family: gaussian}`},

		// Name, version, title.
		{name: "name with a space", old: "small", new: "very small", want: "S.yaml:1: study: a name is up to 64 letters, digits, '.', '_' and '-', with a letter or digit at both ends"},
		{name: "name of dots", old: "small", new: "..", want: "S.yaml:1: study: a name is up to 64 letters, digits, '.', '_' and '-', with a letter or digit at both ends"},
		{name: "no name", old: "small", want: "S.yaml:1: study has no value; write a value, in quotes if the word null is meant"},
		{name: "empty name", old: "small", new: `""`, want: "S.yaml:1: study is empty"},
		{name: "name is a list", old: "small", new: "[small]", want: "S.yaml:1: study must be a single value"},
		{name: "version zero", old: "version: 1", new: "version: 0", want: "S.yaml:2: version must be a whole number from 1 to 2147483647"},
		{name: "version with a point", old: "version: 1", new: "version: 1.0", want: "S.yaml:2: version must be a whole number from 1 to 2147483647"},
		{name: "title over two lines", old: model, new: "title: \"a\\nb\"\n" + model, want: "S.yaml:6: title holds a control character"},
		{name: "title too long", old: model, new: "title: " + strings.Repeat("t", 301) + "\n" + model, want: "S.yaml:6: title is longer than 300 bytes"},

		// Outcome.
		{name: "outcome is a word", old: outcome, new: "outcome: y\n", want: "S.yaml:3: outcome must be keys with values (column, type, range, unit, transform, positive, negative, at_least, time, event)"},
		{name: "outcome without column", old: "column: y, ", want: `S.yaml:3: missing key "outcome.column"; name the outcome's column`},
		{name: "outcome without type", old: "y, type: number", new: "y", want: `S.yaml:3: missing key "outcome.type"; number, binary, count or survival`},
		{name: "outcome of another type", old: "y, type: number", new: "y, type: numbr", want: `S.yaml:3: outcome.type: "numbr" is not one of number, binary, count, survival; did you mean "number"?`},
		{name: "outcome without range", old: ", range: [0, 10]",
			want: `S.yaml:3: missing key "outcome.range"; declare the plausible values, such as range: [2, 320]; they catch unit mistakes and bound the encoding`},
		{name: "range of one", old: "[0, 10]", new: "[0]", want: "S.yaml:3: outcome.range must be [lowest, highest]"},
		{name: "range upside down", old: "[0, 10]", new: "[10, 0]", want: "S.yaml:3: outcome.range must be [lowest, highest], with the lowest below the highest"},
		{name: "range of nothing", old: "[0, 10]", new: "[3, 3]", want: "S.yaml:3: outcome.range must be [lowest, highest], with the lowest below the highest"},
		{name: "range of words", old: "[0, 10]", new: "[low, high]", want: "S.yaml:3: outcome.range[0] must be a number"},
		{name: "infinite range", old: "[0, 10]", new: "[0, .inf]", want: "S.yaml:3: outcome.range[1] must be a number"},
		{name: "hexadecimal range", old: "[0, 10]", new: "[0, 0x10]", want: "S.yaml:3: outcome.range[1] must be a number"},
		{name: "range beyond measure", old: "[0, 10]", new: "[0, 1e300]",
			want: "S.yaml:3: outcome.range is too wide or too narrow to compute with: at most 1e12 from 0 and at least 1e-9 wide; use another unit"},
		{name: "range without width", old: "[0, 10]", new: "[0, 1e-300]",
			want: "S.yaml:3: outcome.range is too wide or too narrow to compute with: at most 1e12 from 0 and at least 1e-9 wide; use another unit"},
		{name: "unknown transform", old: "[0, 10]", new: "[0, 10], transform: square", want: `S.yaml:3: outcome.transform: "square" is not one of identity, sqrt, log`},
		{name: "root of negatives", old: "[0, 10]", new: "[-1, 10], transform: sqrt", want: "S.yaml:3: outcome.range begins below 0, where there is no square root"},
		{name: "logarithm of zero", old: "[0, 10]", new: "[0, 10], transform: log", want: "S.yaml:3: outcome.range must begin above 0 for a logarithm"},
		{name: "number with positive", old: "[0, 10]", new: `[0, 10], positive: ["1"]`, want: "S.yaml:3: outcome.positive: only a binary outcome has it; remove it"},

		// Binary outcomes.
		{name: "binary without positive", edit: binary("{column: y, type: binary}"),
			want: `S.yaml:3: missing key "outcome.positive"; say what counts as 1: positive: ["1"], or at_least: 49 for a column of numbers`},
		{name: "binary with both", edit: binary(`{column: y, type: binary, positive: ["1"], at_least: 4}`),
			want: "S.yaml:3: outcome.at_least: positive already says what counts as 1; remove it"},
		{name: "binary with transform", edit: binary("{column: y, type: binary, at_least: 4, transform: log}"),
			want: "S.yaml:3: outcome.transform: a binary outcome has none; remove it"},
		{name: "positive with range", edit: binary(`{column: y, type: binary, positive: ["1"], range: [0, 1]}`),
			want: "S.yaml:3: outcome.range: listed values have none; remove it"},
		{name: "positive is a word", edit: binary("{column: y, type: binary, positive: yes}"), want: "S.yaml:3: outcome.positive must be a list; write [a, b]"},
		{name: "positive is empty", edit: binary("{column: y, type: binary, positive: []}"), want: "S.yaml:3: outcome.positive is an empty list"},
		{name: "positive twice", edit: binary("{column: y, type: binary, positive: [a, a]}"), want: `S.yaml:3: outcome.positive lists "a" twice; remove one of the two`},
		{name: "positive means missing", edit: binary("{column: y, type: binary, positive: [NA]}"),
			want: `S.yaml:3: outcome.positive: "NA" means missing; leave it out, or declare missing: [...] without it`},
		{name: "positive and negative", edit: binary("{column: y, type: binary, positive: [1], negative: [0, 1.0]}"),
			want: `S.yaml:3: outcome.negative and outcome.positive both list "1.0"`},
		{name: "at_least and negative", edit: binary("{column: y, type: binary, at_least: 4, negative: [0]}"),
			want: "S.yaml:3: outcome.negative: every number below at_least counts as 0; remove it"},
		{name: "at_least is a word", edit: binary("{column: y, type: binary, at_least: four}"), want: "S.yaml:3: outcome.at_least must be a number"},
		{name: "at_least outside range", edit: binary("{column: y, type: binary, at_least: 40, range: [0, 10]}"), want: "S.yaml:3: outcome.at_least does not divide outcome.range"},

		// Features.
		{name: "no features", old: "features:\n" + feature, new: "features: []\n", want: "S.yaml:4: features is an empty list"},
		{name: "features as keys", old: "  - {", new: "  {", want: "S.yaml:5: features must be a list; write [a, b]"},
		{name: "feature without type", old: "x, type: number", new: "x", want: `S.yaml:5: missing key "features[0].type"; number or category`},
		{name: "feature without range", old: "number, range: [0, 1]", new: "number",
			want: `S.yaml:5: missing key "features[0].range"; declare the plausible values; they catch unit mistakes and bound the encoding`},
		{name: "number with levels", old: "[0, 1]", new: "[0, 1], levels: [a]", want: "S.yaml:5: features[0].levels: only a category has levels; remove it"},
		{name: "number with reference", old: "[0, 1]", new: "[0, 1], reference: a", want: "S.yaml:5: features[0].reference: only a category has a reference level; remove it"},
		{name: "category with range", old: "x, type: number", new: "x, type: category, levels: [a, b]", want: "S.yaml:5: features[0].range: only a number has a range; remove it"},
		{name: "category without levels", old: "type: number, range: [0, 1]", new: "type: category",
			want: `S.yaml:5: missing key "features[0].levels"; list the values, the reference first`},
		{name: "one level", old: "type: number, range: [0, 1]", new: "type: category, levels: [a]", want: "S.yaml:5: features[0].levels: a category needs at least two levels"},
		{name: "level twice", old: "type: number, range: [0, 1]", new: "type: category, levels: [a, a]", want: `S.yaml:5: features[0].levels: level "a" is declared twice`},
		{name: "number twice", old: "type: number, range: [0, 1]", new: "type: category, levels: [1, 1.0]",
			want: `S.yaml:5: features[0].levels: the value "1.0" belongs to two levels; a number counts as the same however it is written`},
		{name: "value in two levels", old: "type: number, range: [0, 1]", new: "type: category, levels: [a, {b: [c, a]}]",
			want: `S.yaml:5: features[0].levels: the value "a" belongs to two levels; a number counts as the same however it is written`},
		{name: "gathering two names", old: "type: number, range: [0, 1]", new: "type: category, levels: [a, {b: [c], d: [e]}]",
			want: `S.yaml:5: features[0].levels: a gathered level is one name with a list of values; write {poor: ["*2/*2", "*2/*3"]}`},
		{name: "gathering nothing", old: "type: number, range: [0, 1]", new: "type: category, levels: [a, {b: []}]", want: "S.yaml:5: features[0].levels.b is an empty list"},
		{name: "level means missing", old: "type: number, range: [0, 1]", new: "type: category, levels: [a, NA]",
			want: `S.yaml:5: features[0].levels: "NA" means missing; leave it out, or declare missing: [...] without it`},
		{name: "level is null", old: "type: number, range: [0, 1]", new: "type: category, levels: [a, null]",
			want: "S.yaml:5: features[0].levels has no value; write a value, in quotes if the word null is meant"},
		{name: "level is empty", old: "type: number, range: [0, 1]", new: `type: category, levels: [a, ""]`, want: "S.yaml:5: features[0].levels is empty"},
		{name: "reference is no level", old: "type: number, range: [0, 1]", new: "type: category, levels: [a, b], reference: c",
			want: `S.yaml:5: features[0].reference: "c" is not a level; the levels are a, b`},
		{name: "column twice", old: feature, new: feature + feature, want: `S.yaml:6: column "x" is a feature already, on line 5`},
		{name: "outcome as feature", old: "column: x", new: "column: y", want: `S.yaml:5: column "y" is the outcome and cannot be a feature`},
		{name: "column too long", old: "column: x", new: "column: " + strings.Repeat("x", 129), want: "S.yaml:5: features[0].column is longer than 128 bytes"},
		{name: "two terms of one name", old: feature, new: feature + "  - {column: \"a=b\", type: number, range: [0, 1]}\n  - {column: a, type: category, levels: [c, b]}\n",
			want: `S.yaml:7: two terms of the model would be called "a=b"; rename a column or a level`},
		{name: "a column called as the intercept", old: "column: x", new: "column: (intercept)", want: `S.yaml:5: two terms of the model would be called "(intercept)"; rename a column or a level`},
		{name: "too many levels", old: "type: number, range: [0, 1]", new: "type: category, levels: [" + levelNames(201) + "]", want: "S.yaml:5: features[0].levels has 201 elements, more than 200"},
		{name: "too many terms", old: feature, new: manyTerms(), want: "S.yaml:5: the model has 2190 terms, more than 2000; gather levels or drop features"},
		{name: "too many features", old: feature, new: strings.Repeat(feature, 1001), want: "S.yaml:5: features has 1001 elements, more than 1000"},

		// Cohort, missing words.
		{name: "require is a word", old: model, new: model + "cohort: {require: x}\n", want: "S.yaml:7: cohort.require must be a list; write [a, b]"},
		{name: "require nothing", old: model, new: model + "cohort: {require: [\"\"]}\n", want: "S.yaml:7: cohort.require holds an empty name"},
		{name: "exclude without equals", old: model, new: model + "cohort: {exclude_if: [{column: x}]}\n",
			want: `S.yaml:7: missing key "cohort.exclude_if[0].equals"; say which value excludes a record`},
		{name: "exclude by another test", old: model, new: model + "cohort: {exclude_if: [{column: x, equal: 1}]}\n", want: `S.yaml:7: unknown key "equal"; did you mean "equals"?`},
		{name: "missing is a word", old: model, new: model + "missing: NA\n", want: "S.yaml:7: missing must be a list; write [a, b]"},

		// Model.
		{name: "unknown kind", old: "kind: glm", new: "kind: gml", want: `S.yaml:6: model.kind: "gml" is not one of glm, cox, boost, neural, describe; did you mean "glm"?`},
		{name: "glm without family", old: ", family: gaussian", want: `S.yaml:6: missing key "model.family"; gaussian or gamma for a number, binomial for a binary outcome, poisson or negative-binomial for a count`},
		{name: "binomial for a number", old: "gaussian", new: "binomial", want: "S.yaml:6: model.family: binomial does not fit a number outcome; use family: gaussian or gamma, or change outcome.type"},
		{name: "gaussian for a binary", edit: func(src string) string {
			return strings.Replace(binary("{column: y, type: binary, at_least: 4}")(src), "binomial", "gaussian", 1)
		}, want: "S.yaml:6: model.family: gaussian does not fit a binary outcome; use family: binomial, or change outcome.type"},
		{name: "negative ridge", old: "gaussian", new: "gaussian, ridge: -1", want: "S.yaml:6: model.ridge must be from 0 to 1e12"},
		{name: "ridge is a word", old: "gaussian", new: "gaussian, ridge: auto", want: "S.yaml:6: model.ridge must be a number"},
		{name: "describe with family", old: "kind: glm", new: "kind: describe", want: "S.yaml:6: model.family: describe fits no model; remove it"},

		// Fairness.
		{name: "criteria without attributes", old: model, new: model + "fairness: {criteria: [{metric: mae, attribute: all, margin: 2}]}\n",
			want: `S.yaml:7: missing key "fairness.attributes"; list the columns that divide the patients into groups`},
		{name: "attribute declares only unknown", old: model, new: model + "fairness: {attributes: [{column: sex, levels: [unknown]}]}\n",
			want: "S.yaml:7: fairness.attributes[0].levels: there is no group but unknown; list the groups"},
		{name: "attribute twice", old: model, new: model + "fairness: {attributes: [{column: sex, levels: [f]}, {column: sex, levels: [m]}]}\n",
			want: `S.yaml:7: column "sex" is an attribute already`},
		{name: "cells of none", old: model, new: model + "fairness: {attributes: [{column: sex, levels: [f]}], minimum_cell: 0}\n",
			want: "S.yaml:7: fairness.minimum_cell must be a whole number from 1 to 1000000"},

		// Privacy, schedule.
		{name: "one contributor", old: model, new: model + "privacy: {minimum_contributors: 1}\n", want: "S.yaml:7: privacy.minimum_contributors must be a whole number from 2 to 10000"},
		{name: "a mere majority", old: model, new: model + "privacy: {threshold: majority}\n", want: `S.yaml:7: privacy.threshold: "majority" is not one of supermajority, unanimous`},
		{name: "a threshold in numbers", old: model, new: model + "privacy: {threshold: 3}\n", want: `S.yaml:7: privacy.threshold: "3" is not one of supermajority, unanimous`},
		{name: "no rounds", old: model, new: model + "schedule: {rounds: 0}\n", want: "S.yaml:7: schedule.rounds must be a whole number from 1 to 1000"},
		{name: "no tolerance", old: model, new: model + "schedule: {tolerance: 0}\n", want: "S.yaml:7: schedule.tolerance must be above 0 and at most 0.1"},
		{name: "deadline without unit", old: model, new: model + "schedule: {deadline: 120}\n", want: "S.yaml:7: schedule.deadline must be a duration from 1s to 720h, such as 2m"},
		{name: "deadline too short", old: model, new: model + "schedule: {deadline: 1ms}\n", want: "S.yaml:7: schedule.deadline must be a duration from 1s to 720h, such as 2m"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := minimal
			if c.edit != nil {
				src = c.edit(src)
			} else if src = strings.Replace(src, c.old, c.new, 1); src == minimal {
				t.Fatal("the edit changes nothing")
			}
			s, err := Parse([]byte(src))
			if err == nil {
				t.Fatalf("accepted:\n%s\n%+v", src, s)
			}
			fault, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("error is a %T", err)
			}
			if got := fault.In("S.yaml"); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			want := strings.Replace(c.want, "S.yaml:", "line ", 1)
			if fault.Line == 0 {
				want = strings.TrimPrefix(c.want, "S.yaml: ")
			}
			if err.Error() != want {
				t.Errorf("\n got %s\nwant %s", err, want)
			}
		})
	}
}

func levelNames(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("l")
		b.WriteString(strings.Repeat("x", i/26))
		b.WriteByte(byte('a' + i%26))
	}
	return b.String()
}

// manyTerms is eleven categories of 200 levels.
func manyTerms() string {
	var b strings.Builder
	for i := range 11 {
		fmt.Fprintf(&b, "  - {column: c%d, type: category, levels: [%s]}\n", i, levelNames(200))
	}
	return b.String()
}

func TestDefaults(t *testing.T) {
	s := mustParse(t, minimal)
	if diff := cmp.Diff(Privacy{3, Supermajority}, s.Privacy); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Schedule{25, 1e-10, 2 * time.Minute}, s.Schedule); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Fairness{MinimumCell: 11, MinimumSites: 3, LargestShare: 0.85, Bootstrap: 200, Complementary: true}, s.Fairness); diff != "" {
		t.Error(diff)
	}
	if s.Outcome.Scale != Identity || s.Model.Ridge != 0 || !cmp.Equal(s.Missing, []string{"NA"}) {
		t.Errorf("scale %q, ridge %v, missing %q", s.Outcome.Scale, s.Model.Ridge, s.Missing)
	}
	if s.MinimumContributors() != 3 || s.Deadline() != 2*time.Minute {
		t.Errorf("minimum %d, deadline %v", s.MinimumContributors(), s.Deadline())
	}
}

// Values are taken as written: YAML's booleans and numbers are words of a
// record here.
func TestValuesAreTakenAsWritten(t *testing.T) {
	s := mustParse(t, strings.Replace(minimal, "type: number, range: [0, 1]",
		`type: category, levels: [1, 0, true, no, 1.50, 2026-01-02, "null", 'a b', {many: [yes, 007, ~x]}], reference: no`, 1))
	want := append(single("1", "0", "true", "no", "1.50", "2026-01-02", "null", "a b"),
		Level{Name: "many", Values: []string{"yes", "007", "~x"}})
	if diff := cmp.Diff(want, s.Features[0].Levels); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	if s.Features[0].Reference != 3 {
		t.Errorf("reference %d, want 3", s.Features[0].Reference)
	}
	names := []string{"(intercept)", "x=1", "x=0", "x=true", "x=1.50", "x=2026-01-02", "x=null", "x=a b", "x=many"}
	for i, term := range s.Terms() {
		if term.Name != names[i] {
			t.Errorf("term %d is %q, want %q", i, term.Name, names[i])
		}
	}
}

func TestBinaryOutcomes(t *testing.T) {
	s := mustParse(t, strings.NewReplacer("{column: y, type: number, range: [0, 10]}", `{column: response, type: binary, positive: ["1"]}`,
		"gaussian", "binomial").Replace(minimal))
	if diff := cmp.Diff(Outcome{Column: "response", Type: Binary, Scale: Identity, Positive: []string{"1"}}, s.Outcome); diff != "" {
		t.Error(diff)
	}
	limit := 49.0
	s = mustParse(t, strings.NewReplacer("{column: y, type: number, range: [0, 10]}", "{column: weekly_dose_mg, type: binary, at_least: 49}",
		"gaussian", "binomial").Replace(minimal))
	if diff := cmp.Diff(Outcome{Column: "weekly_dose_mg", Type: Binary, Scale: Identity, AtLeast: &limit}, s.Outcome); diff != "" {
		t.Error(diff)
	}
	if lo, hi := s.Outcome.Bounds(); lo != 0 || hi != 1 {
		t.Errorf("bounds %v, %v", lo, hi)
	}
}

func TestDescribeNeedsNoFamily(t *testing.T) {
	s := mustParse(t, strings.Replace(minimal, "{kind: glm, family: gaussian}", "{kind: describe}", 1))
	if diff := cmp.Diff(Model{Kind: Describe}, s.Model); diff != "" {
		t.Error(diff)
	}
}

func TestOutcomeScales(t *testing.T) {
	for _, c := range []struct {
		transform string
		y, scaled float64
		below     float64 // prediction for a linear predictor of -1
	}{
		{"identity", 9, 9, -1},
		{"sqrt", 9, 3, 0},
		{"log", 1, 0, 0.36787944117144233},
	} {
		s := mustParse(t, strings.Replace(minimal, "[0, 10]", "[0.25, 10], transform: "+c.transform, 1))
		if got := s.Outcome.Transform(c.y); got != c.scaled {
			t.Errorf("%s of %v is %v, want %v", c.transform, c.y, got, c.scaled)
		}
		if got := s.Outcome.Inverse(c.scaled); got != c.y {
			t.Errorf("inverse %s of %v is %v, want %v", c.transform, c.scaled, got, c.y)
		}
		if got := s.Outcome.Inverse(-1); got != c.below {
			t.Errorf("inverse %s of -1 is %v, want %v", c.transform, got, c.below)
		}
		if lo, hi := s.Outcome.Bounds(); lo != s.Outcome.Transform(0.25) || hi != s.Outcome.Transform(10) {
			t.Errorf("%s bounds %v, %v", c.transform, lo, hi)
		}
	}
}

// FuzzParse: no input panics, every fault is an *Error, and what is accepted
// keeps the promises that other packages build on.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(minimal))
	for _, c := range [][2]string{
		{countOutcome, `{kind: glm, family: poisson, offset: o, weights: {column: w, range: [0, 9]}, interactions: ["age:sex", "sex:gene"], splines: ["spline(bmi, df: 8)"]}`},
		{survivalOutcome, "{kind: cox, stratify: none, ties: breslow}"},
		{strings.Replace(survivalOutcome, "unit: d", "grid: {step: 30}", 1), "{kind: boost, monotone: {age: -1}, early_stopping: {patience: 5}}"},
		{numberOutcome, "{kind: neural, hidden: [64, 32], strategy: fedyogi, server: {rate: 0.1}}"},
	} {
		f.Add([]byte(kindStudy(c[0], c[1], "validation: {kind: k-fold, folds: 3}\n")))
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("? {}\n: !!binary x\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := Parse(src)
		if err != nil {
			if fault, ok := errors.AsType[*Error](err); !ok || fault.Message == "" || len(err.Error()) > 2000 {
				t.Fatalf("error %T of %d bytes: %.200v", err, len(err.Error()), err)
			}
			return
		}
		names := map[string]bool{}
		for i, term := range s.Terms() {
			if names[term.Name] || !(term.Lo < term.Hi) || (i == 0) != (term.Name == Intercept) {
				t.Errorf("term %d: %+v", i, term)
			}
			names[term.Name] = true
		}
		knotted, err := s.KnottedEvenly()
		if err != nil || knotted.TermCount() != len(knotted.Terms()) || knotted.TermCount() != s.TermCount() || s.TermCount() > MaxTerms || s.Parameters() > MaxParameters {
			t.Errorf("%d terms, %d parameters, knots: %v", s.TermCount(), s.Parameters(), err)
		}
		for _, term := range knotted.Terms() {
			if !(term.Hi-term.Lo >= 1e-9 && max(-term.Lo, term.Hi) <= 1e12) {
				t.Errorf("term %+v", term)
			}
		}
		if (s.Outcome.Type == Survival) != (len(s.Outcome.Grid) > 0) || !ascending(s.Outcome.Grid) {
			t.Errorf("grid %v", s.Outcome.Grid)
		}
		if lo, hi := s.Outcome.Bounds(); s.Outcome.Type != Binary && !(lo < hi) {
			t.Errorf("outcome bounds %v, %v", lo, hi)
		}
		if s.MinimumContributors() < 2 || s.Deadline() <= 0 || string(s.Source()) != string(src) {
			t.Errorf("study %+v", s)
		}
		b, err := s.NewBuilder(s.Columns())
		if err != nil {
			t.Fatal(err)
		}
		b.Add(make([]string, len(s.Columns())))
		b.Add(nil)
		if b.Matrix().Rows() > 1 {
			t.Error("two empty records are usable")
		}
	})
}
