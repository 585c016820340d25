package blobs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/statement"
)

func TestWhatWasStoredLatelyIsReadFromMemory(t *testing.T) {
	dir := t.TempDir()
	s := blobs.Recent(open(t, dir), 1000)
	stored, staged := put(t, s, []byte("stored")), blobs.New([]byte("staged"))
	if err := s.Stage(staged); err != nil {
		t.Fatal(err)
	}
	// A store that started again reads from the disk, once.
	again := blobs.Recent(open(t, dir), 1000)
	if _, err := again.Get(stored); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, stored.String())); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]blobs.Store{"stored": s, "read": again} {
		if got, err := s.Get(stored); err != nil || string(got) != "stored" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if got, err := s.Section(nil, stored, 2, 3); err != nil || string(got) != "ore" {
			t.Errorf("%s: section %q, %v", name, got, err)
		}
		for _, beyond := range [][2]int{{-1, 1}, {0, 7}, {7, 0}, {3, -1}} {
			if _, err := s.Section(nil, stored, int64(beyond[0]), beyond[1]); !errors.Is(err, blobs.ErrDamaged) {
				t.Errorf("%s: section %v: %v", name, beyond, err)
			}
		}
	}
	if got, err := s.Section(nil, staged.Name(), 0, 6); err != nil || string(got) != "staged" {
		t.Errorf("staged: %q, %v", got, err)
	}
}

func TestAppendingToASectionChangesNothing(t *testing.T) {
	s := blobs.Recent(open(t, t.TempDir()), 1000)
	name := put(t, s, []byte("abcdef"))
	part, err := s.Section(nil, name, 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(part, 'x')
	if got, _ := s.Get(name); string(got) != "abcdef" {
		t.Errorf("the blob is %q now", got)
	}
}

func TestLargeBlobsStayOnTheDiskAlone(t *testing.T) {
	dir := t.TempDir()
	s := blobs.Recent(open(t, dir), 1000)
	large := bytes.Repeat([]byte("x"), 251)
	name := put(t, s, large)
	if got, err := s.Get(name); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := os.Remove(filepath.Join(dir, name.String())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(name); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("a large blob is in memory: %v", err)
	}
}

// full cannot store any more.
type full struct{ blobs.Store }

func (full) Put(...blobs.Blob) error { return errors.New("the disk is full") }
func (full) Stage(blobs.Blob) error  { return errors.New("the disk is full") }

// What is in memory alone must not count as stored.
func TestWhatCouldNotBeStoredIsNotThere(t *testing.T) {
	s := blobs.Recent(full{open(t, t.TempDir())}, 1000)
	b := blobs.New([]byte("b"))
	if s.Put(b) == nil || s.Stage(b) == nil {
		t.Fatal("stored on a disk that is full")
	}
	if has, err := s.Has(b.Name()); has || err != nil {
		t.Errorf("has it: %v, %v", has, err)
	}
	if _, err := s.Get(statement.DigestOf([]byte("b"))); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("reads it: %v", err)
	}
}
