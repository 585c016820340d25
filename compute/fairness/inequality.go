package fairness

import (
	"math"

	"github.com/consilium-fl/consilium/study"
)

// Inequality says how unequally the groups of an attribute are called positive:
// one number for all of its groups that are shown.
type Inequality struct {
	Attribute string  `json:"attribute"`
	Threshold float64 `json:"threshold"`
	// Differential is the empirical differential fairness: the largest logarithm
	// of a ratio of two groups' rates of being called positive, or of not being;
	// First has the higher rate where it is that of a positive.
	Differential Metric `json:"differential"`
	First        string `json:"first,omitempty"`
	Second       string `json:"second,omitempty"`
	// Between is the part of the generalised entropy index that lies between the
	// groups; Share is what part that is of the whole index.
	Between Metric   `json:"between"`
	Share   *float64 `json:"share,omitempty"`
}

// smoothing of rates, as much as one patient in two.
const smoothing = 1

func (c *chance) inequality(a *Audit, s *study.Study, tallies []*tally) {
	for _, x := range crossings(s)[1:] {
		var groups []Confusion
		var names []string
		for i := x.first; i < x.first+x.size; i++ {
			t := tallies[i]
			if t == nil || !t.binary || t.hidden["confusion0"] || t.hidden["positives"] || t.hidden["selected0"] {
				continue
			}
			groups, names = append(groups, t.at[0]), append(names, a.Groups[i].Level)
		}
		if len(groups) < 2 {
			continue
		}
		one := Inequality{Attribute: a.Groups[x.first].Attribute, Threshold: a.Thresholds[0]}
		epsilon, first, second := differential(groups)
		if epsilon > 0 {
			one.First, one.Second = names[first], names[second]
		}
		drawn := make([]Confusion, len(groups))
		again := func(of func([]Confusion) float64) func() float64 {
			return func() float64 {
				for i, g := range groups {
					drawn[i] = c.drawn(g)
				}
				return of(drawn)
			}
		}
		one.Differential = c.apart(epsilon, again(func(g []Confusion) float64 { e, _, _ := differential(g); return e }))
		between := BetweenGEI(groups...)
		if math.IsNaN(between) {
			continue // nobody has a benefit
		}
		one.Between = c.apart(between, again(func(g []Confusion) float64 { return BetweenGEI(g...) }))
		var all Confusion
		for _, g := range groups {
			all = all.Plus(g)
		}
		if total := all.GEI(); total > 0 {
			share := between / total
			one.Share = &share
		}
		a.Inequality = append(a.Inequality, one)
	}
}

func differential(groups []Confusion) (epsilon float64, first, second int) {
	called, n := make([]float64, len(groups)), make([]float64, len(groups))
	for i, g := range groups {
		called[i], n[i] = g.TP+g.FP, g.N()
	}
	return Differential(called, n, smoothing)
}
