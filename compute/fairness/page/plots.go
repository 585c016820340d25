package page

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

// Sizes of the drawings, in the units of their view boxes.
const (
	rowHeight   = 28.0
	headHeight  = 30.0
	plotStart   = 270.0 // where the axis of a forest begins
	plotEnd     = 596.0
	textStart   = 612.0
	forestWidth = 800.0
	barStart    = 270.0
	barWidth    = 380.0
	mostTicks   = 20 // of an axis; a usual one has about six
)

// forest is a dot and an interval for each group, all patients first.
type forest struct {
	Measure   measure
	ID        string
	Rows      []forestRow
	Ticks     []tick
	Reference *float64 // where all patients stand; nil if that is not shown
	Zero      float64  // where zero stands, if it is drawn
	HasZero   bool
	Height    float64
	Local     bool
}

type forestRow struct {
	Y            float64
	Head         string // an attribute's heading instead of a group
	Label, Count string
	Hidden       string
	Whole, Local *mark
	Value        string
	IntervalNote string
	LocalValue   string
	Spoken       string // the row in words, for the drawing's description
}

type mark struct {
	X, From, To float64
	Interval    bool
}

type tick struct {
	X     float64
	Label string
}

// axis maps values to the drawing.
type axis struct{ lo, hi float64 }

func (a axis) x(v float64) float64 {
	return plotStart + (plotEnd-plotStart)*(v-a.lo)/(a.hi-a.lo)
}

// newAxis covers the values with a little air, ending at whole steps.
func newAxis(values []float64, m measure) (axis, []tick) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	if m.Zero {
		lo, hi = min(lo, m.None), max(hi, m.None)
	}
	if !(hi > lo) {
		lo, hi = lo-1, hi+1
	}
	step := plot.NiceStep((hi - lo) * m.Scale / 5)
	lo = math.Floor(lo*m.Scale/step) * step / m.Scale
	hi = math.Ceil(hi*m.Scale/step) * step / m.Scale
	if m.Floor != nil {
		lo = max(lo, *m.Floor)
	}
	if m.Ceiling != nil {
		hi = min(hi, *m.Ceiling)
	}
	a := axis{lo, hi}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var ticks []tick
	// Between two neighbouring numbers of enormous size the loop would not move.
	for i := math.Round(lo * m.Scale / step); i*step <= hi*m.Scale+step/1e6 && len(ticks) < mostTicks; i++ {
		label := plot.Minus(strconv.FormatFloat(i*step, 'f', digits, 64))
		if i == 0 {
			label = "0"
		}
		if m.Unit == "%" {
			label += "%"
		}
		ticks = append(ticks, tick{a.x(i * step / m.Scale), label})
	}
	return a, ticks
}

func newForest(m measure, whole, local *fairness.Audit) forest {
	f := forest{Measure: m, ID: "plot-" + m.Name, Local: local != nil}
	var values []float64
	for _, g := range whole.Groups {
		if x, ok := g.Metrics[m.Name]; ok {
			values = append(values, x.Estimate)
			if x.Lower != nil && x.Upper != nil {
				values = append(values, *x.Lower, *x.Upper)
			}
		}
	}
	if local != nil {
		for _, g := range local.Groups {
			if x, ok := g.Metrics[m.Name]; ok {
				values = append(values, x.Estimate)
			}
		}
	}
	if len(values) == 0 {
		values = []float64{0, 1 / m.Scale}
	}
	a, ticks := newAxis(values, m)
	f.Ticks = ticks
	f.Zero, f.HasZero = a.x(m.None), m.Zero
	if all, ok := whole.Groups[0].Metrics[m.Name]; ok {
		at := a.x(all.Estimate)
		f.Reference = &at
	}

	y, head := 0.0, ""
	for i, g := range whole.Groups {
		if local == nil && g.State == fairness.Zero && strings.Contains(g.Attribute, " × ") {
			continue // combinations that nobody has are in the tables
		}
		if i > 0 && g.Attribute != head {
			head = g.Attribute
			f.Rows = append(f.Rows, forestRow{Y: y, Head: g.Attribute})
			y += headHeight
		}
		name := label(g)
		if i == 0 {
			name = "all patients"
		}
		r := forestRow{Y: y, Label: narrow(name), Hidden: hidden(whole, g)}
		if g.N != nil && *g.N > 0 {
			r.Count = patients(g)
		}
		r.Spoken = name + ": " + r.Hidden
		if x, ok := g.Metrics[m.Name]; ok {
			r.Whole = a.mark(x)
			r.Value, r.IntervalNote = m.text(x.Estimate), m.interval(x)
			r.Spoken = fmt.Sprintf("%s: %s", name, r.Value)
			if r.IntervalNote != "" {
				r.Spoken += ", 95% interval " + r.IntervalNote
			}
		} else if r.Hidden == "" {
			r.Hidden = g.Undefined[m.Name]
			if slices.Contains(g.Withheld, m.Name) {
				r.Hidden = "withheld: few patients"
			}
			r.Spoken = name + ": " + r.Hidden
		}
		if local != nil {
			own := local.Groups[i]
			r.LocalValue = "none here"
			if x, ok := own.Metrics[m.Name]; ok {
				r.Local = a.mark(x)
				r.LocalValue = m.text(x.Estimate)
				if own.N != nil {
					r.LocalValue += " (" + plot.Grouped(*own.N) + ")"
				}
				r.Spoken += "; here: " + r.LocalValue
			} else if *own.N > 0 {
				r.LocalValue = "no value (" + plot.Grouped(*own.N) + ")"
			}
		}
		f.Rows = append(f.Rows, r)
		y += rowHeight
	}
	f.Height = y
	return f
}

func (a axis) mark(x fairness.Metric) *mark {
	m := &mark{X: a.x(x.Estimate)}
	if x.Lower != nil && x.Upper != nil {
		m.Interval = true
		m.From, m.To = max(a.x(*x.Lower), plotStart-4), min(a.x(*x.Upper), plotEnd+4)
	}
	return m
}

// Positions that the template needs.
func (forestRow) LabelX() float64   { return plotStart - 66 }
func (forestRow) CountX() float64   { return plotStart - 18 }
func (r forestRow) Middle() float64 { return r.Y + rowHeight/2 }
func (r forestRow) Base() float64   { return r.Y + rowHeight/2 + 4.5 }
func (r forestRow) Upper() float64  { return r.Y + rowHeight/2 - 5 }
func (r forestRow) Lower() float64  { return r.Y + rowHeight/2 + 6 }
func (forestRow) TextX() float64    { return textStart }
func (f forest) Bottom() float64    { return f.Height + 8 }
func (f forest) LabelsY() float64   { return f.Height + 24 }
func (f forest) Full() float64      { return f.Height + 36 }
func (m mark) Diamond(y float64) string {
	return fmt.Sprintf("%.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f", m.X, y-6, m.X+6, y, m.X, y+6, m.X-6, y)
}

// shares are bars of patients predicted too low, within 20%, too high.
type shares struct {
	Rows   []shareRow
	Height float64
}

type shareRow struct {
	Y                   float64
	Head, Label, Hidden string
	Under, Within, Over segment
	Spoken              string
}

type segment struct {
	X, Width float64
	Text     string // empty where it does not fit
}

// Middle of the segment.
func (s segment) Middle() float64 { return s.X + s.Width/2 }

// Base is the line of the row's text.
func (r shareRow) Base() float64 { return r.Y + rowHeight/2 + 4.5 }

func newShares(a *fairness.Audit) *shares {
	out := &shares{}
	const start, width = plotStart, forestWidth - plotStart - 10
	y := 0.0
	for i, g := range a.Groups {
		if i > 0 && g.Attribute != a.Groups[i-1].Attribute {
			out.Rows = append(out.Rows, shareRow{Y: y, Head: g.Attribute})
			y += headHeight
		}
		r := shareRow{Y: y, Label: label(g), Hidden: hidden(a, g)}
		if slices.ContainsFunc(g.Withheld, func(name string) bool { return name == "under20" || name == "within20" || name == "over20" }) {
			r.Hidden = fmt.Sprintf("hidden: a share would tell of fewer than %d patients", a.MinimumCell)
		}
		if i == 0 {
			r.Label = "all patients"
		}
		r.Spoken = r.Label + ": " + r.Hidden
		if r.Hidden == "" {
			x := start
			for _, part := range []struct {
				to   *segment
				name string
			}{{&r.Under, "under20"}, {&r.Within, "within20"}, {&r.Over, "over20"}} {
				percent := g.Metrics[part.name].Estimate
				*part.to = segment{X: x, Width: width * percent / 100}
				if part.to.Width > 40 {
					part.to.Text = fmt.Sprintf("%.1f%%", percent)
				}
				x += part.to.Width
			}
			r.Spoken = fmt.Sprintf("%s: %.1f%% more than 20%% too low, %.1f%% within 20%%, %.1f%% more than 20%% too high", r.Label,
				g.Metrics["under20"].Estimate, g.Metrics["within20"].Estimate, g.Metrics["over20"].Estimate)
		}
		out.Rows = append(out.Rows, r)
		y += rowHeight
	}
	out.Height = y
	return out
}

// curve is the calibration curve of probabilities.
type curve struct {
	Points []point
	Bins   []fairness.Bin
}

type point struct {
	X, Y, From, To, Radius float64
	Spoken                 string
}

const (
	curveSize = 400.0
	curveLeft = 56.0
	curveTop  = 12.0
)

func newCurve(a *fairness.Audit) *curve {
	c := &curve{Bins: a.Calibration}
	y := func(p float64) float64 { return curveTop + curveSize*(1-p) }
	for _, b := range a.Calibration {
		if b.State != fairness.OK || b.Observed == nil {
			continue // too few patients in it, with the outcome or without
		}
		c.Points = append(c.Points, point{
			X: curveLeft + curveSize**b.Predicted, Y: y(b.Observed.Estimate), From: y(*b.Observed.Lower), To: y(*b.Observed.Upper),
			Radius: 4 + 8*math.Sqrt(float64(*b.N)/float64(a.N)),
			Spoken: fmt.Sprintf("predicted %.0f%%, observed %.0f%% of %d", 100**b.Predicted, 100*b.Observed.Estimate, *b.N),
		})
	}
	return c
}

// Grid lines of the curve, at every fifth.
func (c *curve) Grid() []struct {
	X, Y  float64
	Label string
} {
	var out []struct {
		X, Y  float64
		Label string
	}
	for i := range 6 {
		p := float64(i) / 5
		out = append(out, struct {
			X, Y  float64
			Label string
		}{curveLeft + curveSize*p, curveTop + curveSize*(1-p), fmt.Sprintf("%.0f%%", 100*p)})
	}
	return out
}
