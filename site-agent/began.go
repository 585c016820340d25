package siteagent

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
)

// began remembers which records a study, or a window of one, began with. In memory
// they stay the same for all its rounds; an agent that was restarted reads the file
// again, and where it says something else by then, later rounds would be about other
// patients than earlier ones, and nobody could tell from the result. What is kept is
// a code of the file under a key that follows from the site's own: without the key
// it says nothing.
type began struct {
	path string
	key  []byte

	mu    sync.Mutex
	codes map[string][]byte // by study or window, in hex
}

const beganFile = "records.json"

func openBegan(dir string, signing ed25519.PrivateKey) (*began, error) {
	key, err := hkdf.Key(sha256.New, signing.Seed(), nil, "consilium: which records a study began with", sha256.Size)
	if err != nil {
		return nil, err
	}
	b := &began{path: filepath.Join(dir, beganFile), key: key, codes: make(map[string][]byte)}
	if err := readJSON(b.path, &b.codes); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; move it away: studies under way then go on with what the records say now", err)
	}
	return b, nil
}

// same reports whether a study has these records from its beginning, which it is if
// nothing is remembered of it; that is on the disk BEFORE anything of them leaves.
func (b *began) same(id statement.Digest, version records.Version) (bool, error) {
	code, known := version.Code(b.key)
	if !known {
		return true, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if before, ok := b.codes[id.String()]; ok {
		return string(before) == string(code), nil
	}
	b.codes[id.String()] = code
	if err := writeJSON(b.path, b.codes); err != nil {
		delete(b.codes, id.String())
		return false, err
	}
	return true, nil
}
