package siteagent

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

// An agent that was restarted in the middle of a study reads its records again. Where
// the hospital's file was replaced meanwhile it answers no more: the sums of one study
// would be about different patients, and no figure would show it.
func TestAStudyGoesOnWithTheRecordsThatItBeganWith(t *testing.T) {
	c := newCoordinator(t)
	dir := c.enrol("alpha")[0]
	s := parseStudy(t, doseStudy)
	q, _, err := pipeline.New(s).Next()
	if err != nil {
		t.Fatal(err)
	}
	round := &participant.Round{Study: s, Plan: &statement.Plan{Step: q.Step, MinimumContributors: 3}, Parameters: q.Parameters}
	path := filepath.Join(t.TempDir(), "patients.csv")
	rows := patients(1, 30)
	// answers says whether an agent that starts now answers, and then is killed.
	answers := func(source records.Source) bool {
		t.Helper()
		a, err := Open(Options{Dir: dir, Source: source})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		for range 2 {
			values, reason, err := a.answer(round)
			if err != nil || (reason == "") != (len(values) > 0) || reason != "" && reason != recordsChanged {
				t.Fatalf("%d numbers, %q, %v", len(values), reason, err)
			}
			if reason != "" {
				return false
			}
			write(t, path, rows[1:]) // the export of the night: the agent has read the other
		}
		return true
	}
	write(t, path, rows)
	if !answers(records.CSV(path)) {
		t.Fatal("no answer at the beginning")
	}
	if answers(records.CSV(path)) {
		t.Error("after a restart it goes on with other records")
	}
	write(t, path, rows)
	if !answers(records.CSV(path)) {
		t.Error("with the file as it was it does not go on")
	}
	kept, err := os.ReadFile(filepath.Join(dir, beganFile))
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, rows)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	digest := statement.DigestOf(content)
	if bytes.Contains(kept, digest[:8]) || bytes.Contains(kept, []byte(digest.String()[:16])) {
		t.Error("the digest of the records is in the state")
	}
	if !answers(records.Memory(patientColumns, rows)) {
		t.Error("a source that is no file cannot be told apart, and is refused")
	}
}

func TestADeclineForOtherRecordsIsSaidToBeAboutRecords(t *testing.T) {
	if kind := statement.DeclineKind(recordsChanged); kind != statement.DeclinedRecords {
		t.Errorf("it is said to be about %s", kind)
	}
}
