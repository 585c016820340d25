package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// spooled is how many files are in the spool.
func spooled(t *testing.T, dir string) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, spoolDir))
	must(t, err)
	return len(files)
}

// Killed anywhere between sealing and the receipt, a site sends the bytes that
// it sealed first.
func TestAContributionSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	c, err := v.Seal(round1, write(round1))
	must(t, err)
	first := content(t, c)
	must(t, v.Close())
	v = open(t, dir)
	got, ok, err := v.Sealed(round1)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if !bytes.Equal(content(t, got), first) {
		t.Fatal("the contribution changed")
	}
	if err := trySeal(v, round1); !errors.Is(err, ErrOnce) {
		t.Fatalf("a second sealing: %v", err)
	}
	must(t, v.Wipe(round1))
	must(t, v.Wipe(round1))
	if _, _, err := v.Sealed(round1); !errors.Is(err, ErrLost) {
		t.Fatalf("after wiping: %v", err)
	}
}

// Killed after the spool was written and before the fact was: nothing has left,
// so the contribution is sealed anew and the leftover removed.
func TestAnUnrecordedSpoolIsRemoved(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	must(t, os.WriteFile(v.spoolPath(round1), []byte("whole, and not recorded"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, spoolDir, durable.Unfinished+"x"), []byte("half"), 0o600))
	must(t, v.Close())
	v = open(t, dir)
	if _, ok, err := v.Sealed(round1); ok || err != nil {
		t.Fatal("an unrecorded contribution is used", err)
	}
	if n := spooled(t, dir); n != 0 {
		t.Fatalf("%d files remain in the spool", n)
	}
	seal(t, v, round1)
}

// A sealing that breaks off, at any part, leaves nothing and may be done anew.
func TestASealingThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	broken := errors.New("a value is out of its bound")
	for parts := range 4 {
		_, err := v.Seal(round1, func(s *Sealing) ([]byte, error) {
			for i := range parts {
				must(t, s.Chunk(chunks[i%2]))
			}
			return nil, broken
		})
		if err != broken {
			t.Fatalf("after %d chunks: %v", parts, err)
		}
		if n := spooled(t, dir); n != 0 {
			t.Fatalf("after %d chunks %d files remain in the spool", parts, n)
		}
		if _, ok, err := v.Sealed(round1); ok || err != nil {
			t.Fatalf("after %d chunks: sealed %v, %v", parts, ok, err)
		}
	}
	seal(t, v, round1)
}

func TestADiskThatFailsWhileSealingIsNoFaultOfTheVector(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	must(t, os.Remove(filepath.Join(dir, spoolDir)))
	if err := trySeal(v, round1); !errors.Is(err, ErrNotKept) {
		t.Fatalf("without a spool: %v, want ErrNotKept", err)
	}
	if _, ok := v.Header(round1); ok {
		t.Fatal("what could not be kept counts as sealed")
	}
	must(t, os.Mkdir(filepath.Join(dir, spoolDir), 0o700))
	seal(t, v, round1)
}

// The round's end, told while its contribution is being sealed, comes first:
// nothing is kept of a contribution that nobody wants any more.
func TestARoundThatEndsWhileItIsSealed(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	must(t, v.RememberPlan(Plan{Round: round1, Question: asked}))
	_, err := v.Seal(round1, func(s *Sealing) ([]byte, error) {
		must(t, v.RememberEnd(statement.RoundEnd{Round: round1, Question: asked, State: "abandoned"}))
		must(t, v.Wipe(round1))
		return write(round1)(s)
	})
	if err == nil || spooled(t, dir) != 0 {
		t.Fatalf("sealed for a round that is over: %v, %d files in the spool", err, spooled(t, dir))
	}
	if _, ok := v.Header(round1); ok {
		t.Fatal("the contribution counts as sealed")
	}
}

func TestOneSealingOfARoundAtATime(t *testing.T) {
	v := open(t, t.TempDir())
	c, err := v.Seal(round1, func(s *Sealing) ([]byte, error) {
		if err := trySeal(v, round1); !errors.Is(err, ErrOnce) {
			t.Errorf("a second sealing beside the first: %v, want ErrOnce", err)
		}
		seal(t, v, round2) // of another round: why not
		return write(round1)(s)
	})
	must(t, err)
	must(t, c.Close())
}

func TestADamagedSpoolIsNeverSent(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	seal(t, v, round1)
	path := v.spoolPath(round1)
	whole, err := os.ReadFile(path)
	must(t, err)
	layout := len(whole) - 8 - int(binary.BigEndian.Uint64(whole[len(whole)-8:]))
	for name, damaged := range map[string][]byte{
		"a flipped bit in a chunk":       flip(whole, 500),
		"a flipped bit in a share":       flip(whole, 100_001),
		"a flipped bit in the header":    flip(whole, layout-20),
		"a flipped bit in the layout":    flip(whole, layout+2),
		"a longer chunk":                 bytes.Replace(whole, []byte(`[100000,1]`), []byte(`[100001,1]`), 1),
		"a chunk longer than the file":   bytes.Replace(whole, []byte(`[100000,1]`), []byte(`[999999,1]`), 1),
		"a negative length":              bytes.Replace(whole, []byte(`[100000,1]`), []byte(`[-10000,1]`), 1),
		"a chunk less":                   bytes.Replace(whole, []byte(`[100000,1]`), []byte(`[    100001]`), 1),
		"a layout longer than the file":  append(bytes.Clone(whole[:len(whole)-8]), 0xff, 0, 0, 0, 0, 0, 0, 1),
		"a layout shorter than it is":    append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]-1),
		"cut short":                      whole[:len(whole)-1],
		"cut in front":                   whole[1:],
		"longer":                         append([]byte{0}, whole...),
		"no longer than the last length": whole[len(whole)-8:],
		"shorter than the last length":   whole[:7],
		"empty":                          nil,
	} {
		if bytes.Equal(damaged, whole) {
			t.Fatalf("%s: nothing is damaged", name)
		}
		must(t, os.WriteFile(path, damaged, 0o600))
		if _, _, err := v.Sealed(round1); !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v, want ErrLost", name, err)
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	c, _, err := v.Sealed(round1)
	must(t, err)
	must(t, c.Close())
}

func TestTheSpoolHoldsNoMoreThanWhatLeaves(t *testing.T) {
	v := open(t, t.TempDir())
	c, err := v.Seal(round1, write(round1))
	must(t, err)
	leaves := len(content(t, c))
	whole, err := os.ReadFile(v.spoolPath(round1))
	must(t, err)
	layout := binary.BigEndian.Uint64(whole[len(whole)-8:])
	if len(whole) != leaves+int(layout)+8 {
		t.Fatalf("the spool has %d bytes, what leaves %d and the layout %d", len(whole), leaves, layout)
	}
}
