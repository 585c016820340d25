package federation

import (
	"sync/atomic"
	"testing"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/store"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// plug runs a study whose members a test pulls the plug of.
func plug(t *testing.T, spec Spec, pull func(*consortium)) *Result {
	t.Helper()
	spec.Dir = t.TempDir()
	protocol, err := spec.check()
	if err != nil {
		t.Fatal(err)
	}
	spec.Progress = func(line string) { t.Log(line) }
	c, err := newConsortium(t.Context(), spec, protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	pulled := make(chan struct{})
	go func() {
		defer close(pulled)
		pull(c)
	}()
	err = c.RunStudy(t.Context())
	<-pulled
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !result.Verification.Holds {
		t.Errorf("the evidence does not hold: %+v", result.Verification.Checks)
	}
	return result
}

// A coordinator that stops dead after a record and is opened again goes on with
// the round it was in: nobody is asked twice, and the fit is the pooled fit.
// Every record boundary is tried beside the coordinator; here are five, over the
// whole course of a study.
func TestCoordinatorKilledMidStudyResumes(t *testing.T) {
	source, sites := protocol(t, "warfarin-dose.yaml"), hospitals(t, 4, 600)
	const every, times = 10, 5
	now := make(chan struct{}, times)
	var batches atomic.Int64
	spec := Spec{Protocol: source, Sites: sites, onCoordinator: func(o *coordinator.Options) {
		o.AfterAppend = func(store.Batch) {
			if n := batches.Add(1); n%every == 0 && n/every > 1 && n/every <= times+1 { // enrolment is left alone
				now <- struct{}{}
			}
		}
	}}
	result := plug(t, spec, func(c *consortium) {
		for range times {
			<-now
			if err := c.stopCoordinator(); err != nil {
				t.Error(err)
			}
			if err := c.startCoordinator(nil); err != nil {
				t.Error(err)
				return
			}
		}
	})
	sameModel(t, result.Model.GLM, pooled(t, source, sites).Model.GLM)
	published(t, result, 5, len(sites))
}

// A site agent that is killed in the middle of an upload sends the same sealed
// contribution again, and counts once.
func TestSiteKilledMidUploadResumes(t *testing.T) {
	source, sites := protocol(t, "warfarin-dose.yaml"), hospitals(t, 4, 600)
	now := make(chan struct{}, 1)
	var killed atomic.Bool
	var uploads atomic.Int64
	resume := make(chan struct{})
	spec := Spec{Protocol: source, Sites: sites, onSite: func(site string, o *siteagent.Options) {
		if site != sites[2].Name {
			return
		}
		o.Progress = func(u siteagent.Upload) {
			if u.Step != "glm/gram" {
				return
			}
			uploads.Add(1)
			if killed.CompareAndSwap(false, true) {
				now <- struct{}{}
				<-resume // until it has been told to stop: nothing more is sent
			}
		}
	}}
	result := plug(t, spec, func(c *consortium) {
		<-now
		c.mu.Lock()
		c.sites[sites[2].Name].cancel()
		c.mu.Unlock()
		close(resume)
		if err := c.stopSite(sites[2].Name); err != nil {
			t.Error(err)
		}
		if err := c.startSite(sites[2]); err != nil {
			t.Error(err)
		}
	})
	sameModel(t, result.Model.GLM, pooled(t, source, sites).Model.GLM)
	published(t, result, 5, len(sites))
	if uploads.Load() == 0 {
		t.Error("the site was not killed in an upload")
	}
}

// published checks that every round was opened, at the first attempt and over
// everyone.
func published(t *testing.T, result *Result, rounds, contributors int) {
	t.Helper()
	if result.Study.State != "completed" || len(result.Rounds) != rounds {
		t.Errorf("the study is %s after %d rounds, want completed after %d", result.Study.State, len(result.Rounds), rounds)
	}
	for _, r := range result.Rounds {
		if r.State != "published" || len(r.Contributors) != contributors {
			t.Errorf("round %s is %s over %d sites, want published over %d", r.Step, r.State, len(r.Contributors), contributors)
		}
	}
}
