package secagg

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// A sum that is read from where it is kept is the sum that was written, and no
// other length and no error on the way is taken for it.
func TestASumIsReadPieceByPiece(t *testing.T) {
	l := Layout{{"narrow", 3, 2, 1000}, {"wide", 3, 70, 1e10}}
	f := seal(t, newRound(t, l, 4, 4), randomValues(rand.New(rand.NewPCG(17, 18)), l, 4))
	sum, err := f.open(t, []int{0, 1, 3}, all(4))
	if err != nil {
		t.Fatal(err)
	}
	whole := sum.Bytes()
	got, err := f.ReadSum(iotest.OneByteReader(bytes.NewReader(whole)))
	if err != nil || !bytes.Equal(got.Bytes(), whole) {
		t.Fatalf("read back: %v", err)
	}
	for cut := range whole {
		if _, err := f.ReadSum(bytes.NewReader(whole[:cut])); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut to %d bytes: %v", cut, err)
		}
	}
	if _, err := f.ReadSum(io.MultiReader(bytes.NewReader(whole), bytes.NewReader([]byte{0}))); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte longer: %v", err)
	}
	damaged := errors.New("the file was damaged")
	if _, err := f.ReadSum(io.MultiReader(bytes.NewReader(whole), iotest.ErrReader(damaged))); !errors.Is(err, damaged) {
		t.Errorf("damage found at the end: %v", err)
	}
}
