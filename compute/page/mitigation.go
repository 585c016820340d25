package page

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// methods of mitigation in words.
var methods = map[string]string{
	study.Reweigh:          "Patients weigh in the fit by their group",
	study.BoundedGroupLoss: "Groups for whom the model loses more weigh more in the fit",
	study.QFedAvg:          "Hospitals where the network loses more count more in every round",
	study.FairFed:          "Hospitals whose own gap between groups is near that of all patients count more in every round",
	study.Recalibrate:      "Predictions of each group are moved along a line of its own",
	study.GroupThresholds:  "Each group is called positive from a probability of its own",
}

// measured says how a measure of the curve is written.
type measured struct {
	title   string
	percent float64 // what it is multiplied by to be in percent; 0 for a plain number
	unit    string
}

func (m measured) text(x float64) string {
	if math.Abs(x) < 1e-12 { // of a difference, rounding
		x = 0
	}
	if m.percent > 0 {
		return plot.Percent(x * m.percent)
	}
	return plot.Number(x)
}

func (m measured) between(lower, upper *float64) string {
	if lower == nil || upper == nil {
		return ""
	}
	return m.text(*lower) + "\u00a0to\u00a0" + m.text(*upper)
}

// axis label.
func (m measured) label(what string) string {
	if m.percent > 0 {
		return what + ", percent"
	}
	return unitIn(what, m.unit)
}

func measureOf(name, unit string) measured {
	shares := map[string]string{"tpr": "true positive rate", "fpr": "false positive rate", "ppv": "positive predictive value", "npv": "negative predictive value",
		"accuracy": "accuracy", "selection_rate": "share called positive", "error_rate": "share called wrongly", "event_share": "share with the event", "discordance": "share of pairs ordered wrongly", "calibration_in_the_large": "predicted minus observed"}
	percents := map[string]string{"within10": "share within 10%", "within20": "share within 20%", "within30": "share within 30%", "under20": "share predicted more than 20% too low", "over20": "share predicted more than 20% too high"}
	plain := map[string]string{"oe": "observed over expected events", "cindex": "C-index", "mae": "mean absolute error", "bias": "bias", "mse": "mean squared error", "rmse": "root mean square error", "correlation": "correlation of predicted and actual", "mean_predicted": "mean prediction", "brier": "Brier score", "log_loss": "log loss", "auc": "area under the ROC curve", "ndcg": "normalised discounted cumulative gain", "ndcg_adjusted": "discounted cumulative gain beyond chance", "log_fold_error": "mean logarithm of predicted over actual"}
	switch {
	case shares[name] != "":
		return measured{title: shares[name], percent: 1}
	case percents[name] != "":
		return measured{title: percents[name], percent: 0.01}
	}
	m := measured{title: plain[name]}
	if slices.Contains([]string{"mae", "bias", "rmse", "mean_predicted"}, name) {
		m.unit = unit
	}
	return m
}

// mitigated shows what the declared mitigation trades: the error of all patients
// against the gap between groups, one point a strength.
func mitigated(r *pipeline.Result) section {
	m := r.Mitigation
	if m == nil {
		return section{}
	}
	unit := r.Cohort.Outcome.Unit
	of, gap := measureOf(m.Error, unit), measureOf(m.Measure, unit)
	method := methods[m.Method]
	if m.Method == study.Recalibrate && m.Error == mitigation.Discordance {
		method = "The hazard of each group is multiplied by a factor of its own"
	}
	blocks := []block{
		text("%s (%s; groups by %s). How strongly, and which model is released, was declared before there was a result. %s.", method, m.Method, m.Attribute, releasedText(m)),
	}
	if m.NeedsGroup {
		blocks = append(blocks, note("The released model asks for %s. A patient whose %s is not known, or of a group that was too small, has the general model.", m.Attribute, m.Attribute))
	}
	if c := tradeOff(m, of, gap); c != nil {
		blocks = append(blocks, block{Chart: c})
	}
	blocks = append(blocks, block{Table: curveTable(m, of, gap)}, block{Table: groupTable(m, gap)})
	if t := changeTable(m); t != nil {
		blocks = append(blocks, block{Table: t})
	}
	return section{"What less difference between groups costs", append(blocks, block{List: m.Limits})}
}

func releasedText(m *mitigation.Result) string {
	if m.Released == 0 {
		return "The model without mitigation is released; the others are only shown"
	}
	return "The model at strength " + plot.Plain(m.Released) + " is released"
}

// tradeOff draws the curve; nil where fewer than two points are known.
func tradeOff(m *mitigation.Result, of, gap measured) *plot.Chart {
	scale := func(way measured, x float64) float64 {
		if way.percent > 0 {
			return 100 * way.percent * x
		}
		return x
	}
	var known []mitigation.Point
	var lo, hi plot.XY
	for _, p := range m.Points {
		if p.Error == nil || p.Gap == nil {
			continue
		}
		for k, at := range corners(p) {
			at = plot.XY{X: scale(of, at.X), Y: scale(gap, at.Y)}
			if len(known) == 0 && k == 0 {
				lo, hi = at, at
			}
			lo, hi = plot.XY{X: min(lo.X, at.X), Y: min(lo.Y, at.Y)}, plot.XY{X: max(hi.X, at.X), Y: max(hi.Y, at.Y)}
		}
		known = append(known, p)
	}
	if len(known) < 2 {
		return nil
	}
	c := &plot.Chart{
		Title:   "Error of all patients against the gap between groups",
		Caption: "Each dot is a model with its strength; they are joined in that order from 0, without mitigation. Down is less difference between groups, left is less error in all. Thin lines are 95% intervals; the models are of the same patients, so that differences between them are surer than the intervals look.",
		XLabel:  of.label(capital(of.title) + ", all patients"), YLabel: gap.label("Largest gap, " + gap.title),
		X: plot.XAxis(lo.X, hi.X), Y: plot.YAxis(min(0, lo.Y), hi.Y),
	}
	var curve plot.Series
	var path []plot.XY
	var names []plot.Named
	for _, p := range known {
		at := plot.XY{X: scale(of, p.Error.Estimate), Y: scale(gap, p.Gap.Estimate)}
		path = append(path, at)
		radius, name := 5.0, plot.Plain(p.Strength)
		if p.Released {
			radius, name = 8, name+", released"
		}
		curve.Dots = append(curve.Dots, c.Dot(at, radius))
		names = append(names, plot.Named{At: at, Radius: radius, Text: name})
		if p.Error.Lower != nil && p.Error.Upper != nil {
			c.Spans = append(c.Spans, c.Span(plot.XY{X: scale(of, *p.Error.Lower), Y: at.Y}, plot.XY{X: scale(of, *p.Error.Upper), Y: at.Y}))
		}
		if p.Gap.Lower != nil && p.Gap.Upper != nil {
			c.Spans = append(c.Spans, c.Span(plot.XY{X: at.X, Y: scale(gap, *p.Gap.Lower)}, plot.XY{X: at.X, Y: scale(gap, *p.Gap.Upper)}))
		}
		c.Words += fmt.Sprintf("Strength %s: %s %s, gap %s. ", plot.Plain(p.Strength), of.title, of.text(p.Error.Estimate), gap.text(p.Gap.Estimate))
	}
	c.NameDots(names)
	curve.Path = c.Path(path)
	c.Series = []plot.Series{curve}
	return c
}

// corners are the point and the ends of its intervals.
func corners(p mitigation.Point) []plot.XY {
	out := []plot.XY{{X: p.Error.Estimate, Y: p.Gap.Estimate}}
	if p.Error.Lower != nil && p.Error.Upper != nil {
		out = append(out, plot.XY{X: *p.Error.Lower, Y: p.Gap.Estimate}, plot.XY{X: *p.Error.Upper, Y: p.Gap.Estimate})
	}
	if p.Gap.Lower != nil && p.Gap.Upper != nil {
		out = append(out, plot.XY{X: p.Error.Estimate, Y: *p.Gap.Lower}, plot.XY{X: p.Error.Estimate, Y: *p.Gap.Upper})
	}
	return out
}

func strengthText(p mitigation.Point) string {
	name := "Strength " + plot.Plain(p.Strength)
	if p.Strength == 0 {
		name = "Without mitigation"
	}
	return name
}

func curveTable(m *mitigation.Result, of, gap measured) *table {
	t := &table{Head: []string{"Model", of.label(capital(of.title)), gap.label("Largest gap, " + gap.title), "Between", "Noise floor"}}
	for _, p := range m.Points {
		line := row{Name: strengthText(p), Cells: cells("–", "–", "–", "–")}
		if p.Released {
			line.Note = "released"
		}
		if p.Failed != "" {
			line.Cells[2].Text = "no model: " + p.Failed
		}
		if p.Error != nil {
			line.Cells[0] = cell{Text: of.text(p.Error.Estimate), Note: of.between(p.Error.Lower, p.Error.Upper)}
		}
		if g := p.Gap; g != nil {
			line.Cells[1] = cell{Text: gap.text(g.Estimate), Note: gap.between(g.Lower, g.Upper)}
			line.Cells[2] = cell{Text: g.High, Note: "and " + g.Low}
			if g.Floor != nil {
				line.Cells[3].Text = gap.text(*g.Floor)
			}
		} else if p.Failed == "" {
			line.Cells[1].Text = "fewer than two groups"
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

// groupTable has the measure of every group for every model.
func groupTable(m *mitigation.Result, gap measured) *table {
	t := &table{Caption: gap.label(capital(gap.title)) + " by " + m.Attribute, Head: []string{"Group", "Patients"}}
	of := map[string][]mitigation.Group{}
	var order []string
	models := 0
	for _, p := range m.Points {
		if p.Failed != "" {
			continue
		}
		models++
		t.Head = append(t.Head, strengthText(p))
		for _, g := range p.Groups {
			if of[g.Level] == nil {
				order = append(order, g.Level)
			}
			of[g.Level] = append(of[g.Level], g)
		}
	}
	for _, level := range order {
		line := row{Name: level}
		switch first := of[level][0]; {
		case first.N != nil && *first.N == 0:
			continue
		case first.N == nil:
			line.Cells = append(line.Cells, cell{Text: withheldText, Withheld: true})
		default:
			line.Cells = append(line.Cells, cell{Text: plot.Grouped(*first.N)})
		}
		for _, g := range of[level] {
			line.Cells = append(line.Cells, metricCell(g.Metrics[m.Measure], g, m.Measure, gap))
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

func metricCell(x fairness.Metric, g mitigation.Group, name string, gap measured) cell {
	switch _, ok := g.Metrics[name]; {
	case ok:
		return cell{Text: gap.text(x.Estimate), Note: gap.between(x.Lower, x.Upper)}
	case g.N == nil:
		return cell{Text: withheldText, Withheld: true}
	}
	return cell{Text: "–"}
}

// changeTable says what each group was given.
func changeTable(m *mitigation.Result) *table {
	t := &table{Fold: "What was done, group by group", Head: []string{"Group"}}
	lines := map[string]*row{}
	var order []string
	for _, p := range m.Points {
		if len(p.Changes) == 0 {
			continue
		}
		t.Head = append(t.Head, strengthText(p))
		for _, c := range p.Changes {
			if lines[c.Level] == nil {
				lines[c.Level] = &row{Name: c.Level}
				order = append(order, c.Level)
			}
			lines[c.Level].Cells = append(lines[c.Level].Cells, cell{Text: changeText(c)})
		}
	}
	for _, level := range order {
		t.Rows = append(t.Rows, *lines[level])
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

func changeText(c mitigation.Change) string {
	switch {
	case c.General != "":
		return "nothing: " + c.General
	case c.Cut != nil:
		return "positive from " + plot.Plain(*c.Cut)
	case c.Factor != nil:
		return "hazard times " + plot.Number(*c.Factor)
	case c.Slope != nil && c.Intercept != nil:
		return fmt.Sprintf("%s + %s × prediction", plot.Number(*c.Intercept), plot.Number(*c.Slope))
	}
	if c.Weights == nil {
		return "on a side of the gap"
	}
	var weights []string
	for _, w := range c.Weights {
		weights = append(weights, plot.Number(w))
	}
	return "weighs " + strings.Join(weights, ", ")
}
