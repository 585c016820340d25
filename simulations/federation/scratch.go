package federation

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/consilium-fl/consilium/internal/durable"
)

// The names of scratch folders, and what their lock files have behind them.
const (
	scratchPrefix = "consilium-federation-"
	lockSuffix    = ".lock"
)

// scratch is a folder for what nobody will read again. It goes when it is closed.
// A process that is killed cannot close it, so the folder has a lock file beside
// it, which the system gives back when its process ends, however it ends: a folder
// whose lock can be had is nobody's, and the next simulation removes it. The lock
// is there before the folder, so that no folder is ever without an owner.
type scratch struct {
	dir  string
	lock *durable.Lock
}

// newScratch makes a folder in base, after it has removed those there that no
// process owns any more.
func newScratch(base string) (*scratch, error) {
	if base == "" {
		base = os.TempDir()
	}
	sweep(base)
	for {
		dir := filepath.Join(base, fmt.Sprintf("%s%016x", scratchPrefix, rand.Uint64()))
		lock, err := durable.Acquire(dir + lockSuffix)
		if errors.Is(err, durable.ErrLocked) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s := &scratch{dir, lock}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	}
}

// Close removes the folder. The lock file goes last, so that what is left of an
// interrupted removal is found.
func (s *scratch) Close() error {
	if err := os.RemoveAll(s.dir); err != nil {
		return errors.Join(err, s.lock.Close())
	}
	err := s.lock.Close()
	if gone := os.Remove(s.dir + lockSuffix); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// sweep removes the scratch folders in base whose processes have ended. What it
// may not remove, because it is somebody else's, stays.
func sweep(base string) {
	locks, _ := fs.Glob(os.DirFS(base), scratchPrefix+"*"+lockSuffix)
	for _, name := range locks {
		path := filepath.Join(base, name)
		if lock, err := durable.Acquire(path); err == nil {
			_ = (&scratch{strings.TrimSuffix(path, lockSuffix), lock}).Close()
		}
	}
}
