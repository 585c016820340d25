package study

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// modelKeys are the keys of model by its kind.
var modelKeys = []struct {
	kind string
	keys []string
}{
	{GLM, []string{"kind", "family", "ridge", "offset", "weights", "interactions", "splines", "site_effects", "standard_errors"}},
	{Cox, []string{"kind", "stratify", "ties", "ridge", "interactions", "splines", "standard_errors", "time_transform"}},
	{Boost, []string{"kind", "loss", "trees", "depth", "bins", "learning_rate", "min_leaf", "lambda", "monotone", "early_stopping", "baseline"}},
	{Neural, []string{"kind", "hidden", "activation", "strategy", "epochs", "batch", "optimizer", "server", "proximal", "clip", "decay", "seed", "interactions", "splines"}},
	{Describe, []string{"kind"}},
}

// families of a generalised linear model by outcome.
var families = map[Type][]string{
	Number: {Gaussian, Gamma},
	Binary: {Binomial},
	Count:  {Poisson, NegativeBinomial},
}

func (s *Study) readModel(r *reader, n *yaml.Node) {
	at := s.modelSection(r, n)
	if r.fault != nil {
		return
	}
	m := &s.Model
	m.Ridge = at.real("ridge", 0, 0, 1e12)
	switch m.Kind {
	case GLM:
		s.readGLM(r, at)
	case Cox:
		s.readCox(r, at)
	case Boost:
		s.readBoost(r, at)
	case Neural:
		s.readNeural(r, at)
	}
	m.Robust = at.choice("standard_errors", "model", "model", "robust") == "robust"
	m.ModelErrors = at.has("standard_errors") && !m.Robust
	if m.Robust && m.SiteEffects == RandomSiteEffects {
		at.refuse("standard_errors", "random site effects already say how alike the patients of a site are")
	}
	if m.SiteEffects == RandomSiteEffects {
		if m.Ridge != 0 {
			at.refuse("ridge", "random site effects are fitted without a penalty")
		}
	}
	s.readInteractions(r, at.values["interactions"])
	s.readSplines(r, at.values["splines"])
}

// modelSection finds the kind first: it decides which keys there are.
func (s *Study) modelSection(r *reader, n *yaml.Node) *section {
	var kinds, all []string
	for _, kind := range modelKeys {
		kinds = append(kinds, kind.kind)
		all = append(all, kind.keys...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if keyValue(n, "kind") == nil {
		at := r.section(n, "model", all...)
		at.need("kind", "glm, cox, boost and neural fit a model, describe only counts")
		return at
	}
	// All that can be wrong with the keys is found below, once the kind is known.
	at := &section{reader: r, node: n, path: "model", values: map[string]*yaml.Node{"kind": keyValue(n, "kind")}}
	s.Model.Kind = at.choice("kind", "", kinds...)
	if r.fault != nil {
		return at
	}
	own := modelKeys[slices.Index(kinds, s.Model.Kind)].keys
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if slices.Contains(own, key) || !slices.Contains(all, key) {
			continue
		}
		r.fail(n.Content[i], "model."+key, "remove it", "model.%s: %s", key, s.whyNot(key))
	}
	return r.section(n, "model", own...)
}

// whyNot says why a kind of model lacks a key that others have.
func (s *Study) whyNot(key string) string {
	switch {
	case s.Model.Kind == Describe:
		return "describe fits no model"
	case s.Model.Kind == Boost && (key == "interactions" || key == "splines"):
		return "trees find products and bends by themselves"
	}
	var kinds []string
	for _, kind := range modelKeys {
		if slices.Contains(kind.keys, key) {
			kinds = append(kinds, kind.kind)
		}
	}
	return fmt.Sprintf("%s has none, only %s", s.Model.Kind, strings.Join(kinds, " and "))
}

// keyValue is the value of a mapping's key, nil if there is none.
func keyValue(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func (s *Study) readGLM(r *reader, at *section) {
	m, o := &s.Model, &s.Outcome
	fitting := families[o.Type]
	if len(fitting) == 0 {
		r.fail(at.values["kind"], "model.kind", "use kind: cox or boost, or change outcome.type", "model.kind: glm does not fit a %s outcome", o.Type)
		return
	}
	node := at.need("family", "gaussian or gamma for a number, binomial for a binary outcome, poisson or negative-binomial for a count")
	m.Family = at.choice("family", "", Gaussian, Binomial, Poisson, Gamma, NegativeBinomial)
	if r.fault == nil && !slices.Contains(fitting, m.Family) {
		r.fail(node, "model.family", fmt.Sprintf("use family: %s, or change outcome.type", strings.Join(fitting, " or ")),
			"model.family: %s does not fit a %s outcome", m.Family, o.Type)
	}
	if r.fault == nil && m.Family == Gamma && o.Scale != Identity {
		r.fail(node, "model.family", "remove outcome.transform", "model.family: gamma has a logarithm of its own and takes the outcome as it is")
	}
	if r.fault == nil && m.Family == Gamma && o.Range.Lo <= 0 {
		r.fail(node, "model.family", "", "model.family: gamma needs an outcome.range that begins above 0")
	}
	m.Offset = s.covariate(r, at.values["offset"], "model.offset", Range{-50, 50})
	m.Weights = s.covariate(r, at.values["weights"], "model.weights", Range{0, 1e6})
	if r.fault == nil && m.Weights != nil && m.Weights.Range.Lo < 0 {
		r.fail(at.values["weights"], "model.weights", "", "model.weights: a weight cannot be below 0")
	}
	m.SiteEffects = at.choice("site_effects", NoSiteEffects, NoSiteEffects, FixedSiteEffects, RandomSiteEffects)
}

// covariate is a column, or a column with a range.
func (s *Study) covariate(r *reader, n *yaml.Node, key string, within Range) *Covariate {
	if n == nil || r.fault != nil {
		return nil
	}
	c := &Covariate{Range: within}
	if n.Kind == yaml.MappingNode {
		at := r.section(n, key, "column", "range")
		c.Column = r.name(at.need("column", "name the column"), key+".column")
		if interval := r.interval(at.values["range"], key+".range"); interval != nil {
			c.Range = *interval
		}
	} else {
		c.Column = r.name(n, key)
	}
	s.refuseOutcome(r, n, key, c.Column, "in "+key)
	return c
}

func (s *Study) readCox(r *reader, at *section) {
	if s.Outcome.Type != Survival {
		r.fail(at.values["kind"], "model.kind", "use another kind, or outcome: {type: survival, time: {...}, event: {...}}", "model.kind: cox does not fit a %s outcome", s.Outcome.Type)
	}
	s.Model.Stratify = at.choice("stratify", StratifySite, StratifySite, StratifyNone)
	s.Model.Ties = at.choice("ties", Efron, Efron, Breslow)
	s.Model.TimeTransform = at.choice("time_transform", TimeIdentity, TimeIdentity, TimeLog, TimeKM, TimeRank)
	n := at.values["time_transform"]
	switch {
	case r.fault != nil:
	case n != nil && s.Model.Ridge > 0:
		r.fail(n, "model.time_transform", "remove it, or ridge", "model.time_transform: with a ridge proportional hazards are not tested")
	case s.Model.Stratify == StratifyNone: // whose times are the ends of intervals
	case s.Model.TimeTransform == TimeLog && s.Outcome.Range.Lo <= 0:
		r.fail(n, "model.time_transform", "let outcome.time.range begin above 0", "model.time_transform: a time of 0, which outcome.time.range allows, has no logarithm")
	}
}
