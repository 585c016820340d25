package siteagent

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
)

// ledgerWitness is what the site keeps of the ledger: the last checkpoint, which
// it cosigns for the auditors to know that they see the same history, how
// far it has read the entries itself, and what studies' committees are drawn
// from. Reading is verified: the entries read must be those of the checkpoint's
// tree, and their rosters those that governance signed, in that order.
type ledgerWitness struct {
	path    string
	rosters *identity.Chain

	mu       sync.Mutex
	witness  *ledger.Witness
	unsaved  bool      // the last checkpoint is not in the file
	cosigned time.Time // when, by the last cosignature
	read     readState
	leaves   map[uint64][]byte // of plans and opening requests read by this process
}

// readState is a compact range (RFC 6962, section 2.1): the roots of the
// perfect subtrees that make up the first Size leaves, the largest first. With
// it goes what those leaves say of rosters and of studies' starts.
type readState struct {
	Size    uint64                    `json:"size"`
	Peaks   []tlog.Hash               `json:"peaks"`
	Rosters uint64                    `json:"rosters"` // how many are among the leaves
	Latest  statement.Digest          `json:"latest"`  // the last of them
	Draws   map[string]statement.Draw `json:"draws"`   // by study, in hex
}

type witnessState struct {
	Checkpoint []byte    `json:"checkpoint"`
	Read       readState `json:"read"`
}

// openWitness resumes from the file or, where the vault holds a later checkpoint,
// from that: the entries between the two are read again.
func openWitness(path string, node *identity.Node, done []byte) (*ledgerWitness, error) {
	roster := node.Rosters().Latest()
	var kept witnessState
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(data, &kept); err != nil || len(kept.Read.Peaks) != bits.OnesCount64(kept.Read.Size) {
			return nil, fmt.Errorf("%s is damaged: restore the state directory from a backup, or enrol anew", path)
		}
	}
	if kept.Read.Draws == nil { // nothing read yet, or by a version that kept no draws: it is read again
		kept.Read = readState{Draws: make(map[string]statement.Draw)}
	}
	w := &ledgerWitness{path: path, rosters: node.Rosters(), read: kept.Read, leaves: make(map[uint64][]byte)}
	origin, key := ledger.Origin(roster.Consortium), roster.CoordinatorMember().SigningKey
	if w.witness, err = ledger.NewWitness(origin, key, kept.Checkpoint); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// One that is not of this coordinator is of the one that it replaced.
	if later, err := ledger.NewWitness(origin, key, done); err == nil && later.Latest().Size > w.witness.Latest().Size {
		w.witness, w.unsaved = later, true
	}
	return w, nil
}

// latest is the last checkpoint.
func (w *ledgerWitness) latest() ledger.Checkpoint { return w.witness.Latest() }

// signed is the last checkpoint as it was signed, nil before the first.
func (w *ledgerWitness) signed() []byte { return w.witness.Signed() }

// advance accepts a checkpoint that extends the last one. It is on the disk once
// it is saved, or with the fact in the vault of what was done under it.
func (w *ledgerWitness) advance(checkpoint []byte, proof [][32]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.witness.Latest()
	if err := w.witness.Advance(checkpoint, proof); err != nil {
		return err
	}
	w.unsaved = w.unsaved || w.witness.Latest() != before
	return nil
}

// keep saves the last checkpoint.
func (w *ledgerWitness) keep() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.save()
}

// cosignEvery is how long a site that is busy with rounds goes without cosigning.
const cosignEvery = time.Second

// cosign gives the last checkpoint and the site's cosignature of it, which says
// that the site has seen one history up to there; nil before the first, and while
// the last is not saved and another was cosigned a moment ago. The checkpoint is
// in the file BEFORE its cosignature is made: a site that started again from an
// older one could be brought to cosign a fork.
func (w *ledgerWitness) cosign(key ed25519.PrivateKey, now time.Time) (ledger.Checkpoint, []byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := w.witness.Latest()
	if w.witness.Signed() == nil || w.unsaved && now.Sub(w.cosigned).Abs() < cosignEvery {
		return head, nil, nil
	}
	if err := w.save(); err != nil {
		return head, nil, err
	}
	cosignature, err := ledger.Cosign(head, now, key)
	if err == nil {
		w.cosigned = now
	}
	return head, cosignature, err
}

// save writes the state to the disk if its last checkpoint is not there yet.
func (w *ledgerWitness) save() error {
	if !w.unsaved {
		return nil
	}
	data, err := json.Marshal(witnessState{w.witness.Signed(), w.read})
	if err != nil {
		return err
	}
	if err := durable.WriteFile(w.path, data, 0o600); err != nil {
		return err
	}
	w.unsaved = false
	return nil
}

// readOn reads the entries up to the last checkpoint and shows each to visit.
// What was read is remembered only if all of it is in the checkpoint's tree.
func (w *ledgerWitness) readOn(fetch func(start, end uint64) ([][]byte, error), visit func(ledger.Entry) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := w.witness.Latest()
	read := w.read.clone()
	var entries []ledger.Entry
	asked := make(map[uint64][]byte)
	for read.Size < head.Size {
		leaves, err := fetch(read.Size, head.Size)
		if err != nil {
			return err
		}
		if len(leaves) == 0 || uint64(len(leaves)) > head.Size-read.Size {
			return fmt.Errorf("%w: the coordinator does not show the ledger entries that its checkpoint counts", ledger.ErrSecurity)
		}
		entries = slices.Grow(entries, len(leaves))
		for _, leaf := range leaves {
			entry, err := ledger.ParseEntry(leaf)
			if err != nil {
				return fmt.Errorf("%w: entry %d: %w", ledger.ErrSecurity, read.Size, err)
			}
			if entry.Type == ledger.TypePlan || entry.Type == ledger.TypeOpeningRequest {
				asked[read.Size] = leaf
			}
			entries = append(entries, entry)
			read.add(leaf)
			if err := read.note(entry, w.rosters); err != nil {
				return err
			}
		}
	}
	if head.Size > 0 && read.root() != head.Root {
		return fmt.Errorf("%w: the ledger entries are not those of the checkpoint", ledger.ErrSecurity)
	}
	for _, entry := range entries {
		if err := visit(entry); err != nil {
			return err
		}
	}
	// Saved with the next checkpoint; until then a restart reads them again.
	w.read = read
	maps.Copy(w.leaves, asked)
	return nil
}

// entriesRead is how many entries were read.
func (w *ledgerWitness) entriesRead() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.read.Size
}

// leaf returns a plan's or an opening request's entry if it was read lately.
func (w *ledgerWitness) leaf(index uint64) ([]byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	leaf, ok := w.leaves[index]
	return leaf, ok
}

// Draw is what the committees of a study are drawn from: the checkpoint whose
// last entry is the first to start the study.
func (w *ledgerWitness) Draw(study statement.Digest) (statement.Draw, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	draw, started := w.read.Draws[study.String()]
	return draw, started
}

func (r readState) clone() readState {
	r.Peaks, r.Draws = slices.Clone(r.Peaks), maps.Clone(r.Draws)
	return r
}

// note keeps what the leaf that was just added says of rosters and starts.
func (r *readState) note(entry ledger.Entry, rosters *identity.Chain) error {
	switch entry.Type {
	case ledger.TypeRoster:
		r.Rosters++
		// The coordinator passes a roster on before it enters it.
		if signed, ok := rosters.Signed(entry.Subject); !ok || signed.Number != r.Rosters {
			return fmt.Errorf("%w: entry %d is not roster %d as governance signed it", ledger.ErrSecurity, r.Size-1, r.Rosters)
		}
		r.Latest = entry.Subject
	case ledger.TypeStart:
		if _, before := r.Draws[entry.Study]; !before { // a study starts once
			r.Draws[entry.Study] = statement.Draw{Size: r.Size, Root: statement.Digest(r.root()), Roster: r.Latest}
		}
	}
	return nil
}

// add appends a leaf and merges subtrees of equal size, as a binary counter
// carries.
func (r *readState) add(leaf []byte) {
	hash := tlog.RecordHash(leaf)
	for carry := r.Size; carry&1 == 1; carry >>= 1 {
		last := len(r.Peaks) - 1
		hash = tlog.NodeHash(r.Peaks[last], hash)
		r.Peaks = r.Peaks[:last]
	}
	r.Peaks = append(r.Peaks, hash)
	r.Size++
}

func (r *readState) root() tlog.Hash {
	root := r.Peaks[len(r.Peaks)-1]
	for i := len(r.Peaks) - 2; i >= 0; i-- {
		root = tlog.NodeHash(r.Peaks[i], root)
	}
	return root
}
