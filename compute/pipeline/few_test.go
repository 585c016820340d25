package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

const admissions = `study: admissions
version: 1
outcome: {column: y, type: count, range: [0, 20]}
features:
  - {column: x, type: number, range: [0, 10]}
  - {column: carrier, type: number, range: [0, 1]}
model: {kind: glm, family: poisson, ridge: 1}
validation: {kind: k-fold, folds: 3}
fairness:
  attributes: [{column: g, levels: [A, B]}]
  minimum_cell: 11
  minimum_sites: 1
  largest_share: 1
  disclosure: %s
privacy: {minimum_contributors: 3}
`

// readsTotals is a reader who multiplies the result's means, and what else has the
// outcome in it, by numbers of patients: how many admissions, by where they are read.
func readsTotals(r *Result) map[string]float64 {
	out := map[string]float64{}
	n := float64(r.Validation.N)
	if m := r.Cohort.Outcome.Mean; m != nil {
		out["cohort"] = *m * n
	}
	if m := r.Cohort.Features[1].Mean; m != nil {
		out["carriers"] = *m * n
	}
	if m, ok := r.Audit.Groups[0].Metrics["mean_actual"]; ok {
		out["audit"] = m.Estimate * n
	}
	if r.Validation.Calibration != nil {
		for _, b := range r.Validation.Calibration {
			out["calibration"] += *b.Actual * float64(*b.N)
		}
	}
	if bias, ok := r.Validation.Metrics["bias"]; ok {
		if m, ok := r.Audit.Groups[0].Metrics["mean_predicted"]; ok {
			out["bias"] = (m.Estimate - bias) * n
		}
	}
	return out
}

// Of 240 patients four carry, and so many have been admitted once: with primary
// disclosure the result says so in five places, and otherwise in none; where enough
// have been admitted it is shown.
func TestSumsOfFewAreNotInTheResult(t *testing.T) {
	for _, c := range []struct {
		disclosure         string
		carriers, admitted int
		places             int
	}{{"primary", 4, 6, 5}, {"complementary", 4, 6, 0}, {"complementary", 40, 200, 5}} {
		s := parse(t, fmt.Sprintf(admissions, c.disclosure))
		random := rand.New(rand.NewPCG(3, 1))
		var records [][]string
		for i, place := range random.Perm(240) {
			is := func(k int) string { return strconv.Itoa(min(max(k-place, 0), 1)) }
			records = append(records, []string{is(c.admitted), strconv.FormatFloat(10*random.Float64(), 'f', 4, 64), is(c.carriers), []string{"A", "B"}[i%2]})
		}
		r, err := federate(t, s, matrices(t, s, []string{"y", "x", "carrier", "g"}, records, func(i int) string { return fmt.Sprint(i % 4) }), plain)
		if err != nil {
			t.Fatal(err)
		}
		read := readsTotals(r)
		if len(read) != c.places {
			t.Errorf("%s, %d admitted: in %d places, %v; want %d", c.disclosure, c.admitted, len(read), read, c.places)
		}
		for place, got := range read {
			want := float64(c.admitted)
			if place == "carriers" {
				want = float64(c.carriers)
			}
			if math.Abs(got-want) > 1e-6 {
				t.Errorf("%s: from %s follows %g, want %g", c.disclosure, place, got, want)
			}
		}
	}
}
