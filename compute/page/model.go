package page

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute/boost"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/compute/neural"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// mostRows of a drawing; the table beside it has all.
const mostRows = 60

// modelSections show the model of whichever kind.
func modelSections(d Document) []section {
	r, m := d.Result, d.Result.Model
	if m == nil {
		return nil
	}
	var out section
	switch {
	case m.GLM != nil:
		out = glmSection(m.GLM, r.Cohort, effects(d), weighs(r.Mitigation))
	case m.Cox != nil:
		out = coxSection(m.Cox, r.Cohort, effects(d))
	case m.Boost != nil:
		out = boostSection(m.Boost)
	case m.Neural != nil:
		out = neuralSection(m.Neural)
	default:
		return nil
	}
	if knots := knotsText(d); knots != nil {
		out.Blocks = append(out.Blocks, text("The knots of the model's curves are quantiles over all hospitals:"), block{List: knots})
	}
	return []section{out}
}

// weighs reports whether patients weigh in the released model's fit by a mitigation.
func weighs(m *mitigation.Result) bool {
	return m != nil && m.Released > 0 && (&study.Mitigation{Method: m.Method}).Weighs()
}

// knotsText lists the knots of each spline, in the study's order.
func knotsText(d Document) (out []string) {
	var columns []string
	if d.Protocol != nil {
		for _, x := range d.Protocol.Model.Splines {
			columns = append(columns, d.Protocol.Features[x.Feature].Column)
		}
	} else if l := linearOf(d.Result.Model); l != nil {
		columns = splined(l.names)
	}
	for i, knots := range d.Result.Model.Knots {
		var values []string
		for _, k := range knots {
			values = append(values, plot.Number(k))
		}
		name := fmt.Sprintf("curve %d", i+1)
		if i < len(columns) {
			name = columns[i]
		}
		out = append(out, name+": "+list(values))
	}
	return out
}

// coefficient is a line of the table and of the forest plot.
type coefficient struct {
	Name               string
	Estimate, StdError float64
	Lower, Upper       float64
	Statistic, PValue  float64
}

// coefficientTable has ratios beside the coefficients where the link is a
// logarithm.
func coefficientTable(terms []coefficient, ratio, statistic, caption string) *table {
	t := &table{Caption: caption, Head: []string{"Term", "Coefficient", "95% interval", "Standard error", statistic, "p"}}
	if ratio != "" {
		t.Head = append(t.Head, ratio, "95% interval")
	}
	var names []string
	for _, c := range terms {
		names = append(names, c.Name)
	}
	curved := splined(names)
	for _, c := range terms {
		r := row{Name: c.Name, Cells: cells(plot.Number(c.Estimate), interval(c.Lower, c.Upper), plot.Number(c.StdError), plot.Number(c.Statistic), plot.PValue(c.PValue))}
		switch {
		case ratio == "":
		case strings.HasPrefix(c.Name, "spline(") || slices.Contains(curved, c.Name): // no patient differs in one such term alone
			r.Cells = append(r.Cells, cells("–", "–")...)
		default:
			r.Cells = append(r.Cells, cells(plot.Number(math.Exp(c.Estimate)), interval(math.Exp(c.Lower), math.Exp(c.Upper)))...)
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

// forest draws the coefficients but the intercept. That of a number is per
// standard deviation, so that columns in different units stand on one axis.
func forest(terms []coefficient, ratio string, cohort *describe.Cohort) *plot.Rows {
	spread := map[string]float64{}
	for _, f := range cohort.Features {
		if f.SD != nil && *f.SD > 0 {
			spread[f.Column] = *f.SD
		}
	}
	var names []string
	for _, c := range terms {
		names = append(names, c.Name)
	}
	curved := splined(names)
	var estimates []plot.Estimate
	scaled := false
	for _, c := range terms {
		switch {
		case c.Name == intercept || strings.HasPrefix(c.Name, "spline(") || slices.Contains(curved, c.Name):
			continue
		case len(estimates) == mostRows:
			continue
		}
		label := c.Name
		e := plot.Estimate{Value: c.Estimate, Lower: c.Lower, Upper: c.Upper}
		if sd, ok := spread[c.Name]; ok {
			label, scaled = c.Name+" +"+plot.Number(sd), true
			e.Value, e.Lower, e.Upper = sd*e.Value, sd*e.Lower, sd*e.Upper
		}
		if ratio != "" {
			e.Value, e.Lower, e.Upper = math.Exp(e.Value), math.Exp(e.Lower), math.Exp(e.Upper)
		}
		e.Label, e.Text, e.IntervalInText = label, plot.Number(e.Value), interval(e.Lower, e.Upper)
		estimates = append(estimates, e)
	}
	if len(estimates) == 0 {
		return nil
	}
	title, caption := "Coefficients", "Each dot is a coefficient and the bar its 95% interval; on the dashed line a term changes nothing."
	if ratio != "" {
		title, caption = ratio+"s", "Each dot is a ratio and the bar its 95% interval, on a logarithmic axis; on the dashed line, at 1, a term changes nothing."
	}
	if scaled {
		caption += " Of a number, it is the change with one standard deviation more, which stands beside its name; the table is per unit."
	}
	if len(curved) > 0 {
		caption += " Curves are drawn by themselves: each of their terms alone means little."
	}
	if len(estimates) == mostRows {
		caption += fmt.Sprintf(" The first %d terms; the table has all.", mostRows)
	}
	return plot.Forest("", title, caption, estimates, ratio != "")
}

// intercept is the name of the term that every record has.
const intercept = "(intercept)"

func boostSection(m *boost.Model) section {
	var terms []plot.Estimate
	total := 0.0
	for _, i := range m.Importance {
		total += i.Gain
	}
	t := &table{Fold: "Importance as a table", Head: []string{"Feature", "Share of the gain", "Gain", "Splits"}}
	for _, i := range m.Importance {
		share := 0.0
		if total > 0 {
			share = i.Gain / total
		}
		terms = append(terms, plot.Estimate{Label: i.Feature, Value: 100 * share, Text: plot.Percent(share)})
		t.Rows = append(t.Rows, row{Name: i.Feature, Cells: cells(plot.Percent(share), plot.Number(i.Gain), plot.Grouped(i.Splits))})
	}
	words := fmt.Sprintf("%s with %s loss, fitted to %s of %s.", plot.Plural(len(m.Trees), "boosted regression tree", "boosted regression trees"), m.Loss,
		plot.Plural(m.N, "patient", "patients"), plot.Plural(m.Contributors, "hospital", "hospitals"))
	if n := len(m.Curve); m.BestRound != nil && n > 0 && m.Curve[n-1].Round > *m.BestRound {
		words += fmt.Sprintf(" %s were tried; those after the first %d did no better on patients kept from training, and were dropped.", plot.Plural(m.Curve[n-1].Round, "tree", "trees"), *m.BestRound)
	}
	blocks := []block{text("%s", words)}
	if len(terms) > 0 {
		blocks = append(blocks, block{Rows: plot.Bars("", "What the model rests on",
			"The share of the trees' gain, what their splits lower the loss by, that each feature brings, in percent. It says what the model uses, not what causes the outcome."+atMost(len(terms)), first(terms))}, block{Table: t})
	}
	blocks = append(blocks, baseline(m.Baseline, m.Outcome, m.Unit, "of patients with a score of 0, on the study's times")...)
	if len(m.Baseline) > 0 {
		blocks = append(blocks, note("The trees compare patients of the same hospital; the baseline is one for all hospitals, which makes as many events expected as were seen in all of them together. Where the event comes sooner or later than the features say, a hospital's own number differs from it."))
	}
	return section{"The model", append(blocks, learning(m.Curve, "trees")...)}
}

func neuralSection(m *neural.Model) section {
	shape := "without hidden layers"
	if len(m.Hidden) > 0 {
		var layers []string
		for _, n := range m.Hidden {
			layers = append(layers, plot.Grouped(n))
		}
		shape = fmt.Sprintf("with hidden layers of %s units (%s)", list(layers), m.Activation)
	}
	blocks := []block{text("A neural network %s, %s parameters in all, trained by %s in %s on %s of %s. Its mean training loss (%s) is %s.",
		shape, plot.Grouped(m.Parameters), m.Strategy, plot.Plural(m.Rounds, "round", "rounds"), plot.Plural(m.N, "patient", "patients"),
		plot.Plural(m.Contributors, "hospital", "hospitals"), strings.ReplaceAll(m.LossFunction, "_", " "), plot.Number(m.Loss))}
	var terms []plot.Estimate
	t := &table{Fold: "Importance as a table", Head: []string{"Feature", "Importance"}}
	for _, i := range m.Importance {
		terms = append(terms, plot.Estimate{Label: i.Feature, Value: i.Value, Text: plot.Number(i.Value)})
		t.Rows = append(t.Rows, row{Name: i.Feature, Cells: cells(plot.Number(i.Value))})
	}
	if len(terms) > 0 {
		blocks = append(blocks, block{Rows: plot.Bars("", "What the model rests on",
			"How much the network's output changes with each feature, on average over the training patients. It says what the model uses, not what causes the outcome."+atMost(len(terms)), first(terms))}, block{Table: t})
	}
	return section{"The model", append(blocks, learning(m.Curve, "rounds")...)}
}

func first(terms []plot.Estimate) []plot.Estimate { return terms[:min(len(terms), mostRows)] }

func atMost(n int) string {
	if n > mostRows {
		return fmt.Sprintf(" The first %d; the table has all.", mostRows)
	}
	return ""
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// ratioName says what the exponential of a coefficient is; empty where it is
// nothing that has a name.
func ratioName(family, link string) string {
	switch {
	case family == study.Binomial:
		return "Odds ratio"
	case family == study.Poisson || family == study.NegativeBinomial:
		return "Rate ratio"
	case link == "log":
		return "Ratio of means"
	}
	return ""
}
