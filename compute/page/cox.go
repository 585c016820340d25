package page

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute/cox"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

func coxSection(m *cox.Model, c *describe.Cohort, curves []block) section {
	strata := "one baseline hazard for all hospitals, on the study's times"
	if m.Stratify == study.StratifySite {
		strata = "a baseline hazard of its own for each hospital"
	}
	words := fmt.Sprintf("A proportional hazards model with %s, over %s of %s.", strata,
		plot.Plural(m.N, "patient", "patients"), plot.Plural(m.Contributors, "hospital", "hospitals"))
	if m.Events != nil {
		words = strings.TrimSuffix(words, ".") + fmt.Sprintf(", of whom %s have the event.", plot.Grouped(*m.Events))
	}
	if m.Ridge > 0 {
		words += fmt.Sprintf(" A ridge penalty of %s draws its coefficients towards zero.", plot.Plain(m.Ridge))
	}
	words += " The hazard is how fast the event comes to those who are still free of it; a feature multiplies it by its hazard ratio. Above 1 the event comes sooner, below 1 later: for a level against the level without a line, for a number with one unit more."
	var terms []coefficient
	for _, t := range m.Terms {
		margin := normal * t.StdError
		terms = append(terms, coefficient{Name: t.Name, Estimate: t.Estimate, StdError: t.StdError, Lower: t.Estimate - margin, Upper: t.Estimate + margin, Statistic: t.Statistic, PValue: t.PValue})
	}
	blocks := []block{text("%s", words)}
	if m.Stratify == study.StratifyNone {
		blocks = append(blocks, note("Time is in %s of the study's grid: they were joined until each had no event or enough not to be withheld, and patients who leave without the event count as still followed until enough others left, too. Where few leave that way, coefficients differ from those of exact times; a baseline for each hospital (stratify: site) has none of this.", plot.Plural(len(m.Baseline), "interval", "intervals")))
	}
	if f := forest(terms, "Hazard ratio", c); f != nil {
		blocks = append(blocks, block{Rows: f})
	}
	blocks = append(blocks, block{Table: coefficientTable(terms, "Hazard ratio", "z", "Coefficients are logarithms of hazard ratios.")})
	switch {
	case m.Robust == nil:
	case m.Robust.By == "patient":
		blocks = append(blocks, note("Patients weigh in this fit by their group, and standard errors are robust: a sandwich in which each patient is one, whatever the weight, as R's coxph has it with weights. The weights themselves count as given."))
	default:
		blocks = append(blocks, note("Standard errors are robust, clustered by %s: %s.", plot.Plural(m.Robust.Clusters, "hospital", "hospitals"), m.Robust.Caveat))
	}
	blocks = append(blocks, curves...)
	if len(m.Dropped) > 0 {
		blocks = append(blocks, note("Left out, because no patient has them: %s.", list(m.Dropped)))
	}
	blocks = append(blocks, block{Head: "How it fits"}, block{Facts: coxFacts(m)})
	blocks = append(blocks, proportional(m)...)
	whose := "of patients with the mean of every column"
	if m.Stratify == study.StratifySite {
		whose += "; of the hospitals' hazards the mean, weighted by who is at risk there"
	}
	blocks = append(blocks, baseline(m.Baseline, m.Outcome, m.Unit, whose)...)
	if m.RMST != nil {
		blocks = append(blocks, restricted(m.RMST, m.Unit)...)
	}
	return section{"The model", append(blocks, convergence(m.Curve, "Minus log partial likelihood per event")...)}
}

// normal quantile of two-sided 95% intervals.
const normal = 1.959963984540054

func coxFacts(m *cox.Model) []Fact {
	test := func(t *cox.Test) string {
		return fmt.Sprintf("χ² %s on %d degrees of freedom, p %s", plot.Number(t.Statistic), t.DF, plot.PValue(t.PValue))
	}
	var robust *cox.Test
	by := "Wald test, clustered by hospital"
	if m.Robust != nil {
		robust = m.Robust.Wald
		if m.Robust.By == "patient" {
			by = "Wald test, robust"
		}
	}
	facts := []Fact{{"Log-likelihood", fmt.Sprintf("%s, without features %s", plot.Likelihood(m.LogLikelihood), plot.Likelihood(m.NullLogLikelihood))}, {"AIC", plot.Likelihood(m.AIC)}}
	for _, t := range []struct {
		name string
		test *cox.Test
	}{{"Likelihood-ratio test", m.LikelihoodRatio}, {"Wald test", m.Wald}, {by, robust}, {"Score test", m.Score}} {
		if t.test != nil {
			facts = append(facts, Fact{t.name, test(t.test)})
		}
	}
	if m.Concordance != nil {
		clustered := ""
		if e := m.Concordance.ClusteredError; e != nil {
			clustered = ", clustered by hospital " + plot.Number(*e)
		}
		facts = append(facts, Fact{"Concordance", fmt.Sprintf("%s (standard error %s%s), on the patients of the fit, compared within hospitals", plot.Number(m.Concordance.Estimate), plot.Number(m.Concordance.StdError), clustered)})
	}
	if each := m.EventsPerCoefficient; each != nil {
		few := ""
		if *each < 10 {
			few = "; below ten, estimates are unsteady"
		}
		facts = append(facts, Fact{"Events per coefficient", plot.Number(*each) + few})
	}
	return append(facts, Fact{"Rounds of the fit", strconv.Itoa(m.Iterations)})
}

// transforms of time, in words.
var transforms = map[string]string{
	study.TimeLog:  "the logarithm of time",
	study.TimeKM:   "the share of patients who have had the event by then",
	study.TimeRank: "the rank of the time",
}

func proportional(m *cox.Model) []block {
	if len(m.Proportional) == 0 {
		return nil
	}
	t := &table{Head: []string{"Feature", "χ²", "Degrees of freedom", "p"}, Caption: "A small p says that a feature's hazard ratio changes with time: then one number does not describe it."}
	if transform, ok := transforms[m.TimeTransform]; ok {
		t.Caption += " Change is looked for with " + transform + "."
	}
	for _, p := range m.Proportional {
		name := p.Term
		if name == "GLOBAL" {
			name = "all together"
		}
		t.Rows = append(t.Rows, row{Name: name, Cells: cells(plot.Number(p.Statistic), strconv.Itoa(p.DF), plot.PValue(p.PValue))})
	}
	return []block{{Head: "Are the hazards proportional?"}, {Table: t}}
}

// baseline draws a baseline survival; whose says which patients it is of.
func baseline(of []hazard.Point, outcome, unit, whose string) []block {
	if len(of) == 0 {
		return nil
	}
	points := []plot.XY{{X: 0, Y: 1}}
	t := &table{Fold: "Baseline as a table", Head: []string{unitIn("Time", unit), "Survival", "Cumulative hazard"}}
	for _, p := range of {
		points = append(points, plot.XY{X: p.Time, Y: p.Survival})
		t.Rows = append(t.Rows, row{Name: plot.Plain(p.Time), Cells: cells(plot.Percent(p.Survival), plot.Number(p.Hazard))})
	}
	last := of[len(of)-1]
	c := &plot.Chart{Title: "Baseline survival", Caption: "The share free of the event, " + whose + ".",
		XLabel: unitIn(outcome, unit), YLabel: "free of the event", X: plot.XAxisTo(0, last.Time), Y: plot.YAxis(0, 1).Percent(),
		Words: fmt.Sprintf("Survival falls from 100%% to %s at %s.", plot.Percent(last.Survival), withUnit(plot.Plain(last.Time), unit))}
	c.Series = []plot.Series{{Path: c.Steps(points)}}
	return []block{{Chart: c}, {Table: t}}
}

// restricted compares restricted mean survival times.
func restricted(r *describe.RMST, unit string) []block {
	t := &table{Head: []string{"Group of " + r.Column, unitIn("Mean time free of the event", unit), "95% interval", "Less " + r.Reference, "95% interval", "p"},
		Caption: fmt.Sprintf("Mean time free of the event within the first %s.", withUnit(plot.Plain(r.Tau), unit))}
	for _, m := range r.Means {
		line := row{Name: m.Group, Cells: cells(plot.Number(m.Estimate), interval(m.Lower, m.Upper), "–", "", "")}
		for _, d := range r.Differences {
			if d.Group == m.Group {
				line.Cells = cells(plot.Number(m.Estimate), interval(m.Lower, m.Upper), plot.Number(d.Estimate), interval(d.Lower, d.Upper), "")
				if d.PValue != nil {
					line.Cells[4].Text = plot.PValue(*d.PValue)
				}
			}
		}
		t.Rows = append(t.Rows, line)
	}
	return []block{{Head: "Restricted mean survival time"}, {Table: t}}
}

func unitIn(name, unit string) string {
	if unit == "" {
		return name
	}
	return name + " (" + unit + ")"
}

func withUnit(value, unit string) string {
	if unit == "" {
		return value
	}
	return value + " " + unit
}
