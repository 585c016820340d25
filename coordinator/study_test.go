package coordinator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
)

// play is a consortium with one study under way.
type play struct {
	*rehearsal.Consortium
	t         testing.TB
	server    *rehearsal.Server
	hospitals []*rehearsal.Hospital
	stops     []func() // takes a hospital off the net
	protocol  string   // rehearsal.Study unless a test sets it
	study     string
	records   uint64 // seed of the hospitals' made-up patients
	skipped   time.Duration
}

// begin enrols hospitals, lets each be told what to do wrong, and starts a study
// once every one has approved.
func begin(t testing.TB, o coordinator.Options, hospitals int, tell func(i int, h *rehearsal.Hospital)) *play {
	t.Helper()
	return beginWith(t, o, hospitals, tell, nil)
}

// beginWith is begin with something that happens just before the start.
func beginWith(t testing.TB, o coordinator.Options, hospitals int, tell func(i int, h *rehearsal.Hospital), before func(*play)) *play {
	t.Helper()
	return start(t, &play{Consortium: rehearsal.New(t), t: t}, o, hospitals, tell, before)
}

// start is beginWith for a play that was prepared.
func start(t testing.TB, p *play, o coordinator.Options, hospitals int, tell func(i int, h *rehearsal.Hospital), before func(*play)) *play {
	t.Helper()
	p.server = p.Start(o)
	var names []string
	for i := range hospitals {
		names = append(names, fmt.Sprintf("Hospital %02d", i+1))
	}
	p.Enrol(identity.RoleSite, names...)
	p.Enrol(identity.RoleResearcher, "Rita")
	for i, name := range names {
		h := p.Hospital(name, p.records+uint64(i))
		if tell != nil {
			tell(i, h)
		}
		p.hospitals = append(p.hospitals, h)
		p.stops = append(p.stops, p.run(h))
	}
	rita := p.Researcher("Rita")
	if p.protocol == "" {
		p.protocol = rehearsal.Study
	}
	p.study = rita.Propose(p.protocol)
	p.wait("every hospital approves", func(st *coordinator.StudyStatus) bool {
		for _, d := range st.Decisions {
			if d.Decision != "approved" {
				return false
			}
		}
		return true
	})
	if before != nil {
		before(p)
	}
	if err := rita.Start(p.study); err != nil {
		t.Fatal(err)
	}
	return p
}

// run lets a hospital work until the test ends or the returned function is called.
func (p *play) run(h *rehearsal.Hospital) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { h.Run(ctx) })
	stop = func() { cancel(); done.Wait() }
	p.t.Cleanup(stop)
	return stop
}

// wait waits for a status. It skips to a deadline once every hospital has done what
// it was asked for and only time is left to wait for.
func (p *play) wait(what string, is func(*coordinator.StudyStatus) bool) *coordinator.StudyStatus {
	p.t.Helper()
	changed, asked, shown := time.Now(), time.Now(), ""
	for time.Since(changed) < time.Minute {
		st, err := p.server.Status(p.study)
		if err != nil {
			p.t.Fatal(err)
		}
		if is(st) {
			return st
		}
		switch now := st.Progress(); {
		case now != shown:
			shown, changed, asked = now, time.Now(), time.Now()
		case time.Since(asked) > 100*time.Millisecond:
			if p.skip() {
				changed = time.Now()
			}
			asked = time.Now()
		}
		time.Sleep(5 * time.Millisecond)
	}
	st, _ := p.server.Status(p.study)
	p.t.Fatalf("%s: nothing has happened for a minute; the study is %+v", what, st)
	return nil
}

// skip skips to the deadline that the coordinator waits for, and says whether it
// did: not while a hospital has anything to do, nor while one is between two calls,
// which must not look absent because the clock leapt, nor where the coordinator went
// on while they were asked.
func (p *play) skip() bool {
	at, waits := p.server.Wake()
	d := at.Sub(p.Clock.Now())
	if !waits || d <= 0 {
		return false
	}
	here := slices.DeleteFunc(slices.Clone(p.hospitals), func(h *rehearsal.Hospital) bool { return !h.Runs() })
	for _, h := range here {
		if !p.server.Calling(h.Name) {
			return false
		}
	}
	for _, h := range here {
		if !h.Idle(p.t.Context()) {
			return false
		}
	}
	if again, waits := p.server.Wake(); !waits || !again.Equal(at) {
		return false
	}
	p.Clock.Skip(d)
	p.skipped += d
	p.server.Nudge()
	return true
}

func (p *play) finish() *coordinator.StudyStatus {
	p.t.Helper()
	return p.wait("the study ends", (*coordinator.StudyStatus).Over)
}

func (p *play) result() *pipeline.Result {
	p.t.Helper()
	o, err := p.server.Outcome(p.study)
	if err != nil {
		p.t.Fatal(err)
	}
	var r pipeline.Result
	if err := json.Unmarshal(o.Result, &r); err != nil {
		p.t.Fatal(err)
	}
	return &r
}

func TestAStudyRunsFromProposalToRelease(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 4, nil)
	st := p.finish()
	if st.State != "completed" || len(st.Rounds) != 5 || p.skipped != 0 {
		t.Fatalf("study is %s (%s) after %d rounds and %v skipped", st.State, st.Reason, len(st.Rounds), p.skipped)
	}
	for _, r := range st.Rounds {
		if r.State != "published" || len(r.Contributors) != 4 || len(r.Openers) < 3 || r.BytesUp == 0 || r.ChunksStored != r.ChunksExpected {
			t.Errorf("round %+v", r)
		}
	}
	m := p.result().Model.GLM
	if m == nil || m.N != 120 || m.Contributors != 4 || len(m.Terms) != 3 {
		t.Errorf("model %+v", m)
	}
	st = p.wait("every hospital accepts the release", func(st *coordinator.StudyStatus) bool {
		accepted := 0
		for _, d := range st.ReleaseDecisions {
			if d.Decision == "accepted" {
				accepted++
			}
		}
		return accepted == 4
	})
	for _, h := range p.hospitals {
		for _, r := range st.Rounds {
			if got := h.Ended(r.ID.String()); got != "published" {
				t.Errorf("%s was told that round %s ended %q", h.Name, r.Step, got)
			}
		}
	}
}

// A study without a model ends with the reason, and the auditor agrees.
func TestADiagnosisEndsTheStudy(t *testing.T) {
	t.Parallel()
	binary := strings.NewReplacer(
		"outcome: {column: dose, type: number, range: [0, 100], unit: mg, transform: identity}", "outcome: {column: dose, type: binary, at_least: -1000}",
		"family: gaussian", "family: binomial",
	).Replace(rehearsal.Study)
	p := start(t, &play{Consortium: rehearsal.New(t), t: t, protocol: binary}, coordinator.Options{}, 3, nil, nil)
	st := p.finish()
	if st.State != "diagnosed" || !strings.Contains(st.Reason, compute.ConstantTarget) || !st.Release.IsZero() {
		t.Errorf("study is %s (%s), release %s", st.State, st.Reason, st.Release)
	}
	p.verify(t)
}

// A binomial study asks several questions of one step.
func TestANewtonFitAsksUntilItConverges(t *testing.T) {
	t.Parallel()
	binary := strings.NewReplacer(
		"outcome: {column: dose, type: number, range: [0, 100], unit: mg, transform: identity}", "outcome: {column: dose, type: binary, at_least: 30}",
		"family: gaussian", "family: binomial, ridge: 1", "rounds: 5", "rounds: 25",
	).Replace(rehearsal.Study)
	p := start(t, &play{Consortium: rehearsal.New(t), t: t, protocol: binary}, coordinator.Options{}, 3, nil, nil)
	st := p.finish()
	asked := map[string]bool{}
	for _, r := range st.Rounds {
		asked[r.Question.String()] = true
	}
	if st.State != "completed" || len(asked) != len(st.Rounds) || len(st.Rounds) < 5 {
		t.Errorf("study is %s (%s): %q, %d different questions", st.State, st.Reason, states(st), len(asked))
	}
	p.verify(t)
}

func TestAStudyNeedsApprovalsToStart(t *testing.T) {
	t.Parallel()
	c := rehearsal.New(t)
	c.Start(coordinator.Options{})
	c.Enrol(identity.RoleSite, "North", "South")
	c.Enrol(identity.RoleResearcher, "Rita")
	rita := c.Researcher("Rita")
	study := rita.Propose(rehearsal.Study)
	for _, name := range []string{"North", "South"} { // the study wants three
		if err := c.Hospital(name, 1).Approve(context.Background(), []byte(rehearsal.Study)); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, "a start with two approvals", rita.Start(study), "too-few-approvals")
	refused(t, "a study that is no study", rita.TryPropose("study: x\nversoin: 1\n"), "study-invalid")
}

// long keeps a test out of the run under the race detector: other tests have the
// same goroutines do the same.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out what has nothing to do with goroutines")
	}
}
