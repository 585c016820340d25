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

func TestEveryEntryIsReadOnceAndVerified(t *testing.T) {
	l := newTestLog(t)
	path := filepath.Join(t.TempDir(), "ledger.json")
	seen := 0
	fetch := func(start, end uint64) ([][]byte, error) { return l.Leaves(start, min(end, start+3)) }
	for i := 1; i <= 40; i++ {
		l.grow(i % 4)
		// Reopened each time, as after a restart.
		w, err := openWitness(path, l.node)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.advance(w); err != nil {
			t.Fatal(err)
		}
		if err := w.readOn(fetch, func(ledger.Entry) error { seen++; return nil }); err != nil {
			t.Fatalf("at size %d: %v", w.latest().Size, err)
		}
		if uint64(seen) != w.latest().Size {
			t.Fatalf("read %d entries of %d", seen, w.latest().Size)
		}
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
