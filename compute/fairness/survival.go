package fairness

import (
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// Of a survival outcome the audit asks three things. Do predictions order the
// patients of a hospital (the C-index)? Are as many events seen as the model
// expects, over the time that each patient was followed (observed over
// expected: Crowson, Atkinson and Therneau, Statistical Methods in Medical
// Research 25, 2016)? Is the predicted risk at a declared time that which
// Kaplan and Meier's estimate shows (McLernon et al., Annals of Internal
// Medicine 176, 2023)? The last two need a model with a baseline.
//
// Counts of events and of those who leave are by interval of the study's grid;
// within an interval the events count as first, as in the description of the
// cohort. The bound beside the observed risk says how much any other order could
// change it.

// mostHazard cuts the cumulative hazard of one patient, whose chance to be free
// of the event would be 1 in 10^27.
const mostHazard = 64

// horizons end the time over which events are counted: the declared times, or
// the grid's end.
func horizons(s *study.Study) []float64 {
	if s.Fairness.Times != nil {
		return s.Fairness.Times
	}
	return s.Outcome.Grid[len(s.Outcome.Grid)-1:]
}

// intervals of the grid up to the last declared time.
func intervals(s *study.Study) int {
	if s.Fairness.Times == nil {
		return 0
	}
	at, _ := slices.BinarySearch(s.Outcome.Grid, s.Fairness.Times[len(s.Fairness.Times)-1])
	return at + 1
}

func survivalQuantities(s *study.Study) []quantity {
	// Pairs of patients, of which a site has at most its patients squared.
	out := []quantity{{"patients", 1, 0}, {"events", 1, 0}, {"concordant", 1, maxRows}, {"tied", 1, maxRows}, {"comparable", 1, maxRows},
		{"surplus_squared", 1, maxRows * maxRows}, {"surplus_pairs", 1, maxRows * maxRows}, {"pairs_squared", 1, maxRows * maxRows}}
	if s.HasBaseline() {
		h := len(horizons(s))
		out = append(out, quantity{"events_until", h, 0}, quantity{"expected_until", h, mostHazard})
	}
	if k := intervals(s); k > 0 {
		out = append(out, quantity{"predicted_risk", len(s.Fairness.Times), 1}, quantity{"events_in_interval", k, 0}, quantity{"gone_in_interval", k, 0})
	}
	return out
}

// survivalErrors adds one patient's quantities; free is the predicted chance to
// be free of the event at a time.
func survivalErrors(add func(string, int, float64), s *study.Study, time float64, event bool, free func(time float64) float64) {
	add("events", 0, one(event))
	if !s.HasBaseline() {
		return
	}
	for i, h := range horizons(s) {
		add("events_until", i, one(event && time <= h))
		add("expected_until", i, min(-math.Log(free(min(time, h))), mostHazard))
	}
	for i, t := range s.Fairness.Times {
		add("predicted_risk", i, 1-free(t))
	}
	if k := intervals(s); k > 0 {
		switch at, _ := slices.BinarySearch(s.Outcome.Grid, time); {
		case at >= k:
		case event:
			add("events_in_interval", at, 1)
		default:
			add("gone_in_interval", at, 1)
		}
	}
}

// followUp is the experience of a group up to a declared time.
type followUp struct {
	predicted float64 // mean risk
	free      float64 // Kaplan and Meier's estimate
	least     float64 // of it, were everyone who left in an interval gone before its events
	greenwood float64 // variance of the logarithm
	beyond    float64 // patients who were followed beyond the time
	fewest    float64 // of them for an estimate
	gone      float64 // patients who left before the time without the event
}

// newFollowed reads a group's counts by interval.
func newFollowed(n, predicted float64, events, gone []float64, fewest float64) followUp {
	f := followUp{predicted: predicted / n, free: 1, least: 1, beyond: n, fewest: fewest}
	for k, d := range events {
		if d > 0 {
			f.free *= 1 - d/f.beyond
			f.least *= 1 - d/(f.beyond-gone[k])
			f.greenwood += d / (f.beyond * (f.beyond - d))
		}
		f.beyond -= d + gone[k]
		f.gone += gone[k]
	}
	return f
}

// coarsen rounds the risk. With all its digits it is a fraction that only one course
// of events and leavings makes, interval by interval, however few each are; an event
// that comes before or after so many who leave changes it by their number over the
// patients squared, so it is rounded to what the minimum cell of events would change.
// What is reported beside it is made of the rounded risk and of those followed beyond
// the time (Peto et al., British Journal of Cancer 35, 1977).
func (f *followUp) coarsen(n float64) {
	step := f.fewest * f.gone / (n * n)
	if step == 0 {
		return
	}
	free := 1 - min(1, math.Round((1-f.free)/step)*step)
	f.least = max(0, free-step*math.Ceil((f.free-f.least+step/2)/step))
	f.free, f.greenwood = free, 0
	if f.beyond > 0 {
		f.greenwood = (1 - free) / f.beyond
	}
}

func (f followUp) known() bool { return f.beyond >= max(1, f.fewest) }

// observed risk, with the interval on the scale of log(-log).
func (f followUp) observed() Metric {
	m := Metric{Estimate: 1 - f.free}
	if bound := f.free - f.least; bound > 0 {
		m.Bound = &bound
	}
	if f.free > 0 && f.free < 1 {
		margin := normal * math.Sqrt(f.greenwood) / math.Abs(math.Log(f.free))
		lower, upper := 1-math.Pow(f.free, math.Exp(-margin)), 1-math.Pow(f.free, math.Exp(margin))
		m.Lower, m.Upper, m.Method = &lower, &upper, "Greenwood, on the scale of log(-log)"
	}
	return m
}

// calibrated is predicted minus observed risk; the prediction is taken as given.
func (t *tally) calibrated(i int) estimated {
	f := t.followed[i]
	if !f.known() {
		return estimated{math.NaN(), 0}
	}
	return estimated{f.predicted - (1 - f.free), f.free * math.Sqrt(f.greenwood)}
}

func (t *tally) measureSurvival(g *Group) {
	t.put(g, "event_share", func() Metric { return proportion(t.events, t.n, 1) }, "events")
	if c := t.pairs.figure(); !math.IsNaN(c.of) {
		m := Metric{Estimate: c.of}
		if lower, upper, ok := c.limits(); ok {
			m.Lower, m.Upper, m.Method = &lower, &upper, "infinitesimal jackknife on the logit, inside hospitals"
		}
		t.put(g, "cindex", func() Metric { return m }, "events") // each pair has one with the event
	} else {
		g.Undefined["cindex"] = "no two patients of one hospital can be compared"
	}
	for i, e := range t.until {
		name := "oe" + t.suffixes[i]
		if e.expected == 0 {
			g.Undefined[name] = "the model expects no event in the group"
			continue
		}
		t.put(g, name, func() Metric {
			lower, upper := e.limits()
			return Metric{Estimate: e.value(), Lower: &lower, Upper: &upper, Method: "exact Poisson limits; what is expected is taken as given"}
		}, fmt.Sprint("until", i))
	}
	for i, f := range t.followed {
		suffix, columns := t.suffixes[i], []string{fmt.Sprint("until", i), fmt.Sprint("beyond", i)}
		g.Metrics["predicted_risk"+suffix] = Metric{Estimate: f.predicted}
		if !f.known() {
			for _, name := range []string{"observed_risk", "calibration_in_the_large"} {
				if t.hidden[columns[1]] { // to say why would say how few
					g.Withheld = append(g.Withheld, name+suffix)
					continue
				}
				g.Undefined[name+suffix] = "too few patients of the group were followed beyond the time"
			}
			continue
		}
		t.put(g, "observed_risk"+suffix, f.observed, columns...)
		t.put(g, "calibration_in_the_large"+suffix, func() Metric {
			o := f.observed()
			m := Metric{Estimate: f.predicted - o.Estimate, Bound: o.Bound}
			if o.Lower != nil {
				lower, upper := f.predicted-*o.Upper, f.predicted-*o.Lower
				m.Lower, m.Upper, m.Method = &lower, &upper, o.Method
			}
			return m
		}, columns...)
	}
}

// addSurvival adds the counts behind the figures at declared times: those with
// the event by then, those who were followed beyond, and the rest.
func (l *ledger) addSurvival(s *study.Study, patients, events int) {
	if !s.HasBaseline() {
		return
	}
	before := -1
	for i := range horizons(s) {
		until := l.add(fmt.Sprint("until", i), func(t *tally) float64 { return t.until[i].observed })
		l.sum(events, until, l.add("", func(t *tally) float64 { return t.events - t.until[i].observed }))
		if before >= 0 {
			l.sum(until, before, l.add("", func(t *tally) float64 { return t.until[i].observed - t.until[i-1].observed }))
		}
		before = until
		if s.Fairness.Times != nil {
			l.sum(patients, until, l.add(fmt.Sprint("beyond", i), func(t *tally) float64 { return t.followed[i].beyond }),
				l.add("", func(t *tally) float64 { return t.n - t.until[i].observed - t.followed[i].beyond }))
		}
	}
}
