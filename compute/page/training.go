package page

import (
	"fmt"
	"math"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

// learning draws the loss against what has been learnt, and that of patients
// kept from training where there are any.
func learning(curve []compute.Point, unit string) []block {
	if len(curve) < 2 {
		return nil
	}
	var loss, heldOut []plot.XY
	lo, hi := math.Inf(1), math.Inf(-1)
	t := &table{Fold: "Learning curve as a table", Head: []string{capital(unit), "Training loss"}}
	for _, p := range curve {
		loss = append(loss, plot.XY{X: float64(p.Round), Y: p.Loss})
		lo, hi = min(lo, p.Loss), max(hi, p.Loss)
		r := row{Name: plot.Grouped(p.Round), Cells: cells(plot.Number(p.Loss))}
		if p.HeldOut != nil {
			heldOut = append(heldOut, plot.XY{X: float64(p.Round), Y: *p.HeldOut})
			lo, hi = min(lo, *p.HeldOut), max(hi, *p.HeldOut)
			r.Cells = append(r.Cells, cells(plot.Number(*p.HeldOut))...)
		} else if len(heldOut) > 0 {
			r.Cells = append(r.Cells, cells("–")...)
		}
		t.Rows = append(t.Rows, r)
	}
	c := &plot.Chart{Title: "Learning curve", Caption: "Mean loss over the patients after so many " + unit + "; lower is better.", XLabel: unit, YLabel: "mean loss",
		X: plot.XAxisTo(float64(curve[0].Round), float64(curve[len(curve)-1].Round)).Whole(), Y: plot.YAxis(lo, hi)}
	c.Words = fmt.Sprintf("The training loss goes from %s to %s over %d %s.", plot.Number(curve[0].Loss), plot.Number(curve[len(curve)-1].Loss), curve[len(curve)-1].Round, unit)
	c.Series = []plot.Series{{Name: "training patients", Path: c.Path(loss)}}
	if len(heldOut) > 0 {
		t.Head = append(t.Head, "Loss on patients kept from training")
		c.Series = append(c.Series, plot.Series{Name: "patients kept from training", Path: c.Path(heldOut)})
		c.Words += fmt.Sprintf(" That of patients kept from training ends at %s.", plot.Number(heldOut[len(heldOut)-1].Y))
	}
	return []block{{Chart: c}, {Table: t}}
}

// convergence draws how a fit by Newton's method has settled: what it lowers,
// for each patient or event, in every round.
func convergence(curve []compute.Point, what string) []block {
	if len(curve) < 2 {
		return nil
	}
	var path []plot.XY
	lo, hi := math.Inf(1), math.Inf(-1)
	t := &table{Fold: "Convergence as a table", Head: []string{"Round", what, "Change"}}
	stepped := curve[0].Step != nil
	if stepped {
		t.Head = append(t.Head, "Largest step of a coefficient")
	}
	for i, p := range curve {
		path = append(path, plot.XY{X: float64(p.Round), Y: p.Loss})
		lo, hi = min(lo, p.Loss), max(hi, p.Loss)
		change := "–"
		if i > 0 {
			change = plot.Minus(fmt.Sprintf("%.1e", p.Loss-curve[i-1].Loss))
		}
		line := cells(plot.Number(p.Loss), change)
		if stepped && p.Step != nil {
			line = append(line, cells(fmt.Sprintf("%.1e", *p.Step))...)
		} else if stepped {
			line = append(line, cells("–")...)
		}
		t.Rows = append(t.Rows, row{Name: plot.Grouped(p.Round), Cells: line})
	}
	first, last := curve[0], curve[len(curve)-1]
	c := &plot.Chart{Title: "Convergence of the fit", Caption: what + " after so many rounds. Each round is one step of Newton's method; where the line is flat, the fit has settled.",
		XLabel: "rounds", YLabel: strings.ToLower(what[:1]) + what[1:], X: plot.XAxisTo(float64(first.Round), float64(last.Round)).Whole(), Y: plot.YAxis(lo, hi),
		Words: fmt.Sprintf("%s goes from %s to %s in %d rounds.", what, plot.Number(first.Loss), plot.Number(last.Loss), last.Round)}
	series := plot.Series{Path: c.Path(path)}
	for _, p := range path {
		series.Dots = append(series.Dots, c.Dot(p, 4))
	}
	c.Series = []plot.Series{series}
	return []block{{Chart: c}, {Table: t}}
}
