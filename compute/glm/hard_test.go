package glm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

func diagnosis(t testing.TB, err error, kind string) *compute.Diagnosis {
	t.Helper()
	var d *compute.Diagnosis
	if !errors.As(err, &d) || d.Kind != kind {
		t.Fatalf("got %v, want the diagnosis %s", err, kind)
	}
	return d
}

// changed runs a fit on altered synthetic records.
func changed(t testing.TB, src string, change func(i int, record map[string]*string)) (*Model, []compute.Diagnosis, error) {
	t.Helper()
	columns, records, site := synthetic()
	for i, record := range records {
		cells := map[string]*string{}
		for j, column := range columns {
			cells[column] = &record[j]
		}
		change(i, cells)
	}
	s := parse(t, src)
	return federate(t, s, matrices(t, s, columns, records, 7, site))
}

func TestSeparationIsNamedInEveryFamily(t *testing.T) {
	none := func(outcome string) func(int, map[string]*string) {
		return func(_ int, r map[string]*string) {
			if *r["c"] == "v" {
				*r[outcome] = "0"
			}
		}
	}
	for _, c := range []struct{ family, outcome, more string }{
		{"binomial", "bin", ""},
		{"binomial", "bin", ", weights: w1"},
		{"binomial", "bin", ", site_effects: fixed"},
		{"poisson", "count", ""},
		{"poisson", "count", ", offset: logt"},
		{"poisson", "count", ", site_effects: fixed"},
		{"negative-binomial", "count", ""},
	} {
		_, _, err := changed(t, describeStudy(abc, c.family, c.more), none(c.outcome))
		if d := diagnosis(t, err, compute.Separation); !slices.Equal(d.Terms, []string{"c=v"}) {
			t.Errorf("%s%s: named %q", c.family, c.more, d.Terms)
		}
		if c.family == "negative-binomial" {
			continue
		}
		m, _, err := changed(t, describeStudy(abc, c.family, c.more+", ridge: 1"), none(c.outcome))
		if err != nil || !(m.Terms[3].Estimate < 0) {
			t.Errorf("%s%s under a ridge: %v", c.family, c.more, err)
		}
	}
}

func TestOutcomesThatDoNotVary(t *testing.T) {
	for _, c := range []struct{ family, outcome, value, more string }{
		{"gaussian", "y", "3", ""},
		{"gaussian", "y", "3", ", site_effects: fixed"},
		{"gaussian", "y", "3", ", site_effects: random"},
		{"binomial", "bin", "1", ""},
		{"binomial", "bin", "0", ", site_effects: random"},
		{"binomial", "bin", "0", ", site_effects: fixed"},
		{"poisson", "count", "0", ""},
		{"poisson", "count", "0", ", offset: logt"},
		{"poisson", "count", "0", ", site_effects: fixed"},
		{"poisson", "count", "0", ", site_effects: random"},
		{"negative-binomial", "count", "0", ", site_effects: random"},
		{"gamma", "pos", "2", ", site_effects: random"},
		{"poisson", "count", "4", ""},
		{"gamma", "pos", "2", ""},
		{"negative-binomial", "count", "0", ""},
	} {
		if c.family == "binomial" {
			c.more += ", weights: w1" // the counts would say so before any fit
		}
		_, _, err := changed(t, describeStudy(abc, c.family, c.more), func(_ int, r map[string]*string) { *r[c.outcome] = c.value })
		t.Run(c.family+c.more+c.value, func(t *testing.T) { diagnosis(t, err, compute.ConstantTarget) })
	}
}

func TestCountsWithoutOverdispersionHaveNoTheta(t *testing.T) {
	_, _, err := changed(t, describeStudy(abc, "negative-binomial", ""), func(i int, r map[string]*string) { *r["count"] = fmt.Sprint(3 + i%2) })
	if d := diagnosis(t, err, compute.NoConvergence); !strings.Contains(d.Message, "poisson") {
		t.Error(d.Message)
	}
}

func TestCollinearProductsAreNamed(t *testing.T) {
	// Within c=v nobody has d=z: their product is d=z itself, within c=w all have.
	only := func(i int, r map[string]*string) {
		*r["d"] = "x"
		if *r["c"] == "w" {
			*r["d"] = "z"
		}
	}
	for _, family := range []string{"gaussian", "poisson", "gamma"} {
		_, _, err := changed(t, describeStudy(acd, family, `, interactions: ["c:d"]`), only)
		if d := diagnosis(t, err, compute.Collinearity); !slices.Contains(d.Terms, "d=z") {
			t.Errorf("%s: named %q", family, d.Terms)
		}
	}
}

func TestProductsThatNobodyHasAreLeftOut(t *testing.T) {
	no := func(i int, r map[string]*string) {
		if *r["c"] == "w" {
			*r["d"] = "x"
		}
	}
	m, remarks, err := changed(t, describeStudy(acd, "poisson", `, interactions: ["c:d"]`), no)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Dropped) != 1 || len(remarks) != 1 || remarks[0].Kind != compute.EmptyLevel || !slices.Equal(remarks[0].Terms, m.Dropped) {
		t.Errorf("dropped %q, remarks %v", m.Dropped, remarks)
	}
}

// A level that one site has alone is no obstacle; it is one where it is all
// that the site has and the site has its own intercept.
func TestLevelsOfOneSite(t *testing.T) {
	columns, records, site := synthetic()
	for _, alone := range []bool{true, false} {
		for i, record := range records {
			record[2] = string("uv"[i%2])
			if site(i) == 3 && (alone || i%3 > 0) {
				record[2] = "w"
			}
		}
		for _, family := range []string{"gaussian", "poisson"} {
			s := parse(t, describeStudy(abc, family, ""))
			if _, _, err := federate(t, s, matrices(t, s, columns, records, 6, site)); err != nil {
				t.Error(err)
			}
			s = parse(t, describeStudy(abc, family, ", site_effects: fixed"))
			_, _, err := federate(t, s, matrices(t, s, columns, records, 6, site))
			switch {
			case !alone && err != nil:
				t.Error(err)
			case alone:
				if d := diagnosis(t, err, compute.Collinearity); !slices.Equal(d.Terms, []string{"c=w"}) || !strings.Contains(d.Message, "each site") {
					t.Errorf("%v", d)
				}
			}
		}
	}
}

// However large the offsets, they only move the intercept.
func TestHugeOffsets(t *testing.T) {
	shift := func(by float64) func(int, map[string]*string) {
		return func(_ int, r map[string]*string) { *r["logt"] = fmt.Sprint(by) }
	}
	for _, family := range []string{"gaussian", "poisson", "gamma", "negative-binomial"} {
		base, _, err := changed(t, describeStudy(abc, family, ", offset: logt"), shift(0))
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []float64{-49, 49} {
			m, _, err := changed(t, describeStudy(abc, family, ", offset: logt"), shift(by))
			if err != nil {
				t.Fatalf("%s, offset %v: %v", family, by, err)
			}
			near(t, "intercept", m.Terms[0].Estimate+by, base.Terms[0].Estimate, 1e-7)
			near(t, "slope", m.Terms[1].Estimate, base.Terms[1].Estimate, 1e-8)
		}
	}
	// Here they are all that matters.
	m, _, err := changed(t, describeStudy(abc, "poisson", ", offset: logt"), func(i int, r map[string]*string) { *r["logt"] = fmt.Sprint(i%90 - 45) })
	if err != nil {
		t.Fatal(err)
	}
	if math.IsNaN(m.Deviance) || m.NullDeviance < m.Deviance {
		t.Errorf("deviance %v of %v", m.Deviance, m.NullDeviance)
	}
}

// Integer weights are so many patients with the same record.
func TestWeightsRepeatRecords(t *testing.T) {
	columns, records, site := synthetic()
	var repeated [][]string
	var home []int
	for i, record := range records {
		for range int(record[6][0] - '0') {
			repeated, home = append(repeated, record), append(home, site(i))
		}
	}
	for _, family := range []string{"binomial", "poisson", "negative-binomial"} {
		for _, effects := range []string{"", ", site_effects: fixed", ", site_effects: random"} {
			weighted := parse(t, describeStudy(abc, family, ", weights: w"+effects))
			got, _, err := federate(t, weighted, matrices(t, weighted, columns, records, 6, site))
			if err != nil {
				t.Fatal(err)
			}
			plain := parse(t, describeStudy(abc, family, effects))
			want, _, err := federate(t, plain, matrices(t, plain, columns, repeated, 6, func(i int) int { return home[i] }))
			if err != nil {
				t.Fatal(err)
			}
			for i, term := range got.Terms {
				near(t, family+effects+" "+term.Name, term.Estimate, want.Terms[i].Estimate, 1e-7)
				near(t, family+effects+" "+term.Name, term.StdError, want.Terms[i].StdError, 1e-7)
			}
		}
	}
}

// Two sites with the same records do not differ: the variance is zero, and the
// fit is the one without site effects.
func TestSitesThatDoNotDiffer(t *testing.T) {
	columns, records, _ := synthetic()
	var twice [][]string
	for _, record := range records {
		twice = append(twice, record, record)
	}
	for _, family := range []string{"gaussian", "binomial", "poisson"} {
		s, plain := parse(t, describeStudy(abc, family, ", site_effects: random")), parse(t, describeStudy(abc, family, ""))
		m, _, err := federate(t, s, matrices(t, s, columns, twice, 2, func(i int) int { return i % 2 }))
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := federate(t, plain, matrices(t, plain, columns, twice, 2, func(i int) int { return i % 2 }))
		if err != nil {
			t.Fatal(err)
		}
		if m.RandomEffects.Variance != 0 {
			t.Errorf("%s: variance %v", family, m.RandomEffects.Variance)
		}
		for i, term := range m.Terms {
			near(t, family+" "+term.Name, term.Estimate, want.Terms[i].Estimate, 1e-7)
			near(t, family+" "+term.Name, term.StdError, want.Terms[i].StdError, 1e-6)
		}
	}
}

// Under a ridge the slopes of the likelihood are those of the penalty, on the
// raw records and in original units.
func TestRidgeBalancesTheSlopes(t *testing.T) {
	columns, records, site := synthetic()
	for _, family := range []string{"poisson", "gamma"} {
		s := parse(t, describeStudy(abc, family, ", ridge: 3, offset: logt"))
		sites := matrices(t, s, columns, records, 6, site)
		m, _, err := federate(t, s, sites)
		if err != nil {
			t.Fatal(err)
		}
		for j, term := range m.Terms {
			slope, size := 0.0, 0.0
			for _, site := range sites {
				for i := range site.Rows() {
					row, eta := site.Row(i), site.Offset(i)
					for k, other := range m.Terms {
						eta += other.Estimate * row[k]
					}
					rest := site.Outcome(i) - math.Exp(eta)
					if family == "gamma" {
						rest /= math.Exp(eta)
					}
					slope += rest * row[j]
					size += math.Abs(rest * row[j])
				}
			}
			penalty := 3 * term.Estimate
			if j == 0 {
				penalty = 0
			}
			if math.Abs(slope-penalty) > 1e-8*size {
				t.Errorf("%s %s: slope %v, penalty %v", family, term.Name, slope, penalty)
			}
		}
		if m.EffectiveDF == nil || *m.EffectiveDF >= 5 || m.Tests.LikelihoodRatio != nil {
			t.Errorf("%s: %v effective degrees of freedom", family, m.EffectiveDF)
		}
	}
}

// A site that leaves in the middle leaves a fit of the others, their null
// model included.
func TestSiteThatLeavesBetweenRounds(t *testing.T) {
	columns, records, site := synthetic()
	for _, c := range []struct{ family, more string }{
		{"poisson", ", offset: logt"}, {"gamma", ""}, {"negative-binomial", ""}, {"binomial", ", weights: w"}, {"poisson", ", site_effects: fixed"},
		{"binomial", ", site_effects: random"}, {"gaussian", ", site_effects: random"},
		{"negative-binomial", ", site_effects: random"}, {"gamma", ", site_effects: random"},
	} {
		s := parse(t, describeStudy(abc, c.family, c.more))
		sites := matrices(t, s, columns, records, 6, site)
		want, _, err := federate(t, s, sites[:5])
		if err != nil {
			t.Fatal(err)
		}
		for leave := 2; leave < 7; leave++ {
			got, _, err := federateWith(t, s, func(round int) []*study.Matrix {
				if round >= leave {
					return sites[:5]
				}
				return sites
			})
			if err != nil {
				t.Fatalf("%s%s, leaving at %d: %v", c.family, c.more, leave, err)
			}
			if got.N != want.N {
				continue // the fit was over before
			}
			for i, term := range got.Terms {
				near(t, c.family+c.more+" "+term.Name, term.Estimate, want.Terms[i].Estimate, 1e-6)
			}
			if c.family != "gaussian" {
				near(t, c.family+c.more+" null deviance", got.NullDeviance, want.NullDeviance, 1e-8)
			}
		}
	}
}

func TestErrorsByHospitalNeedMoreThanOne(t *testing.T) {
	columns, records, _ := synthetic()
	s := parse(t, describeStudy(abc, "poisson", ", standard_errors: robust"))
	_, _, err := federate(t, s, matrices(t, s, columns, records, 1, func(int) int { return 0 }))
	diagnosis(t, err, compute.TooFewPatients)
}
