// Package ledger is the append-only log of everything a consortium did: a
// Merkle tree (RFC 6962, hashed by golang.org/x/mod/sumdb/tlog) whose leaves
// are entries that name signed statements and blobs by their digests.
//
// The coordinator keeps the log and signs checkpoints of it (C2SP
// tlog-checkpoint, a signed note). A member keeps the last checkpoint it saw, in
// a Witness, and refuses one that does not extend it; so whoever was shown an
// entry knows that every later log it accepts holds that entry still. And it
// cosigns what it accepted (C2SP tlog-cosignature): whoever finds the cosignatures
// of more than half of the hospitals under a checkpoint knows that no other
// history has as many.
//
// Promised: an entry that a member verified cannot be taken back or changed
// without that member noticing. Not promised: that what an entry names is true,
// which is what the signature on the named statement is for, nor that all see one
// log where fewer than half of the hospitals cosigned it.
//
// Every proof that does not verify, every rollback and every fork is
// ErrSecurity.
package ledger

import (
	"fmt"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// ErrSecurity marks what only a deviating coordinator causes. It is never
// retried, always recorded and always shown.
var ErrSecurity = statement.ErrSecurity

// maxSize bounds every tree size: tlog's arithmetic is not safe near 2^63.
const maxSize = 1 << 48

// Origin names the log of a consortium. A note's key name has no spaces, a
// consortium's name may.
func Origin(consortium string) string {
	return "consilium/" + strings.ReplaceAll(consortium, " ", "%20")
}

// LeafStore keeps leaves and hashes. The log is nothing but what its store
// holds, so a store bound to a database transaction makes a log whose appends
// commit with it.
type LeafStore interface {
	// Size is the number of leaves.
	Size() (uint64, error)
	// Append adds leaf number index together with its hashes, which take the
	// positions from the given one on; all or nothing. It fails unless index
	// is the number of leaves present.
	Append(index uint64, leaf []byte, position uint64, hashes [][32]byte) error
	// Leaves returns the leaves from start up to but not including end.
	Leaves(start, end uint64) ([][]byte, error)
	// Hashes returns the hashes at the given positions, in their order.
	Hashes(positions []uint64) ([][32]byte, error)
}

// Log appends to a store and proves what it holds. It is safe for concurrent
// use as far as its store is; appends are serialised.
type Log struct {
	origin string
	store  LeafStore
	mu     sync.Mutex
}

// NewLog returns the log that a store holds. Use Origin for the origin.
func NewLog(origin string, store LeafStore) *Log {
	return &Log{origin: origin, store: store}
}

// Append adds a leaf and returns its index. The caller sees to it that an entry
// is appended once; the log holds what it is given.
func (l *Log) Append(leaf []byte) (index uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, err = l.store.Size()
	if err != nil {
		return 0, err
	}
	if index >= maxSize {
		return 0, fmt.Errorf("the log is full: it holds %d entries", index)
	}
	hashes, err := tlog.StoredHashes(int64(index), leaf, l.reader())
	if err != nil {
		return 0, err
	}
	stored := make([][32]byte, len(hashes))
	for i, h := range hashes {
		stored[i] = h
	}
	position := uint64(tlog.StoredHashCount(int64(index)))
	return index, l.store.Append(index, leaf, position, stored)
}

// Size is the number of leaves.
func (l *Log) Size() (uint64, error) { return l.store.Size() }

// Leaves returns the leaves from start up to but not including end.
func (l *Log) Leaves(start, end uint64) ([][]byte, error) {
	size, err := l.store.Size()
	if err != nil {
		return nil, err
	}
	if start > end || end > size {
		return nil, fmt.Errorf("the log holds %d entries, not those from %d to %d", size, start, end)
	}
	return l.store.Leaves(start, end)
}

// Root is the root hash over all leaves.
func (l *Log) Root() ([32]byte, error) {
	size, err := l.store.Size()
	if err != nil {
		return [32]byte{}, err
	}
	return l.RootAt(size)
}

// RootAt is the root hash over the first size leaves.
func (l *Log) RootAt(size uint64) ([32]byte, error) {
	if err := l.within(size); err != nil {
		return [32]byte{}, err
	}
	root, err := tlog.TreeHash(int64(size), l.reader())
	return root, err
}

// Inclusion proves that leaf number index is among the first size leaves.
func (l *Log) Inclusion(index, size uint64) ([][32]byte, error) {
	if err := l.within(size); err != nil {
		return nil, err
	}
	if index >= size {
		return nil, fmt.Errorf("entry %d is not among the first %d", index, size)
	}
	proof, err := tlog.ProveRecord(int64(size), int64(index), l.reader())
	return plain(proof), err
}

// Consistency proves that the first oldSize leaves are a prefix of the first
// newSize. Nothing needs to be proven from an empty log, or to itself.
func (l *Log) Consistency(oldSize, newSize uint64) ([][32]byte, error) {
	if err := l.within(newSize); err != nil {
		return nil, err
	}
	if oldSize > newSize {
		return nil, fmt.Errorf("a log of %d entries does not extend one of %d", newSize, oldSize)
	}
	if oldSize == 0 || oldSize == newSize {
		return nil, nil
	}
	proof, err := tlog.ProveTree(int64(newSize), int64(oldSize), l.reader())
	return plain(proof), err
}

func (l *Log) within(size uint64) error {
	held, err := l.store.Size()
	if err != nil {
		return err
	}
	if size > held {
		return fmt.Errorf("the log holds %d entries, not %d", held, size)
	}
	return nil
}

func (l *Log) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		positions := make([]uint64, len(indexes))
		for i, index := range indexes {
			positions[i] = uint64(index)
		}
		stored, err := l.store.Hashes(positions)
		if err != nil {
			return nil, err
		}
		hashes := make([]tlog.Hash, len(stored))
		for i, h := range stored {
			hashes[i] = h
		}
		return hashes, nil
	})
}

func plain[T ~[]tlog.Hash](proof T) [][32]byte {
	hashes := make([][32]byte, len(proof))
	for i, h := range proof {
		hashes[i] = h
	}
	return hashes
}
