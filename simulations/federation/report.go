package federation

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/fairness/page"
	resultpage "github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/crypto/ledger"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// Report gathers what the study has come to, and has the auditor verify it.
func (c *consortium) Report(ctx context.Context) (*Result, error) {
	answer, err := c.studies().Result(ctx, &consiliumv1.ResultRequest{Study: c.digest()})
	if err != nil {
		return nil, fmt.Errorf("the study's result cannot be read: %w", err)
	}
	s := answer.GetStatus()
	r := &Result{
		Study: Study{
			Digest: s.GetStudy(), Name: s.GetName(), Version: int(s.GetVersion()), Title: s.GetTitle(),
			State: s.GetState(), Reason: s.GetReason(),
		},
		Seed:    c.spec.Seed,
		Nowhere: c.spec.Nowhere,
		Cipher:  "on",
		Rounds:  roundReports(s.GetRounds()),

		SignedAudit: answer.GetAudit(), SignedRelease: answer.GetRelease(),
		protocol: c.protocol,
	}
	if c.spec.Unencrypted {
		r.Cipher = "off"
	}
	r.Sites = c.siteReports(s.GetDecisions())
	if s.GetRelease() != "" {
		r.Release = releaseReport(s)
	}
	if err := r.AddComputed(answer.GetResult()); err != nil {
		return nil, err
	}
	return r, c.verify(ctx, r)
}

func roundReports(rounds []*consiliumv1.RoundStatus) []RoundReport {
	reports := make([]RoundReport, 0, len(rounds))
	for _, r := range rounds {
		report := RoundReport{
			ID: r.GetId(), Question: r.GetQuestion(), Step: r.GetStep(), State: r.GetState(), Reason: r.GetReason(),
			Contributors: list(r.GetContributors()), Openers: list(r.GetOpeners()), Missing: list(r.GetMissing()),
			BytesUp: r.GetBytesUp(),
		}
		if r.GetEndedUnixMs() > r.GetStartedUnixMs() {
			report.Seconds = (time.Duration(r.GetEndedUnixMs()-r.GetStartedUnixMs()) * time.Millisecond).Seconds()
		}
		reports = append(reports, report)
	}
	return reports
}

// list is never nil, so that JSON shows an empty list.
func list(names []string) []string { return append([]string{}, names...) }

// siteReports say what every site's dry run told it.
func (c *consortium) siteReports(decisions []*consiliumv1.SiteDecision) []SiteReport {
	decided := make(map[string]*consiliumv1.SiteDecision, len(decisions))
	for _, d := range decisions {
		decided[d.GetSite()] = d
	}
	var reports []SiteReport
	for _, site := range c.spec.Sites {
		var own siteagent.DryRun // of no records, of a site that was never asked
		if told := c.dryRun(site.Name); told != nil {
			own = *told
		}
		report := SiteReport{
			Name: site.Name, Rows: own.Rows, Skipped: make(map[string]int, len(own.Skipped)),
			Decision: decided[site.Name].GetDecision(), Reason: decided[site.Name].GetReason(),
		}
		for reason, n := range own.Skipped {
			report.Skipped[string(reason)] = n
		}
		for _, drop := range c.spec.Drops {
			if drop.Site == site.Name {
				report.Dropped = string(drop.Phase)
			}
		}
		reports = append(reports, report)
	}
	return reports
}

// AddComputed adds what the opened sums gave, as the coordinator shows it: model
// and audit, or a diagnosis. Study and Release have to be set before.
func (r *Result) AddComputed(encoded []byte) error {
	if len(encoded) == 0 {
		return nil
	}
	var computed pipeline.Result
	if err := json.Unmarshal(encoded, &computed); err != nil {
		return fmt.Errorf("the study's result cannot be read: %w", err)
	}
	r.Monitor = computed.Monitor
	r.Cohort, r.Description, r.Diagnoses = computed.Cohort, computed.Description, computed.Diagnoses
	if err := r.renderResult(&computed); err != nil {
		return err
	}
	if r.Study.State == "diagnosed" {
		if n := len(computed.Diagnoses); n > 0 {
			r.Diagnosis = &computed.Diagnoses[n-1]
		}
		return nil
	}
	r.Model, r.Validation, r.Mitigation = computed.Model, computed.Validation, computed.Mitigation
	if computed.Audit == nil {
		return nil
	}
	r.Gate = computed.Audit.Decision
	r.Fairness = &Fairness{Groups: groups(computed.Audit), Gaps: computed.Audit.Gaps}
	if err := r.renderCard(&computed); err != nil {
		return err
	}
	var err error
	r.Page, err = page.Render(page.Document{
		Cohort: computed.Cohort, Model: computed.Model.GLM, Audit: computed.Audit, Diagnoses: computed.Diagnoses,
		Evidence: r.evidence(),
	})
	return err
}

// evidence says how the signed evidence names the report.
func (r *Result) evidence() []page.Fact {
	facts := []page.Fact{{Name: "study", Value: r.Study.Digest}}
	if r.Release != nil {
		facts = append(facts, page.Fact{Name: "release", Value: r.Release.Digest})
	}
	return append(facts, page.Fact{Name: "prove it", Value: "consilium audit verify bundle"})
}

// renderResult writes the page of what has been found, as far as it goes.
func (r *Result) renderResult(computed *pipeline.Result) (err error) {
	if computed.Cohort == nil && computed.Monitor == nil {
		return nil
	}
	d := resultpage.Document{Title: r.Study.Title, Version: r.Study.Version, Result: computed, Protocol: r.protocol, Ended: r.Study.Reason}
	for _, f := range r.evidence()[1:] { // the page names the study by itself
		d.Evidence = append(d.Evidence, resultpage.Fact(f))
	}
	r.ResultPage, err = resultpage.Render(d)
	return err
}

func groups(a *fairness.Audit) []Group {
	out := make([]Group, 0, len(a.Groups))
	for _, g := range a.Groups {
		out = append(out, Group{Attribute: g.Attribute, Level: g.Level, N: g.N, State: g.State, Metrics: g.Flat()})
	}
	return out
}

func releaseReport(s *consiliumv1.StudyStatus) *Release {
	r := &Release{Digest: s.GetRelease(), Accepted: []string{}, Refused: []string{}}
	for _, d := range s.GetReleaseDecisions() {
		switch d.GetDecision() {
		case "accepted":
			r.Accepted = append(r.Accepted, d.GetSite())
		case "refused":
			r.Refused = append(r.Refused, d.GetSite())
		}
	}
	return r
}

// verify does the auditor's work: fetch the evidence, trust nothing but the
// governance key, and check. A bundle that is left for people is checked as it
// was left.
func (c *consortium) verify(ctx context.Context, r *Result) error {
	evidence, err := c.evidence(ctx)
	if err != nil {
		return fmt.Errorf("the evidence cannot be fetched: %w", err)
	}
	var bundle fs.FS = evidence
	if dir := c.spec.Bundle; dir != "" {
		if err := evidence.write(dir); err != nil {
			return fmt.Errorf("the evidence cannot be written: %w", err)
		}
		bundle = os.DirFS(dir)
	}
	findings, err := audit.Verify(bundle, audit.Trust{Governance: c.governance.Public()})
	if err != nil {
		return err
	}
	r.Verification = &Verification{Holds: findings.Holds(), Checks: findings.Checks}
	checkpoint, err := fs.ReadFile(bundle, "checkpoint")
	if err != nil {
		return err
	}
	head, err := ledger.ParseCheckpoint(checkpoint) // its signature is among what was verified
	if err != nil {
		return err
	}
	r.Ledger = Ledger{Size: head.Size, Root: hex.EncodeToString(head.Root[:])}
	return nil
}
