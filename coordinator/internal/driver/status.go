package driver

import (
	"fmt"
	"slices"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// StudyStatus is what members may know about a study. Nothing in it depends on
// one site's records, but that a site could not use them for a round.
type StudyStatus struct {
	Study            statement.Digest
	Name, Title      string
	Version          int
	Researcher       string
	State, Reason    string
	Verdict          string // of a study that watches a release, so far; empty of any other
	Decisions        []SiteDecision
	Rounds           []RoundStatus
	Release          statement.Digest // zero until there is one
	ReleaseDecisions []SiteDecision

	Gate        string    // what the study's criteria make of the release; empty without a model
	GateReasons []string  // a sentence for each criterion that does not pass
	Override    *Override // where a blocked release is offered all the same
}

// Override is an auditor's word that a blocked release be offered.
type Override struct {
	Auditor, Reason string
	Time            time.Time // by the auditor's clock
}

// SiteDecision is a site's word on a study or a release.
type SiteDecision struct{ Site, Decision, Reason string }

// RoundStatus is how far a round is.
type RoundStatus struct {
	ID, Question                            statement.Digest
	Step, State, Reason                     string
	Invited, Contributors, Openers, Missing []string
	BytesUp                                 int64
	ChunksStored, ChunksExpected            int
	Started, Ended                          time.Time
	Declined                                []SiteDecision // with one of the words of statement.DeclineKind as the reason
}

// Status returns the status of one study.
func (d *Driver) Status(hex string) (*StudyStatus, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.studyByName(hex)
	if err != nil {
		return nil, err
	}
	return d.status(s), nil
}

// List returns the status of every study, in the order of their proposals.
func (d *Driver) List() []*StudyStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*StudyStatus
	for _, s := range d.order {
		all = append(all, d.status(s))
	}
	return all
}

// Outcome is what a study has produced; the parts are nil until it has.
type Outcome struct {
	Status                 *StudyStatus
	Result, Audit, Release []byte
	Override               []byte // where a blocked release is offered all the same
	Protocol               []byte // the study's file
}

// Outcome returns a study's status, result, signed audit and signed release.
func (d *Driver) Outcome(hex string) (*Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.studyByName(hex)
	if err != nil {
		return nil, err
	}
	o := &Outcome{Status: d.status(s), Protocol: s.study.Source()}
	if s.ended == nil {
		o.Result, err = d.soFar(s)
		return o, err
	}
	var override *statement.Digest
	if s.overridden != nil {
		override = &s.overridden.Envelope
	}
	for _, part := range []struct {
		name *statement.Digest
		into *[]byte
	}{{s.ended.Result, &o.Result}, {s.ended.Audit, &o.Audit}, {s.ended.Release, &o.Release}, {override, &o.Override}} {
		if part.name == nil {
			continue
		}
		if *part.into, err = d.Blobs.Get(*part.name); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (d *Driver) studyByName(hex string) (*studyState, error) {
	id, err := statement.ParseDigest(hex)
	if err != nil {
		return nil, problem(Invalid, "not-a-digest", "this names no study", err.Error(), "send the study's digest, as consilium study list shows it")
	}
	return d.study(id)
}

func (d *Driver) status(s *studyState) *StudyStatus {
	st := &StudyStatus{
		Study: s.id, Name: s.study.Name, Title: s.study.Title, Version: s.study.Version,
		Researcher: s.proposed.Researcher, State: s.state(), Verdict: d.verdict(s),
	}
	for _, m := range d.Roster().Sites() {
		decision := SiteDecision{Site: m.Name, Decision: "pending"}
		if a, ok := s.decisions[m.Name]; ok {
			decision.Decision, decision.Reason = "refused", a.Reason
			if a.Approved {
				decision.Decision = "approved"
			}
		}
		st.Decisions = append(st.Decisions, decision)
	}
	st.Rounds = slices.Grow(st.Rounds, len(s.rounds))
	for _, r := range s.rounds {
		st.Rounds = append(st.Rounds, *r.status())
	}
	if s.ended == nil {
		return st
	}
	st.Reason, st.Gate = s.ended.Reason, s.gate()
	if s.ended.Gate != nil {
		for _, reason := range s.ended.Gate.Reasons {
			st.GateReasons = append(st.GateReasons, reason.Text())
		}
	}
	if o := s.overridden; o != nil {
		st.Override = &Override{o.Auditor, o.Reason, o.Time}
	}
	if s.ended.Offered == nil {
		return st
	}
	st.Release = *s.ended.Offered
	for _, site := range d.approved(s) {
		decision := SiteDecision{Site: site, Decision: "pending"}
		if a, ok := s.releases[site]; ok {
			decision.Decision, decision.Reason = "refused", a.Reason
			if a.Accepted {
				decision.Decision = "accepted"
			}
		}
		st.ReleaseDecisions = append(st.ReleaseDecisions, decision)
	}
	return st
}

// status of a round. That of one that has ended is made once: a study can have
// hundreds, and is looked at often.
func (r *roundState) status() *RoundStatus {
	if r.shown != nil {
		return r.shown
	}
	st := r.look()
	if r.State().Terminal() {
		r.shown = &st
	}
	return &st
}

func (r *roundState) look() RoundStatus {
	st := RoundStatus{
		ID: r.ID(), Question: r.Plan().Question, Step: r.Plan().Step, State: string(r.State()), Reason: r.End().Reason,
		Invited: r.Plan().Invited, Contributors: r.Contributors(), Openers: r.Openers(), Missing: r.Missing(),
		BytesUp: r.BytesUp(), Started: r.startedAt, Ended: r.End().At,
	}
	if r.State().Terminal() {
		st.Missing = r.End().Missing
	}
	for _, site := range r.Machine.Declined() {
		if d, ok := r.Decline(site); ok {
			st.Declined = append(st.Declined, SiteDecision{Site: site, Decision: "declined", Reason: statement.DeclineKind(d.Reason)})
		}
	}
	crypto, err := r.crypto()
	if err != nil {
		return st
	}
	st.ChunksExpected = crypto.Chunks() * len(r.Plan().Invited)
	for _, site := range r.Plan().Invited {
		if _, counted := r.Contribution(site); counted {
			st.ChunksStored += crypto.Chunks()
			continue
		}
		for _, stored := range r.stored[site] {
			if stored {
				st.ChunksStored++
			}
		}
	}
	return st
}

// Over reports whether a study has ended: nothing more is asked for it, though
// sites may still be deciding about its release.
func (s *StudyStatus) Over() bool {
	return s.State == Completed || s.State == Diagnosed || s.State == Failed
}

// Progress is a short text that changes with every change of the status, so
// that a watcher is told once. Of the rounds only the last can still change.
func (s *StudyStatus) Progress() string {
	text := fmt.Sprint(s.State, s.Reason, s.Decisions, s.ReleaseDecisions, len(s.Rounds))
	if n := len(s.Rounds); n > 0 {
		r := s.Rounds[n-1]
		text += fmt.Sprint(r.ID, r.State, r.Contributors, r.Openers, r.ChunksStored, r.Declined)
	}
	return text
}
