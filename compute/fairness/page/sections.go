package page

import (
	"fmt"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// table is the figures of one subject, a row for each group.
type table struct {
	Title    string
	Measures []measure
	Rows     []figureRow
}

// figureRow is a group in a table of figures.
type figureRow struct {
	Attribute, Level string
	Patients         string
	Cells            []figureCell
	Hidden           string
}

type figureCell struct{ Value, Interval, Bound string }

// cell is a metric as text.
func (m measure) cell(x fairness.Metric) figureCell {
	return figureCell{m.text(x.Estimate), m.interval(x), m.within(x)}
}

// tables of all figures, in the order in which the measures name them.
func tables(a *fairness.Audit, list []measure) []table {
	var out []table
	for _, m := range list {
		at := slices.IndexFunc(out, func(t table) bool { return t.Title == m.Table })
		if at < 0 && m.Table != "" {
			at, out = len(out), append(out, table{Title: m.Table})
		}
		if at >= 0 {
			out[at].Measures = append(out[at].Measures, m)
		}
	}
	for i := range out {
		out[i].Rows = figures(a, out[i].Measures)
	}
	return out
}

func figures(a *fairness.Audit, list []measure) []figureRow {
	var rows []figureRow
	for _, g := range a.Groups {
		row := figureRow{Attribute: g.Attribute, Level: label(g), Hidden: hidden(a, g)}
		if g.N != nil {
			row.Patients = patients(g)
		}
		if row.Hidden == "" {
			for _, m := range list {
				c := figureCell{Value: "–"}
				if x, ok := g.Metrics[m.Name]; ok {
					c = m.cell(x)
				} else if why := g.Undefined[m.Name]; why != "" {
					c.Interval = why
				} else if slices.Contains(g.Withheld, m.Name) {
					c.Interval = "withheld: few patients"
				}
				row.Cells = append(row.Cells, c)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// measureOf is how a metric is read; false for one that is not on the page.
func measureOf(list []measure, name string) (measure, bool) {
	at := slices.IndexFunc(list, func(m measure) bool { return m.Name == name })
	if at < 0 {
		return measure{Noun: name, Scale: 1, Digits: 3}, false
	}
	m := list[at]
	if m.Noun == "" {
		m.Noun = strings.ToLower(m.Short)
	}
	if m.Unit == "%" {
		m.Unit = "percentage points"
	}
	return m, true
}

// gapForests draw the gaps of each measure, with their intervals around none.
func gapForests(a *fairness.Audit, list []measure) (out []*plot.Rows) {
	var names []string
	by := map[string][]plot.Estimate{}
	for _, g := range a.Gaps {
		m, known := measureOf(list, g.Metric)
		if !known {
			continue
		}
		if by[g.Metric] == nil {
			names = append(names, g.Metric)
		}
		by[g.Metric] = append(by[g.Metric], plot.Estimate{
			Label: narrow(g.Level), Value: m.Scale * g.Estimate, Lower: m.Scale * g.Lower, Upper: m.Scale * g.Upper,
			Text: m.text(g.Estimate), IntervalInText: m.text(g.Lower) + " to " + m.text(g.Upper),
		})
	}
	for _, name := range names {
		m, _ := measureOf(list, name)
		title := "Gap of the " + m.Noun
		if m.Unit != "" {
			title += ", " + m.Unit
		}
		var margin float64
		for _, g := range a.Gaps {
			if g.Metric == name {
				margin = g.Margin
			}
		}
		out = append(out, plot.Forest("gap-"+name, title,
			fmt.Sprintf("Each group less the reference of its attribute. On the dashed line there is no gap; up to %s either way counts as none.", m.text(margin)), by[name], false))
	}
	return out
}

// narrow shortens the first name of a combination, so that the others are still
// read where a label is cut.
func narrow(label string) string {
	first, rest, combined := strings.Cut(label, ", ")
	const most = 27 // of a label in a drawing (plot.Short)
	spare := most - len([]rune(rest)) - 2
	if runes := []rune(first); combined && spare > 4 && len(runes) > spare {
		return string(runes[:spare-1]) + "…, " + rest
	}
	return label
}

const mostCurves = 6 // of groups in one drawing

// calibrationByGroup sets what was observed in each group against what was
// predicted: curves of probabilities, or a dot for each group's mean. Nil if
// there are not two groups.
func calibrationByGroup(a *fairness.Audit) *plot.Chart {
	switch study.Type(a.OutcomeType) {
	case study.Binary:
		return curvesByGroup(a)
	case study.Survival:
		if a.Times == nil {
			return nil
		}
		c := dotsByGroup(a, "predicted_risk", "observed_risk", true)
		if c != nil {
			c.Title = fmt.Sprintf("Predicted and observed risk at %s by group", strings.TrimSpace(plot.Plain(a.Times[0])+" "+a.Unit))
			c.XLabel, c.YLabel = "mean predicted risk", "observed risk"
		}
		return c
	}
	c := dotsByGroup(a, "mean_predicted", "mean_actual", false)
	if c != nil {
		c.Title = "Mean predicted and mean actual outcome by group"
		c.XLabel, c.YLabel = strings.TrimSpace("mean predicted "+a.Unit), strings.TrimSpace("mean actual "+a.Unit)
	}
	return c
}

func curvesByGroup(a *fairness.Audit) *plot.Chart {
	c := &plot.Chart{ID: "calibration-groups", Title: "Calibration by group", X: plot.XAxisTo(0, 1).Percent(), Y: plot.YAxis(0, 1).Percent(),
		XLabel: "mean predicted probability", YLabel: "share with the outcome",
		Caption: "Each group's patients in steps of their predicted probability. Steps are wide enough that none tells of a few patients. On the dashed line as many have the outcome as predicted."}
	c.Lines = []plot.Line{c.Diagonal()}
	for _, g := range a.Groups[1:] {
		if g.Calibration == nil {
			continue
		}
		if len(c.Series) == mostCurves {
			c.Caption += fmt.Sprintf(" The first %d groups.", mostCurves)
			break
		}
		s := plot.Series{Name: g.Attribute + ": " + label(g)}
		var line []plot.XY
		c.Words += s.Name + ". "
		for _, b := range g.Calibration {
			if b.Predicted == nil || b.Observed == nil || b.N == nil {
				continue
			}
			p := plot.XY{X: *b.Predicted, Y: b.Observed.Estimate}
			line = append(line, p)
			s.Dots = append(s.Dots, c.Dot(p, 4.5))
			c.Words += fmt.Sprintf("Predicted %s, observed %s of %d. ", plot.Percent(p.X), plot.Percent(p.Y), *b.N)
		}
		if len(line) > 1 {
			s.Path = c.Path(line)
		}
		c.Series = append(c.Series, s)
	}
	if len(c.Series) < 2 {
		return nil
	}
	return c
}

// dotsByGroup draws the groups of single attributes.
func dotsByGroup(a *fairness.Audit, predicted, observed string, share bool) *plot.Chart {
	type dot struct {
		at   plot.XY
		m    fairness.Metric
		name string
	}
	var dots []dot
	var lo, hi float64
	for _, g := range a.Groups[1:] {
		p, known := g.Metrics[predicted]
		o, also := g.Metrics[observed]
		if !known || !also || strings.Contains(g.Attribute, " × ") {
			continue
		}
		if len(dots) == 0 {
			lo, hi = o.Estimate, o.Estimate
		}
		for _, v := range []*float64{&p.Estimate, &o.Estimate, o.Lower, o.Upper} {
			if v != nil {
				lo, hi = min(lo, *v), max(hi, *v)
			}
		}
		dots = append(dots, dot{plot.XY{X: p.Estimate, Y: o.Estimate}, o, g.Attribute + ": " + label(g)})
	}
	if len(dots) < 2 {
		return nil
	}
	air := (hi - lo) / 10
	x, y := plot.XAxis(lo-air, hi+air), plot.YAxis(lo-air, hi+air)
	if share {
		x, y = x.Percent(), y.Percent()
	}
	c := &plot.Chart{ID: "calibration-groups", X: x, Y: y, Caption: "A dot for each group. On the dashed line the model is right on average; above it the model predicts too little, below it too much."}
	c.Lines = []plot.Line{c.Diagonal()}
	s := plot.Series{}
	var names []plot.Named
	for _, d := range dots {
		s.Dots = append(s.Dots, c.Dot(d.at, 5))
		if d.m.Lower != nil && d.m.Upper != nil {
			c.Spans = append(c.Spans, c.Span(plot.XY{X: d.at.X, Y: *d.m.Lower}, plot.XY{X: d.at.X, Y: *d.m.Upper}))
		}
		names = append(names, plot.Named{At: d.at, Radius: 5, Text: d.name})
		c.Words += fmt.Sprintf("%s: predicted %s, observed %s. ", d.name, plot.Number(d.at.X), plot.Number(d.at.Y))
	}
	c.NameDots(names)
	c.Series = []plot.Series{s}
	return c
}

// hospitals is the drawing of how they differ in a metric.
type hospitals struct {
	Title, Why, Words string
	Bars              *plot.Rows
}

func newHospitals(a *fairness.Audit, list []measure) (out []hospitals) {
	for i, h := range a.Hospitals {
		m, _ := measureOf(list, h.Metric)
		if m.Unit == "percentage points" && h.Metric != "calibration_in_the_large" && h.Attribute == "" {
			m.Unit = "%"
		}
		title, of, id := "Hospitals by their "+m.Noun, "over all of its patients", "hospitals-"+h.Metric
		if h.Attribute != "" {
			title = fmt.Sprintf("Hospitals by the gap of their %s, %s: %s less %s", m.Noun, h.Attribute, h.Level, h.Against)
			of, id = "between these two groups of its patients", fmt.Sprintf("hospitals-gap-%d", i)
		}
		if m.Unit != "" {
			title += ", " + m.Unit
		}
		one := hospitals{Title: title, Why: h.Why}
		if h.State == fairness.OK && len(h.Counts) == len(h.Edges)+1 {
			var bars []plot.Estimate
			for k, n := range h.Counts {
				name := "below " + m.text(h.Edges[0])
				switch {
				case k == len(h.Edges):
					name = m.text(h.Edges[k-1]) + " and above"
				case k > 0:
					name = m.text(h.Edges[k-1]) + " to below " + m.text(h.Edges[k])
				}
				bars = append(bars, plot.Estimate{Label: name, Value: float64(n), Text: plot.Plural(n, "hospital", "hospitals")})
			}
			one.Bars = plot.Bars(id, title, "Each hospital's own figure "+of+" lies in one of these intervals. Which hospital is where is not known to anyone but the hospital.", bars)
			if h.Mean != nil {
				one.Words = fmt.Sprintf("Mean %s (95%% interval %s), standard deviation between hospitals %s; Cochran's Q %s on %d degrees of freedom, p %s; I² %s.",
					m.text(h.Mean.Estimate), m.interval(*h.Mean), m.text(*h.Between), plot.Number(*h.Q), h.Hospitals-1, plot.PValue(*h.QPValue), plot.Percent(*h.I2))
			}
			if h.Left > 0 {
				one.Words += fmt.Sprintf(" %s too few patients to be counted.", plot.Plural(h.Left, "hospital has", "hospitals have"))
			}
		}
		out = append(out, one)
	}
	return out
}

// oddsTable holds gaps that need several rates, and what each attribute comes to.
type oddsTable struct {
	Threshold  string
	Rows       []oddsRow
	Attributes []inequalityRow
}

type oddsRow struct {
	fairness.Odds
	Cells []figureCell
}

type inequalityRow struct {
	Attribute, Pair, Share string
	Differential, Between  figureCell
}

func newOdds(a *fairness.Audit) *oddsTable {
	if a.Odds == nil && a.Inequality == nil {
		return nil
	}
	m := measure{Scale: 1, Digits: 3}
	t := &oddsTable{}
	if len(a.Thresholds) > 0 {
		t.Threshold = plot.Plain(a.Thresholds[0])
	}
	for _, o := range a.Odds {
		row := oddsRow{Odds: o}
		for _, x := range []*fairness.Metric{o.EqualizedOdds, o.OddsRatio, o.AverageOdds, o.ABROCA} {
			if x == nil {
				row.Cells = append(row.Cells, figureCell{Value: "–"})
				continue
			}
			row.Cells = append(row.Cells, m.cell(*x))
		}
		t.Rows = append(t.Rows, row)
	}
	m.Digits = 4
	for _, i := range a.Inequality {
		row := inequalityRow{Attribute: i.Attribute, Differential: m.cell(i.Differential), Between: m.cell(i.Between), Share: "–"}
		if i.First != "" {
			row.Pair = i.First + " and " + i.Second
		}
		if i.Share != nil {
			row.Share = plot.Percent(*i.Share)
		}
		t.Attributes = append(t.Attributes, row)
	}
	return t
}

// largestView is a widest gap as a person reads it.
type largestView struct {
	fairness.Largest
	What, Unit, Gap, Floor, Away string
}

// withinView is a comparison inside hospitals as a person reads it.
type withinView struct {
	fairness.Within
	What, Unit, Inside, Interval, OverAll, Detectable, I2Text string
}

// Largest are the widest gaps of measures that the page knows.
func (v *view) Largest() (out []largestView) {
	list := measures(v.Audit)
	for _, l := range v.Audit.Largest {
		if m, known := measureOf(list, l.Metric); known {
			one := largestView{Largest: l, What: m.Noun, Unit: m.Unit, Gap: m.text(l.Estimate), Floor: m.text(l.Floor)}
			if l.FromAll != nil {
				one.Away = m.text(*l.FromAll)
			}
			out = append(out, one)
		}
	}
	return out
}

// WithinViews are the comparisons inside hospitals.
func (v *view) WithinViews() (out []withinView) {
	list := measures(v.Audit)
	for _, w := range v.Audit.Within {
		m, _ := measureOf(list, w.Metric)
		one := withinView{Within: w, What: m.Noun, Unit: m.Unit, Inside: m.text(w.Adjusted.Estimate), Interval: m.interval(w.Adjusted),
			OverAll: m.text(w.Crude), I2Text: plot.Percent(w.I2), Detectable: m.text(w.Detectable)}
		out = append(out, one)
	}
	return out
}
