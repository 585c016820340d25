package cox

import (
	"fmt"
	"math"
	"sort"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
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

// place is the run of an event, or the last run in which a censored patient is
// at risk. Whoever is followed beyond the grid is censored at its end.
func (p merged) place(s *study.Study, time float64, event bool) (run int, dead bool) {
	in := sort.SearchFloat64s(s.Outcome.Grid, time)
	if in == len(s.Outcome.Grid) {
		return len(p.Intervals) - 1, false
	}
	run = sort.SearchInts(p.Intervals, in)
	if event {
		return run, true
	}
	return p.Leave[sort.SearchInts(p.Leave, run)], false
}

// merge runs intervals together until those who leave a risk set are never
// fewer than the minimum cell: until each run's events are none or at least that
// many, and as many of the censored leave together, later than they were
// censored if need be. It fails if the events or the censored are too few for
// that.
func merge(l describe.Lifetable, minimumCell int) (merged, *compute.Diagnosis) {
	type run struct{ end, events, censored int }
	var runs []run
	now := run{}
	for k := range l.Events {
		now.end, now.events, now.censored = k, now.events+l.Events[k], now.censored+l.Censored[k]
		if now.events > 0 && now.events < minimumCell || now.events+now.censored == 0 && k < len(l.Events)-1 {
			continue
		}
		runs, now = append(runs, now), run{}
	}
	if now.events > 0 { // what is left at the end joins the runs before it
		for len(runs) > 0 && now.events < minimumCell {
			last := runs[len(runs)-1]
			runs = runs[:len(runs)-1]
			now.events, now.censored = now.events+last.events, now.censored+last.censored
		}
		runs = append(runs, now)
	}
	runs[len(runs)-1].censored += l.Censored[len(l.Events)]
	var out merged
	few, waiting := false, 0
	for i, r := range runs {
		out.Intervals = append(out.Intervals, r.end)
		few = few || r.events > 0 && r.events < minimumCell
		if waiting += r.censored; waiting >= max(minimumCell, 1) {
			out.Leave, waiting = append(out.Leave, i), 0
		}
	}
	if few || waiting > 0 && len(out.Leave) == 0 {
		return out, &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: fmt.Sprintf("fewer than the minimum cell of %d patients had the event, or were censored, so the risk sets of a shared baseline would show them; use stratify: site", minimumCell)}
	}
	if last := len(runs) - 1; waiting > 0 {
		out.Leave[len(out.Leave)-1] = last
	} else if len(out.Leave) == 0 || out.Leave[len(out.Leave)-1] != last {
		out.Leave = append(out.Leave, last)
	}
	return out, nil
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
		in, died := at.place(s, records.time[i], records.event[i])
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
