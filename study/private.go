package study

import "go.yaml.in/yaml/v3"

// checkPrivate refuses what no patients could make private: a sum that is one
// hospital's own by subtraction or by name, and leaves smaller than the cells
// that the study itself hides.
func (s *Study) checkPrivate(r *reader, values map[string]*yaml.Node) {
	if r.fault != nil {
		return
	}
	floor := s.Privacy.MinimumContributors
	switch v := s.Validation; {
	case v.Kind == LeaveOneSiteOut && floor < 3:
		r.fail(values["validation"], "validation", "write privacy: {minimum_contributors: 3} or more",
			"validation: leaving one of two hospitals out shows the sums of the other alone")
	case v.Kind == External && len(v.Sites) < floor:
		r.fail(values["validation"], "validation.sites", "name more hospitals that only validate",
			"validation.sites: a sum over %d of them would be over fewer hospitals than minimum_contributors, which is %d", len(v.Sites), floor)
	case s.Model.Boost != nil && s.Model.Boost.MinLeaf < s.Fairness.MinimumCell:
		r.fail(values["model"], "model.min_leaf", "raise min_leaf",
			"model.min_leaf: a leaf of %d patients is smaller than fairness.minimum_cell, which is %d", s.Model.Boost.MinLeaf, s.Fairness.MinimumCell)
	}
}
