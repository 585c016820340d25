package drift

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Montgomery, Introduction to Statistical Quality Control, 6th edition, table
// 9.3: run lengths of a two-sided CUSUM with k = 1/2, from Hawkins (1993).
func TestRunLengthsOfTextbooks(t *testing.T) {
	for _, c := range []struct{ h, shift, want float64 }{
		{4, 0, 168}, {4, 0.25, 74.2}, {4, 0.5, 26.6}, {4, 0.75, 13.3}, {4, 1, 8.38}, {4, 1.5, 4.75}, {4, 2, 3.34}, {4, 3, 2.19}, {4, 4, 1.71},
		{5, 0, 465}, {5, 0.25, 139}, {5, 0.5, 38.0}, {5, 0.75, 17.0}, {5, 1, 10.4}, {5, 1.5, 5.75}, {5, 2, 4.01}, {5, 3, 2.57}, {5, 4, 2.01},
	} {
		if got := RunLength(0.5, c.h, c.shift); math.Abs(got-c.want) > 0.006*c.want {
			t.Errorf("h %g, shift %g: %.4g windows, want %g", c.h, c.shift, got, c.want)
		}
	}
}

// Lucas and Saccucci (1990), table 3.
func TestRunLengthsOfMovingAverages(t *testing.T) {
	for _, c := range []struct{ weight, limit, shift, want float64 }{
		{0.4, 3.054, 0, 500}, {0.25, 2.998, 0, 500}, {0.2, 2.962, 0, 500}, {0.1, 2.814, 0, 500}, {0.05, 2.615, 0, 500},
		{0.25, 2.998, 1, 11.1}, {0.2, 2.962, 1, 10.5}, {0.1, 2.814, 1, 10.3}, {0.1, 2.814, 2, 4.36}, {0.4, 3.054, 2, 3.5},
	} {
		if got := EWMARunLength(c.weight, c.limit, c.shift); math.Abs(got-c.want) > 0.015*c.want {
			t.Errorf("weight %g, limit %g, shift %g: %.4g windows, want %g", c.weight, c.limit, c.shift, got, c.want)
		}
	}
}

// Montgomery, example 9.1: target 10, standard deviation 1, k = 1/2, h = 5. The
// chart calls at observation 29.
func TestCUSUMOfATextbook(t *testing.T) {
	x := []float64{9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08,
		9.37, 10.62, 10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52}
	chart := CUSUM{K: 0.5, H: 5}
	for i, v := range x {
		called := chart.Add(v - 10)
		if want := i >= 28; called != want {
			t.Errorf("observation %d: called %v", i+1, called)
		}
		for at, want := range map[int][2]float64{2: {0, 1.56}, 5: {2.82, 0}, 7: {0.04, 1.46}, 23: {1.79, 0}, 28: {4.48, 0}, 29: {5.28, 0}, 30: {5.30, 0}} {
			if i+1 == at && (math.Abs(chart.Up-want[0]) > 0.011 || math.Abs(chart.Down-want[1]) > 0.011) {
				t.Errorf("observation %d: %.2f and %.2f, want %v", at, chart.Up, chart.Down, want)
			}
		}
	}
}

// Montgomery, example 9.2: the same observations, weight 0.1, limit 2.7.
func TestMovingAverageOfATextbook(t *testing.T) {
	chart := EWMA{Weight: 0.1, Limit: 2.7}
	for i, want := range []float64{9.945, 9.7495, 9.70355, 9.8992, 10.1253, 10.1307} {
		chart.Add([]float64{9.45, 7.99, 9.29, 11.66, 12.16, 10.18}[i] - 10)
		if math.Abs(10+chart.Value-want) > 1e-4 {
			t.Errorf("observation %d: %.4f, want %.4f", i+1, 10+chart.Value, want)
		}
	}
	if math.Abs(chart.Width()-0.62) > 0.005 {
		t.Errorf("limits at %.3f, want 0.62", chart.Width())
	}
}

// Rule: the false-alarm probability and the run length that the report prints are
// those of the chart, counted over seeded runs.
func TestStatedRatesAreThoseOfTheCharts(t *testing.T) {
	const runs, windows = 20_000, 12
	const k, h, shift = 0.5, 4, 1.0
	r := rand.New(rand.NewPCG(20, 26))
	alarms, averages, found := 0, 0, 0.0
	for range runs {
		quiet, moving := CUSUM{K: k, H: h}, EWMA{Weight: 0.2, Limit: 2.86}
		called, strayed := false, false
		for range windows {
			z := r.NormFloat64()
			called = quiet.Add(z) || called
			strayed = moving.Add(z) || strayed
		}
		if called {
			alarms++
		}
		if strayed {
			averages++
		}
		drifting := CUSUM{K: k, H: h}
		for n := 1.0; ; n++ {
			if drifting.Add(shift + r.NormFloat64()) {
				found += n / runs
				break
			}
		}
	}
	near := func(what string, got, want, sd float64) {
		if math.Abs(got-want) > 4*sd+0.002*want {
			t.Errorf("%s: %.4f counted, %.4f stated", what, got, want)
		}
	}
	p := FalseAlarm(k, h, windows)
	near("false alarms of the CUSUM", float64(alarms)/runs, p, math.Sqrt(p*(1-p)/runs))
	p = EWMAFalseAlarm(0.2, 2.86, windows)
	near("false alarms of the moving average", float64(averages)/runs, p, math.Sqrt(p*(1-p)/runs))
	near("windows until found", found, RunLength(k, h, shift), 6/math.Sqrt(runs))
}

// Rule: a chart that never calls has a run length that JSON can hold.
func TestRunLengthOfAChartThatNeverCalls(t *testing.T) {
	for _, got := range []float64{RunLength(5, 50, 0), EWMARunLength(0.01, 10, 0), RunLength(0, 50, 1e6), RunLength(5, 50, -1e6), RunLength(0, 0.5, 0)} {
		if !(got >= 1 && got <= longest) {
			t.Errorf("%g windows", got)
		}
	}
}
