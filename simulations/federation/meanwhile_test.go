package federation

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/differencing"
	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// Rule: reports that come while a study watches a release are compared both ways. A
// study that ends between two windows is held against the window before it, of nearly
// the same patients, and withholds them; and the next window is held against another
// such study, and is withheld. The evidence of each leads to the same report with
// both verifiers.
func TestReportsBetweenTwoWindowsAreComparedWithThem(t *testing.T) {
	long(t)
	t.Parallel()
	from := today()
	spec := Spec{
		Protocol: []byte(watchedStudy), Sites: watchedPatients(1, from, 1, 400, 1, 0), Dir: t.TempDir(), Seed: 1,
		Watch: &Watch{Protocol: watchingStudy(from, 2), Sites: twoWindows(t, from), Bundle: t.TempDir() + "/watch"},
	}
	c, release := watching(t, spec)
	var first, second *pipeline.Result
	between := func() {
		monitor, progress := c.protocol, c.spec.Progress
		first = meanwhile(t, c, "first", `column: part, equals: ["", w2]`)
		second = meanwhile(t, c, "second", `column: part, equals: ["", w1]`)
		c.protocol, c.spec.Bundle, c.spec.Progress = monitor, spec.Watch.Bundle, progress
	}
	windows := 0
	c.spec.Progress = func(line string) {
		t.Log(line)
		if strings.Contains(line, drift.StepWindow) && strings.Contains(line, "opened") {
			if windows++; windows == 1 { // the second has begun
				between()
			}
		}
	}
	watch, err := c.Watch(t.Context(), release)
	if err != nil {
		t.Fatal(err)
	}
	if windows != 2 || watch.Study.State != "completed" || len(watch.Monitor.Windows) != 2 {
		t.Fatalf("%d windows: %+v, %+v", windows, watch.Study, watch.Monitor)
	}
	if w := watch.Monitor.Windows[0]; w.N == nil || *w.N != 240 {
		t.Errorf("the window before: %+v", w)
	}
	if first.Cohort.Patients.N != nil || first.Audit.N != 0 || !withholds(first, differencing.All) {
		t.Errorf("a report of 236 of the window's 240 patients: %+v, %+v", first.Cohort.Patients, first.Earlier)
	}
	if second.Cohort.Patients.N == nil || *second.Cohort.Patients.N != 396 {
		t.Errorf("a report of 396 patients of the window to come: %+v, %+v", second.Cohort.Patients, second.Earlier)
	}
	if w := watch.Monitor.Windows[1]; w.N != nil || w.State != drift.Suppressed {
		t.Errorf("400 patients are shown beside a report of 396 of them: %+v", w)
	}
	outcome, err := c.currentServer().Outcome(c.digest())
	if err != nil {
		t.Fatal(err)
	}
	var result pipeline.Result
	if err := json.Unmarshal(outcome.Result, &result); err != nil {
		t.Fatal(err)
	}
	if want := "from " + watch.Monitor.Windows[1].From + ": all"; !withholds(&result, want) {
		t.Errorf("the watch withholds %+v", result.Earlier)
	}
	// The model's own report, and the two that came meanwhile.
	if n := len(result.Earlier.Compared); n != 3 {
		t.Errorf("the watch was compared with %d reports", n)
	}
	rederives(t, c, spec.Watch.Bundle, outcome.Result)
}

func withholds(r *pipeline.Result, group string) bool {
	return r.Earlier != nil && slices.ContainsFunc(r.Earlier.Withheld, func(w differencing.Withheld) bool { return w.Group == group })
}

// twoWindows are patients of two windows, 60 and 100 of a hospital, and in which
// window each but the last of each is, in a column.
func twoWindows(t *testing.T, from time.Time) (sites []Site) {
	t.Helper()
	of := [][]Site{watchedPatients(2, from, 1, 60, 1, 0), watchedPatients(3, from.AddDate(0, 0, 30), 1, 100, 1, 0)}
	for i, site := range of[0] {
		var columns []string
		var all [][]string
		for w := range of {
			rows, err := of[w][i].Records.Open()
			ok(t, err)
			columns = append(slices.Clone(rows.Columns()), "part")
			for {
				record, err := rows.Next()
				if err == io.EOF {
					break
				}
				ok(t, err)
				all = append(all, append(slices.Clone(record), []string{"w1", "w2"}[w]))
			}
			all[len(all)-1][len(columns)-1] = ""
			ok(t, rows.Close())
		}
		sites = append(sites, Site{Name: site.Name, Records: records.Memory(columns, all)})
	}
	return sites
}

// meanwhile runs another study of the hospitals to its end and holds its evidence
// against its result. It reads the column of the periods, so that its patients may be
// those of any window.
func meanwhile(t *testing.T, c *consortium, name, without string) *pipeline.Result {
	t.Helper()
	text := strings.NewReplacer("study: readmission", "study: "+name, "model:", "cohort: {require: [visit], exclude_if: [{"+without+"}]}\nmodel:").Replace(watchedStudy)
	protocol, err := study.Parse([]byte(text))
	ok(t, err)
	c.protocol = protocol
	ctx := t.Context()
	ok(t, c.recertify(ctx)) // time has gone by
	ok(t, c.propose(ctx))
	ok(t, c.decided(ctx, "decisions about the "+name+" study"))
	ok(t, c.startStudy(ctx))
	ok(t, c.follow(ctx, "the "+name+" study", (*coordinator.StudyStatus).Over))
	outcome, err := c.currentServer().Outcome(c.digest())
	ok(t, err)
	if outcome.Status.State != "completed" {
		t.Fatalf("the %s study is %s: %s", name, outcome.Status.State, outcome.Status.Reason)
	}
	evidence, err := c.evidence(ctx)
	ok(t, err)
	dir := fmt.Sprintf("%s/%s", t.TempDir(), name)
	ok(t, os.MkdirAll(dir, 0o755))
	ok(t, evidence.write(dir))
	rederives(t, c, dir, outcome.Result)
	var result pipeline.Result
	ok(t, json.Unmarshal(outcome.Result, &result))
	return &result
}
