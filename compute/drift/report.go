package drift

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/consilium-fl/consilium/study"
)

// Schema names this form of the report.
const Schema = "consilium/monitor/v1"

// Report is what the windows so far have shown. It depends on nothing but the
// study and the opened sums.
type Report struct {
	Schema      string `json:"schema"`
	Study       string `json:"study"` // digest, hex
	Name        string `json:"name"`
	Version     int    `json:"version"`
	Title       string `json:"title,omitempty"`
	Release     string `json:"release"` // that is watched: digest, hex
	OutcomeType string `json:"outcome_type"`
	Outcome     string `json:"outcome"`
	Unit        string `json:"unit,omitempty"`
	MinimumCell int    `json:"minimum_cell"`

	Verdict string   `json:"verdict"` // alert, no alert, insufficient evidence
	Alerts  []Signal `json:"alerts"`  // where a chart or an index begins to call
	Limits  Limits   `json:"limits"`
	Windows []Window `json:"windows"`
	Groups  []Group  `json:"groups"` // all patients first
	Notes   []string `json:"notes"`
}

// Limits are what the study declared, and what follows from that.
type Limits struct {
	Margin  float64  `json:"margin"` // that would matter: of observed to expected, as a share; of a number, the bias in its unit
	Horizon *float64 `json:"horizon,omitempty"`
	K       float64  `json:"cusum_k"`
	H       float64  `json:"cusum_h"`
	// InControl is the mean number of windows until the CUSUM of a group without a
	// drift calls, FalseAlarm the probability that it does within all windows.
	InControl  float64    `json:"cusum_in_control_run_length"`
	FalseAlarm float64    `json:"cusum_false_alarm"`
	EWMA       *EWMALimit `json:"ewma,omitempty"`
	PSI        float64    `json:"psi"`
	// Alpha is the probability that the noise of one index is passed without a
	// shift: 0.05, divided by the indices that the report can have.
	Alpha float64 `json:"psi_alpha"`
}

// EWMALimit is the same of the moving average.
type EWMALimit struct {
	Weight     float64 `json:"weight"`
	Limit      float64 `json:"limit"`
	InControl  float64 `json:"in_control_run_length"`
	FalseAlarm float64 `json:"false_alarm"`
}

// Window is a window of time over all patients. One that was not asked about yet
// is not in the report.
type Window struct {
	From         string `json:"from"`
	To           string `json:"to"` // without
	Contributors int    `json:"contributors"`
	State        string `json:"state"`
	Why          string `json:"why,omitempty"` // it was missed
	N            *int   `json:"n,omitempty"`
}

// Group is what was seen of one group.
type Group struct {
	Attribute string  `json:"attribute"`
	Level     string  `json:"level"`
	Verdict   string  `json:"verdict"`
	Why       string  `json:"why,omitempty"` // evidence is insufficient
	Points    []Point `json:"points"`        // by window
	// FoundAfter is the mean number of windows of this size until the CUSUM calls
	// where the outcomes are off by the margin.
	FoundAfter *float64 `json:"found_after,omitempty"`
}

// Point is a group in a window.
type Point struct {
	State string `json:"state"`
	N     *int   `json:"n,omitempty"`
	// Ratio of observed to expected; of a number Bias, the mean of predicted less
	// actual. Absent where it has no value or is withheld.
	Ratio *Interval `json:"ratio,omitempty"`
	Bias  *Interval `json:"bias,omitempty"`
	// Error is the root mean squared error in the outcome's unit, or the Brier
	// score.
	Error    *float64 `json:"error,omitempty"`
	MAE      *float64 `json:"mae,omitempty"`
	Within20 *float64 `json:"within20,omitempty"` // percent of patients
	Z        *float64 `json:"z,omitempty"`        // observed less expected, in standard errors
	Up       *float64 `json:"cusum_up,omitempty"` // more observed than expected
	Down     *float64 `json:"cusum_down,omitempty"`
	Average  *float64 `json:"ewma,omitempty"`
	Shifts   []Shift  `json:"shifts,omitempty"` // against the first window that was not missed
	Calls    []string `json:"calls,omitempty"`  // what is beyond its limit here
}

// Interval is an estimate with its 95% interval.
type Interval struct {
	Estimate float64 `json:"estimate"`
	Lower    float64 `json:"lower"`
	Upper    float64 `json:"upper"`
	Method   string  `json:"method"`
}

// Shift of the predictions or of a feature.
type Shift struct {
	Of    string  `json:"of"`
	Bins  int     `json:"bins"` // after those with fewer patients than the minimum cell in the first window are joined
	PSI   float64 `json:"psi"`
	Noise float64 `json:"noise"` // what the index passes by chance with probability psi_alpha
	JS    float64 `json:"js"`    // bits
	// KS at the edges of the bins, and by how much that of the values can be
	// larger; absent of a category.
	KS      *float64 `json:"ks,omitempty"`
	KSBound *float64 `json:"ks_bound,omitempty"`
	Verdict string   `json:"verdict"`
}

// Signal is where something begins to call.
type Signal struct {
	Window    int     `json:"window"`
	From      string  `json:"from"`
	To        string  `json:"to"`
	Attribute string  `json:"attribute"`
	Level     string  `json:"level"`
	Chart     string  `json:"chart"` // cusum, ewma or psi
	Of        string  `json:"of"`
	Direction string  `json:"direction,omitempty"` // up: more observed than expected
	Value     float64 `json:"value"`
	Limit     float64 `json:"limit"`
}

// Report of the windows so far.
func (s *Session) Report() *Report { return s.Without(nil) }

// Without is the report without the groups that are hidden, each in a window. A
// chart goes on from the window before, as of a window that was missed: its value
// would be the sum of what is hidden.
func (s *Session) Without(hidden func(window, group int) bool) *Report {
	if hidden != nil {
		s = s.hide(hidden)
	}
	return s.report()
}

// hide is the session without what is hidden.
func (s *Session) hide(hidden func(window, group int) bool) *Session {
	out := *s
	out.windows = slices.Clone(s.windows)
	for i := range out.windows {
		w := &out.windows[i]
		w.state, w.tallies = slices.Clone(w.state), slices.Clone(w.tallies)
		for c := range w.tallies {
			if w.state[c] == OK && hidden(i, c) {
				w.state[c], w.tallies[c] = Suppressed, nil
			}
		}
	}
	return &out
}

// Snapshot is the session as it is now, whatever it absorbs later.
func (s *Session) Snapshot() *Session {
	out := *s
	out.windows = slices.Clone(s.windows)
	return &out
}

func (s *Session) report() *Report {
	digest, m := s.study.Digest(), s.study.Monitor
	r := &Report{
		Schema: Schema, Study: hex.EncodeToString(digest[:]), Name: s.study.Name, Version: s.study.Version, Title: s.study.Title,
		Release: m.Release, OutcomeType: string(s.study.Outcome.Type), Outcome: s.study.Outcome.Column, Unit: s.study.Outcome.Unit,
		MinimumCell: s.study.Fairness.MinimumCell, Alerts: []Signal{}, Windows: []Window{}, Groups: []Group{},
	}
	r.Limits = limitsOf(s.study, s.groups.Len())
	for i, w := range s.windows {
		shown := Window{Contributors: w.contributors, State: w.state[0], Why: w.missed}
		shown.From, shown.To = m.Window(i)
		if w.tallies[0] != nil {
			n := int(w.tallies[0].n)
			shown.N = &n
		}
		r.Windows = append(r.Windows, shown)
	}
	for c := range s.groups.Len() {
		g, signals := s.watch(c, r.Limits)
		r.Groups = append(r.Groups, g)
		r.Alerts = append(r.Alerts, signals...)
	}
	r.Verdict = r.Groups[0].Verdict
	if len(r.Alerts) > 0 {
		r.Verdict = Alert
	}
	r.Notes = s.notes(r)
	return r
}

func limitsOf(s *study.Study, groups int) Limits {
	m := s.Monitor
	l := Limits{Margin: m.Margin, K: m.K, H: m.H, PSI: m.PSI}
	l.InControl, l.FalseAlarm = RunLength(m.K, m.H, 0), FalseAlarm(m.K, m.H, m.Windows())
	l.Alpha = 0.05 / float64(groups*(m.Windows()-1)*(1+len(s.Features)))
	if e := m.EWMA; e != nil {
		l.EWMA = &EWMALimit{e.Weight, e.Limit, EWMARunLength(e.Weight, e.Limit, 0), EWMAFalseAlarm(e.Weight, e.Limit, m.Windows())}
	}
	if s.Outcome.Type == study.Survival {
		l.Horizon = &m.Horizon
	}
	return l
}

// watch follows one group through the windows.
func (s *Session) watch(c int, limits Limits) (g Group, signals []Signal) {
	g.Attribute, g.Level = s.groups.Name(c)
	g.Points = []Point{}
	chart := CUSUM{K: limits.K, H: limits.H}
	var average *EWMA
	if e := limits.EWMA; e != nil {
		average = &EWMA{Weight: e.Weight, Limit: e.Limit}
	}
	called := map[string]bool{} // in the window before
	sized, charted, margin := 0, 0, 0.0
	base := s.baseline()
	for i, w := range s.windows {
		p := Point{State: w.state[c]}
		now := map[string]bool{}
		call := func(chart, of, direction string, value, limit float64) {
			name := chart + " " + of
			now[name] = true
			p.Calls = append(p.Calls, name)
			if !called[name] {
				signal := Signal{Window: i, Attribute: g.Attribute, Level: g.Level, Chart: chart, Of: of, Direction: direction, Value: value, Limit: limit}
				signal.From, signal.To = s.study.Monitor.Window(i)
				signals = append(signals, signal)
			}
		}
		if p.State == Zero {
			zero := 0
			p.N = &zero
		}
		if t := w.tallies[c]; t != nil {
			n := int(t.n)
			p.N = &n
			sized++
			if z, unit, known := s.outcomes(t, &p); known {
				charted, margin = charted+1, margin+unit
				s.chart(&p, z, &chart, average, call)
			}
			if first := base.tallies[c]; t != first && first != nil {
				p.Shifts = s.shifts(first, t, limits, call)
			}
		}
		called = now
		g.Points = append(g.Points, p)
	}
	g.Verdict, g.Why = NoAlert, ""
	if charted > 0 {
		after := RunLength(limits.K, limits.H, margin/float64(charted))
		g.FoundAfter = &after
	}
	switch {
	case len(signals) > 0:
		g.Verdict = Alert
	case sized < 2:
		g.Verdict, g.Why = Insufficient, "fewer than two windows in which the group is large enough to be shown"
	case charted < 2:
		g.Verdict, g.Why = Insufficient, "fewer than two windows in which the group's outcomes can be compared: elsewhere they would tell of few patients, or do not vary"
	case *g.FoundAfter > float64(charted):
		g.Verdict = Insufficient
		g.Why = fmt.Sprintf("a drift by the margin would be found after about %.0f windows of so many patients, and there are %d", math.Ceil(*g.FoundAfter), charted)
	}
	return g, signals
}

// what is charted, in words.
func (s *Session) charted() string {
	if s.study.Outcome.Type == study.Number {
		return "bias"
	}
	return "observed/expected"
}

func (s *Session) chart(p *Point, z float64, chart *CUSUM, average *EWMA, call func(chart, of, direction string, value, limit float64)) {
	calls := chart.Add(z)
	up, down := chart.Up, chart.Down
	p.Z, p.Up, p.Down = &z, &up, &down
	switch {
	case calls && up > chart.H:
		call("cusum", s.charted(), "up", up, chart.H)
	case calls:
		call("cusum", s.charted(), "down", down, chart.H)
	}
	if average == nil {
		return
	}
	calls = average.Add(z)
	value := average.Value
	p.Average = &value
	if calls {
		direction := "up"
		if value < 0 {
			direction = "down"
		}
		call("ewma", s.charted(), direction, value, average.Width())
	}
}

// normal is the 97.5% quantile.
const normal = 1.959963984540054

// outcomes fills in what was observed against what was expected, and gives the
// deviation in standard errors and what the margin would be in them.
func (s *Session) outcomes(t *tally, p *Point) (z, margin float64, known bool) {
	limit := s.study.Monitor.Margin
	switch s.study.Outcome.Type {
	case study.Binary:
		brier := t.squared / t.n
		if !s.rate(t) {
			return 0, 0, false
		}
		p.Error = &brier
		sd := math.Sqrt(max(0, t.variance))
		z, margin, known = ratio(t.observed, t.expected, sd, limit, "", p)
		if known {
			p.Ratio = shareRatio(t.observed, t.n, t.expected, sd)
		}
		return z, margin, known
	case study.Survival:
		if !s.rate(t) || t.expected <= 0 {
			return 0, 0, false
		}
		p.Ratio = poisson(t.observed, t.expected)
		sd := math.Sqrt(t.expected)
		return (t.observed - t.expected) / sd, limit * sd, true
	}
	within := s.study.Outcome.Range
	width := within.Hi - within.Lo
	rmse, mae, close := width*math.Sqrt(t.squared/t.n), width*t.absolute/t.n, 100*t.within/t.n
	p.Error, p.MAE = &rmse, &mae
	if !t.few {
		p.Within20 = &close
	}
	if s.study.Outcome.Type == study.Count {
		observed, expected := t.n*within.Lo+width*t.observed, t.n*within.Lo+width*t.expected
		return ratio(observed, expected, width*math.Sqrt(t.squared), limit, "normal, variance of the errors", p)
	}
	mean := (t.expected - t.observed) / t.n
	variance := (t.squared - t.n*mean*mean) / (t.n - 1)
	if t.n < 2 || variance <= 0 {
		return 0, 0, false
	}
	se := math.Sqrt(variance / t.n)
	student := distuv.StudentsT{Sigma: 1, Nu: t.n - 1}
	reach := student.Quantile(0.975) * se
	p.Bias = &Interval{width * mean, width * (mean - reach), width * (mean + reach), "Student's t"}
	return -score(student, mean/se), limit / (width * se), true
}

// ratio of observed to expected with a normal interval.
func ratio(observed, expected, sd, limit float64, method string, p *Point) (z, margin float64, known bool) {
	if expected <= 0 || sd <= 0 {
		return 0, 0, false
	}
	at, reach := observed/expected, normal*sd/expected
	p.Ratio = &Interval{at, max(0, at-reach), at + reach, method}
	return (observed - expected) / sd, limit * expected / sd, true
}

// shareRatio is the ratio of those with the outcome to those expected, with Wilson's
// limits of their share (JASA 22, 1927): after a drift the outcome varies as it is, not
// as the model says. They are as much nearer as the model's probabilities, which differ
// between patients, vary less than their mean would.
func shareRatio(observed, n, expected, sd float64) *Interval {
	const z2 = normal * normal
	share, mean := observed/n, expected/n
	centre := (share + z2/(2*n)) / (1 + z2/n)
	reach := normal * math.Sqrt(share*(1-share)/n+z2/(4*n*n)) / (1 + z2/n)
	nearer := 1.0
	if mean < 1 {
		nearer = min(1, sd/math.Sqrt(n*mean*(1-mean)))
	}
	at := func(limit float64) float64 { return (share + nearer*(limit-share)) / mean }
	return &Interval{share / mean, max(0, at(centre-reach)), at(centre + reach), "Wilson, of the share with the outcome; what is expected is taken as given"}
}

// poisson is the exact interval of a ratio of events to expected ones (Garwood,
// Biometrika 28, 1936).
func poisson(observed, expected float64) *Interval {
	i := &Interval{Estimate: observed / expected, Method: "exact Poisson"}
	if observed >= 1 {
		i.Lower = distuv.ChiSquared{K: 2 * observed}.Quantile(0.025) / 2 / expected
	}
	i.Upper = distuv.ChiSquared{K: 2*observed + 2}.Quantile(0.975) / 2 / expected
	return i
}

// score is the normal deviate of as small a probability as Student's t has. Far
// out, where probabilities have no digits left, it is cut.
func score(student distuv.StudentsT, t float64) float64 {
	const far = 8
	p := student.CDF(-math.Abs(t))
	z := float64(far)
	if p > 1e-15 {
		z = min(far, -math.Sqrt2*math.Erfinv(2*p-1))
	}
	return math.Copysign(z, t)
}

// shifts against the baseline.
func (s *Session) shifts(first, now *tally, limits Limits, call func(chart, of, direction string, value, limit float64)) (out []Shift) {
	add := func(of string, a, b []float64, ordered bool) {
		a, b = merge(a, b, float64(max(s.study.Fairness.MinimumCell, 1)), ordered, s.study.Fairness.Complementary)
		if len(a) < 2 {
			return
		}
		shift := Shift{Of: of, Bins: len(a), PSI: PSI(a, b), JS: JensenShannon(a, b), Noise: psiNoise(a, b, limits.Alpha), Verdict: NoAlert}
		if ordered {
			ks, bound := KolmogorovSmirnov(a, b)
			shift.KS, shift.KSBound = &ks, &bound
		}
		switch {
		case shift.PSI > limits.PSI && shift.PSI > shift.Noise:
			shift.Verdict = Alert
			call("psi", of, "", shift.PSI, max(limits.PSI, shift.Noise))
		case shift.Noise >= limits.PSI:
			shift.Verdict = Insufficient
		}
		out = append(out, shift)
	}
	add(study.Predictions, first.predictions, now.predictions, true)
	for k, f := range s.study.Features {
		// Missing values have no place in an order.
		ordered := f.Type == study.Number && !s.study.KeepsMissing()
		add(f.Column, first.features[k], now.features[k], ordered)
	}
	return out
}

// missed is how many windows were.
func (r *Report) missed() (n int) {
	for _, w := range r.Windows {
		if w.Why != "" {
			n++
		}
	}
	return n
}

func (s *Session) notes(r *Report) (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	note("Without a drift the CUSUM of a group calls within all %d windows with probability %.3g, and %d groups have one: expect about %.2g false alarms.",
		s.study.Monitor.Windows(), r.Limits.FalseAlarm, len(r.Groups), float64(len(r.Groups))*r.Limits.FalseAlarm)
	note("A stability index is an alert above %g where it is also above its own noise; all of the report's together pass that by chance with probability 0.05 at most.", r.Limits.PSI)
	if s.study.Outcome.Type == study.Number {
		note("Predictions further from the outcome than twice its range count as exactly that far.")
	}
	if missed := r.missed(); missed > 0 {
		note("%d of %d windows so far have no figures, because their sums were not opened. A CUSUM goes on from the window before, and the first window with figures is the baseline.", missed, len(r.Windows))
	}
	note("Predictions that are not followed, or that change what is done, change the outcomes too: an alert says that what is observed differs from what the model expects, not why.")
	return notes
}
