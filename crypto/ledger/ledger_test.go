package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/consilium-fl/consilium/crypto/statement"
)

const origin = "consilium/north"

func testKey(seed string) ed25519.PrivateKey {
	d := statement.DigestOf([]byte(seed))
	return ed25519.NewKeyFromSeed(d[:])
}

func public(seed string) ed25519.PublicKey { return testKey(seed).Public().(ed25519.PublicKey) }

// logOf returns a log of n leaves; variant changes every leaf from fork on.
func logOf(t testing.TB, n, fork int, variant string) *Log {
	t.Helper()
	log := NewLog(origin, NewMemory())
	for i := range n {
		leaf := fmt.Sprintf("leaf %d", i)
		if i >= fork {
			leaf += variant
		}
		if index, err := log.Append([]byte(leaf)); err != nil || index != uint64(i) {
			t.Fatalf("append %d: index %d, %v", i, index, err)
		}
	}
	return log
}

func root(t testing.TB, log *Log, size int) [32]byte {
	t.Helper()
	r, err := log.RootAt(uint64(size))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The test vectors of RFC 6962 implementations: the roots over the first n of
// eight known leaves, the hash of a leaf and of a node.
func TestHashesAreThoseOfRFC6962(t *testing.T) {
	var leaves [][]byte
	for _, digits := range []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"} {
		leaf, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	for n, want := range map[int]string{0: "e3b0c44298fc", 1: "6e340b9cffb3", 2: "fac54203e7cc", 3: "aeb6bcfe274b", 7: "ddb89be40380", 8: "5dc9da79a706"} {
		got, err := RootOf(leaves[:n])
		if err != nil {
			t.Fatal(err)
		}
		if prefix := hex.EncodeToString(got[:6]); prefix != want {
			t.Errorf("root over %d leaves is %s…, want %s…", n, prefix, want)
		}
	}
	leaf := tlog.RecordHash([]byte("L123456"))
	if got := hex.EncodeToString(leaf[:6]); got != "395aa064aa4c" {
		t.Errorf("leaf hash %s…", got)
	}
}

// Every proof the log gives verifies, and none verifies for anything else.
func TestInclusionOfEveryLeafAtEverySize(t *testing.T) {
	const n = 20
	log := logOf(t, n, n, "")
	leaves, err := log.Leaves(0, n)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; size <= n; size++ {
		for index := range size {
			proof, err := log.Inclusion(uint64(index), uint64(size))
			if err != nil {
				t.Fatal(err)
			}
			for claim := range size {
				err := CheckInclusion(leaves[claim], uint64(index), uint64(size), root(t, log, size), proof)
				if claim == index && err != nil {
					t.Errorf("leaf %d of %d: %v", index, size, err)
				}
				if claim != index && !errors.Is(err, ErrSecurity) {
					t.Errorf("leaf %d passes for leaf %d of %d: %v", claim, index, size, err)
				}
			}
			if size > 1 {
				if err := CheckInclusion(leaves[index], uint64((index+1)%size), uint64(size), root(t, log, size), proof); !errors.Is(err, ErrSecurity) {
					t.Errorf("leaf %d of %d passes at another index: %v", index, size, err)
				}
				proof[0][0] ^= 1
				if err := CheckInclusion(leaves[index], uint64(index), uint64(size), root(t, log, size), proof); !errors.Is(err, ErrSecurity) {
					t.Errorf("a damaged proof verifies: %v", err)
				}
				if err := CheckInclusion(leaves[index], uint64(index), uint64(size), root(t, log, size), proof[1:]); !errors.Is(err, ErrSecurity) {
					t.Errorf("a short proof verifies: %v", err)
				}
			}
		}
	}
}

func TestConsistencyBetweenAllSizes(t *testing.T) {
	const n = 20
	log := logOf(t, n, n, "")
	for old := 0; old <= n; old++ {
		for size := old; size <= n; size++ {
			proof, err := log.Consistency(uint64(old), uint64(size))
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckConsistency(uint64(old), root(t, log, old), uint64(size), root(t, log, size), proof); err != nil {
				t.Errorf("%d to %d: %v", old, size, err)
			}
			if old == 0 || old == size {
				extra := append(proof, [32]byte{})
				if err := CheckConsistency(uint64(old), root(t, log, old), uint64(size), root(t, log, size), extra); !errors.Is(err, ErrSecurity) {
					t.Errorf("%d to %d with a needless proof: %v", old, size, err)
				}
				continue
			}
			if err := CheckConsistency(uint64(old), root(t, log, old-1), uint64(size), root(t, log, size), proof); !errors.Is(err, ErrSecurity) {
				t.Errorf("%d to %d from another root: %v", old, size, err)
			}
			if err := CheckConsistency(uint64(size), root(t, log, size), uint64(old), root(t, log, old), proof); !errors.Is(err, ErrSecurity) {
				t.Errorf("%d back to %d: %v", size, old, err)
			}
		}
	}
}

func TestALogAnswersOnlyForWhatItHolds(t *testing.T) {
	log := logOf(t, 5, 5, "")
	if _, err := log.RootAt(6); err == nil {
		t.Error("root of a log that is not")
	}
	if _, err := log.Inclusion(5, 5); err == nil {
		t.Error("inclusion of an entry beyond the size")
	}
	if _, err := log.Inclusion(0, 6); err == nil {
		t.Error("inclusion in a log that is not")
	}
	if _, err := log.Consistency(4, 6); err == nil {
		t.Error("consistency with a log that is not")
	}
	if _, err := log.Consistency(5, 4); err == nil {
		t.Error("consistency backwards")
	}
	for _, span := range [][2]uint64{{3, 2}, {0, 6}, {6, 6}, {1 << 63, 1<<63 + 1}} {
		if _, err := log.Leaves(span[0], span[1]); err == nil {
			t.Errorf("leaves %v", span)
		}
	}
}

func TestImpossibleProofsAreRefusedQuickly(t *testing.T) {
	for _, size := range []uint64{1 << 49, 1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		if err := CheckInclusion(nil, size-1, size, [32]byte{}, nil); !errors.Is(err, ErrSecurity) {
			t.Errorf("inclusion in %d: %v", size, err)
		}
		if err := CheckConsistency(1, [32]byte{}, size, [32]byte{}, nil); !errors.Is(err, ErrSecurity) {
			t.Errorf("consistency to %d: %v", size, err)
		}
	}
	long := make([][32]byte, maxProof+1)
	if err := CheckInclusion(nil, 0, 2, [32]byte{}, long); !errors.Is(err, ErrSecurity) {
		t.Errorf("a proof of %d hashes: %v", len(long), err)
	}
	if _, err := ParseProof(FormatProof(long)); err == nil {
		t.Error("parsed a proof that is too long")
	}
	if _, err := ParseProof([][]byte{make([]byte, 31)}); err == nil {
		t.Error("parsed a hash of 31 bytes")
	}
}

func TestProofsCrossTheWire(t *testing.T) {
	log := logOf(t, 9, 9, "")
	proof, err := log.Consistency(4, 9)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseProof(FormatProof(proof))
	if err != nil || len(got) != len(proof) {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range got {
		if got[i] != proof[i] {
			t.Errorf("hash %d differs", i)
		}
	}
}

func TestMemoryRefusesGaps(t *testing.T) {
	m := NewMemory()
	if err := m.Append(1, nil, 0, nil); err == nil {
		t.Error("appended entry 1 to an empty store")
	}
	if err := m.Append(0, nil, 1, nil); err == nil {
		t.Error("appended hashes at a gap")
	}
	if _, err := m.Hashes([]uint64{0}); err == nil {
		t.Error("read a hash that is not there")
	}
	if _, err := m.Leaves(0, 1); err == nil {
		t.Error("read a leaf that is not there")
	}
}

// failing is a store whose disk is full.
type failing struct{ *Memory }

var errFull = errors.New("disk full")

func (failing) Append(uint64, []byte, uint64, [][32]byte) error { return errFull }

func TestAFailedAppendChangesNothing(t *testing.T) {
	store := NewMemory()
	log := NewLog(origin, store)
	if _, err := log.Append([]byte("a")); err != nil {
		t.Fatal(err)
	}
	before, _ := log.Root()
	if _, err := NewLog(origin, failing{store}).Append([]byte("b")); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
	if after, _ := log.Root(); after != before {
		t.Error("the log changed")
	}
}

func FuzzCheckProofs(f *testing.F) {
	f.Add(uint64(1), uint64(2), []byte("leaf"), make([]byte, 64))
	f.Add(uint64(1<<62), uint64(1<<63-1), []byte{}, make([]byte, 2048))
	f.Fuzz(func(t *testing.T, a, b uint64, leaf, raw []byte) {
		var proof [][32]byte
		for ; len(raw) >= 32; raw = raw[32:] {
			proof = append(proof, [32]byte(raw))
		}
		// No input panics or runs away; a root of ones has no known leaf.
		ones := [32]byte(bytes.Repeat([]byte{1}, 32))
		if CheckInclusion(leaf, a, b, ones, proof) == nil {
			t.Fatal("a preimage of a fixed root")
		}
		_ = CheckConsistency(a, ones, b, [32]byte{}, proof)
	})
}
