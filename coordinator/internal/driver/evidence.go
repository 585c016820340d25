package driver

import (
	"bytes"
	"fmt"
	"io"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// File is one file of an evidence bundle, by its path in the bundle, or a piece of
// one: the pieces of a file come one after another.
type File func(path string, data []byte) error

// Evidence gives every file of a study's evidence bundle to emit: the
// checkpoint and all leaves under it, the keys and rosters to verify them by,
// the protocol, and every statement, parameter and sum that the study's entries
// name. Ciphertext comes only when asked for. The lock is not held while files
// are read and sent: what is named by its digest does not change.
func (d *Driver) Evidence(hex string, caller identity.Member, ciphertexts bool, emit File) error {
	d.mu.Lock()
	s, err := d.studyByName(hex)
	if err != nil {
		d.mu.Unlock()
		return err
	}
	if caller.Role == identity.RoleResearcher {
		switch {
		case s.proposed.Researcher != caller.Name:
			err = problem(Denied, "not-your-study", "the evidence was not given", "another researcher proposed this study", "ask the researcher who proposed it, or an auditor")
		case ciphertexts:
			err = problem(Denied, "ciphertexts-for-auditors", "the evidence was not given", "ciphertexts are for auditors", "ask without ciphertexts")
		}
	}
	if err != nil {
		d.mu.Unlock()
		return err
	}
	checkpoint, _, err := d.checkpoint(0)
	var leaves [][]byte
	if err == nil {
		leaves, err = d.log.Leaves(0, d.leaves)
	}
	rosters := d.Node.Rosters().Envelopes()
	d.mu.Unlock()
	if err != nil {
		return err
	}

	governance, err := identity.FormatPublicKey(d.Node.Governance())
	if err != nil {
		return err
	}
	files := []struct {
		path string
		data []byte
	}{
		{"checkpoint", checkpoint},
		{"entries.jsonl", append(bytes.Join(leaves, []byte("\n")), '\n')},
		{"governance.pub", governance},
	}
	for _, f := range files {
		if err := emit(f.path, f.data); err != nil {
			return err
		}
	}
	inLedger := 0
	b := bundle{driver: d, emit: emit, ciphertexts: ciphertexts, sent: map[statement.Digest]bool{}}
	for _, leaf := range leaves {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return err
		}
		if e.Type == ledger.TypeRoster {
			inLedger++
			if err := emit(fmt.Sprintf("rosters/%06d.json", inLedger), rosters[inLedger-1]); err != nil {
				return err
			}
		}
		if e.Study == s.id.String() {
			if err := b.entry(e); err != nil {
				return err
			}
		}
	}
	return emit("study.yaml", s.study.Source())
}

// bundle sends each blob once.
type bundle struct {
	driver      *Driver
	emit        File
	ciphertexts bool
	sent        map[statement.Digest]bool
}

// blob sends and returns a blob that is read here, too.
func (b *bundle) blob(name statement.Digest) ([]byte, error) {
	data, err := b.driver.Blobs.Get(name)
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
func (b *bundle) stream(name statement.Digest) error {
	if b.sent[name] {
		return nil
	}
	b.sent[name] = true
	from, err := b.driver.Blobs.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	for first := true; ; first = false {
		data, err := io.ReadAll(io.LimitReader(from, piece))
		if err != nil {
			return err
		}
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
	data, err := b.blob(e.Subject)
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
	case ledger.TypeContribution:
		var header statement.ContributionHeader
		err = inside(data, &header)
		if b.ciphertexts {
			more = append(more, header.Chunks...)
		}
	}
	for _, name := range more {
		if err == nil {
			err = b.stream(name)
		}
	}
	return err
}

// inside decodes a statement that was verified when it was stored.
func inside(envelope []byte, v any) error {
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		return err
	}
	return statement.Decode(payload, v)
}
