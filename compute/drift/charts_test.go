package drift

import (
	"math"
	"math/rand/v2"
	"testing"
)

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
