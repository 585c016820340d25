package federation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

const (
	// glance is how often the federation looks how the study stands, unless a look
	// takes long: then it is more than restful times as long until the next. A look
	// can be long for having waited itself, so that is bounded, too.
	glance  = 5 * time.Millisecond
	restful = 100
	rest    = 50 * time.Millisecond
	// patience is how long in real time a study may stand still before the
	// federation is given up.
	patience = 2 * time.Minute
)

// digest is the study's name on the wire.
func (c *consortium) digest() string { return statement.Digest(c.protocol.Digest()).String() }

func (c *consortium) studies() consiliumv1.StudyServiceClient {
	return consiliumv1.NewStudyServiceClient(c.researcher.conn)
}

// RunStudy takes the study from its proposal to the sites' decisions about the
// release.
func (c *consortium) RunStudy(ctx context.Context) error {
	if err := c.propose(ctx); err != nil {
		return fmt.Errorf("the study was not proposed: %w", err)
	}
	if err := c.startSites(); err != nil {
		return err
	}
	if err := c.decided(ctx, "the sites' decisions about the study"); err != nil {
		return err
	}
	for _, drop := range c.spec.Drops {
		if drop.Phase == Away {
			if err := c.stopSite(drop.Site); err != nil {
				return err
			}
		}
	}
	if err := c.startStudy(ctx); err != nil {
		return fmt.Errorf("the study was not started: %w", err)
	}
	if err := c.follow(ctx, "the rounds", c.roundsEnded()); err != nil {
		return err
	}
	return c.follow(ctx, "the sites' decisions about the release", c.releaseDecided())
}

func (c *consortium) propose(ctx context.Context) error {
	envelope, err := statement.Sign(statement.KindProposal,
		statement.Proposal{Study: c.protocol.Digest(), Researcher: researcherName, Time: c.clock.Now().UTC()},
		researcherName, c.researcher.node.Keys().Signing())
	if err != nil {
		return err
	}
	_, err = c.studies().Propose(ctx, &consiliumv1.ProposeRequest{Protocol: c.protocol.Source(), Proposal: envelope})
	return err
}

func (c *consortium) startStudy(ctx context.Context) error {
	envelope, err := statement.Sign(statement.KindStart,
		statement.Start{Study: c.protocol.Digest(), Researcher: researcherName, Time: c.clock.Now().UTC()},
		researcherName, c.researcher.node.Keys().Signing())
	if err != nil {
		return err
	}
	_, err = c.studies().Start(ctx, &consiliumv1.StartRequest{Study: c.digest(), Start: envelope})
	return err
}

// follow looks at the study until what is waited for has come, and gives up when
// nothing has changed for long.
func (c *consortium) follow(ctx context.Context, what string, come func(*coordinator.StudyStatus) bool) error {
	progress, changed := "", time.Now()
	for {
		looked := time.Now()
		now, err := c.status()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if come(now) {
			return nil
		}
		if text := now.Progress(); text != progress {
			progress, changed = text, time.Now()
		}
		if time.Since(changed) > patience {
			return fmt.Errorf("waiting for %s: nothing has happened for %s", what, patience)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(min(rest, max(glance, restful*time.Since(looked)))):
		}
	}
}

func (c *consortium) status() (*coordinator.StudyStatus, error) {
	return c.currentServer().Status(c.digest())
}

// releaseDecided reports whether every site that is there has decided about the
// release, if there is one.
func (c *consortium) releaseDecided() func(*coordinator.StudyStatus) bool {
	byHand := c.byHand()
	return func(s *coordinator.StudyStatus) bool {
		waiting := slices.ContainsFunc(s.ReleaseDecisions, func(d coordinator.SiteDecision) bool {
			return d.Decision == "pending" && !c.spec.dropped(d.Site, Away)
		})
		if s.Gate == fairness.Blocked && s.Override == nil {
			c.spec.Progress("release: blocked by the study's own criteria, so no site is offered it")
		}
		if waiting {
			byHand(s)
		} else if len(s.ReleaseDecisions) > 0 {
			c.spec.Progress(fmt.Sprintf("release: %d sites accept, %d refuse", tally(s.ReleaseDecisions, "accepted"), tally(s.ReleaseDecisions, "refused")))
		}
		return !waiting
	}
}

func tally(decisions []coordinator.SiteDecision, decision string) int {
	n := 0
	for _, d := range decisions {
		if d.Decision == decision {
			n++
		}
	}
	return n
}

// roundsEnded reports whether the study has ended. Meanwhile it says what has
// become of the rounds and skips waiting that cannot help.
func (c *consortium) roundsEnded() func(*coordinator.StudyStatus) bool {
	told := make(map[statement.Digest]bool)
	return func(s *coordinator.StudyStatus) bool {
		for i, r := range s.Rounds {
			if round.State(r.State).Terminal() && !told[r.ID] {
				told[r.ID] = true
				c.spec.Progress(sentence(i+1, r))
			}
		}
		if s.Over() {
			return true
		}
		if r := c.hopeless(s); r != nil {
			c.skipDeadline(r)
		}
		return false
	}
}

func sentence(number int, r coordinator.RoundStatus) string {
	if round.State(r.State) == round.Published {
		return fmt.Sprintf("round %d %s: opened the sum of %d sites", number, r.Step, len(r.Contributors))
	}
	line := fmt.Sprintf("round %d %s: %s: %s", number, r.Step, r.State, r.Reason)
	if len(r.Missing) > 0 {
		line += "; missing: " + strings.Join(r.Missing, ", ")
	}
	return line
}

// hopeless returns the round that waits for sites which will never come, and
// for nobody else; nil if there is none. The others have done their part and
// wait in a call: one that is between two calls must not look absent because
// the clock leapt.
func (c *consortium) hopeless(s *coordinator.StudyStatus) *coordinator.RoundStatus {
	if len(s.Rounds) == 0 {
		return nil
	}
	r := &s.Rounds[len(s.Rounds)-1]
	state := round.State(r.State)
	if state != round.Collecting && state != round.Opening || len(r.Missing) == 0 {
		return nil
	}
	server := c.currentServer()
	for _, site := range r.Invited {
		gone := c.spec.dropped(site, Away)
		done := !slices.Contains(r.Missing, site) ||
			state == round.Collecting && c.spec.dropped(site, Collecting) ||
			state == round.Opening && c.spec.dropped(site, Opening)
		if !gone && !(done && server.Calling(site)) {
			return nil
		}
	}
	return r
}

// skipDeadline moves everyone's clock to the deadline that a hopeless round
// waits for.
func (c *consortium) skipDeadline(waiting *coordinator.RoundStatus) {
	server := c.currentServer()
	deadline, ok := server.Wake()
	if !ok {
		return
	}
	// The deadline is this round's only if the round has not moved on meanwhile:
	// the next round's must not be skipped to.
	now, err := server.Status(c.digest())
	if err != nil {
		return // the next look says why
	}
	if r := c.hopeless(now); r == nil || r.ID != waiting.ID || r.State != waiting.State {
		return
	}
	c.clock.SkipTo(deadline)
	server.Nudge()
}
