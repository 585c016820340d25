package federation

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// watching runs the first study of a watch and gives its consortium and release.
func watching(t *testing.T, spec Spec) (c *consortium, release string) {
	t.Helper()
	protocol, err := spec.check()
	if err != nil {
		t.Fatal(err)
	}
	if c, err = newConsortium(t.Context(), spec, protocol); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.RunStudy(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, err := c.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, first.Release.Digest
}

// today is a midnight twenty days ago: windows of a month from it are to come.
func today() time.Time {
	return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -20)
}

// rederives holds that both verifiers accept a bundle, and that its sums and ends
// of rounds give the result that was stored.
func rederives(t *testing.T, c *consortium, dir string, result []byte) {
	t.Helper()
	bundle := os.DirFS(dir)
	again, findings, err := audit.Replay(bundle, audit.Trust{Governance: c.governance.Public()})
	if err != nil || again == nil {
		t.Fatalf("the bundle does not replay: %v, %+v", err, findings)
	}
	if !bytes.Equal(again.Result, result) {
		t.Errorf("the bundle gives another result:\n%s\n%s", again.Result, result)
	}
	if _, err := independent.Verify(bundle, identity.GovernanceFingerprint(c.governance.Public())); err != nil {
		t.Errorf("the second verifier: %v", err)
	}
}

// A window that too few hospitals answer has no figures; the study goes on with the
// next one, for which they are back, and the evidence leads to the same report. A
// coordinator that is started again knows what was missed and logs no window twice.
func TestAMissedWindowDoesNotEndTheStudy(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string][]int{"first": {0}, "second": {1}, "last": {2}, "all": {0, 1, 2}} {
		t.Run(name, func(t *testing.T) {
			if name != "second" {
				long(t)
			}
			t.Parallel()
			from := today()
			core, logs := observer.New(zap.InfoLevel)
			spec := Spec{
				Protocol: []byte(watchedStudy), Sites: watchedPatients(1, from, 1, 400, 1, 0), Dir: t.TempDir(), Seed: 1, Logger: zap.New(core),
				Watch: &Watch{Protocol: watchingStudy(from, 3), Sites: watchedPatients(2, from, 3, 60, 3, 0), Bundle: t.TempDir() + "/watch"},
			}
			c, release := watching(t, spec)
			failed := func(err error) {
				if err != nil {
					t.Error(err)
				}
			}
			away := []Site{c.spec.Sites[0], c.spec.Sites[2]}
			leave := func() {
				for _, site := range away {
					failed(c.stopSite(site.Name))
					c.spec.Drops = append(c.spec.Drops, Drop{site.Name, Away})
				}
			}
			window := 0
			enter := func() {
				if slices.Contains(gone, window) {
					leave()
				}
			}
			// Progress is told between two looks: nobody's clock moves meanwhile.
			c.spec.Progress = func(line string) {
				t.Log(line)
				switch {
				case strings.Contains(line, "sites approve"):
					enter()
				case strings.Contains(line, drift.StepWindow+": opened"):
					window++
					enter()
				case strings.Contains(line, "abandoned"):
					window++
					c.spec.Drops = nil
					for _, site := range away {
						failed(c.startSite(site))
					}
					failed(errors.Join(c.stopCoordinator(), c.startCoordinator(nil)))
					enter()
				}
			}
			watch, err := c.Watch(t.Context(), release)
			if err != nil {
				t.Fatal(err)
			}
			if watch.Study.State != "completed" || !watch.Verification.Holds || watch.Monitor == nil || len(watch.Monitor.Windows) != 3 {
				t.Fatalf("%+v: %+v", watch.Study, watch.Monitor)
			}
			for i, w := range watch.Monitor.Windows {
				missed := slices.Contains(gone, i)
				if missed && (w.Why != drift.TooFew || w.State != drift.Insufficient || w.Contributors != 0 || w.N != nil) {
					t.Errorf("the missed window: %+v", w)
				}
				if !missed && (w.Why != "" || w.State != drift.OK || w.Contributors != 4) {
					t.Errorf("window %d: %+v", i+1, w)
				}
			}
			if !bytes.Contains(watch.ResultPage, []byte(drift.TooFew)) {
				t.Error("the page does not say why the window has no figures")
			}
			result, err := c.currentServer().Outcome(c.digest())
			if err != nil {
				t.Fatal(err)
			}
			rederives(t, c, spec.Watch.Bundle, result.Result)
			if n := logs.FilterMessage("window done").Len(); n != 3 {
				t.Errorf("%d windows were logged of 3", n)
			}
		})
	}
}

// A window whose opening began and failed is not opened a second time: it is lost,
// and the study is not.
func TestAnOpeningThatFailsLosesItsWindowOnly(t *testing.T) {
	t.Parallel()
	from := today()
	var silent atomic.Bool
	spec := Spec{
		Protocol: []byte(watchedStudy), Sites: watchedPatients(1, from, 1, 400, 1, 0), Dir: t.TempDir(), Seed: 1,
		Watch: &Watch{Protocol: watchingStudy(from, 3), Sites: watchedPatients(2, from, 3, 60, 3, 0), Bundle: t.TempDir() + "/watch"},
		onSite: func(site string, o *siteagent.Options) {
			if site != "Zug" {
				o.SkipOpening = func(step string) bool { return silent.Load() && step == drift.StepShares }
			}
		},
	}
	c, release := watching(t, spec)
	// The simulator waits for nobody whom it knows to be silent, so it is told only
	// while the one opening that is to fail is under way.
	sizes := 0
	c.spec.Progress = func(line string) {
		t.Log(line)
		switch {
		case strings.Contains(line, drift.StepSizes+": opened"):
			if sizes++; sizes == 2 {
				for _, site := range c.spec.Sites[:3] {
					c.spec.Drops = append(c.spec.Drops, Drop{site.Name, Opening})
				}
			}
		case strings.Contains(line, drift.StepWindow+": opened"):
			silent.Store(sizes == 1)
		case strings.Contains(line, "abandoned"):
			silent.Store(false)
			c.spec.Drops = nil
		}
	}
	watch, err := c.Watch(t.Context(), release)
	if err != nil {
		t.Fatal(err)
	}
	var why []string
	for _, w := range watch.Monitor.Windows {
		why = append(why, w.Why)
	}
	if watch.Study.State != "completed" || !watch.Verification.Holds || !slices.Equal(why, []string{"", drift.NotOpened, ""}) {
		t.Errorf("%+v, windows missed: %q", watch.Study, why)
	}
	asked := 0
	for _, r := range watch.Rounds {
		if r.Step == drift.StepShares {
			asked++
		}
	}
	if asked != 3 {
		t.Errorf("the shares of 3 windows were asked for %d times", asked)
	}
	result, err := c.currentServer().Outcome(c.digest())
	if err != nil {
		t.Fatal(err)
	}
	rederives(t, c, spec.Watch.Bundle, result.Result)
}

// A hospital that rolled the watched release back, and one that never installed it,
// decline with their reason, and the others' windows are shown without them.
func TestAHospitalWithoutTheReleaseDeclines(t *testing.T) {
	t.Parallel()
	from := today()
	five := func(seed uint64, windows, each int) []Site {
		sites := watchedPatients(seed, from, windows, each, windows, 0)
		return append(sites, Site{Name: "Uri", Records: sites[0].Records})
	}
	spec := Spec{
		Protocol: []byte(watchedStudy), Sites: five(1, 1, 400), Dir: t.TempDir(), Seed: 1,
		Watch: &Watch{Protocol: watchingStudy(from, 2), Sites: five(2, 2, 60), Bundle: t.TempDir() + "/watch"},
	}
	c, release := watching(t, spec)
	pointer := func(site string) string {
		found, err := filepath.Glob(filepath.Join(c.siteDir(site), "installed", "*.json"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s has installed %v, %v", site, found, err)
		}
		return found[0]
	}
	// As if Zug had had an earlier release, to which it goes back.
	two, err := json.Marshal(map[string][]string{"releases": {statement.DigestOf(nil).String(), release}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pointer("Zug"), two, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := siteagent.Rollback(c.siteDir("Zug"), "readmission"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(pointer("Uri")); err != nil {
		t.Fatal(err)
	}
	watch, err := c.Watch(t.Context(), release)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range watch.Monitor.Windows {
		if w.Contributors != 3 || w.State != drift.OK {
			t.Errorf("%+v", w)
		}
	}
	blobs, err := filepath.Glob(filepath.Join(spec.Watch.Bundle, "blobs", "*"))
	if err != nil {
		t.Fatal(err)
	}
	declined := map[string]int{}
	for _, path := range blobs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kind, payload, err := statement.Payload(data)
		if err != nil || kind != statement.KindDecline {
			continue
		}
		var d statement.Decline
		if err := statement.Decode(payload, &d); err != nil {
			t.Fatal(err)
		}
		if d.Reason != "the release that the study watches is not installed here" {
			t.Errorf("%s declines: %s", d.Site, d.Reason)
		}
		declined[d.Site]++
	}
	// The first question of each window; of the others they are not asked.
	if declined["Zug"] != 2 || declined["Uri"] != 2 || len(declined) != 2 {
		t.Errorf("declined: %v", declined)
	}
}
