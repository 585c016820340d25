package ledger

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
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

func TestOriginHasNoSpaces(t *testing.T) {
	name := Origin("North and South")
	if strings.Contains(name, " ") || name == Origin("NorthandSouth") {
		t.Errorf("origin %q", name)
	}
	signed, err := SignCheckpoint(Checkpoint{Origin: name}, testKey("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyCheckpoint(signed, name, public("coordinator")); err != nil {
		t.Error(err)
	}
	if _, err := SignCheckpoint(Checkpoint{Origin: "with space"}, testKey("coordinator")); err == nil {
		t.Error("signed for an origin that no verifier accepts")
	}
}

func TestCheckpointIsASignedNote(t *testing.T) {
	log := logOf(t, 5, 5, "")
	signed, err := log.Checkpoint(testKey("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := log.Checkpoint(testKey("coordinator"))
	if !bytes.Equal(signed, again) {
		t.Error("the same head, signed twice, differs")
	}
	// Read it as any C2SP verifier would.
	text, err := note.NewEd25519VerifierKey(origin, public("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(n.Text, origin+"\n5\n") || strings.Count(n.Text, "\n") != 3 {
		t.Errorf("body %q", n.Text)
	}
	c, err := VerifyCheckpoint(signed, origin, public("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Checkpoint{origin, 5, root(t, log, 5)}); *c != want {
		t.Errorf("got %+v, want %+v", *c, want)
	}
	shown, err := ParseCheckpoint(signed)
	if err != nil || *shown != *c {
		t.Errorf("for display: %+v, %v", shown, err)
	}
}

func TestCheckpointsThatAreRefused(t *testing.T) {
	log := logOf(t, 5, 5, "")
	signed, _ := log.Checkpoint(testKey("coordinator"))
	text := string(signed)
	if _, err := VerifyCheckpoint(signed, origin, public("another")); !errors.Is(err, ErrSecurity) {
		t.Errorf("another key: %v", err)
	}
	if _, err := VerifyCheckpoint(signed, "consilium/south", public("coordinator")); !errors.Is(err, ErrSecurity) {
		t.Errorf("another origin: %v", err)
	}
	if _, err := VerifyCheckpoint(signed, origin, nil); err == nil {
		t.Error("no key")
	}
	for i := range signed {
		bad := bytes.Clone(signed)
		bad[i] ^= 1
		if _, err := VerifyCheckpoint(bad, origin, public("coordinator")); !errors.Is(err, ErrSecurity) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := VerifyCheckpoint(signed[:i], origin, public("coordinator")); !errors.Is(err, ErrSecurity) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	signature := text[strings.LastIndex(text, "—"):]
	for name, spelling := range map[string]string{
		"signed twice":        text + signature,
		"a foreign signature": text + "— other AAAAAAAA\n",
		"data before":         "\n" + text,
		"data after":          text + "\n",
		"too large":           strings.Repeat("a", maxCheckpoint+1),
	} {
		if _, err := VerifyCheckpoint([]byte(spelling), origin, public("coordinator")); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// Bodies that the coordinator itself would have to sign.
	c := Checkpoint{Origin: origin, Size: 5}
	for name, body := range map[string]string{
		"extension line":  c.body() + "extension\n",
		"leading zero":    strings.Replace(c.body(), "\n5\n", "\n05\n", 1),
		"plus sign":       strings.Replace(c.body(), "\n5\n", "\n+5\n", 1),
		"negative size":   strings.Replace(c.body(), "\n5\n", "\n-5\n", 1),
		"impossible size": strings.Replace(c.body(), "\n5\n", "\n9223372036854775807\n", 1),
		"short root":      origin + "\n5\nAAAA\n",
		"loose bits":      strings.Replace(c.body(), "A=\n", "B=\n", 1),
		"no origin":       "\n5\n" + strings.Split(c.body(), "\n")[2] + "\n",
		"foreign origin":  Checkpoint{Origin: "elsewhere", Size: 5}.body(),
	} {
		verifier, _ := noteVerifier(origin, public("coordinator"))
		bad, err := note.Sign(&note.Note{Text: body}, noteSigner{verifier, testKey("coordinator")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyCheckpoint(bad, origin, public("coordinator")); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func advance(t *testing.T, w *Witness, log *Log, key string) error {
	t.Helper()
	signed, err := log.Checkpoint(testKey(key))
	if err != nil {
		t.Fatal(err)
	}
	size, _ := log.Size()
	var proof [][32]byte
	if old := w.Latest().Size; old <= size {
		if proof, err = log.Consistency(old, size); err != nil {
			t.Fatal(err)
		}
	}
	return w.Advance(signed, proof)
}

func TestAWitnessFollowsALogThatGrows(t *testing.T) {
	w, err := NewWitness(origin, public("coordinator"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.Signed() != nil || w.Latest().Size != 0 {
		t.Error("a new witness has seen something")
	}
	log := logOf(t, 0, 0, "")
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		if err := advance(t, w, log, "coordinator"); err != nil {
			t.Fatal(err)
		}
		if size, _ := log.Size(); w.Latest().Size != size {
			t.Fatalf("witness at %d, log at %d", w.Latest().Size, size)
		}
		// A restart in between changes nothing.
		if w, err = NewWitness(origin, public("coordinator"), w.Signed()); err != nil {
			t.Fatal(err)
		}
		for range r.IntN(6) {
			if _, err := log.Append([]byte{byte(r.IntN(256))}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAWitnessRefusesRollbackAndFork(t *testing.T) {
	for name, bad := range map[string]*Log{
		"rolled back":         logOf(t, 6, 6, ""),
		"emptied":             logOf(t, 0, 0, ""),
		"forked, same size":   logOf(t, 7, 3, "'"),
		"forked, longer":      logOf(t, 12, 3, "'"),
		"last entry replaced": logOf(t, 9, 6, "'"),
	} {
		w, err := NewWitness(origin, public("coordinator"), nil)
		if err != nil {
			t.Fatal(err)
		}
		genuine := logOf(t, 7, 7, "")
		if err := advance(t, w, genuine, "coordinator"); err != nil {
			t.Fatal(err)
		}
		before := w.Signed()
		if err := advance(t, w, bad, "coordinator"); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(before, w.Signed()) {
			t.Errorf("%s: refused, but the witness moved", name)
		}
		if err := advance(t, w, genuine, "coordinator"); err != nil {
			t.Errorf("%s: then the genuine log: %v", name, err)
		}
	}
}

func TestAWitnessRefusesAnotherKeyAndAMissingProof(t *testing.T) {
	w, err := NewWitness(origin, public("coordinator"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := advance(t, w, logOf(t, 3, 3, ""), "another"); !errors.Is(err, ErrSecurity) {
		t.Errorf("first checkpoint by another key: %v", err)
	}
	if err := advance(t, w, logOf(t, 3, 3, ""), "coordinator"); err != nil {
		t.Fatal(err)
	}
	signed, _ := logOf(t, 5, 5, "").Checkpoint(testKey("coordinator"))
	if err := w.Advance(signed, nil); !errors.Is(err, ErrSecurity) {
		t.Errorf("no proof: %v", err)
	}
	if _, err := NewWitness(origin, public("another"), w.Signed()); !errors.Is(err, ErrSecurity) {
		t.Errorf("resumed from a checkpoint by another key: %v", err)
	}
	if _, err := NewWitness(origin, nil, nil); err == nil {
		t.Error("a witness without a key")
	}
}

func entry() Entry {
	d := statement.DigestOf([]byte("study"))
	return Entry{
		Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Type: TypePlan, Study: d.String(),
		Round: statement.DigestOf([]byte("round")).String(), Subject: d, Actor: "coordinator",
	}
}

func TestEntriesHaveOneSpelling(t *testing.T) {
	leaf, err := entry().Leaf()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEntry(leaf)
	if err != nil || got != entry() {
		t.Errorf("%+v, %v", got, err)
	}
	text := string(leaf)
	for name, spelling := range map[string]string{
		"space":         " " + text,
		"newline":       text + "\n",
		"unknown field": strings.Replace(text, "{", `{"x":1,`, 1),
		"duplicate":     strings.Replace(text, `"type":"plan"`, `"type":"start","type":"plan"`, 1),
		"case":          strings.Replace(text, `"type"`, `"Type"`, 1),
		"too large":     strings.Replace(text, "coordinator", strings.Repeat("c", maxEntry), 1),
	} {
		if _, err := ParseEntry([]byte(spelling)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEntriesThatSayNothingAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Entry){
		"unknown type":        func(e *Entry) { e.Type = "gossip" },
		"no type":             func(e *Entry) { e.Type = "" },
		"study not a digest":  func(e *Entry) { e.Study = "warfarin" },
		"round in upper case": func(e *Entry) { e.Round = strings.ToUpper(e.Round) },
		"no subject":          func(e *Entry) { e.Subject = statement.Digest{} },
		"no actor":            func(e *Entry) { e.Actor = "" },
		"long actor":          func(e *Entry) { e.Actor = strings.Repeat("a", 65) },
	} {
		e := entry()
		spoil(&e)
		if _, err := e.Leaf(); err == nil {
			t.Errorf("%s: encoded", name)
		}
		raw, _ := statement.Encode(e)
		if _, err := ParseEntry(raw); err == nil {
			t.Errorf("%s: parsed", name)
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

func FuzzVerifyCheckpoint(f *testing.F) {
	genuine, err := SignCheckpoint(Checkpoint{Origin: origin, Size: 5}, testKey("coordinator"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine)
	f.Add([]byte("consilium/north\n5\nAAAA\n\n— consilium/north AAAA\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := VerifyCheckpoint(data, origin, public("coordinator")); err == nil && !bytes.Equal(data, genuine) {
			t.Fatalf("a forged checkpoint: %q", data)
		}
		if c, err := ParseCheckpoint(data); err == nil && !strings.HasPrefix(string(data), c.body()) {
			t.Fatalf("two spellings of a checkpoint: %q", data)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	leaf, err := entry().Leaf()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(leaf)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEntry(data)
		if err != nil {
			return
		}
		if again, err := e.Leaf(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("two spellings of an entry: %v", err)
		}
	})
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
