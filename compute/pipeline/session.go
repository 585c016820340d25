// Package pipeline composes the computations of a study: the counts, the model,
// its validation, the audit of its errors. It is the one place that knows which
// question follows which sum, and the one that knows which records a model is
// fitted to and which it is tried on.
//
// A Session is the coordinator's side. It holds nothing but what the opened
// sums say, so one that absorbs the same sums in the same order asks the same
// questions and gives the same result, byte for byte; a coordinator that was
// killed, and an auditor with the evidence, get there by replaying.
//
// Layout and Answer are a site's side. A site recomputes the layout from the
// study it approved and compares; it answers steps of that study and no others,
// and only parameters that are well formed.
package pipeline

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/differencing"
	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// Result is what a study has found so far; complete when Next says done.
type Result struct {
	Study       string                `json:"study"` // digest, hex
	Name        string                `json:"name"`
	Description *describe.Description `json:"description,omitempty"`
	Cohort      *describe.Cohort      `json:"cohort,omitempty"`
	Model       *Model                `json:"model,omitempty"`
	Validation  *validation.Result    `json:"validation,omitempty"`
	Audit       *fairness.Audit       `json:"audit,omitempty"`
	Mitigation  *mitigation.Result    `json:"mitigation,omitempty"`
	Monitor     *drift.Report         `json:"monitor,omitempty"`
	Diagnoses   []compute.Diagnosis   `json:"diagnoses,omitempty"`
	// Earlier says what is withheld for the sake of earlier results of the
	// consortium; nil where there are none.
	Earlier *differencing.Decision `json:"earlier,omitempty"`

	watched *drift.Session // that Monitor is the report of
}

// Session is one run of a study: stages, one after the other.
type Session struct {
	course // of the study, and of the model that is released
	failed *compute.Diagnosis
	result Result

	everyone *describe.Counts // of all records
	training *describe.Counts // of the records that the released model is fitted to
	sites    []study.SiteID   // that were counted, ascending
	knots    [][]float64
	trials   []trial // models beside the parts that they were not fitted to
	auditing bool
	drift    *drift.Session // of a study that monitors
	followed *fairness.Following
	tried    [][]trial // of folds, by model of the mitigation; the first is without
}

// New starts at the counts.
func New(s *study.Study) *Session {
	digest := s.Digest()
	session := &Session{course: course{study: s}, result: Result{Study: hex.EncodeToString(digest[:]), Name: s.Name}}
	if s.Monitor != nil {
		session.watch()
		return session
	}
	session.audited = session.follow
	session.count(scope{}, session.counted)
	return session
}

// Next is the question whose sum Absorb expects; asked again it is the same. An
// error that is a *compute.Diagnosis says why the study ends without a model.
func (s *Session) Next() (q compute.Question, done bool, err error) {
	switch {
	case s.failed != nil:
		return q, true, s.failed
	case s.now == nil:
		return q, true, nil
	}
	if q, _, err = s.now.Next(); err != nil {
		return q, false, err
	}
	q.Parameters, err = s.now.wrap(q.Parameters)
	return q, false, err
}

// Absorb takes the opened sum of the question of Next. After a diagnosis it
// returns nil, and Next returns the diagnosis.
func (s *Session) Absorb(sum compute.Sum) error {
	if s.failed != nil || s.now == nil {
		return errors.New("the study is over: no sum is expected")
	}
	if err := s.now.Absorb(sum); err != nil && !s.diagnosed(err) {
		return err
	}
	return s.settle()
}

// settle goes on to the stage that has a question to ask.
func (s *Session) settle() error { return s.course.settle(s.diagnosed) }

// diagnosed takes note of a diagnosis. One of a model that was only to be tried
// ends the validation, not the study.
func (s *Session) diagnosed(err error) bool {
	d, ok := errors.AsType[*compute.Diagnosis](err)
	if !ok {
		return false
	}
	if s.unfitted(d) {
		return true
	}
	if s.result.Model != nil && !s.auditing {
		s.result.Diagnoses = append(s.result.Diagnoses, compute.Diagnosis{Kind: compute.NoValidation, Terms: d.Terms,
			Message: "the model could not be tried on patients it had not seen: " + d.Message})
		s.trials = nil
		return s.audit() == nil
	}
	s.failed, s.now = d, nil
	s.result.Diagnoses = append(s.result.Diagnoses, *d)
	return true
}

// Result is what is known so far. The caller must not change it.
func (s *Session) Result() *Result {
	if s.drift != nil {
		s.result.Monitor, s.result.watched = s.drift.Report(), s.drift.Snapshot()
	}
	return &s.result
}

// counted goes on from the counts of all records.
func (s *Session) counted(counts *describe.Counts, sites []study.SiteID) error {
	s.everyone, s.sites = counts, sites
	s.result.Cohort = counts.Cohort()
	if s.study.Model.Kind == study.Describe {
		d := describe.NewDescription(s.study, counts)
		s.run(scope{}, d, func() error {
			s.result.Description, s.result.Cohort, s.now = d.Description(), d.Cohort(), nil
			return nil
		})
		return nil
	}
	if wants := splineQuantiles(s.study); wants != nil {
		q := describe.NewQuantiles(s.study, counts.Patients, wants)
		s.run(scope{}, q, func() (err error) {
			if s.knots, err = knotsOf(s.study, q.Values()); err != nil {
				return err
			}
			return s.train()
		})
		return nil
	}
	return s.train()
}

// train fits the model that will be released: to all records, or to those that
// a hold-out or an external validation leaves.
func (s *Session) train() error {
	within := scope{LeaveOut: held(s.study), Knots: s.knots}
	done := func(m *Model, counts *describe.Counts, remarks []compute.Diagnosis) error {
		s.training = counts
		return s.mitigate(within, m, counts, remarks, func(m *Model, remarks []compute.Diagnosis) error {
			s.result.Model = m
			s.result.Diagnoses = append(s.result.Diagnoses, remarks...)
			if !within.LeaveOut.nothing() {
				s.trials = []trial{{within.LeaveOut, m}}
				return s.validate()
			}
			return s.tryFolds()
		})
	}
	if within.LeaveOut.nothing() && within.Knots == nil {
		return s.fit(within, s.everyone, done)
	}
	s.count(within, func(counts *describe.Counts, _ []study.SiteID) error { return s.fit(within, counts, done) })
	return nil
}

// held is the part that the released model is not fitted to.
func held(s *study.Study) leaveOut {
	switch s.Validation.Kind {
	case study.Holdout:
		fold := study.HeldOut
		return leaveOut{Fold: &fold}
	case study.External:
		return leaveOut{Sites: external(s)}
	}
	return leaveOut{}
}

// tryFolds fits the models that are only to be tried, if there are any, and goes
// on.
func (s *Session) tryFolds() error {
	parts, err := s.parts()
	if err != nil {
		return err
	}
	if parts == nil {
		return s.validate()
	}
	f, err := newFolds(s.study, parts, s.knots)
	if err != nil {
		return err
	}
	s.now = &stage{f, unwrapped, func() error {
		s.tried = f.tried()
		s.trials = s.tried[s.mitigation.noteUntried(s.tried)]
		return s.validate()
	}}
	return nil
}

// unwrapped is the wrap of a computation whose questions say their own scope.
func unwrapped(parameters []byte) ([]byte, error) { return parameters, nil }

// parts are what the models that are only tried leave out, in order.
func (s *Session) parts() (parts []leaveOut, err error) {
	switch s.study.Validation.Kind {
	case study.KFold:
		for fold := range s.study.Validation.Folds {
			parts = append(parts, leaveOut{Fold: &fold})
		}
	case study.LeaveOneSiteOut:
		if floor := s.study.MinimumContributors(); len(s.sites) <= floor {
			return nil, &compute.Diagnosis{Kind: compute.NoValidation, Message: fmt.Sprintf(
				"leaving out one of %d hospitals leaves fewer than the %d that every sum needs", len(s.sites), floor)}
		}
		for _, site := range s.sites {
			parts = append(parts, leaveOut{Sites: []study.SiteID{site}})
		}
	}
	return parts, nil
}

// validate tries the models on the parts that they were not fitted to.
func (s *Session) validate() error {
	if s.trials == nil {
		return s.audit()
	}
	outcome := s.result.Cohort.Outcome
	parameters, err := validation.Parameters(s.study, outcome.Mean, outcome.SD)
	if err != nil {
		return err
	}
	v := &validating{study: s.study, models: len(s.trials), parameters: parameters}
	return s.judge(v, func() error {
		s.result.Validation = v.result
		s.result.Model.Interval = v.result.Prediction
		return s.audit()
	})
}

// validating is the sum of a validation as a computation.
type validating struct {
	study      *study.Study
	models     int
	parameters []byte
	result     *validation.Result
}

func (v *validating) Next() (q compute.Question, done bool, err error) {
	if v.result != nil {
		return q, true, nil
	}
	return compute.Question{Step: validation.Step, Parameters: v.parameters, Layout: validation.Layout(v.study)}, false, nil
}

func (v *validating) Absorb(sum compute.Sum) (err error) {
	v.result, err = validation.Read(v.study, v.study.Validation.Kind, v.models, v.parameters, sum)
	return err
}

// audit asks for whom the model errs: on patients that it had not seen where
// the study validates, on those it was fitted to where it does not.
func (s *Session) audit() error {
	s.auditing = true
	sizes := fairness.Sizes{Patients: s.everyone.Patients, Positives: s.everyone.Positives, Group: s.everyone.Group, Unseen: s.trials != nil}
	if s.trials == nil {
		s.trials = []trial{{leaveOut{}, s.result.Model}}
	}
	sizes.Cuts = s.result.Model.Mitigation.Cuts(s.study)
	if i := s.result.Model.Interval; i != nil {
		sizes.HalfWidth = &i.HalfWidth
	}
	if part := held(s.study); sizes.Unseen && !part.nothing() {
		sizes.Patients -= s.training.Patients
		sizes.Positives -= s.training.Positives
		sizes.Group = func(a, g int) int { return s.everyone.Group(a, g) - s.training.Group(a, g) }
	}
	a := fairness.New(s.study, sizes)
	if err := s.settleSizes(a); err != nil {
		return err
	}
	return s.judge(a, func() error {
		s.result.Audit, s.now = a.Audit(), nil
		if err := s.progress(a); err != nil {
			return err
		}
		s.intervals()
		s.protect()
		return s.trade(a)
	})
}

// judge makes a computation on the models' predictions the next stage.
func (s *Session) judge(c computation, then func() error) error {
	t, err := newTrials(s.knots, s.trials)
	if err != nil {
		return err
	}
	s.now = &stage{c, t.wrap, then}
	return nil
}

// splineQuantiles are the quantiles at which the study's splines have knots.
func splineQuantiles(s *study.Study) (wants []describe.Want) {
	for _, spline := range s.Model.Splines {
		for j, t := range s.Terms() {
			if t.Feature == spline.Feature && t.Knot == 0 {
				wants = append(wants, describe.Want{Term: j, Probabilities: study.SplineKnotProbabilities(spline.DF)})
			}
		}
	}
	return wants
}

// knotsOf turns quantiles into knots. Where two are the same the column has too
// few values for a curve so fine.
func knotsOf(s *study.Study, quantiles [][]float64) ([][]float64, error) {
	for i, knots := range quantiles {
		for k := 1; k < len(knots); k++ {
			if !(knots[k-1] < knots[k]) {
				column := s.Features[s.Model.Splines[i].Feature].Column
				return nil, &compute.Diagnosis{Kind: compute.Collinearity, Terms: []string{fmt.Sprintf("spline(%s)", column)},
					Message: fmt.Sprintf("too many patients have the same %s for %d knots; choose a smaller df, or no spline", column, len(knots))}
			}
		}
	}
	return quantiles, nil
}
