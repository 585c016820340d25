package siteagent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// rehearse writes records, reads them for a dry run, and returns the agent's cohorts.
func rehearse(t *testing.T, s *study.Study, rows [][]string) (c *cohorts, rehearsed *cohort, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "records.csv")
	write(t, path, rows)
	c = &cohorts{}
	rehearsed, err := c.rehearsals.read(s, records.CSV(path), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c, rehearsed, path
}

// write writes a file of records that is always of the same date.
func write(t *testing.T, path string, rows [][]string) {
	t.Helper()
	var text strings.Builder
	for _, row := range append([][]string{patientColumns}, rows...) {
		fmt.Fprintln(&text, strings.Join(row, ","))
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, date, date); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsThatAreTheSameAtTheStartAreNotReadAgain(t *testing.T) {
	s := parseStudy(t, doseStudy)
	c, rehearsed, path := rehearse(t, s, append(patients(1, 20), []string{"x", "", "5", "G/G", "male"}))
	own, err := c.get(s, records.CSV(path), time.Now())
	if err != nil || own != rehearsed || own.matrix.Rows() != 20 || own.skipped[study.MissingOutcome] != 1 {
		t.Fatalf("%v: the records are read again, or not as they are", err)
	}
	if len(c.rehearsals.kept) != 0 {
		t.Error("the records are kept twice")
	}
	c.drop(s.Digest())
	if again, err := c.get(s, records.CSV(path), time.Now()); err != nil || again == rehearsed {
		t.Error("what a study had is there after its end")
	}
}

// A study sees the records as they are when it starts and not as they were when it
// was approved, even if the file's size and date are the same.
func TestRecordsThatChangedBeforeTheStartAreReadAgain(t *testing.T) {
	s := parseStudy(t, doseStudy)
	rows := patients(1, 20)
	c, _, path := rehearse(t, s, rows)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	rows[3][2] = map[bool]string{true: "8", false: "9"}[rows[3][2] == "9"] // years
	write(t, path, rows)
	after, err := os.Stat(path)
	if err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		t.Fatalf("the test has lost its point: %v", err)
	}
	checkRead(t, c, s, path)

	c, _, path = rehearse(t, s, rows)
	write(t, path, rows[1:]) // who withdrew is not in what is contributed
	checkRead(t, c, s, path)

	c, _, path = rehearse(t, s, rows)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.get(s, records.CSV(path), time.Now()); err == nil {
		t.Error("a file that is gone is contributed")
	}
	write(t, path, rows)
	checkRead(t, c, s, path)
}

// checkRead compares what a study starts with to what the file says.
func checkRead(t *testing.T, c *cohorts, s *study.Study, path string) {
	t.Helper()
	own, err := c.get(s, records.CSV(path), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	now, err := loadCohort(s, records.CSV(path))
	if err != nil {
		t.Fatal(err)
	}
	if own.matrix.Rows() != now.matrix.Rows() {
		t.Fatalf("%d records, the file has %d", own.matrix.Rows(), now.matrix.Rows())
	}
	for i := range own.matrix.Rows() {
		if fmt.Sprint(own.matrix.Row(i), own.matrix.Outcome(i)) != fmt.Sprint(now.matrix.Row(i), now.matrix.Outcome(i)) {
			t.Fatalf("record %d is not as in the file", i)
		}
	}
}

// Of sources that cannot tell whether they changed, and of studies whose patients
// are still to come, nothing is kept.
func TestWhatCannotServeIsNotKept(t *testing.T) {
	s := parseStudy(t, doseStudy)
	var r rehearsals
	source := struct{ records.Source }{records.Memory(patientColumns, patients(1, 20))}
	if own, err := r.read(s, source, time.Now()); err != nil || own.matrix.Rows() != 20 || len(r.kept) != 0 {
		t.Errorf("%v: kept from a source without versions", err)
	}
	if _, err := r.read(s, nil, time.Now()); err == nil || len(r.kept) != 0 {
		t.Error("no source was read")
	}
	monitor := *s
	monitor.Monitor = &study.Monitor{Column: "age", Cuts: []float64{0, 10}}
	if _, err := r.read(&monitor, records.Memory(patientColumns, patients(1, 20)), time.Now()); err != nil || len(r.kept) != 0 {
		t.Errorf("%v: kept for a study that watches", err)
	}
}

func TestRehearsalsAreBounded(t *testing.T) {
	var studies []*study.Study
	for i := range 3 {
		studies = append(studies, parseStudy(t, doseStudy+fmt.Sprintf("\n# %d\n", i)))
	}
	own, err := loadCohort(studies[0], records.Memory(patientColumns, patients(1, 20)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	one := (&rehearsal{study: studies[0], cohort: own}).bytes()
	if features := 8 * own.matrix.Rows() * len(studies[0].Features); one < features {
		t.Fatalf("a rehearsal counts as %d bytes, its features have %d", one, features)
	}
	var r rehearsals
	kept := func() (names string) {
		for _, k := range r.kept {
			for i, s := range studies {
				if s == k.study {
					names += fmt.Sprint(i)
				}
			}
		}
		return names
	}
	for i, s := range studies {
		r.keep(rehearsal{s, own, now.Add(time.Duration(i) * time.Minute)}, 2*one)
	}
	if kept() != "12" {
		t.Errorf("kept %s, want the last two", kept())
	}
	r.keep(rehearsal{studies[0], own, now}, one-1)
	if kept() != "12" {
		t.Errorf("kept %s after one that is too large by itself", kept())
	}
	r.keep(rehearsal{studies[1], own, now.Add(3 * time.Minute)}, 2*one)
	if kept() != "21" {
		t.Errorf("kept %s: more than one of a study, or the older one", kept())
	}
	if r.expire(now.Add(longestWait + 3*time.Minute)); kept() != "1" {
		t.Errorf("kept %s after an hour", kept())
	}
	if r.forget(studies[1].Digest()); kept() != "" {
		t.Errorf("kept %s of a study that was refused", kept())
	}
}

// A refusal, by policy or by a person, frees what the dry run read; an approval
// keeps it until the study starts.
func TestARefusalFreesWhatTheDryRunRead(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol(sites...)
	r := c.researcher("rita")
	s := parseStudy(t, doseStudy)
	var agents []*Agent
	for i, policy := range []Policy{{Approve: Any}, {}, {Approve: Any, MinimumRows: 100}} {
		a, _ := start(t, Options{Dir: dirs[i], Source: records.Memory(patientColumns, patients(uint64(i), 60)), Policy: policy})
		agents = append(agents, a)
	}
	kept := func(i int) int {
		r := &agents[i].cohorts.rehearsals
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.kept)
	}
	c.propose([]byte(doseStudy), r, sites...)
	c.eventually("two sites decide by policy", func() bool { return len(c.approvals) == 2 })
	waitFor(t, "the second waits for a person", func() bool { list, _ := Studies(dirs[1]); return len(list) == 1 })
	if kept(0) != 1 || kept(1) != 1 || kept(2) != 0 {
		t.Fatalf("kept %d approved, %d waiting, %d refused by policy", kept(0), kept(1), kept(2))
	}
	if err := Decide(dirs[1], Decision{Kind: DecideStudy, Digest: statement.Digest(s.Digest())}); err != nil {
		t.Fatal(err)
	}
	c.eventually("the second refuses", func() bool { _, decided := c.approvals["beta"]; return decided })
	if kept(1) != 0 {
		t.Error("what the dry run read is kept after a person's refusal")
	}
}
