// Package blobs keeps bulk by content: a blob's name is its SHA-256 digest, so
// that writing twice is harmless and a damaged blob is noticed when it is read.
//
// The default is plain files. A blob is written to a temporary file, synced,
// renamed to its name, and the folder is synced, so that a blob that exists is
// whole, whatever happens in between.
package blobs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// Store keeps blobs. It is safe for concurrent use.
type Store interface {
	// Put stores a blob durably and returns its name.
	Put(data []byte) (statement.Digest, error)
	// Get returns a blob, and ErrDamaged if it no longer has its digest.
	Get(name statement.Digest) ([]byte, error)
	// Has reports whether a blob is stored.
	Has(name statement.Digest) (bool, error)
}

// Errors of Get.
var (
	ErrMissing = errors.New("no such blob")
	ErrDamaged = errors.New("a stored blob no longer has its digest")
)

// Files is a Store in a folder, fanned out over 256 sub-folders.
type Files struct{ dir string }

var _ Store = (*Files)(nil)

// OpenFiles opens a folder of blobs, creates it if there is none, and removes
// what an interrupted Put left behind.
func OpenFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot open the blob folder: %w", err)
	}
	for i := range 256 {
		sub := filepath.Join(dir, fmt.Sprintf("%02x", i))
		if err := os.Mkdir(sub, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("cannot open the blob folder: %w", err)
		}
		entries, err := os.ReadDir(sub)
		if err != nil {
			return nil, fmt.Errorf("cannot open the blob folder: %w", err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), durable.Unfinished) {
				if err := os.Remove(filepath.Join(sub, e.Name())); err != nil {
					return nil, fmt.Errorf("cannot tidy the blob folder: %w", err)
				}
			}
		}
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, err
	}
	return &Files{dir}, nil
}

func (f *Files) path(name statement.Digest) string {
	hex := name.String()
	return filepath.Join(f.dir, hex[:2], hex)
}

// Put implements Store.
func (f *Files) Put(data []byte) (statement.Digest, error) {
	name := statement.DigestOf(data)
	if has, err := f.Has(name); has || err != nil {
		return name, err
	}
	if err := durable.WriteFile(f.path(name), data, 0o600); err != nil {
		return name, fmt.Errorf("cannot store a blob: %w", err)
	}
	return name, nil
}

// Get implements Store.
func (f *Files) Get(name statement.Digest) ([]byte, error) {
	data, err := os.ReadFile(f.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s", ErrMissing, name)
	case err != nil:
		return nil, fmt.Errorf("cannot read a blob: %w", err)
	case statement.DigestOf(data) != name:
		return nil, fmt.Errorf("%w: %s", ErrDamaged, name)
	}
	return data, nil
}

// Has implements Store.
func (f *Files) Has(name statement.Digest) (bool, error) {
	_, err := os.Stat(f.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("cannot look for a blob: %w", err)
	}
	return true, nil
}
