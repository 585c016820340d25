package page

import (
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// asked says what the protocol asks; without the protocol, what the result
// shows of it.
func asked(d Document) section {
	s := d.Protocol
	if s == nil {
		return askedByResult(d.Result)
	}
	blocks := []block{text("%s", question(s))}
	facts := []Fact{{"Outcome", outcomeText(s.Outcome)}, {"Features", features(s)}}
	if m := Settings(s.Model); m != "" {
		facts = append(facts, Fact{"Model", m})
	}
	facts = append(facts, Fact{"Patients", cohortRules(s)})
	if s.Model.Kind != study.Describe {
		facts = append(facts, Fact{"Validation", validationText(s.Validation)})
	}
	if m := mitigation.Declared(s); m != "" {
		facts = append(facts, Fact{"Mitigation", m})
	}
	facts = append(facts, Fact{"Privacy", fmt.Sprintf("every opened sum is over at least %d hospitals; figures of fewer than %d patients are withheld",
		s.Privacy.MinimumContributors, s.Fairness.MinimumCell)})
	return section{"What was asked", append(blocks, block{Facts: facts})}
}

func askedByResult(r *pipeline.Result) section {
	var names []string
	for _, f := range r.Cohort.Features {
		names = append(names, f.Column)
	}
	what := "What is the distribution of " + r.Cohort.Outcome.Column + " and of " + list(names) + "?"
	if r.Model != nil {
		what = "How does " + r.Cohort.Outcome.Column + " depend on " + list(names) + "?"
	}
	return section{"What was asked", []block{text("%s", what)}}
}

func question(s *study.Study) string {
	var names []string
	for _, f := range s.Features {
		names = append(names, f.Column)
	}
	from := list(names)
	if from == "" {
		from = "nothing but an intercept"
	}
	subject := s.Outcome.Column
	switch s.Outcome.Type {
	case study.Binary:
		subject = "whether a patient has the outcome in " + s.Outcome.Column
	case study.Survival:
		subject = "the time to the event in " + s.Outcome.Event.Column
	}
	if s.Model.Kind == study.Describe {
		return "How are " + subject + " and " + from + " distributed, and how do they go together?"
	}
	return "How does " + subject + " depend on " + from + "?"
}

func outcomeText(o study.Outcome) string {
	out := o.Column
	if o.Unit != "" {
		out += " in " + o.Unit
	}
	switch o.Type {
	case study.Binary:
		switch {
		case o.AtLeast != nil:
			return fmt.Sprintf("%s of at least %s", o.Column, plot.Plain(*o.AtLeast))
		default:
			return fmt.Sprintf("%s is %s", o.Column, list(o.Positive))
		}
	case study.Count:
		out += ", a count"
	case study.Survival:
		return fmt.Sprintf("%s until %s is %s", out, o.Event.Column, list(o.Event.Positive))
	}
	if o.Range != nil {
		out += fmt.Sprintf(", between %s and %s", plot.Plain(o.Range.Lo), plot.Plain(o.Range.Hi))
	}
	if o.Type == study.Number && o.Scale != study.Identity {
		out += fmt.Sprintf(", fitted on the %s scale", scaleName(string(o.Scale)))
	}
	return out
}

func scaleName(transform string) string {
	if transform == string(study.Sqrt) {
		return "square-root"
	}
	return transform
}

func features(s *study.Study) string {
	var out []string
	for _, f := range s.Features {
		name := f.Column
		if f.Unit != "" {
			name += " (" + f.Unit + ")"
		}
		if f.Type == study.Category {
			name += " (against " + f.Levels[f.Reference].Name + ")"
		}
		out = append(out, name)
	}
	for _, x := range s.Model.Interactions {
		var names []string
		for _, f := range x.Features {
			names = append(names, s.Features[f].Column)
		}
		out = append(out, strings.Join(names, " × "))
	}
	for _, x := range s.Model.Splines {
		out = append(out, fmt.Sprintf("%s as a curve of %d terms", s.Features[x.Feature].Column, x.DF))
	}
	return list(out)
}

// Settings of the model in words.
func Settings(m study.Model) string {
	switch m.Kind {
	case study.GLM:
		out := m.Family + " regression"
		if m.Ridge > 0 {
			out += ", ridge " + plot.Plain(m.Ridge)
		}
		if m.Offset != nil {
			out += ", offset " + m.Offset.Column
		}
		if m.Weights != nil {
			out += ", weights " + m.Weights.Column
		}
		if m.SiteEffects != "" && m.SiteEffects != study.NoSiteEffects {
			out += ", " + m.SiteEffects + " effects of hospitals"
		}
		return out + robust(m)
	case study.Cox:
		out := "proportional hazards, " + m.Ties + " ties, "
		if m.Stratify == study.StratifySite {
			out += "a baseline for each hospital"
		} else {
			out += "one baseline for all hospitals"
		}
		if m.Ridge > 0 {
			out += ", ridge " + plot.Plain(m.Ridge)
		}
		return out + robust(m)
	case study.Boost:
		b := m.Boost
		return fmt.Sprintf("at most %d boosted trees of %d levels, %s loss, learning rate %s, at least %d patients in a leaf",
			b.Trees, b.Depth, b.Loss, plot.Plain(b.LearningRate), b.MinLeaf)
	case study.Neural:
		n := m.Neural
		out := "a network without hidden layers"
		if len(n.Hidden) > 0 {
			var layers []string
			for _, units := range n.Hidden {
				layers = append(layers, plot.Grouped(units))
			}
			out = fmt.Sprintf("a network with hidden layers of %s units (%s)", list(layers), n.Activation)
		}
		out += ", trained by " + n.Strategy
		if n.Strategy != study.FedSGD {
			out += fmt.Sprintf(", %s a round", plot.Plural(n.Epochs, "epoch", "epochs"))
		}
		if n.Clip > 0 {
			out += ", gradients clipped at " + plot.Plain(n.Clip)
		}
		return out
	}
	return ""
}

func robust(m study.Model) string {
	if m.Robust {
		return ", robust standard errors"
	}
	return ""
}

func cohortRules(s *study.Study) string {
	out := "those who have every feature, within its declared range"
	if s.KeepsMissing() {
		out = "those who have the outcome; a feature may be missing"
	}
	if len(s.Cohort.Require) > 0 {
		out += "; " + list(s.Cohort.Require) + " must not be missing"
	}
	for _, e := range s.Cohort.ExcludeIf {
		out += fmt.Sprintf("; not where %s is %s", e.Column, list(e.Equals))
	}
	return out
}

func validationText(v study.Validation) string {
	by := ", each record by itself"
	if v.By != "" {
		by = ", divided by " + v.By
	}
	switch v.Kind {
	case study.Holdout:
		return plot.Plain(100*v.Fraction) + "% of the patients are held out" + by
	case study.KFold:
		return fmt.Sprintf("%d folds%s", v.Folds, by)
	case study.LeaveOneSiteOut:
		return "each hospital is predicted by a model of the others"
	case study.External:
		var names []string
		for _, site := range v.Sites {
			names = append(names, string(site))
		}
		return "tried at " + list(names) + ", which do not train"
	}
	return "none: the model is judged on the patients it was fitted to"
}

// cohort shows who is in the data.
func cohort(c *describe.Cohort) section {
	t := &table{Head: []string{"Variable", "Patients", "Mean", "Standard deviation"},
		Caption: "Over all hospitals together. A category has a line for each level."}
	missing := false
	for _, v := range c.Features {
		missing = missing || v.Missing != nil
	}
	if missing {
		t.Head = append(t.Head, "Missing")
		t.Caption += " Where it is withheld how many miss a number, mean and standard deviation can be rounded: all their digits would tell it."
	}
	line := func(name, note string, n, mean, sd, absent cell) {
		r := row{Name: name, Note: note, Cells: []cell{n, mean, sd}}
		if missing {
			r.Cells = append(r.Cells, absent)
		}
		t.Rows = append(t.Rows, r)
	}
	var none cell
	variable := func(v describe.Variable, note string) {
		absent := none
		if v.Missing != nil {
			absent = count(*v.Missing)
		}
		switch {
		case v.Positives != nil:
			line(v.Column, "have the outcome", count(*v.Positives), none, none, none)
		case v.Events != nil:
			line(v.Column, "time followed, to the event or without it", count(c.Patients), optional(v.Mean), optional(v.SD), none)
			line(v.Column, "have the event", count(*v.Events), none, none, none)
		case v.Levels == nil:
			line(v.Column, strings.Trim(note+", "+v.Unit, ", "), none, optional(v.Mean), optional(v.SD), absent)
		default:
			if v.Missing != nil {
				line(v.Column, note, none, none, none, absent)
			}
			for _, l := range v.Levels {
				line(v.Column+"="+l.Name, note, count(l.Count), none, none, none)
			}
		}
	}
	variable(c.Outcome, "outcome")
	for _, f := range c.Features {
		variable(f, "")
	}
	for _, a := range c.Attributes {
		for _, g := range a.Groups {
			line(a.Column+"="+g.Name, "group of the audit", count(g.Count), none, none, none)
		}
	}
	return section{"Who is in the data", []block{{Table: t}}}
}

// withheld says what is not shown, and why.
func withheld(r *pipeline.Result) section {
	blocks := []block{text("No record and no figure of a single hospital is on this page: by protocol, hospitals send encrypted numbers of which only the sum over those that took part is opened. Figures of fewer than %d patients read “%s”, because so few could be recognised.", r.Cohort.MinimumCell, withheldText)}
	if r.Audit != nil && len(r.Audit.Hidden) > 0 {
		var hidden []string
		for _, h := range r.Audit.Hidden {
			hidden = append(hidden, fmt.Sprintf("%s, %s: %s.", h.Attribute, h.Level, h.Why))
		}
		blocks = append(blocks, block{List: hidden})
	}
	return section{"What is withheld, and why", blocks}
}

// list writes names as a sentence does.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
