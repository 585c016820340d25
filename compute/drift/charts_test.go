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

// Rule: the interval of observed over expected holds the ratio that there is, also
// where it is not one and where few patients have the outcome.
func TestIntervalOfTheRatioHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 26))
	const studies = 2000
	for _, c := range []struct {
		n           int
		level, beta float64
		drift       float64 // of the log odds
	}{{60, -3, 1, 0}, {60, -3, 1, 1}, {400, -3, 1, 1}, {60, -0.5, 1, 0}, {400, -0.5, 1.5, -1}, {400, -2, 0.5, 0.7}} {
		chance := func(x, drift float64) float64 { return 1 / (1 + math.Exp(-c.level-c.beta*x-drift)) }
		has, says := 0.0, 0.0
		for range 400_000 {
			x := r.NormFloat64()
			has, says = has+chance(x, c.drift), says+chance(x, 0)
		}
		held := 0.0
		for range studies {
			observed, expected, variance := 0.0, 0.0, 0.0
			for range c.n {
				x := r.NormFloat64()
				if r.Float64() < chance(x, c.drift) {
					observed++
				}
				p := chance(x, 0)
				expected, variance = expected+p, variance+p*(1-p)
			}
			// The patients of the window are as they are: what is expected of them is given.
			if i := shareRatio(observed, float64(c.n), expected, math.Sqrt(variance)); i.Lower <= has/says && has/says <= i.Upper {
				held += 1.0 / studies
			}
		}
		if held < 0.92 {
			t.Errorf("%+v: held in %.3f", c, held)
		}
		t.Logf("%+v: held in %.3f", c, held)
	}
}
