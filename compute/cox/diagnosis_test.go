package cox

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const small = `
study: small
version: 1
outcome: {type: survival, time: {column: t, range: [0, 100], grid: {step: 2}}, event: {column: e, positive: ["1"]}}
features:
  - {column: a, type: number, range: [-10, 10]}
  - {column: b, type: number, range: [-10, 10]}
  - {column: c, type: category, levels: [u, v, w], reference: u}
model: {kind: cox, stratify: %s, ridge: %g, ties: efron}
fairness: {attributes: [{column: c, levels: [u, v, w]}], minimum_cell: %d}
schedule: {rounds: %d}
`

type patient struct {
	t, a, b float64
	e       bool
	c       string
}

// cohort makes patients who give no cause for a diagnosis; change alters them.
func cohort(n int, change func(i int, p *patient)) table {
	random := rand.New(rand.NewPCG(7, 11))
	out := table{columns: []string{"site", "t", "e", "a", "b", "c"}}
	for i := range n {
		p := patient{a: random.NormFloat64(), b: random.NormFloat64(), c: string("uvw"[i%3])}
		p.t = min(-20*math.Log(random.Float64())*math.Exp(-0.7*p.a+0.3*p.b), 100)
		p.e = random.Float64() < 0.7 && p.t < 100
		change(i, &p)
		e := "0"
		if p.e {
			e = "1"
		}
		out.records = append(out.records, []string{strconv.Itoa(i % 4), text(p.t), e, text(p.a), text(p.b), p.c})
	}
	return out
}

func text(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func asIs(int, *patient) {}

func try(t *testing.T, stratify string, ridge float64, cell, rounds int, d table) (*Model, *Fit, error) {
	t.Helper()
	s := parse(t, fmt.Sprintf(small, stratify, ridge, cell, rounds))
	return federate(t, s, divide(t, s, d, by(d, "site")))
}

var strata = []string{study.StratifySite, study.StratifyNone}

func TestNoDiagnosisWithoutCause(t *testing.T) {
	for _, stratify := range strata {
		m, f, err := try(t, stratify, 0, 3, 25, cohort(300, asIs))
		if err != nil || len(f.Remarks()) != 0 || math.Abs(m.Terms[0].Estimate-0.7) > 0.3 {
			t.Errorf("%s: %v", stratify, err)
		}
	}
}

func TestNoEventIsNamed(t *testing.T) {
	for _, stratify := range strata {
		_, _, err := try(t, stratify, 0, 3, 25, cohort(200, func(_ int, p *patient) { p.e = false }))
		diagnosis(t, err, compute.ConstantTarget)
	}
}

func TestCollinearColumnsAreNamed(t *testing.T) {
	double := func(_ int, p *patient) { p.b = 2*p.a - 1 }
	constant := func(_ int, p *patient) { p.b = 3 }
	for _, stratify := range strata {
		_, _, err := try(t, stratify, 0, 3, 25, cohort(300, double))
		if d := diagnosis(t, err, compute.Collinearity); !slices.Equal(d.Terms, []string{"b", "a"}) {
			t.Errorf("named %q", d.Terms)
		}
		_, _, err = try(t, stratify, 0, 3, 25, cohort(300, constant))
		if d := diagnosis(t, err, compute.Collinearity); !slices.Equal(d.Terms, []string{"b"}) {
			t.Errorf("named %q", d.Terms)
		}
		if _, _, err = try(t, stratify, 1, 3, 25, cohort(300, double)); err != nil {
			t.Errorf("a ridge tells them apart: %v", err)
		}
	}
	// What differs between hospitals only is no effect within them.
	site := func(i int, p *patient) { p.b = float64(i % 4) }
	_, _, err := try(t, study.StratifySite, 0, 3, 25, cohort(300, site))
	if d := diagnosis(t, err, compute.Collinearity); !slices.Equal(d.Terms, []string{"b"}) {
		t.Errorf("named %q", d.Terms)
	}
	if _, _, err := try(t, study.StratifyNone, 0, 3, 25, cohort(300, site)); err != nil {
		t.Error(err)
	}
}

func TestInfiniteCoefficientsAreNamed(t *testing.T) {
	level := func(_ int, p *patient) { p.e = p.e && p.c != "v" }
	decides := func(_ int, p *patient) {
		p.b = 0
		if p.e {
			p.b = 1 // whoever has the event had it coming
		}
	}
	for _, stratify := range strata {
		_, _, err := try(t, stratify, 0, 3, 40, cohort(300, level))
		if d := diagnosis(t, err, compute.Separation); !slices.Equal(d.Terms, []string{"c=v"}) {
			t.Errorf("named %q", d.Terms)
		}
		_, _, err = try(t, stratify, 0, 3, 40, cohort(300, decides))
		if d := diagnosis(t, err, compute.Separation); !slices.Equal(d.Terms, []string{"b"}) {
			t.Errorf("named %q", d.Terms)
		}
		for _, change := range []func(int, *patient){level, decides} {
			if _, _, err := try(t, stratify, 1, 3, 60, cohort(300, change)); err != nil {
				t.Errorf("under a ridge: %v", err)
			}
		}
	}
}

func TestEmptyLevelIsLeftOutAndNamed(t *testing.T) {
	m, f, err := try(t, study.StratifySite, 0, 3, 25, cohort(300, func(i int, p *patient) { p.c = string("uv"[i/4%2]) }))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Dropped, []string{"c=w"}) || len(m.Terms) != 3 || len(m.Covariance) != 9 {
		t.Errorf("dropped %q, %d terms", m.Dropped, len(m.Terms))
	}
	if r := f.Remarks(); len(r) != 1 || r[0].Kind != compute.EmptyLevel {
		t.Errorf("remarks %v", r)
	}
}

func TestRoundsBoundTheFit(t *testing.T) {
	_, _, err := try(t, study.StratifySite, 0, 3, 2, cohort(300, asIs))
	diagnosis(t, err, compute.NoConvergence)
}

func TestTooFewPatientsOrEvents(t *testing.T) {
	_, _, err := try(t, study.StratifySite, 0, 3, 25, cohort(11, asIs))
	diagnosis(t, err, compute.TooFewPatients) // four coefficients need twelve
	_, _, err = try(t, study.StratifySite, 0, 3, 25, cohort(200, func(i int, p *patient) { p.e = i < 3 }))
	diagnosis(t, err, compute.TooFewPatients)
}

// A hospital without a usable record, as when it is left out of a fold, adds
// nothing.
func TestEmptyMatrixAddsNothing(t *testing.T) {
	d := cohort(300, asIs)
	for _, stratify := range strata {
		s := parse(t, fmt.Sprintf(small, stratify, 0., 3, 25))
		sites := divide(t, s, d, by(d, "site"))
		with := append(slices.Clone(sites), sites[0].Select(func(int) bool { return false }))
		a, b := fit(t, s, sites), fit(t, s, with)
		if b.Contributors != 5 {
			t.Errorf("%d contributors", b.Contributors)
		}
		for j := range a.Terms {
			if a.Terms[j] != b.Terms[j] {
				t.Errorf("%v, with an empty hospital %v", a.Terms[j], b.Terms[j])
			}
		}
	}
}

// However the patients are divided over hospitals, a shared baseline gives the
// same model.
func TestSharedBaselineDoesNotDependOnTheDivision(t *testing.T) {
	d := cohort(300, asIs)
	s := parse(t, fmt.Sprintf(small, "none", 0., 3, 25))
	a := fit(t, s, divide(t, s, d, by(d, "site")))
	b := fit(t, s, divide(t, s, d, func(i int, _ []string) string { return strconv.Itoa(i * i % 7) }))
	for j := range a.Terms {
		near(t, a.Terms[j].Name, b.Terms[j].Estimate, a.Terms[j].Estimate, 1e-12)
		near(t, a.Terms[j].Name, b.Terms[j].StdError, a.Terms[j].StdError, 1e-12)
	}
}

// No two risk sets that are opened differ by fewer patients than the minimum
// cell, nor do events and censorings apart.
func TestRiskSetsDifferByTheMinimumCell(t *testing.T) {
	d := cohort(400, asIs)
	for _, cell := range []int{1, 5, 11} {
		s := parse(t, fmt.Sprintf(small, "none", 0., cell, 25))
		sites := divide(t, s, d, by(d, "site"))
		_, f, err := federate(t, s, sites)
		if err != nil {
			t.Fatal(err)
		}
		events, censored := make([]int, len(f.merged.Intervals)), make([]int, len(f.merged.Intervals))
		for _, m := range sites {
			for i := range m.Rows() {
				if k, died := f.merged.Place(s.Outcome.Grid, m.Outcome(i), m.Event(i)); died {
					events[k]++
				} else {
					censored[k]++
				}
			}
		}
		for k := range events {
			if e, c := events[k], censored[k]; e > 0 && e < cell || c > 0 && c < cell {
				t.Errorf("run %d of %d has %d events and %d censored under a minimum of %d", k, len(events), e, c, cell)
			}
		}
		if len(events) < 5 {
			t.Errorf("only %d runs are left under a minimum of %d", len(events), cell)
		}
	}
	few := func(i int, p *patient) { p.e = p.e || i%100 != 0 } // one in a hundred is censored at most
	_, _, err := try(t, "none", 0, 11, 25, cohort(300, few))
	diagnosis(t, err, compute.TooFewPatients)
}

// An interaction is R's: coxph(Surv(time,status) ~ factor(trt)*karno +
// strata(site)) on the same sites.
func TestInteraction(t *testing.T) {
	d := readCSV(t, "survival", "veteran.csv")
	s := parse(t, `
study: interaction
version: 1
outcome: {type: survival, time: {column: time, range: [0, 1000]}, event: {column: status, positive: ["1"]}}
features:
  - {column: trt, type: category, levels: ["1", "2"]}
  - {column: karno, type: number, range: [0, 100]}
model: {kind: cox, stratify: site, ties: efron, interactions: ["trt:karno"]}
`)
	m := fit(t, s, divide(t, s, d, func(i int, _ []string) string { return strconv.Itoa((i + 1) % 3) }))
	for j, want := range []float64{1.098384259534742613, -0.026524903428951176, -0.015866212753932768} {
		near(t, m.Terms[j].Name, m.Terms[j].Estimate, want, 1e-8)
	}
}

// A spline's terms are like others once it has knots; its check is of the
// feature.
func TestSpline(t *testing.T) {
	d := cohort(400, asIs)
	s := parse(t, `
study: spline
version: 1
outcome: {type: survival, time: {column: t, range: [0, 100]}, event: {column: e, positive: ["1"]}}
features:
  - {column: a, type: number, range: [-10, 10]}
  - {column: b, type: number, range: [-10, 10]}
model: {kind: cox, stratify: site, ties: efron, splines: ["spline(a, df: 3)"]}
`)
	knots := [][]float64{{-1.5, -0.5, 0.5, 1.5}}
	knotted, err := s.Knotted(knots)
	if err != nil {
		t.Fatal(err)
	}
	var sites []*study.Matrix
	for _, m := range divide(t, s, d, by(d, "site")) {
		with, err := m.Knotted(knots)
		if err != nil {
			t.Fatal(err)
		}
		sites = append(sites, with)
	}
	m := fit(t, knotted, sites)
	if len(m.Terms) != 4 || len(m.Proportional) != 3 || m.Proportional[0].Term != "a" || m.Proportional[0].DF != 3 {
		t.Errorf("%d terms; checks %+v", len(m.Terms), m.Proportional)
	}
	if math.Abs(m.Terms[0].Estimate) > 3 || m.LogLikelihood <= m.NullLogLikelihood {
		t.Errorf("%+v", m.Terms)
	}
}

// A ridge is R's: coxph(Surv(time,status) ~ ridge(karno, age, diagtime,
// theta=50, scale=FALSE) + strata(site)), survival 3.5-3, with site the record's
// number modulo three.
func TestRidge(t *testing.T) {
	d := readCSV(t, "survival", "veteran.csv")
	s := parse(t, `
study: ridge
version: 1
outcome: {type: survival, time: {column: time, range: [0, 1000]}, event: {column: status, positive: ["1"]}}
features:
  - {column: karno, type: number, range: [0, 100]}
  - {column: age, type: number, range: [18, 100]}
  - {column: diagtime, type: number, range: [0, 200]}
model: {kind: cox, stratify: site, ties: efron, ridge: 50}
`)
	m := fit(t, s, divide(t, s, d, func(i int, _ []string) string { return strconv.Itoa((i + 1) % 3) }))
	for j, want := range [][2]float64{
		{-0.0358361446492711233, 0.0054229415046693407},
		{-0.0038137038291819309, 0.0093874562714680101},
		{0.0020202151223805177, 0.0086672176678965918},
	} {
		near(t, m.Terms[j].Name, m.Terms[j].Estimate, want[0], 1e-8)
		near(t, "standard error of "+m.Terms[j].Name, m.Terms[j].StdError, want[1], 1e-8)
	}
	near(t, "log-likelihood", m.LogLikelihood, -347.10033682028171, 1e-10)
	near(t, "effective degrees of freedom", *m.EffectiveDF, 2.9903673354042759, 1e-8)
}

// A hospital that drops out while the fit runs costs its patients, not the fit:
// what is reported is of those who were there at the end.
func TestDropoutDuringTheFit(t *testing.T) {
	d := cohort(400, asIs)
	for _, stratify := range strata {
		s := parse(t, fmt.Sprintf(small, stratify, 0., 3, 25))
		sites := divide(t, s, d, by(d, "site"))
		f, err := New(s, count(t, s, sites))
		if err != nil {
			t.Fatal(err)
		}
		for round := 0; ; round++ {
			q, done, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			if round == 3 {
				sites = sites[:3]
			}
			if err := f.Absorb(ask(t, q, sites, func(m *study.Matrix) ([]float64, error) { return Answer(s, q.Step, q.Parameters, m) })); err != nil {
				t.Fatal(err)
			}
		}
		m := f.Model()
		if m.Contributors != 3 || m.N != 300 {
			t.Errorf("%d hospitals, %d patients", m.Contributors, m.N)
		}
		if stratify == study.StratifySite {
			want := fit(t, s, sites)
			for j := range m.Terms {
				near(t, m.Terms[j].Name, m.Terms[j].Estimate, want.Terms[j].Estimate, 1e-8)
			}
		}
	}
}

// An auditor who absorbs the same sums gets the same questions and the same
// model, byte for byte.
func TestReplayIsTheSame(t *testing.T) {
	d := cohort(300, asIs)
	for _, stratify := range strata {
		s := parse(t, fmt.Sprintf(small, stratify, 0., 3, 25))
		sites := divide(t, s, d, by(d, "site"))
		counts := count(t, s, sites)
		a, errA := New(s, counts)
		b, errB := New(s, counts)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for {
			q, done, err := a.Next()
			again, _, _ := b.Next()
			if err != nil || q.Step != again.Step || string(q.Parameters) != string(again.Parameters) {
				t.Fatalf("%v: another question", err)
			}
			if done {
				break
			}
			sum := ask(t, q, sites, func(m *study.Matrix) ([]float64, error) { return Answer(s, q.Step, q.Parameters, m) })
			if a.Absorb(sum) != nil || b.Absorb(sum) != nil {
				t.Fatal("not absorbed")
			}
		}
		one, errA := json.Marshal(a.Model())
		two, errB := json.Marshal(b.Model())
		if errA != nil || errB != nil || string(one) != string(two) {
			t.Error("another model")
		}
	}
}
