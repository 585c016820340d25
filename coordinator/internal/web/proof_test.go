package web

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// logOf is a log of entries that differ, and its leaves.
func logOf(t *testing.T, size int) (*ledger.Log, [][]byte) {
	t.Helper()
	log := ledger.NewLog(ledger.Origin("Test"), ledger.NewMemory())
	var leaves [][]byte
	for i := range size {
		leaf, err := ledger.Entry{Time: time.Unix(int64(i), 0).UTC(), Type: ledger.TypeResult, Subject: statement.DigestOf([]byte{byte(i)}), Actor: "St. Mary's 100%"}.Leaf()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(leaf); err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	return log, leaves
}

// The steps that a page shows lead to the root that package ledger computes, for
// every entry at every size, and nowhere near it if anything is changed.
func TestTheStepsLeadToTheRoot(t *testing.T) {
	const most = 35
	log, leaves := logOf(t, most)
	for size := uint64(1); size <= most; size++ {
		root, err := log.RootAt(size)
		if err != nil {
			t.Fatal(err)
		}
		for index := range size {
			proof, err := log.Inclusion(index, size)
			if err != nil {
				t.Fatal(err)
			}
			at := fmt.Sprintf("entry %d of %d", index, size)
			h := head{Size: size, Root: root, Signed: true}
			holds := func(p proven) bool {
				v, err := p.view()
				if err != nil {
					t.Fatal(err)
				}
				if v.Holds == (v.Why != "") {
					t.Errorf("%s: holds is %v, and the reason %q", at, v.Holds, v.Why)
				}
				return v.Holds
			}
			if !holds(proven{index, leaves[index], proof, h}) {
				t.Errorf("%s: the proof does not hold", at)
			}
			if other := (index + 1) % most; holds(proven{index, leaves[other], proof, h}) {
				t.Errorf("%s: entry %d has its proof", at, other)
			}
			if size > 1 && holds(proven{(index + 1) % size, leaves[index], proof, h}) {
				t.Errorf("%s: it stands at another place too", at)
			}
			if holds(proven{index, leaves[index], append(proof[:len(proof):len(proof)], root), h}) {
				t.Errorf("%s: a proof that is too long holds", at)
			}
			if len(proof) > 0 && holds(proven{index, leaves[index], proof[:len(proof)-1], h}) {
				t.Errorf("%s: a proof that is too short holds", at)
			}
			for i := range proof {
				bad := append([][32]byte(nil), proof...)
				bad[i][31] ^= 1
				if holds(proven{index, leaves[index], bad, h}) {
					t.Errorf("%s: a flipped bit in hash %d is not seen", at, i)
				}
			}
			h.Signed, h.Why = false, "the checkpoint is not signed"
			if holds(proven{index, leaves[index], proof, h}) {
				t.Errorf("%s: the proof holds under a checkpoint that nobody signed", at)
			}
		}
	}
}

// A proof that nobody could have made ends in a reason.
func FuzzWalk(f *testing.F) {
	f.Add([]byte("leaf"), uint64(3), uint64(7), []byte("00000000000000000000000000000000"))
	f.Fuzz(func(t *testing.T, leaf []byte, index, size uint64, hashes []byte) {
		var proof [][32]byte
		for ; len(hashes) >= 32; hashes = hashes[32:] {
			proof = append(proof, [32]byte(hashes))
		}
		first, steps, err := walk(leaf, index, size, proof)
		if err != nil || size > 1<<48 {
			return
		}
		root := first
		if n := len(steps); n > 0 {
			root = steps[n-1].Result
		}
		if err := ledger.CheckInclusion(leaf, index, size, root, proof); err != nil {
			t.Errorf("the steps lead to a root that package ledger refuses: %v", err)
		}
	})
}

// A checkpoint by another key than the rostered one is not signed for the page.
func TestAnotherKeysCheckpointIsNotSigned(t *testing.T) {
	log, _ := logOf(t, 3)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	note, err := log.Checkpoint(key)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHead(note, nil, ledger.Origin("Test"), key.Public().(ed25519.PublicKey), nil)
	if err != nil || !h.Signed {
		t.Errorf("its own key: %+v, %v", h, err)
	}
	h, err = newHead(note, note, ledger.Origin("Test"), other, nil)
	if err != nil || h.Signed || h.Why == "" || h.WitnessProblem == "" {
		t.Errorf("another key: %+v, %v", h, err)
	}
}
