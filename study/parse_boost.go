package study

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Most that boosted trees may be asked for: together they bound the sums of a
// study and what a site keeps of it.
const (
	MaxTrees = 2000
	MaxDepth = 10
	MaxBins  = 255
)

// losses by outcome.
var losses = map[Type]string{Number: LossSquared, Binary: LossLogistic, Count: LossPoisson, Survival: LossCox}

func (s *Study) readBoost(r *reader, at *section) {
	fits := losses[s.Outcome.Type]
	b := &BoostModel{
		Loss:         at.choice("loss", fits, LossSquared, LossLogistic, LossPoisson, LossCox),
		Trees:        at.integer("trees", 100, 1, MaxTrees),
		Depth:        at.integer("depth", 6, 1, MaxDepth),
		Bins:         at.integer("bins", 64, 2, MaxBins),
		LearningRate: at.real("learning_rate", 0.1, 1e-4, 1),
		MinLeaf:      at.integer("min_leaf", 20, 1, 1_000_000),
		Lambda:       at.real("lambda", 1, 0, 1e12),
	}
	s.Model.Boost = b
	if r.fault == nil && b.Loss != fits {
		r.fail(at.values["loss"], "model.loss", fmt.Sprintf("use loss: %s, or change outcome.type", fits),
			"model.loss: %s does not fit a %s outcome", b.Loss, s.Outcome.Type)
	}
	b.Baseline = at.choice("baseline", "none", "none", Breslow) == Breslow
	if b.Baseline && b.Loss != LossCox {
		at.refuse("baseline", "only trees of loss cox have a baseline hazard")
	}
	b.Monotone = s.readMonotone(r, at.values["monotone"])
	if at.has("early_stopping") {
		early := r.section(at.values["early_stopping"], "model.early_stopping", "patience", "fraction")
		b.Patience = early.integer("patience", 10, 1, MaxTrees)
		b.Fraction = early.real("fraction", 0.2, 0.01, 0.5)
	}
}

// readMonotone reads a direction for some of the numbers.
func (s *Study) readMonotone(r *reader, n *yaml.Node) map[string]int {
	if n == nil || r.fault != nil {
		return nil
	}
	var columns []string
	for _, f := range s.Features {
		columns = append(columns, f.Column)
	}
	at := r.section(n, "model.monotone", columns...)
	if r.fault != nil {
		return nil
	}
	if len(at.values) == 0 {
		r.fail(n, "model.monotone", "for instance monotone: {age: -1}", "model.monotone names no feature")
	}
	directions := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		column := n.Content[i].Value
		f := slices.IndexFunc(s.Features, func(f Feature) bool { return f.Column == column })
		if s.Features[f].Type != Number {
			r.fail(n.Content[i], at.key(column), "", "%s: a category has no direction", at.key(column))
		}
		direction := at.integer(column, 0, -1, 1)
		if r.fault == nil && direction == 0 {
			r.fail(n.Content[i+1], at.key(column), "", "%s must be 1, never falls, or -1, never rises", at.key(column))
		}
		directions[column] = direction
	}
	return directions
}
