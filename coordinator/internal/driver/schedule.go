package driver

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/coordinator/round"
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
func (s *studyState) soFar() ([]byte, error) {
	if s.study.Monitor == nil || s.session == nil {
		return nil, nil
	}
	return json.Marshal(s.session.Result())
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

// tell logs a window that is done, with what begins to call in it; once, also by a
// coordinator that is started again.
func (d *Driver) tell(s *studyState) error {
	done, fresh := s.session.Window()
	if !fresh || done <= s.told {
		return nil
	}
	report := s.session.Result().Monitor
	s.word = report.Verdict
	for i := s.told; i < done; i++ {
		window := report.Windows[i]
		d.Logger.Info("window done", zap.Stringer("study", s.id), zap.String("from", window.From), zap.String("to", window.To), zap.String("missed", window.Why))
		for _, alert := range report.Alerts {
			if alert.Window == i {
				d.Logger.Warn("drift alert", zap.Stringer("study", s.id), zap.String("release", report.Release), zap.String("from", alert.From), zap.String("to", alert.To),
					zap.String("group", alert.Attribute+" "+alert.Level), zap.String("chart", alert.Chart), zap.String("of", alert.Of))
			}
		}
	}
	return d.commit([]write{{studyStream(s.id), told{Windows: done}}})
}

// verdict of a study that watches a release, so far; empty of any other.
func (d *Driver) verdict(s *studyState) string {
	if s.study.Monitor == nil || s.word != "" {
		return s.word
	}
	if s.session != nil && s.told > 0 {
		if done, _ := s.session.Window(); done == s.told {
			s.word = s.session.Result().Monitor.Verdict
		}
	}
	if s.ended == nil || s.ended.Result == nil {
		return s.word
	}
	var of struct {
		Monitor *drift.Report `json:"monitor"`
	}
	// What cannot be read has no verdict to show; asking for the result says why.
	if result, err := d.Blobs.Get(*s.ended.Result); err == nil && json.Unmarshal(result, &of) == nil && of.Monitor != nil {
		s.word = of.Monitor.Verdict
	}
	return s.word
}
