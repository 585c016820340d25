package describe

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const protocol = `
study: counts
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: a, type: number, range: [0, 100]}
  - {column: c, type: category, levels: [u, v, w], reference: v}
model: {kind: glm, family: binomial}
fairness: {attributes: [{column: g, levels: [x]}], minimum_cell: 3}
`

func count(t *testing.T, records [][]string) *Counts {
	t.Helper()
	s, err := study.Parse([]byte(protocol))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.NewBuilder([]string{"y", "a", "c", "g"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		b.Add(r)
	}
	values, err := AnswerCounts(s, b.Matrix())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := compute.NewSum(3, CountsLayout(s), values)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Read(s, sum)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func records(n int) [][]string {
	var out [][]string
	for i := range n {
		out = append(out, []string{strconv.Itoa(i % 2), strconv.Itoa(i), string("uvw"[i/2%3]), string("xz"[i%2])})
	}
	return out
}

func TestCountsAreTheRecords(t *testing.T) {
	c := count(t, records(24))
	if c.Patients != 24 || c.Positives != 12 || c.Contributors != 3 {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.levels, []int{8, 8, 8}) || !slices.Equal(c.levelHappened, []int{4, 4, 4}) {
		t.Errorf("levels %v, positives %v", c.levels, c.levelHappened)
	}
	if c.Group(0, 0) != 12 || c.Group(0, 1) != 12 {
		t.Error("groups")
	}
	want := []float64{1, 11.5, 1. / 3, 1. / 3}
	for j, mean := range c.Means() {
		if math.Abs(mean-want[j]) > 1e-12 {
			t.Errorf("mean of column %d: %v, want %v", j, mean, want[j])
		}
	}
	if d := c.Diagnose(); d != nil {
		t.Error(d)
	}
	a := c.Cohort().Features[0]
	if math.Abs(*a.Mean-11.5) > 1e-12 || math.Abs(*a.SD-math.Sqrt(50)) > 1e-12 {
		t.Errorf("mean %v, standard deviation %v", *a.Mean, *a.SD)
	}
}

// Positives and negatives are one subtraction apart: when either is too small
// to show, neither is shown.
func TestRareOutcomeHidesBothSides(t *testing.T) {
	for _, positives := range []int{0, 2, 3, 21, 22, 24} {
		r := records(24)
		for i := range r {
			r[i][0] = "0"
			if i < positives {
				r[i][0] = "1"
			}
		}
		got := count(t, r).Cohort().Outcome.Positives
		shown := positives != 2 && positives != 22
		if (got.State != Suppressed) != shown || (got.N != nil) != shown {
			t.Errorf("%d of 24: %+v", positives, got)
		}
	}
}

// No smallest or largest value is part of the vector.
func TestVectorHoldsCountsAndSumsOnly(t *testing.T) {
	s, err := study.Parse([]byte(protocol))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range CountsLayout(s) {
		names = append(names, f.Name)
	}
	want := []string{"patients", "levels", "groups", "positives", "level_positives", "numbers", "numbers_squared"}
	if !slices.Equal(names, want) {
		t.Errorf("the vector holds %q", names)
	}
}

func TestSumOfAnotherLayoutIsRefused(t *testing.T) {
	s, err := study.Parse([]byte(protocol))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := compute.NewSum(3, []compute.Field{{Name: "patients", Length: 1}}, []float64{5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(s, sum); err == nil {
		t.Error("read")
	}
}

// A model may have one coefficient for every three patients; trees have none.
func TestThreePatientsForEachCoefficient(t *testing.T) {
	for model, coefficients := range map[string]int{
		"{kind: glm, family: binomial}": 4,
		"{kind: boost, loss: logistic}": 0,
	} {
		s := parse(t, strings.Replace(protocol, "{kind: glm, family: binomial}", model, 1))
		for _, n := range []int{11, 12} {
			d := diagnose(t, s, records(n))
			few := coefficients > 0 && n < 3*coefficients
			if got := d != nil && d.Kind == compute.TooFewPatients; got != few {
				t.Errorf("%s of %d patients: %v", model, n, d)
			}
		}
		if d := diagnose(t, s, records(2)); d == nil || d.Kind != compute.TooFewPatients {
			t.Errorf("%s of fewer patients than the minimum cell: %v", model, d)
		}
	}
}

func diagnose(t *testing.T, s *study.Study, records [][]string) *compute.Diagnosis {
	t.Helper()
	sites := divide(t, s, []string{"y", "a", "c", "g"}, 1, records, func(int) int { return 0 })
	q := compute.Question{Step: Step, Layout: CountsLayout(s)}
	c, err := Read(s, ask(t, q, sites, func(m *study.Matrix) ([]float64, error) { return AnswerCounts(s, m) }))
	if err != nil {
		t.Fatal(err)
	}
	return c.Diagnose()
}

// Events are counted exactly, and shown only if the censored may be shown too;
// the mean is that of the time.
func TestCohortOfASurvivalStudy(t *testing.T) {
	columns, records := readCSV(t, "survival", "veteran.csv")
	for cell, shown := range map[int]bool{1: true, 9: true, 10: false} { // nine are censored
		s := parse(t, fmt.Sprintf(veteran, cell))
		counts, _ := run(t, s, divide(t, s, columns, 3, records, func(i int) int { return i % 3 }))
		outcome := counts.Cohort().Outcome
		if (outcome.Events.N != nil) != shown || shown && *outcome.Events.N != 128 {
			t.Errorf("events under a minimum of %d: %+v", cell, outcome.Events)
		}
		near(t, "mean time", *outcome.Mean, 16663./137, 1e-12)
	}
}

// Every term has its mean, products and numbers alike.
func TestMeansOfProducts(t *testing.T) {
	s := parse(t, strings.Replace(protocol, "family: binomial", `family: binomial, interactions: ["a:c"]`, 1))
	r := records(24)
	sites := divide(t, s, []string{"y", "a", "c", "g"}, 3, r, func(i int) int { return i % 3 })
	q := compute.Question{Step: Step, Layout: CountsLayout(s)}
	c, err := Read(s, ask(t, q, sites, func(m *study.Matrix) ([]float64, error) { return AnswerCounts(s, m) }))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, len(s.Terms()))
	for _, m := range sites {
		for i := range m.Rows() {
			for j, x := range m.Row(i) {
				want[j] += x / 24
			}
		}
	}
	if len(want) != 6 {
		t.Fatalf("%d terms", len(want))
	}
	for j, mean := range c.Means() {
		near(t, s.Terms()[j].Name, mean, want[j], 1e-12)
	}
}
