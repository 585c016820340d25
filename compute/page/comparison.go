package page

import (
	"fmt"
	"math"
	"strconv"

	"github.com/consilium-fl/consilium/compute/page/compare"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

// RenderComparison writes two studies side by side.
func RenderComparison(c *compare.Comparison) ([]byte, error) {
	v := view{Kind: "Two studies side by side", Title: c.A.Name + " and " + c.B.Name, Lead: "A is " + sideText(c.A) + ". B is " + sideText(c.B) + "."}
	v.add(fair(c), sides(c), metricsBeside(c), fitsBeside(c), coefficientsBeside(c), importanceBeside(c), gapsBeside(c))
	return v.write()
}

func sideText(s compare.Side) string {
	if s.Title == "" {
		return s.Name
	}
	return s.Title
}

func fair(c *compare.Comparison) section {
	blocks := []block{note("The comparison is fair: as far as the published counts show, both predict the same outcome of the same patients, and were tried in the same way.")}
	if !c.Fair {
		blocks = []block{note("This is not a comparison of like with like. The differences below may come from what follows, and not from the models."), {List: c.Why}}
	}
	for _, n := range c.Notes {
		blocks = append(blocks, text("%s", n))
	}
	return section{"Can they be compared?", blocks}
}

func sides(c *compare.Comparison) section {
	t := &table{Head: []string{"", "A", "B"}}
	add := func(name string, of func(compare.Side) cell) {
		t.Rows = append(t.Rows, row{Name: name, Cells: []cell{of(c.A), of(c.B)}})
	}
	add("Study", func(s compare.Side) cell { return cell{Text: s.Name, Note: plotDigest(s.Study)} })
	add("Model", func(s compare.Side) cell { return cell{Text: s.Kind} })
	add("Outcome", func(s compare.Side) cell { return cell{Text: s.Outcome} })
	add("Patients", func(s compare.Side) cell {
		if s.Patients == nil {
			return cell{Text: withheldText, Withheld: true}
		}
		return cell{Text: plot.Grouped(*s.Patients)}
	})
	add("Hospitals", func(s compare.Side) cell { return cell{Text: plot.Grouped(s.Hospitals)} })
	add("Patients of the fit", func(s compare.Side) cell { return cell{Text: plot.Grouped(s.Fitted)} })
	add("Validation", func(s compare.Side) cell { return cell{Text: s.Validation} })
	add("Patients tried", func(s compare.Side) cell { return cell{Text: plot.Grouped(s.Tried)} })
	t.Head[0] = "What"
	return section{"The two studies", []block{{Table: t}}}
}

func plotDigest(digest string) string { return digest[:min(len(digest), 12)] }

func metricsBeside(c *compare.Comparison) section {
	if len(c.Metrics) == 0 {
		return section{}
	}
	t := &table{Head: []string{"Measure", "A", "B", "B less A"}, Caption: "On patients that the models had not seen, with 95% intervals."}
	for _, known := range Metrics {
		for _, m := range c.Metrics {
			if m.Name != known.Name {
				continue
			}
			t.Rows = append(t.Rows, row{Name: known.Heading(c.Unit), Note: known.Meaning, Cells: []cell{valueCell(known, m.A), valueCell(known, m.B), differenceCell(known, m.Difference)}})
		}
	}
	return section{"On patients they had not seen", []block{{Table: t}}}
}

func valueCell(m Metric, v *compare.Value) cell {
	if v == nil {
		return cell{Text: "–"}
	}
	out := cell{Text: m.Text(v.Estimate)}
	if v.Lower != nil && v.Upper != nil {
		out.Note = m.between(*v.Lower, *v.Upper)
	}
	return out
}

func differenceCell(m Metric, d *float64) cell {
	if d == nil {
		return cell{Text: "–"}
	}
	out := cell{Text: m.Difference(*d)}
	switch {
	case m.Better == 0 || *d == 0:
	case float64(m.Better)**d > 0:
		out.Note = "in favour of B"
	default:
		out.Note = "in favour of A"
	}
	return out
}

// Signed writes a difference with its sign.
func Signed(d float64, write func(float64) string) string {
	if d > 0 {
		return "+" + write(d)
	}
	if d < 0 {
		return "−" + write(math.Abs(d))
	}
	return write(0)
}

var fitNames = map[string]string{"deviance": "Deviance", "log_likelihood": "Log-likelihood", "aic": "AIC", "bic": "BIC"}

func fitsBeside(c *compare.Comparison) section {
	if len(c.Fit) == 0 {
		return section{}
	}
	t := &table{Head: []string{"Criterion", "A", "B", "B less A"}, Caption: "Of fits to the same records by the same likelihood. Of AIC and BIC, less is better."}
	for _, n := range c.Fit {
		t.Rows = append(t.Rows, row{Name: fitNames[n.Name], Cells: numberCells(n, plot.Likelihood, Difference)})
	}
	return section{"How they fit", []block{{Table: t}}}
}

// Difference writes how far two criteria of fit are apart.
func Difference(d float64) string { return Signed(d, plot.Likelihood) }

// Points writes the difference of two shares, in percentage points.
func Points(d float64) string {
	return Signed(d, func(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) }) + " points"
}

func numberCells(n compare.Number, write, difference func(float64) string) []cell {
	out := cells("–", "–", "–")
	if n.A != nil {
		out[0].Text = write(*n.A)
	}
	if n.B != nil {
		out[1].Text = write(*n.B)
	}
	if n.Difference != nil {
		out[2].Text = difference(*n.Difference)
	}
	return out
}

func coefficientsBeside(c *compare.Comparison) section {
	if len(c.Coefficients) == 0 {
		return section{}
	}
	t := &table{Head: []string{"Term", "A", "B", "B less A"}, Caption: "Coefficients, each with its standard error below it. A standard error of the difference does not follow from these two: the patients are the same."}
	estimate := func(e *compare.Estimate) cell {
		if e == nil {
			return cell{Text: "–"}
		}
		return cell{Text: plot.Number(e.Estimate), Note: plot.Number(e.StdError)}
	}
	for _, x := range c.Coefficients {
		difference := cell{Text: "–"}
		if x.Difference != nil {
			difference.Text = Signed(*x.Difference, plot.Number)
		}
		t.Rows = append(t.Rows, row{Name: x.Name, Cells: []cell{estimate(x.A), estimate(x.B), difference}})
	}
	return section{"Coefficients", []block{{Table: t}}}
}

func importanceBeside(c *compare.Comparison) section {
	if len(c.Importance) == 0 {
		return section{}
	}
	t := &table{Head: []string{"Feature", "A", "B", "B less A"}, Caption: "Shares of importance: of trees by the gain of their splits, of networks by how much the output changes. Across kinds of models only the order means something."}
	for _, n := range c.Importance {
		t.Rows = append(t.Rows, row{Name: n.Name, Cells: numberCells(n, plot.Percent, Points)})
	}
	return section{"What they rest on", []block{{Table: t}}}
}

func gapsBeside(c *compare.Comparison) section {
	if len(c.Gaps) == 0 {
		return section{}
	}
	t := &table{Head: []string{"Group against group", "Measure", "A", "B"}, Caption: "The " + strconv.Itoa(len(c.Gaps)) + " largest differences between groups of patients in either bias audit, measured by their margins, with 95% intervals."}
	side := func(g *compare.GapOfSide, percent bool) cell {
		if g == nil {
			return cell{Text: "–"}
		}
		scale := 1.0
		if percent {
			scale = 100
		}
		return cell{Text: Signed(scale*g.Estimate, plot.Number), Note: fmt.Sprintf("%s; %s", interval(scale*g.Lower, scale*g.Upper), g.Verdict)}
	}
	for _, g := range c.Gaps {
		name, share := gapName(g.Metric)
		t.Rows = append(t.Rows, row{Name: g.Level + " against " + g.Reference, Note: g.Attribute, Cells: []cell{{Text: name}, side(g.A, share), side(g.B, share)}})
	}
	return section{"For whom they err more", []block{{Table: t}}}
}

// gapName names a measure of the bias audit, and says whether it is a share,
// shown in percentage points.
func gapName(metric string) (name string, share bool) {
	switch metric {
	case "tpr":
		return "true positive rate", true
	case "fpr":
		return "false positive rate", true
	case "calibration_in_the_large":
		return "predicted minus observed", true
	}
	for _, m := range Metrics {
		if m.Name == metric {
			return m.Title, m.percent && m.scale == 100
		}
	}
	return metric, false
}
