package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
)

// An auditor has the proof beside the report, demands witnesses, computes the
// model anew, and asks the second verifier.
func TestAnAuditorProvesAndReplaysAStudy(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher", "ines": "auditor"})
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, h := range w.join("Aare", "Birs", "Ergolz", "Wiese") {
		working.Go(func() { h.work(ctx) })
	}
	t.Cleanup(func() { stop(); working.Wait() })
	id := decode[struct{ Study string }](t, w.as("rosa", "study", "propose", w.write("dose.yaml", doseStudy), "--json")).Study[:8]
	w.as("rosa", "study", "start", id, "--wait-approvals", "4")
	w.as("ines", "study", "watch", id)

	report := filepath.Join(w.dir, "report.html")
	paper := filepath.Join(w.dir, "report.PDF")
	w.as("ines", "audit", "report", id, "--out", paper)
	if content, err := os.ReadFile(paper); err != nil || !strings.HasPrefix(string(content), "%PDF-") {
		t.Errorf("the report on paper begins with %.20q: %v", content, err)
	}
	w.as("ines", "audit", "report", id, "--out", report)
	proof, err := os.ReadFile(filepath.Join(w.dir, "report.json"+proofExtension))
	must(t, err)
	if !bytes.HasPrefix(proof, []byte("c2sp.org/tlog-proof@v1\nextra ")) || !bytes.Contains(proof, []byte("\n\nconsilium/")) {
		t.Errorf("the proof beside the report is\n%s", proof)
	}

	bundle := filepath.Join(w.dir, "bundle")
	w.as("ines", "audit", "fetch", id, "--out", bundle)
	verdict := w.as("ines", "audit", "verify", bundle)
	if !strings.Contains(verdict, "of 4 hospitals cosigned this history up to") || !strings.Contains(verdict, "it says what the bundle shows of 4 subjects") {
		t.Errorf("verification says\n%s", verdict)
	}
	w.refused("ines", []string{"witnesses", "you demand 5"}, "audit", "verify", bundle, "--witnesses", "5")
	if _, err := independent.Verify(os.DirFS(bundle), ""); err != nil {
		t.Errorf("the second verifier: %v", err)
	}

	replayed := filepath.Join(w.dir, "replayed")
	if out := w.as("ines", "audit", "replay", bundle, "--out", replayed); !strings.Contains(out, "the released one, byte for byte") {
		t.Errorf("replay says\n%s", out)
	}
	model, err := os.ReadFile(filepath.Join(replayed, "model.json"))
	must(t, err)
	attested, err := os.ReadFile(filepath.Join(bundle, "attestation.json"))
	must(t, err)
	_, payload, err := statement.Payload(attested)
	must(t, err)
	if !bytes.Contains(payload, []byte(statement.DigestOf(model).String())) {
		t.Error("the model computed anew is not the one that the attestation names")
	}
	for _, name := range []string{"audit.json", "result.json"} {
		if info, err := os.Stat(filepath.Join(replayed, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s was not written: %v", name, err)
		}
	}
	w.refused("ines", []string{"not empty"}, "audit", "replay", bundle, "--out", replayed)

	entries := filepath.Join(bundle, "entries.jsonl")
	data, err := os.ReadFile(entries)
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(entries, data, 0o644))
	w.refused("ines", []string{"does not hold"}, "audit", "replay", bundle, "--out", filepath.Join(w.dir, "again"))
}

// Whoever names the folder of a simulation, in which the bundle lies, is told.
func TestTheFolderAroundABundleNamesIt(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "bundle"), 0o755); err != nil {
		t.Fatal(err)
	}
	var p *console.Problem
	if err := isBundle(dir); !errors.As(err, &p) || strings.Contains(p.Next, dir) {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bundle", "entries.jsonl"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := isBundle(dir); !errors.As(err, &p) || p.Next != "name the bundle in it: "+filepath.Join(dir, "bundle") {
		t.Errorf("a folder around a bundle: %v", err)
	}
}
