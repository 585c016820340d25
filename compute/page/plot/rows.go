package plot

import (
	"fmt"
	"strings"
)

// Measures of a drawing of rows.
const (
	rowHeight = 28.0
	rowsStart = 250.0 // of the axis
	rowsEnd   = 556.0
)

// Rows are labelled values below each other: dots with intervals, or bars.
type Rows struct {
	ID, Title, Caption string
	Rows               []Row
	Axis               Axis
	Reference          float64 // where the line of no effect stands
	HasReference       bool
}

// Row is one value.
type Row struct {
	Label       string
	Value, Note string
	Y           float64
	Bar         float64 // width
	Dot         *Dot
}

// Dot is a value and its interval.
type Dot struct {
	X, Y, From, To float64
	Interval       bool
	CutFrom, CutTo bool // the interval goes on beyond the axis
	Radius         float64
}

// Estimate is a value to draw, with the interval it has.
type Estimate struct {
	Label                string
	Value, Lower, Upper  float64
	Text, IntervalInText string
}

// Forest draws estimates with their intervals, on a logarithmic axis where they
// are ratios, around the value of no effect.
func Forest(id, title, caption string, estimates []Estimate, ratio bool) *Rows {
	none := 0.0
	axis := Linear
	if ratio {
		none, axis = 1, Log
	}
	lo, hi := forestRange(estimates, none, ratio)
	f := &Rows{ID: id, Title: title, Caption: caption, Axis: axis(lo, hi, rowsStart, rowsEnd), HasReference: true}
	f.Reference = f.Axis.At(none)
	for i, e := range estimates {
		d := &Dot{X: f.Axis.At(e.Value), From: f.Axis.At(e.Lower), To: f.Axis.At(e.Upper), Interval: true,
			CutFrom: e.Lower < f.Axis.lo, CutTo: e.Upper > f.Axis.hi}
		f.Rows = append(f.Rows, Row{Label: e.Label, Value: e.Text, Note: e.IntervalInText, Y: float64(i) * rowHeight, Dot: d})
	}
	return f
}

// forestRange holds all estimates, and their intervals as far as these do not
// make the others points: to the span of the estimates again on either side.
func forestRange(estimates []Estimate, none float64, ratio bool) (lo, hi float64) {
	if ratio {
		var logs []Estimate
		for _, e := range estimates {
			logs = append(logs, Estimate{Value: safeLog(e.Value), Lower: safeLog(e.Lower), Upper: safeLog(e.Upper)})
		}
		lo, hi = forestRange(logs, 0, false)
		return exp(lo), exp(hi)
	}
	lo, hi = none, none
	for _, e := range estimates {
		lo, hi = min(lo, e.Value), max(hi, e.Value)
	}
	span := hi - lo
	for _, e := range estimates {
		if span == 0 {
			span = e.Upper - e.Lower
		}
	}
	least, most := lo-span, hi+span
	for _, e := range estimates {
		lo, hi = min(lo, max(e.Lower, least)), max(hi, min(e.Upper, most))
	}
	return lo, hi
}

// Bars draws values from zero up.
func Bars(id, title, caption string, values []Estimate) *Rows {
	most := 0.0
	for _, v := range values {
		most = max(most, v.Value)
	}
	b := &Rows{ID: id, Title: title, Caption: caption, Axis: Linear(0, most, rowsStart, rowsEnd)}
	for i, v := range values {
		b.Rows = append(b.Rows, Row{Label: v.Label, Value: v.Text, Y: float64(i) * rowHeight, Bar: b.Axis.At(v.Value) - rowsStart})
	}
	return b
}

// Words describe the drawing.
func (r Rows) Words() string {
	var out []string
	for _, row := range r.Rows {
		words := row.Label + ": " + row.Value
		if row.Note != "" {
			words += ", 95% interval " + row.Note
		}
		out = append(out, words)
	}
	return strings.Join(out, ". ") + "."
}

// Positions that the template needs.
func (r Rows) Bottom() float64  { return float64(len(r.Rows))*rowHeight + 6 }
func (r Rows) LabelsY() float64 { return r.Bottom() + 17 }
func (r Rows) Height() float64  { return r.Bottom() + 30 }
func (Rows) Start() float64     { return rowsStart }
func (Rows) End() float64       { return rowsEnd }
func (Rows) TextX() float64     { return rowsEnd + 16 }
func (r Row) Middle() float64   { return r.Y + rowHeight/2 }
func (r Row) Base() float64     { return r.Y + rowHeight/2 + 4.5 }
func (r Row) BarY() float64     { return r.Y + 5 }

// Arrow is the head of an interval that goes on beyond the axis.
func (r Row) Arrow(x float64, right bool) string {
	tip := x - 7
	if right {
		tip = x + 7
	}
	y := r.Middle()
	return fmt.Sprintf("%.1f,%.1f %.1f,%.1f %.1f,%.1f", x, y-5, tip, y, x, y+5)
}
