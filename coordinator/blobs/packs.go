package blobs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// packs are the packs of a folder that somebody uses or used lately. A pack is
// open once, because who appends to it must know its end.
type packs struct {
	mu    sync.Mutex
	open  map[statement.Digest]*pack
	files int    // how many of them are not shut
	clock uint64 // counts uses
}

const packSuffix = ".pack"

const (
	idlePacks  = 128  // stay open that nobody uses
	knownPacks = 1024 // have their index in memory, some 40 kB for a round of twenty sites
)

// In implements Store.
func (f *Files) In(pack statement.Digest) Store {
	if pack.IsZero() {
		return f
	}
	return packed{f, pack}
}

// pack opens a pack until done is called.
func (f *Files) pack(name statement.Digest) (p *pack, done func()) {
	f.packs.mu.Lock()
	defer f.packs.mu.Unlock()
	p = f.packs.open[name]
	if p == nil {
		p = newPack(filepath.Join(f.dir, name.String()+packSuffix), f.volatile)
		p.shut = true
		f.packs.open[name] = p
	}
	if p.shut {
		p.shut = false
		f.packs.files++
	}
	f.packs.clock++
	p.users++
	p.used = f.packs.clock
	return p, func() { f.packs.release(p) }
}

// Close closes the files. Nobody uses the store any more.
func (f *Files) Close() error {
	f.packs.mu.Lock()
	defer f.packs.mu.Unlock()
	var failed error
	for _, p := range f.packs.open {
		failed = errors.Join(failed, p.close())
	}
	clear(f.packs.open)
	f.packs.files = 0
	return failed
}

// release shuts the pack that was used the longest ago, where too many are open,
// and forgets it where too many are known.
func (all *packs) release(p *pack) {
	all.mu.Lock()
	defer all.mu.Unlock()
	p.users--
	if all.files > idlePacks {
		if _, p := all.oldest(func(p *pack) bool { return !p.shut }); p != nil {
			p.shut = true
			all.files--
			p.close()
		}
	}
	if len(all.open) > knownPacks {
		if name, p := all.oldest(func(p *pack) bool { return p.shut }); p != nil {
			delete(all.open, name)
		}
	}
}

// oldest is the pack that was used the longest ago, of those that nobody uses.
func (all *packs) oldest(of func(p *pack) bool) (oldest statement.Digest, found *pack) {
	for name, p := range all.open {
		if p.users == 0 && of(p) && (found == nil || p.used < found.used) {
			oldest, found = name, p
		}
	}
	return oldest, found
}

// packed is a Store in one pack.
type packed struct {
	files *Files
	name  statement.Digest
}

func (s packed) In(pack statement.Digest) Store { return s.files.In(pack) }

func (s packed) Put(all ...Blob) error {
	p, done := s.files.pack(s.name)
	defer done()
	if err := p.add(all...); err != nil {
		return fmt.Errorf("cannot store blobs: %w", err)
	}
	return p.sync()
}

func (s packed) Stage(b Blob) error {
	p, done := s.files.pack(s.name)
	defer done()
	if err := p.add(b); err != nil {
		return fmt.Errorf("cannot store a blob: %w", err)
	}
	return nil
}

func (s packed) Sync() error {
	p, done := s.files.pack(s.name)
	defer done()
	return p.sync()
}

func (s packed) Write(from io.WriterTo) (statement.Digest, error) {
	p, done := s.files.pack(s.name)
	defer done()
	name, err := p.write(from)
	if err != nil {
		return name, fmt.Errorf("cannot store a blob: %w", err)
	}
	return name, nil
}

// section opens a blob of the pack until done is called.
func (s packed) section(name statement.Digest) (r *io.SectionReader, done func(), err error) {
	p, done := s.files.pack(s.name)
	r, err = p.section(name)
	if err != nil {
		done()
		return nil, nil, err
	}
	return r, done, nil
}

func (s packed) Get(name statement.Digest) ([]byte, error) {
	r, done, err := s.section(name)
	if err != nil {
		return nil, err
	}
	defer done()
	data, err := read(nil, r, name, 0, int(r.Size()))
	if err == nil && statement.DigestOf(data) != name {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, name)
	}
	return data, err
}

func (s packed) Section(into []byte, name statement.Digest, offset int64, length int) ([]byte, error) {
	r, done, err := s.section(name)
	if err != nil {
		return nil, err
	}
	defer done()
	return read(into, r, name, offset, length)
}

func (s packed) Open(name statement.Digest) (io.ReadCloser, error) {
	r, done, err := s.section(name)
	if err != nil {
		return nil, err
	}
	return &checked{from: r, close: func() error { done(); return nil }, hash: sha256.New(), name: name}, nil
}

func (s packed) Has(name statement.Digest) (bool, error) {
	p, done := s.files.pack(s.name)
	defer done()
	return p.has(name)
}

// read reads a part of a blob that must be there in full.
func read(into []byte, r *io.SectionReader, name statement.Digest, offset int64, length int) ([]byte, error) {
	if offset < 0 || length < 0 || offset > r.Size() || int64(length) > r.Size()-offset {
		return nil, fmt.Errorf("%w: %s is too short", ErrDamaged, name)
	}
	part := slices.Grow(into[:0], length)[:length]
	if n, err := r.ReadAt(part, offset); n < length {
		return nil, unread(name, err)
	}
	return part, nil
}

// whole reports whether what is read has a digest.
func whole(r io.Reader, name statement.Digest) (bool, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return false, err
	}
	return bytes.Equal(h.Sum(nil), name[:]), nil
}
