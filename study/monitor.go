package study

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Monitor says which installed release is watched, in which windows of time,
// and what will be called a drift: all of it before the windows are looked at.
// A study that monitors declares outcome, features and model as the study of the
// release did, and fits nothing.
type Monitor struct {
	Release string // digest of the release, hex

	Column string // that says when a record was made
	Dates  bool   // it holds dates, and windows can be waited for; otherwise numbers
	// Cuts between windows, ascending: window i is from Cuts[i] up to, and
	// without, Cuts[i+1]. Of dates: days since 1970-01-01.
	Cuts  []float64
	Delay int // days after the end of a window before it is asked about

	Horizon float64              // of a survival outcome: events up to this time of its grid
	Bins    map[string][]float64 // cuts by number feature, and of Predictions

	Margin float64 // of observed to expected, as a share; of a number, the bias in its unit
	K, H   float64 // of the CUSUM, in standard errors of a window
	EWMA   *EWMA   // nil without one
	PSI    float64 // population stability index that counts as a shift
}

// EWMA is an exponentially weighted moving average: the weight of the newest
// window, and the limit in standard errors of the average.
type EWMA struct{ Weight, Limit float64 }

// Predictions is the name under which the model's predictions have bins.
const Predictions = "prediction"

// Bounds of a monitor.
const (
	MaxWindows  = 120
	maxMonitor  = 200 // cuts of a histogram
	monitorBins = 10  // of equal width, where no cuts are declared
)

var digestText = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Windows is how many there are.
func (m *Monitor) Windows() int { return len(m.Cuts) - 1 }

// Window names the first and the last cut of a window as the file writes them.
func (m *Monitor) Window(i int) (from, to string) { return m.name(m.Cuts[i]), m.name(m.Cuts[i+1]) }

func (m *Monitor) name(cut float64) string {
	if m.Dates {
		return time.Unix(int64(cut)*secondsOfDay, 0).UTC().Format(time.DateOnly)
	}
	return strconv.FormatFloat(cut, 'g', -1, 64)
}

// Due is when a window may be asked about: once it is over and the delay has
// passed, midnight UTC. Windows of numbers have no such time.
func (m *Monitor) Due(i int) (at time.Time, waits bool) {
	if !m.Dates {
		return time.Time{}, false
	}
	return time.Unix((int64(m.Cuts[i+1])+int64(m.Delay))*secondsOfDay, 0).UTC(), true
}

const secondsOfDay = 24 * 60 * 60

// when is the window of a cell.
func (m *Monitor) when(cell string, markers []string) (window int, reason SkipReason) {
	cell = strings.TrimSpace(cell)
	if isMissing(markers, cell) {
		return 0, MissingPeriod
	}
	at, ok := m.read(cell)
	if !ok {
		return 0, PeriodUnreadable
	}
	window = slices.IndexFunc(m.Cuts, func(cut float64) bool { return at < cut }) - 1
	if window < 0 {
		return 0, OutsidePeriods
	}
	return window, ""
}

// read gives a number, or the day of a date; what follows the date, as the time
// of day does, plays no part.
func (m *Monitor) read(cell string) (float64, bool) {
	if !m.Dates {
		return parseNumber(cell)
	}
	if len(cell) > len(time.DateOnly) {
		if c := cell[len(time.DateOnly)]; c != 'T' && c != ' ' {
			return 0, false
		}
		cell = cell[:len(time.DateOnly)]
	}
	day, err := time.Parse(time.DateOnly, cell)
	return math.Floor(float64(day.Unix()) / secondsOfDay), err == nil
}

// HistogramCuts are the cuts between the bins of a number feature, or of the
// predictions: declared, or ten bins of equal width.
func (s *Study) HistogramCuts(name string) []float64 {
	if cuts, declared := s.Monitor.Bins[name]; declared {
		return cuts
	}
	within := s.histogramRange(name)
	var cuts []float64
	for b := 1; b < monitorBins; b++ {
		cuts = append(cuts, within.Lo+(within.Hi-within.Lo)*float64(b)/monitorBins)
	}
	return cuts
}

func (s *Study) histogramRange(name string) Range {
	if name == Predictions {
		if s.Outcome.Type == Binary || s.Outcome.Type == Survival {
			return Range{0, 1}
		}
		return *s.Outcome.Range
	}
	i := slices.IndexFunc(s.Features, func(f Feature) bool { return f.Column == name && f.Type == Number })
	if i < 0 {
		return Range{}
	}
	return s.Features[i].Range
}

func (s *Study) readMonitor(r *reader, n *yaml.Node, file *section) {
	if n == nil || r.fault != nil {
		return
	}
	if s.Model.Kind == Describe {
		r.fail(n, "monitor", "repeat the model section of the release's study", "monitor: describe fits no model that could be watched")
	}
	if file.has("validation") {
		r.fail(file.values["validation"], "validation", "remove it", "validation: a monitor fits no model; every patient it sees came after the fit")
	}
	for _, key := range []string{"bands", "thresholds", "times", "hospitals", "metrics", "criteria", "bootstrap", "every", "reference"} {
		if value := keyValue(file.values["fairness"], key); value != nil {
			r.fail(value, "fairness."+key, "remove it", "fairness.%s: a monitor goes by its own margin and limits", key)
		}
	}
	if slices.ContainsFunc(s.Fairness.Attributes, func(a Attribute) bool { return a.Merges != nil }) {
		r.fail(file.values["fairness"], "fairness.attributes", "remove merge, or gather the values in one level", "fairness.attributes: a monitor joins no groups")
	}
	at := r.section(n, "monitor", "release", "periods", "delay", "horizon", "cuts", "margin", "cusum", "ewma", "psi")
	m := &Monitor{Release: r.text(at.need("release", "name the release by its digest"), "monitor.release")}
	s.Monitor = m
	if r.fault == nil && !digestText.MatchString(m.Release) {
		r.fail(at.values["release"], "monitor.release", "consilium release list --json shows it", "monitor.release must be the 64 hexadecimal digits of the release's digest")
	}
	m.readPeriods(r, at.need("periods", "write periods: {column: visit, type: date, from: 2026-01-01, every: 30d, times: 12}"))
	if at.has("delay") {
		if r.fault == nil && !m.Dates {
			at.refuse("delay", "only windows of dates are waited for")
		}
		m.Delay = r.days(at.values["delay"], "monitor.delay", 0, 3650)
	}
	s.readHorizon(r, at)
	s.readBins(r, at.values["cuts"])
	m.readLimits(r, at, s.Outcome)
	s.refuseOutcome(r, at.values["periods"], "monitor.periods.column", m.Column, "the column of the periods")
}

// days is a whole number of days, such as 30d.
func (r *reader) days(n *yaml.Node, key string, low, high int) int {
	text := r.text(n, key)
	number, found := strings.CutSuffix(text, "d")
	days, err := strconv.Atoi(number)
	if r.fault == nil && (!found || err != nil || days < low || days > high) {
		r.fail(n, key, "write days, such as 30d", "%s must be from %dd to %dd", key, low, high)
	}
	return days
}

func (m *Monitor) readPeriods(r *reader, n *yaml.Node) {
	const path = "monitor.periods"
	at := r.section(n, path, "column", "type", "cuts", "from", "every", "times")
	m.Column = r.name(at.need("column", "name the column that says when a record was made"), path+".column")
	m.Dates = at.choice("type", "date", "date", "number") == "date"
	cut := func(n *yaml.Node, key string) float64 {
		x, ok := m.read(r.text(n, key))
		if r.fault == nil && (!ok || math.Abs(x) > 1e12) {
			r.fail(n, key, "write 2026-01-31, or type: number", "%s must be a date", key)
		}
		return x
	}
	switch {
	case r.fault != nil:
		return
	case at.has("cuts"):
		for _, key := range []string{"from", "every", "times"} {
			at.refuse(key, "the cuts say it already")
		}
		for i, element := range r.list(at.values["cuts"], path+".cuts", MaxWindows+1) {
			m.Cuts = append(m.Cuts, cut(element, fmt.Sprintf("%s.cuts[%d]", path, i)))
			if r.fault == nil && i > 0 && !(m.Cuts[i-1] < m.Cuts[i]) {
				r.fail(element, path+".cuts", "", "%s.cuts must ascend", path)
			}
		}
	default:
		from := cut(at.need("from", "say when the first window begins, or list the cuts"), path+".from")
		every := at.need("every", "say how long a window is")
		width := 0.0
		if m.Dates {
			width = float64(r.days(every, path+".every", 1, 3650))
		} else if width = r.number(every, path+".every"); r.fault == nil && !(width >= 1e-9 && width <= 1e9) {
			r.fail(every, path+".every", "", "%s.every must be from 1e-9 to 1e9", path)
		}
		at.need("times", "say how many windows there are")
		for i := range at.integer("times", 1, 1, MaxWindows) + 1 {
			m.Cuts = append(m.Cuts, from+float64(i)*width)
		}
	}
	if r.fault == nil && len(m.Cuts) < 3 {
		r.fail(n, path, "the first window is what the later ones are compared with", "%s: at least two windows are needed", path)
	}
}

func (s *Study) readHorizon(r *reader, at *section) {
	if s.Outcome.Type != Survival {
		at.refuse("horizon", "only a survival outcome has one")
		return
	}
	if r.fault == nil && !s.HasBaseline() {
		r.fail(at.node, "monitor", "watch a model of kind cox, or boosted trees with baseline: breslow", "monitor: model.kind %s has no baseline, so it expects no number of events", s.Model.Kind)
	}
	if r.fault != nil {
		return
	}
	last := s.Outcome.Grid[len(s.Outcome.Grid)-1]
	s.Monitor.Horizon = at.real("horizon", last, s.Outcome.Range.Lo, last)
	if r.fault == nil && !slices.Contains(s.Outcome.Grid, s.Monitor.Horizon) {
		r.fail(at.values["horizon"], "monitor.horizon", "", "monitor.horizon must be a time of the outcome's grid")
	}
}

// readBins reads cuts by feature.
func (s *Study) readBins(r *reader, n *yaml.Node) {
	const path = "monitor.cuts"
	if n == nil || r.fault != nil {
		return
	}
	known := []string{Predictions}
	for _, f := range s.Features {
		if f.Type == Number {
			known = append(known, f.Column)
		}
	}
	at := r.section(n, path, known...)
	s.Monitor.Bins = map[string][]float64{}
	for _, name := range known {
		if !at.has(name) || r.fault != nil {
			continue
		}
		within, key := s.histogramRange(name), path+"."+name
		var cuts []float64
		for i, element := range r.list(at.values[name], key, maxMonitor) {
			x := r.number(element, fmt.Sprintf("%s[%d]", key, i))
			if r.fault == nil && (!(within.Lo < x && x < within.Hi) || i > 0 && !(cuts[i-1] < x)) {
				r.fail(element, key, "", "%s must ascend between %s and %s", key, decimal(within.Lo), decimal(within.Hi))
			}
			cuts = append(cuts, x)
		}
		s.Monitor.Bins[name] = cuts
	}
}

func (m *Monitor) readLimits(r *reader, at *section, o Outcome) {
	if o.Type == Number {
		at.need("margin", "say which bias, in the outcome's unit, would matter")
		m.Margin = at.real("margin", 1, 1e-9, 1e12)
	} else {
		m.Margin = at.real("margin", 0.2, 0.01, 10)
	}
	chart := r.section(at.values["cusum"], "monitor.cusum", "k", "h")
	m.K, m.H = chart.real("k", 0.5, 0, 5), chart.real("h", 4, 0.5, 50)
	if at.has("ewma") {
		average := r.section(at.values["ewma"], "monitor.ewma", "weight", "limit")
		m.EWMA = &EWMA{average.real("weight", 0.2, 0.01, 1), average.real("limit", 2.86, 0.5, 10)}
	}
	m.PSI = at.real("psi", 0.2, 0.001, 10)
}
