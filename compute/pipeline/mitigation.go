package pipeline

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/study"
)

// mitigating makes the models of the study's grid beside the one without
// mitigation, and compares them by audits of their own.
type mitigating struct {
	within     scope
	counts     *describe.Counts
	candidates []candidate // by strength, from 0
	fitting    int         // the candidate whose fit is under way, 0 for none
	released   int
	cut        int               // predictions that count as less far outside the outcome's range
	sides      *mitigation.Sides // of fairfed
	then       func(*Model, []compute.Diagnosis) error
}

// candidate is one model of the curve.
type candidate struct {
	strength float64
	model    *Model
	remarks  []compute.Diagnosis
	changes  []mitigation.Change
	failed   string // why there is no model
	audit    *fairness.Audit
}

// mitigate goes on from the model without mitigation to the one that the study
// releases.
func (s *course) mitigate(within scope, base *Model, counts *describe.Counts, remarks []compute.Diagnosis, then func(*Model, []compute.Diagnosis) error) error {
	if s.study.Mitigation == nil {
		return then(base, remarks)
	}
	m := &mitigating{within: within, counts: counts, candidates: []candidate{{model: base, remarks: remarks}}, then: then}
	for i, strength := range s.study.Mitigation.Strengths {
		m.candidates = append(m.candidates, candidate{strength: strength})
		if strength == s.study.Mitigation.Release {
			m.released = i + 1
		}
	}
	s.mitigation = m
	if s.study.Mitigation.Method == study.QFedAvg {
		return s.fitHospitals(1)
	}
	groups := mitigation.NewGroups(s.study)
	s.run(within, groups, func() error { return s.change(groups) })
	return nil
}

// change finds what each strength does to the groups that take part.
func (s *course) change(groups *mitigation.Groups) error {
	m := s.mitigation
	if len(groups.Open()) < 2 {
		few := "fewer than two groups of the mitigation are large enough to take part"
		if s.study.Fairness.Complementary {
			few += ", and do not give away how few patients the others have; a study of another version may gather these in a larger group, or declare fairness.disclosure: primary"
		}
		return s.none(&compute.Diagnosis{Kind: compute.TooFewPatients, Message: few})
	}
	switch s.study.Mitigation.Method {
	case study.Reweigh:
		r := mitigation.NewReweighing(s.study, groups)
		s.run(m.within, r, func() error {
			for i := range m.candidates[1:] {
				m.candidates[i+1].changes = r.Changes(m.candidates[i+1].strength)
			}
			return s.fitWeighted(1)
		})
	case study.BoundedGroupLoss:
		losses := mitigation.NewLosses(s.study, groups)
		return s.look(m.candidates[0].model, losses, func() error { return s.bound(1, groups, losses) })
	case study.Recalibrate:
		r := mitigation.NewRecalibration(s.study, groups)
		return s.look(m.candidates[0].model, r, func() error {
			m.cut = r.Cut()
			return s.changed(r.Changes)
		})
	case study.GroupThresholds:
		t := mitigation.NewThresholds(s.study, groups)
		return s.look(m.candidates[0].model, t, func() error { return s.changed(t.Changes) })
	case study.FairFed:
		m.sides = mitigation.NewSides(s.study, groups)
		if m.sides == nil {
			return s.none(&compute.Diagnosis{Kind: compute.TooFewPatients, Message: "the reference group of the mitigation, or all the others, are too small to take part"})
		}
		return s.fitHospitals(1)
	}
	return nil
}

// none takes note that there is no model but the one without mitigation; a study
// that declared another for release ends.
func (s *course) none(d *compute.Diagnosis) error {
	if s.mitigation.released > 0 {
		return d
	}
	for i := range s.mitigation.candidates[1:] {
		s.mitigation.candidates[i+1].failed = d.Message
	}
	return s.mitigated()
}

// changed makes the candidates of a method that leaves the fit as it is.
func (s *course) changed(changes func(strength float64) []mitigation.Change) error {
	m := s.mitigation
	for i := range m.candidates[1:] {
		c := &m.candidates[i+1]
		c.changes, c.remarks = changes(c.strength), m.candidates[0].remarks
		own := *m.candidates[0].model
		own.Mitigation = s.applied(c)
		c.model = &own
	}
	return s.mitigated()
}

func (s *course) applied(c *candidate) *mitigation.Applied {
	of := s.study.Mitigation
	return &mitigation.Applied{Method: of.Method, Attribute: s.study.Fairness.Attributes[of.Attribute].Column, Strength: c.strength, Groups: c.changes}
}

// fitWeighted fits the candidates from the i-th on, each with its weights.
func (s *course) fitWeighted(i int) error {
	m := s.mitigation
	if i == len(m.candidates) {
		return s.mitigated()
	}
	return s.weighted(i, m.candidates[i].changes, func() error { return s.fitWeighted(i + 1) })
}

// weighted fits the i-th candidate with the weights of the changes.
func (s *course) weighted(i int, changes []mitigation.Change, then func() error) error {
	m := s.mitigation
	within := m.within
	within.Weights = mitigation.Weights(s.study, changes)
	return s.refit(i, within, changes, then)
}

// fitHospitals trains the candidates from the i-th on by q-FedAvg or FairFed.
func (s *course) fitHospitals(i int) error {
	m := s.mitigation
	if i == len(m.candidates) {
		return s.mitigated()
	}
	within, of := m.within, s.study.Mitigation
	var changes []mitigation.Change
	if m.sides == nil {
		within.Q = m.candidates[i].strength * of.Q
	} else {
		within.GapWeights = &study.GapWeights{Beta: m.candidates[i].strength * of.Beta, Reference: m.sides.Reference, Others: m.sides.Others}
		changes = m.sides.Changes
	}
	return s.refit(i, within, changes, func() error { return s.fitHospitals(i + 1) })
}

// refit fits the i-th candidate within a scope of its own.
func (s *course) refit(i int, within scope, changes []mitigation.Change, then func() error) error {
	m := s.mitigation
	m.fitting = i
	return s.fit(within, m.counts, func(model *Model, _ *describe.Counts, remarks []compute.Diagnosis) error {
		c := &m.candidates[i]
		c.changes, c.remarks, m.fitting = changes, remarks, 0
		model.Mitigation = s.applied(c)
		c.model = model
		return then()
	})
}

// bound searches for the weights of the candidates from the i-th on.
func (s *course) bound(i int, groups *mitigation.Groups, first *mitigation.Losses) error {
	if i == len(s.mitigation.candidates) {
		return s.mitigated()
	}
	search := mitigation.NewBounding(s.study, groups, s.mitigation.candidates[i].strength)
	var round func(*mitigation.Losses) error
	round = func(losses *mitigation.Losses) error {
		changes, done := search.Round(losses)
		return s.weighted(i, changes, func() error {
			if done {
				return s.bound(i+1, groups, first)
			}
			again := mitigation.NewLosses(s.study, groups)
			return s.look(s.mitigation.candidates[i].model, again, func() error { return round(again) })
		})
	}
	return round(first)
}

// unfitted takes note that a candidate has no model. It reports false where the
// study cannot go on: the candidate was to be released, or the search of the
// next ones rests on it.
func (s *course) unfitted(d *compute.Diagnosis) bool {
	m := s.mitigation
	if m == nil || m.fitting == 0 || m.fitting == m.released || s.study.Mitigation.Method == study.BoundedGroupLoss {
		return false
	}
	i := m.fitting
	m.candidates[i].failed, m.fitting = d.Message, 0
	if s.study.Mitigation.WeighsHospitals() {
		return s.fitHospitals(i+1) == nil
	}
	return s.fitWeighted(i+1) == nil
}

// mitigated goes on with the model that the study releases.
func (s *course) mitigated() error {
	c := s.mitigation.candidates[s.mitigation.released]
	return s.mitigation.then(c.model, c.remarks)
}

// models are those of the candidates; nil for one that could not be fitted.
func (m *mitigating) models() (list []*Model) {
	for _, c := range m.candidates {
		list = append(list, c.model)
	}
	return list
}

// noteUntried takes note of the candidates that a fold of the validation has no
// model of: they are not tried. It returns which candidate is released.
func (m *mitigating) noteUntried(tried [][]trial) (released int) {
	if m == nil {
		return 0
	}
	for i := range m.candidates {
		if tried[i] == nil && m.candidates[i].failed == "" {
			m.candidates[i].failed = "a part of the validation has none"
		}
	}
	return m.released
}

// trade audits the candidates that are not released, each for the patients of
// the released one's audit, and draws the curve.
func (s *Session) trade(released *fairness.Session) error {
	m := s.mitigation
	if m == nil {
		return nil
	}
	m.candidates[m.released].audit = released.Audit()
	for i := range m.candidates {
		c := &m.candidates[i]
		if c.audit != nil || c.failed != "" {
			continue
		}
		if s.tried != nil {
			s.trials = s.tried[i]
		} else {
			s.trials = []trial{{s.trials[0].leaveOut, c.model}}
		}
		again := released.Again(c.model.Mitigation.Cuts(s.study))
		return s.judge(again, func() error {
			c.audit, s.now = again.Audit(), nil
			return s.trade(released)
		})
	}
	of := s.study.Mitigation
	r := &mitigation.Result{Method: of.Method, Attribute: s.study.Fairness.Attributes[of.Attribute].Column,
		Error: mitigation.ErrorOf(s.study), Measure: of.Measure, Released: of.Release, NeedsGroup: of.NeedsGroup(), Unseen: released.Audit().Unseen}
	for _, c := range m.candidates {
		if r.Among == nil {
			r.Among = mitigation.Among(c.changes)
		}
	}
	for i, c := range m.candidates {
		p := mitigation.Point{Strength: c.strength, Released: i == m.released, Failed: c.failed}
		if c.audit != nil {
			p = mitigation.NewPoint(s.study, c.strength, c.changes, r.Among, c.audit)
		}
		r.Points = append(r.Points, p)
	}
	r.Limits = mitigation.Limits(s.study, r)
	if m.cut > 0 {
		r.Limits = append(r.Limits, fmt.Sprintf("%d predictions were more than twice the declared range of the outcome outside it, and count in the lines as exactly that far.", m.cut))
	}
	s.result.Mitigation = r
	return nil
}

// look makes a computation on a model's predictions for its own patients the next
// stage.
func (s *course) look(model *Model, c computation, then func() error) error {
	encoded, err := model.encode()
	if err != nil {
		return err
	}
	within := s.mitigation.within
	s.now = &stage{c, func(parameters []byte) ([]byte, error) {
		return compute.EncodeParameters(looked{within, encoded, parameters})
	}, then}
	return nil
}
