package drift

import (
	"errors"
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// Session is the coordinator's half: windows, one after the other.
type Session struct {
	study  *study.Study
	groups *fairness.Groups

	step    string
	asked   question // of the step
	sizes   []int    // of the groups in the window that is asked about
	small   []bool   // may not be shown, for their size or where they are
	windows []window // that are done
}

// window is what was opened about one.
type window struct {
	contributors int
	missed       string   // why it has no figures; empty if its sums were opened
	state        []string // by group
	tallies      []*tally // by group; nil for what was not opened
}

// tally is the opened sums of a group.
type tally struct {
	n, observed, expected, variance, squared, absolute, within float64
	predictions                                                []float64
	features                                                   [][]float64
	few                                                        bool // its share of patients is withheld
}

// New begins at the first window.
func New(s *study.Study) *Session {
	return &Session{study: s, groups: fairness.NewGroups(s), step: StepSizes}
}

// Window is the one that is asked about, and whether nothing of it was asked yet.
// It is that of no window when all are done.
func (s *Session) Window() (i int, fresh bool) { return len(s.windows), s.step == StepSizes }

// Next is the question whose sum Absorb expects.
func (s *Session) Next() (q compute.Question, done bool, err error) {
	if len(s.windows) == s.study.Monitor.Windows() {
		return q, true, nil
	}
	q = compute.Question{Step: s.step, Layout: layout(s.study, s.step, len(s.asked.Cells))}
	q.Parameters, err = compute.EncodeParameters(s.asked)
	return q, false, err
}

// Absorb takes the opened sum.
func (s *Session) Absorb(sum compute.Sum) error {
	for _, f := range layout(s.study, s.step, len(s.asked.Cells)) {
		if len(sum.Field(f.Name)) != f.Length {
			return fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	switch s.step {
	case StepSizes:
		s.absorbSizes(sum)
	case StepShares:
		for i, c := range s.asked.Cells {
			s.small[c] = s.small[c] || sum.Field("dominated")[i] > 0.5
		}
		s.open(sum, StepWindow)
	default:
		s.end(sum)
	}
	return nil
}

func (s *Session) absorbSizes(sum compute.Sum) {
	floor := s.study.Fairness
	s.sizes, s.small = nil, nil
	for i, n := range sum.Field("patients") {
		size := int(n + 0.5)
		s.sizes = append(s.sizes, size)
		s.small = append(s.small, size > 0 && (size < floor.MinimumCell || sum.Field("sites")[i] < float64(floor.MinimumSites)-0.5))
	}
	s.open(sum, StepShares)
}

// open goes on to the groups that may be asked about, or to the next window where
// there are none.
func (s *Session) open(sum compute.Sum, step string) {
	cells := s.shown()
	if len(cells) == 0 {
		s.end(sum)
		return
	}
	s.step, s.asked = step, question{Window: len(s.windows), Cells: cells}
	if step != StepShares {
		return
	}
	for _, c := range cells {
		s.asked.Patients = append(s.asked.Patients, s.sizes[c])
	}
}

// shown are the groups with patients of which nothing is withheld; none if not
// even the whole may be shown.
func (s *Session) shown() (cells []int) {
	if s.small[0] || s.sizes[0] == 0 {
		return nil
	}
	hidden := s.hidden()
	for c, n := range s.sizes {
		if n > 0 && !hidden[c] {
			cells = append(cells, c)
		}
	}
	return cells
}

func (s *Session) hidden() []bool {
	if s.study.Fairness.Complementary {
		return s.groups.Hide(s.sizes, s.study.Fairness.MinimumCell, s.small)
	}
	return s.small
}

// end closes a window, with the sums of the groups that were asked about.
func (s *Session) end(sum compute.Sum) {
	w := window{contributors: sum.Contributors, state: make([]string, len(s.sizes)), tallies: make([]*tally, len(s.sizes))}
	cells := s.shown()
	for c, n := range s.sizes {
		switch {
		case n == 0:
			w.state[c] = Zero
		case slices.Contains(cells, c):
			w.state[c] = OK
		default:
			w.state[c] = Suppressed
		}
	}
	for i, c := range cells {
		w.tallies[c] = s.tally(sum, i)
	}
	s.protect(w.tallies)
	s.windows = append(s.windows, w)
	s.step, s.asked = StepSizes, question{Window: len(s.windows)}
}

// Miss closes the window that is asked about without figures: no more of its sums
// will be opened. What was opened of it before says nothing alone.
func (s *Session) Miss(why string) error {
	if len(s.windows) == s.study.Monitor.Windows() {
		return errors.New("all windows are done: none can be missed")
	}
	groups := s.groups.Len()
	w := window{missed: why, state: slices.Repeat([]string{Missed}, groups), tallies: make([]*tally, groups)}
	s.windows = append(s.windows, w)
	s.step, s.asked = StepSizes, question{Window: len(s.windows)}
	return nil
}

// baseline is the first window that was not missed: later ones are compared with
// it. It is nil while there is none.
func (s *Session) baseline() *window {
	i := slices.IndexFunc(s.windows, func(w window) bool { return w.missed == "" })
	if i < 0 {
		return nil
	}
	return &s.windows[i]
}

func (s *Session) tally(sum compute.Sum, i int) *tally {
	t := &tally{}
	scalar := map[string]*float64{"patients": &t.n, "observed": &t.observed, "expected": &t.expected, "variance": &t.variance,
		"squared": &t.squared, "absolute": &t.absolute, "within": &t.within}
	for _, q := range quantities(s.study) {
		values := sum.Field(q.name)[i*q.width : (i+1)*q.width]
		switch into := scalar[q.name]; {
		case into != nil:
			*into = values[0]
		case q.name == "predictions":
			t.predictions = values
		default:
			t.features = append(t.features, values)
		}
	}
	return t
}

// protect marks the groups of a window whose share of patients would tell of few, or
// give that of another group away: of those with the outcome, or of those whose
// prediction was close.
func (s *Session) protect(tallies []*tally) {
	if !s.study.Fairness.Complementary {
		return
	}
	counts := make([]int, len(tallies))
	for c, t := range tallies {
		switch {
		case t != nil:
			counts[c] = int(s.counted(t) + 0.5)
		case s.sizes[c] > 0:
			counts[c] = -1
		}
	}
	for c, few := range s.groups.HideShares(s.sizes, counts, s.study.Fairness.MinimumCell) {
		if few && tallies[c] != nil {
			tallies[c].few = true
		}
	}
}

// counted are the patients of a group whose share is shown.
func (s *Session) counted(t *tally) float64 {
	if s.study.Outcome.Type == study.Binary || s.study.Outcome.Type == study.Survival {
		return t.observed
	}
	return t.within
}

// rate reports whether what was observed may be shown of a group.
func (s *Session) rate(t *tally) bool {
	counts := s.study.Outcome.Type == study.Binary || s.study.Outcome.Type == study.Survival
	return !counts || !t.few
}
