package participant

import (
	"slices"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// checkCommittee holds that nobody chose the committee: a coordinator that
// could would choose its friends. It is everyone who is invited or, of too
// many, those who are drawn by a checkpoint that this site has read itself.
func (s *Site) checkCommittee(plan *statement.Plan) error {
	if plan.Draw != nil {
		if err := s.checkDraw(plan); err != nil {
			return err
		}
	}
	if !slices.Equal(plan.Committee, plan.Appointed()) {
		return ErrCommittee
	}
	return nil
}

// checkDraw holds that a plan draws from the checkpoint at which its study
// started. There is one for each study, so that a coordinator cannot try again,
// and every site that is asked has it under the same root.
func (s *Site) checkDraw(plan *statement.Plan) error {
	if s.Ledger == nil {
		return ErrDrawUnknown
	}
	want, started := s.Ledger.Draw(plan.Study)
	switch {
	case !started:
		return ErrDrawUnknown
	case plan.Draw.Size != want.Size:
		return ErrDrawStale.because("%d entries, not %d", plan.Draw.Size, want.Size)
	case plan.Draw.Root != want.Root:
		return ErrDrawForked
	case plan.Draw.Roster != want.Roster:
		return ErrDrawRoster
	}
	roster, signed := s.Rosters.Signed(plan.Draw.Roster)
	if !signed {
		return ErrDrawRoster.because("governance has not signed it")
	}
	// A name that is given after the draw can be chosen for its place in it.
	for _, name := range plan.Invited {
		if member, ok := roster.Member(name); !ok || member.Role != identity.RoleSite {
			return ErrDrawLatecomer.because("%q", name)
		}
	}
	return nil
}
