package driver

import (
	"bytes"
	"crypto/ed25519"
	"maps"
	"slices"
	"time"

	"github.com/consilium-fl/consilium/crypto/ledger"
)

// cosignature is the word of a site that it saw the log up to a size, as the
// extension of all it saw before. What sites cosigned is not a fact: each hands
// in its last cosignature with every call for work. Those of what was worth
// witnessing are kept in a file as well, for sites that do not come back.
type cosignature struct {
	size  uint64
	key   ed25519.PublicKey
	bytes []byte
}

// worthWitnessing says which entries hospitals are asked to cosign at once: what
// an auditor will ask about first.
func worthWitnessing(e ledger.Entry) bool {
	return e.Type == ledger.TypeAudit || e.Type == ledger.TypeReleaseOverride || e.Type == ledger.TypeRelease || e.Type == ledger.TypeStudyEnd || e.Type == ledger.TypeMonitorReport
}

// Cosigned keeps a site's cosignature of the checkpoint of a size. One that does
// not verify is of another history than this coordinator's.
func (d *Driver) Cosigned(site string, size uint64, signed []byte) error {
	key, err := d.Roster().KeyOf(site)
	if err != nil {
		return problem(Denied, "not-a-member", "the cosignature was not accepted", "its site is not on the roster", "ask the consortium")
	}
	head, err := d.headAt(size)
	if err != nil {
		return err
	}
	// Without the lock, as it takes its time and every site brings one.
	if _, err := ledger.VerifyCosignature(head, signed, key); err != nil {
		return violation(Invalid, "cosignature-refused", "the cosignature was not accepted",
			"it is not the site's cosignature of this coordinator's log at that size", "tell the consortium: the site may have been shown another log")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if before, ok := d.cosigned[site]; ok && size < before.size {
		return nil // a late one
	}
	d.cosigned[site] = cosignature{size, bytes.Clone(key), bytes.Clone(signed)}
	if before := d.keptAt[site]; before < d.toWitness && size >= d.toWitness {
		d.keptAt[site] = size
		d.keepCosigned()
	}
	close(d.witnessed)
	d.witnessed = make(chan struct{})
	return nil
}

// headAt is the checkpoint of the log at a size.
func (d *Driver) headAt(size uint64) (ledger.Checkpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if size > d.leaves {
		return ledger.Checkpoint{}, shrunk(size, d.leaves)
	}
	root, err := d.log.RootAt(size)
	return ledger.Checkpoint{Origin: ledger.Origin(d.Roster().Consortium), Size: size, Root: root}, err
}

// cosignedNote is a checkpoint with the cosignatures of the sites whose last one
// it is.
type cosignedNote struct {
	size         uint64
	cosignatures int
	note         []byte
}

// cosignedNotes are the checkpoints that sites of the roster in force have
// cosigned last, the largest first. The caller holds the lock.
func (d *Driver) cosignedNotes() ([]cosignedNote, error) {
	bySize := make(map[uint64][]ledger.Cosignature)
	roster := d.Roster()
	for _, member := range roster.Sites() {
		c, ok := d.cosigned[member.Name]
		if ok && bytes.Equal(c.key, member.SigningKey) {
			bySize[c.size] = append(bySize[c.size], ledger.Cosignature{Member: member.Name, Key: c.key, Bytes: c.bytes})
		}
	}
	var notes []cosignedNote
	for _, size := range slices.Backward(slices.Sorted(maps.Keys(bySize))) {
		root, err := d.log.RootAt(size)
		if err != nil {
			return nil, err
		}
		head := ledger.Checkpoint{Origin: ledger.Origin(roster.Consortium), Size: size, Root: root}
		signed, err := ledger.SignCheckpoint(head, d.Node.Keys().Signing())
		if err != nil {
			return nil, err
		}
		notes = append(notes, cosignedNote{size, len(bySize[size]), ledger.FormatCosigned(signed, head.Origin, bySize[size])})
	}
	return notes, nil
}

// witnessWait is how long a request for evidence waits for the hospitals that
// are there to cosign the head that the evidence will end with.
const witnessWait = 2 * time.Second

// gatherCosignatures asks every site that cosigns to do so for the log as it is
// now, and waits for those that are there.
func (d *Driver) gatherCosignatures() {
	d.mu.Lock()
	size := d.leaves
	if !d.awaited(size) {
		d.mu.Unlock()
		return
	}
	d.toWitness = size
	d.assign()
	d.mu.Unlock()
	timeout := time.NewTimer(witnessWait)
	defer timeout.Stop()
	for {
		d.mu.Lock()
		awaited, witnessed := d.awaited(size), d.witnessed
		d.mu.Unlock()
		if !awaited {
			return
		}
		select {
		case <-witnessed:
		case <-timeout.C:
			return
		}
	}
}

// awaited reports whether a site that cosigns, and that is there, has not
// cosigned the log of that size. The caller holds the lock.
func (d *Driver) awaited(size uint64) bool {
	now := d.Now()
	for site, c := range d.cosigned {
		if c.size < size && d.present(site, now, witnessWait) {
			return true
		}
	}
	return false
}
