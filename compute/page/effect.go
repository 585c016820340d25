package page

import (
	"fmt"
	"math"
	"strings"

	"github.com/consilium-fl/consilium/compute/cox"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// linear is a fitted linear predictor: all that the effect of a curve is drawn
// from, so that a drawing tells nothing that the coefficients do not.
type linear struct {
	names            []string
	estimates, means []float64
	covariance       []float64 // by rows
	quantile         float64   // of the intervals
	ratio            string    // what the exponential of an effect is; empty where it has no name
	change           string    // what an effect is where it is no ratio
}

func linearOfGLM(m *glm.Model) *linear {
	l := &linear{covariance: m.Covariance, ratio: ratioName(m.Family, m.Link)}
	_, l.quantile = m.Interval(glm.Term{StdError: 1})
	l.change = "Change of " + unitIn(m.Outcome, m.Unit)
	if m.Transform != string(study.Identity) {
		l.change = "Change of " + m.Outcome + " on the " + scaleName(m.Transform) + " scale"
	}
	for _, t := range m.Terms {
		l.add(t.Name, t.Estimate, t.Mean)
	}
	return l
}

func linearOfCox(m *cox.Model) *linear {
	l := &linear{covariance: m.Covariance, quantile: normal, ratio: "Hazard ratio"}
	for _, t := range m.Terms {
		l.add(t.Name, t.Estimate, t.Mean)
	}
	return l
}

func (l *linear) add(name string, estimate, mean float64) {
	l.names, l.estimates, l.means = append(l.names, name), append(l.estimates, estimate), append(l.means, mean)
}

func (l *linear) term(name string) (int, bool) {
	for i, n := range l.names {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// splineCurve is the spline of one number within a linear predictor.
type splineCurve struct {
	*linear
	column   string
	unit     string
	knots    []float64
	lo, hi   float64 // over which it is drawn
	declared bool    // lo and hi are the range that the study declares
	at       float64 // the value that others are compared with: the mean

	first    int   // the number's own term
	further  []int // the non-linear ones
	products []product
}

// product is an interaction of the curve's number, with what the other factor
// is for the drawing: a number's mean, and 0 for a level, which stands for the
// reference level.
type product struct {
	term   int
	factor float64
	with   string
}

// point of an effect: the difference from the patient compared with, on the
// scale of the linear predictor.
type point struct{ x, effect, lower, upper float64 }

// linearOf a model with coefficients; nil for the others.
func linearOf(m *pipeline.Model) *linear {
	switch {
	case m.GLM != nil:
		return linearOfGLM(m.GLM)
	case m.Cox != nil:
		return linearOfCox(m.Cox)
	}
	return nil
}

// effects draw the curve of each spline, from coefficients and their
// covariance.
func effects(d Document) (out []block) {
	l := linearOf(d.Result.Model)
	if l == nil {
		return nil
	}
	for _, c := range splineCurves(d, l) {
		chart, t := c.draw()
		out = append(out, block{Chart: chart}, block{Table: t})
	}
	return out
}

// splineCurves of the model, in the study's order. One whose terms are not all in the
// model has no curve.
func splineCurves(d Document, l *linear) (out []*splineCurve) {
	for i, column := range splined(l.names) {
		if i >= len(d.Result.Model.Knots) {
			break
		}
		if c := newSplineCurve(d, l, column, d.Result.Model.Knots[i]); c != nil {
			out = append(out, c)
		}
	}
	return out
}

// splined are the columns that have a spline, in the order of the terms, which
// is that of the study.
func splined(terms []string) (columns []string) {
	for _, name := range terms {
		if column, ok := strings.CutPrefix(name, "spline("); ok && strings.HasSuffix(column, ")2") {
			columns = append(columns, strings.TrimSuffix(column, ")2"))
		}
	}
	return columns
}

func newSplineCurve(d Document, l *linear, column string, knots []float64) *splineCurve {
	own, found := l.term(column)
	if !found || len(knots) < 3 || len(l.covariance) != len(l.names)*len(l.names) {
		return nil
	}
	c := &splineCurve{linear: l, column: column, knots: knots, lo: knots[0], hi: knots[len(knots)-1], at: l.means[own], first: own}
	for k := range len(knots) - 2 {
		term, found := l.term(fmt.Sprintf("spline(%s)%d", column, k+2))
		if !found {
			return nil
		}
		c.further = append(c.further, term)
	}
	for i, name := range l.names {
		other, ok := strings.CutPrefix(name, column+":")
		if !ok {
			other, ok = strings.CutSuffix(name, ":"+column)
		}
		if !ok {
			continue
		}
		p := product{term: i, with: other}
		if j, number := l.term(other); number && !strings.Contains(other, "=") {
			p.factor = l.means[j]
		}
		c.products = append(c.products, p)
	}
	if d.Protocol != nil {
		for _, f := range d.Protocol.Features {
			if f.Column == column && f.Type == study.Number {
				c.lo, c.hi, c.unit, c.declared = f.Range.Lo, f.Range.Hi, f.Unit, true
			}
		}
	}
	if !(c.hi > c.lo) || !(c.at >= c.lo && c.at <= c.hi) {
		return nil
	}
	return c
}

// steps of the drawing.
const effectSteps = 160

// point at a value: c'b and its interval, where c is what the terms change
// between the patient compared with and one of this value.
func (c *splineCurve) point(x float64) point {
	contrast := make([]float64, len(c.names))
	contrast[c.first] = x - c.at
	here, there := study.SplineTerms(c.knots, x), study.SplineTerms(c.knots, c.at)
	for k, term := range c.further {
		contrast[term] = here[k] - there[k]
	}
	for _, p := range c.products {
		contrast[p.term] = (x - c.at) * p.factor
	}
	effect, variance := 0.0, 0.0
	for i, a := range contrast {
		if a == 0 {
			continue
		}
		effect += a * c.estimates[i]
		for j, b := range contrast {
			variance += a * b * c.covariance[i*len(contrast)+j]
		}
	}
	margin := c.quantile * math.Sqrt(max(variance, 0))
	return point{x, effect, effect - margin, effect + margin}
}

func (c *splineCurve) draw() (*plot.Chart, *table) {
	var line, lower, upper []plot.XY
	write := func(x float64) float64 { return x }
	if c.ratio != "" {
		write = func(x float64) float64 { return math.Exp(min(max(x, -600), 600)) }
	}
	lo, hi := 0.0, 0.0
	for k := range effectSteps + 1 {
		p := c.point(c.lo + (c.hi-c.lo)*float64(k)/effectSteps)
		line = append(line, plot.XY{X: p.x, Y: write(p.effect)})
		lower, upper = append(lower, plot.XY{X: p.x, Y: write(p.lower)}), append(upper, plot.XY{X: p.x, Y: write(p.upper)})
		lo, hi = min(lo, p.effect), max(hi, p.effect)
		// Beyond the knots the interval may be as wide as it likes: the drawing is
		// for where patients are.
		if p.x >= c.knots[0] && p.x <= c.knots[len(c.knots)-1] {
			lo, hi = min(lo, p.lower), max(hi, p.upper)
		}
	}
	what := c.change
	if c.ratio != "" {
		what = c.ratio
	}
	chart := &plot.Chart{Title: "Effect of " + c.column, XLabel: unitIn(c.column, c.unit), YLabel: strings.ToLower(what[:1]) + what[1:],
		X: plot.XAxisTo(c.lo, c.hi), Y: plot.YAxis(lo, hi)}
	none := 0.0
	if c.ratio != "" {
		chart.Y, none = plot.YLog(write(lo), write(hi)), 1
	}
	chart.Series = []plot.Series{{Path: chart.Path(line), Band: chart.Between(lower, upper)}}
	chart.Lines = []plot.Line{chart.Across(none)}
	var knots []string
	for _, k := range c.knots {
		chart.Marks = append(chart.Marks, chart.Mark(k))
		knots = append(knots, plot.Number(k))
	}
	chart.Caption = c.caption(what)
	ends := [2]point{c.point(c.lo), c.point(c.hi)}
	chart.Words = fmt.Sprintf("%s of %s against %s: %s at %s, %s at %s. Knots at %s.", what, c.column, plot.Number(c.at),
		plot.Number(write(ends[0].effect)), plot.Plain(c.lo), plot.Number(write(ends[1].effect)), plot.Plain(c.hi), list(knots))
	return chart, c.table(what, write)
}

func (c *splineCurve) caption(what string) string {
	text := fmt.Sprintf("%s of a patient with this %s against one with the mean of %s, all else equal, with its 95%% interval. Triangles mark the knots, beyond which the line is straight.",
		what, c.column, plot.Number(c.at))
	if !c.declared {
		text += " Drawn between the outer knots."
	}
	var levels, numbers []string
	for _, p := range c.products {
		if column, _, level := strings.Cut(p.with, "="); !level {
			numbers = append(numbers, p.with)
		} else if len(levels) == 0 || levels[len(levels)-1] != column {
			levels = append(levels, column)
		}
	}
	if len(levels) > 0 {
		text += " It depends on " + list(levels) + ": drawn for the reference level."
	}
	if len(numbers) > 0 {
		text += " It depends on " + list(numbers) + ": drawn for the mean."
	}
	return text
}

// table of the effect at the ends, at the knots, and at equal steps between.
func (c *splineCurve) table(what string, write func(float64) float64) *table {
	const steps = 10
	t := &table{Fold: "Effect of " + c.column + " as a table", Head: []string{unitIn(c.column, c.unit), what, "95% interval"}}
	line := func(x float64, name, note string) {
		p := c.point(x)
		t.Rows = append(t.Rows, row{Name: name, Note: note, Cells: cells(plot.Number(write(p.effect)), interval(write(p.lower), write(p.upper)))})
	}
	next := 0
	for k := range steps + 1 {
		x := c.lo + (c.hi-c.lo)*float64(k)/steps
		for ; next < len(c.knots) && c.knots[next] <= x; next++ {
			line(c.knots[next], plot.Number(c.knots[next]), "knot")
		}
		if next == 0 || c.knots[next-1] != x {
			line(x, plot.Plain(x), "")
		}
	}
	return t
}
