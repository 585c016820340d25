package pipeline

import (
	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/boost"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/neural"
	"github.com/consilium-fl/consilium/study"
)

// following is the fit of the model that will be released, audited on the way: on
// the patients that are kept from it, or on all where none are. Between a round of
// training and the next an audit asks its questions; the fit knows nothing of it.
type following struct {
	fit
	within scope
	audits *fairness.Following
	every  int
	last   int // rounds of the latest audit
	trial  *trials
}

// follow makes a fit the next stage that is audited on the way, if the study asks
// for that and the fit is the released model's.
func (s *Session) follow(within scope, f fit, counts *describe.Counts, then func() error) bool {
	if s.study.Fairness.Every == 0 || s.followed != nil || s.result.Model != nil || s.trials != nil || within.Weights != nil {
		return false
	}
	sizes := fairness.Sizes{Patients: s.everyone.Patients, Positives: s.everyone.Positives, Group: s.everyone.Group}
	if !within.LeaveOut.nothing() {
		sizes.Patients, sizes.Positives = sizes.Patients-counts.Patients, sizes.Positives-counts.Positives
	}
	s.followed = fairness.NewFollowing(s.study, sizes)
	p := &following{fit: f, within: within, audits: s.followed, every: s.study.Fairness.Every}
	s.now = &stage{p, p.wrap, then}
	return true
}

// Next is a question of the audit that is under way, or of the fit.
func (p *following) Next() (q compute.Question, done bool, err error) {
	if p.audits.Open() {
		return p.audits.Next()
	}
	return p.fit.Next()
}

// Absorb takes the sum, and begins an audit after every so many rounds.
func (p *following) Absorb(sum compute.Sum) error {
	if p.audits.Open() {
		return p.audits.Absorb(sum)
	}
	if err := p.fit.Absorb(sum); err != nil {
		return err
	}
	rounds, m := p.soFar()
	if m == nil || rounds == p.last || rounds%p.every != 0 {
		return nil
	}
	t, err := newTrials(p.within.Knots, []trial{{p.within.LeaveOut, m}})
	if err != nil {
		return err
	}
	p.trial, p.last = t, rounds
	p.audits.Begin(rounds)
	return nil
}

func (p *following) wrap(parameters []byte) ([]byte, error) {
	if p.audits.Open() {
		return p.trial.wrap(parameters)
	}
	return scoped{p.within, parameters}.encode()
}

// soFar is the model of a fit that is trained round by round.
func (p *following) soFar() (rounds int, m *Model) {
	switch f := p.fit.(type) {
	case *neural.Fit:
		if rounds, network := f.SoFar(); network != nil {
			return rounds, &Model{Neural: network}
		}
	case *boost.Fit:
		if trees, ensemble := f.SoFar(); ensemble != nil {
			return trees, &Model{Boost: ensemble}
		}
	}
	return 0, nil
}

// settleSizes spares the final audit the question of the sizes where it is about
// the same patients as the audits on the way.
func (s *Session) settleSizes(a *fairness.Session) error {
	sameParts := s.study.Validation.Kind == "" || !held(s.study).nothing()
	if s.followed == nil || !sameParts {
		return nil
	}
	return s.followed.Settle(a)
}

// progress puts what was found on the way into the audit.
func (s *Session) progress(final *fairness.Session) (err error) {
	if s.followed != nil {
		if s.result.Audit.Progress, err = s.followed.Progress(final); err == nil {
			s.result.Audit.Progress = s.result.Audit.Followed()
		}
	}
	return err
}

// followedSteps are the steps of a study with the rounds of its audits on the way.
func followedSteps(s *study.Study, steps []compute.StepSummary) []compute.StepSummary {
	rounds := s.Schedule.Rounds
	if s.Model.Boost != nil {
		rounds = s.Model.Boost.Trees
	}
	return fairness.FollowedSteps(s, steps, rounds)
}
