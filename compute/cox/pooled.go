package cox

import (
	"math"
	"sort"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const (
	// highest bounds the linear predictor in the sums over risk sets: a hazard
	// e^20 times that of the mean patient. Whoever is above is counted, and the
	// coefficients are not accepted.
	highest  = 20
	riskBits = 56
)

// pooledLayout is the vector of StepNewton without strata: patients, events in
// each interval, the sum over events of the columns z, and for each interval,
// over the patients at risk and (for Efron's ties) over those who have the event
// in it, the sums of the relative hazards w, of w z, and of w z z'.
func pooledLayout(s *study.Study, intervals int) []compute.Field {
	p := len(s.Terms()) - 1
	bound := maxRows * math.Ceil(math.Exp(highest))
	fields := []compute.Field{
		{Name: "patients", Length: 1, Bound: maxRows},
		{Name: "clipped", Length: 1, Bound: maxRows},
		{Name: "events", Length: intervals, Bound: maxRows},
		{Name: "event_sums", Length: p, FracBits: fracBits, Bound: maxRows * largest},
		{Name: "risk0", Length: intervals, FracBits: riskBits, Bound: bound},
		{Name: "risk1", Length: intervals * p, FracBits: riskBits, Bound: bound * largest},
		{Name: "risk2", Length: intervals * triangle(p), FracBits: riskBits, Bound: bound * largest * largest},
	}
	if s.Model.Ties == study.Efron {
		fields = append(fields,
			compute.Field{Name: "dead0", Length: intervals, FracBits: riskBits, Bound: bound},
			compute.Field{Name: "dead1", Length: intervals * p, FracBits: riskBits, Bound: bound * largest},
			compute.Field{Name: "dead2", Length: intervals * triangle(p), FracBits: riskBits, Bound: bound * largest * largest})
	}
	return fields
}

// interval is the merged interval of a time, and whether the grid ends before
// it: then the record is in the last one, censored.
func interval(s *study.Study, ends []int, t float64) (k int, beyond bool) {
	in := sort.SearchFloat64s(s.Outcome.Grid, t)
	if in == len(s.Outcome.Grid) {
		return len(ends) - 1, true
	}
	return sort.SearchInts(ends, in), false
}

// answerPooled is a site's vector for StepNewton without strata.
func answerPooled(s *study.Study, at point, m *study.Matrix) []float64 {
	records := arrange(s, at, m)
	p, k := len(at.Coefficients), len(at.Intervals)
	width := 1 + p + triangle(p)
	risk, dead := make([]float64, k*width), make([]float64, k*width)
	events := make([]float64, k)
	eventSums := compute.NewAccumulator(p)
	clipped := 0.0
	for i, z := range records.z {
		eta := records.eta[i]
		if eta > highest {
			eta = highest
			clipped++
		}
		w := math.Exp(eta)
		in, beyond := interval(s, at.Intervals, records.time[i])
		sums := [][]float64{risk}
		if records.event[i] && !beyond {
			sums = append(sums, dead)
			events[in]++
			for j, x := range z {
				eventSums.Add(j, x)
			}
		}
		for _, v := range sums {
			block := v[in*width : (in+1)*width]
			block[0] += w
			addProducts(block[1:1+p], block[1+p:], w, z)
		}
	}
	// Whoever leaves in an interval is at risk in all before it.
	for in := k - 2; in >= 0; in-- {
		for j := range width {
			risk[in*width+j] += risk[(in+1)*width+j]
		}
	}
	out := append([]float64{float64(m.Rows()), clipped}, events...)
	out = append(out, eventSums.Values()...)
	out = appendBlocks(out, risk, width, p)
	if s.Model.Ties == study.Efron {
		out = appendBlocks(out, dead, width, p)
	}
	return out
}

// appendBlocks appends the first number of every block, then of each the next
// p, then of each the rest.
func appendBlocks(out, blocks []float64, width, p int) []float64 {
	for _, part := range [][2]int{{0, 1}, {1, 1 + p}, {1 + p, width}} {
		for at := 0; at < len(blocks); at += width {
			out = append(out, blocks[at+part[0]:at+part[1]]...)
		}
	}
	return out
}

// moments of the opened sum, one for each interval with events, evaluated;
// intervals says which.
func moments(s *study.Study, p int, sum compute.Sum) (out []*moment, intervals []int) {
	t := triangle(p)
	for k, d := range sum.Field("events") {
		deaths := int(math.Round(d))
		if deaths == 0 {
			continue
		}
		m := newMoment(p)
		m.deaths = deaths
		m.risk0, m.risk1, m.risk2 = sum.Field("risk0")[k], sum.Field("risk1")[k*p:(k+1)*p], sum.Field("risk2")[k*t:(k+1)*t]
		if s.Model.Ties == study.Efron {
			m.dead0, m.dead1, m.dead2 = sum.Field("dead0")[k], sum.Field("dead1")[k*p:(k+1)*p], sum.Field("dead2")[k*t:(k+1)*t]
		}
		m.evaluate(s.Model.Ties == study.Breslow)
		out, intervals = append(out, m), append(intervals, k)
	}
	return out, intervals
}
