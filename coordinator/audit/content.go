package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// compareFiles holds the directory against the listing, and every file that is
// named by its digest against its name.
func (v *verifier) compareFiles(files *listing) (string, error) {
	present := make(map[string]bool, len(files.allowed))
	err := fs.WalkDir(v.bundle, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s cannot be read", path)
		}
		if entry.IsDir() {
			return nil
		}
		if !files.allowed[path] || !entry.Type().IsRegular() {
			return fmt.Errorf("%s is surplus: no entry names it", path)
		}
		present[path] = true
		return nil
	})
	if err != nil {
		return "", err
	}
	for _, file := range files.required {
		if !present[file.path] {
			return "", fmt.Errorf("%s is missing: %s names it", file.path, file.by)
		}
	}
	v.ciphertexts = slices.ContainsFunc(files.chunks, func(c named) bool { return present[c.path] })
	detail := fmt.Sprintf("%d files, each what its name says, and no other", len(present))
	if v.ciphertexts {
		for _, chunk := range files.chunks {
			if !present[chunk.path] {
				return "", fmt.Errorf("%s is missing: %s names this ciphertext, and others of the bundle are here", chunk.path, chunk.by)
			}
		}
		detail += "; with the ciphertexts"
	}
	return detail, v.checkContent(present)
}

// checkContent holds every blob against its name. Ciphertext is nearly all there
// is to read, so that a round is opened while its ciphertexts are read for that,
// and no ciphertext is read twice.
func (v *verifier) checkContent(present map[string]bool) error {
	if v.ciphertexts {
		if err := inParallel(len(v.rounds), func(i int) error { return v.openAhead(v.rounds[i]) }); err != nil {
			return err
		}
	}
	checked := make(map[string]bool, len(present))
	for _, round := range v.rounds {
		if round.reopened == nil || round.reopened.err != nil {
			continue
		}
		for _, chunk := range round.ciphertexts() {
			checked[blobFile(chunk)] = true
		}
	}
	var rest []string
	for path := range present {
		if strings.HasPrefix(path, blobFolder) && !checked[path] {
			rest = append(rest, path)
		}
	}
	slices.Sort(rest)
	return inParallel(len(rest), func(i int) error {
		name, err := statement.ParseDigest(strings.TrimPrefix(rest[i], blobFolder))
		if err != nil {
			return fmt.Errorf("%s is named by no digest", rest[i])
		}
		return v.hash(name)
	})
}

// pieces are memory for blobs that are only hashed, most of which are short.
var pieces = sync.Pool{New: func() any { piece := make([]byte, 32<<10); return &piece }}

// hash reads a blob piece by piece and compares it with its name.
func (v *verifier) hash(name statement.Digest) error {
	file, err := v.bundle.Open(blobFile(name))
	if err != nil {
		return fmt.Errorf("%s cannot be read", blobFile(name))
	}
	defer file.Close()
	hasher := sha256.New()
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	// A file would bring memory of its own for each copy.
	if _, err := io.CopyBuffer(hasher, struct{ io.Reader }{file}, *piece); err != nil {
		return fmt.Errorf("%s cannot be read", blobFile(name))
	}
	return isNamed(name, statement.Digest(hasher.Sum(nil)))
}

func isNamed(name, content statement.Digest) error {
	if content != name {
		return fmt.Errorf("%s is damaged: its content has another digest", blobFile(name))
	}
	return nil
}

// blob reads a file named by its digest. The digest of nothing needs no file.
func (v *verifier) blob(name statement.Digest) ([]byte, error) { return v.blobInto(nil, name) }

// blobInto is blob into memory that the caller has, where that is enough: of one
// ciphertext after another, which are most of what is read by far.
func (v *verifier) blobInto(into []byte, name statement.Digest) ([]byte, error) {
	data, err := readInto(v.bundle, into, blobFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		if name == statement.DigestOf(nil) {
			return nil, nil
		}
		return nil, fmt.Errorf("%s is missing", blobFile(name))
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read", blobFile(name))
	}
	return data, isNamed(name, statement.DigestOf(data))
}

// intoReader is a bundle that has a shorter way to read a file into memory that
// the caller has.
type intoReader interface {
	ReadFileInto(into []byte, name string) ([]byte, error)
}

// readInto is fs.ReadFile into memory that the caller has. Without any it is
// fs.ReadFile.
func readInto(bundle fs.FS, into []byte, name string) ([]byte, error) {
	if bundle, ok := bundle.(intoReader); ok {
		return bundle.ReadFileInto(into, name)
	}
	if cap(into) == 0 {
		return fs.ReadFile(bundle, name)
	}
	file, err := bundle.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data := into[:0]
	for {
		data = slices.Grow(data, 1)
		n, err := file.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
