package ledger

import (
	"bytes"
	"fmt"
	"sync"
)

// Memory is a LeafStore that forgets when the process ends: for tests, and for
// an auditor who rebuilds a log from its leaves.
type Memory struct {
	mu     sync.RWMutex
	leaves [][]byte
	hashes [][32]byte
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return new(Memory) }

// Size implements LeafStore.
func (m *Memory) Size() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return uint64(len(m.leaves)), nil
}

// Append implements LeafStore.
func (m *Memory) Append(index uint64, leaf []byte, position uint64, hashes [][32]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index != uint64(len(m.leaves)) || position != uint64(len(m.hashes)) {
		return fmt.Errorf("entry %d does not follow the %d entries held", index, len(m.leaves))
	}
	m.leaves = append(m.leaves, bytes.Clone(leaf))
	m.hashes = append(m.hashes, hashes...)
	return nil
}

// Leaves implements LeafStore.
func (m *Memory) Leaves(start, end uint64) ([][]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if start > end || end > uint64(len(m.leaves)) {
		return nil, fmt.Errorf("entries %d to %d are not held", start, end)
	}
	return m.leaves[start:end:end], nil
}

// Hashes implements LeafStore.
func (m *Memory) Hashes(positions []uint64) ([][32]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	hashes := make([][32]byte, len(positions))
	for i, p := range positions {
		if p >= uint64(len(m.hashes)) {
			return nil, fmt.Errorf("hash %d is not held", p)
		}
		hashes[i] = m.hashes[p]
	}
	return hashes, nil
}
