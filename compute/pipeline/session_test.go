package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/study"
)

func binaryStudy(t testing.TB) (*study.Study, []*study.Matrix) {
	s := parse(t, fmt.Sprintf(small, `{column: y, type: binary, positive: ["1"]}`, "binomial", 0.0, 3, 25))
	records := cohort(240, true, asIs)
	return s, matrices(t, s, []string{"y", "a", "b", "c"}, records, func(i int) string { return fmt.Sprint(i % 4) })
}

// The same sums lead to the same questions and the same bytes, whether Next
// was asked once or often: a coordinator resumes by replaying.
func TestReplayGivesTheSameBytes(t *testing.T) {
	s, sites := binaryStudy(t)
	session := New(s)
	var questions []compute.Question
	var sums []compute.Sum
	for {
		q, done, err := session.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		questions = append(questions, q)
		sums = append(sums, ask(t, s, sites, q, fixedPoint))
		if err := session.Absorb(sums[len(sums)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if len(questions) < 4 {
		t.Fatalf("only %d questions", len(questions))
	}
	seen := map[string]bool{}
	for _, q := range questions {
		key := q.Step + string(q.Parameters)
		if seen[key] {
			t.Errorf("a question was asked twice: %s; sites answer it once", q.Step)
		}
		seen[key] = true
	}
	want, err := json.Marshal(session.Result())
	if err != nil {
		t.Fatal(err)
	}
	for stop := range len(sums) + 1 {
		again := New(s)
		for i := range stop {
			for range 3 {
				q, done, err := again.Next()
				if err != nil || done || q.Step != questions[i].Step || !bytes.Equal(q.Parameters, questions[i].Parameters) || !slices.Equal(q.Layout, questions[i].Layout) {
					t.Fatalf("question %d differs on replay", i)
				}
			}
			if err := again.Absorb(sums[i]); err != nil {
				t.Fatal(err)
			}
		}
		if stop == len(sums) {
			got, _ := json.Marshal(again.Result())
			if !bytes.Equal(got, want) {
				t.Error("the result differs on replay")
			}
		}
	}
	if err := session.Absorb(sums[0]); err == nil {
		t.Error("a finished study takes no sum")
	}
}

// Model and audit survive JSON to the last bit.
func TestResultSurvivesJSON(t *testing.T) {
	s, sites := binaryStudy(t)
	result, err := federate(t, s, sites, plain)
	if err != nil {
		t.Fatal(err)
	}
	first, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	decoder := json.NewDecoder(bytes.NewReader(first))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&back); err != nil {
		t.Fatal(err)
	}
	second, _ := json.Marshal(back)
	if !bytes.Equal(first, second) {
		t.Error("decoded and encoded again the result differs")
	}
}

// A site that leaves between Newton rounds leaves a fit of the others: the same
// as if it had never been there.
func TestSiteThatLeavesBetweenRounds(t *testing.T) {
	s, sites := binaryStudy(t)
	want, err := federate(t, s, sites[:3], plain)
	if err != nil {
		t.Fatal(err)
	}
	for leave := 1; leave < 5; leave++ {
		session := New(s)
		for round := 0; ; round++ {
			q, done, err := session.Next()
			if err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			present := sites
			if round >= leave {
				present = sites[:3]
			}
			if err := session.Absorb(ask(t, s, present, q, plain)); err != nil {
				t.Fatal(err)
			}
		}
		for j, term := range session.Result().Model.GLM.Terms {
			near(t, term.Name, term.Estimate, want.Model.GLM.Terms[j].Estimate, 1e-8)
			near(t, term.Name, term.StdError, want.Model.GLM.Terms[j].StdError, 1e-8)
		}
		if session.Result().Model.GLM.N != want.Model.GLM.N || session.Result().Audit.N != want.Model.GLM.N {
			t.Error("patients of the site that left are still counted")
		}
	}
}

func TestSitesRefuseWhatIsNotTheStudys(t *testing.T) {
	s, sites := binaryStudy(t)
	dose := parse(t, fmt.Sprintf(small, `{column: y, type: number, range: [-20, 20]}`, "gaussian", 0.0, 3, 25))
	const centre = `"centre":{"columns":[0,0,0,0,0],"outcome":0}`
	newton := func(coefficients string) string { return `{"coefficients":` + coefficients + `,` + centre + `}` }
	good := newton("[0,0,0,0,0]")
	own := Site{Name: "A", Records: sites[0]}
	if _, err := Answer(s, glm.StepNewton, within(good), own); err != nil {
		t.Fatal(err)
	}
	if _, err := Answer(dose, glm.StepGram, within("{"+centre+"}"), own); err != nil {
		t.Fatal(err)
	}
	audit := `{"prevalence":0.5,"cells":[0,1,3]}`
	models := auditOf(t, s, sites)
	if _, err := Answer(s, fairness.Step, models(audit), own); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		study            *study.Study
		step, parameters string
	}{
		"unknown step":                  {s, "glm/hessian", ""},
		"empty step":                    {s, "", ""},
		"step of another family":        {s, glm.StepGram, ""},
		"another family's step":         {dose, glm.StepNewton, good},
		"counts with parameters":        {s, "describe/counts", good},
		"gram with coefficients":        {dose, glm.StepGram, good},
		"gram without a centre":         {dose, glm.StepGram, ""},
		"centre of too few columns":     {dose, glm.StepGram, `{"centre":{"columns":[0,0,0,0],"outcome":0}}`},
		"centre outside its range":      {dose, glm.StepGram, `{"centre":{"columns":[0,1e9,0,0,0],"outcome":0}}`},
		"centre of the intercept":       {dose, glm.StepGram, `{"centre":{"columns":[1,0,0,0,0],"outcome":0}}`},
		"minus zero as a centre":        {dose, glm.StepGram, `{"centre":{"columns":[0,-0,0,0,0],"outcome":0}}`},
		"outcome's centre out of range": {dose, glm.StepGram, `{"centre":{"columns":[0,0,0,0,0],"outcome":21}}`},
		"centre of a binary outcome":    {s, glm.StepNewton, strings.Replace(good, `"outcome":0`, `"outcome":0.5`, 1)},
		"no centre":                     {s, glm.StepNewton, `{"coefficients":[0,0,0,0,0]}`},
		"no parameters":                 {s, glm.StepNewton, ""},
		"too few coefficients":          {s, glm.StepNewton, newton("[0,0,0,0]")},
		"too many coefficients":         {s, glm.StepNewton, newton("[0,0,0,0,0,0]")},
		"null":                          {s, glm.StepNewton, newton("null")},
		"not a number":                  {s, glm.StepNewton, newton("[0,0,NaN,0,0]")},
		"overflowing number":            {s, glm.StepNewton, newton("[0,0,1e999,0,0]")},
		"beyond reach":                  {s, glm.StepNewton, newton("[0,0,1e12,0,0]")},
		"minus zero":                    {s, glm.StepNewton, newton("[-0,0,0,0,0]")},
		"another spelling of a number":  {s, glm.StepNewton, newton("[0.0,0,0,0,0]")},
		"space":                         {s, glm.StepNewton, newton("[0, 0,0,0,0]")},
		"unknown key":                   {s, glm.StepNewton, strings.TrimSuffix(good, "}") + `,"x":1}`},
		"other case of a key":           {s, glm.StepNewton, strings.Replace(good, "coef", "Coef", 1)},
		"trailing bytes":                {s, glm.StepNewton, good + "{}"},
		"trailing space":                {s, glm.StepNewton, good + "\n"},
		"audit without all":             {s, fairness.Step, strings.Replace(audit, "[0,1,3]", "[1,3]", 1)},
		"audit without groups":          {s, fairness.Step, strings.Replace(audit, "[0,1,3]", "[]", 1)},
		"group twice":                   {s, fairness.Step, strings.Replace(audit, "[0,1,3]", "[0,1,1]", 1)},
		"group that is not declared":    {s, fairness.Step, strings.Replace(audit, "[0,1,3]", "[0,5]", 1)},
		"negative group":                {s, fairness.Step, strings.Replace(audit, "[0,1,3]", "[0,-1]", 1)},
		"prevalence of one":             {s, fairness.Step, strings.Replace(audit, "0.5", "1", 1)},
		"binary audit, no prevalence":   {s, fairness.Step, `{"cells":[0]}`},
		"dose audit with prevalence":    {dose, fairness.Step, audit},
	} {
		parameters := within(c.parameters)
		if c.step == fairness.Step {
			parameters = models(c.parameters)
		}
		if _, err := Answer(c.study, c.step, parameters, own); err == nil {
			t.Errorf("%s: answered", name)
		}
		if _, err := Layout(c.study, c.step, parameters); err == nil {
			t.Errorf("%s: has a layout", name)
		}
	}
}

// within puts a step's own parameters where a question has them.
func within(parameters string) []byte {
	if parameters == "" {
		return []byte("{}")
	}
	return []byte(`{"parameters":` + parameters + "}")
}

// auditOf puts an audit's own parameters beside the model of a fit.
func auditOf(t testing.TB, s *study.Study, sites []*study.Matrix) func(parameters string) []byte {
	t.Helper()
	result, err := federate(t, s, sites, plain)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := result.Model.encode()
	if err != nil {
		t.Fatal(err)
	}
	models, err := json.Marshal([]tried{{Model: encoded}})
	if err != nil {
		t.Fatal(err)
	}
	return func(parameters string) []byte {
		return []byte(`{"models":` + string(models) + `,"parameters":` + parameters + "}")
	}
}

// A sum of another layout is refused, not misread.
func TestSumOfAnotherLayoutIsRefused(t *testing.T) {
	s, _ := binaryStudy(t)
	sum, err := compute.NewSum(3, []compute.Field{{Name: "patients", Length: 1}}, []float64{5})
	if err != nil {
		t.Fatal(err)
	}
	if err := New(s).Absorb(sum); err == nil {
		t.Error("absorbed")
	}
}

// The steps that a person is shown are the steps that are asked, and no vector
// is longer than announced.
func TestStepsAnnounceWhatIsAsked(t *testing.T) {
	s, sites := binaryStudy(t)
	announced := map[string]compute.StepSummary{}
	for _, step := range Steps(s, len(sites)) {
		announced[step.Step] = step
	}
	asked := map[string]int{}
	if _, err := federateSeeing(t, s, sites, plain, func(q compute.Question) {
		asked[q.Step]++
		length := 0
		for _, f := range q.Layout {
			length += f.Length
		}
		if step, ok := announced[q.Step]; !ok || length > step.Numbers || asked[q.Step] > step.Rounds {
			t.Errorf("step %s of %d numbers is not as announced: %+v", q.Step, length, step)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if len(asked) != len(announced) {
		t.Errorf("announced %d steps, asked %d", len(announced), len(asked))
	}
}

// Groups below the minimum are not even part of the opened sum.
func TestSmallGroupsStayOutOfTheVector(t *testing.T) {
	s := parse(t, warfarin(weeklyDose, sixLevels, linear))
	columns, records, site := iwpc(t)
	sites := present(matrices(t, s, columns, records, site))
	session := New(s)
	for {
		q, done, err := session.Next()
		if err != nil || done {
			t.Fatal("no audit", err)
		}
		if q.Step == fairness.Step {
			// All, four of race4 (unknown is empty), female and male (unknown: 2).
			if !strings.HasSuffix(string(q.Parameters), `"cells":[0,1,2,3,4,6,7]}}`) {
				t.Errorf("cells in %s", q.Parameters)
			}
			for _, f := range q.Layout {
				if f.Length%7 != 0 && !strings.HasPrefix(f.Name, "within_") {
					t.Errorf("field %s has %d numbers", f.Name, f.Length)
				}
			}
			return
		}
		if err := session.Absorb(ask(t, s, sites, q, plain)); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzParameters(f *testing.F) {
	s, sites := binaryStudy(f)
	dose := parse(f, fmt.Sprintf(small, `{column: y, type: number, range: [-20, 20]}`, "gaussian", 0.0, 3, 25))
	models := auditOf(f, s, sites)
	f.Add(glm.StepNewton, within(`{"coefficients":[0.5,-1,0,2,1048570]}`))
	f.Add(fairness.Step, models(`{"prevalence":0.5,"cells":[0,1,3]}`))
	f.Add(fairness.Step, models(`{"cells":[0,4]}`))
	f.Add(glm.StepGram, []byte(nil))
	f.Fuzz(func(t *testing.T, step string, parameters []byte) {
		for _, study := range []*study.Study{s, dose} {
			layout, err := Layout(study, step, parameters)
			values, err2 := Answer(study, step, parameters, Site{Name: "A", Records: sites[0]})
			if (err == nil) != (err2 == nil) {
				t.Fatalf("layout: %v, answer: %v", err, err2)
			}
			if err != nil {
				continue
			}
			// Whatever the parameters, the vector fits its layout and its bounds.
			for _, f := range layout {
				for _, v := range values[:f.Length] {
					if math.IsNaN(v) || math.Abs(v) > f.Bound {
						t.Fatalf("field %s is out of bounds", f.Name)
					}
				}
				values = values[f.Length:]
			}
			if len(values) != 0 {
				t.Fatal("the vector is longer than its layout")
			}
		}
	})
}
