package pipeline

import (
	"maps"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// protect makes the parts of a result agree where the study withholds whatever
// would give a small count away: what the audit withholds can then not be had from
// the cohort or the validation.
func (s *Session) protect() {
	audit := s.result.Audit
	if !s.study.Fairness.Complementary || audit == nil {
		return
	}
	s.result.Cohort = s.everyone.CohortBeside(audit.N, besides(s.study, audit))
	s.result.Model = withoutSmallMeans(s.study, s.result.Model, s.result.Cohort)
	if s.result.Validation != nil {
		s.result.Validation = withoutSmall(s.study, s.result.Validation, audit)
	}
}

// besides is what an audit shows of the attributes' groups.
func besides(s *study.Study, a *fairness.Audit) (out []describe.Beside) {
	at := 1
	for _, attribute := range s.Fairness.Attributes {
		names := attribute.Groups()
		b := describe.Beside{Place: make([]int, len(names)), N: make([]*int, len(names))}
		for g := range names {
			b.Place[g] = g
		}
		for g := range names {
			shown := a.Groups[at+g]
			if shown.State == fairness.OK || shown.State == fairness.NotEstimable {
				b.N[g] = shown.N
			}
			for _, other := range shown.With {
				b.Place[slices.Index(names, other)] = g
			}
		}
		at += len(names)
		out = append(out, b)
	}
	return out
}

// withoutSmall is a validation without the figures that tell of few patients, or of
// which the audit of the same predictions withholds its own.
func withoutSmall(s *study.Study, from *validation.Result, a *fairness.Audit) *validation.Result {
	cell, n := s.Fairness.MinimumCell, float64(from.N)
	v := *from
	v.Metrics, v.Intervals, v.Remarks = maps.Clone(from.Metrics), maps.Clone(from.Intervals), slices.Clone(from.Remarks)
	for _, share := range []struct {
		name, audited string
		of            float64 // what the metric is where everyone counts
	}{{"within20", "within20", 100}, {"prevalence", "prevalence", 1}, {"events", "event_share", n}} {
		value, known := from.Metrics[share.name]
		if !known || disclosure.Share(int(math.Round(value/share.of*n)), from.N, cell) && !slices.Contains(a.Groups[0].Withheld, share.audited) {
			continue
		}
		delete(v.Metrics, share.name)
		delete(v.Intervals, share.name)
		v.Remarks = append(v.Remarks, share.name+" is withheld: it would tell of fewer patients than the minimum cell.")
	}
	if p := from.Prediction; p != nil && !disclosure.Share(int(math.Round(p.Coverage*n)), from.N, cell) {
		v.Prediction = nil
		v.Remarks = append(v.Remarks, "How many patients are outside the prediction interval is withheld: they are fewer than the minimum cell.")
	}
	if !disclosure.Share(from.Cut, from.N, cell) {
		v.Remarks = slices.DeleteFunc(v.Remarks, func(remark string) bool { return remark == validation.CutRemark(from.Cut) })
	}
	if s.Outcome.Type == study.Count && !slices.Contains(a.Groups[0].Withheld, "bias") {
		withoutFewOfACount(&v, s.Outcome.Range.Hi, cell)
	} else if s.Outcome.Type == study.Count {
		for _, name := range []string{"bias", "r2", "calibration_slope", "deviance"} {
			delete(v.Metrics, name)
			delete(v.Intervals, name)
		}
		v.Calibration = nil
		v.Remarks = append(v.Remarks, "What would tell the sum of the outcome is withheld: too few patients have any.")
	}
	if s.Outcome.Type == study.Binary {
		if v.Calibration = audited(a, from.N); v.Calibration == nil { // each of its own points is a share
			v.Remarks = append(v.Remarks, "The calibration curve is withheld: its steps would tell of fewer patients than the minimum cell.")
		}
	}
	return &v
}

// audited is the calibration curve of an audit of so many patients, in the steps
// that it may show; nil where the audit is of others.
func audited(a *fairness.Audit, patients int) (out []validation.Bin) {
	if n := a.Groups[0].N; n == nil || *n != patients {
		return nil
	}
	for _, b := range a.Calibration {
		if b.N != nil && b.Predicted != nil && b.Observed != nil {
			actual := b.Observed.Estimate
			out = append(out, validation.Bin{From: b.From, To: b.To, N: b.N, Predicted: b.Predicted, Actual: &actual})
		}
	}
	return out
}

// withoutFewOfACount takes the calibration curve of a count out if one of its steps
// tells how few patients have any: they are no more than the sum of the outcomes, and
// no fewer than it takes if each has the most.
func withoutFewOfACount(v *validation.Result, most float64, cell int) {
	for _, b := range v.Calibration {
		if b.N == nil || b.Actual == nil {
			continue
		}
		sum := math.Round(*b.Actual * float64(*b.N))
		least, largest := int(math.Ceil(sum/most)), min(int(sum), *b.N)
		if sum > 0 && least < cell && largest-least < cell {
			v.Calibration = nil
			v.Remarks = append(v.Remarks, "The calibration curve is withheld: one of its steps would tell how few patients have any of the outcome.")
			return
		}
	}
}
