package glm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// risen are the synthetic records with a gamma outcome that rises by site, as in
// testdata/reference.R.
func risen() (columns []string, records [][]string, site func(i int) int) {
	columns, records, site = synthetic()
	at := slices.Index(columns, "pos")
	for i := range records {
		var pos float64
		fmt.Sscan(records[i][at], &pos)
		records[i][at] = fmt.Sprint(pos * (1 + 0.25*float64(site(i))))
	}
	return columns, records, site
}

// A random intercept of a family with a dispersion is the maximum of the sites'
// integrals by all parameters at once.
func TestDispersedRandomInterceptsEqualR(t *testing.T) {
	want := reference(t)
	columns, records, site := risen()
	for name, family := range map[string]string{"nb_random": "negative-binomial", "gamma_random": "gamma"} {
		s := parse(t, describeStudy(abc, family, ", site_effects: random"))
		m, _, err := federate(t, s, matrices(t, s, columns, records, 7, site))
		if err != nil {
			t.Fatal(name, err)
		}
		for i, term := range m.Terms {
			near(t, name+" "+term.Name, term.Estimate, want[name+".coef"][i], 1e-7)
			near(t, name+" standard error of "+term.Name, term.StdError, want[name+".se"][i], 1e-7)
		}
		near(t, name+" log-likelihood", m.LogLike, want[name+".loglik"][0], 1e-10)
		near(t, name+" AIC", m.AIC, 14-2*want[name+".loglik"][0], 1e-10)
		near(t, name+" variance between sites", m.RandomEffects.Variance, want[name+".variance"][0], 1e-7)
		if encoded, err := json.Marshal(m); err != nil || bytes.Contains(encoded, []byte("null_deviance")) {
			t.Errorf("%s: a null model that is not fitted has a deviance (%v)", name, err)
		}
		if m.DFResidual != 393 || m.Statistic != "z" || m.RandomEffects.Sites != 6 {
			t.Errorf("%s: %d degrees of freedom, %s, %d sites", name, m.DFResidual, m.Statistic, m.RandomEffects.Sites)
		}
		if theta := want[name+".theta"]; family == "gamma" {
			near(t, "dispersion", m.Dispersion, 1/theta[0], 1e-7)
			near(t, "standard error of the dispersion", *m.DispersionStdError, theta[1]/(theta[0]*theta[0]), 1e-7)
		} else {
			near(t, "theta", *m.Theta, theta[0], 1e-7)
			near(t, "standard error of theta", *m.ThetaStdError, theta[1], 1e-7)
		}
		t.Logf("%s: %d rounds", name, m.Iterations)
	}
}

// pooled is the same likelihood from the textbook, of all records in one place
// and in their own units: the integrals by the trapezoid rule on a grid so dense
// that it is exact. The parameters are the coefficients, the standard deviation
// and ln of theta or the shape.
func pooled(family string, sites []*study.Matrix, q []float64) float64 {
	p := len(q) - 2
	sd, k := q[p], math.Exp(q[p+1])
	lgamma := func(x float64) float64 { v, _ := math.Lgamma(x); return v }
	const step, edge = 1.0 / 32, 10
	total := 0.0
	for _, m := range sites {
		var heights []float64
		for u := -float64(edge); u <= edge; u += step {
			h := -u * u / 2
			for i := range m.Rows() {
				eta := m.Offset(i) + sd*u
				for j, x := range m.Row(i) {
					eta += q[j] * x
				}
				y, mu := m.Outcome(i), math.Exp(eta)
				if family == "gamma" {
					h += m.Weight(i) * (k*math.Log(k/mu) + (k-1)*math.Log(y) - k*y/mu - lgamma(k))
				} else {
					h += m.Weight(i) * (lgamma(y+k) - lgamma(k) - lgamma(y+1) + k*math.Log(k/(k+mu)) + y*math.Log(mu/(k+mu)))
				}
			}
			heights = append(heights, h)
		}
		top, sum := slices.Max(heights), 0.0
		for _, h := range heights {
			sum += math.Exp(h - top)
		}
		total += top + math.Log(sum*step/math.Sqrt(2*math.Pi))
	}
	return total
}

// What the hospitals' sums lead to is where the pooled likelihood is largest: a
// Newton step from there, by its numerical derivatives, leads nowhere. Weights and an
// offset are in it.
func TestDispersedFederatedEqualsPooled(t *testing.T) {
	columns, records, site := risen()
	records = records[:120]
	for _, family := range []string{"negative-binomial", "gamma"} {
		s := parse(t, describeStudy(`{column: a, type: number, range: [0, 10]}`, family, ", offset: logt, weights: w, site_effects: random"))
		sites := matrices(t, s, columns, records, 6, site)
		m, _, err := federate(t, s, sites)
		if err != nil {
			t.Fatal(family, err)
		}
		k := 1 / m.Dispersion
		if m.Theta != nil {
			k = *m.Theta
		}
		q := []float64{m.Terms[0].Estimate, m.Terms[1].Estimate, math.Sqrt(m.RandomEffects.Variance), math.Log(k)}
		near(t, family+" log-likelihood", m.LogLike, pooled(family, sites, q), 1e-11)
		value := func(i, j int, di, dj float64) float64 {
			at := slices.Clone(q)
			at[i] += di
			at[j] += dj
			return pooled(family, sites, at)
		}
		h := []float64{1e-2, 1e-3, 1e-2, 1e-2}
		slope, curve := mat.NewVecDense(4, nil), mat.NewSymDense(4, nil)
		for i := range q {
			// Of the sixth order.
			d := func(k float64) float64 { return value(i, i, k*h[i], 0) - value(i, i, -k*h[i], 0) }
			slope.SetVec(i, (45*d(1)-9*d(2)+d(3))/(60*h[i]))
			for j := i; j < len(q); j++ {
				mixed := value(i, j, h[i], h[j]) - value(i, j, h[i], -h[j]) - value(i, j, -h[i], h[j]) + value(i, j, -h[i], -h[j])
				curve.SetSym(i, j, -mixed/(4*h[i]*h[j]))
			}
		}
		var step mat.VecDense
		if err := step.SolveVec(curve, slope); err != nil {
			t.Fatal(err)
		}
		for i := range q {
			if d := math.Abs(step.AtVec(i)); !(d <= 1e-8*max(1, math.Abs(q[i]))) {
				t.Errorf("%s: parameter %d = %v is %g from the pooled maximum", family, i, q[i], d)
			}
		}
	}
}

// The derivatives that a site sends are those of the value it sends.
func TestDerivativesOfASitesIntegral(t *testing.T) {
	columns, records, _ := risen()
	for _, family := range []string{"negative-binomial", "gamma"} {
		s := parse(t, describeStudy(`{column: a, type: number, range: [0, 10]}`, family, ", site_effects: random"))
		m := matrices(t, s, columns, records[:40], 1, func(int) int { return 0 })[0]
		c := newScale(s, newCentre(s, []float64{1, 5}, 0))
		q := []float64{0.6, 0.4, 0.7, -0.3} // coefficients, sd, ln of the dispersion
		at := func(q []float64) (float64, []float64, []float64) {
			return integrate(familyOf(s, math.Exp(-q[3])), c, m, predictors(m, c, q[:2]), q[2])
		}
		_, gradient, information := at(q)
		for i := range q {
			const h = 1e-4
			up, down := slices.Clone(q), slices.Clone(q)
			up[i] += h
			down[i] -= h
			high, highSlope, _ := at(up)
			low, lowSlope, _ := at(down)
			if n := (high - low) / (2 * h); math.Abs(n-gradient[i]) > 1e-5*(1+math.Abs(n)) {
				t.Errorf("%s: slope %d is %v, numerically %v", family, i, gradient[i], n)
			}
			for j := i; j < len(q); j++ {
				if n, got := (lowSlope[j]-highSlope[j])/(2*h), information[packed(4, i, j)]; math.Abs(n-got) > 1e-5*(1+math.Abs(n)) {
					t.Errorf("%s: information %d, %d is %v, numerically %v", family, i, j, got, n)
				}
			}
		}
	}
}

// Two sites with the same records do not differ: the variance is zero, and the
// negative binomial fit is the one without site effects. That of the gamma family
// has its coefficients, and the dispersion of maximum likelihood.
func TestDispersedSitesThatDoNotDiffer(t *testing.T) {
	columns, records, _ := synthetic()
	var twice [][]string
	for _, record := range records {
		twice = append(twice, record, record)
	}
	for _, family := range []string{"negative-binomial", "gamma"} {
		s, plain := parse(t, describeStudy(abc, family, ", site_effects: random")), parse(t, describeStudy(abc, family, ""))
		m, _, err := federate(t, s, matrices(t, s, columns, twice, 2, func(i int) int { return i % 2 }))
		if err != nil {
			t.Fatal(family, err)
		}
		want, _, err := federate(t, plain, matrices(t, plain, columns, twice, 2, func(i int) int { return i % 2 }))
		if err != nil {
			t.Fatal(err)
		}
		if m.RandomEffects.Variance != 0 {
			t.Errorf("%s: variance %v", family, m.RandomEffects.Variance)
		}
		for i, term := range m.Terms {
			if math.Abs(term.Estimate-want.Terms[i].Estimate) > 1e-7*term.StdError {
				t.Errorf("%s %s = %v, without site effects %v", family, term.Name, term.Estimate, want.Terms[i].Estimate)
			}
		}
		if family == "negative-binomial" {
			near(t, "theta", *m.Theta, *want.Theta, 1e-7)
			near(t, "log-likelihood", m.LogLike, want.LogLike, 1e-10)
		} else if !(m.LogLike >= want.LogLike) {
			t.Errorf("the maximum likelihood %v is below %v", m.LogLike, want.LogLike)
		}
	}
}

// Where there is no dispersion to estimate the fit says so.
func TestNoDispersionToEstimate(t *testing.T) {
	_, _, err := changed(t, describeStudy(abc, "negative-binomial", ", site_effects: random"), func(i int, r map[string]*string) { *r["count"] = fmt.Sprint(3 + i%2) })
	if d := diagnosis(t, err, compute.NoConvergence); !strings.Contains(d.Message, "poisson") {
		t.Error(d.Message)
	}
	// An outcome that a feature determines.
	_, _, err = changed(t, describeStudy(abc, "gamma", ", site_effects: random"), func(i int, r map[string]*string) {
		var a float64
		fmt.Sscan(*r["a"], &a)
		*r["pos"] = fmt.Sprint(math.Exp(0.2 * a))
	})
	if d := diagnosis(t, err, compute.NoConvergence); !strings.Contains(d.Message, "determine") {
		t.Error(d.Message)
	}
	// Too few rounds.
	src := strings.Replace(describeStudy(abc, "gamma", ", site_effects: random"), "rounds: 60", "rounds: 3", 1)
	_, _, err = changed(t, src, func(int, map[string]*string) {})
	if d := diagnosis(t, err, compute.NoConvergence); !strings.Contains(d.Message, "schedule.rounds") {
		t.Error(d.Message)
	}
}

// Sites that are far apart, with outcomes that are far from their means: from a
// poor start a Newton step is much too long for the dispersion, and cut there
// alone it would lead downhill.
func TestDispersedFitsFromAPoorStart(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 3))
		const sites = 13
		var intercepts [sites]float64
		for i := range intercepts {
			intercepts[i] = 2 * r.NormFloat64()
		}
		var records [][]string
		for i := range 120 * sites {
			a := r.NormFloat64()
			y := math.Exp(0.3*a+intercepts[i%sites]) * math.Pow(r.ExpFloat64(), 3)
			records = append(records, []string{fmt.Sprint(min(max(y, 1e-8), 9e5)), fmt.Sprint(a)})
		}
		s := parse(t, `
study: poor
version: 1
outcome: {column: y, type: number, range: [1e-9, 1e6]}
features: [{column: a, type: number, range: [-10, 10]}]
model: {kind: glm, family: gamma, site_effects: random}
schedule: {rounds: 25}
`)
		m, _, err := federate(t, s, matrices(t, s, []string{"y", "a"}, records, sites, func(i int) int { return i % sites }))
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		if e := m.Terms[1]; math.Abs(e.Estimate-0.3) > 5*e.StdError || m.Iterations > 15 {
			t.Errorf("seed %d: a = %v in %d rounds", seed, e.Estimate, m.Iterations)
		}
	}
}
