package page

import (
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
)

// described shows a description: survival, distributions, correlations and
// cross tables.
func described(r *pipeline.Result) []section {
	d := r.Description
	if d == nil {
		return nil
	}
	return []section{
		survival(d.Survival, r.Cohort.Outcome.Column, r.Cohort.Outcome.Unit),
		distributions(d.Numbers),
		correlations(d.Correlations),
		crossTables(d.CrossTables),
	}
}

func survival(s *describe.Survival, time, unit string) section {
	if s == nil {
		return section{}
	}
	overall := s.Overall
	overall.Group = "all patients"
	blocks := []block{text("What share of the patients is still free of the event as time goes on. Patients who were not seen until then without the event (censored) count for as long as they were followed."),
		note("Kaplan–Meier estimates on the study's times: an event counts at the end of its interval. A curve is shown at times between which the events, and the censored, are none or enough not to be withheld; the estimate itself uses every interval."),
	}
	blocks = append(blocks, curves("All patients", time, unit, []describe.Curve{overall})...)
	for _, g := range s.Groupings {
		blocks = append(blocks, curves("By "+g.Column, time, unit, g.Curves)...)
		if g.LogRank != nil {
			blocks = append(blocks, text("Log-rank test that the groups of %s have the same hazard: χ² %s on %d degrees of freedom, p %s.",
				g.Column, plot.Number(g.LogRank.ChiSquared), g.LogRank.DF, plot.PValue(g.LogRank.PValue)))
		}
		if g.RMST != nil {
			blocks = append(blocks, restricted(g.RMST, unit)...)
		}
	}
	return section{"Survival", blocks}
}

// mostCurves in one drawing can still be told apart.
const mostCurves = 6

// curves draws Kaplan-Meier estimates with their intervals, and below them the
// medians and the numbers at risk.
func curves(title, time, unit string, all []describe.Curve) []block {
	end := 0.0
	for _, c := range all {
		if n := len(c.Points); n > 0 {
			end = max(end, c.Points[n-1].Time)
		}
	}
	if end == 0 {
		return []block{{Head: title}, {Table: medians(all, unit)}}
	}
	chart := &plot.Chart{Title: title, XLabel: unitIn(time, unit), YLabel: "free of the event", X: plot.XAxisTo(0, end), Y: plot.YAxis(0, 1).Percent(),
		Caption: "Share free of the event, with its 95% interval. The curve is known at its dots; in between a line joins them."}
	for _, c := range all {
		if len(c.Points) == 0 {
			continue
		}
		if len(chart.Series) == mostCurves {
			chart.Caption += fmt.Sprintf(" The first %d groups; the tables have all.", mostCurves)
			break
		}
		line, lower, upper := []plot.XY{{X: 0, Y: 1}}, []plot.XY{{X: 0, Y: 1}}, []plot.XY{{X: 0, Y: 1}}
		bounded := true
		for _, p := range c.Points {
			line = append(line, plot.XY{X: p.Time, Y: p.Survival})
			if bounded = bounded && (p.Lower != nil && p.Upper != nil || p.Survival == 1); bounded {
				lo, hi := p.Survival, p.Survival
				if p.Lower != nil && p.Upper != nil {
					lo, hi = *p.Lower, *p.Upper
				}
				lower, upper = append(lower, plot.XY{X: p.Time, Y: lo}), append(upper, plot.XY{X: p.Time, Y: hi})
			}
		}
		series := plot.Series{Name: c.Group, Path: chart.Path(line)}
		for _, p := range line[1:] {
			series.Dots = append(series.Dots, chart.Dot(p, 3.5))
		}
		if len(lower) > 1 {
			series.Band = chart.Between(lower, upper)
		}
		chart.Series = append(chart.Series, series)
		last := c.Points[len(c.Points)-1]
		chart.Words += fmt.Sprintf("%s: %s free of the event at %s. ", c.Group, plot.Percent(last.Survival), withUnit(plot.Plain(last.Time), unit))
	}
	blocks := []block{{Chart: chart}, {Table: atRisk(all, end, unit)}, {Table: medians(all, unit)}}
	for _, c := range all {
		if len(c.Points) > 0 {
			blocks = append(blocks, block{Table: lifetable(c, unit)})
		}
	}
	return blocks
}

// atRisk is the table below the curves. Numbers at risk are known where a curve
// is drawn: at the last such time before each column's.
func atRisk(all []describe.Curve, end float64, unit string) *table {
	step := plot.NiceStep(end / 6)
	t := &table{Caption: "Number at risk, at the last time up to the column's that the curve shows.", Head: []string{unitIn("Time", unit)}}
	var times []float64
	for k := 0; float64(k)*step < end && k < 12; k++ {
		times = append(times, float64(k)*step)
		t.Head = append(t.Head, plot.Plain(times[k]))
	}
	for _, c := range all {
		r := row{Name: c.Group}
		for _, at := range times {
			if len(c.Points) == 0 {
				r.Cells = append(r.Cells, count(c.Patients))
				continue
			}
			next := slices.IndexFunc(c.Points, func(p describe.Point) bool { return p.Time > at })
			if next < 0 {
				r.Cells = append(r.Cells, cell{Text: "not shown", Withheld: true})
				continue
			}
			r.Cells = append(r.Cells, count(c.Points[next].AtRisk))
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func medians(all []describe.Curve, unit string) *table {
	t := &table{Head: []string{"Group", "Patients", "Events", unitIn("Median", unit), "95% interval"}}
	for _, c := range all {
		r := row{Name: c.Group, Cells: []cell{count(c.Patients), count(c.Events), {Text: "not reached"}, {Text: "–"}}}
		if len(c.Points) == 0 {
			r.Cells[2] = cell{Text: "–"}
		}
		if c.Median != nil {
			r.Cells[2].Text = plot.Plain(*c.Median)
		}
		if c.MedianLower != nil {
			r.Cells[3].Text = plot.Plain(*c.MedianLower) + " or more"
			if c.MedianUpper != nil {
				r.Cells[3].Text = plot.Plain(*c.MedianLower) + " to " + plot.Plain(*c.MedianUpper)
			}
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func lifetable(c describe.Curve, unit string) *table {
	t := &table{Fold: "The curve as a table: " + c.Group, Caption: "At risk: at the time of the line before. Events and censored: since then.",
		Head: []string{unitIn("Time", unit), "At risk", "Events", "Censored", "Free of the event", "Standard error", "95% interval"}}
	for _, p := range c.Points {
		r := row{Name: plot.Plain(p.Time), Cells: []cell{count(p.AtRisk), count(p.Events), count(p.Censored), {Text: plot.Percent(p.Survival)}, {Text: plot.Number(p.StdError)}, {Text: "–"}}}
		if p.Lower != nil && p.Upper != nil {
			r.Cells[5].Text = plot.Percent(*p.Lower) + " to " + plot.Percent(*p.Upper)
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func distributions(numbers []describe.Distribution) section {
	if len(numbers) == 0 {
		return section{}
	}
	quantiles := &table{Head: []string{"Column"}, Caption: "Quantiles: the value that this share of the patients do not exceed."}
	probabilities := []float64{}
	for _, n := range numbers {
		for _, q := range n.Quantiles {
			if !slices.Contains(probabilities, q.Probability) {
				probabilities = append(probabilities, q.Probability)
			}
		}
	}
	slices.Sort(probabilities)
	for _, p := range probabilities {
		quantiles.Head = append(quantiles.Head, plot.Plain(100*p)+"%")
	}
	for _, n := range numbers {
		r := row{Name: n.Column, Note: n.Unit}
		for _, p := range probabilities {
			at := slices.IndexFunc(n.Quantiles, func(q describe.Quantile) bool { return q.Probability == p })
			if at < 0 {
				r.Cells = append(r.Cells, cell{Text: withheldText, Withheld: true})
				continue
			}
			r.Cells = append(r.Cells, cell{Text: plot.Number(n.Quantiles[at].Value)})
		}
		quantiles.Rows = append(quantiles.Rows, r)
	}
	var blocks []block
	if len(probabilities) > 0 {
		blocks = append(blocks, block{Table: quantiles})
	}
	for _, n := range numbers {
		if len(n.Histogram) == 0 {
			blocks = append(blocks, block{Head: unitIn(n.Column, n.Unit)}, text("The distribution is %s: too few patients have this number.", withheldText))
			continue
		}
		blocks = append(blocks, histogram(n)...)
	}
	return section{"Distributions", blocks}
}

// histogram draws densities: bins differ in width, and a bar's area is its
// share of the patients.
func histogram(n describe.Distribution) []block {
	bins := n.Histogram
	most := 0.0
	for _, b := range bins {
		most = max(most, density(b))
	}
	c := &plot.Chart{Title: unitIn(n.Column, n.Unit), XLabel: unitIn(n.Column, n.Unit), YLabel: "patients per unit", X: plot.XAxisTo(bins[0].From, bins[len(bins)-1].To), Y: plot.YAxis(0, most),
		Caption: "The area of a bar is its share of the patients. Bins are as wide as they must be to hold enough patients."}
	if bins[0].N == nil {
		c.Caption += " Shares are rounded, and bars of one height can differ: with more digits they would tell how few patients miss the number."
	}
	c.Y.Ticks = nil // a density per unit tells nobody anything
	t := &table{Fold: "Histogram as a table: " + n.Column, Head: []string{unitIn("From and to below", n.Unit), "Share", "Patients"}}
	var bars []plot.Rect
	for _, b := range bins {
		bars = append(bars, c.Bar(b.From, b.To, density(b)))
		name := plot.Plain(b.From) + " to " + plot.Plain(b.To)
		patients := cell{Text: withheldText, Withheld: true}
		if b.N != nil {
			patients = cell{Text: plot.Grouped(*b.N)}
		}
		t.Rows = append(t.Rows, row{Name: name, Cells: []cell{{Text: plot.Percent(b.Share)}, patients}})
		c.Words += name + ": " + plot.Percent(b.Share) + ". "
	}
	c.Series = []plot.Series{{Bars: bars}}
	return []block{{Chart: c}, {Table: t}}
}

func density(b describe.Bin) float64 {
	if !(b.To > b.From) {
		return 0
	}
	return b.Share / (b.To - b.From)
}

// mostHeat columns of the correlation table fit a page.
const mostHeat = 15

func correlations(pairs []describe.Correlation) section {
	if len(pairs) == 0 {
		return section{}
	}
	var names []string
	known := map[[2]string]describe.Correlation{}
	for _, p := range pairs {
		for _, name := range p.Columns {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		known[p.Columns] = p
		known[[2]string{p.Columns[1], p.Columns[0]}] = p
	}
	caption := "Pearson's correlation over the patients who have both numbers, from −1 to 1. The darker a cell, the stronger; green goes together, orange against each other."
	shown := names[:min(len(names), mostHeat)]
	if len(shown) < len(names) {
		caption += fmt.Sprintf(" The first %d of %d columns; result.json has all.", len(shown), len(names))
	}
	t := &table{Caption: caption, Head: append([]string{"Column"}, shown...)}
	for _, a := range shown {
		r := row{Name: a}
		for _, b := range shown {
			p, ok := known[[2]string{a, b}]
			switch {
			case a == b:
				r.Cells = append(r.Cells, cell{Text: "1", Class: "heat"})
			case !ok || p.Correlation == nil && p.Patients.State == describe.Suppressed:
				r.Cells = append(r.Cells, cell{Text: withheldText, Withheld: true})
			case p.Correlation == nil:
				r.Cells = append(r.Cells, cell{Text: "–", Class: "heat"})
			default:
				r.Cells = append(r.Cells, cell{Text: plot.Minus(fmt.Sprintf("%.2f", *p.Correlation)), Class: heat(*p.Correlation)})
			}
		}
		t.Rows = append(t.Rows, r)
	}
	return section{"What goes together", []block{{Table: t}}}
}

// heat is the class of a cell: sign, and strength in fifths.
func heat(r float64) string {
	strength := min(int(math.Abs(r)*5), 4) + 1
	if r < 0 {
		return fmt.Sprintf("heat n%d", strength)
	}
	return fmt.Sprintf("heat p%d", strength)
}

// mostOpen cross tables are open; the others have a line to open them.
const mostOpen = 3

func crossTables(tables []describe.CrossTable) section {
	if len(tables) == 0 {
		return section{}
	}
	blocks := []block{text("Patients by two categories. Beside a cell of too few patients others are withheld too, so that it does not follow from totals.")}
	for i, c := range tables {
		title := c.Rows + " by " + c.Columns
		t := &table{Caption: title + ".", Head: append([]string{c.Rows}, c.ColumnNames...)}
		if i >= mostOpen {
			t.Fold = title
		}
		for k, cells := range c.Cells {
			if k >= len(c.RowNames) {
				break
			}
			r := row{Name: c.RowNames[k]}
			for _, n := range cells {
				r.Cells = append(r.Cells, count(n))
			}
			t.Rows = append(t.Rows, r)
		}
		blocks = append(blocks, block{Table: t})
	}
	return section{"Cross tables", blocks}
}
