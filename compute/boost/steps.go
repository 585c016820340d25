package boost

import (
	"math"
	"slices"
	"sync"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
)

// summarised is the study whose steps were asked for last: a site looks them up
// for every question.
var summarised struct {
	sync.Mutex
	study    [32]byte
	weighted bool // the same study, with the weights of a mitigation
	terms    int
	steps    []compute.StepSummary
}

// Steps tells people what is asked.
func Steps(s *study.Study) []compute.StepSummary {
	last := &summarised
	last.Lock()
	defer last.Unlock()
	weighted, terms := s.Model.Weights != nil, len(s.Terms())
	if last.steps == nil || last.study != s.Digest() || last.weighted != weighted || last.terms != terms {
		last.study, last.weighted, last.terms, last.steps = s.Digest(), weighted, terms, summarise(s)
	}
	return slices.Clone(last.steps)
}

func summarise(s *study.Study) []compute.StepSummary {
	b := s.Model.Boost
	var out []compute.StepSummary
	if s.HasBaseline() {
		out = append(out, compute.StepSummary{Step: StepGrid, Rounds: 1, Fields: gridLayout(s),
			Purpose: "how many patients had the event, and how many left, in each interval of the declared grid"})
	}
	if fields := largestQuantiles(s); fields != nil {
		out = append(out, compute.StepSummary{Step: StepQuantiles, Rounds: quantileRounds, Fields: fields, Expected: expectedQuantiles(s),
			Purpose: "how many patients have a value in each bin of a number's range, closer and closer around the quantiles that become the edges of the trees' bins"})
	}
	out = append(out, compute.StepSummary{Step: StepBins, Rounds: 1, Fields: binsLayout(largestBins(s)),
		Purpose: "how many patients are in each bin of each column, how many are held out for early stopping, and the mean and spread of the outcome"})
	// A site answers no more questions than this: below the root a level takes a
	// second one when a hospital came or went.
	out = append(out, compute.StepSummary{Step: StepTree, Rounds: b.Trees*(2*b.Depth-1) + 1, Usual: b.Trees*b.Depth + 1,
		Fields: largestFields(s), Expected: expectedLevels(s),
		Purpose: "for one level of a tree the slope and the curvature of the loss and the number of patients, for each open node, column and bin, and once a tree the loss; twice for a level only where a hospital came or went. Below a tree's first level a bin can hold few patients over all sites, or one: the coordinator sees such sums"})
	if s.HasBaseline() {
		finest := hazard.Runs{Intervals: make([]int, len(s.Outcome.Grid))} // only their number counts
		out = append(out, compute.StepSummary{Step: StepBaseline, Rounds: 1, Fields: baselineLayout(s, finest),
			Purpose: "for each interval, joined until each has the minimum cell of events, how many patients had the event, and the sum over the patients at risk of their relative hazards by the trees: the baseline that all hospitals share"})
	}
	for i := range out {
		for _, f := range out[i].Fields {
			out[i].Numbers += f.Length
		}
	}
	return out
}

// largestFields are those of the largest question about trees that there can be:
// for both children of every split above the last level, after hospitals came or
// went, in the narrowest limbs.
func largestFields(s *study.Study) []compute.Field {
	loss := newLoss(s)
	q := &treeQuestion{bins: largestBins(s), loss: loss, Patients: maxRows, HeldOut: maxRows}
	if loss.cox() {
		q.Events = maxRows
	}
	q.Scale = loss.scale(maxRows, q.Events, loss.expected(moments{patients: maxRows, events: q.Events, mean: 0.5, spread: 0.5}), manyBits)
	all := q.everything(maxRows)
	for i := range 1 << (s.Model.Boost.Depth - 1) {
		q.Nodes, q.Counts, q.grids = append(q.Nodes, i), append(q.Counts, maxRows), append(q.grids, all)
	}
	q.measure()
	q.inLimbsOf(max(int(q.widest), leastLimb))
	return q.layout()
}

// expectedPatients are those that a forecast of what is sent supposes. With ten
// times as many, or as few, a number has four bits more, or fewer.
const (
	expectedPatients = 100_000
	expectedSites    = 20
)

// expectedQuantiles forecasts the search for quantiles: of numbers that have most
// of their patients in an eighth of their range, none of whose values many share.
func expectedQuantiles(s *study.Study) []compute.Expected {
	first, later := 0, 0
	for _, w := range wants(s, expectedPatients) {
		first, later = first+numberSplit, later+len(w.Probabilities)*manySplit
	}
	counts := func(n int) []compute.Field { return []compute.Field{{Name: "counts", Length: n, Bound: maxRows}} }
	out := []compute.Expected{{Rounds: 1, Fields: counts(first)}}
	for inBin := 8 * expectedPatients / numberSplit; inBin >= 2*s.Fairness.MinimumCell && len(out) < quantileRounds; inBin /= manySplit {
		out = append(out, compute.Expected{Rounds: 1, Fields: counts(later)})
	}
	return out
}

// expectedLevels forecasts the questions about trees that grow evenly in
// columns without missing values, and of which nothing ends early.
func expectedLevels(s *study.Study) []compute.Expected {
	b, loss := s.Model.Boost, newLoss(s)
	cut := largestBins(s)
	for j := range cut {
		cut[j].missing = false
	}
	m := moments{patients: expectedPatients, mean: 0.3, spread: (loss.hi - loss.lo) / 20}
	if loss.cox() {
		m.events = expectedPatients / 3
	}
	t := loss.expected(m)
	level := func(depth int) *treeQuestion {
		q := &treeQuestion{bins: cut, loss: loss, Patients: m.patients, Events: m.events,
			Scale: loss.scale(m.patients, m.events, t, precision(cut.asked()*openMost(b.Depth)))}
		if depth == 0 {
			q.Nodes, q.Counts, q.grids = []int{0}, []int{m.patients}, []grid{q.everything(m.patients)}
			q.inLimbs(expectedSites)
			return q
		}
		q.Tree = []byte{0} // there is one
		above := max(m.patients>>(depth-1), 2*b.MinLeaf)
		for i := range 1 << (depth - 1) {
			q.Nodes, q.Counts = append(q.Nodes, 2*i), append(q.Counts, above*2/5)
			q.Squares = append(q.Squares, 1+int64(float64(above)*math.Ldexp(t.gradient*t.gradient, 2*q.Scale.Gradient-q.Scale.Squares)))
			q.grids = append(q.grids, q.expectedGrid(above, t))
		}
		q.inLimbs(expectedSites)
		return q
	}
	var out []compute.Expected
	for depth := range b.Depth {
		out = append(out, compute.Expected{Rounds: b.Trees, Fields: level(depth).layout()})
	}
	end := level(0)
	end.Nodes, end.Counts, end.grids, end.Limb, end.limbs = nil, nil, nil, 0, arrangement{}
	return append(out, compute.Expected{Rounds: 1, Fields: end.layout()})
}

// expectedGrid is that of a node below one with so many patients, in even bins.
func (q *treeQuestion) expectedGrid(above int, t typical) (out grid) {
	for j, c := range q.bins {
		if c.width() == 0 {
			continue
		}
		cell := 1 + above/c.width()
		l := lot{column: j, count: uint(bitLength(cell))}
		if !q.loss.constant() {
			l.hessian = widthOf(1 + float64(cell)*math.Ldexp(t.hessian, q.Scale.Hessian))
		}
		for k := range c.width() - 1 {
			l.groups = append(l.groups, group{uint8(k), uint8(k)})
		}
		out = append(out, l)
	}
	return out
}
