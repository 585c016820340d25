package blobs_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/statement"
)

func open(t *testing.T, dir string) *blobs.Files {
	t.Helper()
	f, err := blobs.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestABlobComesBackByItsDigest(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	for _, data := range [][]byte{{}, []byte("a"), make([]byte, 1<<20)} {
		name, err := f.Put(data)
		if err != nil || name != statement.DigestOf(data) {
			t.Fatalf("put: %v, %v", name, err)
		}
		if again, err := f.Put(data); again != name || err != nil {
			t.Errorf("the same blob again: %v, %v", again, err)
		}
		got, err := open(t, dir).Get(name)
		if err != nil || string(got) != string(data) {
			t.Errorf("%d bytes came back as %d, %v", len(data), len(got), err)
		}
	}
	absent := statement.DigestOf([]byte("absent"))
	if has, err := f.Has(absent); has || err != nil {
		t.Errorf("an absent blob: %v, %v", has, err)
	}
	if _, err := f.Get(absent); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("an absent blob: %v", err)
	}
}

func TestADamagedBlobIsNoticed(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	name, err := f.Put([]byte("what a site sent"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name.String()[:2], name.String())
	if err := os.WriteFile(path, []byte("what a site xent"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(name); !errors.Is(err, blobs.ErrDamaged) {
		t.Errorf("a damaged blob: %v", err)
	}
}

func TestAnInterruptedPutLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	left := filepath.Join(dir, "ab", ".unfinished-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the unfinished file is still there: %v", err)
	}
}

func TestAFailedWriteIsAnErrorAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	data := []byte("nowhere to go")
	sub := filepath.Join(dir, statement.DigestOf(data).String()[:2])
	if err := os.Remove(sub); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put(data); err == nil {
		t.Fatal("a blob was stored in a folder that is gone")
	}
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put(data); err != nil {
		t.Errorf("after the folder is back: %v", err)
	}
}

func TestManyWritersOfOneBlob(t *testing.T) {
	f := open(t, t.TempDir())
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := f.Put([]byte("the same")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := f.Get(statement.DigestOf([]byte("the same"))); err != nil {
		t.Error(err)
	}
}
