package glm

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// reference reads what R has found for the synthetic records.
func reference(t *testing.T) map[string][]float64 {
	t.Helper()
	content, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string][]float64
	if err := json.Unmarshal(content, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every family, with what the study can add to it, is R's fit: estimates,
// standard errors, p-values, likelihoods and information criteria.
func TestFitsEqualR(t *testing.T) {
	want := reference(t)
	columns, records, site := synthetic()
	for _, c := range []struct {
		name, features, family, more string
		fixed                        bool
	}{
		{"gaussian", abc, "gaussian", "", false},
		{"gaussian_weights", abc, "gaussian", `, weights: {column: w, range: [0, 3]}, offset: logt, interactions: ["a:c"]`, false},
		{"gaussian_weights", abc, "gaussian", `, weights: w, offset: logt, interactions: ["a:c"]`, false},
		{"gaussian_levels", acd, "gaussian", `, interactions: ["c:d"]`, false},
		{"gaussian_fixed", abc, "gaussian", ", site_effects: fixed", true},
		{"binomial", abc, "binomial", "", false},
		{"binomial_weights", abc, "binomial", ", weights: w", false},
		{"binomial_fixed", abc, "binomial", ", site_effects: fixed", true},
		{"poisson", abc, "poisson", ", offset: logt", false},
		{"poisson_far", abc, "poisson", ", offset: far", false},
		{"poisson_weights", abc, "poisson", ", weights: w", false},
		{"poisson_fixed", abc, "poisson", ", offset: logt, site_effects: fixed", true},
		{"gamma", abc, "gamma", "", false},
		{"gamma_weights", abc, "gamma", ", weights: w", false},
		{"gamma_fixed", abc, "gamma", ", site_effects: fixed", true},
		{"nb", abc, "negative-binomial", ", offset: logt", false},
		{"nb_weights", abc, "negative-binomial", ", weights: w1", false},
		{"nb_fixed", abc, "negative-binomial", ", offset: logt, site_effects: fixed", true},
	} {
		t.Run(c.name+c.more, func(t *testing.T) {
			s := parse(t, describeStudy(c.features, c.family, c.more))
			// Seven sites: the last has no records.
			m, _, err := federate(t, s, matrices(t, s, columns, records, 7, site))
			if err != nil {
				t.Fatal(err)
			}
			terms := m.Terms
			if c.fixed {
				terms = terms[1:]
			}
			coefficients := want[c.name+".coef"]
			if len(terms) != len(coefficients) {
				t.Fatalf("%d terms, R has %d", len(terms), len(coefficients))
			}
			for i, term := range terms {
				se := want[c.name+".se"][i]
				if d := math.Abs(term.Estimate - coefficients[i]); d > 1e-8*(math.Abs(coefficients[i])+se) {
					t.Errorf("%s = %.17g, R %.17g", term.Name, term.Estimate, coefficients[i])
				}
				near(t, "standard error of "+term.Name, term.StdError, se, 1e-8)
				near(t, "p-value of "+term.Name, term.PValue, want[c.name+".p"][i], 1e-6)
			}
			near(t, "log-likelihood", m.LogLike, want[c.name+".loglik"][0], 1e-9)
			near(t, "AIC", m.AIC, want[c.name+".aic"][0], 1e-9)
			near(t, "BIC", m.BIC, want[c.name+".bic"][0], 1e-9)
			near(t, "deviance", m.Deviance, want[c.name+".deviance"][0], 1e-9)
			if got := float64(m.DFResidual); got != want[c.name+".df"][0] {
				t.Errorf("%v residual degrees of freedom, R %v", got, want[c.name+".df"][0])
			}
			if null := want[c.name+".null"]; null != nil && !c.fixed {
				near(t, "null deviance", m.NullDeviance, null[0], 1e-9)
			}
			if theta := want[c.name+".theta"]; theta != nil {
				near(t, "theta", *m.Theta, theta[0], 1e-8)
				near(t, "standard error of theta", *m.ThetaStdError, theta[1], 1e-7)
			}
			if average := want[c.name+".average"]; average != nil {
				near(t, "mean of the sites' intercepts", m.Terms[0].Estimate, average[0], 1e-8)
				near(t, "its standard error", m.Terms[0].StdError, average[1], 1e-8)
			}
			if dispersion := want[c.name+".dispersion"]; dispersion != nil {
				near(t, "dispersion", m.Dispersion, dispersion[0], 1e-9)
			}
		})
	}
}

// Robust standard errors are those of vcovCL with the sites as clusters.
func TestRobustErrorsEqualR(t *testing.T) {
	want := reference(t)
	columns, records, site := synthetic()
	for _, c := range []struct{ name, family, more string }{
		{"gaussian", "gaussian", ""},
		{"gaussian_weights", "gaussian", `, weights: w, offset: logt, interactions: ["a:c"]`},
		{"gaussian_fixed", "gaussian", ", site_effects: fixed"},
		{"binomial", "binomial", ""},
		{"binomial_fixed", "binomial", ", site_effects: fixed"},
		{"poisson", "poisson", ", offset: logt"},
		{"poisson_fixed", "poisson", ", offset: logt, site_effects: fixed"},
		{"gamma", "gamma", ""},
		{"nb", "negative-binomial", ", offset: logt"},
		{"nb_fixed", "negative-binomial", ", offset: logt, site_effects: fixed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, describeStudy(abc, c.family, c.more+", standard_errors: robust"))
			m, _, err := federate(t, s, matrices(t, s, columns, records, 7, site))
			if err != nil {
				t.Fatal(err)
			}
			robust := want[c.name+".robust"]
			for i, term := range m.Terms[len(m.Terms)-len(robust):] {
				near(t, "robust standard error of "+term.Name, term.StdError, robust[i], 1e-7)
			}
			if m.StandardErrors != "robust" || *m.Clusters != 6 {
				t.Errorf("%s standard errors of %d clusters", m.StandardErrors, *m.Clusters)
			}
		})
	}
}

// A random intercept is restricted maximum likelihood for a linear model and
// the integral over the sites' intercepts for the others.
func TestRandomInterceptsEqualPooledFits(t *testing.T) {
	want := reference(t)
	columns, records, site := synthetic()
	for _, c := range []struct {
		name, family, more string
		tolerance          float64
	}{
		{"reml", "gaussian", "", 1e-6},
		{"reml_weights", "gaussian", ", weights: w", 1e-6},
		{"binomial_random", "binomial", "", 1e-4},
		{"poisson_random", "poisson", "", 1e-4},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, describeStudy(abc, c.family, c.more+", site_effects: random"))
			m, _, err := federate(t, s, matrices(t, s, columns, records, 7, site))
			if err != nil {
				t.Fatal(err)
			}
			for i, term := range m.Terms {
				se := want[c.name+".se"][i]
				if d := math.Abs(term.Estimate - want[c.name+".coef"][i]); d > c.tolerance*se {
					t.Errorf("%s = %.17g, want %.17g", term.Name, term.Estimate, want[c.name+".coef"][i])
				}
				near(t, "standard error of "+term.Name, term.StdError, se, 10*c.tolerance)
			}
			near(t, "log-likelihood", m.LogLike, want[c.name+".loglik"][0], 1e-7)
			if v := want[c.name+".variances"]; v != nil {
				near(t, "variance between sites", m.RandomEffects.Variance, v[0], 1e-6)
				near(t, "variance within sites", m.RandomEffects.Residual, v[1], 1e-6)
			} else {
				near(t, "variance between sites", m.RandomEffects.Variance, want[c.name+".variance"][0], 10*c.tolerance)
			}
			t.Logf("%d rounds", m.Iterations)
		})
	}
}

// Joint Wald tests and likelihood ratios are R's.
func TestJointTestsEqualR(t *testing.T) {
	want := reference(t)
	columns, records, site := synthetic()
	for _, family := range []string{"gaussian", "binomial"} {
		s := parse(t, describeStudy(abc, family, ""))
		m, _, err := federate(t, s, matrices(t, s, columns, records, 6, site))
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range m.Tests.Wald {
			switch {
			case test.Name == "c" && family == "gaussian":
				near(t, "F of c", test.Statistic, want["gaussian.wald"][0]/2, 1e-8)
			case test.Name == "c":
				near(t, "chi-squared of c", test.Statistic, want["binomial.wald"][0], 1e-8)
			case test.Name == "model" && family == "gaussian":
				near(t, "F of the model", test.Statistic, want["gaussian.f"][0], 1e-8)
			}
		}
		if names := len(m.Tests.Wald); names != 4 {
			t.Errorf("%d Wald tests, want those of the model, a, b and c", names)
		}
		if family == "binomial" {
			near(t, "likelihood ratio", m.Tests.LikelihoodRatio.Statistic, want["binomial.null"][0]-want["binomial.deviance"][0], 1e-9)
			near(t, "McFadden", *m.McFadden, 1-want["binomial.deviance"][0]/want["binomial.null"][0], 1e-9)
		}
	}
}
