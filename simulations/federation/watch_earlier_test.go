package federation

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/pipeline"
)

// Rule: a window with four patients fewer than the model was fitted to is not shown
// beside the audit of them; the next one, of patients who came later, is. Auditors
// come to the same report.
func TestAWindowIsNotSubtractedFromTheReleasesOwnReport(t *testing.T) {
	long(t)
	t.Parallel()
	from := today()
	spec := Spec{
		Protocol: []byte(watchedStudy), Sites: watchedPatients(1, from, 1, 100, 1, 0), Dir: t.TempDir(), Seed: 1,
		Watch: &Watch{Protocol: watchingStudy(from, 2), Sites: watchedPatients(1, from, 2, 99, 2, 0), Bundle: t.TempDir() + "/watch"},
	}
	c, release := watching(t, spec)
	watch, err := c.Watch(t.Context(), release)
	if err != nil {
		t.Fatal(err)
	}
	if watch.Study.State != "completed" || !watch.Verification.Holds || len(watch.Monitor.Windows) != 2 {
		t.Fatalf("%+v: %+v", watch.Study, watch.Monitor)
	}
	if w := watch.Monitor.Windows[0]; w.N != nil || w.State != drift.Suppressed {
		t.Errorf("396 of 400 patients are shown: %+v", w)
	}
	if w := watch.Monitor.Windows[1]; w.N == nil || *w.N != 396 {
		t.Errorf("the second window: %+v", w)
	}
	outcome, err := c.currentServer().Outcome(c.digest())
	if err != nil {
		t.Fatal(err)
	}
	var result pipeline.Result
	if err := json.Unmarshal(outcome.Result, &result); err != nil {
		t.Fatal(err)
	}
	var withheld []string
	for _, w := range result.Earlier.Withheld {
		withheld = append(withheld, w.Group)
	}
	if want := "from " + watch.Monitor.Windows[0].From + ": all"; !slices.Contains(withheld, want) {
		t.Errorf("withheld %q", withheld)
	}
	if !bytes.Contains(watch.ResultPage, []byte("with an earlier report they would tell of fewer than 11 patients")) {
		t.Error("the page does not say why the window is withheld")
	}
	rederives(t, c, spec.Watch.Bundle, outcome.Result)
}
