package siteagent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
)

// A study that waits for a person is in every answer of the coordinator. Its records
// are read once, told of once, and again when their file was touched; so that what the
// dry run read leaves the memory within an hour however long nobody decides.
func TestAStudyThatWaitsIsNotReadAgainUntilItsFileIsTouched(t *testing.T) {
	c := newCoordinator(t)
	dir := c.enrol("alpha")[0]
	r := c.researcher("rita")
	path := filepath.Join(t.TempDir(), "records.csv")
	write(t, path, patients(1, 20))
	o := Options{Dir: dir, Source: records.CSV(path)}
	_, stop := start(t, o)
	c.propose([]byte(doseStudy), r, "alpha")
	waitFor(t, "the study is shown", func() bool { list, _ := Studies(dir); return len(list) == 1 })
	stop()

	now := time.Now()
	core, logs := observer.New(zapcore.InfoLevel)
	o.Now, o.Logger = func() time.Time { return now }, zap.New(core)
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	c.mu.Lock()
	asked := c.work["alpha"]["study"].GetReviewStudy()
	c.mu.Unlock()
	// review says when what is in memory was read, after the study was asked about.
	review := func() time.Time {
		t.Helper()
		if err := a.reviewStudy(t.Context(), nil, uplink.ReviewStudy{Protocol: asked.Protocol, Proposal: asked.Proposal}); err != nil {
			t.Fatal(err)
		}
		if len(a.cohorts.rehearsals.kept) != 1 {
			return time.Time{}
		}
		return a.cohorts.rehearsals.kept[0].since
	}
	first := review()
	if !first.Equal(now) {
		t.Fatal("the records were not read")
	}
	now = now.Add(time.Minute)
	if !review().Equal(first) {
		t.Error("the records were read again")
	}
	now = now.Add(longestWait)
	if a.cohorts.expire(now); !review().IsZero() {
		t.Error("the records are in memory after an hour")
	}
	if err := os.Chtimes(path, now, now); err != nil {
		t.Fatal(err)
	}
	if !review().Equal(now) {
		t.Error("a file that was touched is not read")
	}
	if told := logs.FilterMessage("a study waits for a decision").Len(); told != 1 {
		t.Errorf("told %d times that the study waits", told)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	review()
	review()
	if told := logs.FilterMessage("a study waits because the records cannot be read").Len(); told != 1 {
		t.Errorf("told %d times that the records cannot be read", told)
	}
	write(t, path, patients(1, 30))
	review()
	if list, err := Studies(dir); err != nil || list[0].DryRun.Rows != 30 || logs.FilterMessage("a study waits for a decision").Len() != 2 {
		t.Errorf("records that came back are not read: %v", err)
	}
}

// Of a study that ended without a model nobody says so to the agent.
func TestRecordsThatNoRoundUsesLeaveTheMemory(t *testing.T) {
	// A round of such a study may take four days.
	s := parseStudy(t, strings.Replace(doseStudy, "deadline: 2m", "deadline: 48h", 1))
	const longest = longestIdle + 96*time.Hour
	var c cohorts
	source, now := records.Memory(patientColumns, patients(1, 20)), time.Now()
	first, err := c.get(s, source, now)
	if err != nil {
		t.Fatal(err)
	}
	c.expire(now.Add(longest))
	if again, err := c.get(s, source, now.Add(longest)); err != nil || again != first {
		t.Fatal("records in use were dropped")
	}
	c.expire(now.Add(2 * longest))
	if len(c.loaded) != 1 {
		t.Error("records are dropped although a round used them")
	}
	c.expire(now.Add(2*longest + time.Second))
	if len(c.loaded) != 0 {
		t.Error("records that nobody uses stay in memory")
	}
}
