package cox

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/hazard"
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
// in it, the sums of the relative hazards w, of w z, and of w z z'. Weighted
// patients count in all of them, but for the counts, with their weights, and the
// weight of the events of each interval is one sum more.
func pooledLayout(s *study.Study, intervals int) []compute.Field {
	p := len(s.Terms()) - 1
	bound, bits := maxRows*math.Ceil(math.Exp(highest))*heaviest(s), coarser(s, riskBits, 1)
	fields := []compute.Field{
		{Name: "patients", Length: 1, Bound: maxRows},
		{Name: "clipped", Length: 1, Bound: maxRows},
		{Name: "events", Length: intervals, Bound: maxRows},
		{Name: "event_sums", Length: p, FracBits: fracBits, Bound: maxRows * largest * heaviest(s)},
		{Name: "risk0", Length: intervals, FracBits: bits, Bound: bound},
		{Name: "risk1", Length: intervals * p, FracBits: bits, Bound: bound * largest},
		{Name: "risk2", Length: intervals * triangle(p), FracBits: bits, Bound: bound * largest * largest},
	}
	if s.Model.Ties == study.Efron {
		fields = append(fields,
			compute.Field{Name: "dead0", Length: intervals, FracBits: bits, Bound: bound},
			compute.Field{Name: "dead1", Length: intervals * p, FracBits: bits, Bound: bound * largest},
			compute.Field{Name: "dead2", Length: intervals * triangle(p), FracBits: bits, Bound: bound * largest * largest})
	}
	if s.Model.Weights != nil {
		fields = append(fields, compute.Field{Name: "event_weights", Length: intervals, FracBits: likelihoodBits, Bound: maxRows * heaviest(s)})
	}
	return fields
}

// merge runs intervals together; it fails if the events or the censored are too
// few for that.
func merge(s *study.Study, l describe.Lifetable) (merged, *compute.Diagnosis) {
	runs, ok := hazard.Merge(l, s.Fairness.MinimumCell)
	if ok {
		return merged{runs}, nil
	}
	shows := "the risk sets of a shared baseline would show them; use stratify: site"
	if s.Model.Stratify == study.StratifySite {
		shows = fmt.Sprintf("the clock of time_transform: %s would show them; use identity or log", s.Model.TimeTransform)
	}
	return merged{runs}, &compute.Diagnosis{Kind: compute.TooFewPatients,
		Message: fmt.Sprintf("fewer than the minimum cell of %d patients had the event, or were censored, so %s", s.Fairness.MinimumCell, shows)}
}

// answerPooled is a site's vector for StepNewton without strata.
func answerPooled(s *study.Study, at point, m *study.Matrix) []float64 {
	records := arrange(s, at, m)
	p, k := len(at.Coefficients), len(at.Intervals)
	width := 1 + p + triangle(p)
	risk, dead := make([]float64, k*width), make([]float64, k*width)
	events, weights := make([]float64, k), make([]float64, k)
	eventSums := compute.NewAccumulator(p)
	clipped := 0.0
	for i, z := range records.z {
		eta := records.eta[i]
		if eta > highest {
			eta = highest
			clipped++
		}
		w := records.weight[i] * math.Exp(eta)
		in, died := at.Place(s.Outcome.Grid, records.time[i], records.event[i])
		sums := [][]float64{risk}
		if died {
			sums = append(sums, dead)
			events[in]++
			weights[in] += records.weight[i]
			for j, x := range z {
				eventSums.Add(j, records.weight[i]*x)
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
	if s.Model.Weights != nil {
		out = append(out, weights...)
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
		m.deaths, m.weight = deaths, float64(deaths)
		if s.Model.Weights != nil {
			m.weight = sum.Field("event_weights")[k]
		}
		m.risk0, m.risk1, m.risk2 = sum.Field("risk0")[k], sum.Field("risk1")[k*p:(k+1)*p], sum.Field("risk2")[k*t:(k+1)*t]
		if s.Model.Ties == study.Efron {
			m.dead0, m.dead1, m.dead2 = sum.Field("dead0")[k], sum.Field("dead1")[k*p:(k+1)*p], sum.Field("dead2")[k*t:(k+1)*t]
		}
		m.evaluate(s.Model.Ties == study.Breslow)
		out, intervals = append(out, m), append(intervals, k)
	}
	return out, intervals
}
