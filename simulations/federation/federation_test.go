package federation

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/simulations/cohort"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.memprofile").Value.String() == "" {
		runtime.MemProfileRate = 0 // as in the programs that are measured here, which keep no account of memory
	}
	goleak.VerifyTestMain(m)
}

// hospitals makes synthetic patients for so many sites.
func hospitals(t *testing.T, sites, patients int) []Site {
	t.Helper()
	spec := cohort.Default(patients)
	spec.Hospitals = spec.Hospitals[:sites]
	table := cohort.Generate(spec, 7)
	divided, _, err := Split(records.Memory(table.Columns, table.Rows), "site")
	if err != nil {
		t.Fatal(err)
	}
	return divided
}

// run runs a federation that has to work, and whose evidence has to hold.
func run(t *testing.T, spec Spec) *Result {
	t.Helper()
	spec.Progress = func(line string) { t.Log(line) }
	result, err := Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Verification.Holds {
		t.Errorf("the evidence does not hold: %+v", result.Verification.Checks)
	}
	t.Logf("%.1f s", result.Seconds)
	return result
}

func TestStudyFromEnrolmentToRelease(t *testing.T) {
	dir := t.TempDir()
	result := run(t, Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: hospitals(t, 4, 600), Bundle: filepath.Join(dir, "bundle")})
	if result.Study.State != "completed" {
		t.Fatalf("the study is %s: %s", result.Study.State, result.Study.Reason)
	}
	if len(result.Model.GLM.Terms) != 16 || len(result.Rounds) != 5 {
		t.Errorf("%d terms after %d rounds, want 16 after 5", len(result.Model.GLM.Terms), len(result.Rounds))
	}
	if n := len(result.Release.Accepted) + len(result.Release.Refused); n != 4 {
		t.Errorf("%d sites decided about the release, want 4", n)
	}
	for _, r := range result.Rounds {
		if len(r.Contributors) != 4 || r.BytesUp == 0 || r.State != "published" {
			t.Errorf("round %s: %+v", r.Step, r)
		}
	}
	if !slices.ContainsFunc(result.Fairness.Groups, func(g Group) bool { return g.Metrics["mae"] > 0 }) {
		t.Error("no group has a mean absolute error")
	}
	for _, check := range result.Verification.Checks {
		if check.Check == "sums" && check.State != audit.OK {
			t.Errorf("the bundle that is left has no ciphertexts: %s", check.Detail)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "bundle", "checkpoint")); err != nil {
		t.Error(err)
	}
}
