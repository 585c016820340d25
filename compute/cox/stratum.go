package cox

import (
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const (
	// Products of centred columns are small where a declared range is wide: 80
	// bits keep them to eleven digits when the spread is a millionth of it.
	fracBits       = 80
	likelihoodBits = 60
	// Each event adds at most two linear predictors and the logarithm of the
	// number at risk.
	likelihoodBound = maxRows * 4 * reach
	scoreBound      = maxRows * 2 * largest
	// A covariance of two columns in [-2, 2] is at most 4.
	informationBound = maxRows * 2 * largest * largest
)

// newtonLayout is the vector of StepNewton. By strata: patients, events, and at
// the coefficients asked for the log partial likelihood, its gradient and its
// information. Without: see pooledLayout.
func newtonLayout(s *study.Study, at point) []compute.Field {
	if s.Model.Stratify == study.StratifyNone {
		return pooledLayout(s, len(at.Intervals))
	}
	p, most := len(s.Terms())-1, heaviest(s)
	return []compute.Field{
		{Name: "patients", Length: 1, Bound: maxRows},
		{Name: "events", Length: 1, Bound: maxRows},
		{Name: "log_likelihood", Length: 1, FracBits: likelihoodBits, Bound: likelihoodBound * most},
		{Name: "score", Length: p, FracBits: fracBits, Bound: scoreBound * most},
		{Name: "information", Length: triangle(p), FracBits: fracBits, Bound: informationBound * most},
	}
}

// heaviest is the largest weight of a patient; only a mitigation gives weights.
func heaviest(s *study.Study) float64 {
	if w := s.Model.Weights; w != nil {
		return w.Range.Hi
	}
	return 1
}

// coarser takes from the fractional bits of a sum those by which weights, each so
// many times a factor, have widened its bound.
func coarser(s *study.Study, bits int, times float64) int {
	return bits - int(math.Ceil(times*math.Log2(heaviest(s))))
}

// byTime is the key of the order of a site's records by descending time, which
// every question of a fit needs.
type byTime struct{}

func sortByTime(m *study.Matrix) []int {
	order := make([]int, m.Rows())
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch ta, tb := m.Outcome(a), m.Outcome(b); {
		case ta > tb:
			return -1
		case ta < tb:
			return 1
		}
		return 0
	})
	return order
}

// walk visits the times of events from the last to the first: who is at risk,
// and which records, from first up to last, have that time.
func (p *patients) walk(breslow bool, visit func(m *moment, first, last int)) {
	if len(p.z) == 0 {
		return
	}
	m := newMoment(len(p.z[0]))
	for first := 0; first < len(p.time); {
		last := first
		for last < len(p.time) && p.time[last] == p.time[first] {
			m.enter(p.eta[last], p.weight[last], p.z[last])
			last++
		}
		m.bury()
		for i := first; i < last; i++ {
			if p.event[i] {
				m.die(p.eta[i], p.weight[i], p.z[i])
			}
		}
		if m.deaths > 0 {
			m.evaluate(breslow)
			visit(m, first, last)
		}
		first = last
	}
}

// surplus is, of the columns of those who had the event, what is beyond the mean
// of those at risk, each with its weight: the sum of the Schoenfeld residuals of a
// time.
func (p *patients) surplus(dst []float64, m *moment, first, last int) {
	for j := range dst {
		dst[j] = -m.mean[j]
	}
	for i := first; i < last; i++ {
		if p.event[i] {
			for j, z := range p.z[i] {
				dst[j] += p.weight[i] * z
			}
		}
	}
}

// answerStratum is a site's vector for StepNewton where it is a stratum.
func answerStratum(s *study.Study, at point, m *study.Matrix) []float64 {
	records := arrange(s, at, m)
	p := len(at.Coefficients)
	sums := compute.NewAccumulator(1 + p + triangle(p))
	events := 0
	surplus := make([]float64, p)
	records.walk(s.Model.Ties == study.Breslow, func(m *moment, first, last int) {
		events += m.deaths
		sums.Add(0, -m.logarithms)
		for i := first; i < last; i++ {
			if records.event[i] {
				sums.Add(0, records.weight[i]*records.eta[i])
			}
		}
		records.surplus(surplus, m, first, last)
		for j, v := range surplus {
			sums.Add(1+j, v)
		}
		for j, v := range m.variance {
			sums.Add(1+p+j, v)
		}
	})
	return append([]float64{float64(m.Rows()), float64(events)}, sums.Values()...)
}
