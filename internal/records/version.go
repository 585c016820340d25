package records

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"

	"github.com/consilium-fl/consilium/study"
)

// Version stands for what a source said when it was read, so that who kept what
// was made of it can tell whether the source still says the same. Of a file it is
// the digest of its bytes and not its date and size: those are coarse on some
// systems, set back by people who copy files, and another machine's clock on a
// network drive. To read and hash a file is a fraction of parsing it.
//
// A version is compared and nothing else. It has no printable form: what it stands
// for is behind a function, which reflection cannot open.
type Version struct{ of func() any }

func newVersion(of any) Version { return Version{func() any { return of }} }

// Same reports whether two versions are known to be one.
func (v Version) Same(other Version) bool { return v.Known() && other.Known() && v.of() == other.of() }

// Known is false of a source that cannot tell its version, and of one that could
// not be read.
func (v Version) Known() bool { return v.of != nil }

// Code is what may be kept of a file's version where others might look: a code under a
// key, without which it says nothing. Of what is no file there is none.
func (v Version) Code(key []byte) (code []byte, ok bool) {
	if !v.Known() {
		return nil, false
	}
	digest, ok := v.of().([sha256.Size]byte)
	if !ok {
		return nil, false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(digest[:])
	return mac.Sum(nil), true
}

func (Version) Format(f fmt.State, _ rune) { fmt.Fprint(f, redaction) }
func (Version) LogValue() slog.Value       { return slog.StringValue(redaction) }

// versioned is a source whose version can be told.
type versioned interface {
	// version is what the source says now.
	version() Version
	// openVersioned is Open. Once the rows have ended, read is the version of what
	// they were.
	openVersioned() (rows Rows, read func() Version, err error)
}

// VersionOf is what a source says now.
func VersionOf(src Source) Version {
	if v, ok := src.(versioned); ok {
		return v.version()
	}
	return Version{}
}

// LoadVersion is Load that also tells the version of exactly what was read.
func LoadVersion(s *study.Study, src Source) (*study.Matrix, map[study.SkipReason]int, Version, error) {
	v, ok := src.(versioned)
	if !ok {
		matrix, skipped, err := Load(s, src)
		return matrix, skipped, Version{}, err
	}
	rows, read, err := v.openVersioned()
	if err != nil {
		return nil, nil, Version{}, err
	}
	b, err := build(s, src, rows)
	if err != nil {
		return nil, nil, Version{}, err
	}
	return b.Matrix(), b.Skipped(), read(), nil
}

func (c csvSource) version() Version {
	file, err := os.Open(string(c))
	if err != nil {
		return Version{}
	}
	defer file.Close() // read only: nothing is lost if closing fails
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return Version{}
	}
	return versionOf(digest)
}

func (c csvSource) openVersioned() (Rows, func() Version, error) {
	digest := sha256.New()
	rows, err := c.open(func(file io.Reader) io.Reader { return io.TeeReader(file, digest) })
	return rows, func() Version { return versionOf(digest) }, err
}

func versionOf(digest hash.Hash) Version { return newVersion([sha256.Size]byte(digest.Sum(nil))) }

// Rows in memory are as they were made.
func (m *memory) version() Version { return newVersion(m) }

func (m *memory) openVersioned() (Rows, func() Version, error) {
	rows, err := m.Open()
	return rows, m.version, err
}

// Stamp is the date and the size of a file: whether one is worth another look. That
// it says the same as before is for its Version to tell.
type Stamp struct{ date, size int64 }

// StampOf is a source's stamp; ok is false of one that has none, or is not there.
func StampOf(src Source) (s Stamp, ok bool) {
	stamped, ok := src.(interface{ stamp() (Stamp, bool) })
	if !ok {
		return Stamp{}, false
	}
	return stamped.stamp()
}

func (c csvSource) stamp() (Stamp, bool) {
	info, err := os.Stat(string(c))
	if err != nil {
		return Stamp{}, false
	}
	return Stamp{info.ModTime().UnixNano(), info.Size()}, true
}

func (*memory) stamp() (Stamp, bool) { return Stamp{}, true }
