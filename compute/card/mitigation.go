package card

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// mitigation says what was done about differences between groups, and what the
// model asks for because of it; after that, what people state.
func (c *Card) mitigation() text {
	m := c.r.Result.Mitigation
	if m == nil {
		return stated(c.r.About.BiasManagement)
	}
	return computed(c.mitigated()...).with(c.r.About.BiasManagement)
}

// mitigated is what the software says of it; nothing where there is none.
func (c *Card) mitigated() []block {
	m := c.r.Result.Mitigation
	if m == nil {
		return nil
	}
	method := map[string]string{
		study.Reweigh:          "patients weigh in the fit by %s",
		study.BoundedGroupLoss: "groups of %s for whom the model loses more weigh more in the fit",
		study.QFedAvg:          "hospitals where the network loses more count more in every round (groups: %s)",
		study.FairFed:          "hospitals whose own gap between groups of %s is near that of all patients count more in every round",
		study.Recalibrate:      "predictions of each group of %s are moved along a line of its own",
		study.GroupThresholds:  "each group of %s is called positive from a probability of its own",
	}[m.Method]
	if m.Method == study.Recalibrate && m.Error == mitigation.Discordance {
		method = "the hazard of each group of %s is multiplied by a factor of its own"
	}
	released := "The model without mitigation is released."
	if m.Released > 0 {
		released = "The model at strength " + plot.Plain(m.Released) + " is released."
	}
	out := []block{paragraph("The study declared a mitigation, its strengths and the one that is released before there was a result: %s. %s", fmt.Sprintf(method, m.Attribute), released)}
	if m.NeedsGroup {
		out = append(out, paragraph("The model asks for %s. A patient whose %s is not known, not declared, or of a group that was too small has the general model. Whether a decision may depend on it is for the clinic and the law to say.", m.Attribute, m.Attribute))
	}
	table := block{head: []string{"Strength", m.Error + ", all patients", "Largest gap, " + m.Measure, "Between"}}
	for _, p := range m.Points {
		name := plot.Plain(p.Strength)
		if p.Released {
			name += " (released)"
		}
		table.rows = append(table.rows, append([]string{name}, pointText(p)...))
	}
	return append(out, table)
}

func pointText(p mitigation.Point) []string {
	between := func(x float64, lower, upper *float64) string {
		if lower == nil || upper == nil {
			return plot.Number(x)
		}
		return fmt.Sprintf("%s (%s to %s)", plot.Number(x), plot.Number(*lower), plot.Number(*upper))
	}
	out := []string{"–", "–", "–"}
	if p.Failed != "" {
		out[2] = "no model: " + p.Failed
	}
	if p.Error != nil {
		out[0] = between(p.Error.Estimate, p.Error.Lower, p.Error.Upper)
	}
	if g := p.Gap; g != nil {
		out[1], out[2] = between(g.Estimate, g.Lower, g.Upper), g.High+" and "+g.Low
	}
	return out
}

// groupInput is the input that a released mitigation adds; empty for none. A
// feature that is the attribute too is asked for once.
func (c *Card) groupInput() (column string, levels []string) {
	m := c.r.Study.Mitigation
	if !m.NeedsGroup() {
		return "", nil
	}
	a := c.r.Study.Fairness.Attributes[m.Attribute]
	for _, f := range c.r.Study.Features {
		if f.Column == a.Column {
			return "", nil
		}
	}
	return a.Column, a.Groups()[:len(a.Levels)]
}
