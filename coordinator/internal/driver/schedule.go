package driver

import (
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute/drift"
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

// tell logs a window that is done, once, with what begins to call in it.
func (d *Driver) tell(s *studyState) {
	if s.study.Monitor == nil {
		return
	}
	window, fresh := s.session.Window()
	if !fresh || window == s.told {
		return
	}
	report := s.session.Result().Monitor
	s.word = report.Verdict
	for ; s.told < len(report.Windows); s.told++ {
		window := report.Windows[s.told]
		d.Logger.Info("window done", zap.Stringer("study", s.id), zap.String("from", window.From), zap.String("to", window.To))
		for _, alert := range report.Alerts {
			if alert.Window == s.told {
				d.Logger.Warn("drift alert", zap.Stringer("study", s.id), zap.String("release", report.Release), zap.String("from", alert.From), zap.String("to", alert.To),
					zap.String("group", alert.Attribute+" "+alert.Level), zap.String("chart", alert.Chart), zap.String("of", alert.Of))
			}
		}
	}
}

// verdict of a study that watches a release, so far; empty of any other.
func (d *Driver) verdict(s *studyState) string {
	if s.study.Monitor == nil || s.word != "" || s.ended == nil || s.ended.Result == nil {
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
