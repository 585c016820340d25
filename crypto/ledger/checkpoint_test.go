package ledger

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

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
