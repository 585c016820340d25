package siteagent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

// How a study or a release stands with this site.
const (
	Waiting  = "waiting" // for a person
	Approved = "approved"
	Refused  = "refused"
	Accepted = "accepted"
)

// StudyReview is a study as this hospital sees it.
type StudyReview struct {
	Study      statement.Digest `json:"study"`
	Researcher string           `json:"researcher"`
	Proposed   time.Time        `json:"proposed"`
	State      string           `json:"state"`
	Reason     string           `json:"reason,omitempty"`
	Decided    time.Time        `json:"decided,omitzero"`
	DryRun     *DryRun          `json:"dry_run"`
}

// reviewStudy shows a proposed study to the hospital, or decides it where the
// policy does.
func (a *Agent) reviewStudy(ctx context.Context, link *uplink.Link, w uplink.ReviewStudy) error {
	parsed, proposal, err := a.site.AcceptStudy(w.Protocol, w.Proposal)
	if err != nil {
		return err
	}
	if decided, ok := a.vault.StudyDecision(proposal.Study); ok {
		// The decision was made and its message was lost.
		return link.DecideStudy(ctx, uplink.Subject{Study: proposal.Study.String()}, decided.Statement)
	}
	if a.reviewed.still(proposal.Study, a.o.Source) {
		return nil
	}
	var now shown
	now.stamp, now.stamped = records.StampOf(a.o.Source)
	review := StudyReview{Study: proposal.Study, Researcher: proposal.Researcher, Proposed: proposal.Time, State: Waiting, DryRun: a.DryRun(parsed)}
	dir := filepath.Join(a.o.Dir, studiesDir, proposal.Study.String())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(dir, "study.yaml"), w.Protocol, 0o600); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, "review.json"), review); err != nil {
		return err
	}
	switch {
	case review.DryRun.Unreadable != "":
		now.trouble = review.DryRun.Unreadable
		if a.reviewed.note(proposal.Study, now) {
			a.log.Error("a study waits because the records cannot be read", zap.Stringer("study", proposal.Study), zap.String("why", now.trouble))
		}
		return nil
	case !a.o.Policy.enough(review.DryRun.Rows, review.DryRun.Skipped) && parsed.Monitor == nil: // whose patients may be still to come
		return a.decideStudy(ctx, link, review, w.Protocol, false, noUsableRecords)
	case a.o.Policy.tooLoud(parsed, a.spent()):
		return a.decideStudy(ctx, link, review, w.Protocol, false, tooLittleNoise)
	case countsUs(parsed) && a.o.Policy.HospitalCounts == Refuse:
		return a.decideStudy(ctx, link, review, w.Protocol, false, noHospitalCounts)
	case a.o.Policy.approves(parsed):
		return a.decideStudy(ctx, link, review, w.Protocol, true, "")
	}
	if a.reviewed.note(proposal.Study, now) {
		a.log.Info("a study waits for a decision", zap.Stringer("study", proposal.Study), zap.String("name", parsed.Name))
	}
	return nil
}

// decideStudy makes a decision durable and then sends it.
func (a *Agent) decideStudy(ctx context.Context, link *uplink.Link, review StudyReview, protocol []byte, yes bool, reason string) error {
	subject := uplink.Subject{Study: review.Study.String()}
	if made, ok := a.vault.StudyDecision(review.Study); ok && made.Yes == yes && made.Reason == reason {
		return link.DecideStudy(ctx, subject, made.Statement) // its message was lost
	}
	now := a.o.Now().UTC()
	signed, err := a.sign(statement.KindApproval, statement.Approval{Study: review.Study, Site: a.node.Name(), Approved: yes, Reason: reason, Time: now})
	if err != nil {
		return err
	}
	if err := a.vault.DecideStudy(vault.Decision{Subject: review.Study, Yes: yes, Reason: reason, Time: now, Statement: signed, Protocol: protocol}); err != nil {
		return err
	}
	review.State, review.Reason, review.Decided = Refused, reason, now
	if yes {
		review.State = Approved
	} else {
		a.cohorts.rehearsals.forget(review.Study)
	}
	if err := writeJSON(filepath.Join(a.o.Dir, studiesDir, review.Study.String(), "review.json"), review); err != nil {
		return err
	}
	a.log.Info("study decided", zap.Stringer("study", review.Study), zap.String("decision", review.State), zap.String("reason", reason))
	return link.DecideStudy(ctx, subject, signed)
}

// Studies lists the studies that this hospital was asked about, the oldest
// proposal first, from the state directory alone.
func Studies(dir string) ([]StudyReview, error) {
	entries, err := os.ReadDir(filepath.Join(dir, studiesDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var reviews []StudyReview
	for _, e := range entries {
		review, err := readStudy(dir, e.Name())
		if errors.Is(err, os.ErrNotExist) {
			continue // being written
		}
		if err != nil {
			return nil, err
		}
		reviews = append(reviews, review)
	}
	slices.SortFunc(reviews, func(a, b StudyReview) int {
		if c := a.Proposed.Compare(b.Proposed); c != 0 {
			return c
		}
		return slices.Compare(a.Study[:], b.Study[:])
	})
	return reviews, nil
}

func readStudy(dir, digest string) (StudyReview, error) {
	var review StudyReview
	return review, readJSON(filepath.Join(dir, studiesDir, digest, "review.json"), &review)
}

// StudyProtocol returns the protocol file of a study that the hospital was
// asked about.
func StudyProtocol(dir string, study statement.Digest) ([]byte, error) {
	protocol, err := os.ReadFile(filepath.Join(dir, studiesDir, study.String(), "study.yaml"))
	if err != nil {
		return nil, fmt.Errorf("no such study was proposed to this site: %w", err)
	}
	if statement.DigestOf(protocol) != study {
		return nil, fmt.Errorf("the kept protocol of study %s was changed: restart the agent to fetch it again", study)
	}
	return protocol, nil
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(data, '\n'), 0o600)
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return nil
}
