package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// replayed is where the computation stands after absorbing every opened sum.
type replayed struct {
	result    *pipeline.Result
	done      bool
	diagnosis *compute.Diagnosis
}

// checkReplay feeds the computation with the opened sums. It has to ask every
// question that was asked, in that order, and no question may be left out.
func (v *verifier) checkReplay() (string, error) {
	var rounding Rounding
	session := pipeline.New(v.study)
	opened := make(map[statement.Digest]*round)
	for _, round := range v.rounds {
		question, err := v.upTo(session, opened, round, false)
		if err != nil {
			return "", err
		}
		apart, err := v.follows(round, question)
		if err != nil {
			return "", err
		}
		rounding.add(apart)
		if round.published() {
			opened[v.digestOf(question, round.Plan())] = round
		}
	}
	if len(v.rounds) > 0 {
		if _, err := v.upTo(session, opened, v.rounds[len(v.rounds)-1], true); err != nil && !errors.Is(err, errEnded) {
			return "", err
		}
	}
	_, done, err := session.Next()
	if len(opened) == 0 && !done {
		v.outcome.result = session.Result()
		return "", notChecked("no sum has been opened")
	}
	v.outcome = replayed{result: session.Result(), done: done}
	if diagnosis, ok := errors.AsType[*compute.Diagnosis](err); ok {
		v.outcome.diagnosis = diagnosis
	} else if err != nil {
		return "", fmt.Errorf("the computation does not go on: %w", err)
	}
	detail := fmt.Sprintf("%d sums lead to every question that was asked, %s", len(opened), rounding)
	switch {
	case v.outcome.diagnosis != nil:
		v.findings.Status = "diagnosed"
		detail += "; they end in the diagnosis: " + v.outcome.diagnosis.Error()
	case done:
		v.findings.Status = "completed"
		detail += ", to the end"
	default:
		detail += " so far"
	}
	return detail, nil
}

// follows holds that a round asks the question that the sums so far give.
func (v *verifier) follows(r *round, question compute.Question) (Rounding, error) {
	plan := r.Plan()
	if plan.Step != question.Step {
		return Rounding{}, fmt.Errorf("%s asks step %s where the sums so far lead to %s", r.plan, plan.Step, question.Step)
	}
	if !plan.RoundSpec().Layout.Agrees(fields(question.Layout)) {
		return Rounding{}, fmt.Errorf("%s asks step %s with another layout than the sums so far give", r.plan, plan.Step)
	}
	if plan.Parameters == statement.DigestOf(question.Parameters) {
		return Rounding{}, nil
	}
	asked, err := v.blob(plan.Parameters)
	if err != nil {
		return Rounding{}, err
	}
	return agree("what "+r.plan.String()+" asks of step "+plan.Step, question.Parameters, asked)
}

// asks reports whether a round asks a question.
func (v *verifier) asks(r *round, question compute.Question) bool {
	_, err := v.follows(r, question)
	return err == nil
}

// digestOf is the digest that a question would have in a plan of the same cohort.
func (v *verifier) digestOf(question compute.Question, plan *statement.Plan) statement.Digest {
	p := statement.Plan{
		Study: v.digest, Step: question.Step, Parameters: statement.DigestOf(question.Parameters),
		Layout: fields(question.Layout), Epoch: plan.Epoch,
	}
	return p.QuestionDigest()
}

// errEnded says that the computation asks nothing more.
var errEnded = errors.New("the computation has ended")

// upTo absorbs the sums that are opened already, by the question as this machine
// asks it, up to the question that another round has to answer. A question that
// comes up again is answered by the sum it was opened with; the round is the one
// that comes next.
//
// A window of a monitor was missed where the ledger goes on without it: its
// question's last round ended unopened, and the next plan asks something else, or
// the study came to a result, or reported the window. ended says that there is no
// next plan.
func (v *verifier) upTo(session *pipeline.Session, opened map[statement.Digest]*round, next *round, ended bool) (compute.Question, error) {
	for {
		question, done, err := session.Next()
		if done {
			return question, fmt.Errorf("%s asks a question that does not follow: %w", next.plan, errEnded)
		}
		if err != nil {
			return question, fmt.Errorf("the computation does not go on to %s: %w", next, err)
		}
		round, answered := opened[v.digestOf(question, next.Plan())]
		if !answered {
			if last := v.unopened(question, next, ended); last != nil {
				if err := session.Miss(last.openingBegan()); err != nil {
					return question, fmt.Errorf("the window of %s cannot be missed: %w", last, err)
				}
				v.window(session)
				continue
			}
			return question, nil
		}
		sum, err := compute.NewSum(round.sum.Contributors(), question.Layout, round.sum.Values())
		if err != nil {
			return question, fmt.Errorf("the sum of %s: %w", round, err)
		}
		sum.Sites, sum.Required = round.Request().Contributors, round.Plan().MinimumContributors
		if err := session.Absorb(sum); err != nil {
			return question, fmt.Errorf("the computation refuses the sum of %s: %w", round, err)
		}
		v.window(session)
	}
}

// unopened returns the last round of a monitor's question that the ledger gave up
// before the next plan, or before the result or a report; nil if it did not.
func (v *verifier) unopened(question compute.Question, next *round, ended bool) *round {
	if v.study.Monitor == nil || !ended && v.asks(next, question) {
		return nil
	}
	var last *round
	for _, r := range v.rounds {
		if r == next && !ended {
			break
		}
		if v.asks(r, question) {
			last = r
		}
	}
	if last == nil || last.End() == nil || ended && len(v.results) == 0 && !v.reportedAfter(last) {
		return nil
	}
	return last
}

// openingBegan reports whether somebody may have learnt the sum of a round that
// was not published.
func (r *round) openingBegan() bool { return r.End().State != "abandoned" || r.End().SharesGiven }

// checkAudit compares the signed bias audit with the one that the sums give.
func (v *verifier) checkAudit() (string, error) {
	if len(v.audits) > 1 {
		return "", fmt.Errorf("%s is a second bias audit", v.audits[1])
	}
	derived := v.outcome.result.Audit
	if len(v.audits) == 0 {
		if v.outcome.done && derived != nil {
			return "", notChecked("the sums give a bias audit and none is signed yet")
		}
		return "", notChecked("the study has no bias audit")
	}
	if derived == nil {
		return "", fmt.Errorf("%s is a bias audit that no sum gives", v.audits[0])
	}
	want, err := statement.Encode(derived)
	if err != nil {
		return "", err
	}
	rounding, err := agree("the bias audit in "+v.audits[0].String(), want, v.audits[0].payload)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the signed report is what the sums give, %s: %s of %d hospitals", rounding, countOf(derived), derived.Contributors), nil
}

// checkStudyEnd holds that a study ends in one way and then goes no further. Why
// it failed is the coordinator's word; a diagnosis follows from the sums.
func (v *verifier) checkStudyEnd() (string, error) {
	if v.studyEnd == nil {
		if len(v.results)+len(v.releases) == 0 {
			return "", notChecked("the study has not ended")
		}
		return "it came to a result, and to no other end", nil
	}
	at, end := v.studyEnd, v.studyEnd.fact.(*statement.StudyEnd)
	if end.Study != v.digest {
		return "", fmt.Errorf("%s ends another study", at)
	}
	for _, r := range v.records[at.index+1:] {
		// A hospital may take its approval back at any time.
		if r.entry.Study == v.digest.String() && r.entry.Type != ledger.TypeApproval {
			return "", fmt.Errorf("%s comes after %s", r, at)
		}
	}
	for _, round := range v.rounds {
		if round.End() == nil {
			return "", fmt.Errorf("%s comes before the end of %s", at, round)
		}
	}
	if len(v.results)+len(v.releases) > 0 {
		return "", fmt.Errorf("%s says that the study came to nothing, and it has a result", at)
	}
	switch {
	case end.State == "failed" && end.Result == nil:
		v.findings.Status = end.State
		return "failed: " + end.Reason, nil
	case end.State == "completed" && v.endsOnReport():
		v.findings.Status = end.State
		return "ended with the windows it had reported: " + end.Reason, nil
	case end.State != "diagnosed":
		return "", fmt.Errorf("%s ends in the unknown state %q, or fails with a result", at, end.State)
	case v.outcome.diagnosis == nil:
		return "", fmt.Errorf("%s gives a diagnosis that the sums do not", at)
	case end.Reason != v.outcome.diagnosis.Error():
		return "", fmt.Errorf("%s gives another diagnosis than the sums: it was changed, or made by another version of this software", at)
	}
	return "diagnosed: " + end.Reason, v.checkDiagnosed(at, end)
}

// checkDiagnosed compares what was found before a diagnosis with what the sums
// give.
func (v *verifier) checkDiagnosed(at *record, end *statement.StudyEnd) error {
	if end.Result == nil {
		return fmt.Errorf("%s does not name what was found before", at)
	}
	stated, err := v.blob(*end.Result)
	if err != nil {
		return err
	}
	want, err := json.Marshal(v.outcome.result)
	if err != nil {
		return err
	}
	_, err = agree("what was found before "+at.String(), want, stated)
	return err
}

// checkRelease compares the release with the rounds, the model and the audit.
func (v *verifier) checkRelease() (string, error) {
	if len(v.releases) > 1 {
		return "", fmt.Errorf("%s is a second release", v.releases[1])
	}
	if err := v.checkResults(); err != nil {
		return "", err
	}
	if len(v.releases) == 0 {
		return "", notChecked("nothing has been released")
	}
	at := v.releases[0]
	release := at.fact.(*statement.Release)
	v.findings.Release = at.digest.String()
	if !v.outcome.done || v.outcome.result.Model == nil {
		return "", fmt.Errorf("%s releases a model that the sums do not give", at)
	}
	if release.Study != v.digest {
		return "", fmt.Errorf("%s is of another study", at)
	}
	if release.Roster != at.roster.Digest() {
		return "", fmt.Errorf("%s names another roster than number %d, which was in force", at, at.roster.Number)
	}
	want, err := statement.Encode(v.outcome.result.Model)
	if err != nil {
		return "", err
	}
	rounding, err := agree("the model in "+at.String(), want, release.Body)
	if err != nil {
		return "", err
	}
	if release.Model != statement.DigestOf(release.Body) {
		return "", fmt.Errorf("%s gives its model another digest than it has", at)
	}
	if len(v.audits) == 0 || release.Audit != v.audits[0].digest {
		return "", fmt.Errorf("%s names another bias audit than the one in the log", at)
	}
	if at.index < v.audits[0].index {
		return "", fmt.Errorf("%s comes before its bias audit", at)
	}
	if err := v.checkReleasedRounds(at, release); err != nil {
		return "", err
	}
	return fmt.Sprintf("its model is what the sums give, %s; it lists the %d published rounds and the bias audit", rounding, len(release.Rounds)), nil
}

// checkResults compares the results in the log with what the sums give.
func (v *verifier) checkResults() error {
	for _, r := range v.results {
		want, err := json.Marshal(v.outcome.result)
		if err != nil {
			return err
		}
		if _, err := agree("the result in "+r.String(), want, r.envelope); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) checkReleasedRounds(at *record, release *statement.Release) error {
	i := 0
	for _, round := range v.rounds {
		if !round.published() {
			continue
		}
		if round.ends[0].index > at.index {
			return fmt.Errorf("%s comes before %s was published", at, round)
		}
		if i == len(release.Rounds) {
			return fmt.Errorf("%s leaves out %s", at, round)
		}
		listed := release.Rounds[i]
		switch {
		case listed.Round != round.id:
			return fmt.Errorf("%s lists round %.12s where %s was published", at, listed.Round, round)
		case listed.Step != round.Plan().Step:
			return fmt.Errorf("%s lists %s under another step", at, round)
		case !slices.Equal(listed.Contributors, round.Request().Contributors):
			return fmt.Errorf("%s lists other contributors to %s than were opened", at, round)
		case !slices.Equal(listed.Headers, round.Request().Headers):
			return fmt.Errorf("%s lists other contributions to %s than were opened", at, round)
		case listed.Sum != *round.End().Sum:
			return fmt.Errorf("%s lists another sum of %s than was published", at, round)
		}
		i++
	}
	if i != len(release.Rounds) {
		return fmt.Errorf("%s lists %d rounds more than were published", at, len(release.Rounds)-i)
	}
	return nil
}

// checkDecisions checks that the hospitals' decisions are about this release.
// Whose they are was checked with the signatures.
func (v *verifier) checkDecisions() (string, error) {
	if len(v.decisions) == 0 {
		return "", notChecked("no hospital has decided about a release")
	}
	if len(v.releases) == 0 {
		return "", fmt.Errorf("%s decides about a release that is not in the log", v.decisions[0])
	}
	accepted := make(map[string]bool)
	for _, d := range v.decisions {
		decision := d.fact.(*statement.ReleaseDecision)
		if decision.Release != v.releases[0].digest {
			return "", fmt.Errorf("%s decides about another release", d)
		}
		if d.index < v.releases[0].index {
			return "", fmt.Errorf("%s comes before the release", d)
		}
		if member, ok := d.roster.Member(decision.Site); !ok || member.Role != identity.RoleSite {
			return "", fmt.Errorf("%s: %q is no hospital on the roster", d, decision.Site)
		}
		accepted[decision.Site] = decision.Accepted
	}
	yes := 0
	for _, a := range accepted {
		if a {
			yes++
		}
	}
	return fmt.Sprintf("%d hospitals accepted, %d refused", yes, len(accepted)-yes), nil
}
