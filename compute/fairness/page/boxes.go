package page

import (
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
)

// boxes draw how far off predictions are in each group: a box for the middle half
// of the errors' magnitudes, the median in it, whiskers from a tenth to nine
// tenths. What is withheld is not drawn.
type boxes struct {
	ID, Title, Caption string
	Rows               []boxRow
	Ticks              []tick
	Height             float64
}

type boxRow struct {
	Y                   float64
	Head, Label, Hidden string
	Whisker, Box        *span
	Median              *float64
	Value, Most         string
	Spoken              string
}

// span is a piece of the axis.
type span struct{ From, To float64 }

func (s span) Width() float64 { return s.To - s.From }

func (boxRow) TextX() float64     { return textStart }
func (r boxRow) Middle() float64  { return r.Y + rowHeight/2 }
func (r boxRow) Base() float64    { return r.Y + rowHeight/2 + 4.5 }
func (r boxRow) Top() float64     { return r.Y + 6 }
func (r boxRow) MedianX() float64 { return *r.Median - 1.5 }
func (b boxes) Bottom() float64   { return b.Height + 8 }
func (b boxes) LabelsY() float64  { return b.Height + 24 }
func (b boxes) Full() float64     { return b.Height + 36 }

// quantile names, from the whisker's beginning to its end.
var quantiles = [5]string{"absolute_error_p10", "absolute_error_p25", "absolute_error_p50", "absolute_error_p75", "absolute_error_p90"}

// newBoxes is nil where no group has a quantile.
func newBoxes(a *fairness.Audit, list []measure) *boxes {
	m, known := measureOf(list, "absolute_error_p50")
	if !known {
		return nil
	}
	var values []float64
	widest := 0.0
	for _, g := range a.Groups {
		for _, name := range quantiles {
			if x, ok := g.Metrics[name]; ok {
				values = append(values, x.Estimate)
				if x.Bound != nil {
					widest = max(widest, *x.Bound)
				}
			}
		}
	}
	if values == nil {
		return nil
	}
	scale, ticks := newAxis(values, measure{Scale: 1, Zero: true, Floor: bound(0)})
	out := &boxes{ID: "plot-spread", Title: "How far off, for most patients", Ticks: ticks,
		Caption: "The distance between predicted and actual outcome, whichever way. The box holds the middle half of a group's patients, the line in it is the median: half are off by at most that much, the first number. " +
			"The bar reaches from one patient in ten to nine in ten, the second number. Further left is better. " +
			fmt.Sprintf("Read from counts in bins: no number here is off by more than %s; the table of figures has the bound of each. What few patients stand behind is left out.", strings.TrimSpace(m.text(widest)+" "+a.Unit))}
	if a.Unit != "" {
		out.Title += " (" + a.Unit + ")"
	}
	y, head := 0.0, a.Groups[0].Attribute
	for i, g := range a.Groups {
		if strings.Contains(g.Attribute, " × ") {
			continue // combinations have none
		}
		if g.Attribute != head {
			head = g.Attribute
			out.Rows = append(out.Rows, boxRow{Y: y, Head: head})
			y += headHeight
		}
		name := label(g)
		if i == 0 {
			name = "all patients"
		}
		out.Rows = append(out.Rows, newBoxRow(g, name, y, scale, m, hidden(a, g)))
		y += rowHeight
	}
	out.Height = y
	return out
}

func newBoxRow(g fairness.Group, name string, y float64, scale axis, m measure, hidden string) boxRow {
	r := boxRow{Y: y, Label: narrow(name), Hidden: hidden}
	var at [len(quantiles)]*float64
	var there []float64
	for k, q := range quantiles {
		if x, ok := g.Metrics[q]; ok {
			here := scale.x(x.Estimate)
			at[k], there = &here, append(there, here)
		}
	}
	if len(there) > 1 && (at[0] != nil || at[4] != nil || at[1] == nil || at[3] == nil) { // it would lie behind the box
		r.Whisker = &span{there[0], max(there[0], there[len(there)-1])}
	}
	if at[1] != nil && at[3] != nil {
		r.Box = &span{*at[1], max(*at[1], *at[3])}
	}
	r.Median = at[2]
	var words []string
	say := func(quantile, who string) (text string) {
		if x, ok := g.Metrics[quantile]; ok {
			text = m.text(x.Estimate)
			words = append(words, who+" are off by at most "+text)
		}
		return text
	}
	r.Value, r.Most = say(quantiles[2], "half"), say(quantiles[4], "nine of ten")
	switch {
	case r.Hidden != "":
		words = []string{r.Hidden}
	case there == nil:
		r.Hidden = "hidden: too few patients for a quantile"
		words = []string{r.Hidden}
	case words == nil:
		words = []string{"too few patients for the median"}
	}
	r.Spoken = name + ": " + strings.Join(words, ", ")
	return r
}
