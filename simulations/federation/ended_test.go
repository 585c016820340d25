package federation

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/drift"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// Rule: a study that watches a release and of whose hospitals too few are left ends
// with the windows that it has: they are stored, say why no more follow, and are in
// the evidence. One without any window has failed.
func TestAWatchWhoseHospitalsWithdrawEndsWithItsWindows(t *testing.T) {
	t.Parallel()
	for name, windows := range map[string]int{"after the first window": 1, "before any window": 0} {
		t.Run(name, func(t *testing.T) {
			from := today()
			spec := Spec{
				Protocol: []byte(watchedStudy), Sites: watchedPatients(1, from, 1, 400, 1, 0), Dir: t.TempDir(), Seed: 1,
				Watch: &Watch{Protocol: watchingStudy(from, 3), Sites: watchedPatients(2, from, 3, 60, 3, 0), Bundle: t.TempDir() + "/watch"},
			}
			c, release := watching(t, spec)
			withdraw := func() {
				for _, site := range c.spec.Sites[:2] {
					if err := siteagent.Decide(c.siteDir(site.Name), siteagent.Decision{Kind: siteagent.DecideStudy, Digest: c.protocol.Digest(), Reason: "the model is out of use here"}); err != nil {
						t.Error(err)
					}
				}
				refused := func() (n int) {
					st, err := c.currentServer().Status(c.digest())
					if err != nil {
						t.Error(err)
						return 2
					}
					for _, d := range st.Decisions {
						if d.Decision == "refused" {
							n++
						}
					}
					return n
				}
				for refused() < 2 && t.Context().Err() == nil {
					time.Sleep(10 * time.Millisecond)
				}
			}
			c.spec.Progress = func(line string) {
				t.Log(line)
				if strings.Contains(line, drift.StepWindow+": opened") || windows == 0 && strings.Contains(line, "sites approve") {
					withdraw()
				}
			}
			watch, err := c.Watch(t.Context(), release)
			if windows == 0 {
				if err == nil && watch.Study.State != "failed" {
					t.Errorf("%+v", watch.Study)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if watch.Study.State != "completed" || !strings.HasPrefix(watch.Study.Reason, "ended after 1 of 3 windows: too few sites") {
				t.Fatalf("%s: %s", watch.Study.State, watch.Study.Reason)
			}
			if !watch.Verification.Holds || watch.Monitor == nil || len(watch.Monitor.Windows) != 1 || watch.Monitor.Windows[0].N == nil {
				t.Fatalf("%+v: %+v", watch.Verification, watch.Monitor)
			}
			result, err := c.currentServer().Outcome(c.digest())
			if err != nil {
				t.Fatal(err)
			}
			rederives(t, c, spec.Watch.Bundle, result.Result)
			if !bytes.Contains(watch.ResultPage, []byte("ended after 1 of 3 windows")) {
				t.Error("the page does not say why there are no more windows")
			}
		})
	}
}
