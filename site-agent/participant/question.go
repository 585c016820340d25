package participant

import (
	"slices"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// checkQuestion is the rule against differencing: two opened sums of one
// question over sets that differ by one site reveal that site. A question that
// was opened is never answered again; one whose earlier round ended before any
// opening share was given may be, by a committee that cannot also have opened the
// earlier round; after a failed opening it may be asked once
// more, only of exactly the same sites less those seen to be at fault.
func (s *Site) checkQuestion(round *Round) error {
	plan := round.Plan
	if epoch, known := s.Memory.Epoch(plan.Study); known && epoch != plan.Epoch {
		return ErrEpoch
	}
	if _, ended := s.Memory.End(round.ID); ended {
		return ErrRoundEnded
	}
	asked := s.Memory.Asked(plan.Question)
	failures := 0
	for _, earlier := range asked {
		if earlier.Round == round.ID {
			continue // the same plan again
		}
		end := earlier.End
		switch {
		case end == nil:
			return ErrQuestionPending
		case end.State == Published:
			return ErrQuestionOpened
		case !end.SharesGiven && !earlier.ShareGiven:
			// This site gave no share, and the coordinator says that nobody did.
			if err := overlap(earlier, plan); err != nil {
				return err
			}
		case end.State == FailedIntegrity:
			failures++
			if failures > 1 {
				return ErrQuestionSet
			}
			if err := checkRetry(plan.Invited, earlier); err != nil {
				return err
			}
			if err := overlap(earlier, plan); err != nil {
				return err
			}
		default:
			return ErrQuestionShares
		}
	}
	if len(asked) > 0 {
		return nil // it is counted
	}
	if limit, known := questionLimit(round); !known {
		return ErrStep
	} else if s.Memory.Questions(plan.Study, plan.Step) >= limit {
		return ErrTooManyQuestions.because("step %s, at most %d", plan.Step, limit)
	}
	return nil
}

// overlap holds that an earlier round of a question and this one cannot both be
// opened, whatever the coordinator says of the earlier one's end: its word that
// no share was given is not proof. Were both opened, at least
//
//	earlier threshold + threshold - members of either committee
//
// members would have answered in both, and a member that gave a share answers
// the question no more. With one committee for both this is 2t - m.
func overlap(earlier Asked, plan *statement.Plan) error {
	members := len(plan.Committee)
	for _, name := range earlier.Committee {
		if !slices.Contains(plan.Committee, name) {
			members++
		}
	}
	if earlier.Threshold+plan.Threshold <= members {
		return ErrQuestionCommittee
	}
	return nil
}

// checkRetry allows exactly the failed round's contributors less those at
// fault. The coordinator's word is not proof of fault, or it could name any
// site and learn that site's part by subtraction: the fault must have been
// seen here.
func checkRetry(invited []string, failed Asked) error {
	atFault := failed.End.AtFault
	if len(atFault) == 0 {
		return ErrQuestionSet.because("no site was found at fault")
	}
	for _, name := range atFault {
		if !slices.Contains(failed.AtFault, name) {
			return ErrQuestionSet.because("the fault of %q was not seen here", name)
		}
	}
	rest := slices.DeleteFunc(slices.Clone(failed.End.Contributors), func(name string) bool { return slices.Contains(atFault, name) })
	if !slices.Equal(invited, rest) {
		return ErrQuestionSet.because("the sites invited are others")
	}
	return nil
}

// questionLimit is how many different questions the study asks of a step.
func questionLimit(round *Round) (int, bool) {
	return pipeline.Rounds(round.Study, round.Plan.Step, len(round.Plan.Invited))
}
