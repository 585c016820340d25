package plot

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The area of a chart within its drawing.
const (
	chartLeft, chartRight = 74.0, 784.0
	chartTop, chartBottom = 14.0, 320.0
)

// Chart is a drawing with two axes.
type Chart struct {
	ID, Title, Caption string
	Words              string // what it shows, for whoever does not see it
	XLabel, YLabel     string
	X, Y               Axis
	Series             []Series
	Lines              []Line // of reference
	Marks              []Mark // on the axis along the bottom
	Spans              []Line // thin, such as intervals of dots
	Names              []Name // beside dots
	Leaders            []Line // from dots to names that stand away from them
}

// Name stands beside a point; its place is where its line begins.
type Name struct {
	X, Y float64
	Text string
}

// Mark is a triangle that stands on the bottom axis.
type Mark struct{ At float64 }

// Points of the triangle.
func (m Mark) Points() string {
	return fmt.Sprintf("%.1f,%.1f %.1f,%.1f %.1f,%.1f", m.At-5, chartBottom, m.At+5, chartBottom, m.At, chartBottom-9)
}

// Series is a line with what surrounds it, or dots, or bars.
type Series struct {
	Name string
	Path string // of a line
	Band string // area of the interval
	Dots []Dot
	Bars []Rect
}

// Line is straight.
type Line struct{ X1, Y1, X2, Y2 float64 }

// Rect is a bar.
type Rect struct{ X, Y, Width, Height float64 }

// XY is a point in the axes' values.
type XY struct{ X, Y float64 }

// XAxis is an axis along the bottom of a chart.
func XAxis(lo, hi float64) Axis { return Linear(lo, hi, chartLeft, chartRight) }

// XAxisTo ends where the values end, not at a whole step.
func XAxisTo(lo, hi float64) Axis {
	a := XAxis(lo, hi)
	cut := Axis{lo: lo, hi: hi, from: chartLeft, to: chartRight}
	if !cut.drawable() {
		return a
	}
	for _, t := range a.Ticks {
		v := a.lo + (a.hi-a.lo)*(t.At-a.from)/(a.to-a.from)
		if v >= lo-1e-9*(hi-lo) && v <= hi+1e-9*(hi-lo) {
			cut.Ticks = append(cut.Ticks, Tick{cut.At(v), t.Label})
		}
	}
	return cut
}

// YAxis is an axis up the left of a chart.
func YAxis(lo, hi float64) Axis { return Linear(lo, hi, chartBottom, chartTop) }

// YLog is a logarithmic axis up the left of a chart.
func YLog(lo, hi float64) Axis { return Log(lo, hi, chartBottom, chartTop) }

// Across is a line at a height from one side of the chart to the other.
func (c *Chart) Across(y float64) Line {
	return Line{chartLeft, c.Y.At(y), chartRight, c.Y.At(y)}
}

// Span is a thin line between two points.
func (c *Chart) Span(from, to XY) Line {
	return Line{c.X.At(from.X), c.Y.At(from.Y), c.X.At(to.X), c.Y.At(to.Y)}
}

// Mark at a value of the bottom axis.
func (c *Chart) Mark(x float64) Mark { return Mark{c.X.At(x)} }

// Path through points.
func (c *Chart) Path(points []XY) string { return c.path(points, false) }

// Steps through points: each value holds until the next point.
func (c *Chart) Steps(points []XY) string { return c.path(points, true) }

func (c *Chart) path(points []XY, steps bool) string {
	var b strings.Builder
	for i, p := range points {
		x, y := c.X.At(p.X), c.Y.At(p.Y)
		switch {
		case i == 0:
			fmt.Fprintf(&b, "M%.1f %.1f", x, y)
		case steps:
			fmt.Fprintf(&b, "H%.1fV%.1f", x, y)
		default:
			fmt.Fprintf(&b, "L%.1f %.1f", x, y)
		}
	}
	return b.String()
}

// Between is the area between two lines over the same positions.
func (c *Chart) Between(lower, upper []XY) string {
	if len(lower) == 0 || len(lower) != len(upper) {
		return ""
	}
	back := slices.Clone(lower)
	slices.Reverse(back)
	return c.Path(append(slices.Clone(upper), back...)) + "Z"
}

// Dot at a point.
func (c *Chart) Dot(p XY, radius float64) Dot {
	return Dot{X: c.X.At(p.X), Y: c.Y.At(p.Y), Radius: radius}
}

// Bar from the bottom up to a height.
func (c *Chart) Bar(from, to, height float64) Rect {
	x, top := c.X.At(from), c.Y.At(height)
	return Rect{X: x, Y: top, Width: max(c.X.At(to)-x-1, 0.5), Height: chartBottom - top}
}

// Diagonal is where both axes have the same value.
func (c *Chart) Diagonal() Line {
	lo, hi := max(c.X.lo, c.Y.lo), min(c.X.hi, c.Y.hi)
	return Line{c.X.At(lo), c.Y.At(lo), c.X.At(hi), c.Y.At(hi)}
}

// Legend names the series, where there are several.
func (c Chart) Legend() []Series {
	if len(c.Series) < 2 {
		return nil
	}
	return c.Series
}

// Look of the i-th series: colour and dashes.
func (Chart) Look(i int) string { return fmt.Sprintf("series%d", i%6) }

func safeLog(x float64) float64 { return math.Log(min(max(x, 1e-12), 1e12)) }
func exp(x float64) float64     { return math.Exp(x) }
