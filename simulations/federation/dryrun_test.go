package federation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/internal/records"
)

// What a site's dry run finds that a person would have to mend ends the
// simulation before the study starts, with what the site was told.
func TestAStudyThatTheRecordsDoNotAllowIsNotStarted(t *testing.T) {
	protocol := []byte("study: s\nversion: 1\noutcome: {column: y, type: number, range: [0, 100]}\nmodel: {kind: describe}\n" +
		"features: [{column: x, type: number, range: [0, 10]}]\nprivacy: {minimum_contributors: 3}\n")
	own := func(columns []string, x string) records.Source {
		var rows [][]string
		for i := range 20 {
			rows = append(rows, []string{x, fmt.Sprint(i)})
		}
		return records.Memory(columns, rows)
	}
	usable := own([]string{"x", "y"}, "1")
	for what, c := range map[string]struct {
		third records.Source
		wants string
	}{
		"a column missing": {own([]string{"z", "y"}, "1"), `site C: the data have no column "x"`},
		"no usable record": {own([]string{"x", "y"}, "11"), "2 of 3 sites have records that the study can use, and it needs at least 3: the study can use 40 of 60 records; skipped: 20 out of range"},
	} {
		var said []string
		_, err := Run(t.Context(), Spec{
			Protocol: protocol, Sites: []Site{{"A", usable}, {"B", usable}, {"C", c.third}},
			Progress: func(line string) { said = append(said, line) },
		})
		if err == nil || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: %v, want %s", what, err, c.wants)
		}
		if strings.Contains(strings.Join(said, "\n"), "round") {
			t.Errorf("%s: the study was started: %q", what, said)
		}
	}
}
