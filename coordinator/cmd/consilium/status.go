package main

import (
	"time"

	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// The JSON of a study's status. The keys are stable.
type studyJSON struct {
	Study            string         `json:"study"`
	Name             string         `json:"name"`
	Title            string         `json:"title"`
	Version          uint32         `json:"version"`
	Researcher       string         `json:"researcher"`
	State            string         `json:"state"`
	Reason           string         `json:"reason,omitempty"`
	Decisions        []decisionJSON `json:"decisions"`
	Rounds           []roundJSON    `json:"rounds"`
	Release          string         `json:"release,omitempty"`
	ReleaseDecisions []decisionJSON `json:"release_decisions,omitempty"`
	// What the study's criteria make of the release, a sentence for each that does
	// not pass, and who had it offered although they block it.
	Gate        string        `json:"gate,omitempty"`
	GateReasons []string      `json:"gate_reasons,omitempty"`
	Override    *overrideJSON `json:"override,omitempty"`
}

type decisionJSON struct {
	Site     string `json:"site"`
	Decision string `json:"decision"`
	Reason   string `json:"reason,omitempty"`
}

type roundJSON struct {
	ID             string         `json:"id"`
	Step           string         `json:"step"`
	Question       string         `json:"question"`
	State          string         `json:"state"`
	Reason         string         `json:"reason,omitempty"`
	Invited        []string       `json:"invited"`
	Contributors   []string       `json:"contributors"`
	Openers        []string       `json:"openers"`
	Missing        []string       `json:"missing"`
	Declined       []decisionJSON `json:"declined,omitempty"`
	BytesUp        uint64         `json:"bytes_up"`
	ChunksStored   uint64         `json:"chunks_stored"`
	ChunksExpected uint64         `json:"chunks_expected"`
	Started        *time.Time     `json:"started,omitempty"`
	Ended          *time.Time     `json:"ended,omitempty"`
}

func statusOf(s *consiliumv1.StudyStatus) studyJSON {
	out := studyJSON{
		Study: s.GetStudy(), Name: s.GetName(), Title: s.GetTitle(), Version: s.GetVersion(),
		Researcher: s.GetResearcher(), State: s.GetState(), Reason: s.GetReason(),
		Decisions: decisionsOf(s.GetDecisions()), Rounds: []roundJSON{},
		Release: s.GetRelease(), ReleaseDecisions: decisionsOf(s.GetReleaseDecisions()),
		Gate: s.GetGate(), GateReasons: s.GetGateReasons(), Override: overrideOf(s.GetOverride()),
	}
	for _, r := range s.GetRounds() {
		out.Rounds = append(out.Rounds, roundJSON{
			ID: r.GetId(), Step: r.GetStep(), Question: r.GetQuestion(), State: r.GetState(), Reason: r.GetReason(),
			Invited: list(r.GetInvited()), Contributors: list(r.GetContributors()), Openers: list(r.GetOpeners()), Missing: list(r.GetMissing()),
			BytesUp: r.GetBytesUp(), ChunksStored: r.GetChunksStored(), ChunksExpected: r.GetChunksExpected(),
			Started: moment(r.GetStartedUnixMs()), Ended: moment(r.GetEndedUnixMs()), Declined: declinedOf(r.GetDeclined()),
		})
	}
	return out
}

// declinedOf is nil for a round that nobody declined.
func declinedOf(in []*consiliumv1.SiteDecision) []decisionJSON {
	if len(in) == 0 {
		return nil
	}
	return decisionsOf(in)
}

func decisionsOf(in []*consiliumv1.SiteDecision) []decisionJSON {
	out := []decisionJSON{}
	for _, d := range in {
		out = append(out, decisionJSON{Site: d.GetSite(), Decision: d.GetDecision(), Reason: d.GetReason()})
	}
	return out
}

// list keeps an empty list from becoming null.
func list(in []string) []string {
	if in == nil {
		return []string{}
	}
	return in
}

func moment(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

// tally counts decisions by their word.
func tally(decisions []decisionJSON) map[string]int {
	counts := make(map[string]int)
	for _, d := range decisions {
		counts[d.Decision]++
	}
	return counts
}

// ended reports whether a study's state is final.
func (s studyJSON) ended() bool {
	return s.State == "completed" || s.State == "diagnosed" || s.State == "failed"
}
