package driver

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// A study that watches a release asks about a window when it is over. Nothing is
// remembered for that: the windows are in the protocol, what was asked is in the
// rounds, and the clock is the driver's. So a coordinator that was away when a
// window came due asks about it when it is back, and about each window once.

// waits is until when a running study without an open round has nothing to ask.
func (s *studyState) waits(now time.Time) (at time.Time, waiting bool) {
	if s.session == nil || s.active() != nil {
		return at, false
	}
	at, waiting = s.session.Due()
	return at, waiting && now.Before(at)
}

// soFar is the result of a running study that watches a release: windows that are
// done stay as they are.
func (d *Driver) soFar(s *studyState) ([]byte, error) {
	switch {
	case s.study.Monitor == nil || s.session == nil:
		return nil, nil
	case s.report != nil:
		return d.Blobs.Get(*s.report)
	}
	return json.Marshal(newSession(s).Result())
}

// endWatch ends a study that watches a release with the windows that it has
// reported, because nobody is left to ask about the next. It reports false if there
// are none.
func (d *Driver) endWatch(s *studyState, reason string) (bool, error) {
	if s.study.Monitor == nil || s.report == nil {
		return false, nil
	}
	reason = fmt.Sprintf("ended after %d of %d windows: %s", s.told, s.study.Monitor.Windows(), reason)
	return true, d.endStudy(s, ended{State: Completed, Reason: reason, Result: s.report})
}

// unopened is the last round in which sites saw a question, where that round ended
// without a sum; nil otherwise.
func (s *studyState) unopened(question statement.Digest) *roundState {
	for _, r := range slices.Backward(s.rounds) {
		if r.Plan().Question == question && r.End().Cause != round.CauseWithdrawn {
			if r.State().Terminal() && r.State() != round.Published {
				return r
			}
			return nil
		}
	}
	return nil
}

// miss goes on without the window of a question that was given up. The evidence
// shows the same: a round that ended unopened, and after it another window's plan
// or the result. So an auditor comes to the same report.
func (d *Driver) miss(s *studyState, question statement.Digest) error {
	last := s.unopened(question)
	if last == nil {
		return fmt.Errorf("study %s: a window was missed without a round that ended", s.id)
	}
	if err := s.session.Miss(last.State() != round.Abandoned || last.SharesGiven()); err != nil {
		return err
	}
	return d.tell(s)
}

// tell reports the windows that are done: what earlier results of the consortium
// leave of them to show is in the ledger from then on, where later results are
// compared with it. It is logged with what begins to call in it; once, also by a
// coordinator that is started again.
func (d *Driver) tell(s *studyState) error {
	done, fresh := s.session.Window()
	if !fresh || done <= s.told {
		return nil
	}
	found, err := d.beside(s, s.session.Result())
	if err != nil {
		return err
	}
	text, err := json.Marshal(found)
	if err != nil {
		return fmt.Errorf("the report of the windows cannot be written: %w", err)
	}
	name, err := d.put(text)
	if err != nil {
		return err
	}
	from, report := s.told, found.Monitor
	if err := d.commit([]write{{studyStream(s.id), told{Windows: done, Report: &name}}}, d.entry(ledger.TypeMonitorReport, s.id, statement.Digest{}, name, d.Node.Name())); err != nil {
		return err
	}
	s.word = report.Verdict
	for i := from; i < done; i++ {
		window := report.Windows[i]
		d.Logger.Info("window done", zap.Stringer("study", s.id), zap.String("from", window.From), zap.String("to", window.To), zap.String("missed", window.Why))
		for _, alert := range report.Alerts {
			if alert.Window == i {
				d.Logger.Warn("drift alert", zap.Stringer("study", s.id), zap.String("release", report.Release), zap.String("from", alert.From), zap.String("to", alert.To),
					zap.String("group", alert.Attribute+" "+alert.Level), zap.String("chart", alert.Chart), zap.String("of", alert.Of))
			}
		}
	}
	return nil
}

// verdict of a study that watches a release, so far; empty of any other.
func (d *Driver) verdict(s *studyState) string {
	if s.study.Monitor == nil || s.word != "" || s.report == nil {
		return s.word
	}
	// What cannot be read has no verdict to show; asking for the result says why.
	if last, err := d.lastReport(s); err == nil && last.Monitor != nil {
		s.word = last.Monitor.Verdict
	}
	return s.word
}
