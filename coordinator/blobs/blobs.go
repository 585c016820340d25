// Package blobs keeps bulk by content: a blob's name is its SHA-256 digest, so
// that writing twice is harmless and a damaged blob is noticed when it is read.
//
// The default is plain files in one folder. What stands for itself is a file of
// its own, which is written to a temporary file, synced, and renamed to its name,
// so that a blob that exists is whole, whatever happens in between. What belongs
// together, such as all that comes for one round, is a pack: one file to which
// blobs are appended. A round of twenty sites brings five hundred blobs, and most
// of what a small file costs is its name.
package blobs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// A Blob is bytes and their name, which is computed once. The bytes must not
// change any more.
type Blob struct {
	name statement.Digest
	data []byte
}

// New names bytes.
func New(data []byte) Blob { return Blob{statement.DigestOf(data), data} }

// Name is the digest of the bytes.
func (b Blob) Name() statement.Digest { return b.name }

// Len is how many bytes there are.
func (b Blob) Len() int { return len(b.data) }

// Store keeps blobs. It is safe for concurrent use.
type Store interface {
	// Put stores blobs durably. After an error some of them may be stored.
	Put(all ...Blob) error
	// Stage stores a blob that a power cut may take away again, as a whole,
	// until Sync returns or a Put that began later does.
	Stage(b Blob) error
	// Sync makes every blob durable that was staged before.
	Sync() error
	// Write stores, as Stage does, what from writes, without holding it in memory,
	// and returns its name.
	Write(from io.WriterTo) (statement.Digest, error)
	// Get returns a blob, and ErrDamaged if it no longer has its digest.
	Get(name statement.Digest) ([]byte, error)
	// Open reads a blob that need not fit into memory. Where it no longer has
	// its digest, ErrDamaged comes in place of io.EOF: nothing that was read is
	// to be believed before the end.
	Open(name statement.Digest) (io.ReadCloser, error)
	// Section reads a part of a blob, unchecked: the caller must know the part by
	// another digest. One that reaches beyond the blob's end is ErrDamaged. It is
	// read into memory that the caller has, where that is enough; what comes back
	// may lie elsewhere, and is not to be changed.
	Section(into []byte, name statement.Digest, offset int64, length int) ([]byte, error)
	// Has reports whether a blob is stored, whole.
	Has(name statement.Digest) (bool, error)
	// In is the store of the blobs of one pack, which is there once something is
	// stored in it; with a digest of zero, of those that are in none. Each store
	// knows its own blobs alone.
	In(pack statement.Digest) Store
}

// Errors of Get, Open and Section.
var (
	ErrMissing = errors.New("no such blob")
	ErrDamaged = errors.New("a stored blob no longer has its digest")
)

// Files is a Store in a folder.
type Files struct {
	dir      string
	volatile bool // nothing is synced
	packs    *packs
}

var _ Store = (*Files)(nil)

// OpenFiles opens a folder of blobs, creates it if there is none, and removes
// what an interrupted write left behind.
func OpenFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot open the blob folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the blob folder: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), durable.Unfinished) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("cannot tidy the blob folder: %w", err)
			}
		}
	}
	return &Files{dir: dir, packs: &packs{open: map[statement.Digest]*pack{}}}, durable.SyncDir(dir)
}

// OpenVolatile opens a folder that will be thrown away: nothing waits for the
// disk, and a power cut may leave anything. It is for simulations.
func OpenVolatile(dir string) (*Files, error) {
	f, err := OpenFiles(dir)
	if err == nil {
		f.volatile = true
	}
	return f, err
}

func (f *Files) path(name statement.Digest) string { return filepath.Join(f.dir, name.String()) }

// Put implements Store. The files are synced side by side, which a file system
// with a journal answers with fewer writes than one after another.
func (f *Files) Put(all ...Blob) error {
	failed := make([]error, len(all))
	var group sync.WaitGroup
	for i, b := range all[min(1, len(all)):] {
		group.Go(func() { failed[i+1] = f.Stage(b) })
	}
	if len(all) > 0 {
		failed[0] = f.Stage(all[0])
	}
	group.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return f.Sync()
}

// Stage implements Store.
func (f *Files) Stage(b Blob) error {
	if has, err := f.Has(b.name); has || err != nil {
		return err
	}
	return f.write(func(w io.Writer) (statement.Digest, error) {
		_, err := w.Write(b.data)
		return b.name, err
	})
}

// Sync implements Store. It syncs the folder even where nothing seems to be
// new: a blob that was there already may be another writer's, staged just now.
func (f *Files) Sync() error {
	if f.volatile {
		return nil
	}
	if err := durable.SyncDir(f.dir); err != nil {
		return fmt.Errorf("cannot store blobs: %w", err)
	}
	return nil
}

// Write implements Store.
func (f *Files) Write(from io.WriterTo) (name statement.Digest, err error) {
	err = f.write(func(w io.Writer) (statement.Digest, error) {
		h := sha256.New()
		buffered := bufio.NewWriterSize(io.MultiWriter(h, w), 1<<16)
		_, err := from.WriteTo(buffered)
		err = errors.Join(err, buffered.Flush())
		name = statement.Digest(h.Sum(nil))
		return name, err
	})
	return name, err
}

// write makes a file of what fill writes, synced, under the name it returns.
func (f *Files) write(fill func(io.Writer) (statement.Digest, error)) error {
	temp, err := os.CreateTemp(f.dir, durable.Unfinished+"*") // for its owner alone
	if err != nil {
		return fmt.Errorf("cannot store a blob: %w", err)
	}
	renamed := false
	defer func() {
		if !renamed {
			os.Remove(temp.Name())
		}
	}()
	name, err := fill(temp)
	if err == nil && !f.volatile {
		err = temp.Sync()
	}
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temp.Name(), f.path(name))
		renamed = err == nil
	}
	if err != nil {
		return fmt.Errorf("cannot store a blob: %w", err)
	}
	return nil
}

// Get implements Store.
func (f *Files) Get(name statement.Digest) ([]byte, error) {
	data, err := os.ReadFile(f.path(name))
	switch {
	case err != nil:
		return nil, unread(name, err)
	case statement.DigestOf(data) != name:
		return nil, fmt.Errorf("%w: %s", ErrDamaged, name)
	}
	return data, nil
}

// Open implements Store.
func (f *Files) Open(name statement.Digest) (io.ReadCloser, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, unread(name, err)
	}
	return &checked{from: file, close: file.Close, hash: sha256.New(), name: name}, nil
}

// Section implements Store.
func (f *Files) Section(into []byte, name statement.Digest, offset int64, length int) ([]byte, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, unread(name, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, unread(name, err)
	}
	return read(into, io.NewSectionReader(file, 0, info.Size()), name, offset, length)
}

func unread(name statement.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrMissing, name)
	}
	return fmt.Errorf("cannot read a blob: %w", err)
}

// checked ends well only if what was read has its digest.
type checked struct {
	from  io.Reader
	close func() error
	hash  hash.Hash
	name  statement.Digest
}

func (c *checked) Close() error { return c.close() }

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.hash.Write(p[:n])
	if err == io.EOF && !bytes.Equal(c.hash.Sum(nil), c.name[:]) {
		err = fmt.Errorf("%w: %s", ErrDamaged, c.name)
	}
	return n, err
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
