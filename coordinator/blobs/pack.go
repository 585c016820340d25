package blobs

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// A pack is one file of many blobs, one after another, each behind a heading: a
// mark, its length and its name. What is written stays where it is. The index is
// in memory and read from the headings when the pack is opened.
//
// Blobs in a pack become durable together: whoever waits for the disk while
// another does is served by the same sync as all who came meanwhile.
type pack struct {
	path     string
	volatile bool

	users int    // who have it open; guarded by packs.mu
	used  uint64 // when it was opened last
	shut  bool   // since: the file is closed, and the index is still here

	mu      sync.Mutex
	file    *os.File // nil while there is none
	read    bool     // the headings were, and the file is open if there is one
	index   map[statement.Digest]place
	end     int64
	rest    int64 // how much lies behind the end that cannot be read
	whole   bool  // every blob in the index is known to be
	durable int64 // how much of it is
	named   bool  // and its name
	syncing bool
	synced  *sync.Cond
	failed  error // of a sync: from then on none succeeds
}

// place is where a blob lies in a pack.
type place struct{ at, length int64 }

// heading is the length of what comes before a blob.
const heading = 4 + 8 + sha256.Size

var mark = [4]byte{'b', 'l', 'o', 'b'}

func newPack(path string, volatile bool) *pack {
	p := &pack{path: path, volatile: volatile}
	p.synced = sync.NewCond(&p.mu)
	p.forget()
	return p
}

// forget what is known of the file.
func (p *pack) forget() {
	p.index, p.end, p.rest = map[statement.Digest]place{}, 0, 0
	p.whole, p.durable, p.named = false, 0, false
}

func (p *pack) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	file := p.file
	p.file, p.read = nil, false
	return file.Close()
}

// load opens the file, if there is one, and reads its headings, unless they are
// known: nobody else writes to the file. The caller holds the lock.
func (p *pack) load() error {
	if p.read {
		return nil
	}
	file, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		p.forget()
		p.read, p.whole = true, true
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.readHeadings(file); err != nil {
		file.Close()
		return err
	}
	p.file, p.read = file, true
	return nil
}

// readHeadings stops where there is no heading, or one of more than there is:
// there an unfinished blob begins.
func (p *pack) readHeadings(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if p.end > 0 && p.end+p.rest == info.Size() {
		return nil
	}
	p.forget()
	var h [heading]byte
	for info.Size()-p.end >= heading {
		if _, err := file.ReadAt(h[:], p.end); err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint64(h[4:]))
		at := p.end + heading
		if [4]byte(h[:4]) != mark || length < 0 || length > info.Size()-at {
			break
		}
		if name := statement.Digest(h[12:]); !name.IsZero() {
			p.index[name] = place{at, length}
		}
		p.end = at + length
	}
	p.rest = info.Size() - p.end
	return nil
}

// check takes those blobs out of the index that are not whole: a power cut may
// have come between a blob and its sync. The caller holds the lock.
func (p *pack) check() error {
	if err := p.load(); err != nil || p.whole {
		return err
	}
	for name, place := range p.index {
		ok, err := whole(io.NewSectionReader(p.file, place.at, place.length), name)
		if err != nil {
			return err
		}
		if !ok {
			delete(p.index, name)
		}
	}
	p.whole = true
	return nil
}

// begin makes the pack ready for one blob more. What cannot be read at its end is
// stepped over by a heading without a name: it should be the beginning of a blob
// that a power cut came into, but where a heading was damaged there are others.
func (p *pack) begin() error {
	if err := p.check(); err != nil {
		return err
	}
	if p.rest > 0 {
		length := max(0, p.rest-heading)
		h := headingOf(statement.Digest{}, length)
		if _, err := p.file.WriteAt(h[:], p.end); err != nil {
			return err
		}
		p.end, p.rest = p.end+heading+length, 0
	}
	if p.file == nil {
		file, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		p.file = file
	}
	return nil
}

// add appends the blobs that are not there.
func (p *pack) add(all ...Blob) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(); err != nil {
		return err
	}
	to := buffered(io.NewOffsetWriter(p.file, p.end))
	defer writers.Put(to)
	end := p.end
	var added []statement.Digest
	for _, b := range all {
		if _, known := p.index[b.name]; known {
			continue
		}
		h := headingOf(b.name, int64(len(b.data)))
		to.Write(h[:]) // its error stays
		to.Write(b.data)
		p.index[b.name] = place{end + heading, int64(len(b.data))}
		end += heading + int64(len(b.data))
		added = append(added, b.name)
	}
	if err := to.Flush(); err != nil {
		for _, name := range added {
			delete(p.index, name)
		}
		return err
	}
	p.end = end
	return nil
}

// writers are buffers between blobs and the file.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 1<<16) }}

func buffered(w io.Writer) *bufio.Writer {
	to := writers.Get().(*bufio.Writer)
	to.Reset(w)
	return to
}

func headingOf(name statement.Digest, length int64) (h [heading]byte) {
	copy(h[:], mark[:])
	binary.BigEndian.PutUint64(h[4:], uint64(length))
	copy(h[12:], name[:])
	return h
}

// write appends what from writes, and its heading after it: without one it is
// not there.
func (p *pack) write(from io.WriterTo) (name statement.Digest, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(); err != nil {
		return name, err
	}
	at := p.end + heading
	hash := sha256.New()
	out := io.NewOffsetWriter(p.file, at)
	to := buffered(io.MultiWriter(hash, out))
	defer writers.Put(to)
	if _, err := from.WriteTo(to); err != nil {
		return name, err
	}
	if err := to.Flush(); err != nil {
		return name, err
	}
	length, err := out.Seek(0, io.SeekCurrent)
	if err != nil {
		return name, err
	}
	name = statement.Digest(hash.Sum(nil))
	if _, known := p.index[name]; known {
		return name, nil // what was written lies behind the end
	}
	h := headingOf(name, length)
	if _, err := p.file.WriteAt(h[:], p.end); err != nil {
		return name, err
	}
	p.index[name] = place{at, length}
	p.end = at + length
	return name, nil
}

// sync returns when all that was added before is on the disk. Once the disk has not
// taken something, no sync succeeds until the pack is opened anew: a system that
// failed to write its cache counts it as written afterwards, so that another sync
// would prove nothing.
func (p *pack) sync() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.volatile {
		return nil
	}
	if err := p.load(); err != nil || p.file == nil {
		return err
	}
	for end := p.end; p.failed == nil && (p.durable < end || !p.named); {
		if p.syncing {
			p.synced.Wait()
		} else {
			p.syncNow()
		}
	}
	if p.failed != nil {
		return fmt.Errorf("cannot store blobs: %w", p.failed)
	}
	return nil
}

// syncNow lets go of the lock while it waits for the disk.
func (p *pack) syncNow() {
	end, named := p.end, p.named
	p.syncing = true
	p.mu.Unlock()
	err := p.file.Sync()
	if err == nil && !named {
		err = durable.SyncDir(filepath.Dir(p.path))
	}
	p.mu.Lock()
	p.syncing = false
	p.synced.Broadcast()
	if err != nil {
		p.failed = err
		return
	}
	p.durable, p.named = end, true
}

// section is a blob as it lies in the file.
func (p *pack) section(name statement.Digest) (*io.SectionReader, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return nil, fmt.Errorf("cannot read a blob: %w", err)
	}
	place, ok := p.index[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrMissing, name)
	}
	return io.NewSectionReader(p.file, place.at, place.length), nil
}

func (p *pack) has(name statement.Digest) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(); err != nil {
		return false, fmt.Errorf("cannot look for a blob: %w", err)
	}
	_, known := p.index[name]
	return known, nil
}
