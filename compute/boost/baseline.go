package boost

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
)

const (
	riskBits = 46
	// highestHazard bounds the cumulative hazard of a score of 0: that of 1000 of
	// the lowest score, beyond which nobody is free of the event.
	highestHazard = 1e16
)

// everyone is the grouping of the grid: nobody is told apart.
var everyone = []describe.Grouping{describe.Everyone()}

func gridLayout(s *study.Study) []compute.Field { return describe.LifetableLayout(s, everyone) }

// baselineQuestion asks for the events of each run of intervals and for the sum
// of exp(score) of the patients at risk in it. A score beyond the loss's bounds
// counts as at them, so that exp of it is at most exp(scoreBound).
type baselineQuestion struct {
	Edges []byte  `json:"edges"`
	Base  float64 `json:"base"`
	Trees []byte  `json:"trees,omitempty"`
	hazard.Runs

	bins  bins
	trees []tree
}

func readBaselineQuestion(s *study.Study, parameters []byte) (*baselineQuestion, error) {
	var q baselineQuestion
	err := compute.DecodeParameters(parameters, &q)
	if err != nil {
		return nil, err
	}
	if q.bins, q.trees, err = readEnsemble(s, q.Edges, q.Base, q.Trees); err != nil {
		return nil, err
	}
	return &q, q.Check(s.Outcome.Grid)
}

func baselineLayout(s *study.Study, runs hazard.Runs) []compute.Field {
	k, heaviest, bits := len(runs.Intervals), 1.0, riskBits
	if w := s.Model.Weights; w != nil {
		heaviest = w.Range.Hi
		bits -= exponent(heaviest)
	}
	fields := []compute.Field{
		{Name: "events", Length: k, Bound: maxRows},
		{Name: "risk", Length: k, FracBits: bits, Bound: maxRows * math.Ceil(math.Exp(scoreBound)) * heaviest},
	}
	if s.Model.Weights != nil {
		fields = append(fields, compute.Field{Name: "event_weights", Length: k, FracBits: riskBits, Bound: maxRows * heaviest})
	}
	return fields
}

// baselineStepLayout is the vector of one of the steps of the baseline.
func baselineStepLayout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if !s.HasBaseline() {
		return nil, fmt.Errorf("the study asks for no baseline and has no step %q", step)
	}
	if step == StepGrid {
		if len(parameters) != 0 {
			return nil, fmt.Errorf("the step %q has no parameters", step)
		}
		return gridLayout(s), nil
	}
	q, err := readBaselineQuestion(s, parameters)
	if err != nil {
		return nil, err
	}
	return baselineLayout(s, q.Runs), nil
}

// answerBaselineStep is a site's vector for one of them.
func answerBaselineStep(s *study.Study, step string, parameters []byte, m *study.Matrix) ([]float64, error) {
	if _, err := baselineStepLayout(s, step, parameters); err != nil {
		return nil, err
	}
	if step == StepGrid {
		return describe.AnswerLifetables(s, everyone, m), nil
	}
	q, err := readBaselineQuestion(s, parameters)
	if err != nil {
		return nil, err
	}
	return q.answer(s, known(m), m), nil
}

func (q *baselineQuestion) answer(s *study.Study, c *cache, m *study.Matrix) []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.score(s, scorer{q.Edges, q.bins, q.Base, q.Trees, q.trees}, m)
	l, k := newLoss(s), len(q.Intervals)
	events, risk, weights := make([]float64, k), compute.NewAccumulator(k), compute.NewAccumulator(k)
	for i, score := range c.scores {
		in, died := q.Place(s.Outcome.Grid, c.records.outcome[i], c.records.events[i])
		if died {
			events[in]++
			weights.Add(in, c.records.weights[i])
		}
		// Whoever leaves in a run is at risk in all before it.
		e := c.records.weights[i] * math.Exp(l.clamp(score))
		for run := range in + 1 {
			risk.Add(run, e)
		}
	}
	out := append(events, risk.Values()...)
	if s.Model.Weights != nil {
		out = append(out, weights.Values()...)
	}
	return out
}

// absorbGrid chooses the runs that the baseline tells apart.
func (f *Fit) absorbGrid(sum compute.Sum) error {
	tables, err := describe.ReadLifetables(f.study, everyone, sum)
	if err != nil {
		return err
	}
	k := f.study.Fairness.MinimumCell
	runs, ok := hazard.Merge(tables[0][0], k)
	if !ok {
		return &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: fmt.Sprintf("fewer than the minimum cell of %d patients had the event, or were censored, so the risk sets of a baseline would show them; leave model.baseline out", k)}
	}
	f.runs = &runs
	return nil
}

// lastQuestion is that of the baseline, by the trees that are kept.
func (f *Fit) lastQuestion() baselineQuestion {
	return baselineQuestion{Edges: f.edges, Base: f.base, Trees: appendTrees(f.trees), Runs: *f.runs}
}

// absorbBaseline is Breslow's estimate.
func (f *Fit) absorbBaseline(sum compute.Sum) error {
	events, risk := sum.Field("events"), sum.Field("risk")
	if k := len(f.runs.Intervals); len(events) != k || len(risk) != k {
		return errors.New("the opened sum does not fit the question about the baseline")
	}
	var weights []float64 // of those who have the event
	if f.study.Model.Weights != nil {
		if weights = sum.Field("event_weights"); len(weights) != len(events) {
			return errors.New("the opened sum does not fit the question about the baseline")
		}
	}
	cumulative := 0.0
	for k, in := range f.runs.Intervals {
		if d := math.Round(events[k]); d > 0 {
			if weights != nil {
				d = weights[k]
			}
			cumulative = min(cumulative+d/risk[k], highestHazard)
		}
		f.baseline = append(f.baseline, hazard.Point{Time: f.study.Outcome.Grid[in], Survival: math.Exp(-cumulative), Hazard: cumulative})
	}
	f.done = true
	return nil
}
