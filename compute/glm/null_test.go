package glm

import (
	"math"
	"slices"
	"strconv"
	"testing"
)

// The null model of negative binomial counts has a theta of its own: what the
// likelihood ratio test and the pseudo-R2 compare with is the largest likelihood
// without features, as in lrtest of R's lmtest on fits of glm.nb, and in Stata's
// nbreg. The null deviance is at the whole model's theta, as glm.nb has it.
func TestTheNullModelOfCountsHasItsOwnTheta(t *testing.T) {
	columns, records, site := synthetic()
	for _, c := range []struct {
		more   string
		offset bool
	}{{"", false}, {", offset: logt", true}, {", standard_errors: robust", false}} {
		s := parse(t, describeStudy(abc, "negative-binomial", c.more))
		m, _, err := federate(t, s, matrices(t, s, columns, records, 7, site))
		if err != nil {
			t.Fatal(err)
		}
		var counts, offsets []float64
		for _, record := range records {
			counts = append(counts, number(t, record[slices.Index(columns, s.Outcome.Column)]))
			offset := 0.0
			if c.offset {
				offset = number(t, record[slices.Index(columns, "logt")])
			}
			offsets = append(offsets, offset)
		}
		at := func(intercept, theta float64) float64 { return nullLikelihood(counts, offsets, intercept, theta) }
		atTheta := func(theta float64) float64 {
			return largestOf(func(intercept float64) float64 { return at(intercept, theta) }, -5, 5)
		}
		null := largestOf(func(logTheta float64) float64 { return atTheta(math.Exp(logTheta)) }, -4, 6)
		near(t, c.more+": null log-likelihood", m.NullLogLike, null, 1e-10)
		if lower := atTheta(*m.Theta); !(lower < null-0.1) {
			t.Errorf("%s: at the model's theta the null likelihood is %v, at its own %v: the test cannot fail", c.more, lower, null)
		}
		near(t, c.more+": likelihood ratio", m.Tests.LikelihoodRatio.Statistic, 2*(m.LogLike-null), 1e-8)
		near(t, c.more+": McFadden", *m.McFadden, 1-m.LogLike/null, 1e-8)
		saturated := 0.0
		for _, y := range counts {
			saturated += negativeBinomial(y, math.Log(max(y, 1e-300)), *m.Theta)
		}
		near(t, c.more+": null deviance", m.NullDeviance, 2*(saturated-atTheta(*m.Theta)), 1e-8)
	}
}

func number(t testing.TB, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func nullLikelihood(counts, offsets []float64, intercept, theta float64) float64 {
	sum := 0.0
	for i, y := range counts {
		sum += negativeBinomial(y, intercept+offsets[i], theta)
	}
	return sum
}

// negativeBinomial is the log-probability of a count by the gamma function, as
// R's dnbinom defines it.
func negativeBinomial(y, eta, theta float64) float64 {
	a, _ := math.Lgamma(y + theta)
	b, _ := math.Lgamma(theta)
	c, _ := math.Lgamma(y + 1)
	mu := math.Exp(eta)
	value := a - b - c - theta*math.Log1p(mu/theta)
	if y > 0 {
		value += y * (eta - math.Log(theta+mu))
	}
	return value
}

// largestOf finds the maximum of a function with one, by golden section.
func largestOf(f func(float64) float64, lo, hi float64) float64 {
	const golden = 0.6180339887498949
	a, b := hi-golden*(hi-lo), lo+golden*(hi-lo)
	fa, fb := f(a), f(b)
	for hi-lo > 1e-7 {
		if fa > fb {
			hi, b, fb = b, a, fa
			a = hi - golden*(hi-lo)
			fa = f(a)
		} else {
			lo, a, fa = a, b, fb
			b = lo + golden*(hi-lo)
			fb = f(b)
		}
	}
	return f((lo + hi) / 2)
}
