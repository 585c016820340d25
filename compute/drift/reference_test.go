package drift

import (
	"math"
	"testing"
)

// Run lengths as R's package spc 0.6.7 (Knoth) computes them by Gauss-Legendre
// quadrature of the integral equation, another method than this package's Markov
// chain: xcusum.arl(0.5, h, shift, sided="two", r=100). Rounded as in a textbook
// they are those of Montgomery, Introduction to Statistical Quality Control, table
// 9.3, from Hawkins (1993).
func TestRunLengthsOfCUSUM(t *testing.T) {
	for _, c := range []struct{ h, shift, want float64 }{
		{4, 0, 167.68}, {4, 0.25, 74.224}, {4, 0.5, 26.630}, {4, 0.75, 13.285}, {4, 1, 8.3831}, {4, 1.5, 4.7472}, {4, 2, 3.3428}, {4, 3, 2.1945}, {4, 4, 1.7085},
		{5, 0, 465.44}, {5, 0.25, 139.49}, {5, 0.5, 37.996}, {5, 0.75, 17.048}, {5, 1, 10.376}, {5, 1.5, 5.7472}, {5, 2, 4.0089}, {5, 3, 2.5733}, {5, 4, 2.0126},
	} {
		if got := RunLength(0.5, c.h, c.shift); math.Abs(got-c.want) > 0.001*c.want {
			t.Errorf("h %g, shift %g: %.6g windows, spc says %g", c.h, c.shift, got, c.want)
		}
	}
}

// The same of moving averages: xewma.arl(weight, limit, shift, sided="two", r=100).
// The weights and limits are of Lucas and Saccucci (Technometrics 32, 1990, table
// 3), who chose them for 500 windows without a shift.
func TestRunLengthsOfMovingAverages(t *testing.T) {
	shifts := []float64{0, 0.25, 0.5, 1, 2, 4}
	for _, c := range []struct {
		weight, limit float64
		want          [6]float64
	}{
		{0.4, 3.054, [6]float64{499.951, 223.728, 71.2005, 14.2628, 3.52154, 1.4399}},
		{0.25, 2.998, [6]float64{499.836, 170.296, 48.2939, 11.1355, 3.61371, 1.72703}},
		{0.2, 2.962, [6]float64{499.735, 150.216, 41.7644, 10.5417, 3.74344, 1.86437}},
		{0.1, 2.814, [6]float64{499.580, 106.322, 31.2974, 10.3307, 4.36225, 2.1931}},
		{0.05, 2.615, [6]float64{499.933, 84.0059, 28.7637, 11.3828, 5.22488, 2.69455}},
	} {
		for i, shift := range shifts {
			if got := EWMARunLength(c.weight, c.limit, shift); math.Abs(got-c.want[i]) > 0.006*c.want[i] {
				t.Errorf("weight %g, limit %g, shift %g: %.6g windows, spc says %g", c.weight, c.limit, shift, got, c.want[i])
			}
		}
	}
}

// Calls within twelve windows without a drift: 1-xcusum.sf(0.5, 4, 0, 12)^2 for two
// sides that are taken as independent, and 1-xewma.sf(0.2, 2.86, 0, 12, sided="two").
func TestFalseAlarmsWithinWindows(t *testing.T) {
	for _, c := range []struct {
		what      string
		got, want float64
	}{{"CUSUM", FalseAlarm(0.5, 4, 12), 0.046067}, {"EWMA", EWMAFalseAlarm(0.2, 2.86, 12), 0.022232}} {
		if math.Abs(c.got-c.want) > 0.003*c.want {
			t.Errorf("%s: %.6f, spc says %.6f", c.what, c.got, c.want)
		}
	}
}

// NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.3: target 325, k 0.3175,
// h 4.1959. The sums are its table's, and the chart is out of control from sample
// 14 on.
func TestCUSUMOfTheNISTHandbook(t *testing.T) {
	x := []float64{324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600,
		324.625, 325.150, 328.325, 327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350}
	up := []float64{0, 0, 0, 0, 0.03, 0, 0, 0, 0, 0, 0, 0, 3.01, 4.94, 7.45, 10.63, 11.99, 14.44, 16.00, 19.04}
	down := []float64{0, 0.01, 0, 0.33, 0, 0, 0.56, 0.72, 0.17, 0.25, 0.31, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	chart := CUSUM{K: 0.3175, H: 4.1959}
	for i, v := range x {
		called := chart.Add(v - 325)
		if want := i >= 13; called != want {
			t.Errorf("sample %d: called %v", i+1, called)
		}
		if math.Abs(chart.Up-up[i]) > 0.011 || math.Abs(chart.Down-down[i]) > 0.011 {
			t.Errorf("sample %d: %.4f and %.4f, the handbook has %.2f and %.2f", i+1, chart.Up, chart.Down, up[i], down[i])
		}
	}
}

// The handbook's 6.3.2.4: target 50, standard deviation 2.0539, weight 0.3, limits
// of three standard deviations at 47.4115 and 52.5884. Nothing is out of control.
func TestMovingAverageOfTheNISTHandbook(t *testing.T) {
	x := []float64{52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1}
	want := []float64{50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52, 50.05, 49.38, 49.92, 50.73, 51.23, 51.94, 51.99}
	const sd = 2.0539
	chart := EWMA{Weight: 0.3, Limit: 3}
	for i, v := range x {
		if chart.Add((v - 50) / sd) {
			t.Errorf("sample %d is called", i+1)
		}
		if got := 50 + sd*chart.Value; math.Abs(got-want[i]) > 0.0051 {
			t.Errorf("sample %d: %.4f, the handbook has %.2f", i+1, got, want[i])
		}
	}
	if got := 50 + sd*chart.Width(); math.Abs(got-52.5884) > 5.1e-5 {
		t.Errorf("upper limit %.5f, the handbook has 52.5884", got)
	}
}

// Montgomery's example of both charts: target 10, standard deviation 1; k 1/2 and
// h 5, weight 0.1 and limit 2.7. His thirty observations are also in the manual of
// IMSL's EWMA chart; sums and averages are of the recursions in R. Both
// charts call first at observation 29.
func TestChartsOfATextbook(t *testing.T) {
	x := []float64{9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08,
		9.37, 10.62, 10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52}
	up := []float64{0, 0, 0, 1.16, 2.82, 2.50, 0.04, 1.00, 0, 0, 0, 0.97, 0.98, 0, 0, 0, 0.12, 0, 0, 0.34, 0.74, 0, 1.79, 2.79, 2.89, 3.47, 3.35, 4.47, 5.28, 5.30}
	down := []float64{0.05, 1.56, 1.77, 0, 0, 0, 1.46, 0, 0.30, 0, 0.47, 0, 0, 0.10, 0, 0.13, 0, 0, 0.98, 0, 0, 0.17, 0, 0, 0, 0, 0, 0, 0, 0}
	average := []float64{9.94500, 9.74950, 9.70355, 9.89920, 10.12528, 10.13075, 9.92167, 10.07551, 9.98796, 10.02316, 9.92384, 10.07846, 10.12161, 10.04945, 10.05251,
		9.98426, 10.04783, 10.07405, 9.91864, 10.01078, 10.09970, 10.02273, 10.24946, 10.37451, 10.39706, 10.46535, 10.45682, 10.57314, 10.64682, 10.63414}
	sum, moving := CUSUM{K: 0.5, H: 5}, EWMA{Weight: 0.1, Limit: 2.7}
	for i, v := range x {
		if called := sum.Add(v - 10); called != (i >= 28) {
			t.Errorf("observation %d: the CUSUM called %v", i+1, called)
		}
		if math.Abs(sum.Up-up[i]) > 1e-9 || math.Abs(sum.Down-down[i]) > 1e-9 {
			t.Errorf("observation %d: %.4f and %.4f, want %.2f and %.2f", i+1, sum.Up, sum.Down, up[i], down[i])
		}
		if called := moving.Add(v - 10); called != (math.Abs(average[i]-10) > moving.Width()) {
			t.Errorf("observation %d: the moving average called %v", i+1, called)
		}
		if math.Abs(10+moving.Value-average[i]) > 5.1e-6 {
			t.Errorf("observation %d: %.6f, want %.5f", i+1, 10+moving.Value, average[i])
		}
	}
	if math.Abs(moving.Width()-0.62) > 0.005 {
		t.Errorf("limits at %.3f from the target, Montgomery's are 0.62", moving.Width())
	}
}
