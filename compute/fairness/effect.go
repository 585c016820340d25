package fairness

import "math"

// standardised is a difference in standard deviations of one patient: Cohen's d,
// with the variance pooled over both groups (Statistical Power Analysis for the
// Behavioral Sciences, 1988, chapter 2). An effect does not grow with the number
// of patients, as a test statistic does. NaN where nobody varies.
func standardised(difference, n1, variance1, n2, variance2 float64) float64 {
	pooled := ((n1-1)*variance1 + (n2-1)*variance2) / (n1 + n2 - 2)
	if !(pooled > 0) {
		return math.NaN()
	}
	return difference / math.Sqrt(pooled)
}

// effect of two figures that are of patients, each with a value: shares, which
// vary as p(1-p), and means. Nil of others.
func effect(a, b figure) *float64 {
	spread := func(f figure) (n, variance float64) {
		switch f := f.(type) {
		case share:
			p := f.value()
			return f.n, p * (1 - p)
		case sample:
			return f.n, f.variance()
		}
		return 0, math.NaN()
	}
	n1, v1 := spread(a)
	n2, v2 := spread(b)
	return finite(standardised(a.value()-b.value(), n1, v1, n2, v2))
}

// finite is nil of what is no number.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// fromWhole is how far the group farthest from the whole is from it: as a
// difference, and as a ratio of the smaller to the larger. Fairlearn calls it
// to_overall.
func fromWhole(whole float64, groups []float64) (farthest int, difference, ratio float64) {
	ratio = 1
	for i, v := range groups {
		if d := math.Abs(v - whole); d > difference {
			farthest, difference = i, d
		}
		ratio = min(ratio, v/whole, whole/v)
	}
	return farthest, difference, ratio
}
