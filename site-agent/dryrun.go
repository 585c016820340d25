package siteagent

import (
	"path/filepath"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/outbox"
	"github.com/consilium-fl/consilium/study"
)

// DryRun shows a hospital, before it decides, what a study would do with its
// records: how many are usable, why others are not, and exactly which numbers
// would leave in which step. It stays at the hospital.
type DryRun struct {
	Study   statement.Digest         `json:"study"`
	Name    string                   `json:"name"`
	Version int                      `json:"version"`
	Title   string                   `json:"title"`
	Rows    int                      `json:"rows"`
	Skipped map[study.SkipReason]int `json:"skipped"`
	Steps   []DryRunStep             `json:"steps"`
	Waits   string                   `json:"waits"` // how long a round waits for this hospital, and then
	Shown   []string                 `json:"shown"` // by the opened sums, beside the model
	// Criteria of the study, and what their verdicts will do to its release.
	Criteria []string `json:"criteria,omitempty"`
	// Unreadable says why the records could not be read; Rows is then 0.
	Unreadable string `json:"unreadable,omitempty"`
}

// DryRunStep is what would leave in a step of a study.
type DryRunStep struct {
	Step    string         `json:"step"`
	Purpose string         `json:"purpose"`
	Fields  []outbox.Field `json:"fields"`
	Numbers int            `json:"numbers"` // in all fields
	Rounds  int            `json:"rounds"`  // at most
	Bytes   int64          `json:"bytes"`   // about, for each round
}

// NewDryRun reads the source through the study. sites is how many hospitals
// are on the roster, which decides how large the encryption is.
func NewDryRun(s *study.Study, source records.Source, sites int) *DryRun {
	own, err := loadCohort(s, source)
	return newDryRun(s, own, err, sites)
}

func newDryRun(s *study.Study, own *cohort, unreadable error, sites int) *DryRun {
	d := &DryRun{Study: s.Digest(), Name: s.Name, Version: s.Version, Title: s.Title, Skipped: map[study.SkipReason]int{}}
	if unreadable != nil {
		d.Unreadable = unreadable.Error()
	} else {
		d.Rows, d.Skipped = own.matrix.Rows(), own.skipped
	}
	d.Waits = s.Deadline().String() + "; who misses a round is not asked again in this study"
	if s.Monitor != nil {
		d.Waits = s.Deadline().String() + "; who misses a round is asked again in the next window"
	}
	d.Shown, d.Criteria = pipeline.Shown(s), fairness.Declared(s)
	for _, step := range pipeline.Steps(s, sites) {
		d.Steps = append(d.Steps, dryRunStep(step, max(sites, s.MinimumContributors())))
	}
	return d
}

func dryRunStep(step compute.StepSummary, sites int) DryRunStep {
	d := DryRunStep{Step: step.Step, Purpose: step.Purpose, Numbers: step.Numbers, Rounds: step.Rounds}
	layout := make(secagg.Layout, len(step.Fields))
	for i, f := range step.Fields {
		layout[i] = secagg.Field(f)
		d.Fields = append(d.Fields, outbox.Field{Name: f.Name, Length: f.Length})
	}
	committee := min(sites, statement.MaxCommittee)
	suite, err := secagg.SelectSuite(layout, sites, committee, secagg.Supermajority(committee))
	if err != nil {
		return d // the size is not known; the fields are
	}
	round, err := secagg.NewRound(secagg.RoundSpec{Suite: suite, Layout: layout, Invited: sites, Committee: committee, Threshold: secagg.Supermajority(committee)})
	if err != nil {
		return d
	}
	d.Bytes = int64(round.Chunks())*int64(round.ChunkBytes()) + shareBytes(round, committee)
	return d
}

// shareBytes is what the key shares of a contribution take: of most members, no
// more than an agreement.
func shareBytes(round *secagg.Round, committee int) int64 {
	agreed := round.Agreed()
	return int64(agreed)*identity.AgreementBytes + int64(committee-agreed)*int64(round.ShareBytes()+identity.SealingOverhead)
}

// DryRunAt is NewDryRun for the roster of a state directory.
func DryRunAt(dir string, s *study.Study, source records.Source) *DryRun {
	sites := s.MinimumContributors()
	if node, err := identity.OpenNode(filepath.Join(dir, identityDir)); err == nil {
		sites = len(node.Rosters().Latest().Sites())
	}
	return NewDryRun(s, source, sites)
}

// DryRun is NewDryRun for this agent's records and roster. The records that it
// reads are kept for the study's start, as long as they stay the same.
func (a *Agent) DryRun(s *study.Study) *DryRun {
	own, err := a.cohorts.rehearsals.read(s, a.o.Source, a.o.Now())
	return newDryRun(s, own, err, len(a.node.Rosters().Latest().Sites()))
}
