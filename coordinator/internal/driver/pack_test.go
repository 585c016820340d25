package driver

import (
	"bytes"
	"errors"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/statement"
)

func TestAPackGivesItsPartsBack(t *testing.T) {
	files, err := blobs.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stored := func(packed []byte) statement.Digest {
		b := blobs.New(packed)
		if err := files.Put(b); err != nil {
			t.Fatal(err)
		}
		return b.Name()
	}
	parts := [][]byte{[]byte("first"), {}, bytes.Repeat([]byte("x"), 70_000)}
	packed := pack(parts)
	name := stored(packed)
	for i, want := range parts {
		got, err := sealedShare{name, statement.DigestOf(want)}.read(files, len(parts), i)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("part %d: %d bytes, %v", i, len(got), err)
		}
		if _, err := (sealedShare{name, statement.Digest{}}).read(files, len(parts), i); !errors.Is(err, blobs.ErrDamaged) {
			t.Errorf("part %d, which should have another digest: %v", i, err)
		}
	}
	for _, index := range []int{-1, len(parts)} {
		if _, err := (sealedShare{name, statement.Digest{}}).read(files, len(parts), index); err == nil {
			t.Errorf("part %d, which is not there, was found", index)
		}
	}
	for cut := range packed[:20] {
		s := sealedShare{stored(packed[:cut]), statement.DigestOf(parts[2])}
		if _, err := s.read(files, len(parts), 2); !errors.Is(err, blobs.ErrDamaged) {
			t.Errorf("a pack cut at %d: %v", cut, err)
		}
	}
}
