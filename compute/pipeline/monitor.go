package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/study"
)

// watch makes the windows of a monitor the only stage.
func (s *Session) watch() {
	s.drift = drift.New(s.study)
	s.now = &stage{s.drift, func(parameters []byte) ([]byte, error) { return parameters, nil }, func() error {
		s.now = nil
		return nil
	}}
}

// Due is when the question of Next may be asked, if that is a matter of time:
// windows of a monitor are asked about when they are over.
func (s *Session) Due() (at time.Time, waits bool) {
	if s.drift == nil || s.now == nil {
		return at, false
	}
	window, _ := s.drift.Window()
	return s.study.Monitor.Due(window)
}

// Window is how many windows of a monitor are done, and whether nothing was asked
// yet about the next. The question of a fresh window is about other patients than
// those before it: who did not answer those may take part again.
func (s *Session) Window() (done int, fresh bool) {
	if s.drift == nil {
		return 0, false
	}
	return s.drift.Window()
}

// Miss closes the window that Next asks about without figures, because no more of
// its sums will be opened. Whether its opening had begun says why.
func (s *Session) Miss(opening bool) error {
	if s.drift == nil || s.now == nil {
		return errors.New("no window of a release that is watched is asked about")
	}
	why := drift.TooFew
	if opening {
		why = drift.NotOpened
	}
	if err := s.drift.Miss(why); err != nil {
		return err
	}
	return s.settle()
}

// WindowOf is the window that a question of a monitor is about, and when it may
// be asked. The parameters are those of a plan; what is wrong with them is for
// Layout to say.
func WindowOf(s *study.Study, step string, parameters []byte) (window int, due time.Time, waits bool) {
	var q struct {
		Window int `json:"window"`
	}
	if !watches(step) || s.Monitor == nil || json.Unmarshal(parameters, &q) != nil || q.Window < 0 || q.Window >= s.Monitor.Windows() {
		return 0, due, false
	}
	due, waits = s.Monitor.Due(q.Window)
	return q.Window, due, waits
}

// watches reports whether a step is about an installed release.
func watches(step string) bool { return strings.HasPrefix(step, "monitor/") }

// Watches refuses a release whose study declares other columns or another model
// than the one that watches it: its predictions would be of something else.
func Watches(s, of *study.Study) error {
	for _, part := range []struct {
		name string
		a, b any
	}{{"outcome", s.Outcome, of.Outcome}, {"features", s.Features, of.Features}, {"missing", s.Missing, of.Missing}, {"model", s.Model, of.Model}} {
		if !reflect.DeepEqual(part.a, part.b) {
			return fmt.Errorf("the study that watches the release declares another %s than the release's own study", part.name)
		}
	}
	return sameLines(s, of)
}

// answerWindow is a site's vector of a step of a monitor.
func answerWindow(s *study.Study, step string, parameters []byte, site Site) ([]float64, error) {
	if site.Installed == nil {
		return nil, errors.New("the release that the study watches is not installed here")
	}
	t, err := newTrials(site.Installed.Knots, []trial{{leaveOut{}, site.Installed}})
	if err != nil {
		return nil, err
	}
	made, err := t.forecast(s, site)
	if err != nil {
		return nil, err
	}
	models, err := t.predictors(s)
	if err != nil {
		return nil, err
	}
	f := drift.Forecast{Values: made.values}
	if survivor, ok := models[0].(compute.Survivor); ok {
		f.Survival = survivor.Survival
	}
	return drift.Answer(s, step, parameters, site.Records, f)
}

// watchShown says what the sums of a monitor show, for whoever approves it.
func watchShown(s *study.Study) (notes []string) {
	m := s.Monitor
	from, _ := m.Window(0)
	_, to := m.Window(m.Windows() - 1)
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	note("monitor: this hospital's installed copy of release %.12s is applied to its records from %s up to %s; a hospital that has not installed it declines.", m.Release, from, to)
	if at, waits := m.Due(m.Windows() - 1); waits {
		note("monitor: one approval covers all %d windows. Each is asked about once, when it is over; the last on %s.", m.Windows(), at.Format(time.DateOnly))
	}
	note("monitor: for each group of %s or more in a window the sums show how many patients are in each bin of the predictions and of each feature, over all hospitals; in a small group a bin can hold few. The report shows distances of these histograms, not the bins.", count(s.Fairness.MinimumCell, "patient"))
	if s.Fairness.MinimumCell < 5 {
		note("fairness: groups of %s are shown; most hospitals ask for a minimum_cell of 5 to 11.", count(s.Fairness.MinimumCell, "patient"))
	}
	return notes
}
