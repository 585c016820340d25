package siteagent

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/study"
)

const releaseNotInstalled = "the release that the study watches is not installed here"

// watching reads what a question of a study needs: the hospital's records and, of
// a study that watches a release, the installed model. Each window of such a study
// sees the records as they are when it is first asked about, and keeps them until
// the next one. A reason says why there is no answer; an error, that it may be had later.
func (a *Agent) watching(round *participant.Round) (site pipeline.Site, rows int, reason string, err error) {
	site.Name = study.SiteID(a.node.Name())
	key, window := statement.Digest(round.Study.Digest()), 0
	if round.Study.Monitor != nil {
		window, _, _ = pipeline.WindowOf(round.Study, round.Plan.Step, round.Parameters)
		a.cohorts.drop(windowOf(key, window-1))
		key = windowOf(key, window)
	}
	own, err := a.cohorts.as(key, round.Study, a.o.Source, a.o.Now())
	if err != nil {
		a.log.Error("the records cannot be read", zap.Error(err))
		return site, 0, recordsUnreadable, nil
	}
	switch same, err := a.began.same(key, own.version); {
	case err != nil:
		return site, 0, "", err
	case !same:
		a.cohorts.drop(key)
		a.log.Error("the records are not those that the study began with here, so it goes on without this hospital", zap.Stringer("study", statement.Digest(round.Study.Digest())), zap.String("step", round.Plan.Step))
		return site, 0, recordsChanged, nil
	}
	site.Records = own.matrix
	if round.Study.Monitor == nil {
		if rows = own.matrix.Rows(); !a.o.Policy.enough(rows, own.skipped) {
			rows = 0
		}
		return site, rows, "", nil
	}
	if site.Installed, err = installedModel(a.o.Dir, round.Study); err != nil {
		a.log.Error("the installed release cannot be watched", zap.Error(err))
		return site, 0, releaseNotInstalled, nil
	}
	for i := range own.matrix.Rows() {
		if own.matrix.Window(i) == window {
			rows++
		}
	}
	if rows == 0 {
		rows = 1 // nobody came in this window: that is an answer, of zeros
	}
	return site, rows, "", nil
}

// windowOf names the records of a study's window.
func windowOf(study statement.Digest, window int) statement.Digest {
	return statement.DigestOf(fmt.Appendf(study[:], "window %d", window))
}

// installedModel is the release that a study watches, verified again, if this
// hospital has installed it and the study declares the same columns and model.
func installedModel(dir string, s *study.Study) (*pipeline.Model, error) {
	digest, err := statement.ParseDigest(s.Monitor.Release)
	if err != nil {
		return nil, err
	}
	release, model, err := openRelease(dir, digest)
	if err != nil {
		return nil, err
	}
	pointer, err := readInstalled(dir, release.Study.Name)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(pointer.Releases, digest) {
		return nil, fmt.Errorf("release %s was not accepted here, or was taken back", digest)
	}
	return model, pipeline.Watches(s, release.Study)
}
