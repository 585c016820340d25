package web

import (
	"net/http"

	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	"github.com/consilium-fl/consilium/study"
)

// studyLine is a study in the list.
type studyLine struct {
	*driver.StudyStatus
	Approved, Asked   int  // sites
	Opened            int  // rounds
	Accepted, Offered int  // sites that accept the release, of those it was offered to
	Reported          bool // it has a bias audit
	Released          bool // it has a release, which criteria may stand in the way of
}

func newStudyLine(st *driver.StudyStatus) studyLine {
	line := studyLine{
		StudyStatus: st, Reported: st.Gate != "", Released: !st.Release.IsZero(),
		Asked: len(st.Decisions), Approved: tally(st.Decisions, "approved"),
		Offered: len(st.ReleaseDecisions), Accepted: tally(st.ReleaseDecisions, "accepted"),
	}
	for _, r := range st.Rounds {
		if r.State == "published" {
			line.Opened++
		}
	}
	return line
}

func tally(decisions []driver.SiteDecision, word string) (n int) {
	for _, d := range decisions {
		if d.Decision == word {
			n++
		}
	}
	return n
}

func (s *site) studies(w http.ResponseWriter, r *http.Request) error {
	f := s.frame(r, "Studies", "Studies of "+s.driver.Roster().Consortium)
	f.Lead = "What researchers have asked, which hospitals have agreed, and how far it is."
	var lines []studyLine
	for _, st := range s.driver.List() {
		lines = append(lines, newStudyLine(st))
	}
	f.Page = lines
	return write(w, http.StatusOK, "studies", f)
}

// GateWord says in a few words what the study's criteria make of its release.
func (l studyLine) GateWord() string {
	if l.Override != nil {
		return "blocked, overridden"
	}
	return l.Gate
}

// Overridden is the day of the override, by the auditor's clock.
func (l studyLine) Overridden() string { return l.Override.Time.UTC().Format("2 January 2006") }

// studyView is a study's own page.
type studyView struct {
	studyLine
	Protocol  string
	HasResult bool
	Declared  bool // the study declares criteria
	BytesUp   int64
}

func (s *site) study(w http.ResponseWriter, r *http.Request) error {
	o, err := s.driver.Outcome(r.PathValue("study"))
	if err != nil {
		return err
	}
	// A study is named by the digest of its file.
	protocol, err := s.driver.Blobs.Get(o.Status.Study)
	if err != nil {
		return err
	}
	parsed, err := study.Parse(protocol)
	if err != nil {
		return err
	}
	v := studyView{Declared: len(parsed.Fairness.Criteria) > 0, studyLine: newStudyLine(o.Status), Protocol: string(protocol), HasResult: o.Result != nil}
	for _, round := range o.Status.Rounds {
		v.BytesUp += round.BytesUp
	}
	f := s.frame(r, "Study", titleOf(o.Status))
	f.Lead = "Proposed by " + o.Status.Researcher + " to " + plot.Plural(v.Asked, "hospital", "hospitals") + ". It is " + o.Status.State + "."
	f.Page = v
	return write(w, http.StatusOK, "study", f)
}

func titleOf(st *driver.StudyStatus) string {
	if st.Title != "" {
		return st.Title
	}
	return st.Name
}
