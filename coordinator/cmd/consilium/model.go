package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cox"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/internal/console"
)

// showModel prints the model as statisticians are used to see its kind.
func (a *app) showModel(r *pipeline.Result) {
	for _, d := range r.Diagnoses {
		a.Printf("\n%s\n", d.Error())
	}
	if r.Model == nil {
		return
	}
	switch m := r.Model; {
	case m.GLM != nil:
		a.showGLM(m.GLM)
	case m.Cox != nil:
		a.showCox(m.Cox)
	case m.Boost != nil:
		a.Printf("\nboost (%s loss), %s over %d patients of %d hospitals%s\n\n", m.Boost.Loss, console.Count(len(m.Boost.Trees), "tree"), m.Boost.N, m.Boost.Contributors, learned(m.Boost.Curve))
		rows := [][]string{{"FEATURE", "GAIN", "SPLITS"}}
		for _, i := range m.Boost.Importance[:min(len(m.Boost.Importance), mostImportant)] {
			rows = append(rows, []string{i.Feature, number(i.Gain), strconv.Itoa(i.Splits)})
		}
		a.Table(rows)
	case m.Neural != nil:
		a.Printf("\nneural network (%s), %s over %d patients of %d hospitals%s\n\n", m.Neural.Strategy, console.Count(m.Neural.Parameters, "parameter"), m.Neural.N, m.Neural.Contributors, learned(m.Neural.Curve))
		rows := [][]string{{"FEATURE", "IMPORTANCE"}}
		for _, i := range m.Neural.Importance[:min(len(m.Neural.Importance), mostImportant)] {
			rows = append(rows, []string{i.Feature, number(i.Value)})
		}
		a.Table(rows)
	}
}

// mostImportant features are printed; the page and result.json have all.
const mostImportant = 10

func (a *app) showGLM(m *glm.Model) {
	null := ""
	if m.NullDeviance != 0 {
		null = fmt.Sprintf(" (null %s)", number(m.NullDeviance))
	}
	a.Printf("\n%s %s over %d patients of %d hospitals, deviance %s%s, AIC %s\n\n", m.Family, m.Kind, m.N, m.Contributors, number(m.Deviance), null, number(m.AIC))
	rows := [][]string{{"TERM", "ESTIMATE", "STD. ERROR", strings.ToUpper(m.Statistic), "P"}}
	for _, t := range m.Terms {
		rows = append(rows, []string{t.Name, number(t.Estimate), number(t.StdError), strconv.FormatFloat(t.Statistic, 'f', 2, 64), pValue(t.PValue)})
	}
	a.Table(rows)
}

func (a *app) showCox(m *cox.Model) {
	a.Printf("\ncox over %d patients of %d hospitals, ", m.N, m.Contributors)
	if m.Events != nil {
		a.Printf("%d events, ", *m.Events)
	}
	a.Printf("log-likelihood %s (null %s)", number(m.LogLikelihood), number(m.NullLogLikelihood))
	if m.Concordance != nil {
		a.Printf(", concordance %.3f", m.Concordance.Estimate)
	}
	a.Printf("\n\n")
	rows := [][]string{{"TERM", "ESTIMATE", "HAZARD RATIO", "95% INTERVAL", "STD. ERROR", "Z", "P"}}
	for _, t := range m.Terms {
		rows = append(rows, []string{t.Name, number(t.Estimate), ratio(t.HazardRatio), ratio(t.Lower) + " to " + ratio(t.Upper), number(t.StdError), strconv.FormatFloat(t.Statistic, 'f', 2, 64), pValue(t.PValue)})
	}
	a.Table(rows)
}

// ratio is written with fewer digits than an estimate.
func ratio(x float64) string {
	if x >= 1e4 {
		return strconv.FormatFloat(x, 'e', 2, 64)
	}
	return strconv.FormatFloat(x, 'f', 3, 64)
}

// learned says where the learning curve ends.
func learned(curve []compute.Point) string {
	if len(curve) == 0 {
		return ""
	}
	last := curve[len(curve)-1]
	if last.HeldOut != nil {
		return fmt.Sprintf(", loss %s, on patients kept from training %s", number(last.Loss), number(*last.HeldOut))
	}
	return ", loss " + number(last.Loss)
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
		case v.Events != nil:
			add(name, "", v.Mean, v.SD)
			add(v.Column+" event", countText(*v.Events), nil, nil)
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
	return "withheld"
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
		if g.State == fairness.Suppressed {
			n = "withheld"
		}
		if g.N != nil {
			n = strconv.Itoa(*g.N)
			if g.Noise != nil {
				n = "~" + n
			}
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
