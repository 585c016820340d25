package federation

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

func boosted(t *testing.T, trees, features int) *study.Study {
	t.Helper()
	var protocol strings.Builder
	fmt.Fprintf(&protocol, "study: s\nversion: 1\noutcome: {column: y, type: number, range: [0, 1]}\nmodel: {kind: boost, loss: squared, trees: %d, depth: 6, bins: 64, learning_rate: 0.1, min_leaf: 20}\nfeatures:\n", trees)
	for j := range features {
		fmt.Fprintf(&protocol, "  - {column: x%d, type: number, range: [0, 1]}\n", j)
	}
	s, err := study.Parse([]byte(protocol.String()))
	ok(t, err)
	return s
}

// What members wait for is in memory where it fits there many times over, and on
// the disk as a whole otherwise.
func TestStateThatFitsIsInMemory(t *testing.T) {
	small, large := largestState(boosted(t, 1, 1), 3), largestState(boosted(t, 100, 100), 20)
	if small > 64<<20 || large < 1<<30 || large > 4<<30 {
		t.Errorf("a small study takes %d bytes, a large one %d", small, large)
	}
	if freeMemory() < 4*large {
		t.Skip("this machine has no free memory to choose")
	}
	dir, disk, err := temporary(boosted(t, 100, 100), 20)
	ok(t, err)
	defer dir.Close()
	if disk == nil {
		t.Fatal("nothing is there for rounds that do not fit")
	}
	defer disk.Close()
	if !strings.HasPrefix(dir.dir, inMemory) || strings.HasPrefix(disk.dir, inMemory) {
		t.Errorf("state in %q, rounds that do not fit in %q", dir.dir, disk.dir)
	}
	dir, disk, err = temporary(boosted(t, 100, 100), 1<<20)
	ok(t, err)
	defer dir.Close()
	if strings.HasPrefix(dir.dir, inMemory) || disk != nil {
		t.Errorf("a study among a million hospitals has its state in %q and %v", dir.dir, disk)
	}
}

// Once memory is short a new round is on the disk; one that began before stays
// where it is, and both are read.
func TestARoundThatDoesNotFitGoesToTheDisk(t *testing.T) {
	o, err := newOverflow(t.TempDir(), t.TempDir())
	ok(t, err)
	defer func() { ok(t, o.Close()) }()
	first, second := statement.DigestOf([]byte("first")), statement.DigestOf([]byte("second"))
	early, late := blobs.New([]byte("early")), blobs.New([]byte("late"))
	o.reserve = 0
	ok(t, o.In(first).Put(early))
	o.reserve = math.MaxUint64
	ok(t, o.In(first).Put(late))
	ok(t, o.In(second).Put(late))
	ok(t, o.Put(early))
	for _, c := range []struct {
		in    blobs.Store
		blob  blobs.Blob
		there bool
	}{
		{o.Files.In(first), early, true}, {o.Files.In(first), late, true}, {o.disk.In(first), late, false},
		{o.disk.In(second), late, true}, {o.Files.In(second), late, false}, {o.Files, early, true},
		{o.In(first), late, true}, {o.In(second), late, true},
	} {
		if has, err := c.in.Has(c.blob.Name()); err != nil || has != c.there {
			t.Errorf("%v has %s: %v, %v", c.in, c.blob.Name(), has, err)
		}
	}
}
