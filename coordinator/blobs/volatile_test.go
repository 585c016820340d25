package blobs_test

import (
	"errors"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/blobs"
)

// Without syncing, everything else is as it was: only a power cut can tell.
func TestAVolatileStoreKeepsItsWordWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	s, err := blobs.OpenVolatile(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := put(t, s, []byte("blob"))
	if err := errors.Join(s.Stage(blobs.New([]byte("staged"))), s.Sync()); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if got, err := again.Get(name); err != nil || string(got) != "blob" {
		t.Errorf("%q, %v", got, err)
	}
	if got := folder(t, dir); len(got) != 2 {
		t.Errorf("files %q", got)
	}
}
