package federation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// fetchEvidence writes a study's evidence bundle, ciphertexts included, into a
// folder.
func fetchEvidence(ctx context.Context, ledger consiliumv1.LedgerServiceClient, study, dir string) error {
	stream, err := ledger.Evidence(ctx, &consiliumv1.EvidenceRequest{Study: study, Ciphertexts: true})
	if err != nil {
		return err
	}
	var file *os.File
	finish := func() error {
		if file == nil {
			return nil
		}
		err := file.Close()
		file = nil
		return err
	}
	defer finish()
	current := ""
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return finish()
		}
		if err != nil {
			return err
		}
		if file == nil || piece.GetPath() != current {
			if err := finish(); err != nil {
				return err
			}
			current = piece.GetPath()
			if !filepath.IsLocal(filepath.FromSlash(current)) {
				return fmt.Errorf("the bundle names a file outside itself")
			}
			path := filepath.Join(dir, filepath.FromSlash(current))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			// Pieces of a file follow one another, so a file that is there
			// already would be the same name twice.
			if file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
				return err
			}
		}
		if _, err := file.Write(piece.GetData()); err != nil {
			return err
		}
	}
}
