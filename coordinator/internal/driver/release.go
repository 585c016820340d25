package driver

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

func newSession(s *studyState) *pipeline.Session { return pipeline.New(s.study) }

// complete ends a study whose computation is done: the result, the signed audit
// and the signed release become facts and ledger entries together. Where the
// study's criteria block the release there is none: no hospital is shown the
// model, and the ledger holds no offer of it.
func (d *Driver) complete(s *studyState) error {
	found, err := d.beside(s, s.session.Result())
	if err != nil {
		return err
	}
	result, err := json.Marshal(found)
	if err != nil {
		return fmt.Errorf("the result cannot be written: %w", err)
	}
	e := ended{State: Completed, At: d.time()}
	var entries []ledger.Entry
	name, err := d.put(result)
	if err != nil {
		return err
	}
	e.Result = &name
	entries = append(entries, d.entry(ledger.TypeResult, s.id, statement.Digest{}, name, d.Node.Name()))
	if found.Model != nil && found.Audit != nil {
		if err := d.release(s, found, &e); err != nil {
			return err
		}
		entries = append(entries, d.entry(ledger.TypeAudit, s.id, statement.Digest{}, *e.Audit, d.Node.Name()))
		if e.Release != nil {
			entries = append(entries, d.entry(ledger.TypeRelease, s.id, statement.Digest{}, *e.Release, d.Node.Name()))
		}
	}
	if err := d.commit([]write{{studyStream(s.id), e}}, entries...); err != nil {
		return err
	}
	d.Logger.Info("study ended", zap.Stringer("study", s.id), zap.String("state", e.State), zap.String("release", s.gate()))
	return nil
}

// release makes the signed audit of a result and, unless it is blocked, the
// signed release.
func (d *Driver) release(s *studyState, found *pipeline.Result, e *ended) error {
	report, err := statement.Encode(found.Audit)
	if err != nil {
		return fmt.Errorf("the audit cannot be written: %w", err)
	}
	audit, err := d.sign(statement.KindAudit, found.Audit)
	if err != nil {
		return err
	}
	body, err := statement.Encode(found.Model)
	if err != nil {
		return fmt.Errorf("the model cannot be written: %w", err)
	}
	e.Audit, e.Gate = &audit, found.Audit.Decision
	gate := ""
	if e.Gate != nil {
		gate = e.Gate.Outcome
	}
	if gate == fairness.Blocked {
		model, err := d.put(body)
		e.Model = &model
		return err
	}
	release, offered, err := d.signRelease(s, statement.DigestOf(report), body, gate, nil)
	e.Release, e.Offered = &release, &offered
	return err
}

// signRelease signs the release of a model, under an override if there is one.
func (d *Driver) signRelease(s *studyState, report statement.Digest, body []byte, gate string, override *statement.Digest) (release, offered statement.Digest, err error) {
	r := statement.Release{
		Study: s.id, Roster: d.Roster().Digest(), Audit: report,
		Model: statement.DigestOf(body), Body: body, Gate: gate, Override: override, Time: d.time(),
	}
	for _, opened := range s.rounds {
		if opened.State() == round.Published {
			r.Rounds = append(r.Rounds, opened.released())
		}
	}
	payload, err := statement.Encode(r)
	if err != nil {
		return release, offered, err
	}
	release, err = d.sign(statement.KindRelease, r)
	return release, statement.DigestOf(payload), err
}

func (r *roundState) released() statement.ReleasedRound {
	out := statement.ReleasedRound{Round: r.ID(), Step: r.Plan().Step, Contributors: r.Contributors(), Sum: r.End().Sum}
	for _, site := range out.Contributors {
		c, _ := r.Contribution(site)
		out.Headers = append(out.Headers, c.Header)
	}
	return out
}

func list(names []string) string { return strings.Join(names, ", ") }
