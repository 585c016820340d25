package mitigation

import (
	"errors"
	"math"

	"github.com/consilium-fl/consilium/study"
)

// Applied says what was done to make a model of it: part of the model that is
// released.
type Applied struct {
	Method    string   `json:"method"`
	Attribute string   `json:"attribute"`
	Strength  float64  `json:"strength"`
	Groups    []Change `json:"groups"` // all of the attribute, unknown last
}

// Change is what a group has of its own.
type Change struct {
	Level string `json:"level"`
	// General says why the group has nothing of its own; empty if it has.
	General string    `json:"general,omitempty"`
	Weights []float64 `json:"weights,omitempty"` // in the fit, by class of the outcome
	// Intercept and Slope are the line along which predictions are moved: in the
	// outcome's unit, or of the logit of a probability.
	Intercept *float64 `json:"intercept,omitempty"`
	Slope     *float64 `json:"slope,omitempty"`
	// Factor by which the hazard of a survival outcome is multiplied.
	Factor *float64 `json:"factor,omitempty"`
	Cut    *float64 `json:"cut,omitempty"` // the probability from which a patient is called positive
}

// Lines are the lines of all groups by index, the identity for one that has none;
// nil where no group has.
func (a *Applied) Lines() Lines {
	var out Lines
	if a == nil || a.Method != study.Recalibrate {
		return nil
	}
	for _, c := range a.Groups {
		line := [2]float64{0, 1}
		if c.Intercept != nil && c.Slope != nil {
			line = [2]float64{*c.Intercept, *c.Slope}
		} else if c.Factor != nil {
			line[0] = math.Log(*c.Factor) + 0
		}
		out = append(out, line)
	}
	return out
}

// Cuts are the probabilities of all groups by index, the study's for one that has
// none of its own; nil where no group has.
func (a *Applied) Cuts(s *study.Study) []float64 {
	var out []float64
	if a == nil || a.Method != study.GroupThresholds {
		return nil
	}
	for _, c := range a.Groups {
		cut := s.Cut()
		if c.Cut != nil {
			cut = *c.Cut
		}
		out = append(out, cut)
	}
	return out
}

// mostCoefficient bounds a line: of the logit, or in the outcome's unit.
const mostCoefficient = 1e13

// Lines are, by group of the mitigation's attribute, intercept and slope.
type Lines [][2]float64

// Check refuses lines that are not of the study.
func (l Lines) Check(s *study.Study) error {
	if l == nil {
		return nil
	}
	if s.Mitigation == nil || s.Mitigation.Method != study.Recalibrate || len(l) != groupsOf(s) {
		return errors.New("the lines are not of the study's mitigation")
	}
	for _, line := range l {
		for _, x := range line {
			if !(math.Abs(x) <= mostCoefficient) || x == 0 && math.Signbit(x) {
				return errors.New("a line is beyond its bounds, or spelt in a second way")
			}
		}
	}
	return nil
}

// Move is what a prediction becomes for a group; of a survival outcome, the
// logarithm of the hazard.
func (l Lines) Move(s *study.Study, group int, p float64) float64 {
	if l == nil || l[group] == [2]float64{0, 1} {
		return p
	}
	a, b := l[group][0], l[group][1]
	if s.Outcome.Type == study.Binary {
		return logistic(a + b*logit(p))
	}
	return a + b*p
}

// logit of a probability, as far from zero as mostLogit.
func logit(p float64) float64 {
	return min(max(math.Log(p)-math.Log1p(-p), -mostLogit), mostLogit)
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// CheckWeights refuses weights that are not of the study: by group, then by class
// of the outcome.
func CheckWeights(s *study.Study, weights [][]float64) error {
	if weights == nil {
		return nil
	}
	if s.Mitigation == nil || !s.Mitigation.Weighs() || len(weights) != groupsOf(s) {
		return errors.New("the weights are not of the study's mitigation")
	}
	for _, of := range weights {
		if len(of) != s.Classes() {
			return errors.New("the weights are not of the classes of the outcome")
		}
		for _, w := range of {
			if !(w >= 0 && w <= study.MostMitigationWeight) || w == 0 && math.Signbit(w) {
				return errors.New("a weight is beyond its bounds, or spelt in a second way")
			}
			if w == 0 && s.Model.Kind == study.Cox {
				return errors.New("a weight of 0 can leave nobody at risk")
			}
		}
	}
	return nil
}

// weightsOf are those of all groups by index: 1 where a group has none of its own.
func weightsOf(s *study.Study, changes []Change) (out [][]float64) {
	for _, c := range changes {
		of := c.Weights
		if of == nil {
			of = make([]float64, s.Classes())
			for k := range of {
				of[k] = 1
			}
		}
		out = append(out, of)
	}
	return out
}

// Risk is what a survival model's probability of the event becomes for a group.
func (l Lines) Risk(group int, p float64) float64 {
	if l == nil || l[group][0] == 0 {
		return p
	}
	return -math.Expm1(math.Exp(l[group][0]) * math.Log1p(-p))
}

// Moved is the prediction of record i of a site.
func (l Lines) Moved(s *study.Study, m *study.Matrix, i int, p float64) float64 {
	if l == nil {
		return p
	}
	return l.Move(s, m.Group(i, s.Mitigation.Attribute), p)
}

// Check refuses what was not done by the study's mitigation.
func (a *Applied) Check(s *study.Study) error {
	if a == nil {
		return nil
	}
	m := s.Mitigation
	if m == nil || a.Method != m.Method || a.Strength != m.Release || a.Attribute != s.Fairness.Attributes[m.Attribute].Column {
		return errors.New("the model's mitigation is not the one that the study releases")
	}
	names := s.Fairness.Attributes[m.Attribute].Groups()
	if a.Groups == nil && m.Method == study.QFedAvg {
		return nil
	}
	if len(a.Groups) != len(names) {
		return errors.New("the model's mitigation is not of the study's groups")
	}
	for k, c := range a.Groups {
		if c.Level != names[k] {
			return errors.New("the model's mitigation is not of the study's groups")
		}
	}
	return a.Lines().Check(s)
}
