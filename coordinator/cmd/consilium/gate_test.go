package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A blocked release as people meet it: every command says so before anything
// else, only an auditor overrides it, once and with a reason, and then every
// command shows the override. The researcher publishes the card.
func TestABlockedReleaseAtTheCommandLine(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher", "remo": "researcher", "ines": "auditor"})
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, h := range w.join("Aare", "Birs", "Ergolz") {
		working.Go(func() { h.work(ctx) })
	}
	t.Cleanup(func() { stop(); working.Wait() })
	says := func(out string, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(out, word) {
				t.Errorf("it does not say %q:\n%s", word, out)
			}
		}
	}
	run := func(protocol string) string {
		t.Helper()
		id := decode[struct{ Study string }](t, w.as("rosa", "study", "propose", w.write("dose.yaml", protocol), "--json")).Study[:8]
		w.as("rosa", "study", "start", id, "--wait-approvals", "all")
		return id
	}
	free := run(doseStudy)
	w.as("ines", "study", "watch", free)

	// Nothing can be told with a margin of nothing, which blocks this study.
	blocked := strings.Replace(doseStudy, "  minimum_cell: 5\n", "  minimum_cell: 5\n  criteria: [{metric: mae, margin: 0, on_insufficient: block}]\n", 1)
	id := run(blocked)
	why := "ethics vote 2026-118"
	w.refused("ines", []string{"the release was not overridden", "has no model to release"}, "release", "override", run(strings.Replace(blocked, "version: 1", "version: 2", 1)), "--reason", why)
	says(w.as("rosa", "study", "watch", id), "BLOCKED by the study's own criteria", "insufficient evidence, which blocks the release", "consilium release override "+id)
	says(w.as("rosa", "study", "result", id), "BLOCKED by the study's own criteria")
	says(w.as("rosa", "release", "list"), "blocked", "none", "offered")
	says(w.as("rosa", "release", "show", id), "BLOCKED by the study's own criteria")
	w.refused("rosa", []string{"release"}, "release", "card", id, "--out", filepath.Join(w.dir, "card.md"))

	w.refused("rosa", []string{"rosa is a researcher", "only an auditor"}, "release", "override", id, "--reason", why)
	w.refused("ines", []string{"nothing blocks it"}, "release", "override", free, "--reason", why)
	if code, _, errs := w.execute("ines", "release", "override", id); code == 0 || !strings.Contains(errs, "reason") {
		t.Errorf("without a reason: %d %s", code, errs)
	}
	if code, _, errs := w.execute("ines", "release", "override", id, "--reason", " "); code == 0 || !strings.Contains(errs, "--reason is empty") {
		t.Errorf("with an empty reason: %d %s", code, errs)
	}
	says(w.as("ines", "release", "override", id, "--reason", why), "under your override", "insufficient evidence, which blocks the release")
	w.refused("ines", []string{"ines overrode it before"}, "release", "override", id, "--reason", "again")

	for _, out := range []string{w.as("rosa", "release", "show", id), w.as("rosa", "study", "result", id), w.as("rosa", "study", "watch", id)} {
		says(out, "OFFERED UNDER AN OVERRIDE", "ines overrode them on", why)
	}
	says(w.as("rosa", "release", "list"), "blocked, overridden")
	listed := decode[struct {
		Releases []struct {
			Gate     string
			Override *overrideJSON
		}
	}](t, w.as("rosa", "release", "list", "--json")).Releases
	if listed[1].Gate != "blocked" || listed[1].Override == nil || listed[1].Override.Reason != why {
		t.Errorf("listed %+v", listed)
	}
	results := filepath.Join(w.dir, "results")
	w.as("rosa", "study", "result", id, "--out", results)
	if _, err := os.Stat(filepath.Join(results, "override.json.tlog-proof")); err != nil {
		t.Error(err)
	}
	report := filepath.Join(w.dir, "report.html")
	w.as("ines", "audit", "report", id, "--out", report)
	page, err := os.ReadFile(report)
	must(t, err)
	says(string(page), "blocked, and offered under an override", why)

	card := filepath.Join(w.dir, "card.md")
	w.refused("ines", []string{"the model card was not published", "auditor may not"}, "release", "card", id, "--out", card, "--publish")
	w.refused("remo", []string{"the model card was not published", "another researcher"}, "release", "card", id, "--out", card, "--publish")
	says(w.as("rosa", "release", "card", id, "--out", card, "--publish"), "in the ledger, signed by you")
	content, err := os.ReadFile(card)
	must(t, err)
	says(string(content), "Released under an override", why)

	bundle := filepath.Join(w.dir, "bundle")
	w.as("ines", "audit", "fetch", id, "--out", bundle, "--ciphertexts")
	says(w.as("ines", "audit", "verify", bundle), "criteria   BLOCK THE RELEASE", "override   ines", "published by the study's researcher: markdown", "Everything holds.")
}
