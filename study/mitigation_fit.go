package study

import (
	"errors"
	"math"
	"slices"
)

// MitigationWeights stands for the column of weights where a study has none of its own.
const MitigationWeights = "(mitigation)"

// Weighted is the study whose patients have weights of the mitigation beside
// what weights they have.
func (s *Study) Weighted() *Study {
	w := *s
	own := Covariate{Column: MitigationWeights, Range: Range{0, 1}}
	if s.Model.Weights != nil {
		own = *s.Model.Weights
	}
	own.Range.Hi *= MostMitigationWeight
	w.Model.Weights = &own
	return &w
}

// Sharpened is the study whose network is trained by q-FedAvg with this exponent.
func (s *Study) Sharpened(q float64) *Study {
	sharper := *s
	network := *s.Model.Neural
	network.Q = q
	sharper.Model.Neural = &network
	return &sharper
}

// CheckSharpness refuses an exponent that is not of the study's strengths; 0 is
// none.
func (s *Study) CheckSharpness(q float64) error {
	if q == 0 && !math.Signbit(q) {
		return nil
	}
	if m := s.Mitigation; m != nil && m.Method == QFedAvg {
		for _, strength := range m.Strengths {
			if q == strength*m.Q {
				return nil
			}
		}
	}
	return errors.New("the exponent is not of the study's mitigation")
}

// GapWeights are how hospitals count in the rounds of fairfed.
type GapWeights struct {
	Beta float64 `json:"beta"`
	// The gap is that of the reference group to the others together: by index, none
	// of them too small to be shown.
	Reference int   `json:"reference"`
	Others    []int `json:"others"` // ascending
}

// WeighedByGap is the study whose network is trained by fairfed.
func (s *Study) WeighedByGap(w *GapWeights) *Study {
	fair := *s
	network := *s.Model.Neural
	network.GapWeights = w
	fair.Model.Neural = &network
	return &fair
}

// CheckGapWeights refuses what is not of the study's strengths and groups; nil is
// none.
func (s *Study) CheckGapWeights(w *GapWeights) error {
	if w == nil {
		return nil
	}
	m := s.Mitigation
	if m == nil || m.Method != FairFed {
		return errors.New("the hospitals' weights are not of the study's mitigation")
	}
	if !slices.ContainsFunc(m.Strengths, func(x float64) bool { return w.Beta == x*m.Beta }) {
		return errors.New("beta is not of the study's mitigation")
	}
	a := s.Fairness.Attributes[m.Attribute]
	if w.Reference < 0 || w.Reference >= len(a.Levels) || a.Reference != "" && a.Groups()[w.Reference] != a.Reference {
		return errors.New("the reference is not a group of the mitigation's attribute, or not the one that the study declares")
	}
	if len(w.Others) == 0 {
		return errors.New("a gap is between the reference and other groups")
	}
	for i, g := range w.Others {
		if g < 0 || g >= len(a.Levels) || g == w.Reference || i > 0 && g <= w.Others[i-1] {
			return errors.New("the groups of a gap are not ascending groups of its attribute, beside the reference")
		}
	}
	return nil
}

// Weighted is the matrix of [Study.Weighted]: each record weighs what it did,
// times the weight of its group and its class.
func (m *Matrix) Weighted(weights [][]float64) *Matrix {
	weighted := *m.rows()
	s := weighted.study.Weighted()
	attribute := s.Mitigation.Attribute
	all := make([]float64, len(weighted.outcomes))
	for i, y := range weighted.outcomes {
		all[i] = m.Weight(i) * weights[m.Group(i, attribute)][s.Class(y)]
	}
	weighted.study, weighted.weights, weighted.memo = s, all, &memo{}
	return &Matrix{func() *rows { return &weighted }}
}
