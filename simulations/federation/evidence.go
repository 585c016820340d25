package federation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// fetch asks for a study's evidence bundle, as auditors do, and gives its files
// to emit, whole and one after another.
func fetch(ctx context.Context, from consiliumv1.LedgerServiceClient, study string, ciphertexts bool, emit func(path string, data []byte) error) error {
	stream, err := from.Evidence(ctx, &consiliumv1.EvidenceRequest{Study: study, Ciphertexts: ciphertexts})
	if err != nil {
		return err
	}
	path, data := "", []byte(nil)
	for {
		piece, err := stream.Recv()
		if path != "" && (err != nil || piece.GetPath() != path) {
			if !filepath.IsLocal(filepath.FromSlash(path)) {
				return fmt.Errorf("the bundle names a file outside itself")
			}
			if err := emit(path, data); err != nil {
				return err
			}
			data = nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if path = piece.GetPath(); data == nil {
			data = piece.GetData()
		} else {
			data = append(data, piece.GetData()...)
		}
	}
}

// evidence fetches all of a study's bundle but the ciphertexts. Those are most of
// it by far, and lie in this process's reach: they are named as the contributions'
// headers name them and read where the coordinator keeps them, by whoever holds
// them against their names.
func (c *consortium) evidence(ctx context.Context) (*bundle, error) {
	b := newBundle()
	err := fetch(ctx, consiliumv1.NewLedgerServiceClient(c.auditor.conn), c.digest(), false, func(path string, data []byte) error {
		return b.add(path, func([]byte) ([]byte, error) { return data, nil })
	})
	if err != nil {
		return nil, err
	}
	leaves, err := b.ReadFile("entries.jsonl")
	if err != nil {
		return nil, err
	}
	for leaf := range bytes.Lines(leaves) {
		entry, err := ledger.ParseEntry(bytes.TrimSuffix(leaf, []byte("\n")))
		if err != nil {
			return nil, err
		}
		if entry.Study == c.digest() && entry.Type == ledger.TypeContribution {
			if err := c.addCiphertexts(b, entry.Subject); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func (c *consortium) addCiphertexts(b *bundle, header statement.Digest) error {
	envelope, err := b.ReadFile("blobs/" + header.String())
	if err != nil {
		return err
	}
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		return err
	}
	var h statement.ContributionHeader
	if err := statement.Decode(payload, &h); err != nil {
		return err
	}
	for i, chunk := range h.Chunks {
		// The same ciphertext in two contributions is one file.
		err := b.add("blobs/"+chunk.String(), func(into []byte) ([]byte, error) { return c.currentServer().Ciphertext(into, h.Round, h.Site, i) })
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// write writes a bundle into a folder.
func (b *bundle) write(dir string) error {
	for path, read := range b.files {
		data, err := read(nil)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
