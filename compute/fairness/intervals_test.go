package fairness

import (
	"math"
	"testing"
)

func close4(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 5.1e-5 {
		t.Errorf("%s = %.5f, want %.4f", what, got, want)
	}
}

// Newcombe, Statistics in Medicine 17 (1998) 857-872, Table I, method 3.
func TestWilsonEqualsNewcombesTable(t *testing.T) {
	for _, c := range []struct{ k, n, lower, upper float64 }{
		{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {1, 29, 0.0061, 0.1718},
	} {
		lower, upper := wilson(c.k, c.n)
		close4(t, "lower", lower, c.lower)
		close4(t, "upper", upper, c.upper)
	}
	if lower, upper := wilson(7, 7); upper != 1 || lower >= 1 {
		t.Errorf("all of 7: %v to %v", lower, upper)
	}
}

// Newcombe, Statistics in Medicine 17 (1998) 873-890, Table II, method 10.
func TestNewcombeEqualsHisTable(t *testing.T) {
	for _, c := range []struct{ k1, n1, k2, n2, lower, upper float64 }{
		{56, 70, 48, 80, 0.0524, 0.3339}, {9, 10, 3, 10, 0.1705, 0.8090}, {10, 10, 0, 20, 0.6791, 1},
	} {
		lower, upper := newcombe(c.k1, c.n1, c.k2, c.n2)
		close4(t, "lower", lower, c.lower)
		close4(t, "upper", upper, c.upper)
	}
}

// The same and more of them, to five digits.
func TestProportionsToFiveDigits(t *testing.T) {
	for _, c := range []struct{ k, n, lower, upper float64 }{
		{81, 263, 0.25529, 0.36621}, {15, 148, 0.06239, 0.16049}, {0, 20, 0, 0.16113}, {1, 29, 0.00611, 0.17176},
	} {
		lower, upper := wilson(c.k, c.n)
		near(t, "lower", lower, c.lower, 5.1e-6)
		near(t, "upper", upper, c.upper, 5.1e-6)
	}
	for _, c := range []struct{ k1, n1, k2, n2, d, lower, upper float64 }{
		{56, 70, 48, 80, 0.2, 0.05243, 0.33387}, {9, 10, 3, 10, 0.6, 0.17052, 0.80902}, {5, 56, 0, 29, 0.08929, -0.03814, 0.19256},
	} {
		lower, upper := newcombe(c.k1, c.n1, c.k2, c.n2)
		near(t, "difference", share{c.k1, c.n1}.value()-share{c.k2, c.n2}.value(), c.d, 5.1e-6)
		near(t, "lower", lower, c.lower, 5.1e-6)
		near(t, "upper", upper, c.upper, 5.1e-6)
	}
}

func TestMeanAndWelchIntervals(t *testing.T) {
	of := func(values ...float64) sample {
		s := sample{n: float64(len(values))}
		for _, v := range values {
			s.sum += v
			s.squares += v * v
		}
		return s
	}
	// Mean 3, variance 2.5, t(0.975, 4) = 2.776445.
	lower, upper, ok := of(1, 2, 3, 4, 5).interval()
	if !ok {
		t.Fatal("five values have an interval")
	}
	close4(t, "lower", lower, 3-2.776445*math.Sqrt(0.5))
	close4(t, "upper", upper, 3+2.776445*math.Sqrt(0.5))
	if _, _, ok := of(1).interval(); ok {
		t.Error("one value has no interval")
	}
	// Equal variances and sizes: 2n-2 degrees of freedom, t(0.975, 8) = 2.306004.
	lower, upper, ok = welch(of(1, 2, 3, 4, 5), of(2, 3, 4, 5, 6))
	if !ok {
		t.Fatal("Welch's interval exists")
	}
	close4(t, "lower", lower, -1-2.306004)
	close4(t, "upper", upper, -1+2.306004)
}

func TestVerdictJudgesTheWholeInterval(t *testing.T) {
	for _, c := range []struct {
		lower, upper float64
		want         string
	}{
		{-0.5, 0.9, NoDisparity}, {-1, 1, NoDisparity}, {1.1, 5, Disparity}, {-9, -1.1, Disparity},
		{0.5, 3, Insufficient}, {-5, 5, Insufficient}, {-3, -0.5, Insufficient},
	} {
		if got := verdict(c.lower, c.upper, 1); got != c.want {
			t.Errorf("%v to %v within 1: %s, want %s", c.lower, c.upper, got, c.want)
		}
	}
}

// Two proportions of one half in 100 patients each can show a difference of
// 0.198 with power 0.8; Newcombe's interval is a little narrower than Wald's.
func TestDetectableDifference(t *testing.T) {
	lower, upper := newcombe(50, 100, 50, 100)
	if got := Detectable(lower, upper); got < 0.19 || got > 0.2 {
		t.Errorf("%v, want about 0.198", got)
	}
	se := 0.5
	if got := Detectable(-normal*se, normal*se); math.Abs(got-2.8015852*se) > 1e-6 {
		t.Errorf("%v", got)
	}
}
