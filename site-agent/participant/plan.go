package participant

import (
	"slices"
	"time"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// Round is a plan that this site accepts.
type Round struct {
	ID         statement.Digest
	Plan       *statement.Plan
	Study      *study.Study
	Roster     *identity.Roster
	Secagg     *secagg.Round
	Parameters []byte
}

// PlanRequest is what a coordinator sends to ask for a contribution.
type PlanRequest struct {
	Envelope   []byte // of statement.Plan
	Parameters []byte
	Logged     Logged
}

// AcceptPlan decides whether this site contributes to a round.
func (s *Site) AcceptPlan(now time.Time, in PlanRequest) (*Round, error) {
	round, err := s.readPlan(now, in.Envelope)
	if err != nil {
		return nil, err
	}
	plan := round.Plan
	if err := in.Logged.check(ledger.TypePlan, round.ID, in.Envelope); err != nil {
		return nil, err
	}
	if err := s.checkMembers(round); err != nil {
		return nil, err
	}
	if err := s.checkTimes(now, round); err != nil {
		return nil, err
	}
	if now.After(plan.CollectUntil.Add(s.skew())) {
		return nil, ErrTooLate
	}
	if statement.DigestOf(in.Parameters) != plan.Parameters {
		return nil, ErrParameters
	}
	fields, err := pipeline.Layout(round.Study, plan.Step, in.Parameters)
	if err != nil {
		return nil, ErrStep.because("%v", err)
	}
	layout := make([]secagg.Field, len(fields))
	for i, f := range fields {
		layout[i] = secagg.Field(f)
	}
	if !plan.RoundSpec().Layout.Agrees(layout) {
		return nil, ErrLayout
	}
	if _, due, waits := pipeline.WindowOf(round.Study, plan.Step, in.Parameters); waits && now.Add(s.skew()).Before(due) {
		return nil, ErrWindow
	}
	if err := s.checkQuestion(round); err != nil {
		return nil, err
	}
	round.Parameters = in.Parameters
	return round, nil
}

// readPlan checks what does not depend on whether this site is to contribute
// or to open: signature, study, floor, committee, threshold.
func (s *Site) readPlan(now time.Time, envelope []byte) (*Round, error) {
	var plan statement.Plan
	payload, err := statement.Open(envelope, statement.KindPlan, &plan, s.coordinator())
	if err != nil {
		return nil, ErrPlanSignature.because("%v", err)
	}
	round := &Round{ID: statement.DigestOf(payload), Plan: &plan}
	if s.Memory.Forgotten(round.ID) {
		return nil, ErrForgotten
	}
	if err := plan.Validate(); err != nil {
		return nil, ErrPlanInvalid.because("%v", err)
	}
	var known bool
	if round.Roster, known = s.Rosters.At(plan.Roster); !known {
		if now.After(plan.OpenUntil.Add(s.skew())) {
			return nil, ErrTooLate // no roster will help any more
		}
		return nil, ErrRosterUnknown
	}
	if round.Study, known = s.Memory.Study(plan.Study); !known {
		return nil, ErrNotApproved
	}
	if !slices.Contains(plan.Invited, s.Name) {
		return nil, ErrNotInvited
	}
	for _, name := range plan.Invited {
		if member, ok := round.Roster.Member(name); !ok || member.Role != identity.RoleSite {
			return nil, ErrInvitedUnknown.because("%q", name)
		}
	}
	if err := s.checkCommittee(&plan); err != nil {
		return nil, err
	}
	if want := round.Study.Threshold(len(plan.Committee)); plan.Threshold != want {
		return nil, ErrThreshold.because("%d of %d, not %d", plan.Threshold, len(plan.Committee), want)
	}
	if least := max(round.Study.MinimumContributors(), s.floor()); plan.MinimumContributors < least {
		return nil, ErrFloor.because("%d where at least %d are needed", plan.MinimumContributors, least)
	}
	if round.Secagg, err = secagg.NewRound(plan.RoundSpec()); err != nil {
		return nil, ErrPlanInvalid.because("%v", err)
	}
	return round, nil
}

// checkMembers holds the plan's roster against the latest one: a removed site
// must not receive key shares any more.
func (s *Site) checkMembers(round *Round) error {
	latest := s.Rosters.Latest()
	for _, name := range round.Plan.Invited {
		then, _ := round.Roster.Member(name)
		now, ok := latest.Member(name)
		if !ok || now.Role != then.Role || !slices.Equal(now.SigningKey, then.SigningKey) || !slices.Equal(now.SealingKey, then.SealingKey) {
			return ErrInvitedRemoved.because("%q", name)
		}
	}
	return nil
}

func (s *Site) checkTimes(now time.Time, round *Round) error {
	plan := round.Plan
	if plan.Issued.After(now.Add(s.skew())) {
		return ErrNotYet
	}
	// The plan's times are whole seconds.
	longest := round.Study.Deadline() + time.Second
	if plan.CollectUntil.Sub(plan.Issued) > longest || plan.OpenUntil.Sub(plan.CollectUntil) > longest {
		return ErrDeadline
	}
	return nil
}
