package boost

import (
	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// wants are the quantiles that become the edges of each number's bins: of so
// many bins that each has the minimum cell, if the patients are that many.
func wants(s *study.Study, patients int) []describe.Want {
	n := min(s.Model.Boost.Bins, patients/max(s.Fairness.MinimumCell, 1))
	if n < 2 {
		return nil
	}
	p := make([]float64, n-1)
	for i := range p {
		p[i] = float64(i+1) / float64(n)
	}
	var out []describe.Want
	for j, t := range s.Terms() {
		if t.Feature >= 0 && t.Level < 0 {
			out = append(out, describe.Want{Term: j, Probabilities: p})
		}
	}
	return out
}

// cut makes columns of quantiles: every level has the edge between 0 and 1,
// every number what its quantiles round to, each once.
func cut(s *study.Study, wants []describe.Want, values [][]float64) bins {
	terms := columnsOf(s)
	out := make(bins, len(terms))
	for j := range out[1:] {
		out[j+1].missing = true
		if terms[j+1].Level >= 0 {
			out[j+1].edges = []float64{0.5}
		}
	}
	for i, w := range wants {
		c, term := &out[w.Term], terms[w.Term]
		finer := finer(study.Range{Lo: term.Lo, Hi: term.Hi})
		for _, x := range values[i] {
			x = roundEdge(x, finer)
			if n := len(c.edges); n == 0 || c.edges[n-1] < x {
				c.edges = append(c.edges, x)
			}
		}
	}
	return out
}

// Most rounds of a search for quantiles, and most bins that a round counts for
// each quantile and for each number, as package describe has them.
const (
	quantileRounds = 5
	quantileSplit  = 1 << 6
	numberSplit    = 1 << 7
	manySplit      = 1 << 4 // what is usual where many quantiles are searched for
)

// largestQuantiles bound what a study asks about quantiles, nil if nothing.
func largestQuantiles(s *study.Study) []compute.Field {
	n := 0
	for _, w := range wants(s, maxRows) {
		n += max(numberSplit, len(w.Probabilities)*quantileSplit)
	}
	if n == 0 {
		return nil
	}
	return []compute.Field{{Name: "counts", Length: n, Bound: maxRows}}
}
