package cox

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const veterans = `
study: veterans
version: 1
outcome: {type: survival, time: {column: time, range: [0, 1000], grid: {step: 1}}, event: {column: status, positive: ["1"]}}
features:
  - {column: trt, type: number, range: [1, 2]}
  - {column: karno, type: number, range: [0, 100]}
  - {column: age, type: number, range: [18, 100]}
model: {kind: cox, stratify: %s, standard_errors: %s%s}
fairness: {attributes: [{column: celltype, levels: [adeno, large, smallcell, squamous]}], minimum_cell: 1}
schedule: {tolerance: 1e-12}
`

func veteransAt(t testing.TB, s *study.Study, sites int) []*study.Matrix {
	return divide(t, s, readCSV(t, "survival", "veteran.csv"), func(i int, _ []string) string { return strconv.Itoa(i % sites) })
}

func TestConcordanceClusteredByHospital(t *testing.T) {
	data, err := os.ReadFile("testdata/clustered.json")
	if err != nil {
		t.Fatal(err)
	}
	var fits []struct {
		Sites                   int
		Stratify                string
		Estimate, SE, Clustered float64
	}
	if err := json.Unmarshal(data, &fits); err != nil || len(fits) != 4 {
		t.Fatal(len(fits), err)
	}
	for _, want := range fits {
		s := parse(t, fmt.Sprintf(veterans, want.Stratify, "robust", ""))
		c := fit(t, s, veteransAt(t, s, want.Sites)).Concordance
		name := fmt.Sprintf("%s, %d hospitals: ", want.Stratify, want.Sites)
		near(t, name+"concordance", c.Estimate, want.Estimate, 1e-9)
		near(t, name+"standard error", c.StdError, want.SE, 1e-8)
		if c.ClusteredError == nil {
			t.Fatal(name, "no clustered standard error")
		}
		near(t, name+"clustered standard error", *c.ClusteredError, want.Clustered, 1e-8)
	}
}

// Without robust standard errors nothing more is asked than before.
func TestOnlyRobustErrorsAskAboutHospitals(t *testing.T) {
	s := parse(t, fmt.Sprintf(veterans, "site", "model", ""))
	for _, step := range Steps(s) {
		if step.Step == StepConcordance {
			t.Error("announced")
		}
	}
	if c := fit(t, s, veteransAt(t, s, 3)).Concordance; c == nil || c.ClusteredError != nil {
		t.Errorf("%+v", c)
	}
	terms := len(s.Terms()) - 1
	zero := clusters{point{Coefficients: make([]float64, terms), Centre: []float64{1.5, 50, 50}}, 0.5}
	parameters, err := compute.EncodeParameters(zero)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Layout(s, StepConcordance, parameters); err == nil {
		t.Error("a study without robust standard errors answers")
	}
	robust := parse(t, fmt.Sprintf(veterans, "site", "robust", ""))
	if _, err := Layout(robust, StepConcordance, parameters); err != nil {
		t.Error(err)
	}
	for _, d := range []string{"1.5", "-1.01", "-0"} {
		if _, err := Layout(robust, StepConcordance, []byte(strings.Replace(string(parameters), "0.5", d, 1))); err == nil {
			t.Errorf("a difference of %s is accepted", d)
		}
	}
}

// A hospital that leaves between the two sums leaves a model without the error of
// other hospitals.
func TestClusteredErrorIsOfTheHospitalsOfThePairs(t *testing.T) {
	s := parse(t, fmt.Sprintf(veterans, "site", "robust", ""))
	sites := veteransAt(t, s, 4)
	f, err := New(s, count(t, s, sites))
	if err != nil {
		t.Fatal(err)
	}
	for {
		q, done, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		present := sites
		if q.Step == StepConcordance {
			present = sites[1:]
		}
		if err := f.Absorb(ask(t, q, present, func(m *study.Matrix) ([]float64, error) { return Answer(s, q.Step, q.Parameters, m) })); err != nil {
			t.Fatal(err)
		}
	}
	if c := f.Model().Concordance; c.ClusteredError != nil || math.IsNaN(c.StdError) {
		t.Errorf("%+v", c)
	}
}
