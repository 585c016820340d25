package vault

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
)

func open(t *testing.T, dir string) *Vault {
	t.Helper()
	v, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var (
	round1 = statement.Digest{1}
	round2 = statement.Digest{2}
	asked  = statement.Digest{9}
)

const protocol = `study: dose
version: 1
outcome: {column: dose, type: number, range: [2, 320]}
features:
  - {column: age, type: number, range: [1, 9]}
model: {kind: glm, family: gaussian, ridge: 0}
privacy: {minimum_contributors: 3, threshold: supermajority}
schedule: {rounds: 25, tolerance: 1e-10, deadline: 2m}
`

// fill writes one fact of every kind.
func fill(t *testing.T, v *Vault) {
	t.Helper()
	study := statement.DigestOf([]byte(protocol))
	must(t, v.DecideStudy(Decision{Subject: study, Yes: true, Protocol: []byte(protocol), Statement: []byte("yes")}))
	must(t, v.RememberPlan(Plan{Round: round1, Question: asked, Study: study, Step: "glm/gram", Epoch: "1", Committee: []string{"alpha", "beta"}, Threshold: 2}))
	seal(t, v, round1)
	must(t, v.RememberReceipt(round1, []byte("receipt")))
	must(t, v.RememberAnswer(Answer{Round: round1, Request: statement.Digest{5}, Statement: []byte("share"), Share: []byte{1, 2, 3}}))
	must(t, v.RememberEnd(statement.RoundEnd{Round: round1, Question: asked, State: "abandoned", SharesGiven: true}))
	must(t, v.RememberPlan(Plan{Round: round2, Question: asked, Study: study, Step: "glm/gram", Epoch: "1"}))
	must(t, v.RememberDecline(round2))
	must(t, v.RememberFault(Fault{Round: round2, Request: statement.Digest{6}, Senders: []string{"beta"}, Statement: []byte("fault")}))
	must(t, v.Forget(statement.Digest{3}))
	must(t, v.DecideRelease(Decision{Subject: statement.Digest{4}, Yes: false, Reason: "no", Statement: []byte("no")}))
	must(t, v.RecordViolation(Violation{Code: "second-set", Sentence: "s"}, 0))
}

// expect checks what fill wrote.
func expect(t *testing.T, v *Vault) {
	t.Helper()
	study := statement.DigestOf([]byte(protocol))
	if s, ok := v.Study(study); !ok || s.Name != "dose" {
		t.Error("the approved study is lost")
	}
	r, _ := v.Round(round1)
	if r.Header == nil || string(r.Receipt) != "receipt" || r.Answer == nil || r.Answer.Share != nil || r.End.State != "abandoned" {
		t.Errorf("round 1: %+v", r)
	}
	if got, ok := v.Answered(round1); !ok || got != (statement.Digest{5}) {
		t.Error("the answer is lost")
	}
	if got, ok := v.Answered(round2); !ok || got != (statement.Digest{6}) {
		t.Error("the fault is lost")
	}
	past := v.Asked(asked)
	if len(past) != 2 || !past[0].ShareGiven || past[0].End == nil || past[1].ShareGiven || past[1].AtFault[0] != "beta" || past[0].Threshold != 2 || len(past[0].Committee) != 2 {
		t.Errorf("asked %+v", past)
	}
	if n := v.Questions(study, "glm/gram"); n != 1 {
		t.Errorf("%d questions, want 1: a question asked again is the same", n)
	}
	if e, _ := v.Epoch(study); e != "1" {
		t.Error("the epoch is lost")
	}
	if !v.Forgotten(statement.Digest{3}) || v.Forgotten(round1) {
		t.Error("forgotten rounds are wrong")
	}
	if d, ok := v.ReleaseDecision(statement.Digest{4}); !ok || d.Yes || d.Reason != "no" {
		t.Error("the release's decision is lost")
	}
	if len(v.Violations()) != 1 {
		t.Error("the violation is lost")
	}
}

var key = ed25519.NewKeyFromSeed(make([]byte, 32))

var (
	chunks = [][]byte{bytes.Repeat([]byte{7}, 100_000), {8}}
	long   = [][]byte{bytes.Repeat([]byte{7}, 600_000), bytes.Repeat([]byte{8}, 600_000), bytes.Repeat([]byte{9}, 600_000), {8}}
	shares = [][]byte{{1}, {2, 2}}
)

// write writes the one short contribution of these tests.
func write(round statement.Digest) func(*Sealing) ([]byte, error) { return writeOf(round, chunks) }

// writeOf writes a contribution of these chunks.
func writeOf(round statement.Digest, chunks [][]byte) func(*Sealing) ([]byte, error) {
	return func(s *Sealing) ([]byte, error) {
		for _, chunk := range chunks {
			if err := s.Chunk(chunk); err != nil {
				return nil, err
			}
		}
		for _, share := range shares {
			if err := s.Share(share); err != nil {
				return nil, err
			}
		}
		h := statement.ContributionHeader{Round: round, Site: "alpha", Chunks: s.Chunks, Shares: s.Shares}
		return statement.Sign(statement.KindContributionHeader, h, "alpha", key)
	}
}

func trySeal(v *Vault, round statement.Digest) error {
	c, err := v.Seal(round, write(round))
	if err == nil {
		c.Close()
	}
	return err
}

func seal(t *testing.T, v *Vault, round statement.Digest) {
	t.Helper()
	must(t, trySeal(v, round))
}

// content is all of a contribution, to compare it.
func content(t *testing.T, c *Contribution) []byte {
	t.Helper()
	defer c.Close()
	all := bytes.Clone(c.Header)
	for _, share := range c.Shares {
		all = append(all, share...)
	}
	for i := range c.Chunks() {
		chunk, err := c.Chunk(i)
		must(t, err)
		if len(chunk) != c.ChunkBytes(i) {
			t.Fatalf("chunk %d has %d bytes and not %d", i, len(chunk), c.ChunkBytes(i))
		}
		all = append(all, chunk...)
	}
	return all
}

func TestEveryFactSurvivesAReopening(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	fill(t, v)
	expect(t, v)
	must(t, v.Close())
	expect(t, open(t, dir))
}

func TestWhatMayHappenOnceHappensOnce(t *testing.T) {
	v := open(t, t.TempDir())
	fill(t, v)
	openAnswer := Answer{Round: statement.Digest{7}, Request: statement.Digest{5}, Statement: []byte("share"), Share: []byte{1, 2, 3}}
	must(t, v.RememberAnswer(openAnswer))
	for name, err := range map[string]error{
		"another answer to another request": v.RememberAnswer(Answer{Round: openAnswer.Round, Request: statement.Digest{6}, Statement: []byte("share"), Share: []byte{1, 2, 3}}),
		"another share for the same":        v.RememberAnswer(Answer{Round: openAnswer.Round, Request: statement.Digest{5}, Statement: []byte("share"), Share: []byte{1, 2, 4}}),
		"an answer after the end":           v.RememberAnswer(Answer{Round: round1, Request: statement.Digest{6}, Statement: []byte("share"), Share: []byte{1, 2, 3}}),
		"another plan of the round":         v.RememberPlan(Plan{Round: round1, Question: statement.Digest{8}}),
		"another contribution":              trySeal(v, round1),
		"another end":                       v.RememberEnd(statement.RoundEnd{Round: round1, Question: asked, State: "published"}),
		"another fault":                     v.RememberFault(Fault{Round: round2, Request: statement.Digest{6}, Senders: []string{"gamma"}, Statement: []byte("other")}),
	} {
		if !errors.Is(err, ErrOnce) {
			t.Errorf("%s: %v, want ErrOnce", name, err)
		}
	}
	for name, err := range map[string]error{
		"the same answer": v.RememberAnswer(openAnswer),
		"the same end":    v.RememberEnd(statement.RoundEnd{Round: round1, Question: asked, State: "abandoned", SharesGiven: true}),
	} {
		if err != nil {
			t.Errorf("%s again: %v", name, err)
		}
	}
}

// A crash can leave any part of the last line. Whatever it is, what was
// acknowledged before is there and the journal goes on.
func TestATornLineIsCutAtEveryLength(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	fill(t, v)
	must(t, v.Close())
	path := filepath.Join(dir, "journal")
	whole, err := os.ReadFile(path)
	must(t, err)
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := last; cut < len(whole); cut++ {
		must(t, os.WriteFile(path, whole[:cut], 0o600))
		v, err := Open(dir, nil)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if n := len(v.Violations()); n != 0 {
			t.Fatalf("cut at %d: a torn fact was believed", cut)
		}
		must(t, v.RecordViolation(Violation{Code: "again"}, 0))
		must(t, v.Close())
		if v, err = Open(dir, nil); err != nil || len(v.Violations()) != 1 {
			t.Fatalf("cut at %d: the journal does not go on: %v", cut, err)
		}
		must(t, v.Close())
	}
}

func TestDamageIsRefusedLoudly(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	fill(t, v)
	must(t, v.Close())
	path := filepath.Join(dir, "journal")
	whole, err := os.ReadFile(path)
	must(t, err)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for name, damaged := range map[string][]byte{
		"a flipped bit in the middle":    flip(whole, len(whole)/2),
		"a flipped bit in the first sum": flip(whole, 0),
		"a flipped bit in the last line": flip(whole, len(whole)-5),
		"a line missing":                 bytes.Join(append(append([][]byte{}, lines[:2]...), lines[3:]...), nil),
		"a line twice":                   bytes.Join(append(append([][]byte{}, lines[:2]...), lines[1:]...), nil),
		"something in front":             append([]byte("x\n"), whole...),
	} {
		must(t, os.WriteFile(path, damaged, 0o600))
		if _, err := Open(dir, nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: %v, want ErrDamaged with what to do", name, err)
		}
	}
}

func flip(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 1
	return c
}

func TestAFailedWriteIsNotForgotten(t *testing.T) {
	v := open(t, t.TempDir())
	v.journal.file.Close() // as a disk that fails
	if err := v.RememberAnswer(Answer{Round: round1}); err == nil || !strings.Contains(err.Error(), "nothing is answered") {
		t.Fatalf("a failing disk: %v", err)
	}
	if _, ok := v.Answered(round1); ok {
		t.Fatal("what is not on the disk is remembered in memory")
	}
	if err := v.RecordViolation(Violation{}, 0); err == nil || v.Failed() == nil {
		t.Fatal("the vault goes on after a failed write")
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir, nil); !errors.Is(err, ErrLocked) {
		t.Fatalf("second process: %v, want ErrLocked", err)
	}
}

func FuzzJournalLine(f *testing.F) {
	f.Add([]byte(`00000000 {"seq":1}`))
	f.Add([]byte("c0ffee"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if _, err := parseLine(line); err == nil && len(line) < 11 {
			t.Fatal("a line without a fact is believed")
		}
	})
}

// Of the checkpoints under which the site acted, the last is remembered, also
// after a restart, and by a vault of before, which names none, nothing is.
func TestTheLastCheckpointIsRemembered(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	if v.Checkpoint() != nil {
		t.Error("a checkpoint before any")
	}
	must(t, v.RememberPlan(Plan{Round: round1, Question: asked, Checkpoint: []byte("5 entries")}))
	must(t, v.RememberPlan(Plan{Round: round2, Question: asked}))
	for _, want := range []string{"5 entries", "7 entries", "9 entries"} {
		for range 2 {
			if got := v.Checkpoint(); string(got) != want {
				t.Errorf("remembers %q, want %q", got, want)
			}
			must(t, v.Close())
			v = open(t, dir)
		}
		switch want {
		case "5 entries":
			must(t, v.RememberAnswer(Answer{Round: round1, Checkpoint: []byte("7 entries")}))
		case "7 entries":
			must(t, v.RememberFault(Fault{Round: round2, Checkpoint: []byte("9 entries")}))
		}
	}
	if n := len(v.Asked(asked)); n != 2 || v.Questions(statement.Digest{}, "") != 1 {
		t.Errorf("%d rounds of one question are remembered", n)
	}
}

// An answer's bytes are given again until its round has ended, also after a restart.
// Then they leave the memory, and at a later start the journal; that there was an
// answer, and to what, stays.
func TestAnswersOfRoundsThatEndedAreForgottenAndNotThatTheyWereGiven(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	share := bytes.Repeat([]byte{9}, 8192)
	const rounds = 150
	request := statement.Digest{5}
	for i := range byte(rounds) {
		must(t, v.RememberPlan(Plan{Round: statement.Digest{1, i}, Question: statement.Digest{2, i}, Epoch: "1"}))
		must(t, v.RememberAnswer(Answer{Round: statement.Digest{1, i}, Request: request, Statement: []byte("share"), Share: share}))
	}
	last := statement.Digest{1, rounds - 1} // goes on
	reopen := func() int64 {
		must(t, v.Close())
		v = open(t, dir)
		info, err := os.Stat(filepath.Join(dir, "journal"))
		must(t, err)
		return info.Size()
	}
	whole := reopen()
	for i := range byte(rounds - 1) {
		if r, _ := v.Round(statement.Digest{1, i}); !bytes.Equal(r.Answer.Share, share) {
			t.Fatal("an answer that may be asked for again is lost")
		}
		must(t, v.RememberEnd(statement.RoundEnd{Round: statement.Digest{1, i}, Question: statement.Digest{2, i}, State: "published"}))
	}
	check := func(when string) {
		t.Helper()
		for i := range byte(rounds - 1) {
			id := statement.Digest{1, i}
			if answered, ok := v.Answered(id); !ok || answered != request || !v.Asked(statement.Digest{2, i})[0].ShareGiven {
				t.Fatalf("%s: it is forgotten that round %d was answered", when, i)
			}
			if r, _ := v.Round(id); r.Answer.Share != nil || r.Answer.Statement != nil {
				t.Fatalf("%s: the bytes of round %d are kept", when, i)
			}
		}
		if r, _ := v.Round(last); !bytes.Equal(r.Answer.Share, share) || string(r.Answer.Statement) != "share" {
			t.Fatalf("%s: the answer of the round that goes on is lost", when)
		}
	}
	check("at the end")
	if size := reopen(); size > whole/4 {
		t.Errorf("the journal has %d bytes, had %d", size, whole)
	}
	check("after a start")
	must(t, v.RememberDecline(statement.Digest{8}))
	before := reopen()
	check("and once more")
	if r, ok := v.Round(statement.Digest{8}); !ok || !r.Declined {
		t.Error("what was appended to a shortened journal is lost")
	}
	if again := reopen(); again != before {
		t.Errorf("the journal is written anew at every start")
	}
}

// Where there is no room to write it anew, the journal stays as it is.
func TestAJournalThatCannotBeShortenedStays(t *testing.T) {
	dir := t.TempDir()
	v := open(t, dir)
	fill(t, v)
	path := filepath.Join(dir, "journal")
	before, err := os.ReadFile(path)
	must(t, err)
	moved := filepath.Join(t.TempDir(), "moved")
	must(t, os.Rename(dir, moved)) // no file can be made where it was
	if err := v.journal.shorten(v.withoutBytes); err == nil {
		t.Error("a journal that cannot be opened again is no error")
	}
	must(t, os.Rename(moved, dir))
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the journal was changed")
	}
	must(t, v.lock.Close())
	expect(t, open(t, dir))
}
