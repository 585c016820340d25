package coordinator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
)

var errPlug = errors.New("the plug is pulled")

// plug is shared by everything that a coordinator writes to. Once it is pulled,
// nothing is written any more, as after a power cut; what was written stays.
type plug struct {
	after  int64  // batches after which it is pulled; 0: never
	at     string // pulled after a batch that has this in a fact
	before bool   // pulled before that batch instead: nothing of it is written
	count  atomic.Int64
	pulled atomic.Bool
	full   atomic.Bool // writes fail; nothing else does
}

var errFull = errors.New("no space left on device")

type pluggedStore struct {
	store.Store
	*plug
}

// Append pulls the plug right AFTER a batch has become durable: the coordinator
// has no chance to act on it, or even to know.
func (s pluggedStore) Append(ctx context.Context, facts, leaves uint64, b store.Batch) error {
	if s.pulled.Load() {
		return errPlug
	}
	if s.full.Load() {
		return errFull
	}
	holds := func(f store.Fact) bool { return s.at != "" && strings.Contains(string(f.Body), s.at) }
	if s.before && slices.ContainsFunc(b.Facts, holds) {
		s.pulled.Store(true)
		return errPlug
	}
	err := s.Store.Append(ctx, facts, leaves, b)
	if s.count.Add(1) == s.after || slices.ContainsFunc(b.Facts, holds) {
		s.pulled.Store(true)
		return errPlug
	}
	return err
}

func (s pluggedStore) Size(ctx context.Context) (uint64, uint64, error) {
	if s.pulled.Load() {
		return 0, 0, errPlug
	}
	return s.Store.Size(ctx)
}

type pluggedBlobs struct {
	blobs.Store
	*plug
}

func (s pluggedBlobs) Put(all ...blobs.Blob) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.Store.Put(all...)
}

func (s pluggedBlobs) Stage(b blobs.Blob) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.Store.Stage(b)
}

func (s pluggedBlobs) Sync() error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.Store.Sync()
}

func (s pluggedBlobs) Write(from io.WriterTo) (statement.Digest, error) {
	if err := s.writable(); err != nil {
		return statement.Digest{}, err
	}
	return s.Store.Write(from)
}

func (s pluggedBlobs) In(pack statement.Digest) blobs.Store {
	return pluggedBlobs{s.Store.In(pack), s.plug}
}

func (p *plug) writable() error {
	switch {
	case p.pulled.Load():
		return errPlug
	case p.full.Load():
		return errFull
	}
	return nil
}

// plugged opens the state behind a plug.
func plugged(t testing.TB, dir string, after int64) (o coordinator.Options, p *plug, closeStore func()) {
	t.Helper()
	db, err := sqlite.Open(context.Background(), filepath.Join(dir, "facts.db"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := blobs.OpenFiles(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	p = &plug{after: after}
	return coordinator.Options{Store: pluggedStore{db, p}, Blobs: pluggedBlobs{files, p}}, p, func() { db.Close() }
}

// finishUnplugged finishes the study, starting a new coordinator over the state
// whenever the plug has been pulled; each lives for `every` batches. It returns
// how often that happened.
func (p *play) finishUnplugged(every int64, pulled *plug, closeStore func()) (crashes int) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if st, err := p.server.Status(p.study); err == nil && st.Over() {
			return crashes
		}
		if pulled == nil || !pulled.pulled.Load() {
			continue
		}
		crashes++
		p.server.Stop() // what is left of it can write nothing
		closeStore()
		var o coordinator.Options
		o, pulled, closeStore = plugged(p.t, p.StateDir(), every)
		p.server = p.Start(o)
		p.t.Cleanup(closeStore)
	}
	st, _ := p.server.Status(p.study)
	p.t.Fatalf("the study did not end within two minutes and %d crashes: %+v", crashes, st)
	return 0
}

// model is the fitted model as it is released.
func (p *play) model() []byte {
	p.t.Helper()
	o, err := p.server.Outcome(p.study)
	if err != nil {
		p.t.Fatal(err)
	}
	_, payload, err := statement.Payload(o.Release)
	if err != nil {
		p.t.Fatal(err)
	}
	var r statement.Release
	if err := json.Unmarshal(payload, &r); err != nil {
		p.t.Fatal(err)
	}
	return r.Body
}

// TestKilledAtEveryRecordBoundary pulls the plug after every k-th batch, again
// and again, and wants the same model, the same rounds and no round asked twice.
func TestKilledAtEveryRecordBoundary(t *testing.T) {
	t.Parallel()
	whole := begin(t, coordinator.Options{}, 3, nil)
	want := whole.finish()
	model := whole.model()

	for _, every := range []int64{1, 2, 3, 5, 8} {
		if testing.Short() && every != 2 {
			continue
		}
		t.Run(fmt.Sprintf("every=%d", every), func(t *testing.T) {
			t.Parallel()
			var pulled *plug
			var closeStore func()
			p := beginWith(t, coordinator.Options{}, 3, nil, func(p *play) {
				// From here on: the study is proposed and approved.
				p.server.Stop()
				var o coordinator.Options
				o, pulled, closeStore = plugged(t, p.StateDir(), 1+every)
				p.server = p.Start(o)
			})
			crashes := p.finishUnplugged(every, pulled, closeStore)
			if most := int(30 / every); crashes < most/2 {
				t.Errorf("only %d crashes", crashes)
			}
			st, err := p.server.Status(p.study)
			if err != nil || st.State != "completed" {
				t.Fatalf("study is %s (%s), %v", st.State, st.Reason, err)
			}
			if len(st.Rounds) != len(want.Rounds) {
				t.Errorf("%d rounds after %d crashes, %d without", len(st.Rounds), crashes, len(want.Rounds))
			}
			if got := p.model(); !bytes.Equal(got, model) {
				t.Errorf("the model differs after %d crashes:\n%s\n%s", crashes, got, model)
			}
		})
	}
}

// A disk that is full fails what needs it, with an error that says so, and
// nothing else; when there is space again the study goes on.
func TestAFullDiskFailsClearlyAndPasses(t *testing.T) {
	t.Parallel()
	var disk *plug
	p := beginWith(t, coordinator.Options{}, 3, nil, func(p *play) {
		p.server.Stop()
		o, pulled, closeStore := plugged(t, p.StateDir(), 0)
		disk = pulled
		p.server = p.Start(o)
		t.Cleanup(closeStore)
	})
	p.wait("the first round begins", func(st *coordinator.StudyStatus) bool { return len(st.Rounds) > 0 })
	disk.full.Store(true)
	h := p.hospitals[0]
	err := h.Approve(context.Background(), []byte(rehearsal.Study+"# another\n"))
	if err == nil {
		t.Error("an approval of a study that nobody proposed was accepted")
	}
	rita := p.Researcher("Rita")
	if err := rita.TryPropose(rehearsal.Study + "# another\n"); rehearsal.Code(err) != "not-stored" {
		t.Errorf("proposing on a full disk: %v", err)
	}
	time.Sleep(200 * time.Millisecond)
	disk.full.Store(false)
	p.server.Nudge()
	if st := p.finish(); st.State != "completed" {
		t.Errorf("study is %s (%s)", st.State, st.Reason)
	}
	rita.Propose(rehearsal.Study + "# another\n")
}

// The coordinator is away for longer than a round lasts. Nobody is blamed for
// that, and the question is asked again of everybody.
func TestALongOutageFailsNoStudy(t *testing.T) {
	t.Parallel()
	p := beginWith(t, coordinator.Options{}, 4, func(i int, h *rehearsal.Hospital) { h.SkipCollecting = true }, nil)
	p.wait("the first round collects", func(st *coordinator.StudyStatus) bool {
		return len(st.Rounds) > 0 && st.Rounds[0].State == "collecting"
	})
	p.server.Stop()
	for _, h := range p.hospitals {
		h.Contributes()
	}
	p.Clock.Skip(20 * time.Minute)
	p.server = p.Start(coordinator.Options{})
	st := p.finish()
	if st.State != "completed" || st.Rounds[0].State != "abandoned" || st.Rounds[1].Question != st.Rounds[0].Question || len(st.Rounds[1].Contributors) != 4 {
		t.Errorf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
}

// The coordinator is killed between a plan and its announcement, and a roster
// comes into force before it is back. The plan, which nobody saw, is withdrawn:
// the ledger must not hold a plan under a roster that was not in force.
func TestAPlanUnderAnOldRosterIsWithdrawn(t *testing.T) {
	t.Parallel()
	var pulled *plug
	var closeStore func()
	p := beginWith(t, coordinator.Options{}, 4, nil, func(p *play) {
		p.server.Stop()
		var o coordinator.Options
		o, pulled, closeStore = plugged(t, p.StateDir(), 0)
		pulled.at = `"kind":"planned"`
		p.server = p.Start(o)
	})
	for end := time.Now().Add(20 * time.Second); !pulled.pulled.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no plan was made")
		}
	}
	p.server.Stop()
	closeStore()
	roster, err := p.Governance.Remove("Hospital 04", p.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	node, err := identity.OpenNode(filepath.Join(p.StateDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	if err := node.AppendRoster(roster); err != nil {
		t.Fatal(err)
	}
	p.stops[3]()
	p.server = p.Start(coordinator.Options{})
	st := p.finish()
	if st.State != "completed" || len(st.Rounds) != 6 || st.Rounds[0].State != "abandoned" || len(st.Rounds[1].Invited) != 3 {
		t.Errorf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	p.verify(t)
}

// A member that is removed while a study runs is not asked again.
func TestASiteThatLeavesIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 5, func(i int, h *rehearsal.Hospital) { h.SkipCollecting = i == 0 })
	p.wait("the first round collects", func(st *coordinator.StudyStatus) bool { return len(st.Rounds) > 0 })
	p.stops[4]()
	p.Remove("Hospital 05")
	st := p.finish()
	if st.State != "completed" {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	for _, r := range st.Rounds[1:] {
		if slices.Contains(r.Invited, "Hospital 05") {
			t.Errorf("%s still invites who has left", r.Step)
		}
	}
	p.verify(t)
}
