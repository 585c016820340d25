package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// lengths are the chunks of a short and of a long contribution.
var lengths = map[string][][]byte{"short": chunks, "long": long}

// spooled is how many files in the spool hold anything.
func spooled(t *testing.T, dir string) (n int) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, spoolDir))
	must(t, err)
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, spoolDir, f.Name()))
		must(t, err)
		if len(bytes.Trim(data, "\x00")) > 0 {
			n++
		}
	}
	return n
}

// inSpool is the file that a round's contribution is in, its head, and the rest.
func inSpool(t *testing.T, v *Vault, round statement.Digest) (path string, head, content []byte) {
	t.Helper()
	path, from := v.spoolPath(round), 0
	if s := v.slots[round]; s != nil {
		path, from = s.file.Name(), int(slotHead)
	}
	whole, err := os.ReadFile(path)
	must(t, err)
	return path, whole[:from], whole[from:]
}

// Killed anywhere between sealing and the receipt, a site sends the bytes that
// it sealed first.
func TestAContributionSurvivesAKill(t *testing.T) {
	for name, chunks := range lengths {
		dir := t.TempDir()
		v := open(t, dir)
		c, err := v.Seal(round1, writeOf(round1, chunks))
		must(t, err)
		first := content(t, c)
		for range 2 {
			must(t, v.Close())
			v = open(t, dir)
			got, ok, err := v.Sealed(round1)
			if err != nil || !ok {
				t.Fatal(name, ok, err)
			}
			if !bytes.Equal(content(t, got), first) {
				t.Fatalf("%s: the contribution changed", name)
			}
		}
		if err := trySeal(v, round1); !errors.Is(err, ErrOnce) {
			t.Fatalf("%s: a second sealing: %v", name, err)
		}
		must(t, v.Wipe(round1))
		must(t, v.Wipe(round1))
		if n := spooled(t, dir); n != 0 {
			t.Fatalf("%s: %d files hold something after wiping", name, n)
		}
		for range 2 {
			if _, _, err := v.Sealed(round1); !errors.Is(err, ErrLost) {
				t.Fatalf("%s: after wiping: %v", name, err)
			}
			must(t, v.Close())
			v = open(t, dir)
		}
	}
}

// Killed after the spool was written and before the fact was: nothing has left,
// so the contribution is sealed anew and the leftover removed.
func TestAnUnrecordedSpoolIsRemoved(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	must(t, os.WriteFile(v.spoolPath(round1), []byte("whole, and not recorded"), 0o600))
	unrecorded := append(append(round1[:], 0, 0, 0, 0, 0, 0, 0, 5), "whole"...)
	for i := range unrecorded { // and cut short anywhere
		must(t, os.WriteFile(filepath.Join(dir, spoolDir, fmt.Sprint(slotPrefix, i)), unrecorded[:i+1], 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, spoolDir, durable.Unfinished+"x"), []byte("half"), 0o600))
	must(t, v.Close())
	v = open(t, dir)
	if _, ok, err := v.Sealed(round1); ok || err != nil {
		t.Fatal("an unrecorded contribution is used", err)
	}
	if files, err := os.ReadDir(filepath.Join(dir, spoolDir)); err != nil || len(files) != 0 {
		t.Fatalf("%d files remain in the spool, %v", len(files), err)
	}
	seal(t, v, round1)
}

// A sealing that breaks off, at any part, leaves nothing and may be done anew.
func TestASealingThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	broken := errors.New("a value is out of its bound")
	for parts := range 5 {
		_, err := v.Seal(round1, func(s *Sealing) ([]byte, error) {
			for i := range parts {
				must(t, s.Chunk(long[i]))
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
	for name, chunks := range lengths {
		v := open(t, t.TempDir())
		c, err := v.Seal(round1, writeOf(round1, chunks))
		must(t, err)
		must(t, c.Close())
		path, head, whole := inSpool(t, v, round1)
		layout := len(whole) - 8 - int(binary.BigEndian.Uint64(whole[len(whole)-8:]))
		first := fmt.Sprintf(`"chunks":[%d,`, len(chunks[0]))
		begins := func(with string) []byte { return bytes.Replace(whole, []byte(first), []byte(`"chunks":[`+with+`,`), 1) }
		longer := bytes.Clone(head)
		shorter := bytes.Clone(head)
		if len(head) > 0 {
			longer[len(head)-1]++
			shorter[len(head)-1]--
		} else {
			longer, shorter = []byte{0}, whole[:1]
		}
		for damage, damaged := range map[string][]byte{
			"a flipped bit in a chunk":       slices.Concat(head, flip(whole, 500)),
			"a flipped bit in a share":       slices.Concat(head, flip(whole, len(slices.Concat(chunks...))+1)),
			"a flipped bit in the header":    slices.Concat(head, flip(whole, layout-20)),
			"a flipped bit in the layout":    slices.Concat(head, flip(whole, layout+2)),
			"a longer chunk":                 slices.Concat(head, begins(fmt.Sprint(len(chunks[0])+1))),
			"a chunk longer than the file":   slices.Concat(head, begins("9999999")),
			"a negative length":              slices.Concat(head, begins("-1")),
			"a chunk less":                   slices.Concat(head, bytes.Replace(whole, []byte(first), []byte(`"chunks":[    `), 1)),
			"a layout longer than the file":  slices.Concat(head, whole[:len(whole)-8], []byte{0xff, 0, 0, 0, 0, 0, 0, 1}),
			"a layout shorter than it is":    slices.Concat(head, whole[:len(whole)-1], []byte{whole[len(whole)-1] - 1}),
			"a head that says more":          slices.Concat(longer, whole),
			"a head that says less":          slices.Concat(shorter, whole),
			"cut short":                      slices.Concat(head, whole[:len(whole)-1]),
			"cut in front":                   slices.Concat(head, whole[1:]),
			"longer":                         slices.Concat(head, []byte{0}, whole),
			"no longer than the last length": slices.Concat(head, whole[len(whole)-8:]),
			"shorter than the last length":   slices.Concat(head, whole[:7]),
			"empty":                          nil,
		} {
			if bytes.Equal(damaged, slices.Concat(head, whole)) {
				t.Fatalf("%s, %s: nothing is damaged", name, damage)
			}
			must(t, os.WriteFile(path, damaged, 0o600))
			if _, _, err := v.Sealed(round1); !errors.Is(err, ErrLost) {
				t.Errorf("%s, %s: %v, want ErrLost", name, damage, err)
			}
		}
		must(t, os.WriteFile(path, slices.Concat(head, whole), 0o600))
		c, _, err = v.Sealed(round1)
		must(t, err)
		must(t, c.Close())
	}
}

func TestTheSpoolHoldsNoMoreThanWhatLeaves(t *testing.T) {
	for name, chunks := range lengths {
		v := open(t, t.TempDir())
		c, err := v.Seal(round1, writeOf(round1, chunks))
		must(t, err)
		leaves := len(content(t, c))
		_, head, whole := inSpool(t, v, round1)
		layout := binary.BigEndian.Uint64(whole[len(whole)-8:])
		if len(whole) != leaves+int(layout)+8 || len(head) > 40 {
			t.Fatalf("%s: the spool has %d bytes behind %d, what leaves %d and the layout %d", name, len(whole), len(head), leaves, layout)
		}
	}
}
