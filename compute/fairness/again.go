package fairness

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/consilium-fl/consilium/study"
)

// Again audits the predictions of another model for the same patients: what may
// be opened has been decided, so that only the errors are asked for. Cuts are
// those of the other model, as in Sizes.
func (a *Session) Again(cuts []float64) *Session {
	b := &Session{study: a.study, sizes: a.sizes, gate: a.gate, dominated: a.dominated, beside: &a.hidden}
	b.sizes.Cuts = cuts
	q := *a.question
	q.Cuts, q.Hospitals, q.Gaps = cuts, false, nil
	b.question = &q
	return b
}

// checkCuts refuses cuts that are not of the study's mitigation: one for each
// group of its attribute.
func checkCuts(s *study.Study, cuts []float64) error {
	if cuts == nil {
		return nil
	}
	m := s.Mitigation
	if m == nil || m.Method != study.GroupThresholds || len(cuts) != len(s.Fairness.Attributes[m.Attribute].Levels)+1 {
		return errors.New("the thresholds by group are not of the study's mitigation")
	}
	for _, c := range cuts {
		if !(c >= 0 && c <= math.Nextafter(1, 2)) || c == 0 && math.Signbit(c) {
			return errors.New("a threshold is not a probability")
		}
	}
	return nil
}

// cut is the thresholds with, in place of the first, that of the record's group.
func (q question) cut(s *study.Study, thresholds []float64, m *study.Matrix, record int) []float64 {
	if q.Cuts == nil {
		return thresholds
	}
	own := append([]float64(nil), thresholds...)
	own[0] = q.Cuts[m.Group(record, s.Mitigation.Attribute)]
	return own
}

// Cut is the probability from which the model calls a patient of a group
// positive.
type Cut struct {
	Attribute string  `json:"attribute"`
	Level     string  `json:"level"`
	From      float64 `json:"from"`
}

// named are the question's thresholds by group with the groups' names.
func (q question) named(s *study.Study) (out []Cut) {
	for g, from := range q.Cuts {
		a := s.Fairness.Attributes[s.Mitigation.Attribute]
		out = append(out, Cut{a.Column, a.Groups()[g], from})
	}
	return out
}

// byGroup are the audit's thresholds by group as a question has them.
func (a *Audit) byGroup() (out []float64) {
	for _, c := range a.Cuts {
		out = append(out, c.From)
	}
	return out
}

// ownThresholds says that groups are called positive from probabilities of their
// own; nothing where they are not.
func (a *Audit) ownThresholds() []string {
	if a.Cuts == nil {
		return nil
	}
	var cuts []string
	for _, c := range a.Cuts {
		cuts = append(cuts, fmt.Sprintf("%s %.4g", c.Level, c.From))
	}
	return []string{fmt.Sprintf("In place of the threshold of %.4g, the released model calls patients positive from a probability that depends on %s: %s.",
		a.Thresholds[0], a.Cuts[0].Attribute, strings.Join(cuts, ", "))}
}
