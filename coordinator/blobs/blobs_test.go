package blobs_test

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
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

func put(t *testing.T, s blobs.Store, data []byte) statement.Digest {
	t.Helper()
	b := blobs.New(data)
	if err := s.Put(b); err != nil {
		t.Fatal(err)
	}
	return b.Name()
}

// folder lists the files of a folder of blobs.
func folder(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func read(s blobs.Store, name statement.Digest) ([]byte, error) {
	r, err := s.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// written is what a blob that is written from its source is made of.
type written []byte

func (w written) WriteTo(to io.Writer) (n int64, err error) {
	for part := range slices.Chunk(w, 1000) {
		m, err := to.Write(part)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func TestABlobComesBackByItsDigest(t *testing.T) {
	ways := map[string]func(f *blobs.Files, data []byte) error{
		"put":   func(f *blobs.Files, data []byte) error { return f.Put(blobs.New(data)) },
		"stage": func(f *blobs.Files, data []byte) error { return errors.Join(f.Stage(blobs.New(data)), f.Sync()) },
		"write": func(f *blobs.Files, data []byte) error {
			name, err := f.Write(written(data))
			if name != statement.DigestOf(data) {
				t.Errorf("%d bytes are written under another name", len(data))
			}
			return errors.Join(err, f.Sync())
		},
	}
	for way, store := range ways {
		dir := t.TempDir()
		f := open(t, dir)
		for _, data := range [][]byte{{}, []byte("a"), make([]byte, 1<<20)} {
			for range 2 {
				if err := store(f, data); err != nil {
					t.Fatalf("%s: %v", way, err)
				}
			}
			again, name := open(t, dir), statement.DigestOf(data)
			got, err := again.Get(name)
			streamed, streamErr := read(again, name)
			if err != nil || streamErr != nil || string(got) != string(data) || string(streamed) != string(data) {
				t.Errorf("%s: %d bytes came back as %d and %d, %v, %v", way, len(data), len(got), len(streamed), err, streamErr)
			}
		}
		if got := folder(t, dir); len(got) != 3 {
			t.Errorf("%s: %d files for three blobs", way, len(got))
		}
	}
	f := open(t, t.TempDir())
	absent := statement.DigestOf([]byte("absent"))
	if has, err := f.Has(absent); has || err != nil {
		t.Errorf("an absent blob: %v, %v", has, err)
	}
	if _, err := f.Get(absent); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("an absent blob: %v", err)
	}
	if _, err := f.Open(absent); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("an absent blob: %v", err)
	}
}

func TestSeveralBlobsAtOnce(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	all := []blobs.Blob{blobs.New([]byte("a")), blobs.New([]byte("b")), blobs.New([]byte("a")), blobs.New(nil)}
	if err := errors.Join(f.Put(all...), f.Put(all...), f.Put()); err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if has, err := f.Has(b.Name()); !has || err != nil {
			t.Errorf("a blob of several is not there: %v", err)
		}
	}
	if got := folder(t, dir); len(got) != 3 {
		t.Errorf("%d files for three blobs", len(got))
	}
}

// However it is read and wherever it is damaged: no end that looks like one.
func TestADamagedBlobIsNoticed(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	name := put(t, f, []byte("what a site sent"))
	for _, damaged := range []string{"what a site xent", "what a site sen", "what a site sent.", ""} {
		if err := os.WriteFile(filepath.Join(dir, name.String()), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Get(name); !errors.Is(err, blobs.ErrDamaged) {
			t.Errorf("a blob damaged to %q: %v", damaged, err)
		}
		if _, err := read(f, name); !errors.Is(err, blobs.ErrDamaged) {
			t.Errorf("a blob damaged to %q, as a stream: %v", damaged, err)
		}
	}
}

func TestASectionEndsWithItsBlob(t *testing.T) {
	f := open(t, t.TempDir())
	name := put(t, f, []byte("0123456789"))
	for _, c := range []struct {
		offset int64
		length int
		want   string
	}{{0, 10, "0123456789"}, {3, 4, "3456"}, {10, 0, ""}, {9, 1, "9"}} {
		if got, err := f.Section(nil, name, c.offset, c.length); err != nil || string(got) != c.want {
			t.Errorf("%d bytes at %d: %q, %v", c.length, c.offset, got, err)
		}
	}
	for _, c := range []struct {
		offset int64
		length int
	}{{0, 11}, {10, 1}, {11, 0}, {-1, 2}, {1, -1}, {1, math.MaxInt}, {math.MaxInt64, math.MaxInt}} {
		if _, err := f.Section(nil, name, c.offset, c.length); !errors.Is(err, blobs.ErrDamaged) {
			t.Errorf("%d bytes at %d of ten: %v", c.length, c.offset, err)
		}
	}
	if _, err := f.Section(nil, statement.DigestOf(nil), 0, 0); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("of an absent blob: %v", err)
	}
}

func TestAnInterruptedPutLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	left := filepath.Join(dir, ".unfinished-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the unfinished file is still there: %v", err)
	}
}

type broken struct{}

var errBroken = errors.New("no more of it")

func (broken) WriteTo(w io.Writer) (int64, error) {
	n, _ := io.WriteString(w, "half")
	return int64(n), errBroken
}

func TestAFailedWriteIsAnErrorAndLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	f := open(t, dir)
	if _, err := f.Write(broken{}); !errors.Is(err, errBroken) {
		t.Errorf("from a source that fails: %v", err)
	}
	if got := folder(t, dir); len(got) != 0 {
		t.Errorf("a failed write leaves %v", got)
	}
	data := blobs.New([]byte("nowhere to go"))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"put":   func() error { return f.Put(blobs.New(nil), data) },
		"stage": func() error { return f.Stage(data) },
		"sync":  f.Sync,
		"write": func() error { _, err := f.Write(written("nowhere")); return err },
	} {
		if try() == nil {
			t.Errorf("%s: stored in a folder that is gone", name)
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Put(data); err != nil {
		t.Errorf("after the folder is back: %v", err)
	}
}

func TestManyWritersOfOneBlob(t *testing.T) {
	f := open(t, t.TempDir())
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if err := f.Put(blobs.New([]byte("the same"))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := f.Get(statement.DigestOf([]byte("the same"))); err != nil {
		t.Error(err)
	}
}
