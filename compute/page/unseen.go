package page

import (
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	auditpage "github.com/consilium-fl/consilium/compute/fairness/page"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// unseen shows how the model does on patients it had not seen; without a
// validation, on those it was fitted to, and says so.
func unseen(r *pipeline.Result) section {
	v := r.Validation
	if v == nil {
		return seen(r)
	}
	blocks := []block{text("%s", tried(v))}
	t := &table{Head: []string{"Measure", "Estimate", "95% interval"}}
	unit := r.Cohort.Outcome.Unit
	for _, m := range Metrics {
		x, ok := v.Metrics[m.Name]
		if !ok {
			if why := v.Undefined[m.Name]; why != "" {
				t.Rows = append(t.Rows, row{Name: m.Heading(unit), Note: m.Meaning, Cells: []cell{{Text: "–"}, {Text: why}}})
			}
			continue
		}
		line := row{Name: m.Heading(unit), Note: m.Meaning, Cells: cells(m.Text(x), "–")}
		if i, ok := v.Intervals[m.Name]; ok {
			line.Cells[1].Text = m.between(i.Lower, i.Upper)
		}
		if b := v.Bounds[m.Name]; b > 0 {
			line.Cells[0].Note = "exact within " + plot.Number(b)
		}
		t.Rows = append(t.Rows, line)
	}
	blocks = append(blocks, block{Table: t})
	if len(v.Bounds) > 0 {
		blocks = append(blocks, text("A measure that needs an order of patients is taken from counts in fine bins, because no order leaves a hospital; the bound says by how much that can change it."))
	}
	if p := v.Prediction; p != nil {
		blocks = append(blocks, note("How wide is a prediction? %s of the patients whom the model had not seen lie within ± %s of what it predicted for them (95%% were asked for). A new patient's outcome may be expected as near as that, if such patients come from the same hospitals.",
			plot.Percent(p.Coverage), withUnit(plot.Number(p.HalfWidth), unit)))
	}
	blocks = append(blocks, calibration(v, r.Cohort.Outcome.Positives != nil, unit)...)
	for _, remark := range v.Remarks {
		blocks = append(blocks, note("%s", remark))
	}
	return section{"On patients it had not seen", blocks}
}

// tried says how the validation came about.
func tried(v *validation.Result) string {
	patients := plot.Plural(v.N, "patient", "patients")
	switch v.Kind {
	case study.Holdout:
		return fmt.Sprintf("%s were held out: the model was fitted to the others and tried on them.", capital(patients))
	case study.KFold:
		return fmt.Sprintf("The patients were divided into %d folds. Each of the %s was predicted by a model that was fitted to the other folds; the model above is fitted to all.", v.Models, patients)
	case study.LeaveOneSiteOut:
		return fmt.Sprintf("Each hospital in turn was left out of a fit: %s were predicted by one of %d models that had seen nobody of their hospital. The model above is fitted to all.", patients, v.Models)
	case study.External:
		return fmt.Sprintf("The model was tried on %s of hospitals that did not train.", patients)
	}
	return fmt.Sprintf("The model was tried on %s.", patients)
}

// calibration draws mean outcome against mean prediction, by step of the
// predictions.
func calibration(v *validation.Result, binary bool, unit string) []block {
	if len(v.Calibration) == 0 {
		return nil
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	total := 0
	for _, b := range v.Calibration {
		if b.N != nil && b.Predicted != nil && b.Actual != nil {
			lo, hi = min(lo, *b.Predicted, *b.Actual), max(hi, *b.Predicted, *b.Actual)
			total += *b.N
		}
	}
	if total == 0 {
		return []block{text("No step of the calibration curve has enough patients to be shown.")}
	}
	if binary {
		lo, hi = 0, 1
	}
	number, edge := plot.Number, plot.Plain
	c := &plot.Chart{Title: "Calibration", X: plot.XAxis(lo, hi), Y: plot.YAxis(lo, hi),
		XLabel: unitIn("mean prediction", unit), YLabel: unitIn("mean outcome", unit),
		Caption: "Each dot gathers the patients whose predictions lie between the ends that the table gives; a larger dot stands for more patients. On the dashed line the model is right on average, above it it predicts too little."}
	if binary {
		c.X, c.Y, number = c.X.Percent(), c.Y.Percent(), plot.Percent
		edge = func(x float64) string { return plot.Plain(100*x) + "%" }
		c.XLabel, c.YLabel = "predicted probability", "share with the outcome"
	}
	t := &table{Head: []string{"Predictions", "Patients", "Mean prediction", "Mean outcome"}}
	var dots []plot.Dot
	for _, b := range v.Calibration {
		line := row{Name: edge(b.From) + " to " + edge(b.To)}
		if b.N == nil || b.Predicted == nil || b.Actual == nil {
			line.Cells = []cell{{Text: withheldText + " or none", Withheld: true}, {}, {}}
		} else {
			line.Cells = cells(plot.Grouped(*b.N), number(*b.Predicted), number(*b.Actual))
			dots = append(dots, c.Dot(plot.XY{X: *b.Predicted, Y: *b.Actual}, 4+8*math.Sqrt(float64(*b.N)/float64(total))))
			c.Words += fmt.Sprintf("Predicted %s, observed %s. ", number(*b.Predicted), number(*b.Actual))
		}
		t.Rows = append(t.Rows, line)
	}
	c.Series = []plot.Series{{Dots: dots}}
	c.Lines = []plot.Line{c.Diagonal()}
	return []block{{Chart: c}, {Table: t}}
}

// seen shows the audit's figures of all patients.
func seen(r *pipeline.Result) section {
	if r.Audit == nil || len(r.Audit.Groups) == 0 {
		return section{}
	}
	all := r.Audit.Groups[0].Metrics
	t := &table{Head: []string{"Measure", "Estimate", "95% interval"}}
	for _, m := range Metrics {
		x, ok := all[m.Name]
		if !ok {
			continue
		}
		line := row{Name: m.Heading(r.Audit.Unit), Note: m.Meaning, Cells: cells(m.Text(x.Estimate), "–")}
		if x.Lower != nil && x.Upper != nil {
			line.Cells[1].Text = m.between(*x.Lower, *x.Upper)
		}
		t.Rows = append(t.Rows, line)
	}
	if len(t.Rows) == 0 {
		return section{}
	}
	why := "The study has no validation"
	if slices.ContainsFunc(r.Diagnoses, func(d compute.Diagnosis) bool { return d.Kind == compute.NoValidation }) {
		why = "The validation came to nothing, as a remark says"
	}
	return section{"How well it predicts", []block{
		note("%s: these figures are of the patients that the model was fitted to. Expect larger errors for new ones, of flexible models much larger.", why),
		{Table: t}}}
}

// audited says what the bias audit has found.
func audited(r *pipeline.Result) section {
	a := r.Audit
	if a == nil {
		return section{}
	}
	if len(a.Gaps) == 0 {
		return section{"For whom it errs more", []block{text("%s", auditpage.Uncompared(a))}}
	}
	var found []string
	clear := 0
	for _, g := range a.Gaps {
		switch g.Verdict {
		case fairness.Disparity:
			found = append(found, g.Sentence)
		case fairness.NoDisparity:
			clear++
		}
	}
	blocks := []block{text("Of %d comparisons of groups, %d found a disparity beyond the stated margin, %d found none, and %d cannot be decided from this many patients. That a comparison is undecided does not mean that the groups are alike. The bias audit has all of them, with their figures.",
		len(a.Gaps), len(found), clear, len(a.Gaps)-len(found)-clear)}
	if len(found) > 0 {
		blocks = append(blocks, block{List: found})
	}
	return section{"For whom it errs more", blocks}
}
