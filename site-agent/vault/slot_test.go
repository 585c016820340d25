package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// files is how many files are in the spool, whatever they hold.
func files(t *testing.T, dir string) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(dir, spoolDir))
	must(t, err)
	return len(files)
}

// Round after round, of any length up to a short one, goes through one file, in
// which nothing is left of the rounds before.
func TestShortContributionsTakeTurnsInOneFile(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	for i := range 20 {
		round := statement.Digest{byte(i + 1)}
		own := [][]byte{bytes.Repeat([]byte{byte(i + 100)}, (i*7%20+1)*10_000)}
		c, err := v.Seal(round, writeOf(round, own))
		must(t, err)
		if chunk, err := c.Chunk(0); err != nil || !bytes.Equal(chunk, own[0]) {
			t.Fatalf("round %d has another chunk: %v", i, err)
		}
		again, _, err := v.Sealed(round)
		must(t, err)
		if !bytes.Equal(content(t, again), content(t, c)) {
			t.Fatalf("round %d is another one on the disk than in memory", i)
		}
		must(t, v.RememberReceipt(round, []byte("receipt")))
		must(t, v.Wipe(round))
		if n := files(t, dir); n != 1 || spooled(t, dir) != 0 {
			t.Fatalf("after round %d: %d files, of which %d hold something", i, n, spooled(t, dir))
		}
	}
	must(t, v.Close())
	if n := files(t, dir); n != 0 {
		t.Fatalf("%d files are left by a site that stopped", n)
	}
}

// Two rounds under way are never in one file, across a restart neither.
func TestRoundsUnderWayAreApart(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	want := map[statement.Digest][]byte{}
	for i := range 3 {
		round := statement.Digest{byte(i + 1)}
		c, err := v.Seal(round, writeOf(round, [][]byte{bytes.Repeat([]byte{byte(i)}, 1000)}))
		must(t, err)
		want[round] = content(t, c)
		must(t, v.Close())
		v = open(t, dir)
	}
	for round, first := range want {
		c, ok, err := v.Sealed(round)
		if err != nil || !ok || !bytes.Equal(content(t, c), first) {
			t.Fatalf("round %s: %v, %v", round, ok, err)
		}
		must(t, v.Wipe(round))
	}
}

// A round can end while its contribution is on its way out. What is being read is
// not written over by the next round; it is when it has been closed.
func TestWhatIsBeingSentIsNotWrittenOver(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	fromMemory, err := v.Seal(round1, write(round1))
	must(t, err)
	fromFile, _, err := v.Sealed(round1)
	must(t, err)
	must(t, v.RememberEnd(statement.RoundEnd{Round: round1, Question: asked, State: "abandoned"}))
	must(t, v.Wipe(round1))
	next, err := v.Seal(round2, writeOf(round2, [][]byte{bytes.Repeat([]byte{1}, 100_000), {1}}))
	must(t, err)
	for _, c := range []*Contribution{fromMemory, fromFile} {
		for i, want := range chunks {
			if got, err := c.Chunk(i); err != nil || !bytes.Equal(got, want) {
				t.Errorf("chunk %d was written over: %v", i, err)
			}
		}
	}
	must(t, fromMemory.Close())
	must(t, fromMemory.Close()) // the second time is none
	if spooled(t, dir) != 2 {
		t.Error("wiped while another reads it")
	}
	must(t, fromFile.Close())
	must(t, next.Close())
	must(t, v.Wipe(round2))
	if n := files(t, dir); n != 2 || spooled(t, dir) != 0 {
		t.Errorf("%d files, of which %d hold something", n, spooled(t, dir))
	}
}

// Killed after the receipt and before the wiping, a site wipes when it starts.
func TestWhatCountsIsWipedAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	seal(t, v, round1)
	must(t, v.RememberReceipt(round1, []byte("receipt")))
	must(t, v.Close())
	if files(t, dir) != 1 {
		t.Fatal("wiped already: the test has lost its point")
	}
	open(t, dir)
	if n := files(t, dir); n != 0 {
		t.Fatalf("%d files are left", n)
	}
}

// A file that cannot be written any more refuses the contribution, and the next
// one has another.
func TestAFileThatFailsIsLeft(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	seal(t, v, round1)
	failed := v.slots[round1].file
	must(t, v.Wipe(round1))
	must(t, failed.Close()) // as a disk that fails
	if err := trySeal(v, round2); !errors.Is(err, ErrNotKept) {
		t.Fatalf("on a failing disk: %v, want ErrNotKept", err)
	}
	if _, ok := v.Header(round2); ok {
		t.Fatal("what could not be kept counts as sealed")
	}
	seal(t, v, round2)
	if n := files(t, dir); n != 1 || spooled(t, dir) != 1 {
		t.Fatalf("%d files, of which %d hold something, want one", n, spooled(t, dir))
	}
}
