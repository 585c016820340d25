package driver

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// File is one file of an evidence bundle, by its path in the bundle, or a piece of
// one: the pieces of a file come one after another.
type File func(path string, data []byte) error

// Evidence gives every file of a study's evidence bundle to emit: the
// checkpoint and all leaves under it, also as tiles; the checkpoints that
// hospitals cosigned, and proofs of single entries; the keys and rosters to
// verify all that by; the protocol, and every statement, parameter and sum that
// the study's entries name; and the coordinator's attestation. Ciphertext comes
// only when asked for. The lock is not held while files are read and sent: what
// is named by its digest does not change.
func (d *Driver) Evidence(hex string, caller identity.Member, ciphertexts bool, emit File) error {
	s, err := d.mayHaveEvidence(hex, caller, ciphertexts)
	if err != nil {
		return err
	}
	d.gatherCosignatures()
	h, err := d.history()
	if err != nil {
		return err
	}
	if err := h.emit(s.id, emit); err != nil {
		return err
	}
	inLedger := 0
	b := bundle{driver: d, emit: emit, ciphertexts: ciphertexts, sent: map[statement.Digest]bool{}, lies: map[statement.Digest]blobs.Store{}}
	for _, leaf := range h.leaves {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return err
		}
		if e.Type == ledger.TypeRoster {
			inLedger++
			if err := emit(fmt.Sprintf("rosters/%06d.json", inLedger), h.rosters[inLedger-1]); err != nil {
				return err
			}
		}
		if e.Study == s.id.String() {
			if err := b.entry(e); err != nil {
				return err
			}
		}
	}
	if err := b.earlier(s, caller, h.leaves); err != nil {
		return err
	}
	if err := emit("study.yaml", s.study.Source()); err != nil {
		return err
	}
	attestation, err := d.attest(s.id, h, b.read)
	if err != nil {
		return err
	}
	return emit("attestation.json", attestation)
}

// mayHaveEvidence finds the study whose evidence a caller may have.
func (d *Driver) mayHaveEvidence(hex string, caller identity.Member, ciphertexts bool) (*studyState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.studyByName(hex)
	if err != nil || caller.Role != identity.RoleResearcher {
		return s, err
	}
	switch {
	case s.proposed.Researcher != caller.Name:
		return nil, problem(Denied, "not-your-study", "the evidence was not given", "another researcher proposed this study", "ask the researcher who proposed it, or an auditor")
	case ciphertexts:
		return nil, problem(Denied, "ciphertexts-for-auditors", "the evidence was not given", "ciphertexts are for auditors", "ask without ciphertexts")
	}
	return s, nil
}

// history is the ledger at one moment, with what verifies it.
type history struct {
	leaves     [][]byte
	checkpoint []byte
	cosigned   []cosignedNote
	rosters    [][]byte
	governance []byte
}

func (d *Driver) history() (h history, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h.rosters = d.Node.Rosters().Envelopes()
	if h.governance, err = identity.FormatPublicKey(d.Node.Governance()); err != nil {
		return h, err
	}
	if h.checkpoint, _, err = d.checkpoint(0); err != nil {
		return h, err
	}
	if h.cosigned, err = d.cosignedNotes(); err != nil {
		return h, err
	}
	h.leaves, err = d.log.Leaves(0, d.leaves)
	return h, err
}

// emit sends what does not depend on the study, and the proofs of its entries.
func (h history) emit(study statement.Digest, emit File) error {
	files := ledger.Tiles(h.leaves)
	files["checkpoint"] = h.checkpoint
	files["entries.jsonl"] = append(bytes.Join(h.leaves, []byte("\n")), '\n')
	files["governance.pub"] = h.governance
	var notes [][]byte
	for _, c := range h.cosigned {
		files[audit.CosignedFile(c.size)] = c.note
		notes = append(notes, c.note)
	}
	proofs, err := audit.Proofs(study, h.leaves, audit.Best(h.checkpoint, notes)...)
	if err != nil {
		return err
	}
	maps.Copy(files, proofs)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := emit(path, files[path]); err != nil {
			return err
		}
	}
	return nil
}

// attest signs the in-toto statement about a study.
func (d *Driver) attest(study statement.Digest, h history, blob func(statement.Digest) ([]byte, error)) ([]byte, error) {
	head, err := ledger.ParseCheckpoint(h.checkpoint)
	if err != nil {
		return nil, err
	}
	attestation, err := audit.Attest(study, *head, h.leaves, blob, audit.ThisSoftware())
	if err != nil {
		return nil, err
	}
	return d.signed(audit.KindAttestation, attestation)
}

// bundle sends each blob once.
type bundle struct {
	driver      *Driver
	emit        File
	ciphertexts bool
	sent        map[statement.Digest]bool
	lies        map[statement.Digest]blobs.Store // what an entry names
	scratch     []byte
}

// read reads what an entry names that was sent.
func (b *bundle) read(name statement.Digest) ([]byte, error) {
	from, ok := b.lies[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", blobs.ErrMissing, name)
	}
	return from.Get(name)
}

// blob sends and returns a blob that is read here, too.
func (b *bundle) blob(from blobs.Store, name statement.Digest) ([]byte, error) {
	b.lies[name] = from
	data, err := from.Get(name)
	if err != nil || b.sent[name] {
		return data, err
	}
	b.sent[name] = true
	return data, b.emit("blobs/"+name.String(), data)
}

// piece is how much of a long blob is in memory at a time.
const piece = 1 << 20

// stream sends a blob that may be long, such as a sum. A blob that turns out to
// be damaged at its end breaks the bundle off.
func (b *bundle) stream(store blobs.Store, name statement.Digest) error {
	if b.sent[name] {
		return nil
	}
	b.sent[name] = true
	from, err := store.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	if b.scratch == nil {
		b.scratch = make([]byte, piece)
	}
	for first := true; ; first = false {
		n, err := io.ReadFull(from, b.scratch)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		data := bytes.Clone(b.scratch[:n]) // what is sent may not change any more
		if first || len(data) > 0 {
			if err := b.emit("blobs/"+name.String(), data); err != nil {
				return err
			}
		}
		if len(data) < piece {
			return nil
		}
	}
}

// entry sends what an entry names, and what that names in turn.
func (b *bundle) entry(e ledger.Entry) error {
	store := b.driver.Blobs
	if e.Round != "" {
		round, err := statement.ParseDigest(e.Round)
		if err != nil {
			return err
		}
		store = store.In(round)
	}
	data, err := b.blob(store, e.Subject)
	if err != nil {
		return err
	}
	var more []statement.Digest
	switch e.Type {
	case ledger.TypePlan:
		var plan statement.Plan
		err = inside(data, &plan)
		more = append(more, plan.Parameters)
	case ledger.TypeOpeningShare:
		var share statement.OpeningShare
		err = inside(data, &share)
		more = append(more, share.Share)
	case ledger.TypeRoundEnd:
		var end statement.RoundEnd
		err = inside(data, &end)
		if end.Sum != nil {
			more = append(more, *end.Sum)
		}
	case ledger.TypeStudyEnd:
		var end statement.StudyEnd
		err = inside(data, &end)
		if end.Result != nil {
			more = append(more, *end.Result)
		}
	case ledger.TypeCard:
		var card statement.Card
		err = inside(data, &card)
		more = append(more, card.Card)
	case ledger.TypeContribution:
		var header statement.ContributionHeader
		err = inside(data, &header)
		if b.ciphertexts {
			more = append(more, header.Chunks...)
		}
	}
	for _, name := range more {
		if err == nil {
			err = b.stream(store, name)
		}
	}
	return err
}

// Ciphertext reads a chunk of a contribution, unchecked: the caller is in this
// process and holds it against its digest.
func (d *Driver) Ciphertext(into []byte, id statement.Digest, site string, chunk int) ([]byte, error) {
	r, crypto, err := d.find(id)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	h, err := d.header(r, site)
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if chunk < 0 || chunk >= len(h.Chunks) {
		return nil, fmt.Errorf("the contribution has %d chunks, there is no chunk %d", len(h.Chunks), chunk)
	}
	return d.bulk(r).Section(into, h.Chunks[chunk], 0, crypto.ChunkBytes())
}

// inside decodes a statement that was verified when it was stored.
func inside(envelope []byte, v any) error {
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		return err
	}
	return statement.Decode(payload, v)
}
