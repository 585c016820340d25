package coordinator_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
)

// fleeting are digests, times and durations, which differ from run to run.
var fleeting = regexp.MustCompile(`[0-9a-f]{8,64}|\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)|127\.0\.0\.1:\d+`)

// counters are what members and operators see of a study on the way and at its end:
// its status and that of its rounds, as JSON, and the coordinator's log.
func counters(t *testing.T, records uint64) (status string, log []string) {
	core, logs := observer.New(zap.DebugLevel)
	p := start(t, &play{Consortium: rehearsal.New(t), t: t, records: records}, coordinator.Options{Logger: zap.New(core)}, 4, nil, nil)
	st := p.finish()
	if st.State != "completed" {
		t.Fatalf("study is %s (%s)", st.State, st.Reason)
	}
	st.ReleaseDecisions = nil // as they come in
	for i := range st.Rounds {
		st.Rounds[i].Openers, st.Rounds[i].Missing = nil, nil // who was first
	}
	text, err := json.MarshalIndent(st, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range logs.All() {
		if e.LoggerName != "" || !strings.HasPrefix(e.Message, "round") && !strings.HasPrefix(e.Message, "study") && !strings.HasPrefix(e.Message, "window") {
			continue
		}
		fields, err := json.Marshal(e.ContextMap())
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, fleeting.ReplaceAllString(e.Message+" "+string(fields), "*"))
	}
	slices.Sort(log)
	return fleeting.ReplaceAllString(string(text), "*"), slices.Compact(log)
}

// Rule: no counter tells of records. Of other patients, as many in each hospital, the
// status of study and rounds and the log are the same, but for digests and times:
// what is equal for all patients tells nothing of some.
func TestStatusAndLogAreTheSameForOtherPatients(t *testing.T) {
	long(t)
	t.Parallel()
	status, log := counters(t, 0)
	for _, records := range []uint64{100, 200} {
		again, lines := counters(t, records)
		if status != again {
			t.Errorf("the status differs: %s", firstLine(status, again))
		}
		if !slices.Equal(log, lines) {
			t.Errorf("the log differs:\n%s\n%s", strings.Join(log, "\n"), strings.Join(lines, "\n"))
		}
	}
	if len(log) == 0 || !strings.Contains(status, "ChunksStored") {
		t.Errorf("%d lines, %s", len(log), status)
	}
}

// firstLine that two texts do not share.
func firstLine(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("%q and %q", x[i], y[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}
