package cox

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
)

const (
	// largest is the magnitude that no scaled column exceeds.
	largest = 2
	// reach bounds the linear predictor that a site will evaluate. A fit that
	// runs further has no finite estimate and is diagnosed long before.
	reach = 1 << 20
)

// point is where the partial likelihood is to be evaluated: coefficients of
// scaled columns, and where the columns are centred. Both are by term without
// the intercept.
type point struct {
	Coefficients []float64 `json:"coefficients"`
	Centre       []float64 `json:"centre"`
	merged
}

// merged says, without strata, which intervals of the grid the risk sets tell
// apart.
type merged struct{ hazard.Runs }

func readPoint(s *study.Study, parameters []byte) (p point, err error) {
	if err := compute.DecodeParameters(parameters, &p); err != nil {
		return p, err
	}
	return p, p.check(s)
}

func (p point) check(s *study.Study) error {
	terms := s.Terms()[1:]
	magnitudes := make([]float64, len(terms))
	for j := range magnitudes {
		magnitudes[j] = largest
	}
	if err := compute.CheckCoefficients(p.Coefficients, magnitudes, reach); err != nil {
		return err
	}
	if len(p.Centre) != len(terms) {
		return fmt.Errorf("the centre has %d columns, the study %d terms", len(p.Centre), len(terms))
	}
	for j, t := range terms {
		if x := p.Centre[j]; !(x >= t.Lo && x <= t.Hi) || x == 0 && math.Signbit(x) {
			return fmt.Errorf("the centre of %s is outside its bounds", t.Name)
		}
	}
	return p.checkIntervals(s)
}

func (p merged) checkIntervals(s *study.Study) error {
	if s.Model.Stratify != study.StratifyNone {
		if p.Intervals != nil || p.Leave != nil {
			return errors.New("a model that is stratified by site has no intervals")
		}
		return nil
	}
	return p.Check(s.Outcome.Grid)
}

// scale maps the columns to [-largest, largest]: z = (x - centre) / half, where
// half is half the width of the column's bounds.
type scale struct{ centre, half []float64 }

func newScale(s *study.Study, centre []float64) scale {
	c := scale{centre: centre}
	for _, t := range s.Terms()[1:] {
		c.half = append(c.half, t.Hi/2-t.Lo/2)
	}
	return c
}

// patients are a site's records as a fit needs them, by descending time.
type patients struct {
	time  []float64
	event []bool
	z     [][]float64 // scaled columns
	eta   []float64   // linear predictor
	// weight of each in the partial likelihood: 1 but in a fit of a mitigation.
	weight []float64
}

// arrange evaluates the linear predictor of every record.
func arrange(s *study.Study, at point, m *study.Matrix) *patients {
	order := m.Memo(byTime{}, func() any { return sortByTime(m) }).([]int)
	c := newScale(s, at.Centre)
	p, n := len(c.half), m.Rows()
	out := &patients{time: make([]float64, n), event: make([]bool, n), z: make([][]float64, n), eta: make([]float64, n), weight: make([]float64, n)}
	cells := make([]float64, n*p)
	var row []float64
	for i, r := range order {
		row = m.AppendRow(row[:0], r)
		z := cells[i*p : (i+1)*p]
		eta := 0.0
		for j, x := range row[1:] {
			z[j] = (x - c.centre[j]) / c.half[j]
			eta += at.Coefficients[j] * z[j]
		}
		out.time[i], out.event[i], out.z[i], out.eta[i], out.weight[i] = m.Outcome(r), m.Event(r), z, eta, m.Weight(r)
	}
	return out
}

// packed is the position of (i, j), i <= j, in an upper triangle by rows.
func packed(p, i, j int) int { return i*p - i*(i-1)/2 + j - i }

func triangle(p int) int { return p * (p + 1) / 2 }
