package pipeline

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
)

const small = `
study: small
version: 1
outcome: %s
features:
  - {column: a, type: number, range: [-10, 10]}
  - {column: b, type: number, range: [-10, 10]}
  - {column: c, type: category, levels: [u, v, w], reference: u}
model: {kind: glm, family: %s, ridge: %g}
fairness: {attributes: [{column: c, levels: [u, v, w]}], minimum_cell: %d}
schedule: {rounds: %d}
`

type patient struct {
	y, a, b float64
	c       string
}

// cohort makes patients who give no cause for a diagnosis; change alters them.
func cohort(n int, binary bool, change func(i int, p *patient)) [][]string {
	random := rand.New(rand.NewPCG(7, 11))
	var out [][]string
	for i := range n {
		p := patient{a: random.NormFloat64(), b: random.NormFloat64(), c: string("uvw"[i%3])}
		p.y = 1 + p.a - 0.5*p.b + random.NormFloat64()
		if binary {
			p.y = math.Round(1 / (1 + math.Exp(-p.a)))
			if random.Float64() < 0.4 {
				p.y = float64(random.IntN(2))
			}
		}
		change(i, &p)
		out = append(out, []string{text(p.y), text(p.a), text(p.b), p.c})
	}
	return out
}

func text(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func fitted(t *testing.T, binary bool, ridge float64, cell, rounds int, records [][]string) (*Result, error) {
	t.Helper()
	outcome, family := `{column: y, type: number, range: [-20, 20]}`, "gaussian"
	if binary {
		outcome, family = `{column: y, type: binary, positive: ["1"]}`, "binomial"
	}
	s := parse(t, fmt.Sprintf(small, outcome, family, ridge, cell, rounds))
	sites := matrices(t, s, []string{"y", "a", "b", "c"}, records, func(i int) string { return strconv.Itoa(i % 4) })
	result, err := federate(t, s, sites, fixedPoint)
	// Whatever happened, what is published is JSON: no NaN, no infinity.
	if _, err := json.Marshal(result); err != nil {
		t.Fatal(err)
	}
	return result, err
}

func asIs(int, *patient) {}

func TestNoDiagnosisWithoutCause(t *testing.T) {
	for _, binary := range []bool{false, true} {
		result, err := fitted(t, binary, 0, 3, 25, cohort(200, binary, asIs))
		if err != nil || len(result.Diagnoses) != 0 || result.Audit == nil {
			t.Errorf("binary %v: %v %v", binary, err, result.Diagnoses)
		}
	}
}

func TestCollinearColumnsAreNamed(t *testing.T) {
	double := func(_ int, p *patient) { p.b = 2*p.a - 1 }
	constant := func(_ int, p *patient) { p.b = 3 }
	for _, binary := range []bool{false, true} {
		_, err := fitted(t, binary, 0, 3, 25, cohort(200, binary, double))
		if d := diagnosis(t, err, compute.Collinearity); !slices.Equal(d.Terms, []string{"b", "a"}) {
			t.Errorf("named %q", d.Terms)
		}
		_, err = fitted(t, binary, 0, 3, 25, cohort(200, binary, constant))
		if d := diagnosis(t, err, compute.Collinearity); !slices.Equal(d.Terms, []string{"b"}) {
			t.Errorf("named %q", d.Terms)
		}
		// A ridge tells them apart.
		if _, err = fitted(t, binary, 1, 3, 25, cohort(200, binary, double)); err != nil {
			t.Error(err)
		}
	}
}

func TestEmptyLevelIsLeftOutAndNamed(t *testing.T) {
	noW := func(i int, p *patient) { p.c = string("uv"[i%2]) }
	for _, binary := range []bool{false, true} {
		result, err := fitted(t, binary, 0, 3, 25, cohort(200, binary, noW))
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Diagnoses) != 1 || result.Diagnoses[0].Kind != compute.EmptyLevel || !slices.Equal(result.Diagnoses[0].Terms, []string{"c=w"}) {
			t.Errorf("diagnoses %v", result.Diagnoses)
		}
		if !slices.Equal(result.Model.GLM.Dropped, []string{"c=w"}) || len(result.Model.GLM.Terms) != 4 {
			t.Errorf("dropped %q, %d terms", result.Model.GLM.Dropped, len(result.Model.GLM.Terms))
		}
		if g := result.Audit.Group("c", "w"); g.State != "zero" {
			t.Errorf("an empty group is %s", g.State)
		}
	}
	noU := func(i int, p *patient) { p.c = string("vw"[i%2]) }
	_, err := fitted(t, false, 0, 3, 25, cohort(200, false, noU))
	if d := diagnosis(t, err, compute.Collinearity); !slices.Equal(d.Terms, []string{"c=u"}) {
		t.Errorf("an empty reference level: %q", d.Terms)
	}
	if _, err := fitted(t, false, 1, 3, 25, cohort(200, false, noU)); err != nil {
		t.Errorf("an empty reference level under a ridge: %v", err)
	}
}

func TestSeparationIsNamed(t *testing.T) {
	level := func(i int, p *patient) {
		if p.c == "v" {
			p.y = 0
		}
	}
	_, err := fitted(t, true, 0, 3, 25, cohort(300, true, level))
	if d := diagnosis(t, err, compute.Separation); !slices.Equal(d.Terms, []string{"c=v"}) {
		t.Errorf("a level without positives: %q", d.Terms)
	}
	reference := func(i int, p *patient) {
		if p.c == "u" {
			p.y = 1
		}
	}
	_, err = fitted(t, true, 0, 3, 25, cohort(300, true, reference))
	if d := diagnosis(t, err, compute.Separation); !slices.Equal(d.Terms, []string{"c=u"}) {
		t.Errorf("a reference level of positives only: %q", d.Terms)
	}
	// Counts cannot see these: a number that decides, wholly or beyond a point.
	whole := func(i int, p *patient) {
		p.y = 0
		if p.b > 0.2 {
			p.y = 1
		}
	}
	_, err = fitted(t, true, 0, 3, 40, cohort(300, true, whole))
	if d := diagnosis(t, err, compute.Separation); !slices.Contains(d.Terms, "b") {
		t.Errorf("a number that decides: %q", d.Terms)
	}
	binaryNumber := func(i int, p *patient) {
		p.b = 0
		if i%10 == 0 {
			p.b, p.y = 1, 1
		}
	}
	_, err = fitted(t, true, 0, 3, 40, cohort(300, true, binaryNumber))
	if d := diagnosis(t, err, compute.Separation); !slices.Equal(d.Terms, []string{"b"}) {
		t.Errorf("a 0/1 number with positives only: %q", d.Terms)
	}
	for name, change := range map[string]func(int, *patient){"level": level, "reference": reference, "whole": whole, "binary number": binaryNumber} {
		if _, err := fitted(t, true, 1, 3, 60, cohort(300, true, change)); err != nil {
			t.Errorf("%s under a ridge: %v", name, err)
		}
	}
}

func TestTooFewPatients(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		for _, binary := range []bool{false, true} {
			result, err := fitted(t, binary, 0, 1, 25, cohort(n, binary, asIs))
			diagnosis(t, err, compute.TooFewPatients)
			if result.Model != nil {
				t.Error("a model without patients")
			}
		}
	}
	result, err := fitted(t, false, 0, 11, 25, cohort(9, false, asIs))
	diagnosis(t, err, compute.TooFewPatients)
	if p := result.Cohort.Patients; p.State != "suppressed" || p.N != nil || result.Cohort.Features[0].Mean != nil {
		t.Errorf("nine patients under a minimum of eleven: %+v", result.Cohort)
	}
}

func TestConstantOutcome(t *testing.T) {
	for _, binary := range []bool{false, true} {
		_, err := fitted(t, binary, 0, 3, 25, cohort(100, binary, func(_ int, p *patient) { p.y = 1 }))
		diagnosis(t, err, compute.ConstantTarget)
	}
	_, err := fitted(t, true, 1, 3, 25, cohort(100, true, func(_ int, p *patient) { p.y = 0 }))
	diagnosis(t, err, compute.ConstantTarget)
}

func TestRoundsBoundTheFit(t *testing.T) {
	_, err := fitted(t, true, 0, 3, 2, cohort(200, true, asIs))
	d := diagnosis(t, err, compute.NoConvergence)
	if !strings.Contains(d.Message, "schedule.rounds") {
		t.Errorf("the message does not say what to do: %s", d.Message)
	}
}

func TestPerfectFitIsRemarked(t *testing.T) {
	result, err := fitted(t, false, 0, 3, 25, cohort(100, false, func(_ int, p *patient) { p.y = 2 + p.a - p.b }))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Diagnoses) != 1 || result.Diagnoses[0].Kind != compute.PerfectFit {
		t.Errorf("diagnoses %v", result.Diagnoses)
	}
	if got := result.Model.GLM.Terms[1].Estimate; math.Abs(got-1) > 1e-9 {
		t.Errorf("a = %v", got)
	}
}

// A group of exactly the minimum is shown, one fewer is not, none is zero.
func TestSuppressionBoundary(t *testing.T) {
	for _, c := range []struct {
		w     int
		state string
	}{{11, "ok"}, {10, "suppressed"}, {1, "suppressed"}, {0, "zero"}} {
		few := func(i int, p *patient) {
			p.c = string("uv"[i%2])
			if i < c.w {
				p.c = "w"
			}
		}
		result, err := fitted(t, false, 0, 11, 25, cohort(200, false, few))
		if err != nil {
			t.Fatal(err)
		}
		g, level := result.Audit.Group("c", "w"), result.Cohort.Features[2].Levels[2].Count
		if g.State != c.state || level.State != c.state {
			t.Errorf("%d patients: audit says %s, cohort %s", c.w, g.State, level.State)
		}
		shown := c.state != "suppressed"
		if (g.N != nil) != shown || (level.N != nil) != shown || (len(g.Metrics) > 0) != (c.state == "ok") {
			t.Errorf("%d patients: audit %+v, cohort %+v", c.w, g, level)
		}
		for _, gap := range result.Audit.Gaps {
			if gap.Level == "w" && c.state != "ok" {
				t.Errorf("%d patients are compared", c.w)
			}
		}
	}
}
