package study

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// MaxFolds is the most folds of a k-fold validation: each is a fit of its own.
const MaxFolds = 50

// validationKeys are the keys of validation by its kind.
var validationKeys = map[string][]string{
	Holdout:         {"fraction", "by"},
	KFold:           {"folds", "by"},
	LeaveOneSiteOut: {},
	External:        {"sites"},
}

func (s *Study) readValidation(r *reader, n *yaml.Node) {
	if n == nil || r.fault != nil {
		return
	}
	if s.Model.Kind == Describe {
		r.fail(n, "validation", "remove it", "validation: describe fits no model")
	}
	at := r.section(n, "validation", "kind", "fraction", "folds", "by", "sites")
	at.need("kind", "holdout, k-fold, leave-one-site-out or external")
	v := &s.Validation
	v.Kind = at.choice("kind", "", Holdout, KFold, LeaveOneSiteOut, External)
	if r.fault != nil {
		return
	}
	for _, key := range []string{"fraction", "folds", "by", "sites"} {
		if !slices.Contains(validationKeys[v.Kind], key) {
			at.refuse(key, fmt.Sprintf("%s has none", v.Kind))
		}
	}
	switch v.Kind {
	case Holdout:
		v.Fraction = at.real("fraction", 0.2, 0.01, 0.9)
	case KFold:
		v.Folds = at.integer("folds", 5, 2, MaxFolds)
	case External:
		at.need("sites", "list the hospitals that only validate")
		for _, name := range r.texts(at.values["sites"], "validation.sites", maxValues) {
			if name == "" {
				r.fail(at.values["sites"], "validation.sites", "", "validation.sites holds an empty name")
			}
			v.Sites = append(v.Sites, SiteID(name))
		}
	}
	if at.has("by") {
		v.By = r.name(at.values["by"], "validation.by")
	}
}
