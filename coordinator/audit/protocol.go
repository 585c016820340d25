package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// checkStudy reads the protocol file and who proposed and started it.
func (v *verifier) checkStudy() (string, error) {
	s, err := study.Parse(v.source)
	if err != nil {
		return "", fmt.Errorf("%s: %w", studyFile, err)
	}
	v.study = s
	v.findings.Name, v.findings.Title = s.Name, s.Title
	if v.proposal == nil {
		return "", fmt.Errorf("no entry proposes the study %.12s", v.digest)
	}
	proposal := v.proposal.fact.(*statement.Proposal)
	if proposal.Study != v.digest {
		return "", fmt.Errorf("%s proposes another study", v.proposal)
	}
	detail := fmt.Sprintf("%s version %d, proposed by %s", s.Name, s.Version, proposal.Researcher)
	if v.start == nil {
		v.findings.Status = "proposed"
		if len(v.rounds) > 0 {
			return "", fmt.Errorf("%s plans a round and the study was never started", v.rounds[0].plan)
		}
		return detail + ", not started", nil
	}
	v.findings.Status = "running"
	start := v.start.fact.(*statement.Start)
	switch {
	case start.Study != v.digest:
		return "", fmt.Errorf("%s starts another study", v.start)
	case start.Researcher != proposal.Researcher:
		return "", fmt.Errorf("%s: %q starts what %q proposed", v.start, start.Researcher, proposal.Researcher)
	case v.start.index < v.proposal.index:
		return "", fmt.Errorf("%s comes before the proposal", v.start)
	case len(v.rounds) > 0 && v.rounds[0].plan.index < v.start.index:
		return "", fmt.Errorf("%s plans a round before the study was started", v.rounds[0].plan)
	}
	return detail, nil
}

// checkApprovals holds every plan's invited sites against what those sites had
// last said about the study by then.
func (v *verifier) checkApprovals() (string, error) {
	approved := make(map[string]bool)
	pending := v.approvals
	sites := make(map[string]bool)
	for _, round := range v.rounds {
		for len(pending) > 0 && pending[0].index < round.plan.index {
			a := pending[0].fact.(*statement.Approval)
			if a.Study != v.digest {
				return "", fmt.Errorf("%s is about another study", pending[0])
			}
			approved[a.Site] = a.Approved
			pending = pending[1:]
		}
		for _, site := range round.Plan().Invited {
			if !approved[site] {
				return "", fmt.Errorf("%s invites %q, which had not approved the study", round.plan, site)
			}
			sites[site] = true
		}
	}
	if len(v.rounds) == 0 {
		return "", notChecked("the study has no rounds yet")
	}
	return fmt.Sprintf("each of the %d invited sites approved the study before its rounds", len(sites)), nil
}

// checkPlans checks each plan alone, against the study and the roster, and
// that what it plans came after it.
func (v *verifier) checkPlans() (string, error) {
	if len(v.rounds) == 0 {
		return "", notChecked("the study has no rounds yet")
	}
	if err := inParallel(len(v.rounds), func(i int) error { return v.checkCollecting(v.rounds[i]) }); err != nil {
		return "", err
	}
	contributions := 0
	for _, round := range v.rounds {
		contributions += len(round.contributions)
	}
	return fmt.Sprintf("%d, each follows from the study; %d contributions, each after its plan", len(v.rounds), contributions), nil
}

// checkCollecting checks a round's plan and what the hospitals said to it.
func (v *verifier) checkCollecting(round *round) error {
	if err := v.checkPlan(round); err != nil {
		return fmt.Errorf("%s: %w", round.plan, err)
	}
	if _, err := round.crypto(); err != nil {
		return fmt.Errorf("%s: %w", round.plan, err)
	}
	for _, c := range round.contributions {
		if err := round.checkContribution(c); err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
	}
	for _, d := range round.declines {
		if err := round.checkDecline(d); err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
	}
	return nil
}

func (v *verifier) checkPlan(round *round) error {
	plan, roster := round.Plan(), round.plan.roster
	if plan.Study != v.digest {
		return fmt.Errorf("it plans another study's round")
	}
	if err := plan.Validate(); err != nil {
		return err
	}
	if plan.Roster != roster.Digest() {
		return fmt.Errorf("it names another roster than number %d, which was in force", roster.Number)
	}
	for _, site := range plan.Invited {
		if member, ok := roster.Member(site); !ok || member.Role != identity.RoleSite {
			return fmt.Errorf("it invites %q, which is no site on roster %d", site, roster.Number)
		}
	}
	if err := v.checkCommittee(plan); err != nil {
		return err
	}
	if want := v.study.MinimumContributors(); plan.MinimumContributors < want {
		return fmt.Errorf("it is content with %d contributors where the study wants %d", plan.MinimumContributors, want)
	}
	if want := v.study.Threshold(len(plan.Committee)); plan.Threshold != want {
		return fmt.Errorf("its threshold is %d where the study gives %d", plan.Threshold, want)
	}
	parameters, err := v.blob(plan.Parameters)
	if err != nil {
		return err
	}
	layout, err := pipeline.Layout(v.study, plan.Step, parameters)
	if err != nil {
		return fmt.Errorf("step %q: %w", plan.Step, err)
	}
	if !plan.RoundSpec().Layout.Agrees(fields(layout)) {
		return fmt.Errorf("its layout is not that of step %q", plan.Step)
	}
	return nil
}

// fields puts a computation's layout into the words of the secure sum.
func fields(layout []compute.Field) []secagg.Field {
	out := make([]secagg.Field, len(layout))
	for i, f := range layout {
		out[i] = secagg.Field(f)
	}
	return out
}

func (r *round) checkContribution(c *record) error {
	h := c.fact.(*statement.ContributionHeader)
	if c.index < r.plan.index {
		return fmt.Errorf("it comes before its plan")
	}
	if !slices.Contains(r.Plan().Invited, h.Site) {
		return fmt.Errorf("%q was not invited to the round", h.Site)
	}
	if _, first := r.header(h.Site); first != c {
		return fmt.Errorf("%q contributes a second time to the round", h.Site)
	}
	if len(h.Chunks) != r.sealed.Chunks() {
		return fmt.Errorf("it has %d chunks where the plan gives %d", len(h.Chunks), r.sealed.Chunks())
	}
	if len(h.Shares) != len(r.Plan().Committee) {
		return fmt.Errorf("it has %d key shares for a committee of %d", len(h.Shares), len(r.Plan().Committee))
	}
	return nil
}

func (r *round) checkDecline(d *record) error {
	site := d.fact.(*statement.Decline).Site
	if d.index < r.plan.index {
		return fmt.Errorf("it comes before its plan")
	}
	if !slices.Contains(r.Plan().Invited, site) {
		return fmt.Errorf("%q was not invited to the round", site)
	}
	if _, c := r.header(site); c != nil {
		return fmt.Errorf("%q declined the round to which it contributes in %s", site, c)
	}
	for _, other := range r.declines {
		if other != d && other.fact.(*statement.Decline).Site == site {
			return fmt.Errorf("%q declined the round a second time", site)
		}
	}
	if len(r.requests) > 0 && d.index > r.requests[0].index {
		return fmt.Errorf("%q declined the round after %s had fixed the set to open", site, r.requests[0])
	}
	return nil
}

// checkOpenings checks that a round's opening set was fixed once, after the
// last contribution, over contributions that are in the log.
func (v *verifier) checkOpenings() (string, error) {
	requests := 0
	for _, round := range v.rounds {
		if len(round.requests) < 2 {
			if err := round.checkFaults(); err != nil {
				return "", err
			}
		}
		if len(round.requests) == 0 {
			if len(round.shares) > 0 {
				return "", fmt.Errorf("%s opens %s, which nobody asked to open", round.shares[0], round)
			}
			continue
		}
		if len(round.requests) > 1 {
			return "", fmt.Errorf("%s asks to open %s a second time", round.requests[1], round)
		}
		if err := round.checkRequest(); err != nil {
			return "", err
		}
		requests++
	}
	if len(v.rounds) == 0 {
		return "", notChecked("the study has no rounds yet")
	}
	return fmt.Sprintf("%d, at most one for each round, each after the last contribution and over at least the minimum of sites", requests), nil
}

func (r *round) checkRequest() error {
	at, request := r.requests[0], r.Request()
	for _, c := range r.contributions {
		if c.index > at.index {
			return fmt.Errorf("%s came after %s had fixed the set to open", c, at)
		}
	}
	if len(request.Headers) != len(request.Contributors) {
		return fmt.Errorf("%s lists %d headers for %d contributors", at, len(request.Headers), len(request.Contributors))
	}
	if len(request.Contributors) != len(r.contributions) {
		return fmt.Errorf("%s opens %d contributions where the log holds %d", at, len(request.Contributors), len(r.contributions))
	}
	if len(request.Contributors) < r.Plan().MinimumContributors {
		return fmt.Errorf("%s opens %d contributions, below the minimum of %d", at, len(request.Contributors), r.Plan().MinimumContributors)
	}
	for i, site := range request.Contributors {
		if i > 0 && request.Contributors[i-1] >= site {
			return fmt.Errorf("%s does not list distinct sites in ascending order", at)
		}
		header, c := r.header(site)
		if header == nil {
			return fmt.Errorf("%s opens a contribution of %q that is not in the log", at, site)
		}
		if c.digest != request.Headers[i] {
			return fmt.Errorf("%s names another header of %q than %s", at, site, c)
		}
	}
	for _, s := range r.shares {
		share := s.fact.(*statement.OpeningShare)
		if s.index < at.index {
			return fmt.Errorf("%s comes before the request that it answers", s)
		}
		if share.Request != at.digest {
			return fmt.Errorf("%s answers another request than %s", s, at)
		}
		if !slices.Contains(r.Plan().Committee, share.Member) {
			return fmt.Errorf("%s: %q is not on the committee", s, share.Member)
		}
	}
	return nil
}

// checkRoundEnds checks that what the coordinator says about the end of a
// round agrees with what the log holds of it.
func (v *verifier) checkRoundEnds() (string, error) {
	for _, w := range v.withdrawn {
		end := w.fact.(*statement.RoundEnd)
		if end.State != "abandoned" || end.SharesGiven || end.Sum != nil || end.Request != nil || len(end.Contributors)+len(end.Openers) > 0 {
			return "", fmt.Errorf("%s ends a round that no entry plans", w)
		}
	}
	if len(v.rounds) == 0 {
		return "", notChecked("the study has no rounds yet")
	}
	states := make(map[string]int)
	for _, round := range v.rounds {
		switch len(round.ends) {
		case 0:
			states["running"]++
			continue
		case 1:
		default:
			return "", fmt.Errorf("%s ends %s a second time", round.ends[1], round)
		}
		if err := round.checkEnd(); err != nil {
			return "", err
		}
		states[round.End().State]++
	}
	if states["running"] > 1 {
		return "", fmt.Errorf("%d rounds run at the same time", states["running"])
	}
	detail := fmt.Sprintf("%d published", states["published"])
	for _, state := range []string{"abandoned", "failed-integrity", "running"} {
		if states[state] > 0 {
			detail += fmt.Sprintf(", %d %s", states[state], state)
		}
	}
	return detail, nil
}

func (r *round) checkEnd() error {
	at, end, request := r.ends[0], r.End(), r.Request()
	for _, list := range [][]*record{{r.plan}, r.contributions, r.declines, r.requests, r.shares, r.faults} {
		for _, other := range list {
			if other.index > at.index {
				return fmt.Errorf("%s came after %s", other, at)
			}
		}
	}
	if end.Question != r.Plan().Question {
		return fmt.Errorf("%s answers another question than its plan asks", at)
	}
	if end.SharesGiven != (len(r.shares) > 0) {
		return fmt.Errorf("%s is untrue about whether opening shares were given: the log holds %d", at, len(r.shares))
	}
	switch {
	case request == nil && end.Request != nil, request != nil && (end.Request == nil || *end.Request != r.requests[0].digest):
		return fmt.Errorf("%s does not name the opening request of the log", at)
	case request != nil && !slices.Equal(end.Contributors, request.Contributors):
		return fmt.Errorf("%s lists other contributors than the opening request", at)
	}
	var sent []string
	for _, c := range r.contributions {
		sent = append(sent, c.fact.(*statement.ContributionHeader).Site)
	}
	slices.Sort(sent)
	if !slices.Equal(end.Contributors, sent) {
		return fmt.Errorf("%s lists other contributors (%s) than contributed in the log (%s)", at, strings.Join(end.Contributors, ", "), strings.Join(sent, ", "))
	}
	var gave []string
	for _, share := range r.shares {
		gave = append(gave, share.fact.(*statement.OpeningShare).Member)
	}
	slices.Sort(gave)
	if !slices.Equal(end.Openers, gave) {
		return fmt.Errorf("%s counts other openers (%s) than gave an opening share in the log (%s)", at, strings.Join(end.Openers, ", "), strings.Join(gave, ", "))
	}
	if blamed := r.blamed(); !slices.Equal(end.AtFault, blamed) {
		return fmt.Errorf("%s blames others (%s) than the committee's reports in the log do (%s)", at, strings.Join(end.AtFault, ", "), strings.Join(blamed, ", "))
	}
	switch end.State {
	case "published":
		if request == nil || end.Sum == nil {
			return fmt.Errorf("%s publishes a sum that nobody asked for", at)
		}
		if len(end.Openers) < r.Plan().Threshold {
			return fmt.Errorf("%s publishes a sum with %d opening shares, below the threshold of %d", at, len(end.Openers), r.Plan().Threshold)
		}
	case "abandoned", "failed-integrity":
		if end.Sum != nil {
			return fmt.Errorf("%s names a sum although the round was %s", at, end.State)
		}
	default:
		return fmt.Errorf("%s ends in the unknown state %q", at, end.State)
	}
	return nil
}

// checkQuestions checks that no question was opened over two sets of sites,
// whose difference would be one hospital's numbers.
func (v *verifier) checkQuestions() (string, error) {
	if len(v.rounds) == 0 {
		return "", notChecked("the study has no rounds yet")
	}
	opened := make(map[statement.Digest][]*round)
	for _, round := range v.rounds {
		if len(round.shares) == 0 {
			continue
		}
		question := round.Plan().Question
		if err := round.mayReopen(opened[question]); err != nil {
			return "", err
		}
		opened[question] = append(opened[question], round)
	}
	return fmt.Sprintf("%d opened, none over two sets of sites", len(opened)), nil
}

// mayReopen says whether a question that was opened before may be opened in
// this round: once more, after a failure that is pinned on sites, over the same
// set without them.
func (r *round) mayReopen(before []*round) error {
	if len(before) == 0 {
		return nil
	}
	at, first := r.requests[0], before[0]
	end := first.End()
	switch {
	case end == nil || end.State != "failed-integrity":
		return fmt.Errorf("%s asks the committee again about a question that %s had opened", at, first)
	case len(end.AtFault) == 0:
		return fmt.Errorf("%s opens a question again whose failure in %s is pinned on no site", at, first)
	case len(before) > 1:
		return fmt.Errorf("%s opens a question a third time", at)
	}
	same := slices.DeleteFunc(slices.Clone(first.Request().Contributors), func(site string) bool { return slices.Contains(end.AtFault, site) })
	if !slices.Equal(r.Request().Contributors, same) {
		return fmt.Errorf("%s opens a question again over another set than the sites of %s without those at fault", at, first)
	}
	return nil
}
