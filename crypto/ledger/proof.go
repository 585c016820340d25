package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// maxProof is the most hashes that a proof in a tree of maxSize can have.
const maxProof = 64

// CheckInclusion verifies that a leaf is leaf number index of the log of that
// size and root.
func CheckInclusion(leaf []byte, index, size uint64, root [32]byte, proof [][32]byte) error {
	if size > maxSize || len(proof) > maxProof {
		return fmt.Errorf("%w: inclusion proof is for an impossible log", ErrSecurity)
	}
	if index >= size {
		return fmt.Errorf("%w: entry %d cannot be in a log of %d", ErrSecurity, index, size)
	}
	if err := tlog.CheckRecord(tlogHashes(proof), int64(size), root, int64(index), tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("%w: the ledger's proof that it holds entry %d does not verify", ErrSecurity, index)
	}
	return nil
}

// CheckConsistency verifies that the log of newSize and newRoot extends the one
// of oldSize and oldRoot.
func CheckConsistency(oldSize uint64, oldRoot [32]byte, newSize uint64, newRoot [32]byte, proof [][32]byte) error {
	if newSize > maxSize || len(proof) > maxProof {
		return fmt.Errorf("%w: consistency proof is for an impossible log", ErrSecurity)
	}
	if newSize < oldSize {
		return fmt.Errorf("%w: the ledger was rolled back from %d entries to %d", ErrSecurity, oldSize, newSize)
	}
	if oldSize == 0 || oldSize == newSize {
		// An empty log has one root, and a log has one root at each size.
		if oldSize == newSize && oldRoot != newRoot {
			return fmt.Errorf("%w: the ledger has two histories of %d entries", ErrSecurity, newSize)
		}
		if len(proof) != 0 {
			return fmt.Errorf("%w: a proof came where nothing needs one", ErrSecurity)
		}
		return nil
	}
	if err := tlog.CheckTree(tlogHashes(proof), int64(newSize), newRoot, int64(oldSize), oldRoot); err != nil {
		return fmt.Errorf("%w: the ledger of %d entries does not extend the one of %d seen before", ErrSecurity, newSize, oldSize)
	}
	return nil
}

// RootOf is the root hash over leaves that are all at hand, as an auditor has
// them.
func RootOf(leaves [][]byte) ([32]byte, error) {
	log := NewLog("", NewMemory())
	for _, leaf := range leaves {
		if _, err := log.Append(leaf); err != nil {
			return [32]byte{}, err
		}
	}
	return log.Root()
}

// ParseProof reads a proof from the wire.
func ParseProof(wire [][]byte) ([][32]byte, error) {
	if len(wire) > maxProof {
		return nil, fmt.Errorf("proof of %d hashes is too long", len(wire))
	}
	proof := make([][32]byte, len(wire))
	for i, hash := range wire {
		if len(hash) != len(proof[i]) {
			return nil, fmt.Errorf("hash %d of a proof has %d bytes, not 32", i, len(hash))
		}
		proof[i] = [32]byte(hash)
	}
	return proof, nil
}

// FormatProof writes what ParseProof reads.
func FormatProof(proof [][32]byte) [][]byte {
	wire := make([][]byte, len(proof))
	for i := range proof {
		wire[i] = proof[i][:]
	}
	return wire
}

func tlogHashes(proof [][32]byte) []tlog.Hash {
	hashes := make([]tlog.Hash, len(proof))
	for i, h := range proof {
		hashes[i] = h
	}
	return hashes
}
