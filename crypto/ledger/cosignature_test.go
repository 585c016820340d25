package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var seenAt = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// cosigned is a checkpoint with the cosignatures of members.
func cosigned(t *testing.T, log *Log, members ...string) []byte {
	t.Helper()
	signed, err := log.Checkpoint(testKey("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCheckpoint(signed)
	if err != nil {
		t.Fatal(err)
	}
	var all []Cosignature
	for _, m := range members {
		s, err := Cosign(*c, seenAt, testKey(m))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Cosignature{m, public(m), s})
	}
	return FormatCosigned(signed, origin, all)
}

func witnesses(members ...string) map[string]ed25519.PublicKey {
	keys := make(map[string]ed25519.PublicKey)
	for _, m := range members {
		keys[m] = public(m)
	}
	return keys
}

func TestWhoSawACheckpoint(t *testing.T) {
	log := logOf(t, 5, 5, "")
	data := cosigned(t, log, "Zürich + Land", "Aare")
	c, seen, err := VerifyCosigned(data, origin, public("coordinator"), witnesses("Aare", "Birs", "Zürich + Land"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Size != 5 || len(seen) != 2 || seen[0] != (Sighting{"Aare", seenAt}) || seen[1].Member != "Zürich + Land" {
		t.Errorf("%+v %+v", c, seen)
	}
	if _, seen, err := VerifyCosigned(cosigned(t, log), origin, public("coordinator"), nil); err != nil || len(seen) != 0 {
		t.Errorf("no cosignature: %v %v", seen, err)
	}
}

// v1 verifies a cosignature as the note package asks for it, written from the
// text of C2SP tlog-cosignature alone.
type v1 struct {
	name string
	key  ed25519.PublicKey
}

func (v v1) Name() string { return v.name }

func (v v1) KeyHash() uint32 {
	h := sha256.Sum256([]byte(v.name + "\n\x04" + string(v.key)))
	return binary.BigEndian.Uint32(h[:])
}

func (v v1) Verify(msg, sig []byte) bool {
	return len(sig) == 72 && ed25519.Verify(v.key, []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(sig), msg)), sig[8:])
}

// Any verifier of C2SP notes reads a cosigned checkpoint.
func TestACosignedCheckpointIsANote(t *testing.T) {
	data := cosigned(t, logOf(t, 5, 5, ""), "Aare", "Zürich + Land")
	coordinator, err := noteVerifier(origin, public("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(data, note.VerifierList(coordinator, v1{WitnessName(origin, "Aare"), public("Aare")}, v1{WitnessName(origin, "Zürich + Land"), public("Zürich + Land")}))
	if err != nil || len(n.Sigs) != 3 || len(n.UnverifiedSigs) != 0 {
		t.Fatalf("%+v, %v", n, err)
	}
}

func TestEveryByteOfACosignedCheckpointIsSigned(t *testing.T) {
	data := cosigned(t, logOf(t, 5, 5, ""), "Aare", "Birs")
	keys := witnesses("Aare", "Birs")
	ends := 0
	for i := range data {
		for bit := range 8 {
			flipped := bytes.Clone(data)
			flipped[i] ^= 1 << bit
			if _, _, err := VerifyCosigned(flipped, origin, public("coordinator"), keys); !errors.Is(err, ErrSecurity) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
		if _, _, err := VerifyCosigned(data[:i], origin, public("coordinator"), keys); err == nil {
			ends++ // after a whole line: a note with fewer cosignatures
		}
	}
	if ends != 2 {
		t.Errorf("%d places to cut it, want 2", ends)
	}
}

func TestCosignaturesThatAreRefused(t *testing.T) {
	log := logOf(t, 5, 5, "")
	one := string(cosigned(t, log, "Aare"))
	line := one[strings.LastIndex(one, "— "):]
	for name, data := range map[string]string{
		"by a stranger":      string(cosigned(t, log, "Stranger")),
		"twice":              one + line,
		"out of order":       string(cosigned(t, log, "Birs")) + line,
		"another checkpoint": string(cosigned(t, logOf(t, 6, 6, ""))) + line,
		"the coordinator's":  one + one[strings.Index(one, "— "):strings.LastIndex(one, "— ")],
		"no end":             strings.TrimSuffix(one, "\n"),
		"an empty line":      one + "\n",
	} {
		if _, _, err := VerifyCosigned([]byte(data), origin, public("coordinator"), witnesses("Aare", "Birs")); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Checkpoint{Origin: origin, Size: 5}
	s, err := Cosign(c, seenAt, testKey("Aare"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s {
		s[i] ^= 1
		if _, err := VerifyCosignature(c, s, public("Aare")); !errors.Is(err, ErrSecurity) {
			t.Errorf("byte %d: %v", i, err)
		}
		s[i] ^= 1
	}
	if _, err := VerifyCosignature(c, s[:71], public("Aare")); !errors.Is(err, ErrSecurity) {
		t.Error("a short one is accepted")
	}
	if _, err := Cosign(c, time.Time{}, testKey("Aare")); err == nil {
		t.Error("cosigned at no time")
	}
}

// The tiles of a log are those that tlog, which stores the same hashes in
// another order, reads from it, and their entries are the log's.
func TestTilesAreTheLog(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 700} {
		log := logOf(t, n, n, "")
		leaves, err := log.Leaves(0, uint64(n))
		if err != nil {
			t.Fatal(err)
		}
		files := Tiles(leaves)
		want := 0
		for _, tile := range tlog.NewTiles(8, 0, int64(n)) {
			want++
			data, err := tlog.ReadTileData(tile, log.reader())
			if err != nil {
				t.Fatal(err)
			}
			name := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
			if !bytes.Equal(files[name], data) {
				t.Errorf("%d leaves: %s differs", n, name)
			}
		}
		var entries [][]byte
		for i := 0; i*tileWidth < n; i++ {
			want++
			for data := files[tilePath("entries", i, n)]; len(data) > 0; {
				length := int(binary.BigEndian.Uint16(data))
				entries, data = append(entries, data[2:2+length]), data[2+length:]
			}
		}
		if len(files) != want || len(entries) != n {
			t.Fatalf("%d leaves: %d files, want %d, with %d entries", n, len(files), want, len(entries))
		}
		for i := range entries {
			if !bytes.Equal(entries[i], leaves[i]) {
				t.Errorf("entry %d of %d differs", i, n)
			}
		}
	}
}

func TestTilesAreNamedInGroupsOfThreeDigits(t *testing.T) {
	for n, want := range map[int]string{0: "tile/0/000", 999: "tile/0/999", 1000: "tile/0/x001/000", 1234067: "tile/0/x001/x234/067"} {
		if got := tilePath("0", n, (n+1)*tileWidth); got != want {
			t.Errorf("tile %d is %s, want %s", n, got, want)
		}
	}
	if got := tilePath("1", 0, 7); got != "tile/1/000.p/7" {
		t.Errorf("a partial tile is %s", got)
	}
}

func TestAProofFileIsWhatC2SPSays(t *testing.T) {
	hash := sha256.Sum256([]byte("hash"))
	got := string(FormatProofFile([]byte("leaf"), 5, [][32]byte{hash}, []byte("checkpoint\n")))
	want := "c2sp.org/tlog-proof@v1\nextra bGVhZg==\nindex 5\n" + base64.StdEncoding.EncodeToString(hash[:]) + "\n\ncheckpoint\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Whatever is read as a cosigned checkpoint is one of those that were written.
func FuzzVerifyCosigned(f *testing.F) {
	log := NewLog(origin, NewMemory())
	if _, err := log.Append([]byte("leaf")); err != nil {
		f.Fatal(err)
	}
	signed, err := log.Checkpoint(testKey("coordinator"))
	if err != nil {
		f.Fatal(err)
	}
	c, err := ParseCheckpoint(signed)
	if err != nil {
		f.Fatal(err)
	}
	written := map[string]bool{}
	var all []Cosignature
	for _, m := range []string{"Aare", "Birs"} {
		s, err := Cosign(*c, seenAt, testKey(m))
		if err != nil {
			f.Fatal(err)
		}
		one := Cosignature{m, public(m), s}
		all = append(all, one)
		written[string(FormatCosigned(signed, origin, []Cosignature{one}))] = true
	}
	written[string(signed)] = true
	written[string(FormatCosigned(signed, origin, all))] = true
	for text := range written {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, _, err := VerifyCosigned(data, origin, public("coordinator"), witnesses("Aare", "Birs")); err == nil && !written[string(data)] {
			t.Fatalf("a forged one: %q", data)
		}
	})
}

// The cosignatures of a large consortium are below its checkpoint, which is read
// for display all the same.
func TestACheckpointWithManyCosignatures(t *testing.T) {
	var members []string
	for i := range 200 {
		members = append(members, fmt.Sprintf("hospital %03d", i))
	}
	data := cosigned(t, logOf(t, 5, 5, ""), members...)
	if c, err := ParseCheckpoint(data); err != nil || c.Size != 5 {
		t.Errorf("read without verifying: %v, %v", c, err)
	}
	if _, seen, err := VerifyCosigned(data, origin, public("coordinator"), witnesses(members...)); err != nil || len(seen) != len(members) {
		t.Errorf("%d of %d cosignatures verified, %v", len(seen), len(members), err)
	}
}
