package siteagent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
)

type testLog struct {
	*ledger.Log
	t    *testing.T
	node *identity.Node
	salt string // makes another history
}

func newTestLog(t *testing.T) *testLog {
	t.Helper()
	dir := t.TempDir()
	spec := identity.InitSpec{Consortium: "test", CoordinatorAddress: "127.0.0.1:1", GovernanceDir: filepath.Join(dir, "g"), CoordinatorDir: filepath.Join(dir, "c"), Now: time.Now()}
	if err := identity.InitConsortium(spec); err != nil {
		t.Fatal(err)
	}
	node, err := identity.OpenNode(spec.CoordinatorDir)
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{ledger.NewLog(ledger.Origin("test"), ledger.NewMemory()), t, node, ""}
}

func (l *testLog) grow(n int) {
	l.t.Helper()
	for range n {
		size, _ := l.Size()
		leaf, err := ledger.Entry{Time: time.Now(), Type: ledger.TypePlan, Subject: statement.DigestOf(fmt.Append(nil, l.salt, size)), Actor: "coordinator"}.Leaf()
		if err == nil {
			_, err = l.Append(leaf)
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

// advance shows the site the log and has it keep the checkpoint.
func (l *testLog) advance(w *ledgerWitness) error {
	l.t.Helper()
	if err := l.show(w); err != nil {
		return err
	}
	return w.keep()
}

// hears shows the site the log, with work that makes it wait with its checkpoint.
func (l *testLog) hears(w *ledgerWitness) {
	l.t.Helper()
	if err := l.show(w); err != nil {
		l.t.Fatal(err)
	}
}

func (l *testLog) show(w *ledgerWitness) error {
	l.t.Helper()
	checkpoint, err := l.Checkpoint(l.node.Keys().Signing())
	if err != nil {
		l.t.Fatal(err)
	}
	size, _ := l.Size()
	var proof [][32]byte
	if old := w.latest().Size; old <= size {
		if proof, err = l.Consistency(old, size); err != nil {
			l.t.Fatal(err)
		}
	}
	return w.advance(checkpoint, proof)
}

func TestEveryEntryIsReadAndVerified(t *testing.T) {
	l := newTestLog(t)
	path := filepath.Join(t.TempDir(), "ledger.json")
	seen := map[statement.Digest]bool{}
	reads := 0
	fetch := func(start, end uint64) ([][]byte, error) { return l.Leaves(start, min(end, start+3)) }
	var w *ledgerWitness
	for i := range 40 {
		if i%5 == 0 { // restarted
			var err error
			if w, err = openWitness(path, l.node, nil); err != nil {
				t.Fatal(err)
			}
		}
		l.grow(i % 4)
		if err := l.advance(w); err != nil {
			t.Fatal(err)
		}
		if err := w.readOn(fetch, func(e ledger.Entry) error { seen[e.Subject] = true; reads++; return nil }); err != nil {
			t.Fatalf("at size %d: %v", w.latest().Size, err)
		}
		if uint64(len(seen)) != w.latest().Size {
			t.Fatalf("saw %d entries of %d", len(seen), w.latest().Size)
		}
		if last := w.latest().Size; last > 0 {
			if leaf, ok := w.leaf(last - 1); !ok || len(leaf) == 0 {
				t.Fatal("a plan that was just read is not at hand")
			}
		}
	}
	if reads > 2*len(seen) {
		t.Fatalf("%d reads of %d entries: reading starts over at every restart", reads, len(seen))
	}
}

func TestEntriesThatAreNotTheCheckpointsAreRefused(t *testing.T) {
	l := newTestLog(t)
	l.grow(5)
	w, err := openWitness(filepath.Join(t.TempDir(), "ledger.json"), l.node, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.advance(w); err != nil {
		t.Fatal(err)
	}
	other := newTestLog(t)
	other.grow(4)
	other.grow(1)
	for name, fetch := range map[string]func(start, end uint64) ([][]byte, error){
		"entries left out": func(start, end uint64) ([][]byte, error) { return nil, nil },
		"entries too many": func(start, end uint64) ([][]byte, error) { l.grow(1); return l.Leaves(start, end+1) },
		"what is no entry": func(start, end uint64) ([][]byte, error) { return [][]byte{[]byte("{}")}, nil },
		"entries of others": func(start, end uint64) ([][]byte, error) {
			a, _ := l.Leaves(1, 2)
			b, _ := l.Leaves(1, 5)
			return append(a, b...), nil
		},
	} {
		err := w.readOn(fetch, func(ledger.Entry) error { t.Errorf("%s: shown", name); return nil })
		if !errors.Is(err, ledger.ErrSecurity) {
			t.Errorf("%s: %v, want a security violation", name, err)
		}
	}
}

func TestAShrunkLedgerIsRefused(t *testing.T) {
	l := newTestLog(t)
	l.grow(5)
	path := filepath.Join(t.TempDir(), "ledger.json")
	w, err := openWitness(path, l.node, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.advance(w); err != nil {
		t.Fatal(err)
	}
	fork := &testLog{ledger.NewLog(ledger.Origin("test"), ledger.NewMemory()), t, l.node, "fork"}
	for _, size := range []int{3, 2, 4} { // shorter, as long, longer
		fork.grow(size)
		if w, err = openWitness(path, l.node, nil); err != nil {
			t.Fatal(err)
		}
		if err := fork.advance(w); !errors.Is(err, ledger.ErrSecurity) {
			t.Fatalf("%v, want a security violation", err)
		}
	}
}

func TestADamagedWitnessIsRefused(t *testing.T) {
	l := newTestLog(t)
	path := filepath.Join(t.TempDir(), "ledger.json")
	for _, content := range []string{"", "{", `{"read":{"size":3,"peaks":[]}}`, `{"checkpoint":"AAAA"}`} {
		os.WriteFile(path, []byte(content), 0o600)
		if _, err := openWitness(path, l.node, nil); err == nil {
			t.Errorf("%q is believed", content)
		}
	}
}

// add appends one entry.
func (l *testLog) add(kind string, study, subject statement.Digest) {
	l.t.Helper()
	e := ledger.Entry{Time: time.Now(), Type: kind, Subject: subject, Actor: "someone"}
	if !study.IsZero() {
		e.Study = study.String()
	}
	leaf, err := e.Leaf()
	if err == nil {
		_, err = l.Append(leaf)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// read advances a witness to the end of the log and reads on.
func (l *testLog) read(w *ledgerWitness) error {
	l.t.Helper()
	if err := l.advance(w); err != nil {
		return err
	}
	return w.readOn(l.Leaves, func(ledger.Entry) error { return nil })
}

func (l *testLog) open(path string) *ledgerWitness {
	l.t.Helper()
	w, err := openWitness(path, l.node, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return w
}

func (l *testLog) roster() statement.Digest {
	return statement.DigestOf(l.node.Rosters().Envelopes()[0])
}

// Committees are drawn from the ledger up to the first entry that starts the
// study. Nothing that comes later changes that, nor does a restart, nor the
// state of a version that did not keep it.
func TestADrawIsFromTheCheckpointThatStartsTheStudy(t *testing.T) {
	l := newTestLog(t)
	path := filepath.Join(t.TempDir(), "ledger.json")
	first, second := statement.DigestOf([]byte("first")), statement.DigestOf([]byte("second"))
	w := l.open(path)
	l.add(ledger.TypeStart, second, second)
	l.add(ledger.TypeRoster, statement.Digest{}, l.roster())
	l.grow(3)
	l.add(ledger.TypeStart, first, first)
	size, _ := l.Size()
	root, _ := l.Root()
	want := statement.Draw{Size: size, Root: root, Roster: l.roster()}
	l.grow(2)
	l.add(ledger.TypeStart, first, second) // started again
	if err := l.read(w); err != nil {
		t.Fatal(err)
	}
	holds := func(when string) {
		t.Helper()
		if got, started := w.Draw(first); !started || got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
		if got, started := w.Draw(second); !started || got.Size != 1 || !got.Roster.IsZero() {
			t.Errorf("%s: a study that started before the first roster: %+v", when, got)
		}
		if _, started := w.Draw(statement.DigestOf(nil)); started {
			t.Errorf("%s: a study that never started has a draw", when)
		}
	}
	holds("read")
	l.grow(1)
	if err := l.read(w); err != nil {
		t.Fatal(err)
	}
	holds("read on")
	w = l.open(path)
	holds("after a restart")

	state, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	older := regexp.MustCompile(`,"rosters".*`).ReplaceAll(state, []byte("}}"))
	if len(older) == len(state) {
		t.Fatalf("the state has another form: %s", state)
	}
	if err := os.WriteFile(path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	w = l.open(path)
	if _, started := w.Draw(first); started {
		t.Error("a draw that was not kept is known")
	}
	if err := l.read(w); err != nil {
		t.Fatal(err)
	}
	holds("after an update")
}

// The coordinator enters the rosters that governance signed, each once and in
// their order: it cannot bring an earlier draw back, nor make one up.
func TestALedgerWithOtherRostersThanGovernancesIsRefused(t *testing.T) {
	for name, roster := range map[string]func(l *testLog){
		"made up":        func(l *testLog) { l.add(ledger.TypeRoster, statement.Digest{}, statement.DigestOf([]byte("try 1"))) },
		"the same again": func(l *testLog) { l.add(ledger.TypeRoster, statement.Digest{}, l.roster()) },
	} {
		l := newTestLog(t)
		w := l.open(filepath.Join(t.TempDir(), "ledger.json"))
		l.add(ledger.TypeRoster, statement.Digest{}, l.roster())
		if err := l.read(w); err != nil {
			t.Fatal(err)
		}
		roster(l)
		study := statement.DigestOf([]byte("study"))
		l.add(ledger.TypeStart, study, study)
		if err := l.read(w); !errors.Is(err, ledger.ErrSecurity) {
			t.Errorf("%s: %v, want a security violation", name, err)
		}
		if _, started := w.Draw(study); started {
			t.Errorf("%s: a draw is kept of what was refused", name)
		}
	}
}

// cosigns wants a valid cosignature of the log at a size.
func (l *testLog) cosigns(w *ledgerWitness, size uint64) {
	l.t.Helper()
	head, cosignature, err := w.cosign(l.node.Keys().Signing(), time.Now())
	if err != nil {
		l.t.Fatal(err)
	}
	root, err := l.RootAt(size)
	if err != nil {
		l.t.Fatal(err)
	}
	own := ledger.Checkpoint{Origin: ledger.Origin("test"), Size: size, Root: root}
	if head != own {
		l.t.Fatalf("cosigned %+v, want %+v", head, own)
	}
	if _, err := ledger.VerifyCosignature(own, cosignature, l.node.Rosters().Latest().CoordinatorMember().SigningKey); err != nil {
		l.t.Fatal(err)
	}
}

// A site cosigns what it has seen to extend all it saw before, and neither a fork
// nor a rollback: those it refuses, and goes on cosigning the history it knows.
func TestASiteCosignsOneHistory(t *testing.T) {
	l := newTestLog(t)
	path := filepath.Join(t.TempDir(), "ledger.json")
	w := l.open(path)
	if _, cosignature, err := w.cosign(l.node.Keys().Signing(), time.Now()); cosignature != nil || err != nil {
		t.Fatalf("cosigned before the first checkpoint: %v", err)
	}
	l.grow(5)
	if err := l.advance(w); err != nil {
		t.Fatal(err)
	}
	l.cosigns(w, 5)
	fork := &testLog{ledger.NewLog(ledger.Origin("test"), ledger.NewMemory()), t, l.node, "fork"}
	for _, more := range []int{3, 2, 4} { // shorter, as long, longer
		fork.grow(more)
		if err := fork.advance(w); !errors.Is(err, ledger.ErrSecurity) {
			t.Fatalf("%v, want a security violation", err)
		}
		l.cosigns(w, 5)
		w = l.open(path)
		l.cosigns(w, 5)
	}
	l.grow(2)
	if err := l.advance(w); err != nil {
		t.Fatal(err)
	}
	l.cosigns(w, 7)
}

// The checkpoint is on the disk before it is cosigned: while it cannot be saved,
// nothing is cosigned, so a site that starts again has all it cosigned.
func TestNothingIsCosignedThatIsNotOnTheDisk(t *testing.T) {
	l := newTestLog(t)
	dir := filepath.Join(t.TempDir(), "state")
	path := filepath.Join(dir, "ledger.json")
	w := l.open(path) // there is no folder to save in
	l.grow(4)
	if err := l.advance(w); err == nil {
		t.Fatal("saved nowhere")
	}
	for range 2 {
		if _, cosignature, err := w.cosign(l.node.Keys().Signing(), time.Now()); cosignature != nil || err == nil {
			t.Fatal("cosigned what is not on the disk")
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.cosigns(w, 4)
	l.cosigns(l.open(path), 4)
}

// Between the questions of a busy study a site need not cosign every checkpoint,
// but it does so every second, and each is in the file before.
func TestABusySiteCosignsEverySecond(t *testing.T) {
	l := newTestLog(t)
	path := filepath.Join(t.TempDir(), "ledger.json")
	w := l.open(path)
	l.grow(3)
	if err := l.advance(w); err != nil {
		t.Fatal(err)
	}
	l.cosigns(w, 3)
	busy := w.cosigned
	l.grow(2)
	l.hears(w)
	key := l.node.Keys().Signing()
	for _, after := range []time.Duration{0, cosignEvery - 1} {
		if head, cosignature, err := w.cosign(key, busy.Add(after)); cosignature != nil || head.Size != 5 || err != nil {
			t.Fatalf("after %v: cosigned %d, %v", after, head.Size, err)
		}
	}
	if _, cosignature, err := w.cosign(key, busy.Add(cosignEvery)); cosignature == nil || err != nil {
		t.Fatalf("not cosigned after a second: %v", err)
	}
	if got := l.open(path).latest().Size; got != 5 {
		t.Fatalf("cosigned 5 entries and knows %d after a restart", got)
	}
}

// Work that came before is none: a coordinator that shows it again, with a longer
// ledger, asks for a cosignature.
func TestOnlyNewWorkKeepsASiteFromCosigning(t *testing.T) {
	var a Agent
	plan, request := uplink.Contribute{Plan: []byte("plan")}, uplink.Open{Request: []byte("request")}
	for i, c := range []struct {
		news uplink.News
		want bool
	}{
		{uplink.News{}, false},
		{uplink.News{Contribute: []uplink.Contribute{plan}}, true},
		{uplink.News{Contribute: []uplink.Contribute{plan}}, false},
		{uplink.News{Contribute: []uplink.Contribute{plan}, Open: []uplink.Open{request}}, true},
		{uplink.News{Open: []uplink.Open{request}}, false},
		{uplink.News{Contribute: []uplink.Contribute{plan}}, true},
	} {
		if got := a.newWork(&c.news); got != c.want {
			t.Errorf("news %d: %v", i, got)
		}
	}
}

// What a site did under a checkpoint it remembers with the checkpoint: started
// again, it refuses a ledger that forks below, whatever the file says.
func TestACheckpointUnderWhichASiteActedIsNotForgotten(t *testing.T) {
	l := newTestLog(t)
	path := filepath.Join(t.TempDir(), "ledger.json")
	w := l.open(path)
	l.grow(3)
	if err := l.advance(w); err != nil {
		t.Fatal(err)
	}
	fork := &testLog{ledger.NewLog(ledger.Origin("test"), ledger.NewMemory()), t, l.node, ""}
	fork.grow(3)
	fork.salt = "fork"
	fork.grow(4)
	l.grow(2)
	l.hears(w)
	again, err := openWitness(path, l.node, w.signed())
	if err != nil {
		t.Fatal(err)
	}
	if got := again.latest(); got != w.latest() {
		t.Fatalf("knows %d entries after a restart", got.Size)
	}
	if err := fork.advance(again); !errors.Is(err, ledger.ErrSecurity) {
		t.Fatalf("%v, want a security violation", err)
	}
	l.cosigns(again, 5)
	if again, err = openWitness(path, l.node, []byte("of another coordinator")); err != nil || again.latest().Size != 5 {
		t.Fatalf("%v, knows %d entries", err, again.latest().Size)
	}
}
