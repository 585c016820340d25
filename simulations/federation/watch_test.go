package federation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/internal/records"
)

const watchedStudy = `
study: readmission
version: 1
outcome: {column: readmitted, type: binary, positive: ["1"]}
features:
  - {column: age, type: number, range: [18, 100]}
  - {column: marker, type: number, range: [-6, 6]}
model: {kind: glm, family: binomial}
fairness:
  attributes:
    - {column: sex, levels: [f, m]}
`

// watchingStudy has windows of a month from a day on.
func watchingStudy(from time.Time, windows int) []byte {
	return []byte(strings.Replace(watchedStudy, "study: readmission", "study: readmission-watch", 1) + fmt.Sprintf(`
monitor:
  release: this
  periods: {column: visit, type: date, from: %s, every: 30d, times: %d}
`, from.Format(time.DateOnly), windows))
}

// watchedPatients are made up: of so many windows, with the log odds of women off
// by drift from a window on.
func watchedPatients(seed uint64, from time.Time, windows, each, driftFrom int, drift float64) []Site {
	r := rand.New(rand.NewPCG(seed, 1))
	var sites []Site
	for _, name := range []string{"Basel", "Bern", "Geneva", "Zug"} {
		var rows [][]string
		for w := range windows {
			for range each {
				age, marker := max(18, min(100, 65+12*r.NormFloat64())), max(-6, min(6, r.NormFloat64()))
				sex := []string{"f", "m"}[r.IntN(2)]
				eta := -1.2 + 0.03*(age-65) + 0.8*marker
				if sex == "f" && w >= driftFrom {
					eta += drift
				}
				y := "0"
				if r.Float64() < 1/(1+math.Exp(-eta)) {
					y = "1"
				}
				visit := from.AddDate(0, 0, 30*w+r.IntN(30)).Format(time.DateOnly)
				rows = append(rows, []string{visit, y, strconv.FormatFloat(age, 'f', 2, 64), strconv.FormatFloat(marker, 'f', 4, 64), sex})
			}
		}
		sites = append(sites, Site{Name: name, Records: records.Memory([]string{"visit", "readmitted", "age", "marker", "sex"}, rows)})
	}
	return sites
}

// A drift that is planted after a release is found by the study that watches it,
// in the right group, and the evidence of that study holds.
func TestWatchFindsAPlantedDrift(t *testing.T) {
	t.Parallel()
	from := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	result, err := Run(t.Context(), Spec{
		Protocol: []byte(watchedStudy), Sites: watchedPatients(1, from, 1, 500, 1, 0), Dir: t.TempDir(), Seed: 1,
		Watch: &Watch{Protocol: watchingStudy(from, 5), Sites: watchedPatients(2, from, 5, 120, 2, 1), Bundle: t.TempDir() + "/watch"},
	})
	if err != nil {
		t.Fatal(err)
	}
	watch := result.Watch
	if watch == nil || watch.Monitor == nil || watch.Monitor.Release != result.Release.Digest {
		t.Fatalf("the release was not watched: %+v", watch)
	}
	if !watch.Verification.Holds {
		t.Errorf("the evidence does not hold: %+v", watch.Verification.Checks)
	}
	if watch.Monitor.Verdict != drift.Alert || len(watch.Monitor.Windows) != 5 || len(watch.ResultPage) == 0 {
		t.Errorf("%s over %d windows", watch.Monitor.Verdict, len(watch.Monitor.Windows))
	}
	for _, g := range watch.Monitor.Groups {
		if want := map[string]string{"f": drift.Alert, "m": drift.NoAlert, "unknown": drift.Insufficient}[g.Level]; want != "" && g.Verdict != want {
			t.Errorf("%s is %q, want %q: %s", g.Level, g.Verdict, want, g.Why)
		}
	}
	for _, a := range watch.Monitor.Alerts {
		if a.Window < 2 {
			t.Errorf("an alert before the drift: %+v", a)
		}
	}
}

// Windows that are still to come are asked about when they are over, each once,
// by a coordinator that is started again meanwhile; no hospital answers before.
func TestWindowsAreAskedWhenTheyAreOver(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	from := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC).AddDate(0, 0, -20)
	spec := Spec{
		Protocol: []byte(watchedStudy), Sites: watchedPatients(1, from, 1, 400, 1, 0), Dir: t.TempDir(), Seed: 1,
		Watch:    &Watch{Protocol: watchingStudy(from, 3), Sites: watchedPatients(2, from, 3, 60, 3, 0), Bundle: t.TempDir() + "/watch"},
		Progress: func(line string) { t.Log(line) },
	}
	var batches atomic.Int64
	var watching atomic.Bool
	stop := make(chan struct{}, 1)
	spec.onCoordinator = func(o *coordinator.Options) {
		o.AfterAppend = func(store.Batch) {
			if watching.Load() && batches.Add(1) == 40 {
				stop <- struct{}{}
			}
		}
	}
	protocol, err := spec.check()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConsortium(t.Context(), spec, protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.RunStudy(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, err := c.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	watching.Store(true)
	restarted := make(chan error, 1)
	go func() {
		<-stop
		if err := c.stopCoordinator(); err != nil {
			restarted <- err
			return
		}
		restarted <- c.startCoordinator(nil)
	}()
	watch, err := c.Watch(t.Context(), first.Release.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-restarted; err != nil {
		t.Error(err)
	}
	if !watch.Verification.Holds || watch.Monitor == nil || len(watch.Monitor.Windows) != 3 {
		t.Fatalf("%+v", watch.Monitor)
	}
	asked := map[string]int{}
	for _, r := range watch.Rounds {
		if r.State == "published" {
			asked[r.Step]++
		}
	}
	for _, step := range []string{drift.StepSizes, drift.StepShares, drift.StepWindow} {
		if asked[step] != 3 {
			t.Errorf("%s was opened %d times for 3 windows", step, asked[step])
		}
	}
	status, err := c.currentServer().Status(c.digest())
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range status.Rounds {
		if over := from.AddDate(0, 0, 30*(windowOfRound(status.Rounds, i)+1)); r.Started.Before(over) {
			t.Errorf("round %d of %s was asked at %s, its window ends %s", i+1, r.Step, r.Started, over)
		}
	}
	if status.Verdict != watch.Monitor.Verdict {
		t.Errorf("the status says %q, the report %q", status.Verdict, watch.Monitor.Verdict)
	}
}

// windowOfRound counts the windows whose sizes were published before a round.
func windowOfRound(rounds []coordinator.RoundStatus, at int) (window int) {
	for _, r := range rounds[:at] {
		if r.Step == drift.StepWindow && r.State == "published" {
			window++
		}
	}
	return window
}
