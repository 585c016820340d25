package blobs

import (
	"os"
	"testing"
)

// A disk that once did not take what was written is never believed again: the
// system may count as written what it has lost.
func TestNoSyncSucceedsAfterOneThatFailed(t *testing.T) {
	f, err := OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	name := New([]byte("round")).Name()
	s := f.In(name)
	if err := s.Put(New([]byte("durable"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Stage(New([]byte("lost"))); err != nil {
		t.Fatal(err)
	}
	p, done := f.pack(name)
	defer done()
	working := p.file
	p.file.Close()
	if s.Sync() == nil {
		t.Error("a sync of a broken file succeeds")
	}
	p.mu.Lock()
	p.file, err = os.OpenFile(working.Name(), os.O_RDWR, 0)
	p.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if s.Sync() == nil || s.Put(New([]byte("more"))) == nil {
		t.Error("a sync succeeds after one that failed")
	}
	again, err := OpenFiles(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.In(name).Put(New([]byte("more"))); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}
