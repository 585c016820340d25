package siteagent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// Decision is what a person decided about a study or a release. People's
// commands leave it as a file in the state directory; the running agent, which
// alone holds the vault and the connection, carries it out. So no command
// needs an open port, and one given while the agent is down is not lost.
type Decision struct {
	Kind   string           `json:"kind"` // study or release
	Digest statement.Digest `json:"digest"`
	Yes    bool             `json:"yes"`
	Reason string           `json:"reason,omitempty"`
}

// Kinds of decisions.
const (
	DecideStudy   = "study"
	DecideRelease = "release"
)

// What ends the names of decisions that were not carried out.
const (
	unreadable = ".unreadable"
	failed     = ".failed"
)

// longestReason keeps a reason one sentence.
const longestReason = 500

// Decide leaves a decision for the agent of a state directory.
func Decide(dir string, d Decision) error {
	if len(d.Reason) > longestReason {
		return fmt.Errorf("the reason has %d bytes, %d are allowed: say it in one sentence", len(d.Reason), longestReason)
	}
	// Nothing but the decision is sent: the person's reason as it was typed.
	return writeJSON(filepath.Join(dir, decisionsDir, rand.Text()+".json"), d)
}

// Approve approves a study that was proposed to this site.
func (a *Agent) Approve(study statement.Digest) error {
	return Decide(a.o.Dir, Decision{Kind: DecideStudy, Digest: study, Yes: true})
}

// Refuse refuses a study that was proposed to this site.
func (a *Agent) Refuse(study statement.Digest, reason string) error {
	return Decide(a.o.Dir, Decision{Kind: DecideStudy, Digest: study, Reason: reason})
}

// watchDecisions looks for people's decisions every second.
func (a *Agent) watchDecisions(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		a.carryOut(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a *Agent) carryOut(ctx context.Context) {
	dir := filepath.Join(a.o.Dir, decisionsDir)
	files, err := os.ReadDir(dir)
	if err != nil {
		a.log.Error("the decisions cannot be read", zap.Error(err))
		return
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if strings.HasPrefix(f.Name(), ".") || !strings.HasSuffix(f.Name(), ".json") {
			continue // being written
		}
		var d Decision
		if err := readJSON(path, &d); err != nil {
			a.log.Error("a decision cannot be read and is not carried out", zap.String("file", f.Name()), zap.Error(err))
			os.Rename(path, path+unreadable)
			continue
		}
		attempt := func(ctx context.Context) error {
			if err := a.decide(ctx, d); err != nil {
				return err
			}
			return os.Remove(path)
		}
		a.tasks.start(ctx, "decision "+f.Name(), attempt, temporary, func(err error) {
			a.refused("decision", err)
			if !temporary(err) {
				os.Rename(path, path+failed)
			}
		})
	}
}

func (a *Agent) decide(ctx context.Context, d Decision) error {
	link, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if d.Reason == "" && !d.Yes {
		d.Reason = refusedByPerson
	}
	switch d.Kind {
	case DecideStudy:
		review, err := readStudy(a.o.Dir, d.Digest.String())
		if err != nil {
			return err
		}
		protocol, err := StudyProtocol(a.o.Dir, d.Digest)
		if err != nil {
			return err
		}
		return a.decideStudy(ctx, link, review, protocol, d.Yes, d.Reason)
	case DecideRelease:
		return a.decideReleaseByPerson(ctx, link, d)
	}
	return errors.New("a decision is about a study or a release")
}
