package driver

import (
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// appoint gives a plan the committee that its invited sites give: all of them
// or, of too many, those that the study's draw names. Sites refuse any other
// (participant, committee.go).
func (d *Driver) appoint(s *studyState, plan *statement.Plan) error {
	plan.Draw = nil
	if len(plan.Invited) > statement.MaxCommittee {
		draw, err := d.draw(s)
		if err != nil {
			return err
		}
		plan.Draw = &draw
	}
	plan.Committee = plan.Appointed()
	plan.Threshold = s.study.Threshold(len(plan.Committee))
	return nil
}

// draw is what the study's committees are drawn from: the ledger up to the
// entry that starts the study.
func (d *Driver) draw(s *studyState) (statement.Draw, error) {
	for _, r := range s.rounds {
		if draw := r.Plan().Draw; draw != nil {
			return *draw, nil
		}
	}
	var draw statement.Draw
	for draw.Size < d.leaves {
		leaves, err := d.log.Leaves(draw.Size, min(draw.Size+maxEntries, d.leaves))
		if err != nil {
			return draw, err
		}
		for _, leaf := range leaves {
			entry, err := ledger.ParseEntry(leaf)
			if err != nil {
				return draw, err
			}
			draw.Size++
			switch {
			case entry.Type == ledger.TypeRoster:
				draw.Roster = entry.Subject
			case entry.Type == ledger.TypeStart && entry.Study == s.id.String():
				root, err := d.log.RootAt(draw.Size)
				draw.Root = root
				return draw, err
			}
		}
	}
	return draw, fmt.Errorf("the ledger does not show that study %s was started", s.id)
}

// overlapping returns an announced round of the plan's question that could have
// been opened as well as the plan's, by members who have to answer only one of
// them; nil if there is none. Sites refuse such a plan (participant, question.go).
func (s *studyState) overlapping(plan *statement.Plan) *roundState {
	for _, r := range s.rounds {
		earlier := r.Plan()
		if earlier.Question != plan.Question || r.End().Cause == round.CauseWithdrawn {
			continue
		}
		members := len(plan.Committee) + len(without(earlier.Committee, plan.Committee))
		if earlier.Threshold+plan.Threshold <= members {
			return r
		}
	}
	return nil
}

// recall makes a question that was asked before of a drawn committee askable
// again where too many of that committee are gone, by inviting some of them all
// the same: each who is invited keeps a newcomer off the committee, and the
// others are enough to open the round without them. It reports whether that was
// possible.
func (d *Driver) recall(s *studyState, plan *statement.Plan, eligible []string) bool {
	for absent := 0; ; absent++ {
		earlier := s.overlapping(plan)
		if earlier == nil {
			return absent <= len(plan.Committee)-plan.Threshold
		}
		gone := without(earlier.Plan().Committee, plan.Invited)
		gone = slices.DeleteFunc(gone, func(site string) bool { return !slices.Contains(eligible, site) })
		if earlier.Plan().Draw == nil || len(gone) == 0 {
			return false
		}
		plan.Invited = slices.Sorted(slices.Values(append(plan.Invited, gone[0])))
		if err := d.appoint(s, plan); err != nil {
			return false
		}
	}
}
