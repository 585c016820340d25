package outbox

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func fixedClock() func() time.Time {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return func() time.Time { return now }
}

func open(t *testing.T, path string, now func() time.Time) *Outbox {
	t.Helper()
	o, err := Open(path, now)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestALineIsOnDiskBeforeAnythingIsSent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.jsonl")
	o := open(t, path, fixedClock())
	defer o.Close()
	id, err := o.Begin(Entry{Kind: Contribution, Call: "UploadChunks", Study: "s", Step: "glm/gram", Round: "r", Fields: []Field{{"gram", 10}}, Bytes: 13568, Digest: "d"})
	if err != nil {
		t.Fatal(err)
	}
	// The request has not ended; another reader already sees it.
	entries, err := Read(path)
	if err != nil || len(entries) != 1 {
		t.Fatalf("entries %v, %v; want one", entries, err)
	}
	if e := entries[0]; e.ID != id || e.Bytes != 13568 || e.Outcome != "" || e.Fields[0] != (Field{"gram", 10}) {
		t.Fatalf("entry %+v", e)
	}
	if err := o.End(id, "acknowledged"); err != nil {
		t.Fatal(err)
	}
	if entries, _ = Read(path); entries[0].Outcome != "acknowledged" || entries[0].Ended.IsZero() || len(entries) != 1 {
		t.Fatalf("entry %+v", entries)
	}
}

func TestPollsAreCountedByTheHour(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.jsonl")
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	o := open(t, path, func() time.Time { return now })
	if err := o.Polled("Poll", 10); err != nil {
		t.Fatal(err)
	}
	if entries, _ := Read(path); len(entries) != 1 {
		t.Fatalf("the first poll of an hour has %d lines before it leaves, want 1", len(entries))
	}
	for range 149 {
		o.Polled("Poll", 10)
	}
	now = now.Add(time.Hour)
	o.Polled("Poll", 7)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := Read(path)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v; want one for each hour", len(entries), err)
	}
	if entries[0].Count != 150 || entries[0].Bytes != 1500 || entries[1].Count != 1 || entries[1].Bytes != 7 {
		t.Fatalf("counts %+v", entries)
	}
}

func TestATornLastLineIsCutAndDamageElsewhereRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.jsonl")
	o := open(t, path, fixedClock())
	o.Begin(Entry{Kind: Header})
	o.Begin(Entry{Kind: Commit})
	o.Close()
	whole, _ := os.ReadFile(path)

	os.WriteFile(path, append(bytes.Clone(whole), `{"id":"ab`...), 0o600)
	o = open(t, path, fixedClock())
	if _, err := o.Begin(Entry{Kind: Decline}); err != nil {
		t.Fatal(err)
	}
	o.Close()
	if entries, err := Read(path); err != nil || len(entries) != 3 || entries[2].Kind != Decline {
		t.Fatalf("after a torn line: %v, %v", entries, err)
	}

	damaged := bytes.Clone(whole)
	damaged[3] ^= 0x20
	damaged[0] = '#'
	os.WriteFile(path, damaged, 0o600)
	if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Fatalf("damage in the middle: %v, want it refused with its line", err)
	}
}

func TestWhatCannotBeRecordedIsNotSent(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "outbox.jsonl"), fixedClock())
	o.file.Close() // as a disk that fails
	if _, err := o.Begin(Entry{Kind: Header}); err == nil || !strings.Contains(err.Error(), "nothing is sent") {
		t.Fatalf("begin on a failing disk: %v", err)
	}
	if err := o.Polled("Poll", 1); err == nil {
		t.Fatal("a poll was allowed although it cannot be recorded")
	}
}

func TestTwoProcessesMayAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.jsonl")
	a, b := open(t, path, fixedClock()), open(t, path, fixedClock())
	done := make(chan bool)
	for _, o := range []*Outbox{a, b} {
		go func() {
			for range 50 {
				id, err := o.Begin(Entry{Kind: Ledger})
				if err == nil {
					err = o.End(id, "acknowledged")
				}
				if err != nil {
					t.Error(err)
				}
			}
			done <- true
		}()
	}
	<-done
	<-done
	entries, err := Read(path)
	if err != nil || len(entries) != 100 {
		t.Fatalf("%d entries, %v; want 100", len(entries), err)
	}
	for _, e := range entries {
		if e.Outcome != "acknowledged" {
			t.Fatalf("entry without its end: %+v", e)
		}
	}
}
