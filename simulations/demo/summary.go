package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/simulations/federation"
)

// summarise writes what happened with the keys of simulate's result.json.
func (d *demo) summarise(ctx context.Context) error {
	var answer struct {
		Status status          `json:"status"`
		Result json.RawMessage `json:"result"`
	}
	if err := d.as(ctx, "researcher", &answer, "study", "result", d.study); err != nil {
		return err
	}
	s := answer.Status
	summary := federation.Result{
		Study:  federation.Study{Digest: s.Study, Name: s.Name, Version: s.Version, Title: s.Title, State: s.State, Reason: s.Reason},
		Seed:   d.seed,
		Cipher: "on",
		Release: &federation.Release{
			Digest: s.Release, Accepted: sites(s.ReleaseDecisions, "accepted"), Refused: sites(s.ReleaseDecisions, "refused"),
		},
	}
	for _, h := range d.hospitals {
		report := federation.SiteReport{Name: h.name, Rows: h.rows, Skipped: h.skipped, Decision: "approved", Reason: h.refused}
		if h.refused != "" {
			report.Decision = "refused"
		}
		summary.Sites = append(summary.Sites, report)
	}
	for _, r := range s.Rounds {
		report := federation.RoundReport{
			ID: r.ID, Question: r.Question, Step: r.Step, State: r.State, Reason: r.Reason,
			Contributors: r.Contributors, Openers: r.Openers, Missing: r.Missing, BytesUp: r.BytesUp,
		}
		if !r.Ended.IsZero() {
			report.Seconds = r.Ended.Sub(r.Started).Seconds()
		}
		summary.Rounds = append(summary.Rounds, report)
	}
	if err := summary.AddComputed(answer.Result); err != nil {
		return err
	}
	findings, err := d.verify(ctx)
	if err != nil {
		return err
	}
	summary.Ledger = federation.Ledger{Size: findings.Entries, Root: findings.Root}
	summary.Verification = &federation.Verification{Holds: findings.count(string(audit.Failed)) == 0}
	for _, f := range findings.Checks {
		summary.Verification.Checks = append(summary.Verification.Checks, audit.Finding{Check: f.Check, State: audit.State(f.State), Detail: f.Detail})
	}
	summary.Seconds = time.Since(d.begun).Seconds()
	encoded, err := json.MarshalIndent(summary, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(d.out, "summary.json")
	if err := os.WriteFile(path, append(encoded, '\n'), 0o644); err != nil {
		return err
	}
	d.say("the same keys as simulate's result.json are in %s", path)
	return nil
}
