package driver

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

func newSession(s *studyState) *pipeline.Session { return pipeline.New(s.study) }

// complete ends a study whose computation is done: the result, the signed audit
// and the signed release become facts and ledger entries together.
func (d *Driver) complete(s *studyState) error {
	found := s.session.Result()
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
		audit, release, offered, err := d.release(s, found)
		if err != nil {
			return err
		}
		e.Audit, e.Release, e.Offered = &audit, &release, &offered
		entries = append(entries,
			d.entry(ledger.TypeAudit, s.id, statement.Digest{}, audit, d.Node.Name()),
			d.entry(ledger.TypeRelease, s.id, statement.Digest{}, release, d.Node.Name()))
	}
	if err := d.commit([]write{{studyStream(s.id), e}}, entries...); err != nil {
		return err
	}
	d.Logger.Info("study ended", zap.Stringer("study", s.id), zap.String("state", e.State))
	return nil
}

// release makes the signed audit and the signed release of a result.
func (d *Driver) release(s *studyState, found *pipeline.Result) (audit, release, offered statement.Digest, err error) {
	report, err := statement.Encode(found.Audit)
	if err != nil {
		return audit, release, offered, fmt.Errorf("the audit cannot be written: %w", err)
	}
	if audit, err = d.sign(statement.KindAudit, found.Audit); err != nil {
		return audit, release, offered, err
	}
	body, err := statement.Encode(found.Model)
	if err != nil {
		return audit, release, offered, fmt.Errorf("the model cannot be written: %w", err)
	}
	r := statement.Release{
		Study: s.id, Roster: d.Roster().Digest(), Audit: statement.DigestOf(report),
		Model: statement.DigestOf(body), Body: body, Time: d.time(),
	}
	for _, opened := range s.rounds {
		if opened.State() == round.Published {
			r.Rounds = append(r.Rounds, opened.released())
		}
	}
	payload, err := statement.Encode(r)
	if err != nil {
		return audit, release, offered, err
	}
	release, err = d.sign(statement.KindRelease, r)
	return audit, release, statement.DigestOf(payload), err
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
