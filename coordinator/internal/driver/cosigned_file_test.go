package driver

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"
)

// What sites cosigned of an entry that is worth it survives the process, as far as
// it is of this log; a file that is damaged costs nothing but itself.
func TestCosignaturesSurviveTheProcess(t *testing.T) {
	d, sites := witnessed(t, 9)
	d.Logger, d.CosignedFile, d.toWitness = zap.NewNop(), filepath.Join(t.TempDir(), "cosigned.json"), 7
	accept := func(site string, size uint64) {
		t.Helper()
		if err := d.Cosigned(site, size, cosign(t, sites[site], headOf(t, d, size))); err != nil {
			t.Fatal(err)
		}
	}
	again := func() map[string]cosignature {
		next := &Driver{Options: d.Options, log: d.log, leaves: d.leaves, cosigned: map[string]cosignature{}}
		next.readCosigned()
		return next.cosigned
	}
	accept("Aare", 5)
	if kept := again(); len(kept) != 0 {
		t.Errorf("before what is worth it, %d are kept", len(kept))
	}
	accept("Aare", 7)
	accept("Birs", 9)
	kept := again()
	if len(kept) != 2 || kept["Aare"].size != 7 || kept["Birs"].size != 9 {
		t.Errorf("kept %+v", kept)
	}
	accept("Aare", 9) // covers nothing new that is worth it: not written again
	if kept := again(); kept["Aare"].size != 7 {
		t.Errorf("kept %+v", kept)
	}
	d.toWitness = 9
	accept("Aare", 9)
	if kept := again(); kept["Aare"].size != 9 {
		t.Errorf("kept %+v", kept)
	}
	data, err := os.ReadFile(d.CosignedFile)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		damaged := append([]byte(nil), data...)
		damaged[i] ^= 1
		if err := os.WriteFile(d.CosignedFile, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		for site, c := range again() {
			if was, known := kept[site]; known && c.size != was.size && c.size != 9 {
				t.Fatalf("byte %d flipped: %s cosigned %d", i, site, c.size)
			}
		}
	}
}
