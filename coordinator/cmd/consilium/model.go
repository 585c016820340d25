package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
)

// showModel prints the coefficients as statisticians are used to see them.
func (a *app) showModel(r *pipeline.Result) {
	for _, d := range r.Diagnoses {
		a.Printf("\n%s\n", d.Error())
	}
	if r.Model == nil || r.Model.GLM == nil {
		return
	}
	m := r.Model.GLM
	a.Printf("\n%s %s over %d patients of %d hospitals, deviance %s (null %s)\n\n", m.Family, m.Kind, m.N, m.Contributors, number(m.Deviance), number(m.NullDeviance))
	rows := [][]string{{"TERM", "ESTIMATE", "STD. ERROR", strings.ToUpper(m.Statistic), "P"}}
	for _, t := range m.Terms {
		rows = append(rows, []string{t.Name, number(t.Estimate), number(t.StdError), strconv.FormatFloat(t.Statistic, 'f', 2, 64), pValue(t.PValue)})
	}
	a.Table(rows)
}

// showCohort prints who is in the data.
func (a *app) showCohort(r *pipeline.Result) {
	c := r.Cohort
	if c == nil {
		return
	}
	a.Printf("\nCohort of %d hospitals, %s patients:\n\n", c.Contributors, countText(c.Patients))
	rows := [][]string{{"VARIABLE", "PATIENTS", "MEAN", "SD"}}
	add := func(name string, count string, mean, sd *float64) {
		row := []string{name, count, "", ""}
		if mean != nil {
			row[2] = strconv.FormatFloat(*mean, 'f', 2, 64)
		}
		if sd != nil {
			row[3] = strconv.FormatFloat(*sd, 'f', 2, 64)
		}
		rows = append(rows, row)
	}
	for _, v := range append([]describe.Variable{c.Outcome}, c.Features...) {
		name := v.Column
		if v.Unit != "" {
			name += " (" + v.Unit + ")"
		}
		switch {
		case v.Positives != nil:
			add(name+" positive", countText(*v.Positives), nil, nil)
		case len(v.Levels) == 0:
			add(name, "", v.Mean, v.SD)
		}
		for _, level := range v.Levels {
			add(v.Column+"="+level.Name, countText(level.Count), nil, nil)
		}
	}
	for _, attribute := range c.Attributes {
		for _, group := range attribute.Groups {
			add(attribute.Column+"="+group.Name, countText(group.Count), nil, nil)
		}
	}
	a.Table(rows)
}

// countText writes a number of patients, or why it is not shown.
func countText(c describe.Count) string {
	if c.N != nil {
		return strconv.Itoa(*c.N)
	}
	return c.State
}

// measures are the columns of the audit's table, for doses and for yes or no.
var measures = map[string][]string{
	"number":   {"mae", "rmse", "bias", "within20"},
	"count":    {"mae", "rmse", "bias", "within20"},
	"binary":   {"tpr", "fpr", "ppv", "brier"},
	"survival": {"event_share"},
}

var measureNames = map[string]string{
	"mae": "MEAN ERROR", "rmse": "RMSE", "bias": "BIAS", "within20": "WITHIN 20%",
	"event_share": "EVENTS", "tpr": "TPR", "fpr": "FPR", "ppv": "PPV", "brier": "BRIER",
}

// showFairness prints the bias audit by group. The page has the intervals and
// the plots.
func (a *app) showFairness(r *pipeline.Result) {
	if r.Audit == nil {
		return
	}
	columns := auditColumns(r.Audit)
	heading := []string{"GROUP", "PATIENTS"}
	for _, c := range columns {
		heading = append(heading, measureNames[c])
	}
	rows := [][]string{heading}
	for i, g := range r.Audit.Groups {
		n := g.State
		if g.N != nil {
			n = strconv.Itoa(*g.N)
		}
		name := g.Attribute + "=" + g.Level
		if i == 0 {
			name = "all patients"
		}
		row := []string{name, n}
		for _, c := range columns {
			cell := "-"
			if m, ok := g.Metrics[c]; ok {
				cell = strconv.FormatFloat(m.Estimate, 'f', 3, 64)
				if c == "within20" {
					cell = strconv.FormatFloat(m.Estimate, 'f', 1, 64) + "%"
				}
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	unit := r.Audit.Unit
	if unit != "" {
		unit = ", errors in " + unit
	}
	a.Printf("\nBias audit%s:\n\n", unit)
	a.Table(rows)
	a.Printf("\n")
	for _, gap := range r.Audit.Gaps {
		if gap.Verdict == fairness.Disparity {
			a.Printf("  %s\n", gap.Sentence)
		}
	}
}

// auditColumns picks the measures that the audit has and a table has room for.
func auditColumns(audit *fairness.Audit) []string {
	var columns []string
	for _, c := range measures[audit.OutcomeType] {
		if slices.ContainsFunc(audit.Groups, func(g fairness.Group) bool { _, ok := g.Metrics[c]; return ok }) {
			columns = append(columns, c)
		}
	}
	return columns
}
