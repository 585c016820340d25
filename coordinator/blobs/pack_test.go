package blobs

import (
	"bytes"
	"os"
	"testing"
)

// What is written waits for no disk of its own: whatever is stored after it takes
// it along.
func TestAPutMakesDurableWhatWasWrittenAndStagedBefore(t *testing.T) {
	f, err := OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	name := New([]byte("round")).Name()
	s := f.In(name)
	p, done := f.pack(name)
	defer done()
	if _, err := s.Write(bytes.NewBufferString("a sum")); err != nil {
		t.Fatal(err)
	}
	if err := s.Stage(New([]byte("a chunk"))); err != nil {
		t.Fatal(err)
	}
	if p.durable != 0 {
		t.Errorf("%d bytes are durable before anybody waits", p.durable)
	}
	if err := s.Put(New([]byte("the end"))); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(p.path)
	if err != nil || p.durable != info.Size() || !p.named {
		t.Errorf("%d of %d bytes are durable, its name: %v, %v", p.durable, info.Size(), p.named, err)
	}
}

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
