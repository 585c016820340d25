package federation

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// bundle is an evidence bundle as a file system: its files, by path, are read
// when they are asked for, so that what lies elsewhere need not be copied to be
// verified. It is safe for concurrent use once all files are added.
type bundle struct {
	files   map[string]func(into []byte) ([]byte, error)
	folders map[string][]fs.DirEntry
}

var _ fs.ReadFileFS = (*bundle)(nil)
var _ fs.ReadDirFS = (*bundle)(nil)

func newBundle() *bundle {
	return &bundle{files: make(map[string]func(into []byte) ([]byte, error)), folders: map[string][]fs.DirEntry{".": nil}}
}

// add adds a file, which must not be there yet.
func (b *bundle) add(name string, read func(into []byte) ([]byte, error)) error {
	if !fs.ValidPath(name) || b.folders[name] != nil {
		return fmt.Errorf("a bundle cannot hold a file with the name that it is given")
	}
	if b.files[name] != nil {
		return fmt.Errorf("a file of the bundle is there twice: %w", fs.ErrExist)
	}
	b.files[name] = read
	var entry fs.DirEntry = listed{name: path.Base(name)}
	for name != "." {
		folder := path.Dir(name)
		siblings, known := b.folders[folder]
		b.folders[folder] = append(siblings, entry)
		if known {
			break
		}
		name, entry = folder, listed{name: path.Base(folder), folder: true}
	}
	return nil
}

// ReadFile implements fs.ReadFileFS.
func (b *bundle) ReadFile(name string) ([]byte, error) { return b.ReadFileInto(nil, name) }

// ReadFileInto is ReadFile into memory that the caller has, where that is enough.
func (b *bundle) ReadFileInto(into []byte, name string) ([]byte, error) {
	read := b.files[name]
	if read == nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return read(into)
}

// ReadDir implements fs.ReadDirFS.
func (b *bundle) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, known := b.folders[name]
	if !known {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return slices.SortedFunc(slices.Values(entries), func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) }), nil
}

// Open implements fs.FS.
func (b *bundle) Open(name string) (fs.File, error) {
	if _, folder := b.folders[name]; folder {
		return opened{bytes.NewReader(nil), listed{name: path.Base(name), folder: true}}, nil
	}
	data, err := b.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return opened{bytes.NewReader(data), listed{name: path.Base(name), size: int64(len(data))}}, nil
}

// opened is a file of a bundle, or a folder, of which ReadDir tells more.
type opened struct {
	io.Reader
	listed
}

func (o opened) Stat() (fs.FileInfo, error) { return o.listed, nil }
func (o opened) Close() error               { return nil }

// listed is what a bundle says of a file without reading it, and of its length
// once it is opened.
type listed struct {
	name   string
	folder bool
	size   int64
}

func (l listed) Name() string               { return l.name }
func (l listed) IsDir() bool                { return l.folder }
func (l listed) Type() fs.FileMode          { return l.Mode().Type() }
func (l listed) Info() (fs.FileInfo, error) { return l, nil }
func (l listed) Size() int64                { return l.size }
func (l listed) ModTime() time.Time         { return time.Time{} }
func (l listed) Sys() any                   { return nil }

func (l listed) Mode() fs.FileMode {
	if l.folder {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
