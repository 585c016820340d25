package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/page/compare"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
)

// world is a consortium whose coordinator runs in this process and whose people
// use the command line.
type world struct {
	t       *testing.T
	dir     string
	address string
	stop    func()
}

// newWorld starts a consortium by command and its coordinator by hand.
func newWorld(t *testing.T) *world {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: t.TempDir(), address: listener.Addr().String()}
	w.run("init", "--consortium", "test", "--coordinator", w.address, "--dir", w.dir)
	state := filepath.Join(w.dir, "state")
	must(t, os.Mkdir(state, 0o700))
	must(t, os.Rename(filepath.Join(w.dir, "coordinator"), filepath.Join(state, "identity")))
	w.serve(listener)
	t.Cleanup(func() { w.stop() })
	return w
}

// serve starts the coordinator; stop ends it.
func (w *world) serve(listener net.Listener) {
	w.serveOptions(coordinator.Options{Listener: listener})
}

func (w *world) serveOptions(o coordinator.Options) {
	o.Dir = filepath.Join(w.dir, "state")
	server, err := coordinator.Open(o)
	must(w.t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	w.stop = func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Errorf("the coordinator ended with: %v", err)
		}
	}
}

// execute runs one command line as a person with the given identity.
func (w *world) execute(identity string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	env := func(name string) string {
		if name == "CONSILIUM_IDENTITY" && identity != "" {
			return filepath.Join(w.dir, identity)
		}
		return ""
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	code = run(ctx, args, strings.NewReader(""), &out, &errs, env)
	return code, out.String(), errs.String()
}

// run wants a command of nobody in particular to work.
func (w *world) run(args ...string) string { return w.as("", args...) }

// as wants somebody's command to work.
func (w *world) as(identity string, args ...string) string {
	w.t.Helper()
	code, out, errs := w.execute(identity, args...)
	if code != console.ExitOK {
		w.t.Fatalf("consilium %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// refused wants somebody's command to fail with these words.
func (w *world) refused(identity string, words []string, args ...string) {
	w.t.Helper()
	code, out, errs := w.execute(identity, args...)
	if code != console.ExitFailed {
		w.t.Errorf("consilium %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	for _, word := range append(words, "next: ") {
		if !strings.Contains(errs, word) {
			w.t.Errorf("consilium %s does not say %q:\n%s", strings.Join(args, " "), word, errs)
		}
	}
}

func (w *world) governance() string { return filepath.Join(w.dir, "governance") }

// enroll takes people from invitation to membership, at the same time as
// governance waits for them.
func (w *world) enroll(roles map[string]string) {
	w.t.Helper()
	failed := make(chan string, len(roles))
	for name, role := range roles {
		token := strings.TrimSpace(w.run("invite", "--governance", w.governance(), "--role", role, "--name", name))
		go func() {
			code, out, errs := w.execute("", "enroll", token, "--dir", filepath.Join(w.dir, name))
			if code != console.ExitOK {
				failed <- out + errs
				return
			}
			failed <- ""
		}()
	}
	w.run("admit", "--governance", w.governance(), "--all", "--wait", strconv.Itoa(len(roles)))
	for range roles {
		if message := <-failed; message != "" {
			w.t.Fatal(message)
		}
	}
}

const doseStudy = `study: dose
version: 1
title: Dose by age and genotype
outcome: {column: dose, type: number, range: [0, 100], unit: mg/wk, transform: sqrt}
features:
  - {column: age, type: number, range: [18, 99]}
  - {column: gene, type: category, levels: [GG, AG, AA], reference: GG}
model: {kind: glm, family: gaussian, ridge: 0}
fairness:
  attributes:
    - {column: sex, levels: [female, male]}
  minimum_cell: 5
privacy: {minimum_contributors: 3, threshold: supermajority}
schedule: {rounds: 25, tolerance: 1e-10, deadline: 1m}
`

func (w *world) write(name, content string) string {
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestMembershipFromInvitationToRemoval(t *testing.T) {
	w := newWorld(t)
	if out := w.run("admit", "--governance", w.governance()); !strings.Contains(out, "Nobody waits") {
		t.Errorf("admit with nobody waiting says %q", out)
	}
	w.enroll(map[string]string{"rosa": "researcher", "ines": "auditor"})

	shown := decode[struct {
		Number  int
		Members []struct{ Name, Role, Fingerprint string }
	}](t, w.as("rosa", "roster", "show", "--json"))
	if shown.Number != 2 || len(shown.Members) != 3 || shown.Members[1].Name != "ines" || shown.Members[1].Role != "auditor" {
		t.Errorf("the roster is %+v", shown)
	}
	w.refused("", []string{"nobody was admitted", `"mallory" has not enrolled`}, "admit", "--governance", w.governance(), "--name", "mallory")
	w.refused("ines", []string{"the study was not proposed", "auditor may not call this"}, "study", "propose", w.write("s.yaml", doseStudy))

	if out := w.run("remove", "rosa", "--governance", w.governance()); !strings.Contains(out, "Roster 3 published") {
		t.Errorf("remove says %q", out)
	}
	w.refused("rosa", []string{"rosa is not on the roster any more"}, "study", "list")
	w.refused("", []string{"rosa was not removed"}, "remove", "rosa", "--governance", w.governance())
	w.as("ines", "study", "list")
	must(t, os.Chmod(filepath.Join(w.dir, "ines", "signing.key"), 0o644))
	w.refused("ines", []string{"others may use it", "mend what it says"}, "study", "list")
}

// A roster that was signed and not published, because the coordinator was away,
// is published by the next command that needs it.
func TestARosterIsPublishedAfterAnInterruption(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher", "ines": "auditor"})
	g, err := openGovernance(w.governance())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Remove("rosa", time.Now()); err != nil {
		t.Fatal(err)
	}
	w.as("rosa", "study", "list") // the coordinator has not heard of it
	w.run("admit", "--governance", w.governance())
	w.refused("rosa", nil, "study", "list")
}

func TestStudyWithoutHospitals(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher", "ines": "auditor", "remo": "researcher"})
	file := w.write("dose.yaml", doseStudy)
	if out := w.as("rosa", "study", "list"); !strings.Contains(out, "no studies yet") {
		t.Errorf("an empty list reads %q", out)
	}
	proposed := decode[struct{ Study string }](t, w.as("rosa", "study", "propose", file, "--json"))
	w.as("rosa", "study", "propose", file) // again changes nothing
	listed := decode[struct{ Studies []studyJSON }](t, w.as("ines", "study", "list", "--json"))
	if len(listed.Studies) != 1 || listed.Studies[0].Study != proposed.Study || listed.Studies[0].State != "proposed" {
		t.Fatalf("listed %+v", listed)
	}
	id := proposed.Study[:8]
	w.refused("rosa", []string{"the study was not started", "0 sites have approved"}, "study", "start", id)
	w.refused("remo", []string{"another researcher"}, "study", "start", id)
	w.refused("rosa", []string{"there is no study ffffffff", "consilium study list"}, "study", "start", "ffffffff")
	w.refused("rosa", []string{"no bias audit yet", "the study is proposed"}, "audit", "report", id, "--out", filepath.Join(w.dir, "r.html"))
	w.refused("rosa", []string{"ciphertexts are for auditors"}, "audit", "fetch", id, "--out", filepath.Join(w.dir, "b"), "--ciphertexts")
	w.refused("remo", []string{"another researcher"}, "audit", "fetch", id, "--out", filepath.Join(w.dir, "b"))
	if _, err := os.Stat(filepath.Join(w.dir, "b")); err == nil {
		t.Error("a refused fetch leaves a directory")
	}
	if out := w.as("rosa", "release", "list"); !strings.Contains(out, "Nothing has been released") {
		t.Errorf("release list reads %q", out)
	}

	bundle := filepath.Join(w.dir, "bundle")
	w.as("ines", "audit", "fetch", id, "--out", bundle)
	out := w.as("ines", "audit", "verify", bundle)
	if !strings.Contains(out, "Everything that could be checked holds") || !strings.Contains(out, "not started") || strings.Contains(out, "TAKEN FROM THE BUNDLE") {
		t.Errorf("verification of a proposed study reads\n%s", out)
	}
	w.refused("ines", []string{"exists"}, "audit", "fetch", id, "--out", bundle)
	left, err := filepath.Glob(filepath.Join(w.dir, "*.partial-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A coordinator whose log does not extend the one that this identity saw is
// refused, and says so as the security violation that it is.
func TestARolledBackLedgerIsRefused(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher", "ines": "auditor"})
	w.as("rosa", "study", "propose", w.write("s.yaml", doseStudy))
	w.as("ines", "study", "list")
	for _, test := range []struct {
		size  int // of the other history that ines saw, signed by the same coordinator
		words string
	}{{2, "does not extend the one of 2 seen before"}, {50, "50 entries"}} {
		seen := forge(t, filepath.Join(w.dir, "state", "identity"), test.size)
		if err := os.WriteFile(filepath.Join(w.dir, "ines", checkpointFile), seen, 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, errs := w.execute("ines", "study", "list")
		if code != console.ExitFailed || !strings.Contains(errs, "security violation: the coordinator's ledger does not extend") || !strings.Contains(errs, test.words) {
			t.Errorf("exit %d:\n%s", code, errs)
		}
		kept, err := os.ReadFile(filepath.Join(w.dir, "ines", checkpointFile))
		if err != nil || !bytes.Equal(kept, seen) {
			t.Error("the refused coordinator replaced the kept checkpoint")
		}
	}
}

// forge signs a checkpoint over a log of so many entries that never was.
func forge(t *testing.T, coordinatorDir string, size int) []byte {
	t.Helper()
	node, err := identity.OpenNode(coordinatorDir)
	if err != nil {
		t.Fatal(err)
	}
	log := ledger.NewLog(ledger.Origin("test"), ledger.NewMemory())
	for i := range size {
		if _, err := log.Append([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint, err := log.Checkpoint(node.Keys().Signing())
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

// A whole study as its researcher and its auditor see it.
func TestStudyToItsEnd(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher", "ines": "auditor"})
	hospitals := w.join("Aare", "Birs", "Ergolz", "Wiese", "Zihl")
	hospitals[4].refuse = true
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, h := range hospitals {
		working.Go(func() { h.work(ctx) })
	}
	t.Cleanup(func() { stop(); working.Wait() })

	id := decode[struct{ Study string }](t, w.as("rosa", "study", "propose", w.write("dose.yaml", doseStudy), "--json")).Study[:8]
	w.refused("rosa", []string{"refused by Zihl (not our question)", "starts it with those who approved"}, "study", "start", id, "--wait-approvals", "all")
	w.as("rosa", "study", "start", id, "--wait-approvals", "4")
	watched := w.as("ines", "study", "watch", id)
	for _, line := range []string{"dose v1: running, approved by 4 of 5 hospitals", "round 1 describe/counts published: sum over 4 hospitals", "round 5 fairness/errors published", "Completed."} {
		if !strings.Contains(watched, line) {
			t.Errorf("watch does not say %q:\n%s", line, watched)
		}
	}
	var last studyJSON
	for line := range strings.Lines(w.as("rosa", "study", "watch", id, "--json")) {
		last = decode[studyJSON](t, line)
	}
	if last.State != "completed" || len(last.Rounds) != 5 || last.Rounds[4].ChunksStored != last.Rounds[4].ChunksExpected || last.Release == "" {
		t.Errorf("the last status is %+v", last)
	}

	if out := w.as("rosa", "study", "start", id); !strings.Contains(out, "is completed") {
		t.Errorf("starting a completed study says %q", out)
	}
	results := filepath.Join(w.dir, "results")
	w.refused("rosa", []string{"not " + last.Study[:12], "leave out --study"}, "study", "result", id, "--out", results, "--study", w.write("other.yaml", strings.Replace(doseStudy, "version: 1", "version: 2", 1)))
	shown := w.as("rosa", "study", "result", id, "--out", results)
	for _, words := range []string{"Cohort of 4 hospitals, 240 patients", "gene=AG", "sex=male", "gaussian glm over 240 patients of 4 hospitals", "(intercept)", "gene=AA", "Bias audit, errors in mg/wk", "sex=female", "Release "} {
		if !strings.Contains(shown, words) {
			t.Errorf("result does not say %q:\n%s", words, shown)
		}
	}
	page, err := os.ReadFile(filepath.Join(results, "result.html"))
	must(t, err)
	for _, words := range []string{"Dose by age and genotype", "What was asked", "fitted on the square-root scale", "gene=AA", last.Study, last.Release} {
		if !bytes.Contains(page, []byte(words)) {
			t.Errorf("result.html does not say %q", words)
		}
	}
	compared := w.as("rosa", "study", "compare", id, results)
	if !strings.Contains(compared, "neither was tried on patients it had not seen") || !strings.Contains(compared, "log_likelihood") || !strings.Contains(compared, "gene=AA") {
		t.Errorf("compare says\n%s", compared)
	}
	// The coordinator hands over the study's file too, so that a comparison by
	// digest knows all that one of files knows.
	byDigest, byFile := decode[compare.Comparison](t, w.as("rosa", "study", "compare", id, id, "--json")), decode[compare.Comparison](t, w.as("rosa", "study", "compare", results, results, "--json"))
	byFile.A.Name, byFile.B.Name = byDigest.A.Name, byDigest.B.Name
	if !reflect.DeepEqual(byDigest, byFile) {
		t.Errorf("by digest the comparison is\n%+v\nand of files\n%+v", byDigest, byFile)
	}
	for _, name := range []string{"result.json", "audit.json", "audit.json.tlog-proof", "release.json", "release.json.tlog-proof", "study.yaml"} {
		if info, err := os.Stat(filepath.Join(results, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s was not written: %v", name, err)
		}
	}
	w.refused("rosa", []string{"not empty"}, "study", "result", id, "--out", results)

	// Every hospital decides about the release in its own time.
	release := last.Release[:8]
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		shown = w.as("rosa", "release", "show", release)
		if strings.Count(shown, "accepted") == 3 && strings.Contains(shown, "errs too much here") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if strings.Count(shown, "accepted") != 3 || !strings.Contains(shown, "errs too much here") || !strings.Contains(shown, "glm/gram") {
		t.Errorf("release show says\n%s", shown)
	}
	if out := w.as("ines", "release", "list"); !strings.Contains(out, console.Short(last.Release)) {
		t.Errorf("release list says\n%s", out)
	}

	report := filepath.Join(w.dir, "report.html")
	w.as("ines", "audit", "report", id, "--out", report)
	html, err := os.ReadFile(report)
	must(t, err)
	if !bytes.Contains(html, []byte("Dose by age and genotype")) || !bytes.Contains(html, []byte(last.Study)) || bytes.Contains(html, []byte("<script")) {
		t.Error("the report is not the page it should be")
	}
	signed, err := os.ReadFile(filepath.Join(w.dir, "report.json"))
	must(t, err)
	if kind, _, err := statement.Payload(signed); err != nil || kind != statement.KindAudit {
		t.Errorf("report.json is no signed audit: %v", err)
	}

	for _, ciphertexts := range []bool{false, true} {
		bundle := filepath.Join(w.dir, "bundle"+strconv.FormatBool(ciphertexts))
		args := []string{"audit", "fetch", id, "--out", bundle}
		if ciphertexts {
			args = append(args, "--ciphertexts")
		}
		w.as("ines", args...)
		out := w.as("ines", "audit", "verify", bundle)
		if want := "Everything holds."; ciphertexts && !strings.Contains(out, want) {
			t.Errorf("verification says\n%s", out)
		}
		if want := "Not checked: sums"; !ciphertexts && !strings.Contains(out, want) {
			t.Errorf("verification without ciphertexts says\n%s", out)
		}
		if !strings.Contains(out, "it extends the checkpoint that you keep") {
			t.Errorf("the bundle was not held against the kept checkpoint:\n%s", out)
		}
		// Nobody's identity, and the fingerprint that init printed.
		fingerprint := decode[struct{ Governance string }](t, w.run("roster", "show", "--governance", w.governance(), "--json")).Governance
		w.run("audit", "verify", bundle, "--governance", fingerprint)
		w.refused("", []string{"another governance key"}, "audit", "verify", bundle, "--governance", strings.Repeat("ab", 32))
	}
}

// Whoever follows a study does not notice that the coordinator was restarted,
// but for a line that says so.
func TestWatchOutlivesTheCoordinator(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher"})
	hospital := w.join("Aare")[0]
	id := decode[struct{ Study string }](t, w.as("rosa", "study", "propose", w.write("dose.yaml", doseStudy), "--json")).Study

	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	reader, writer := io.Pipe()
	var notes bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		env := func(string) string { return filepath.Join(w.dir, "rosa") }
		code := run(ctx, []string{"study", "watch", id[:8], "--json"}, nil, writer, &notes, env)
		writer.Close()
		ended <- code
	}()
	updates := json.NewDecoder(reader)
	var s studyJSON
	must(t, updates.Decode(&s))
	if s.Study != id || tally(s.Decisions)["pending"] != 1 {
		t.Fatalf("the first status is %+v", s)
	}
	w.stop()
	listener, err := net.Listen("tcp", w.address)
	must(t, err)
	w.serve(listener)
	working, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { hospital.work(working) })
	for tally(s.Decisions)["approved"] != 1 {
		must(t, updates.Decode(&s)) // the watch ends if the connection is not mended
	}
	stop()
	done.Wait()
	interrupt()
	go io.Copy(io.Discard, reader)
	if code := <-ended; code != console.ExitFailed || !strings.Contains(notes.String(), "stopped watching") {
		t.Errorf("interrupted, it ends with %d and says %q", code, &notes)
	}
}
