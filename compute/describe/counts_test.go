package describe

import (
	"math"
	"slices"
	"strconv"
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
