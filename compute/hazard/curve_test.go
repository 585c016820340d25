package hazard

import (
	"math"
	"testing"
)

func TestTheHazardGrowsEvenlyBetweenTimes(t *testing.T) {
	c := CurveOf([]Point{{Time: 10, Hazard: 0.5}, {Time: 30, Hazard: 0.9}})
	for time, hazard := range map[float64]float64{0: 0, 5: 0.25, 10: 0.5, 20: 0.7, 30: 0.9, 99: 0.9} {
		if got, want := c.Survival(math.Log(2), time), math.Exp(-2*hazard); math.Abs(got-want) > 1e-15 {
			t.Errorf("at %v: %v, not %v", time, got, want)
		}
	}
}

func TestADamagedCurveIsRefused(t *testing.T) {
	grid := []float64{10, 20, 30}
	if err := (Curve{[]float64{10, 30}, []float64{0, 2}}).Check(grid, 2); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]Curve{
		"empty":         {},
		"a hazard less": {[]float64{10, 30}, []float64{1}},
		"off the grid":  {[]float64{11}, []float64{1}},
		"backwards":     {[]float64{30, 10}, []float64{1, 1}},
		"falling":       {[]float64{10, 30}, []float64{1, 0.5}},
		"negative":      {[]float64{10}, []float64{-1}},
		"minus zero":    {[]float64{10}, []float64{math.Copysign(0, -1)}},
		"too high":      {[]float64{10}, []float64{3}},
		"no number":     {[]float64{10}, []float64{math.NaN()}},
	} {
		if c.Check(grid, 2) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
