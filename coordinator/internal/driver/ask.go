package driver

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// epoch names the freeze of the records that a study's sums are taken over.
const epoch = "1"

// advance takes a running study that has no open round one step further: it
// feeds the computation with sums that are opened already, and makes the plan of
// the next round, or ends the study.
func (d *Driver) advance(s *studyState) error {
	if s.session == nil {
		s.session = newSession(s)
	}
	for {
		question, done, err := s.session.Next()
		if found, ok := diagnosis(err); ok {
			return d.diagnose(s, found)
		}
		if err != nil {
			return d.breakOff(s, "the computation cannot go on from the opened sums", err)
		}
		if done {
			return d.complete(s)
		}
		plan := s.question(question)
		opened, known := d.opened[plan.Question]
		if !known {
			if s.missed[plan.Question] {
				if err := d.miss(s, plan.Question); err != nil {
					return err
				}
				continue
			}
			if _, waiting := s.waits(d.Now()); waiting {
				return nil
			}
			return d.ask(s, plan, question)
		}
		// A question is opened once. Its sum serves every time it is asked.
		sum, err := d.opening(opened)
		if err != nil {
			return err
		}
		if err := s.session.Absorb(sum); err != nil {
			s.session = nil // half absorbed: rebuilt at the next look
			return d.breakOff(s, "an opened sum does not fit the computation", err)
		}
		if err := d.tell(s); err != nil {
			return err
		}
	}
}

// question is the part of a plan that follows from the question.
func (s *studyState) question(q compute.Question) *statement.Plan {
	plan := &statement.Plan{
		Study: s.id, Step: q.Step, Parameters: statement.DigestOf(q.Parameters), Epoch: epoch,
		MinimumContributors: max(2, s.study.MinimumContributors()),
	}
	for _, f := range q.Layout {
		plan.Layout = append(plan.Layout, secagg.Field(f))
	}
	plan.Question = plan.QuestionDigest()
	return plan
}

// ask plans the next round of a question, or gives the question up if it may not
// or need not be asked again.
func (d *Driver) ask(s *studyState, plan *statement.Plan, q compute.Question) error {
	sites, exact, stop := d.invite(s, plan.Question)
	if stop != "" {
		return d.giveUp(s, plan.Question, stop)
	}
	if len(sites) < plan.MinimumContributors {
		return d.giveUp(s, plan.Question, fmt.Sprintf("too few sites for %s: %d are left of the %d that are needed", plan.Step, len(sites), plan.MinimumContributors))
	}
	if plan.Step == fairness.StepNoisy {
		// Each adds its share of the noise that so many make together.
		plan.MinimumContributors = len(sites)
	}
	plan.Invited = sites
	if err := d.appoint(s, plan); err != nil {
		return err
	}
	if earlier := s.overlapping(plan); earlier != nil && (exact || !d.recall(s, plan, d.approved(s))) {
		return d.giveUp(s, plan.Question, fmt.Sprintf(
			"%s: %s (missing: %s); the %d sites that are left are too few to ask again: sites refuse where the earlier committee could have opened another set without them",
			plan.Step, earlier.End().Reason, list(earlier.End().Missing), len(sites)))
	}
	suite, err := secagg.SelectSuite(plan.Layout, len(plan.Invited), len(plan.Committee), plan.Threshold)
	if err != nil {
		return d.breakOff(s, "the sum of so many sites does not fit the encoding", err)
	}
	plan.Suite = suite
	plan.Roster = d.Roster().Digest()
	plan.Issued = d.Now().UTC().Truncate(time.Second)
	plan.CollectUntil = plan.Issued.Add(s.study.Deadline())
	plan.OpenUntil = plan.CollectUntil.Add(s.study.Deadline())
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	plan.Nonce = hex.EncodeToString(nonce)
	if err := plan.Validate(); err != nil {
		return d.breakOff(s, "no valid plan can be made for the next step", err)
	}
	return d.openPlan(plan, exact, q.Parameters)
}

// amend says what people can do about a question that is blocked.
const amend = ": ask the hospitals that are named, and propose the study as a new version, which the one at fault does not approve"

// invite says whom to ask a question, whether all of them must contribute, and
// why it may not be asked if it may not.
func (d *Driver) invite(s *studyState, question statement.Digest) (sites []string, exact bool, stop string) {
	sites = s.started.Sites
	_, fresh := s.session.Window()
	if last := s.lastPublished(); last != nil && !fresh {
		sites = last.Contributors()
	}
	failures, before := 0, ""
	for _, r := range s.rounds {
		if r.Plan().Question != question {
			continue
		}
		end := r.End()
		reason := fmt.Sprintf("%s: %s", r.Plan().Step, end.Reason)
		if len(end.Missing) > 0 {
			reason += fmt.Sprintf(" (missing: %s)", list(end.Missing))
		}
		switch {
		case end.Cause == round.CauseWithdrawn:
			// Never announced: nobody has seen it.
		case end.Cause == round.CauseAway:
			// No share was given, and those who were asked did nothing wrong.
			sites = r.Plan().Invited
		case end.Cause == round.CauseCommittee && !exact:
			// No share was given. The question is asked again of those who are
			// there, and each time of fewer, so that it comes to an end.
			there := without(r.Plan().Invited, end.Missing)
			sites = slices.DeleteFunc(slices.Clone(there), func(site string) bool {
				return !d.present(site, d.Now(), r.PresenceWindow())
			})
			if r != s.rounds[len(s.rounds)-1] {
				sites = there
			}
		case end.Cause == round.CauseContributors && r.Plan().Step == fairness.StepNoisy && !exact:
			// No share was given, and more were needed than the study asks for.
			gone := r.Declined() // the others may not have answered yet
			if len(gone) == 0 {
				gone = end.Missing
			}
			sites = without(r.Plan().Invited, gone)
		case r.State() == round.FailedIntegrity && failures == 0 && len(end.AtFault) > 0:
			// Shares were given, so the sum may be known to somebody: only the
			// same set less those at fault tells nothing by its difference.
			failures++
			exact = true
			before = fmt.Sprintf("%s; it was asked once more without %s: ", reason, list(end.AtFault))
			sites = without(r.Contributors(), end.AtFault)
		case r.State() == round.FailedIntegrity:
			return nil, false, before + reason + "; the question is blocked, because the fault cannot be pinned on a site" + amend
		case exact:
			return nil, false, before + reason + "; the question is blocked" + amend
		default:
			return nil, false, reason
		}
	}
	eligible := d.approved(s)
	left := slices.DeleteFunc(slices.Clone(sites), func(site string) bool { return !slices.Contains(eligible, site) })
	if exact && len(left) < len(sites) {
		return nil, false, "a question whose first round failed can be asked once more only of the same sites, and one of them has left"
	}
	return left, exact, ""
}

func (s *studyState) lastPublished() *roundState {
	for _, r := range slices.Backward(s.rounds) {
		if r.State() == round.Published {
			return r
		}
	}
	return nil
}

// giveUp ends a study that has a question which cannot be asked again. Of one
// that watches a release it ends only the window, where the ledger shows that the
// window was asked about and not opened.
func (d *Driver) giveUp(s *studyState, question statement.Digest, reason string) error {
	if s.study.Monitor == nil || s.unopened(question) == nil {
		if over, err := d.endWatch(s, reason); over || err != nil {
			return err
		}
		return d.endStudy(s, ended{State: Failed, Reason: reason})
	}
	d.Logger.Warn("window missed", zap.Stringer("study", s.id), zap.String("reason", reason))
	return d.commit([]write{{studyStream(s.id), missed{Question: question}}})
}

// breakOff fails a study for a reason that is for people; the error behind it
// is for the log.
func (d *Driver) breakOff(s *studyState, reason string, err error) error {
	d.Logger.Error("study broken off", zap.Stringer("study", s.id), zap.String("reason", reason), zap.Error(err))
	return d.endStudy(s, ended{State: Failed, Reason: reason})
}

// endStudy ends a study that comes to no release, and says so in the ledger.
func (d *Driver) endStudy(s *studyState, e ended) error {
	e.At = d.time()
	envelope, err := d.sign(statement.KindStudyEnd, statement.StudyEnd{Study: s.id, State: e.State, Reason: e.Reason, Result: e.Result, Time: e.At})
	if err != nil {
		return err
	}
	if err := d.commit([]write{{studyStream(s.id), e}}, d.entry(ledger.TypeStudyEnd, s.id, statement.Digest{}, envelope, d.Node.Name())); err != nil {
		return err
	}
	d.Logger.Info("study ended", zap.Stringer("study", s.id), zap.String("state", e.State), zap.String("reason", e.Reason))
	return nil
}

// diagnose ends a study that has no model. Its result holds the diagnosis and
// what was found before it.
func (d *Driver) diagnose(s *studyState, found *compute.Diagnosis) error {
	beside, err := d.beside(s, s.session.Result())
	if err != nil {
		return err
	}
	result, err := json.Marshal(beside)
	if err != nil {
		return fmt.Errorf("the result cannot be written: %w", err)
	}
	name, err := d.put(result)
	if err != nil {
		return err
	}
	return d.endStudy(s, ended{State: Diagnosed, Reason: found.Error(), Result: &name})
}

func without(sites, gone []string) []string {
	return slices.DeleteFunc(slices.Clone(sites), func(site string) bool { return slices.Contains(gone, site) })
}
