package fairness

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Steps that decide what is opened, before any error of the model is.
const (
	// StepSizes opens how many patients each group has, and how many hospitals
	// have one.
	StepSizes = "fairness/sizes"
	// StepShares opens how many hospitals have more than the largest share of a
	// group, none or one, and how many have enough patients of a group and of the
	// one it is compared with to be a term of a comparison within hospitals. A
	// maximum is no sum, but whether a site is above a threshold that everyone
	// knows is one: so no hospital's number is opened to compare it.
	StepShares = "fairness/shares"
)

func sizesLayout(s *study.Study) []compute.Field {
	all := len(cells(s))
	fields := []compute.Field{{Name: "patients", Length: all, Bound: maxRows}, {Name: "sites", Length: all, Bound: 1}}
	if s.Outcome.Type == study.Binary || s.Outcome.Type == study.Survival {
		fields = append(fields, compute.Field{Name: "positives", Length: all, Bound: maxRows})
	}
	return fields
}

func sharesLayout(open int) []compute.Field {
	return []compute.Field{{Name: "dominated", Length: open, Bound: 1}, {Name: "paired", Length: open, Bound: 1}}
}

// answerSizes is a site's vector of the first step.
func answerSizes(s *study.Study, m *study.Matrix, predictions []float64) []float64 {
	n, positives := count(s, nil, m, predictions)
	out := slices.Clone(n)
	for _, k := range n {
		out = append(out, one(k > 0))
	}
	if s.Outcome.Type == study.Binary || s.Outcome.Type == study.Survival {
		out = append(out, positives...)
	}
	return out
}

// count is how many patients, and how many with the outcome or the event, are in
// each cell.
func count(s *study.Study, g grouping, m *study.Matrix, predictions []float64) (n, positives []float64) {
	n, positives = make([]float64, len(cells(s))), make([]float64, len(cells(s)))
	all := crossings(s)
	for i := range m.Rows() {
		if math.IsNaN(predictions[i]) {
			continue
		}
		up := false
		switch s.Outcome.Type {
		case study.Binary:
			up = m.Outcome(i) == 1
		case study.Survival:
			up = m.Event(i)
		}
		for _, c := range all {
			at := c.at(func(a int) int { return g.of(a, m.Group(i, a)) })
			n[at]++
			positives[at] += one(up)
		}
	}
	return n, positives
}

// sharesQuestion asks about cells that have so many patients in all.
type sharesQuestion struct {
	Groups   grouping `json:"groups,omitempty"`
	Cells    []int    `json:"cells"`
	Patients []int    `json:"patients"`
	Against  []int    `json:"against"` // by cell, the one that it is compared with; -1 for none
}

func readShares(s *study.Study, parameters []byte) (q sharesQuestion, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if err := checkCells(s, q.Groups, q.Cells); err != nil {
		return q, err
	}
	if len(q.Patients) != len(q.Cells) {
		return q, errors.New("the sizes are not of the cells")
	}
	for _, n := range q.Patients {
		if n < s.Fairness.MinimumCell {
			return q, errors.New("a group below the minimum cell has no part in the audit")
		}
	}
	return q, checkAgainst(s, q.Cells, q.Against)
}

func (q sharesQuestion) answer(s *study.Study, m *study.Matrix, predictions []float64) []float64 {
	n, positives := count(s, q.Groups, m, predictions)
	enough := func(c int) bool {
		least := n[c]
		if s.Outcome.Type == study.Binary {
			least = min(positives[c], n[c]-positives[c])
		}
		return least >= atLeastInside(s)
	}
	dominated, paired := make([]float64, len(q.Cells)), make([]float64, len(q.Cells))
	for i, c := range q.Cells {
		dominated[i] = one(n[c] > s.Fairness.LargestShare*float64(q.Patients[i]))
		paired[i] = one(q.Against[i] >= 0 && enough(c) && enough(max(q.Against[i], 0)))
	}
	return append(dominated, paired...)
}

// checkCells makes sure that cells are ascending cells of the study that stand
// for themselves, all patients first.
func checkCells(s *study.Study, g grouping, list []int) error {
	if err := g.check(s); err != nil {
		return err
	}
	known := cells(s)
	if len(list) == 0 || list[0] != 0 {
		return errors.New("an audit begins with all patients")
	}
	for i, c := range list {
		if c >= len(known) || i > 0 && c <= list[i-1] {
			return errors.New("the groups of the audit are not ascending groups of the study")
		}
		if !g.alone(known[c]) {
			return errors.New("a group is asked for that is counted in another's place")
		}
	}
	return nil
}

// checkAgainst makes sure that each cell is compared with another of the same
// attributes, or with none.
func checkAgainst(s *study.Study, list, against []int) error {
	known := cells(s)
	if len(against) != len(list) {
		return errors.New("the comparisons are not of the cells")
	}
	for i, r := range against {
		if r == -1 {
			continue
		}
		if r < -1 || r == list[i] || !slices.Contains(list, r) || !slices.Equal(known[r].attributes, known[list[i]].attributes) {
			return fmt.Errorf("cell %d is compared with what is not another group of its attributes", list[i])
		}
	}
	return nil
}
