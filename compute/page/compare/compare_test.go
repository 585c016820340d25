package compare_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/page/compare"
	"github.com/consilium-fl/consilium/study"
)

// result is a result.json as "consilium study result" writes it.
const result = `{"study":"%[1]s","name":"dose",
"cohort":{"contributors":4,"minimum_cell":11,"patients":{"state":"ok","n":400},"outcome":{"column":"dose","unit":"mg","mean":30.5,"sd":4}},
"model":{"kind":"glm","family":"gaussian","link":"identity","transform":"identity","n":400,"deviance":120,"aic":900,"bic":910,"log_likelihood":-447,
 "terms":[{"name":"(intercept)","estimate":1,"std_error":0.5},{"name":"age","estimate":-2,"std_error":0.25}]},
"validation":{"kind":"k-fold","models":5,"n":400,"metrics":{"mae":8.5,"r2":0.4},"intervals":{"mae":{"lower":8,"upper":9}},"prediction":{"level":0.95,"half_width":20,"coverage":0.951}},
"audit":{"schema":"","title":"Dose","version":2,"gaps":[{"metric":"mae","attribute":"sex","level":"m","reference":"f","estimate":1,"lower":0.5,"upper":1.5,"margin":0.8,"verdict":"insufficient evidence"},
 {"metric":"bias","attribute":"sex","level":"m","reference":"f","estimate":-4,"lower":-5,"upper":-3,"margin":0.8,"verdict":"disparity found"}]}}`

func read(t *testing.T, name string, changes ...string) compare.Subject {
	t.Helper()
	text := fmt.Sprintf(result, strings.Repeat(name, 64))
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			t.Fatalf("nothing to change at %s", changes[i])
		}
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	s, err := compare.Read(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func studies(t *testing.T, a, b compare.Subject) *compare.Comparison {
	t.Helper()
	c, err := compare.Studies(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
	return c
}

func TestEverythingIsSideBySide(t *testing.T) {
	a := read(t, "a")
	b := read(t, "b", `"mae":8.5`, `"mae":7.5`, `"name":"age","estimate":-2`, `"name":"height","estimate":3`, `"aic":900`, `"aic":880`, `"metric":"bias"`, `"metric":"tpr"`)
	c := studies(t, a, b)
	if !c.Fair || len(c.Why) != 0 {
		t.Errorf("not fair: %v", c.Why)
	}
	metric := c.Metrics[slices.IndexFunc(c.Metrics, func(m compare.Metric) bool { return m.Name == "mae" })]
	if metric.A.Estimate != 8.5 || *metric.A.Lower != 8 || *metric.Difference != -1 {
		t.Errorf("mae %+v", metric)
	}
	if i := slices.IndexFunc(c.Metrics, func(m compare.Metric) bool { return m.Name == compare.HalfWidth }); i < 0 || c.Metrics[i].A.Estimate != 20 {
		t.Error("the width of a prediction is not compared")
	}
	var names []string
	for _, x := range c.Coefficients {
		names = append(names, x.Name)
	}
	if !slices.Equal(names, []string{"(intercept)", "age", "height"}) || c.Coefficients[1].B != nil || c.Coefficients[2].A != nil || *c.Coefficients[0].Difference != 0 {
		t.Errorf("coefficients %v", names)
	}
	if i := slices.IndexFunc(c.Fit, func(n compare.Number) bool { return n.Name == "aic" }); i < 0 || *c.Fit[i].Difference != -20 {
		t.Errorf("fit %+v", c.Fit)
	}
	// The largest against its margin comes first; the same groups stand side by side.
	if len(c.Gaps) != 3 || c.Gaps[0].Metric != "bias" || c.Gaps[0].B != nil || c.Gaps[1].A != nil || c.Gaps[2].A == nil || c.Gaps[2].B == nil {
		t.Errorf("gaps %+v", c.Gaps)
	}
	if c.A.Title != "Dose" || *c.B.Patients != 400 || c.A.Validation != "k-fold" || c.Unit != "mg" {
		t.Errorf("sides %+v %+v", c.A, c.B)
	}
}

// A comparison is fair only of the same outcome of the same patients, tried in
// the same way; whatever differs is said.
func TestWhatMakesAComparisonUnfair(t *testing.T) {
	for name, x := range map[string]struct {
		changes []string
		says    string
		fit     bool // deviance and AIC still compare
	}{
		"outcome":      {[]string{`"column":"dose"`, `"column":"height"`}, "different outcomes: dose and height", false},
		"unit":         {[]string{`"unit":"mg"`, `"unit":"g"`}, "different units", false},
		"kind":         {[]string{`"mean":30.5`, `"positives":{"state":"ok","n":30}`}, "one predicts a number", false},
		"patients":     {[]string{`"state":"ok","n":400`, `"state":"ok","n":399`}, "400 and 399 patients", false},
		"other people": {[]string{`"mean":30.5`, `"mean":30.6`}, "but other ones", false},
		"hospitals":    {[]string{`"contributors":4`, `"contributors":5`}, "4 and 5", false},
		"none":         {[]string{`"validation"`, `"other"`}, "only one was tried", true},
		"validation":   {[]string{`"kind":"k-fold"`, `"kind":"holdout"`}, "k-fold and holdout", true},
		"folds":        {[]string{`"models":5`, `"models":10`}, "5 and 10 folds", true},
		"tried":        {[]string{`"models":5,"n":400`, `"models":5,"n":80`}, "400 and 80 patients", true},
	} {
		c := studies(t, read(t, "a"), read(t, "b", x.changes...))
		if c.Fair || !strings.Contains(strings.Join(c.Why, "; "), x.says) {
			t.Errorf("%s: fair %v, %v", name, c.Fair, c.Why)
		}
		if (len(c.Fit) > 0) != x.fit {
			t.Errorf("%s: deviance and AIC are compared: %v", name, len(c.Fit) > 0)
		}
	}
	none := []string{`"validation"`, `"other"`}
	if c := studies(t, read(t, "a", none...), read(t, "b", none...)); c.Fair || !strings.Contains(c.Why[0], "neither") {
		t.Errorf("without validation: %v", c.Why)
	}
	// The family's likelihood decides, not the records alone.
	if c := studies(t, read(t, "a"), read(t, "b", `"transform":"identity"`, `"transform":"sqrt"`)); c.Fit != nil || !strings.Contains(strings.Join(c.Notes, " "), "different scales") {
		t.Errorf("fits of another scale are compared: %v", c.Notes)
	} else if c.Coefficients[0].A == nil || c.Coefficients[0].B == nil || c.Coefficients[0].Difference != nil {
		t.Errorf("coefficients of another scale are subtracted: %+v", c.Coefficients[0])
	}
	// What is withheld is not another number.
	if c := studies(t, read(t, "a"), read(t, "b", `"state":"ok","n":400`, `"state":"suppressed"`)); c.Fair || !strings.Contains(strings.Join(c.Why, " "), "how many patients there are is withheld") {
		t.Errorf("a withheld cohort: %v", c.Why)
	}
}

func protocol(t *testing.T, feature, validation string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(fmt.Sprintf(`
study: dose
version: 1
outcome: {column: dose, type: number, range: [0, 100]}
features:
  - {column: %s, type: number, range: [0, 100]}
model: {kind: glm, family: gaussian}
validation: %s
`, feature, validation)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The study files tell how patients were divided, which the results do not.
func TestProtocolsAreAskedHowPatientsWereDivided(t *testing.T) {
	for _, x := range []struct{ a, b, other, says string }{
		{"{kind: k-fold, folds: 5, by: id}", "{kind: k-fold, folds: 5, by: id}", "height", ""},
		{"{kind: k-fold, folds: 5, by: id}", "{kind: k-fold, folds: 5, by: name}", "age", "id and name"},
		{"{kind: k-fold, folds: 5, by: id}", "{kind: k-fold, folds: 5}", "age", "id and none"},
		{"{kind: k-fold, folds: 5}", "{kind: k-fold, folds: 5}", "age", ""},
		{"{kind: k-fold, folds: 5}", "{kind: k-fold, folds: 5}", "height", "validation.by"},
		{"{kind: holdout, fraction: 0.2, by: id}", "{kind: holdout, fraction: 0.3, by: id}", "age", "0.2 and 0.3"},
		{"{kind: external, sites: [a, b, c]}", "{kind: external, sites: [a, b, d]}", "age", "different hospitals"},
	} {
		a, b := read(t, "a"), read(t, "b")
		a.Protocol, b.Protocol = protocol(t, "age", x.a), protocol(t, x.other, x.b)
		c := studies(t, a, b)
		if c.Fair != (x.says == "") || !strings.Contains(strings.Join(c.Why, "; "), x.says) {
			t.Errorf("%s and %s with %s: %v", x.a, x.b, x.other, c.Why)
		}
	}
}

func TestBothFormsOfAResultAreRead(t *testing.T) {
	plain := read(t, "a")
	simulated := strings.Replace(fmt.Sprintf(result, "x"), `"study":"x","name":"dose"`, `"study":{"digest":"d0d0","name":"dose","version":3,"title":"T"},"seed":1,"fairness":{"groups":[],"gaps":[]}`, 1)
	s, err := compare.Read("s", []byte(simulated))
	if err != nil || s.Title != "T" || s.Version != 3 || s.Result.Study != "d0d0" || s.Result.Model.GLM.AIC != 900 || s.Result.Cohort.Contributors != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	if plain.Title != "Dose" || len(plain.Gaps) != 2 || plain.Version != 2 {
		t.Errorf("%+v", plain)
	}
	for _, text := range []string{"", "[]", "{}", `{"study":1}`, `{"study":{}}`, "null", `{"study":"x","model":{"kind":"magic"}}`} {
		if s, err := compare.Read("s", []byte(text)); err == nil {
			if _, err := compare.Studies(s, plain); err == nil {
				t.Errorf("%q was compared", text)
			}
		}
	}
}

// What is not there is not compared, and is no failure.
func TestStudiesWithoutAModelAreRefused(t *testing.T) {
	a := read(t, "a")
	without := read(t, "b", `"model"`, `"other"`)
	if _, err := compare.Studies(a, without); err == nil || !strings.Contains(err.Error(), "no model") {
		t.Errorf("%v", err)
	}
	if _, err := compare.Studies(compare.Subject{Name: "x"}, a); err == nil {
		t.Error("compared nothing")
	}
	// A difference that overflows is left out.
	c := studies(t, read(t, "a", `"estimate":-2`, `"estimate":-1.7e308`), read(t, "b", `"estimate":-2`, `"estimate":1.7e308`))
	if d := c.Coefficients[1].Difference; d != nil {
		t.Errorf("difference %v", *d)
	}
}
