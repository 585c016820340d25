package driver

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// A sum of a long vector and the ciphertexts behind it go out piece by piece,
// once each, and a damaged one breaks the bundle off.
func TestALongBlobIsSentInPieces(t *testing.T) {
	dir := t.TempDir()
	files, err := blobs.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	var path string
	var got []byte
	pieces := 0
	b := bundle{driver: &Driver{Options: Options{Blobs: files}}, sent: map[statement.Digest]bool{}, emit: func(p string, data []byte) error {
		path, got = p, append(got, data...)
		if pieces++; len(data) > piece {
			t.Errorf("a piece of %d bytes", len(data))
		}
		return nil
	}}
	for length, want := range map[int]int{0: 1, 1: 1, piece: 1, piece + 1: 2, 3*piece - 1: 3} {
		blob := blobs.New(bytes.Repeat([]byte{byte(length)}, length))
		if err := files.Put(blob); err != nil {
			t.Fatal(err)
		}
		got, pieces = nil, 0
		if err := errors.Join(b.stream(files, blob.Name()), b.stream(files, blob.Name())); err != nil {
			t.Fatal(err)
		}
		if path != "blobs/"+blob.Name().String() || statement.DigestOf(got) != blob.Name() || pieces != want {
			t.Errorf("a blob of %d bytes came as %d bytes in %d pieces under %s", length, len(got), pieces, path)
		}
	}
	damaged := blobs.New(make([]byte, 2*piece))
	if err := os.WriteFile(filepath.Join(dir, damaged.Name().String()), make([]byte, 2*piece+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.stream(files, damaged.Name()); !errors.Is(err, blobs.ErrDamaged) {
		t.Errorf("a damaged blob: %v", err)
	}
}
