package siteagent

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// Status is what the running agent leaves for people's commands to show.
type Status struct {
	Site    string    `json:"site"`
	Time    time.Time `json:"time"` // of a poll: of one in a second where there are many
	Problem string    `json:"problem,omitempty"`
	// Violations are the security violations seen so far.
	Violations  []string  `json:"violations,omitempty"`
	Roster      uint64    `json:"roster"`
	LedgerSize  uint64    `json:"ledger_size"`
	Certificate time.Time `json:"certificate_until"`
}

// ReadStatus returns what the agent of a state directory last left.
func ReadStatus(dir string) (Status, error) {
	var s Status
	return s, readJSON(filepath.Join(dir, statusFile), &s)
}

func (a *Agent) writeStatus(problem error) {
	s := Status{
		Site: a.node.Name(), Time: a.o.Now().UTC().Truncate(time.Second),
		Roster: a.node.Rosters().Latest().Number, LedgerSize: a.witness.latest().Size, Certificate: a.node.Certificate().NotAfter,
	}
	for _, v := range a.vault.Violations() {
		s.Violations = append(s.Violations, v.Time.Format(time.RFC3339)+" "+v.Sentence)
	}
	if problem != nil {
		s.Problem = problem.Error()
	}
	if a.status.Problem == s.Problem && len(a.status.Violations) == len(s.Violations) && a.status.Time.Equal(s.Time) {
		return
	}
	a.status = s
	// Not synced: nothing depends on it after a power cut.
	path := filepath.Join(a.o.Dir, statusFile)
	data, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.WriteFile(path+".new", append(data, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		a.log.Warn("the status cannot be written", zap.Error(err))
	}
}
