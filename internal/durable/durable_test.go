package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFileReplacesAtomicallyAndKeepsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"first", "second, longer"} {
		if err := WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v; want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	files, _ := os.ReadDir(filepath.Dir(path))
	if len(files) != 1 {
		t.Fatalf("%d files remain, want the one", len(files))
	}
}

func TestWriteThatFailsLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no more rows")
	err := Write(path, 0o600, func(w io.Writer) error {
		io.WriteString(w, "ne")
		return failure
	})
	if err != failure {
		t.Fatalf("error is %v, want the writer's own", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Fatalf("read %q, %v; want the old content", got, err)
	}
	files, _ := os.ReadDir(filepath.Dir(path))
	if len(files) != 1 {
		t.Fatalf("%d files remain, want the one", len(files))
	}
}

func TestLockKeepsASecondHolderOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("second lock: %v, want ErrLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Acquire(path)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	second.Close()
}

func TestALockIsTakenAndGivenBackManyTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	l, err := OpenLock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		if err := l.Take(); err != nil {
			t.Fatal(err)
		}
		if _, err := Acquire(path); !errors.Is(err, ErrLocked) {
			t.Fatalf("while it is taken: %v, want ErrLocked", err)
		}
		if err := l.Give(); err != nil {
			t.Fatal(err)
		}
		other, err := Acquire(path)
		if err != nil {
			t.Fatalf("after it was given back: %v", err)
		}
		other.Close()
	}
}

// Whoever takes a lock that was removed while another waited has the file that is
// there now: two processes never both hold the lock at one path.
func TestALockThatWasRemovedIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for range 200 {
		first, err := Acquire(path)
		if err != nil {
			t.Fatal(err)
		}
		taken := make(chan *Lock)
		go func() {
			for {
				if l, err := Acquire(path); err == nil {
					taken <- l
					return
				}
			}
		}()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := <-taken
		if third, err := Acquire(path); !errors.Is(err, ErrLocked) {
			t.Fatalf("a third has %v, %v beside the second", third, err)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
