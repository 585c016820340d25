package blobs

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// All lists every blob of the folder and of its packs, by the store that has it,
// for checks of all that a coordinator keeps.
func (f *Files) All() (map[Store][]statement.Digest, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list blobs: %w", err)
	}
	all := make(map[Store][]statement.Digest)
	for _, entry := range entries {
		file, isPack := strings.CutSuffix(entry.Name(), packSuffix)
		name, err := statement.ParseDigest(file)
		switch {
		case err != nil: // not one of ours
		case isPack:
			if all[f.In(name)], err = f.inPack(name); err != nil {
				return nil, fmt.Errorf("cannot list blobs: %w", err)
			}
		default:
			all[f] = append(all[f], name)
		}
	}
	return all, nil
}

func (f *Files) inPack(name statement.Digest) ([]statement.Digest, error) {
	p, done := f.pack(name)
	defer done()
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.load()
	return slices.Collect(maps.Keys(p.index)), err
}
