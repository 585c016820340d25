package card

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// measure says how a metric is called and in what it is measured.
type measure struct {
	name, title string
	scale       float64
	unit        string // "%" or empty
	ofOutcome   bool   // in the outcome's unit
	safety      bool   // belongs to safety and reliability rather than to usefulness
	byGroup     bool   // shown for each group
	whole       bool   // is a count
}

// measures in the order in which they are shown. A metric that is not here is
// in the audit's own report.
var measures = []measure{
	{name: "mae", title: "Mean absolute error", scale: 1, ofOutcome: true, byGroup: true},
	{name: "rmse", title: "Root mean square error", scale: 1, ofOutcome: true},
	{name: "within20", title: "Predicted within 20%", scale: 1, unit: "%", byGroup: true},
	{name: "r2", title: "R², share of the outcome's spread explained", scale: 1},
	{name: "deviance", title: "Mean Poisson deviance", scale: 1},
	{name: "auc", title: "Area under the ROC curve", scale: 1},
	{name: "tpr", title: "True positive rate at a probability of 0.5", scale: 100, unit: "%", byGroup: true},
	{name: "fpr", title: "False positive rate at a probability of 0.5", scale: 100, unit: "%", byGroup: true},
	{name: "ppv", title: "Positive predictive value at a probability of 0.5", scale: 100, unit: "%"},
	{name: "brier", title: "Brier score", scale: 1},
	{name: "logloss", title: "Log loss", scale: 1},
	{name: "cindex", title: "Concordance within hospitals (C-index)", scale: 1, byGroup: true},
	{name: "prevalence", title: "Share with the outcome", scale: 100, unit: "%"},
	{name: "events", title: "Patients with the event", scale: 1, whole: true},
	{name: "event_share", title: "Share with the event", scale: 100, unit: "%", byGroup: true},
	{name: "bias", title: "Bias, mean of predicted minus actual", scale: 1, ofOutcome: true, safety: true, byGroup: true},
	{name: "under20", title: "Predicted more than 20% too low", scale: 1, unit: "%", safety: true},
	{name: "over20", title: "Predicted more than 20% too high", scale: 1, unit: "%", safety: true},
	{name: "calibration_in_the_large", title: "Mean of predicted minus observed", scale: 100, unit: "percentage points", safety: true, byGroup: true},
	{name: "calibration_slope", title: "Calibration slope, 1 being right", scale: 1, safety: true},
	{name: "oe", title: "Observed over expected events", scale: 1, safety: true, byGroup: true},
	{name: "interval_coverage", title: "Inside the released interval", scale: 1, unit: "%", safety: true, byGroup: true},
}

// figure is a number with its interval, already in the unit of the measure.
type figure struct {
	measure
	subject      string // group; empty for all patients
	n            int    // patients; 0 if it is told elsewhere
	value        float64
	lower, upper *float64
	bound        float64 // how far a value from bins can be from the exact one
}

func (f figure) number() string { return f.show(f.value) }

func (f figure) show(x float64) string {
	switch {
	case f.whole:
		return plot.Grouped(int(x))
	case f.unit == "%":
		return plot.Minus(strconv.FormatFloat(x, 'f', 1, 64)) + "%"
	}
	return unit(plot.Number(x), f.unit)
}

func (f figure) interval() string {
	if f.lower == nil || f.upper == nil {
		return ""
	}
	if f.unit == "%" || f.whole {
		return f.show(*f.lower) + " to " + f.show(*f.upper)
	}
	return unit(plot.Number(*f.lower)+" to "+plot.Number(*f.upper), f.unit)
}

// label names the figure where only its value stands beside it.
func (f figure) label() string {
	out := f.title
	if f.subject != "" {
		out = f.subject + ": " + out
	}
	if f.n > 0 {
		out += fmt.Sprintf(", %s patients", plot.Grouped(f.n))
	}
	if i := f.interval(); i != "" {
		out += ", 95% interval " + i
	}
	if f.bound > 0 {
		out += ", exact within " + plot.Number(f.bound)
	}
	return out
}

// valueJSON is the form in which the CHAI card holds a value.
func (f figure) valueJSON() string {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(f.value, 'g', 4, 64), 64)
	if math.Abs(f.value) >= 1000 {
		rounded = math.Round(f.value)
	}
	b, err := json.Marshal(struct {
		Kind  string  `json:"kind"`
		Value float64 `json:"value"`
		Unit  string  `json:"unit,omitempty"`
	}{"single", rounded, clean(f.unit)})
	if err != nil {
		return `{"kind":"single","value":null}` // an infinite number has no JSON
	}
	return string(b)
}

// figuresOf are the figures that measures exist for, in their order.
func (c *Card) figuresOf(metrics map[string]fairness.Metric) []figure {
	var out []figure
	for _, m := range measures {
		x, ok := metrics[m.name]
		if !ok {
			continue
		}
		if m.ofOutcome {
			m.unit = c.r.Study.Outcome.Unit
		}
		f := figure{measure: m, value: m.scale * x.Estimate}
		if x.Lower != nil && x.Upper != nil {
			lower, upper := m.scale*(*x.Lower), m.scale*(*x.Upper)
			f.lower, f.upper = &lower, &upper
		}
		if x.Bound != nil {
			f.bound = m.scale * (*x.Bound)
		}
		out = append(out, f)
	}
	return out
}

// overall are the figures of all patients on whom the model was tried; without
// a validation, of those it was fitted to.
func (c *Card) overall() []figure {
	metrics := map[string]fairness.Metric{}
	if a := c.r.Result.Audit; a != nil && len(a.Groups) > 0 {
		for name, m := range a.Groups[0].Metrics {
			metrics[name] = m
		}
	}
	v := c.r.Result.Validation
	if v == nil {
		return c.figuresOf(metrics)
	}
	for name, x := range v.Metrics {
		m := fairness.Metric{Estimate: x}
		if i, ok := v.Intervals[name]; ok {
			m.Lower, m.Upper = &i.Lower, &i.Upper
		}
		metrics[name] = m
	}
	figures := c.figuresOf(metrics)
	for i, f := range figures {
		if bound := v.Bounds[f.name]; bound > 0 {
			figures[i].bound = f.scale * bound
		}
	}
	return figures
}

// part of the figures that belong to safety, or of the others.
func part(figures []figure, safety bool) (out []figure) {
	for _, f := range figures {
		if f.safety == safety {
			out = append(out, f)
		}
	}
	return out
}

// ofGroup are the figures by which a group is compared; none if it has none to
// show.
func (c *Card) ofGroup(g fairness.Group) []figure {
	if g.State != fairness.OK || g.N == nil {
		return nil
	}
	var out []figure
	for _, f := range c.figuresOf(g.Metrics) {
		if f.byGroup {
			f.subject, f.n = groupName(g), *g.N
			out = append(out, f)
		}
	}
	return out
}

// groupName names a group, and those that are counted in its place.
func groupName(g fairness.Group) string {
	switch {
	case g.As != "":
		return fmt.Sprintf("%s: %s (%s)", g.Attribute, g.As, list(append([]string{g.Level}, g.With...)))
	case g.With != nil:
		return fmt.Sprintf("%s: %s", g.Attribute, list(append([]string{g.Level}, g.With...)))
	}
	return g.Attribute + ": " + g.Level
}

// byGroup are the figures of the groups that the audit shows.
func (c *Card) byGroup() []figure {
	var out []figure
	for _, g := range c.auditedGroups() {
		out = append(out, c.ofGroup(g)...)
	}
	return out
}

// auditedGroups are all groups but that of all patients.
func (c *Card) auditedGroups() []fairness.Group {
	if a := c.r.Result.Audit; a != nil && len(a.Groups) > 1 {
		return a.Groups[1:]
	}
	return nil
}

// groupTable has a row for each group, with the interval behind each figure. What is
// withheld, what is undefined for the group, and a group of nobody are told apart.
func (c *Card) groupTable() block {
	shown := c.byGroup()
	b := block{head: []string{"Group", "Patients"}}
	var columns []string
	for _, m := range measures {
		for _, f := range shown {
			if f.name == m.name {
				head := f.title
				if f.unit != "" && f.unit != "%" {
					head += " (" + f.unit + ")"
				}
				columns, b.head = append(columns, m.name), append(b.head, head+", 95% interval")
				break
			}
		}
	}
	for _, g := range c.auditedGroups() {
		row := make([]string, len(b.head))
		row[0], row[1] = groupName(g), withheld
		if g.N != nil {
			row[1] = plot.Grouped(*g.N)
			if g.Noise != nil {
				row[1] = "≈ " + row[1]
			}
		}
		for at, name := range columns {
			if g.Undefined[name] != "" {
				row[2+at] = "not estimable"
			}
			if slices.Contains(g.Withheld, name) {
				row[2+at] = withheld
			}
		}
		for _, f := range c.ofGroup(g) {
			cell := f
			if f.unit != "%" {
				cell.unit = "" // it is in the head
			}
			text := cell.number()
			if i := cell.interval(); i != "" {
				text += " (" + i + ")"
			}
			row[2+slices.Index(columns, f.name)] = text
		}
		b.rows = append(b.rows, row)
	}
	return b
}

// table of figures of all patients.
func table(figures []figure) block {
	b := block{head: []string{"Measure", "Estimate", "95% interval"}}
	for _, f := range figures {
		number := f.number()
		if f.bound > 0 {
			number += " (exact within " + plot.Number(f.bound) + ")"
		}
		b.rows = append(b.rows, []string{f.title, number, f.interval()})
	}
	return b
}

// validity is how the model does for all patients, and on whom that rests.
func (c *Card) validity() text {
	t := c.tested()
	if figures := c.overall(); figures != nil {
		t.blocks = append(t.blocks, table(figures))
	}
	return t
}

// fairness is how it does by group.
func (c *Card) fairness() text {
	t := c.compared()
	if c.auditedGroups() != nil {
		t.blocks = append(t.blocks, c.groupTable())
	}
	return t
}

// hidden lists the groups that have no figures, and why.
func (c *Card) hidden() []string {
	var out []string
	if a := c.r.Result.Audit; a != nil {
		for _, h := range a.Hidden {
			out = append(out, fmt.Sprintf("%s: %s: %s (%s)", h.Attribute, h.Level, withheld, h.Why))
		}
	}
	return out
}

// tested says on whom the figures rest.
func (c *Card) tested() text {
	v := c.r.Result.Validation
	if v == nil {
		return computed(paragraph("The study tries its model on nobody that it had not seen: the figures are of the patients that the model was fitted to. Expect larger errors for new patients, of flexible models much larger."))
	}
	return computed(block{paragraph: tried(v)})
}

func tried(v *validation.Result) string {
	patients := plot.Plural(v.N, "patient", "patients")
	switch v.Kind {
	case study.Holdout:
		return fmt.Sprintf("%s of the same hospitals were held out: the model was fitted to the others and tried on them.", capital(patients))
	case study.KFold:
		return fmt.Sprintf("%s were divided into %d folds; each was predicted by a model that was fitted to the other folds. The released model is fitted to all of them.", capital(patients), v.Models)
	case study.LeaveOneSiteOut:
		return fmt.Sprintf("Each hospital in turn was left out: %s were predicted by one of %d models that had seen nobody of their hospital. The released model is fitted to all hospitals, so that none is outside of it.", patients, v.Models)
	case study.External:
		return fmt.Sprintf("The model was tried on %s of hospitals that took no part in training.", patients)
	}
	return fmt.Sprintf("The model was tried on %s.", patients)
}

// testKind is a word or two for it.
func (c *Card) testKind() string {
	v := c.r.Result.Validation
	if v == nil {
		return "Apparent: on the patients of the fit"
	}
	switch v.Kind {
	case study.Holdout:
		return "Internal: patients held out"
	case study.KFold:
		return fmt.Sprintf("Internal: %d-fold cross-validation", v.Models)
	case study.LeaveOneSiteOut:
		return "Internal-external: leave one hospital out"
	case study.External:
		return "External: other hospitals"
	}
	return v.Kind
}

// verdicts counts how the comparisons of groups ended.
func (c *Card) verdicts() (made, found, none int, sentences []string) {
	a := c.r.Result.Audit
	if a == nil {
		return
	}
	for _, g := range a.Gaps {
		switch g.Verdict {
		case fairness.Disparity:
			found++
			sentences = append(sentences, g.Sentence)
		case fairness.NoDisparity:
			none++
		}
	}
	return len(a.Gaps), found, none, sentences
}

// compared says what the comparisons of groups found.
func (c *Card) compared() text {
	made, found, none, sentences := c.verdicts()
	var blocks []block
	if made == 0 {
		blocks = append(blocks, paragraph("No groups of patients were compared: the study declares none, no two are large enough, or there is no measure by which the audit compares them."))
	} else {
		blocks = append(blocks, paragraph("Of %s of groups, %d found a disparity beyond the margin, %d found none, and for %d there is insufficient evidence. That a comparison is undecided does not mean that the groups are alike.",
			plot.Plural(made, "comparison", "comparisons"), found, none, made-found-none))
	}
	if sentences != nil {
		blocks = append(blocks, block{items: sentences})
	}
	blocks = append(blocks, c.judged()...)
	if hidden := c.hidden(); hidden != nil {
		blocks = append(blocks, block{items: hidden})
	}
	return computed(blocks...)
}

// declared says what the audit had to follow.
func (c *Card) declared() text {
	f := c.r.Study.Fairness
	var columns []string
	for _, a := range f.Attributes {
		columns = append(columns, a.Column)
	}
	if columns == nil {
		return computed(paragraph("The protocol declares no groups of patients: errors were examined for all patients together."))
	}
	by, crossings := list(columns), []string{}
	for _, x := range f.Intersections {
		var crossed []string
		for _, a := range x {
			crossed = append(crossed, f.Attributes[a].Column)
		}
		crossings = append(crossings, strings.Join(crossed, " × "))
	}
	if len(crossings) > 0 {
		by += ", and together by " + list(crossings)
	}
	blocks := []block{paragraph("The protocol, which hospitals approved before the first round, declares that errors are examined by %s, each with a group for unknown values, and that figures of fewer than %d patients are withheld.", by, f.MinimumCell)}
	if criteria := c.criteriaOfFairness(); criteria != nil {
		blocks = append(blocks, paragraph("It declares what would count as a disparity:"), block{items: criteria})
	}
	if f.Purpose != nil {
		blocks = append(blocks, paragraph("It gives as purpose of telling patients apart by descent: %s; and as basis: %s.", f.Purpose.Stratification, f.Purpose.Basis))
	}
	return computed(blocks...)
}

// criteriaOfFairness are the study's own, in words.
func (c *Card) criteriaOfFairness() []string {
	var out []string
	for _, criterion := range c.r.Study.Fairness.Criteria {
		out = append(out, fairness.Threshold(c.r.Study, criterion))
	}
	return out
}

// unexamined says what the figures cannot tell.
func (c *Card) unexamined() []string {
	var out []string
	v := c.r.Result.Validation
	if v == nil {
		out = append(out, "How the model does on patients whom it was not fitted to.")
	}
	if v == nil || v.Kind != study.External {
		out = append(out, "How the model does at hospitals that took no part in the study.")
	}
	out = append(out, "Whether using the model helps patients: it was not tried in care.",
		"What happens after the release: how patients and practice change over time.",
		"Whether the records say what happened to the patients.")
	if len(c.r.Study.Fairness.Attributes) == 0 {
		out = append(out, "Whether errors differ between groups of patients: the study declares none.")
	}
	for _, d := range c.r.Result.Diagnoses {
		out = append(out, "Remark of the software: "+d.Error()+".")
	}
	if a := c.r.Result.Audit; a != nil {
		out = append(out, a.Limits...)
	} else {
		out = append(out, "For whom the model errs more: there is no bias audit.")
	}
	return out
}
