package main

import (
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
)

// showValidation prints how the model does on patients that it had not seen.
func (a *app) showValidation(r *pipeline.Result) {
	v := r.Validation
	if v == nil {
		return
	}
	a.Printf("\nValidation (%s): %d patients whom the model had not seen\n\n", v.Kind, v.N)
	rows := [][]string{{"MEASURE", "ESTIMATE", "95% INTERVAL"}}
	unit := r.Cohort.Outcome.Unit
	for _, m := range page.Metrics {
		x, ok := v.Metrics[m.Name]
		switch {
		case ok:
			row := []string{m.Heading(unit), m.Text(x), ""}
			if i, ok := v.Intervals[m.Name]; ok {
				row[2] = m.Text(i.Lower) + " to " + m.Text(i.Upper)
			}
			if b := v.Bounds[m.Name]; b > 0 {
				row[1] += " (exact within " + plot.Number(b) + ")"
			}
			rows = append(rows, row)
		case v.Undefined[m.Name] != "":
			rows = append(rows, []string{m.Heading(unit), "-", v.Undefined[m.Name]})
		}
	}
	a.table(rows)
	if p := v.Prediction; p != nil {
		if unit != "" {
			unit = " " + unit
		}
		a.Printf("\n  %s of them are within %s%s of their prediction.\n", plot.Percent(p.Coverage), typed.Replace(plot.Number(p.HalfWidth)), unit)
	}
	for _, remark := range v.Remarks {
		a.Printf("  %s\n", remark)
	}
}

// showDescription prints distributions, survival, correlations and cross tables
// as far as they fit a terminal; the page has all of it.
func (a *app) showDescription(r *pipeline.Result) {
	d := r.Description
	if d == nil {
		return
	}
	if len(d.Numbers) > 0 {
		a.Printf("\nDistributions:\n\n")
		rows := [][]string{{"COLUMN", "5%", "25%", "MEDIAN", "75%", "95%"}}
		for _, n := range d.Numbers {
			row := []string{n.Column}
			for _, p := range []float64{0.05, 0.25, 0.5, 0.75, 0.95} {
				cell := "withheld"
				for _, q := range n.Quantiles {
					if q.Probability == p {
						cell = plot.Number(q.Value)
					}
				}
				row = append(row, cell)
			}
			rows = append(rows, row)
		}
		a.table(rows)
	}
	if s := d.Survival; s != nil {
		a.Printf("\nSurvival:\n\n")
		rows := [][]string{{"GROUP", "PATIENTS", "EVENTS", "MEDIAN TIME", "LOG-RANK P"}}
		median := func(x *float64) string {
			if x == nil {
				return "not reached"
			}
			return plot.Plain(*x)
		}
		rows = append(rows, []string{"all patients", countText(s.Overall.Patients), countText(s.Overall.Events), median(s.Overall.Median), ""})
		for _, g := range s.Groupings {
			for i, c := range g.Curves {
				row := []string{g.Column + "=" + c.Group, countText(c.Patients), countText(c.Events), "-", ""}
				if len(c.Points) > 0 {
					row[3] = median(c.Median)
				}
				if i == 0 && g.LogRank != nil {
					row[4] = pValue(g.LogRank.PValue)
				}
				rows = append(rows, row)
			}
		}
		a.table(rows)
	}
	if len(d.Correlations) > 0 {
		a.Printf("\nCorrelations:\n\n")
		rows := [][]string{{"COLUMNS", "PATIENTS", "CORRELATION"}}
		for _, c := range d.Correlations[:min(len(d.Correlations), mostLines)] {
			row := []string{c.Columns[0] + ", " + c.Columns[1], countText(c.Patients), "-"}
			if c.Correlation != nil {
				row[2] = fmt.Sprintf("%.3f", *c.Correlation)
			}
			rows = append(rows, row)
		}
		a.table(rows)
		a.more(len(d.Correlations), mostLines, "pairs")
	}
	for _, t := range d.CrossTables[:min(len(d.CrossTables), mostTables)] {
		a.Printf("\n%s by %s:\n\n", t.Rows, t.Columns)
		rows := [][]string{append([]string{""}, t.ColumnNames...)}
		for i, line := range t.Cells {
			row := []string{t.RowNames[i]}
			for _, c := range line {
				row = append(row, countText(c))
			}
			rows = append(rows, row)
		}
		a.table(rows)
	}
	a.more(len(d.CrossTables), mostTables, "cross tables")
}

// table is a.Table in characters that a terminal and a script know: pages have
// a true minus and thin spaces.
func (a *app) table(rows [][]string) {
	for _, row := range rows {
		for i := range row {
			row[i] = typed.Replace(row[i])
		}
	}
	a.Table(rows)
}

var typed = strings.NewReplacer("−", "-", "\u202f", "", "\u00a0", " ")

// Of longer lists a terminal shows this many.
const (
	mostLines  = 20
	mostTables = 6
)

func (a *app) more(have, shown int, what string) {
	if have > shown {
		a.Printf("  and %d more %s: see result.html (--out)\n", have-shown, what)
	}
}
