package cox

import (
	"errors"
	"math"
	"sort"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
)

// The test of proportional hazards asks whether a coefficient changes with a
// function g of time: the time, its logarithm, its rank among all times, or one
// less the Kaplan–Meier estimate before it (Grambsch and Therneau, Biometrika 81, 1994;
// the transforms of R's cox.zph). The test is the same for a + b g, so g is taken
// to where it lies between 0 and 1. Of the order of all patients' times no
// hospital knows. So rank and Kaplan–Meier estimate, which R takes over all strata,
// are of the times on the study's grid: from counts of events and of the censored
// by interval over all hospitals, in the runs that a shared baseline has. Stratified
// by site hospitals are told g at the ends of these runs, and keep their exact times
// for the rest; whoever is followed beyond the grid has the g of its end. With a
// minimum cell of one and a grid as fine as the times this is R's test.

// clock is g of an exact time, from the least that can be.
func clock(s *study.Study, least float64) func(time float64) float64 {
	hi := s.Outcome.Range.Hi
	if s.Model.TimeTransform == study.TimeLog {
		return func(time float64) float64 {
			if !(hi > least) {
				return 0
			}
			return math.Log(time/least) / math.Log(hi/least)
		}
	}
	return func(time float64) float64 { return time / hi }
}

// needsClock says whether hospitals are told g, because they cannot know it.
func needsClock(s *study.Study) bool {
	return s.Model.TimeTransform == study.TimeKM || s.Model.TimeTransform == study.TimeRank
}

// needsGrid says whether events and censorings are counted by interval before the
// fit.
func needsGrid(s *study.Study) bool {
	return s.Model.Stratify == study.StratifyNone || needsClock(s)
}

// clock is g of a time at a stratum.
func (p fitted) clock(s *study.Study) func(time float64) float64 {
	if p.Clock == nil {
		return clock(s, s.Outcome.Range.Lo)
	}
	return func(time float64) float64 {
		in := min(sort.SearchFloat64s(s.Outcome.Grid, time), len(s.Outcome.Grid)-1)
		return p.Clock[sort.SearchInts(p.Ends, in)]
	}
}

// clocks are g of the runs of a shared baseline, at which its events are.
func (f *Fit) clocks() []float64 {
	s := f.study
	if needsClock(s) {
		return f.merged.ordered(f.lifetable, s.Model.TimeTransform == study.TimeKM)
	}
	return f.merged.clocks(s)
}

// clocks of the runs that everyone knows.
func (p merged) clocks(s *study.Study) []float64 {
	g := clock(s, s.Outcome.Grid[0])
	out := make([]float64, len(p.Intervals))
	for k, in := range p.Intervals {
		out[k] = g(s.Outcome.Grid[in])
	}
	return out
}

// ordered is g from how many have the event in each run and how many leave: one
// less the Kaplan–Meier estimate just before it, or the mean rank of those who
// leave in it, with the event or without, as a share of all.
func (p merged) ordered(l describe.Lifetable, kaplanMeier bool) []float64 {
	events, censored := make([]float64, len(p.Intervals)), make([]float64, len(p.Intervals))
	all := 0.0
	for in, n := range l.Events {
		events[sort.SearchInts(p.Intervals, in)] += float64(n)
		all += float64(n)
	}
	for in, n := range l.Censored {
		run := min(sort.SearchInts(p.Intervals, in), len(p.Intervals)-1) // beyond the grid: at its end
		censored[p.Leave[sort.SearchInts(p.Leave, run)]] += float64(n)
		all += float64(n)
	}
	out := make([]float64, len(p.Intervals))
	survival, before := 1.0, 0.0
	for k, d := range events {
		leave := d + censored[k]
		out[k] = (before + (leave+1)/2) / (all + 1)
		if kaplanMeier {
			out[k] = 1 - survival
		}
		if d > 0 {
			survival *= 1 - d/(all-before)
		}
		before += leave
	}
	return out
}

// checkClock refuses a g that is none: it would be a sum of other things than
// the test needs.
func (p fitted) checkClock(s *study.Study) error {
	if !needsClock(s) {
		if p.Clock != nil || p.Ends != nil {
			return errors.New("a clock belongs to a test of proportional hazards by rank or Kaplan-Meier estimate")
		}
		return nil
	}
	ends := p.Intervals
	if s.Model.Stratify == study.StratifySite {
		ends = p.Ends
		// Who leaves when is nothing that a stratum needs to be told.
		if err := (hazard.Runs{Intervals: ends, Leave: []int{len(ends) - 1}}).Check(s.Outcome.Grid); err != nil {
			return err
		}
	} else if p.Ends != nil {
		return errors.New("the times of a clock without strata are those of the baseline")
	}
	if len(p.Clock) != len(ends) {
		return errors.New("a clock has another number of times than the baseline")
	}
	last := 0.0
	for _, g := range p.Clock {
		// Written so that what is no number fails.
		if !(g >= last && g <= 1) || g == 0 && math.Signbit(g) {
			return errors.New("a clock runs from 0 to 1 and never back")
		}
		last = g
	}
	return nil
}
