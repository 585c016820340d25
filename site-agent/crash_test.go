package siteagent

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/site-agent/vault"
	"github.com/consilium-fl/consilium/study"
)

// ward is a consortium of three sites that have approved the dose study.
type ward struct {
	*coordinator
	t     *testing.T
	s     *study.Study
	dirs  []string
	stops []func()
}

func newWard(t *testing.T) *ward {
	t.Helper()
	return newWardFor(t, doseStudy)
}

func newWardFor(t *testing.T, protocol string) *ward {
	t.Helper()
	c := newCoordinator(t)
	w := &ward{coordinator: c, t: t, s: parseStudy(t, protocol), dirs: c.enrol(sites...), stops: make([]func(), len(sites))}
	r := c.researcher("rita")
	for i := range sites {
		w.start(i)
	}
	c.propose([]byte(protocol), r, sites...)
	c.eventually("everyone approves", func() bool { return len(c.approvals) == len(sites) })
	return w
}

func (w *ward) options(i int) Options {
	return Options{Dir: w.dirs[i], Source: records.Memory(patientColumns, patients(uint64(i), 50)), Policy: Policy{Approve: Any, Releases: Automatic}}
}

func (w *ward) start(i int) *Agent {
	w.t.Helper()
	a, stop := start(w.t, w.options(i))
	w.stops[i] = stop
	return a
}

func (w *ward) question() compute.Question {
	w.t.Helper()
	q, _, err := pipeline.New(w.s).Next()
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

// collect plans a round and waits for every contribution.
func (w *ward) collect() (*statement.Plan, statement.Digest, []byte) {
	w.t.Helper()
	q := w.question()
	p := w.plan(w.s, q, sites)
	id, envelope := w.invite(p, q.Parameters)
	w.eventually("every site contributes", func() bool { return len(w.counted[id.String()]) == len(sites) })
	return p, id, envelope
}

// header is what a site began a contribution with.
func (w *ward) header(round statement.Digest, site string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.headers[round.String()][site])
}

// answersOf is what a member answered in a round: statement, share, and so on.
func (w *ward) answersOf(round statement.Digest, member string) [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.answers[round.String()][member])
}

func TestAnInterruptedUploadGoesOnWithTheSameBytes(t *testing.T) {
	w := newWard(t)
	w.mu.Lock()
	w.breakUploads = 3
	w.mu.Unlock()
	q := w.question()
	p := w.plan(w.s, q, sites)
	id, _ := w.invite(p, q.Parameters)
	w.eventually("every upload breaks off", func() bool { return w.breakUploads == 0 })
	w.stops[0]()
	before := w.header(id, "alpha")
	w.start(0)
	w.eventually("every site contributes", func() bool { return len(w.counted[id.String()]) == len(sites) })
	if before == nil || !bytes.Equal(before, w.header(id, "alpha")) {
		t.Fatal("another contribution was sent after the restart")
	}
	w.spoolIsWiped(0)
}

// spoolIsWiped waits until nothing in a site's spool is other than zero.
func (w *ward) spoolIsWiped(i int) {
	w.t.Helper()
	waitFor(w.t, "the spool is wiped", func() bool { return len(bytes.Trim(w.spool(i), "\x00")) == 0 })
}

// spool is all bytes in a site's spool.
func (w *ward) spool(i int) (all []byte) {
	w.t.Helper()
	dir := filepath.Join(w.dirs[i], vaultDir, "spool")
	files, err := os.ReadDir(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // removed meanwhile
			w.t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

func TestALostReceiptIsFetchedAgain(t *testing.T) {
	w := newWard(t)
	w.mu.Lock()
	w.loseReceipts = 2
	w.mu.Unlock()
	_, id, _ := w.collect()
	w.assign("again", &consiliumv1.Assignment{}, sites...)
	for i := range sites {
		w.stops[i]()
		v, err := vault.Open(filepath.Join(w.dirs[i], vaultDir), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r, _ := v.Round(id); r.Header == nil {
			t.Errorf("%s does not remember its contribution", sites[i])
		}
		v.Close()
	}
}

// "Killed between the vault's fsync and the sending": the vault holds an answer
// of which the coordinator knows nothing. What leaves after the restart is that
// answer, byte for byte, and not a new one.
func TestAnAnswerInTheVaultIsTheOneThatLeaves(t *testing.T) {
	w := newWard(t)
	p, id, plan := w.collect()
	w.stops[0]()
	request := w.requestOpening(p, id, plan, p.Invited)
	v, err := vault.Open(filepath.Join(w.dirs[0], vaultDir), nil)
	if err != nil {
		t.Fatal(err)
	}
	share := []byte("the share as it was computed before the kill")
	_, payload, _ := statement.Payload(request)
	signed := w.signOf(0, statement.OpeningShare{Round: id, Member: "alpha", Request: statement.DigestOf(payload), Share: statement.DigestOf(share)})
	if err := v.RememberAnswer(vault.Answer{Round: id, Request: statement.DigestOf(payload), Statement: signed, Share: share}); err != nil {
		t.Fatal(err)
	}
	v.Close()
	w.start(0)
	w.eventually("alpha answers", func() bool { return len(w.answers[id.String()]["alpha"]) >= 2 })
	if got := w.answersOf(id, "alpha"); !bytes.Equal(got[0], signed) || !bytes.Equal(got[1], share) {
		t.Fatal("another answer left than the one in the vault")
	}
}

func TestTheSameRequestGetsTheSameBytes(t *testing.T) {
	w := newWard(t)
	p, id, plan := w.collect()
	w.mu.Lock()
	w.loseShares = 3
	w.mu.Unlock()
	w.requestOpening(p, id, plan, p.Invited)
	w.eventually("everyone answered and the answers were lost", func() bool { return w.loseShares == 0 })
	w.stops[0]()
	w.start(0)
	w.eventually("alpha answers again", func() bool { return len(w.work["alpha"]) == 0 && len(w.answers[id.String()]["alpha"]) >= 4 })
	got := w.answersOf(id, "alpha")
	for i := 2; i < len(got); i += 2 {
		if !bytes.Equal(got[i], got[0]) || !bytes.Equal(got[i+1], got[1]) {
			t.Fatal("the same request got other bytes")
		}
	}
}

func TestASecondSetIsNeverAnswered(t *testing.T) {
	w := newWard(t)
	q := w.question()
	p := w.plan(w.s, q, sites)
	p.MinimumContributors = 3
	id, plan := w.invite(p, q.Parameters)
	w.eventually("every site contributes", func() bool { return len(w.counted[id.String()]) == len(sites) })
	w.requestOpening(p, id, plan, p.Invited)
	w.eventually("everyone answers", func() bool { return len(w.answers[id.String()]) == 3 })
	w.stops[0]() // also after a restart
	a := w.start(0)
	first := len(w.answersOf(id, "alpha"))
	// The same set in name, with another header digest: another set.
	w.mu.Lock()
	w.headers[id.String()]["beta"] = w.headers[id.String()]["gamma"]
	w.mu.Unlock()
	w.requestOpening(p, id, plan, p.Invited)
	waitFor(t, "the violation is recorded", func() bool {
		return slices.ContainsFunc(a.Violations(), func(v vault.Violation) bool { return v.Code == "second-set" })
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.answers[id.String()]["alpha"]) != first {
		t.Fatal("a second set was answered")
	}
}

func TestAQuestionIsAskedAgainOnlyIfNothingWasOpened(t *testing.T) {
	w := newWard(t)
	q := w.question()
	first, id, _ := w.collect()
	w.end(first, id, statement.RoundEnd{State: "abandoned", Reason: "committee below threshold", Contributors: sites})
	// Abandoned before any share: asked again, answered with a fresh sealing.
	again := w.plan(w.s, q, sites)
	againID, plan := w.invite(again, q.Parameters)
	w.eventually("everyone contributes again", func() bool { return len(w.counted[againID.String()]) == 3 })
	w.requestOpening(again, againID, plan, sites)
	w.eventually("everyone answers", func() bool { return len(w.answers[againID.String()]) == 3 })
	sum := statement.Digest{1}
	w.end(again, againID, statement.RoundEnd{State: "published", Contributors: sites, SharesGiven: true, Sum: &sum})
	// Opened: never again, for nobody.
	third := w.plan(w.s, q, sites)
	thirdID, _ := w.invite(third, q.Parameters)
	w.eventually("everyone declines", func() bool { return len(w.declines) == 3 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.headers[thirdID.String()]) != 0 {
		t.Fatal("a question that was opened was answered again")
	}
	for site, d := range w.declines {
		if d.Round != thirdID || d.Reason != "the question has been opened already" {
			t.Errorf("%s declines with %+v", site, d)
		}
	}
}

// Restored from a copy that is older than the ledger, a site sits the round out.
func TestASiteRestoredFromAnOldBackupWaits(t *testing.T) {
	t.Run("from before its contribution", func(t *testing.T) {
		w := newWard(t)
		w.stops[0]()
		backup := t.TempDir()
		copyTree(t, w.dirs[0], backup)
		w.start(0)
		p, id, plan := w.collect()
		w.stops[0]()
		w.dirs[0] = backup
		a := w.start(0)
		w.requestOpening(p, id, plan, p.Invited)
		w.expectForgotten(a, id, 0)
	})
	t.Run("from between its contribution and its opening share", func(t *testing.T) {
		w := newWard(t)
		p, id, plan := w.collect()
		w.stops[0]()
		backup := t.TempDir()
		copyTree(t, w.dirs[0], backup)
		w.start(0)
		w.requestOpening(p, id, plan, p.Invited)
		w.eventually("everyone answers", func() bool { return len(w.answers[id.String()]) == 3 })
		w.stops[0]()
		before := len(w.answersOf(id, "alpha"))
		w.dirs[0] = backup
		a := w.start(0)
		// Another set, which the restored site has no memory of refusing.
		w.mu.Lock()
		w.headers[id.String()]["beta"] = w.headers[id.String()]["gamma"]
		w.mu.Unlock()
		w.requestOpening(p, id, plan, p.Invited)
		w.expectForgotten(a, id, before)
	})
}

// expectForgotten waits until alpha sees that its state is old, and checks that
// it gives no further answer and accuses nobody.
func (w *ward) expectForgotten(a *Agent, id statement.Digest, answers int) {
	w.t.Helper()
	waitFor(w.t, "the restored site sees that it has forgotten", func() bool { r, _ := a.vault.Round(id); return r.Forgotten })
	w.eventually("the others have answered", func() bool { return len(w.answers[id.String()]["gamma"]) > 0 })
	time.Sleep(200 * time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := len(w.answers[id.String()]["alpha"]); got != answers {
		w.t.Fatalf("a site with forgotten answers opened a sum")
	}
	if len(a.Violations()) != 0 {
		w.t.Fatalf("the coordinator is accused of what a backup did: %v", a.Violations())
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAShareThatDoesNotOpenIsReportedByName(t *testing.T) {
	w := newWard(t)
	p, id, plan := w.collect()
	w.mu.Lock()
	// beta's sealed share for alpha is exchanged for gamma's, header and all: as
	// if beta had sealed garbage.
	garbage := w.sealed[id.String()]["gamma"][0]
	var h statement.ContributionHeader
	_, payload, _ := statement.Payload(w.headers[id.String()]["beta"])
	if err := statement.Decode(payload, &h); err != nil {
		t.Fatal(err)
	}
	h.Shares[0] = statement.DigestOf(garbage)
	w.sealed[id.String()]["beta"][0] = garbage
	w.mu.Unlock()
	forged := w.signOf(1, h)
	w.mu.Lock()
	w.headers[id.String()]["beta"] = forged
	w.mu.Unlock()
	w.requestOpening(p, id, plan, p.Invited)
	w.eventually("alpha reports beta", func() bool { return slices.Equal(w.faults["alpha"].Senders, []string{"beta"}) })
	if len(w.answersOf(id, "alpha")) != 0 {
		t.Fatal("alpha answered in spite of the fault")
	}
}

func TestAForkedLedgerStopsTheAgent(t *testing.T) {
	w := newWard(t)
	w.collect()
	for _, stop := range w.stops {
		stop()
	}
	a, err := Open(w.options(0))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	w.mu.Lock()
	size, _ := w.log.Size()
	w.log = ledger.NewLog(ledger.Origin("test"), ledger.NewMemory())
	for range size + 1 {
		w.append(ledger.TypeApproval, statement.Digest{1}, statement.Digest{}, []byte("rewritten"), "coordinator")
	}
	w.mu.Unlock()
	if err := a.Run(t.Context()); !errors.Is(err, ErrStopped) || !errors.Is(err, statement.ErrSecurity) {
		t.Fatalf("run: %v, want ErrStopped", err)
	}
	if n := a.Violations(); len(n) != 1 || n[0].Code != "ledger-forked" {
		t.Fatalf("violations %v", n)
	}
	if s, err := ReadStatus(w.dirs[0]); err != nil || len(s.Violations) != 1 || !strings.Contains(s.Problem, "stopped") {
		t.Fatalf("status %+v, %v", s, err)
	}
}

// A coordinator that says itself that its ledger is not the one that the site
// knows is not asked again.
func TestAnotherLedgerThanTheSitesStopsTheAgent(t *testing.T) {
	for _, code := range []string{ledgerShrunk, cosignatureRefused} {
		c := newCoordinator(t)
		a, err := Open(Options{Dir: c.enrol("alpha")[0]})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		c.mu.Lock()
		c.refuses = code
		c.mu.Unlock()
		if err := a.Run(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("%s: run: %v, want ErrStopped", code, err)
		}
		if n := a.Violations(); len(n) != 1 || n[0].Code != code {
			t.Errorf("%s: violations %v", code, n)
		}
	}
}

func TestAForeignRosterStopsTheAgent(t *testing.T) {
	c, other := newCoordinator(t), newCoordinator(t)
	dirs := c.enrol("alpha")
	other.enrol("beta")
	a, err := Open(Options{Dir: dirs[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	c.mu.Lock()
	c.falseRoster = other.node.Rosters().Envelopes()[1]
	c.mu.Unlock()
	if err := a.Run(t.Context()); !errors.Is(err, ErrStopped) {
		t.Fatalf("run: %v, want ErrStopped", err)
	}
	if n := a.Violations(); len(n) != 1 || n[0].Code != "roster-forked" {
		t.Fatalf("violations %v", n)
	}
}

func TestASiteWithoutUsableRecordsSaysNoMoreThanThat(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol("alpha")
	r := c.researcher("rita")
	start(t, Options{Dir: dirs[0], Source: records.Memory(patientColumns, [][]string{{"x", "", "5", "G/G", "male"}}), Policy: Policy{Approve: Any}})
	c.propose([]byte(doseStudy), r, "alpha")
	c.eventually("the site refuses", func() bool {
		a, ok := c.approvals["alpha"]
		return ok && !a.Approved && a.Reason == "no usable records"
	})
}

func TestAnExpiredCertificateIsReplacedByTheOldEnrolment(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol("alpha")
	later := func() time.Time { return time.Now().Add(72 * time.Hour) }
	c.mu.Lock()
	c.clock = later
	c.mu.Unlock()
	if err := c.node.RenewOwn(later(), 0); err != nil {
		t.Fatal(err)
	}
	a, _ := start(t, Options{Dir: dirs[0], Now: later})
	waitFor(t, "the agent polls with a new certificate", func() bool { s, err := ReadStatus(dirs[0]); return err == nil && s.Problem == "" })
	if until := a.node.Certificate().NotAfter; !until.After(later()) {
		t.Fatalf("certificate until %s", until)
	}
}

func TestACertificateIsRenewedWithoutARestart(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol("alpha")
	later := func() time.Time { return time.Now().Add(20 * time.Hour) }
	c.mu.Lock()
	c.clock = later
	c.mu.Unlock()
	a, _ := start(t, Options{Dir: dirs[0], Now: later})
	waitFor(t, "the certificate is renewed", func() bool { return a.node.Certificate().NotAfter.After(later().Add(20 * time.Hour)) })
	waitFor(t, "the agent goes on", func() bool { s, err := ReadStatus(dirs[0]); return err == nil && s.Problem == "" })
}
