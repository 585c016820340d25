package card

import (
	"fmt"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// withheld stands where a number would show too few patients.
const withheld = "withheld"

func count(c describe.Count) string {
	if c.N == nil {
		return withheld
	}
	return plot.Grouped(*c.N)
}

func unit(text, u string) string {
	if u == "" {
		return text
	}
	return text + " " + u
}

func between(r study.Range) string { return plot.Plain(r.Lo) + " to " + plot.Plain(r.Hi) }

// outcome says what is predicted.
func (c *Card) outcome() string {
	o := c.r.Study.Outcome
	switch o.Type {
	case study.Binary:
		if o.AtLeast != nil {
			return fmt.Sprintf("%s of at least %s", o.Column, unit(plot.Plain(*o.AtLeast), o.Unit))
		}
		return fmt.Sprintf("%s is %s", o.Column, list(o.Positive))
	case study.Survival:
		return fmt.Sprintf("%s until %s is %s", unitIn(o.Column, o.Unit), o.Event.Column, list(o.Event.Positive))
	case study.Count:
		return unitIn(o.Column, o.Unit) + ", a count" + ranged(o.Range)
	}
	return unitIn(o.Column, o.Unit) + ranged(o.Range)
}

func unitIn(text, u string) string {
	if u == "" {
		return text
	}
	return text + " in " + u
}

func ranged(r *study.Range) string {
	if r == nil {
		return ""
	}
	return ", declared from " + between(*r)
}

// output says what the model gives back.
func (c *Card) output() text {
	kind := map[study.Type]string{
		study.Number:   "A prediction, a number: ",
		study.Count:    "A prediction, the expected count: ",
		study.Binary:   "A prediction, a probability from 0 to 1: ",
		study.Survival: "A prediction, the log of a hazard relative to other patients: a higher one means that the event is expected earlier. The outcome is ",
	}[c.r.Study.Outcome.Type]
	blocks := []block{paragraph("%s%s.", kind, c.outcome())}
	if p := c.prediction(); p != "" {
		blocks = append(blocks, block{paragraph: p})
	}
	return computed(blocks...)
}

// prediction says how wide an interval around a prediction is.
func (c *Card) prediction() string {
	p := c.r.Result.Model.Interval
	if p == nil {
		return ""
	}
	return fmt.Sprintf("Around a prediction, an interval of ± %s: of the patients on whom the model was tried, %s lie inside (%s were asked for).",
		unit(plot.Number(p.HalfWidth), c.r.Study.Outcome.Unit), plot.Percent(p.Coverage), plot.Percent(p.Level))
}

// inputs is the table of the features.
func (c *Card) inputs() block {
	b := block{head: []string{"Input", "Type", "Unit", "Declared range or levels", "If missing"}}
	missing := "no prediction"
	if c.r.Study.KeepsMissing() {
		missing = "predicted all the same"
	}
	for _, f := range c.r.Study.Features {
		row := []string{f.Column, string(f.Type), f.Unit, "", missing}
		if f.Type == study.Category {
			var names []string
			for i, level := range f.Levels {
				name := level.Name
				if i == f.Reference {
					name += " (reference)"
				}
				names = append(names, name)
				if level.Name == study.Unknown {
					row[4] = "taken as " + study.Unknown
				}
			}
			row[3] = strings.Join(names, ", ")
		} else {
			row[3] = between(f.Range)
		}
		b.rows = append(b.rows, row)
	}
	if column, levels := c.groupInput(); column != "" {
		b.rows = append(b.rows, []string{column, string(study.Category), "", strings.Join(levels, ", "), "the general model"})
	}
	return b
}

// modelType says what was fitted.
func (c *Card) modelType() string {
	m := c.r.Study.Model
	switch m.Kind {
	case study.GLM:
		out := "Generalised linear model, family " + m.Family
		if scale := c.r.Study.Outcome.Scale; scale == study.Sqrt || scale == study.Log {
			out += ", fitted on the " + map[study.Scale]string{study.Sqrt: "square root", study.Log: "logarithm"}[scale] + " of the outcome"
		}
		if m.Ridge > 0 {
			out += ", ridge " + plot.Plain(m.Ridge)
		}
		return out
	case study.Cox:
		return "Proportional hazards (Cox) model, " + m.Ties + " ties"
	case study.Boost:
		return fmt.Sprintf("Boosted trees: at most %d of %s, %s loss", m.Boost.Trees, plot.Plural(m.Boost.Depth, "level", "levels"), m.Boost.Loss)
	case study.Neural:
		return fmt.Sprintf("Neural network with %s, trained by %s", plot.Plural(len(m.Neural.Hidden), "hidden layer", "hidden layers"), m.Neural.Strategy)
	}
	return m.Kind
}

// criteria say who is in the training data.
func (c *Card) criteria() text {
	s := c.r.Study
	items := []string{"Included: records with the outcome and every input, each within its declared range or levels."}
	if s.KeepsMissing() {
		items[0] = "Included: records with the outcome; an input may be missing, and one that is there must be within its declared range or levels."
	}
	if len(s.Missing) > 0 {
		items = append(items, "Words that mean missing, besides the empty cell: "+list(s.Missing)+".")
	}
	if len(s.Cohort.Require) > 0 {
		items = append(items, "Included only where these are not missing: "+list(s.Cohort.Require)+".")
	}
	for _, e := range s.Cohort.ExcludeIf {
		items = append(items, fmt.Sprintf("Excluded: records in which %s is %s.", e.Column, list(e.Equals)))
	}
	return computed(block{items: items})
}

// size says how many patients of how many hospitals.
func (c *Card) size() string {
	cohort := c.r.Result.Cohort
	patients := count(cohort.Patients) + " patients"
	if cohort.Patients.N == nil {
		patients = "a number of patients that is " + withheld
	}
	return fmt.Sprintf("%s of %s", patients, plot.Plural(cohort.Contributors, "hospital", "hospitals"))
}

// groups is the table of the patients by attribute of the audit.
func (c *Card) groups() text {
	cohort := c.r.Result.Cohort
	b := block{head: []string{"Group", "Patients"}}
	for _, a := range cohort.Attributes {
		for _, g := range a.Groups {
			b.rows = append(b.rows, []string{a.Column + ": " + g.Name, count(g.Count)})
		}
	}
	if a := c.r.Result.Audit; a != nil && a.Noise != nil && len(a.Groups) > 1 {
		return computed(paragraph("The data are of %s. How many patients each group has carries random noise (epsilon %g): the audit has the counts.", c.size(), a.Noise.Epsilon))
	}
	if b.rows == nil {
		return computed(paragraph("The study declares no groups of patients, so that the composition of its %s was not examined.", c.size()))
	}
	return computed(paragraph("The data are of %s. Counts below %d are withheld.", c.size(), cohort.MinimumCell), b)
}

// patients is the table of outcome and inputs.
func (c *Card) patients() block {
	b := block{head: []string{"Variable", "Patients", "Mean", "Standard deviation"}}
	number := func(x *float64) string {
		if x == nil {
			return ""
		}
		return plot.Number(*x)
	}
	for i, v := range append([]describe.Variable{c.r.Result.Cohort.Outcome}, c.r.Result.Cohort.Features...) {
		name := v.Column
		if v.Unit != "" {
			name += " (" + v.Unit + ")"
		}
		if i == 0 {
			name += ", the outcome"
		}
		for _, have := range []struct {
			what  string
			count *describe.Count
		}{{"have the outcome", v.Positives}, {"have the event", v.Events}, {"missing", v.Missing}} {
			if have.count != nil {
				b.rows = append(b.rows, []string{name + ": " + have.what, count(*have.count), "", ""})
			}
		}
		for _, level := range v.Levels {
			b.rows = append(b.rows, []string{v.Column + ": " + level.Name, count(level.Count), "", ""})
		}
		if v.Levels == nil && v.Positives == nil {
			b.rows = append(b.rows, []string{name, "", number(v.Mean), number(v.SD)})
		}
	}
	return b
}

// elements says which inputs and attributes hold what the rule lists.
func (c *Card) elements() text {
	var inputs []string
	for _, f := range c.r.Study.Features {
		inputs = append(inputs, f.Column)
	}
	if column, _ := c.groupInput(); column != "" {
		inputs = append(inputs, column)
	}
	all := "The inputs are " + list(inputs) + "."
	if len(inputs) == 0 {
		all = "The model has no inputs."
	}
	if len(c.r.About.Elements) == 0 {
		return computed(paragraph("%s Which of them hold race, ethnicity, language, sexual orientation, gender identity, sex, date of birth, social determinants of health or health status is not stated by the developer.", all))
	}
	b := block{head: []string{"Element", "Inputs", "Groups of the audit"}}
	for _, name := range Elements {
		var used, audited []string
		for _, column := range c.r.About.Elements[name] {
			if slices.Contains(inputs, column) {
				used = append(used, column)
			}
			if slices.ContainsFunc(c.r.Study.Fairness.Attributes, func(a study.Attribute) bool { return a.Column == column }) {
				audited = append(audited, column)
			}
		}
		b.rows = append(b.rows, []string{strings.ReplaceAll(name, "_", " "), orNone(used), orNone(audited)})
	}
	t := computed(paragraph("%s Which of them hold which element is as the developer states it:", all), b)
	t.stated = true
	return t
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none stated"
	}
	return list(names)
}

// privacy says what left the hospitals.
func (c *Card) privacy() text {
	s := c.r.Study
	blocks := []block{paragraph("By protocol no record leaves a hospital. Each sends encrypted vectors of which only the sum is opened, over at least %d hospitals and by %s of those that hold a share of the key. This release rests on %s. Figures of fewer than %d patients are withheld.",
		s.Privacy.MinimumContributors, map[bool]string{true: "all", false: "more than two thirds"}[s.Privacy.Threshold == study.Unanimous],
		plot.Plural(len(c.r.Rounds), "opened sum", "opened sums"), s.Fairness.MinimumCell)}
	if notes := pipeline.Shown(s); len(notes) > 0 {
		blocks = append(blocks, paragraph("What the opened sums show beside the model:"), block{items: notes})
	}
	return computed(blocks...)
}

// provenance says how the release can be checked.
func (c *Card) provenance() text {
	steps, order := map[string]int{}, []string{}
	least, most := 0, 0
	for _, r := range c.r.Rounds {
		if steps[r.Step]++; steps[r.Step] == 1 {
			order = append(order, r.Step)
		}
		if least == 0 || r.Contributors < least {
			least = r.Contributors
		}
		most = max(most, r.Contributors)
	}
	var items []string
	for _, step := range order {
		items = append(items, fmt.Sprintf("%s: %s", step, plot.Plural(steps[step], "round", "rounds")))
	}
	hospitals := plot.Plural(most, "hospital", "hospitals")
	if least != most {
		hospitals = fmt.Sprintf("%d to %s", least, hospitals)
	}
	blocks := []block{paragraph("%s, each over %s. Every question, sum and signature behind them is in the study's evidence, from which the model and the audit can be computed again: consilium audit fetch, consilium audit verify.",
		capital(plot.Plural(len(c.r.Rounds), "published round", "published rounds")), hospitals)}
	if len(items) > 0 {
		blocks = append(blocks, block{items: items})
	}
	return computed(blocks...)
}

// decisions of the hospitals about the release.
func (c *Card) decisions() text {
	return computed(paragraph("Before a hospital takes a release it tries it on its own patients and keeps what it sees: those figures are not known here. So far %s, %s.",
		plot.Plural(c.r.Accepted, "hospital has accepted it", "hospitals have accepted it"), plot.Plural(c.r.Refused, "has refused it", "have refused it")))
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// list writes names as a sentence does.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
