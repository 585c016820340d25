// Package durable writes files that survive a power cut: a file is either the
// old one or the new one, never a part of either, and it is on the disk when
// the call returns. It also holds the lock that keeps a second process away
// from a state directory.
//
// The new content is written to a temporary file beside the old one, synced,
// given the old one's name, and then the folder is synced. What a killed process
// leaves behind is a file whose name begins with Unfinished; whoever owns the
// folder may remove it.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Unfinished begins the names of files that are being written.
const Unfinished = ".unfinished-"

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("another process uses this directory")

// private is the mode that os.CreateTemp gives.
const private = 0o600

// WriteFile replaces the file at path by data.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	return Write(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Write replaces the file at path by what fill writes. If fill fails, the old
// file stays, and the error is fill's own.
func Write(path string, mode os.FileMode, fill func(io.Writer) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), Unfinished+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	renamed := false
	defer func() {
		if !renamed {
			os.Remove(temp.Name())
		}
	}()
	if mode != private {
		err = temp.Chmod(mode)
	}
	if err == nil {
		err = fill(temp)
	}
	if err == nil {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	renamed = true
	return SyncDir(filepath.Dir(path))
}

// A Lock keeps other processes out until it is given back, or closed, or its
// process ends, however it ends.
type Lock struct{ file *os.File }

// Acquire takes the lock file at path without waiting. It returns ErrLocked
// when another process has it. A file that its last holder has removed meanwhile
// is no lock, and is made anew.
func Acquire(path string) (*Lock, error) {
	for {
		l, err := acquire(path)
		if err != nil {
			return nil, err
		}
		there, err := os.Stat(path)
		mine, failed := l.file.Stat()
		if err == nil && failed == nil && os.SameFile(there, mine) {
			return l, nil
		}
		l.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if failed != nil {
			return nil, failed
		}
	}
}

func acquire(path string) (*Lock, error) {
	l, err := OpenLock(path)
	if err != nil {
		return nil, err
	}
	if err := lockFile(l.file, false); err != nil {
		l.Close()
		if errors.Is(err, ErrLocked) {
			return nil, err
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return l, nil
}

// OpenLock opens the lock file at path without taking it, to take it and give it
// back many times.
func OpenLock(path string) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &Lock{file}, nil
}

// Take takes a lock that this process does not have, waiting for whoever has it.
func (l *Lock) Take() error {
	if err := lockFile(l.file, true); err != nil {
		return fmt.Errorf("lock %s: %w", l.file.Name(), err)
	}
	return nil
}

// Give gives the lock back until it is taken again.
func (l *Lock) Give() error { return unlockFile(l.file) }

// Close gives the lock back for good.
func (l *Lock) Close() error { return l.file.Close() }
