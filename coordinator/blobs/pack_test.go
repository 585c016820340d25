package blobs

import (
	"bytes"
	"errors"
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

// A pack that had to be shut for others is not read again to be opened, and goes on
// where it was; one whose file is another meanwhile is read anew.
func TestAShutPackIsStillKnown(t *testing.T) {
	f, err := OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	first, blob, staged := New([]byte("first")).Name(), New([]byte("a blob")), New([]byte("a staged blob"))
	s := f.In(first)
	if err := errors.Join(s.Put(blob), s.Stage(staged)); err != nil {
		t.Fatal(err)
	}
	others := func() {
		for i := range idlePacks + 1 {
			if err := f.In(New([]byte{byte(i), byte(i >> 8)}).Name()).Put(blob); err != nil {
				t.Fatal(err)
			}
		}
	}
	others()
	p := f.packs.open[first]
	if !p.shut || p.file != nil || f.packs.files != idlePacks {
		t.Fatalf("shut: %v, %d files are open", p.shut, f.packs.files)
	}
	before := p.end
	whole, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path, append([]byte("x"), whole[1:]...), 0o600); err != nil { // no heading that could be read
		t.Fatal(err)
	}
	if got, err := s.Get(staged.Name()); err != nil || string(got) != "a staged blob" {
		t.Errorf("a shut pack gives %q, %v", got, err)
	}
	if p != f.packs.open[first] || p.end != before {
		t.Error("the pack is another")
	}
	others()
	if err := s.Sync(); err != nil || p.durable != before {
		t.Errorf("%d of %d bytes are durable after a sync: %v", p.durable, before, err)
	}
	others()
	if err := os.WriteFile(p.path, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if has, err := s.Has(staged.Name()); has || err != nil {
		t.Errorf("a blob that was cut off meanwhile is there: %v, %v", has, err)
	}
	if err := s.Put(staged); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(staged.Name()); err != nil || string(got) != "a staged blob" {
		t.Errorf("stored again it is %q, %v", got, err)
	}
}

// However many packs there are, few are in memory.
func TestThePacksThatAreKnownAreBounded(t *testing.T) {
	f, err := OpenVolatile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	blob := New([]byte("a blob"))
	for i := range knownPacks + 10 {
		if err := f.In(New([]byte{byte(i), byte(i >> 8)}).Name()).Stage(blob); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.packs.open) != knownPacks || f.packs.files != idlePacks {
		t.Errorf("%d packs are known, %d open", len(f.packs.open), f.packs.files)
	}
}
