// Package plot draws the figures of a study's pages as SVG inside HTML, without
// a script: rows with intervals or bars, and charts of lines, dots and bars. It
// holds the look that all pages share.
//
// Every drawing has a title and is described in words for whoever does not see
// it; no meaning rests on colour alone. Whatever numbers it is given, a drawing
// is finite: what lies outside an axis ends at its edge.
package plot

import (
	_ "embed"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
)

//go:embed style.css
var style string

//go:embed plots.html
var plotsHTML string

// Style is the style sheet of all pages.
func Style() template.CSS { return template.CSS(style) }

// Add gives templates the drawings "chart" and "rows", and the functions that
// write numbers.
func Add(t *template.Template) *template.Template {
	return template.Must(t.Funcs(template.FuncMap{
		"style": Style, "number": Number, "pvalue": PValue, "short": Short, "grouped": Grouped, "plural": Plural,
	}).Parse(plotsHTML))
}

// Tick is a mark of an axis.
type Tick struct {
	At    float64
	Label string
}

// Axis maps values to the drawing.
type Axis struct {
	Ticks    []Tick
	lo, hi   float64
	from, to float64
	log      bool
}

// mostTicks bounds an axis whatever its values.
const mostTicks = 20

// Linear is an axis over the values from lo to hi, ending at whole steps.
func Linear(lo, hi, from, to float64) Axis {
	if !(hi > lo) {
		lo, hi = lo-1, hi+1
	}
	step := NiceStep((hi - lo) / 5)
	a := Axis{lo: math.Floor(lo/step) * step, hi: math.Ceil(hi/step) * step, from: from, to: to}
	if !a.drawable() {
		return Axis{lo: 0, hi: 1, from: from, to: to}
	}
	digits := min(max(0, -int(math.Floor(math.Log10(step)+1e-9))), 12)
	// Between two neighbouring numbers of enormous size the loop would not move.
	for i := math.Round(a.lo / step); i*step <= a.hi+step/1e6 && len(a.Ticks) < mostTicks; i++ {
		label := strconv.FormatFloat(i*step, 'f', digits, 64)
		if math.Abs(i*step) >= 1e6 || step < 1e-4 {
			label = strconv.FormatFloat(i*step, 'g', 4, 64)
		}
		if i == 0 {
			label = "0"
		}
		a.Ticks = append(a.Ticks, Tick{a.At(i * step), Minus(label)})
	}
	return a
}

// Log is a logarithmic axis over positive values.
func Log(lo, hi, from, to float64) Axis {
	lo, hi = min(max(lo, 1e-12), 1e12), min(max(hi, 1e-12), 1e12)
	if !(hi > lo) {
		lo, hi = lo/2, lo*2
	}
	a := Axis{lo: lo, hi: hi, from: from, to: to, log: true}
	// Over less than a factor of four, powers of ten and their halves are too
	// few marks.
	if step := NiceStep((hi - lo) / 5); hi < 4*lo && step > 0 && lo+step > lo {
		digits := min(max(0, -int(math.Floor(math.Log10(step)+1e-9))), 12)
		for i := math.Ceil(lo/step - 1e-9); i*step <= hi*(1+1e-9) && len(a.Ticks) < mostTicks; i++ {
			a.Ticks = append(a.Ticks, Tick{a.At(i * step), strconv.FormatFloat(i*step, 'f', digits, 64)})
		}
		return a
	}
	factors := []float64{1, 2, 5}
	if math.Log10(hi/lo) > 2 {
		factors = []float64{1}
	}
	first, last := math.Floor(math.Log10(lo)), math.Ceil(math.Log10(hi))
	every := max(1, math.Ceil((last-first)/10))
	for power := first; power <= last; power += every {
		for _, f := range factors {
			if v := f * math.Pow(10, power); v >= lo*0.999 && v <= hi*1.001 {
				a.Ticks = append(a.Ticks, Tick{a.At(v), strconv.FormatFloat(v, 'g', 6, 64)})
			}
		}
	}
	return a
}

func (a Axis) drawable() bool {
	span := a.hi - a.lo
	return span > 0 && !math.IsInf(span, 0) && !math.IsNaN(span)
}

// At is where a value stands; a value outside the axis stands at its edge.
func (a Axis) At(v float64) float64 {
	v = min(max(v, a.lo), a.hi)
	share := (v - a.lo) / (a.hi - a.lo)
	if a.log {
		share = math.Log(v/a.lo) / math.Log(a.hi/a.lo)
	}
	return a.from + (a.to-a.from)*share
}

// Holds says whether a value is on the axis.
func (a Axis) Holds(v float64) bool { return v >= a.lo && v <= a.hi }

// Whole leaves ticks at whole numbers only, for what is counted.
func (a Axis) Whole() Axis {
	a.Ticks = slices.DeleteFunc(slices.Clone(a.Ticks), func(t Tick) bool { return strings.Contains(t.Label, ".") && !strings.HasSuffix(t.Label, ".0") })
	for i := range a.Ticks {
		a.Ticks[i].Label = strings.TrimSuffix(a.Ticks[i].Label, ".0")
	}
	return a
}

// Percent writes the ticks of shares as percentages.
func (a Axis) Percent() Axis {
	ticks := make([]Tick, len(a.Ticks))
	for i, t := range a.Ticks {
		share := a.lo + (a.hi-a.lo)*(t.At-a.from)/(a.to-a.from)
		ticks[i] = Tick{t.At, Minus(strconv.FormatFloat(math.Round(1000*share)/10, 'f', -1, 64)) + "%"}
	}
	a.Ticks = ticks
	return a
}

// NiceStep is 1, 2 or 5 times a power of ten, at least x.
func NiceStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, f := range []float64{1, 2, 5} {
		if f*power >= x*0.999 {
			return f * power
		}
	}
	return 10 * power
}
