package federation

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// temporary makes folders for everyone's state that nobody will read again, so
// that no simulated hospital waits for a disk to keep what is thrown away at the
// end: in memory where the system has a file system there and what has to be there
// fits many times over. Rounds that no longer fit beside it go to disk, which is
// a folder on the disk; nil where everything is there already.
func temporary(s *study.Study, sites int) (dir, disk *scratch, err error) {
	if disk, err = newScratch(""); err != nil {
		return nil, nil, err
	}
	if inMemory != "" {
		sweep(inMemory) // before it is measured
	}
	if largestState(s, sites) < freeMemory()/4 {
		if dir, err := newScratch(inMemory); err == nil {
			return dir, disk, nil
		}
	}
	return disk, nil, nil
}

// largestState is at least what a study keeps beside the ciphertexts of rounds that
// are over: of every round its signed statements and sealed shares, a megabyte, and
// of the largest the ciphertext, sixteen bytes to a number, which every hospital has
// on its way and the coordinator receives.
func largestState(s *study.Study, sites int) (bytes uint64) {
	largest := uint64(0)
	for _, step := range pipeline.Steps(s, sites) {
		bytes += uint64(step.Rounds) << 20
		numbers := step.Numbers
		if len(step.Expected) > 0 { // far fewer
			numbers = 0
		}
		for _, e := range step.Expected {
			here := 0
			for _, f := range e.Fields {
				here += f.Length
			}
			numbers = max(numbers, here)
		}
		largest = max(largest, 2*16*uint64(numbers)*uint64(sites))
	}
	return bytes + largest
}

// overflow is a store in memory whose later rounds are on the disk, once half of
// the memory is gone that was free at first. A round stays where it began.
type overflow struct {
	*blobs.Files
	disk    *blobs.Files
	reserve uint64

	mu     sync.Mutex
	rounds map[statement.Digest]*blobs.Files
}

// newOverflow opens a store that nobody will read again: nothing is synced.
func newOverflow(memory, disk string) (*overflow, error) {
	o := &overflow{reserve: freeMemory() / 2, rounds: make(map[statement.Digest]*blobs.Files)}
	var err error
	if o.Files, err = blobs.OpenVolatile(memory); err != nil {
		return nil, err
	}
	if o.disk, err = blobs.OpenVolatile(filepath.Join(disk, "blobs")); err != nil {
		return nil, errors.Join(err, o.Files.Close())
	}
	return o, nil
}

// In implements blobs.Store.
func (o *overflow) In(round statement.Digest) blobs.Store {
	if round.IsZero() {
		return o
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	files := o.rounds[round]
	if files == nil {
		if files = o.Files; freeMemory() < o.reserve {
			files = o.disk
		}
		o.rounds[round] = files
	}
	return files.In(round)
}

// Close closes both folders.
func (o *overflow) Close() error { return errors.Join(o.Files.Close(), o.disk.Close()) }
