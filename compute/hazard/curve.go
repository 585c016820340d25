package hazard

import (
	"errors"
	"math"
	"sort"
)

// Point is a baseline at a time.
type Point struct {
	Time     float64 `json:"time"`
	Survival float64 `json:"survival"`
	Hazard   float64 `json:"hazard"` // cumulative
}

// Curve is a cumulative hazard at ascending times. Between them it grows evenly,
// and after the last it is constant.
type Curve struct{ Times, Hazards []float64 }

// CurveOf is that of points.
func CurveOf(points []Point) Curve {
	c := Curve{[]float64{}, []float64{}}
	for _, p := range points {
		c.Times, c.Hazards = append(c.Times, p.Time), append(c.Hazards, p.Hazard)
	}
	return c
}

// Check makes sure that the times are of the grid, and that the hazards ascend
// from zero and not beyond the most.
func (c Curve) Check(grid []float64, most float64) error {
	if len(c.Times) == 0 || len(c.Times) > len(grid) || len(c.Hazards) != len(c.Times) {
		return errors.New("the model's baseline does not fit the study's grid")
	}
	known := 0
	for k, t := range c.Times {
		known += sort.SearchFloat64s(grid[known:], t)
		if known == len(grid) || grid[known] != t {
			return errors.New("the model's baseline has times that are not on the study's grid, or not ascending")
		}
		known++
		h := c.Hazards[k]
		// Written so that what is no number fails.
		if !(h >= 0 && h <= most) || h == 0 && math.Signbit(h) || k > 0 && h < c.Hazards[k-1] {
			return errors.New("the model's cumulative hazards do not ascend from zero")
		}
	}
	return nil
}

// Survival is the probability to be free of the event beyond the time, given the
// logarithm of the hazard relative to the baseline, at least so far as the
// baseline reaches.
func (c Curve) Survival(logHazard, time float64) float64 {
	k := sort.SearchFloat64s(c.Times, time)
	t0, h0 := 0.0, 0.0
	if k > 0 {
		t0, h0 = c.Times[k-1], c.Hazards[k-1]
	}
	h := h0
	if k < len(c.Times) && time > t0 {
		h += (c.Hazards[k] - h0) * (time - t0) / (c.Times[k] - t0)
	}
	if h == 0 {
		return 1
	}
	return math.Exp(-h * math.Exp(logHazard))
}
