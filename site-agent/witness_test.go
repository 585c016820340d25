package siteagent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
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

func (l *testLog) advance(w *ledgerWitness) error {
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
			if w, err = openWitness(path, l.node); err != nil {
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
	w, err := openWitness(filepath.Join(t.TempDir(), "ledger.json"), l.node)
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
	w, err := openWitness(path, l.node)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.advance(w); err != nil {
		t.Fatal(err)
	}
	fork := &testLog{ledger.NewLog(ledger.Origin("test"), ledger.NewMemory()), t, l.node, "fork"}
	for _, size := range []int{3, 2, 4} { // shorter, as long, longer
		fork.grow(size)
		if w, err = openWitness(path, l.node); err != nil {
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
		if _, err := openWitness(path, l.node); err == nil {
			t.Errorf("%q is believed", content)
		}
	}
}
