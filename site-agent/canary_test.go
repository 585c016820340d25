package siteagent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/consilium-fl/consilium/internal/records"
)

// The canaries are values that occur in the records and nowhere else. Wherever
// one turns up, something of a record has got out.
var canaries = []string{"Kanarienvogel", "47.1131719", "zz-genotype-leak"}

func canaryRecords() [][]string {
	rows := patients(1, 60)
	for i := range 20 {
		rows[i][0] = canaries[0] // a name, which no study reads
		rows[i][1] = canaries[1] // a dose that is used
	}
	rows[30][1] = "999" + canaries[1]                              // a dose out of range
	rows[31][3] = canaries[2]                                      // a level that is not declared
	rows[32][2] = canaries[0]                                      // an age that is no number
	rows[33][4] = canaries[2]                                      // a group that is not declared
	rows[34] = []string{canaries[0], canaries[1], "5", "G/G"}      // a cell missing
	rows[35] = append(patients(1, 1)[0], canaries[0], canaries[2]) // cells too many
	return rows
}

func noCanary(t *testing.T, where string, content []byte) {
	t.Helper()
	for _, canary := range canaries {
		if bytes.Contains(content, []byte(canary)) {
			t.Errorf("%s holds %q", where, canary)
		}
	}
}

// No value from a record reaches a log, the outbox, a file of the state
// directory, an error, or a message before it is encrypted and outside it.
func TestNoCanaryGetsOut(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol(sites...)
	r := c.researcher("rita")
	s := parseStudy(t, doseStudy)
	core, logs := observer.New(zapcore.DebugLevel)
	for i, dir := range dirs {
		start(t, Options{Dir: dir, Source: records.Memory(patientColumns, canaryRecords()), Logger: zap.New(core), Policy: Policy{Approve: Any, Releases: []string{Automatic, Manual, Automatic}[i]}})
	}
	c.propose([]byte(doseStudy), r, sites...)
	c.eventually("everyone approves", func() bool { return len(c.approvals) == 3 })
	c.study(s, sites)
	c.eventually("two decide about the release", func() bool { return len(c.releases) == 2 })

	for _, e := range logs.All() {
		noCanary(t, "log line "+e.Message, fmt.Append(nil, e.Message, e.ContextMap()))
	}
	if logs.Len() < 10 {
		t.Fatalf("only %d log lines: the test has lost the log", logs.Len())
	}
	files := 0
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // replaced meanwhile
			}
			files++
			noCanary(t, path, content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 30 {
		t.Fatalf("only %d files: the test has lost the state directories", files)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, approval := range c.approvals {
		noCanary(t, "approval", fmt.Append(nil, name, approval))
	}
	for _, chunk := range c.chunks {
		noCanary(t, "chunk", chunk)
	}
	for _, decision := range c.releases {
		noCanary(t, "release decision", fmt.Append(nil, decision))
	}
}

// Errors about records say what is wrong and never with which value.
func TestErrorsAboutRecordsHoldNoRecord(t *testing.T) {
	s := parseStudy(t, doseStudy)
	folder := t.TempDir()
	path := filepath.Join(folder, "records.csv")
	for name, content := range map[string]string{
		"a column missing":      "name,dose,age\n" + canaries[0] + "," + canaries[1] + ",5\n",
		"a quote in a cell":     strings.Join(patientColumns, ",") + "\n" + canaries[0] + `,"` + canaries[1] + `"x,5,G/G,male` + "\n",
		"cut short in a record": strings.Join(patientColumns, ",") + "\n" + canaries[0] + "," + canaries[1],
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		run := NewDryRun(s, records.CSV(path), 3)
		if run.Unreadable == "" {
			t.Errorf("%s: accepted", name)
		}
		noCanary(t, name, []byte(run.Unreadable))
	}
}

// failing is a source that breaks in the middle.
type failing struct{ once sync.Once }

func (f *failing) Open() (records.Rows, error) { return f, nil }
func (f *failing) Columns() []string           { return patientColumns }
func (f *failing) Close() error                { return nil }
func (f *failing) Next() ([]string, error) {
	first := false
	f.once.Do(func() { first = true })
	if first {
		return patients(1, 1)[0], nil
	}
	return nil, io.ErrUnexpectedEOF
}

// A study waits for a person when the records cannot be read, and a round that
// is already planned is declined with a sentence that says no more.
func TestUnreadableRecordsAreDeclinedWithoutDetail(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol(sites...)
	r := c.researcher("rita")
	for i, dir := range dirs {
		var source records.Source = records.Memory(patientColumns, patients(uint64(i), 20))
		if i == 0 {
			source = &failing{}
		}
		start(t, Options{Dir: dir, Source: source, Policy: Policy{Approve: Any}})
	}
	c.propose([]byte(doseStudy), r, sites...)
	c.eventually("the others approve", func() bool { return len(c.approvals) == 2 })
	waitFor(t, "the study waits", func() bool {
		l, _ := Studies(dirs[0])
		return len(l) == 1 && l[0].State == Waiting && l[0].DryRun.Unreadable != ""
	})
	s := parseStudy(t, doseStudy)
	if err := Decide(dirs[0], Decision{Kind: DecideStudy, Digest: s.Digest(), Yes: true}); err != nil {
		t.Fatal(err)
	}
	c.eventually("a person approves all the same", func() bool { return c.approvals["alpha"].Approved })
	w := &ward{coordinator: c, t: t, s: s}
	q := w.question()
	c.invite(c.plan(s, q, sites), q.Parameters)
	c.eventually("the round is declined", func() bool { return c.declines["alpha"].Reason == "the records cannot be read" })
}
