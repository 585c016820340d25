package pipeline

import (
	"errors"
	"reflect"

	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/study"
)

// Group is what a model that asks for a patient's group does for it.
type Group struct {
	// Name of the group, or general: for a patient whose group is unknown, not
	// declared, or has nothing of its own.
	Name string
	// Positive says whether the patient is called positive from the threshold of
	// the group; nil where the model has no such thresholds.
	Positive *bool
}

// NeedsGroup reports whether the model asks for a patient's group, which is the
// column of the mitigation's attribute.
func (p *Predictor) NeedsGroup() bool {
	return p.study.Mitigation.NeedsGroup() && p.model.Mitigation != nil
}

// HasThresholds reports whether the model calls patients positive by group.
func (p *Predictor) HasThresholds() bool {
	return p.NeedsGroup() && p.model.Mitigation.Cuts(p.study) != nil
}

// PredictFor is Predict for a patient of a group, by its index among those of the
// mitigation's attribute. It is Predict where the model does not ask.
func (p *Predictor) PredictFor(row []float64, offset float64, group int) (glm.Prediction, Group, error) {
	out, err := p.Predict(row, offset)
	if err != nil || !p.NeedsGroup() {
		return out, Group{}, err
	}
	applied := p.model.Mitigation
	own := Group{Name: "general"}
	if applied.Groups[group].General == "" {
		own.Name = applied.Groups[group].Level
	}
	if cuts := applied.Cuts(p.study); cuts != nil {
		positive := out.Value >= cuts[group]
		own.Positive = &positive
		return out, own, nil
	}
	move := func(x float64) float64 { return applied.Lines().Move(p.study, group, x) }
	if p.study.Outcome.Type == study.Survival { // a probability here, the hazard of which the factor is about
		move = func(x float64) float64 { return applied.Lines().Risk(group, x) }
	}
	for i, c := range out.Contributions {
		out.Contributions[i].Change = move(out.Value) - move(out.Value-c.Change)
	}
	out.Value, out.Baseline = move(out.Value), move(out.Baseline)
	if out.Lower, out.Upper = move(out.Lower), move(out.Upper); out.Lower > out.Upper {
		out.Lower, out.Upper = out.Upper, out.Lower
	}
	return out, own, nil
}

// sameLines refuses to apply a release whose predictions depend on the group in a
// study that does not declare the same groups and mitigation.
func sameLines(s, of *study.Study) error {
	m := of.Mitigation
	if !m.NeedsGroup() || m.Method != study.Recalibrate {
		return nil
	}
	if s.Mitigation == nil || s.Mitigation.Method != m.Method ||
		!reflect.DeepEqual(s.Fairness.Attributes[s.Mitigation.Attribute], of.Fairness.Attributes[m.Attribute]) {
		return errors.New("the release's predictions depend on the group: the study that watches it repeats the release's mitigation and its attribute")
	}
	return nil
}
