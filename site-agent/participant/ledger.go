package participant

import (
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Logged is the proof that an entry is in the ledger: the entry, its place,
// and the Merkle path to the root of the checkpoint that the site keeps.
type Logged struct {
	Leaf  []byte
	Index uint64
	Proof [][32]byte
	Size  uint64
	Root  [32]byte
}

// check proves that the ledger records the envelope as what it is. The
// coordinator appends BEFORE it asks, so an honest one always has the proof;
// without it an opening could be denied afterwards.
func (l Logged) check(kind string, round statement.Digest, envelope []byte) error {
	entry, err := ledger.ParseEntry(l.Leaf)
	if err != nil {
		return ErrNotInLedger.because("%v", err)
	}
	if entry.Type != kind || entry.Round != round.String() || entry.Subject != statement.DigestOf(envelope) {
		return ErrNotInLedger.because("the entry records something else")
	}
	if err := ledger.CheckInclusion(l.Leaf, l.Index, l.Size, l.Root, l.Proof); err != nil {
		return ErrNotInLedger.because("%v", err)
	}
	return nil
}
