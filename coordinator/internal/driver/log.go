package driver

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/crypto/ledger"
)

// maxEntries bounds one answer of Entries.
const maxEntries = 1000

// openLog rebuilds the Merkle tree from the leaves in the store, which are the
// ledger; the hashes follow from them.
func (d *Driver) openLog(ctx context.Context) error {
	facts, leaves, err := d.Store.Size(ctx)
	if err != nil {
		return err
	}
	if facts != d.facts {
		return fmt.Errorf("the store holds %d facts and gave %d", facts, d.facts)
	}
	d.log = ledger.NewLog(ledger.Origin(d.Roster().Consortium), ledger.NewMemory())
	for d.leaves < leaves {
		run, err := d.Store.Leaves(ctx, d.leaves, min(d.leaves+maxEntries, leaves))
		if err != nil {
			return err
		}
		for _, leaf := range run {
			if _, err := d.log.Append(leaf); err != nil {
				return err
			}
			d.leaves++
		}
	}
	return nil
}

// signedHead is the log's signed head at a size: all sites that are told at once
// are told the same.
type signedHead struct {
	size       uint64
	checkpoint []byte
}

// checkpoint signs the head of the log and proves that it extends an older one.
func (d *Driver) checkpoint(oldSize uint64) (checkpoint []byte, consistency [][32]byte, err error) {
	if d.head.size != d.leaves || d.head.checkpoint == nil {
		signed, err := d.log.Checkpoint(d.Node.Keys().Signing())
		if err != nil {
			return nil, nil, err
		}
		d.head = signedHead{d.leaves, signed}
	}
	consistency, err = d.log.Consistency(oldSize, d.leaves)
	return d.head.checkpoint, consistency, err
}

// Checkpoint returns the newest signed checkpoint and the proof that it extends
// the log of a size that the caller knows; and the checkpoint that most sites
// have cosigned, nil for none.
func (d *Driver) Checkpoint(oldSize uint64) (checkpoint []byte, consistency [][32]byte, cosigned []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if oldSize > d.leaves {
		return nil, nil, nil, shrunk(oldSize, d.leaves)
	}
	notes, err := d.cosignedNotes()
	if err != nil {
		return nil, nil, nil, err
	}
	if len(notes) > 0 {
		cosigned = slices.MaxFunc(notes, func(a, b cosignedNote) int { return cmp.Compare(a.cosignatures, b.cosignatures) }).note
	}
	checkpoint, consistency, err = d.checkpoint(oldSize)
	return checkpoint, consistency, cosigned, err
}

// Entries returns the leaves with start <= index < end.
func (d *Driver) Entries(start, end uint64) ([][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if start > end || end > d.leaves || end-start > maxEntries {
		return nil, problem(Invalid, "no-such-entries", "the entries cannot be given",
			fmt.Sprintf("the ledger holds %d entries and gives at most %d at a time", d.leaves, maxEntries), "ask for a run within it")
	}
	return d.log.Leaves(start, end)
}

// Inclusion proves that an entry is in the log of a size.
func (d *Driver) Inclusion(index, size uint64) ([][32]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if index >= size || size > d.leaves {
		return nil, problem(Invalid, "no-such-entries", "the proof cannot be given",
			fmt.Sprintf("the ledger holds %d entries", d.leaves), "ask for an entry below the size, and a size that the ledger has")
	}
	return d.log.Inclusion(index, size)
}

func shrunk(known, held uint64) error {
	return violation(Precondition, "ledger-shrunk", "the coordinator cannot prove that its ledger extends yours",
		fmt.Sprintf("you know a ledger of %d entries and this one has %d", known, held),
		"do not go on; tell the coordinator's operator and the consortium: the coordinator's data may have been restored from an old backup")
}
