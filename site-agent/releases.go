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

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/durable"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

// worseThanAllowed is the reason that the policy gives. It says that a limit
// was passed and not by how much.
const worseThanAllowed = "the error on own patients is above this site's limit"

// warningsRefused is the reason that the policy gives for refusing unseen what the
// study's own criteria warn of.
const warningsRefused = "the release does not meet the study's criteria, and this site's policy refuses such releases"

// ReleaseReview is a release as this hospital sees it.
type ReleaseReview struct {
	Release  statement.Digest `json:"release"`
	Study    statement.Digest `json:"study"`
	Name     string           `json:"name"` // of the study
	Version  int              `json:"version"`
	Title    string           `json:"title"`
	Released time.Time        `json:"released"`
	State    string           `json:"state"` // waiting, accepted or refused
	Reason   string           `json:"reason,omitempty"`
	Decided  time.Time        `json:"decided,omitzero"`
	// Gate is what the study's criteria make of the release, with a sentence for
	// each that does not pass; Override, who had it offered although they block it.
	Gate     string    `json:"gate,omitempty"`
	Reasons  []string  `json:"gate_reasons,omitempty"`
	Override *Override `json:"override,omitempty"`
	// Installed says that predictions are made with this release.
	Installed bool `json:"installed"`
}

// Override is an auditor's word that a release which the study's criteria block
// be offered all the same.
type Override struct {
	Auditor string    `json:"auditor"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"` // by the auditor's clock
}

// Parts of a release's folder.
const (
	releasePart    = "release.json"  // envelope
	auditPart      = "audit.json"    // envelope
	overridePart   = "override.json" // envelope; only of a release that is offered under one
	studyPart      = "study.yaml"
	reviewPart     = "review.json"
	comparisonPart = "comparison.json"
	pagePart       = "comparison.html"
)

// reviewRelease checks an offered release, tests it on the hospital's own
// patients, and decides where the policy does.
func (a *Agent) reviewRelease(ctx context.Context, link *uplink.Link, w uplink.ReviewRelease) error {
	release, err := a.site.AcceptRelease(participant.ReleaseRequest{Release: w.Release, Audit: w.Audit, Protocol: w.Protocol, Override: w.Override})
	if err != nil {
		return err
	}
	subject := uplink.Subject{Study: release.Release.Study.String()}
	if decided, ok := a.vault.ReleaseDecision(release.Digest); ok {
		return link.DecideRelease(ctx, subject, decided.Statement) // its message was lost
	}
	if a.reviewed.still(release.Digest, a.o.Source) {
		return nil
	}
	var now shown
	now.stamp, now.stamped = records.StampOf(a.o.Source)
	review := ReleaseReview{
		Release: release.Digest, Study: release.Release.Study, Name: release.Study.Name, Version: release.Study.Version,
		Title: release.Study.Title, Released: release.Release.Time, State: Waiting,
	}
	review.judged(release)
	comparison, page, err := a.compare(release)
	if err != nil {
		now.trouble = err.Error()
	}
	if err := a.keepRelease(w, review, comparison, page); err != nil {
		return err
	}
	// The study asks nothing more, and a person may decide in months.
	a.cohorts.drop(review.Study)
	news := a.reviewed.note(release.Digest, now)
	switch {
	case err != nil && news: // the records may be readable tomorrow; a person can decide without
		a.log.Error("the release could not be tested on own patients", zap.Stringer("release", release.Digest), zap.Error(err))
	case err == nil:
		a.log.Info("release tested on own patients", zap.Stringer("release", release.Digest), zap.String("study", review.Name))
	}
	warned := review.Gate != fairness.Offered
	if warned && a.o.Policy.Warnings == Refuse {
		return a.decideRelease(ctx, link, review, false, warningsRefused)
	}
	asks := review.Override != nil || warned && a.o.Policy.Warnings == Ask
	if a.o.Policy.Releases != Automatic || asks || comparison == nil {
		if news {
			a.log.Info("a release waits for a decision", zap.Stringer("release", release.Digest), zap.String("gate", review.Gate))
		}
		return nil
	}
	switch good, known := comparison.within(&a.o.Policy); {
	case !known:
		a.log.Info("a release waits for a decision", zap.Stringer("release", release.Digest))
		return nil
	case good:
		return a.decideRelease(ctx, link, review, true, "")
	default:
		return a.decideRelease(ctx, link, review, false, worseThanAllowed)
	}
}

// judged says what the study's criteria make of a release.
func (r *ReleaseReview) judged(release *participant.Release) {
	r.Gate = release.Gate.Outcome
	for _, reason := range release.Gate.Reasons {
		r.Reasons = append(r.Reasons, reason.Text())
	}
	if o := release.Override; o != nil {
		r.Override = &Override{o.Auditor, o.Reason, o.Time}
	}
}

// keepRelease writes a release's folder whole, or not at all.
func (a *Agent) keepRelease(w uplink.ReviewRelease, review ReleaseReview, comparison *Comparison, page []byte) error {
	dir := a.releaseDir(review.Release)
	if _, err := os.Stat(filepath.Join(dir, comparisonPart)); err == nil {
		return nil // complete
	}
	temp := dir + ".part"
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	if err := os.MkdirAll(temp, 0o700); err != nil {
		return err
	}
	parts := map[string][]byte{releasePart: w.Release, auditPart: w.Audit, studyPart: w.Protocol}
	if w.Override != nil {
		parts[overridePart] = w.Override
	}
	for name, data := range parts {
		if err := durable.WriteFile(filepath.Join(temp, name), data, 0o600); err != nil {
			return err
		}
	}
	if comparison != nil {
		if err := writeJSON(filepath.Join(temp, comparisonPart), comparison); err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(temp, pagePart), page, 0o600); err != nil {
			return err
		}
	}
	if err := writeJSON(filepath.Join(temp, reviewPart), review); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Join(a.o.Dir, releasesDir))
}

func (a *Agent) releaseDir(release statement.Digest) string {
	return filepath.Join(a.o.Dir, releasesDir, release.String())
}

// decideRelease makes a decision durable, installs what was accepted, and then
// tells the coordinator.
func (a *Agent) decideRelease(ctx context.Context, link *uplink.Link, review ReleaseReview, yes bool, reason string) error {
	subject := uplink.Subject{Study: review.Study.String()}
	if made, ok := a.vault.ReleaseDecision(review.Release); ok && made.Yes == yes && made.Reason == reason {
		return link.DecideRelease(ctx, subject, made.Statement)
	}
	now := a.o.Now().UTC()
	signed, err := a.sign(statement.KindReleaseDecision, statement.ReleaseDecision{Release: review.Release, Site: a.node.Name(), Accepted: yes, Reason: reason, Time: now})
	if err != nil {
		return err
	}
	review.State, review.Reason, review.Decided = Refused, reason, now
	if yes {
		review.State = Accepted
		if err := install(a.o.Dir, review.Name, review.Release); err != nil {
			return err
		}
	}
	if err := a.vault.DecideRelease(vault.Decision{Subject: review.Release, Yes: yes, Reason: reason, Time: now, Statement: signed}); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(a.releaseDir(review.Release), reviewPart), review); err != nil {
		return err
	}
	a.cohorts.drop(review.Study)
	a.log.Info("release decided", zap.Stringer("release", review.Release), zap.String("decision", review.State), zap.String("reason", reason))
	return link.DecideRelease(ctx, subject, signed)
}

func (a *Agent) decideReleaseByPerson(ctx context.Context, link *uplink.Link, d Decision) error {
	var review ReleaseReview
	if err := readJSON(filepath.Join(a.releaseDir(d.Digest), reviewPart), &review); err != nil {
		return fmt.Errorf("no such release was offered to this site: %w", err)
	}
	return a.decideRelease(ctx, link, review, d.Yes, d.Reason)
}

// Releases lists the releases offered to a hospital, the oldest first, from the
// state directory alone.
func Releases(dir string) ([]ReleaseReview, error) {
	entries, err := os.ReadDir(filepath.Join(dir, releasesDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var reviews []ReleaseReview
	for _, e := range entries {
		if _, err := statement.ParseDigest(e.Name()); err != nil {
			continue // being written
		}
		var review ReleaseReview
		if err := readJSON(filepath.Join(dir, releasesDir, e.Name(), reviewPart), &review); err != nil {
			return nil, err
		}
		pointer, err := readInstalled(dir, review.Name)
		if err != nil {
			return nil, err
		}
		current, ok := pointer.current()
		review.Installed = ok && current == review.Release
		reviews = append(reviews, review)
	}
	slices.SortFunc(reviews, func(a, b ReleaseReview) int {
		if c := a.Released.Compare(b.Released); c != 0 {
			return c
		}
		return slices.Compare(a.Release[:], b.Release[:])
	})
	return reviews, nil
}

// LocalComparison returns what a release's test on the hospital's own patients
// gave, and where its page is.
func LocalComparison(dir string, release statement.Digest) (comparison *Comparison, page string, err error) {
	folder := filepath.Join(dir, releasesDir, release.String())
	comparison = new(Comparison)
	if err := readJSON(filepath.Join(folder, comparisonPart), comparison); err != nil {
		return nil, "", fmt.Errorf("the release was not tested on own patients: %w", err)
	}
	return comparison, filepath.Join(folder, pagePart), nil
}

// installed is the pointer to the release in use, with those before it.
type installed struct {
	Releases []statement.Digest `json:"releases"` // the last one is in use
}

func (i installed) current() (statement.Digest, bool) {
	if len(i.Releases) == 0 {
		return statement.Digest{}, false
	}
	return i.Releases[len(i.Releases)-1], true
}

// installedPath names a study's pointer by the digest of the study's name,
// which can hold any character.
func installedPath(dir, study string) string {
	return filepath.Join(dir, installedDir, statement.DigestOf([]byte(study)).String()[:16]+".json")
}

func readInstalled(dir, study string) (installed, error) {
	var i installed
	err := readJSON(installedPath(dir, study), &i)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return i, err
}

// install puts a release in use: one atomic replacement of a pointer to a
// folder that is complete.
func install(dir, study string, release statement.Digest) error {
	i, err := readInstalled(dir, study)
	if err != nil {
		return err
	}
	if current, ok := i.current(); ok && current == release {
		return nil
	}
	i.Releases = append(i.Releases, release)
	return writeJSON(installedPath(dir, study), i)
}

// Rollback puts the release before the present one back in use and returns it.
func Rollback(dir, study string) (statement.Digest, error) {
	i, err := readInstalled(dir, study)
	if err != nil {
		return statement.Digest{}, err
	}
	if len(i.Releases) < 2 {
		return statement.Digest{}, fmt.Errorf("there is no earlier release of study %q to go back to", study)
	}
	i.Releases = i.Releases[:len(i.Releases)-1]
	if err := writeJSON(installedPath(dir, study), i); err != nil {
		return statement.Digest{}, err
	}
	current, _ := i.current()
	return current, nil
}

// openRelease reads a kept release and verifies it again, so that a file that
// was changed on the disk makes no prediction.
func openRelease(dir string, digest statement.Digest) (*participant.Release, *pipeline.Model, error) {
	node, err := identity.OpenNode(filepath.Join(dir, identityDir))
	if err != nil {
		return nil, nil, err
	}
	var parts [3][]byte
	for i, name := range []string{releasePart, auditPart, studyPart} {
		if parts[i], err = os.ReadFile(filepath.Join(dir, releasesDir, digest.String(), name)); err != nil {
			return nil, nil, fmt.Errorf("no such release is kept here: %w", err)
		}
	}
	override, err := os.ReadFile(filepath.Join(dir, releasesDir, digest.String(), overridePart))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	release, err := participant.OpenRelease(node.Rosters(), participant.ReleaseRequest{Release: parts[0], Audit: parts[1], Protocol: parts[2], Override: override})
	if err != nil {
		return nil, nil, err
	}
	if release.Digest != digest {
		return nil, nil, participant.ErrReleaseSignature
	}
	model, err := modelOf(release)
	return release, model, err
}

func modelOf(release *participant.Release) (*pipeline.Model, error) {
	var model pipeline.Model
	if err := json.Unmarshal(release.Release.Body, &model); err != nil {
		return nil, fmt.Errorf("the release's model cannot be read by this agent's version: %w", err)
	}
	return &model, nil
}
