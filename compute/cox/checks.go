package cox

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

const (
	// highestHazard bounds a cumulative baseline hazard: beyond it nobody is free
	// of the event.
	highestHazard = 1000
	// highestScore bounds the score of one site.
	highestScore  = maxRows * 2 * largest
	siteScoreBits = 56
)

// fitted are the coefficients of the fit and, for robust standard errors without
// strata, what a hospital needs of the shared baseline to compute its part of the
// score.
type fitted struct {
	point
	Shared *shared `json:"shared,omitempty"`
	// Clock is the transformed time of each run, where hospitals cannot know it.
	Clock []float64 `json:"clock,omitempty"`
	// Ends are the last intervals of these runs, where there are strata.
	Ends []int `json:"clock_ends,omitempty"`
}

// shared is by run of intervals, and where it is about columns by run and
// column. For a patient with relative hazard w and columns z who leaves in
// run k without the event the score is w (Mean[k] - z Hazard[k]); with it
// z - AtEvent[k] + w (DeadMean[k] - z DeadHazard[k]).
type shared struct {
	Hazard     []float64 `json:"hazard"`
	Mean       []float64 `json:"mean"`
	DeadHazard []float64 `json:"dead_hazard"`
	DeadMean   []float64 `json:"dead_mean"`
	AtEvent    []float64 `json:"at_event"`
}

func readFitted(s *study.Study, parameters []byte) (p fitted, err error) {
	if err := compute.DecodeParameters(parameters, &p); err != nil {
		return p, err
	}
	if err := p.check(s); err != nil {
		return p, err
	}
	if err := p.checkClock(s); err != nil {
		return p, err
	}
	if (p.Shared != nil) != needsShared(s) {
		return p, errors.New("a shared baseline belongs to robust standard errors without strata")
	}
	if p.Shared == nil {
		return p, nil
	}
	k, width := len(p.Intervals), len(p.Coefficients)
	for i, v := range [][]float64{p.Shared.Hazard, p.Shared.Mean, p.Shared.DeadHazard, p.Shared.DeadMean, p.Shared.AtEvent} {
		want := k
		if i%2 == 1 || i == 4 {
			want = k * width
		}
		if len(v) != want {
			return p, fmt.Errorf("a part of the shared baseline has %d numbers instead of %d", len(v), want)
		}
		for _, x := range v {
			if !isFinite(x) || x == 0 && math.Signbit(x) {
				return p, errors.New("the shared baseline holds what is no number")
			}
		}
	}
	return p, nil
}

func needsShared(s *study.Study) bool {
	return (s.Model.Robust || byPatient(s)) && s.Model.Stratify == study.StratifyNone
}

// trial is the category by whose levels restricted mean survival times are
// compared: the study's first; nil if it has none.
func trial(s *study.Study) []describe.Grouping {
	for f, feature := range s.Features {
		if feature.Type == study.Category {
			return []describe.Grouping{describe.ByFeature(s, f)}
		}
	}
	return nil
}

// checksLayout is the vector of StepChecks: pairs of patients for the
// concordance; by interval of the grid the patients at risk when it begins, and these
// times what the interval adds to the site's cumulative baseline hazard; the score and
// information of the columns times t, which is the transformed time between 0 and 1;
// the products of the site's score; and events and censorings by level of the first
// category. Of weighted patients the sum of the products of each one's score stands in
// for the site's. Without strata the coordinator has most of it already.
func checksLayout(s *study.Study) []compute.Field {
	p := len(s.Terms()) - 1
	const squares = maxRows * maxRows
	fields := []compute.Field{
		{Name: "pairs", Length: 3, Bound: squares},
		{Name: "pair_squares", Length: 3, Bound: squares * maxRows},
	}
	if s.Model.Stratify == study.StratifySite {
		fields = append(fields,
			compute.Field{Name: "at_risk", Length: len(s.Outcome.Grid), Bound: maxRows},
			compute.Field{Name: "hazards", Length: len(s.Outcome.Grid), FracBits: likelihoodBits, Bound: maxRows * highestHazard},
			compute.Field{Name: "time_score", Length: p, FracBits: fracBits, Bound: scoreBound * heaviest(s)},
			compute.Field{Name: "time_cross", Length: triangle(p), FracBits: fracBits, Bound: informationBound * heaviest(s)},
			compute.Field{Name: "time_square", Length: triangle(p), FracBits: fracBits, Bound: informationBound * heaviest(s)})
	} else {
		fields = append(fields, compute.Field{Name: "event_times", Length: p, FracBits: fracBits, Bound: scoreBound * heaviest(s)})
	}
	if s.Model.Robust {
		fields = append(fields, compute.Field{Name: "site_scores", Length: triangle(p), FracBits: coarser(s, siteScoreBits, 2), Bound: highestScore * highestScore * heaviest(s) * heaviest(s)})
	}
	if byPatient(s) {
		fields = append(fields, patientScores(s))
	}
	if by := trial(s); by != nil {
		fields = append(fields, describe.LifetableLayout(s, by)...)
	}
	return fields
}

func answerChecks(s *study.Study, at fitted, m *study.Matrix) ([]float64, error) {
	records := arrange(s, at.point, m)
	out := records.concordance()
	var score []float64
	if s.Model.Stratify == study.StratifySite {
		var sums []float64
		sums, score = records.followUp(s, at)
		out = append(out, sums...)
	} else {
		sums := compute.NewAccumulator(len(at.Coefficients))
		g := at.Clock
		if g == nil {
			g = at.clocks(s)
		}
		for i, z := range records.z {
			if in, died := at.Place(s.Outcome.Grid, records.time[i], records.event[i]); died {
				for j, x := range z {
					sums.Add(j, records.weight[i]*g[in]*x)
				}
			}
		}
		out = append(out, sums.Values()...)
		if s.Model.Robust {
			score = records.score(s, at)
		}
	}
	if byPatient(s) {
		products, err := records.products(s, at)
		if err != nil {
			return nil, err
		}
		out = append(out, products...)
	}
	if s.Model.Robust {
		for i, a := range score {
			if !(math.Abs(a) <= highestScore*heaviest(s)) {
				return nil, errors.New("the shared baseline is not one of these patients: the hospital's score is out of bounds")
			}
			for _, b := range score[i:] {
				out = append(out, a*b)
			}
		}
	}
	if by := trial(s); by != nil {
		out = append(out, describe.AnswerLifetables(s, by, m)...)
	}
	return out, nil
}

// followUp is a stratum's part of the vector about time, and its score.
func (p *patients) followUp(s *study.Study, at fitted) (sums, score []float64) {
	width := len(s.Terms()) - 1
	t := triangle(width)
	grid := s.Outcome.Grid
	total := compute.NewAccumulator(width + 2*t)
	scores := compute.NewAccumulator(width)
	surplus := make([]float64, width)
	var times, hazards []float64 // descending
	transformed := at.clock(s)
	p.walk(s.Model.Ties == study.Breslow, func(m *moment, first, last int) {
		g := transformed(p.time[first])
		p.surplus(surplus, m, first, last)
		for j, v := range surplus {
			scores.Add(j, v)
			total.Add(j, g*v)
		}
		for j, v := range m.variance {
			total.Add(width+j, g*v)
			total.Add(width+t+j, g*g*v)
		}
		times, hazards = append(times, p.time[first]), append(hazards, m.hazards)
	})
	sums = append(p.atRisk(grid), make([]float64, len(grid))...)
	next := len(times) - 1
	for k, end := range grid {
		added := 0.0
		for next >= 0 && times[next] <= end {
			added += hazards[next]
			next--
		}
		sums[len(grid)+k] = sums[k] * min(added, highestHazard)
	}
	return append(sums, total.Values()...), scores.Values()
}

// atRisk are the patients at risk when each interval begins, or none where one
// patient is left: a hazard of one patient at risk is that patient's.
func (p *patients) atRisk(grid []float64) []float64 {
	out := make([]float64, len(grid))
	last := len(grid) - 1
	for _, time := range p.time {
		out[min(sort.SearchFloat64s(grid, time), last)]++
	}
	for k := last; k > 0; k-- {
		out[k-1] += out[k]
	}
	for k, n := range out {
		if n < 2 {
			out[k] = 0
		}
	}
	return out
}

// score of a site where the hospitals share a baseline: the sum of its
// patients' score residuals.
func (p *patients) score(s *study.Study, at fitted) []float64 {
	sums := compute.NewAccumulator(len(at.Coefficients))
	p.residuals(s, at, func(residual []float64) {
		for j, v := range residual {
			sums.Add(j, v)
		}
	})
	return sums.Values()
}

// residuals visits the score residual of every patient.
func (p *patients) residuals(s *study.Study, at fitted, visit func(residual []float64)) {
	residual := make([]float64, len(at.Coefficients))
	for i := range p.z {
		k, dead := at.Place(s.Outcome.Grid, p.time[i], p.event[i])
		at.Shared.residual(residual, p.z[i], p.weight[i], math.Exp(min(p.eta[i], highest)), k, dead)
		visit(residual)
	}
}

// residual of a patient who weighs so much, has the relative hazard w and leaves in
// run k.
func (b *shared) residual(dst, z []float64, weight, w float64, k int, dead bool) {
	width := len(z)
	for j, x := range z {
		if dead {
			dst[j] = weight * (x - b.AtEvent[k*width+j] + w*(b.DeadMean[k*width+j]-x*b.DeadHazard[k]))
		} else {
			dst[j] = weight * w * (b.Mean[k*width+j] - x*b.Hazard[k])
		}
	}
}

// fitted are the parameters of StepChecks.
func (f *Fit) fitted() fitted {
	out := fitted{point: f.point()}
	if needsClock(f.study) {
		out.Clock = f.clocks()
		if f.study.Model.Stratify == study.StratifySite {
			out.Ends = f.merged.Intervals
		}
	}
	if !needsShared(f.study) {
		return out
	}
	p, k := len(f.terms), len(f.merged.Intervals)
	b := newShared(k, p)
	next := 0
	for in := range f.merged.Intervals {
		var now *share
		if next < len(f.final.intervals) && f.final.intervals[next] == in {
			now = f.final.moments[next].share(f.study.Model.Ties == study.Breslow)
			next++
		}
		b.after(in, now)
	}
	out.Shared = b
	return out
}

func newShared(runs, p int) *shared {
	return &shared{Hazard: make([]float64, runs), Mean: make([]float64, runs*p), DeadHazard: make([]float64, runs), DeadMean: make([]float64, runs*p), AtEvent: make([]float64, runs*p)}
}

// after fills in a run from the one before; now is nil where it has no events.
func (b *shared) after(in int, now *share) {
	p := len(b.Mean) / len(b.Hazard)
	hazard, mean := 0.0, make([]float64, p)
	if in > 0 {
		hazard = b.Hazard[in-1]
		copy(mean, b.Mean[(in-1)*p:in*p])
	}
	if now != nil {
		b.DeadHazard[in] = hazard + now.part
		for j := range mean {
			b.DeadMean[in*p+j] = mean[j] + now.partMean[j] + 0
			b.AtEvent[in*p+j] = now.atEvent[j] + 0
			mean[j] += now.wholeMean[j]
		}
		hazard += now.whole
	}
	b.Hazard[in] = hazard
	for j := range mean {
		b.Mean[in*p+j] = mean[j] + 0
	}
}

// share is what a time of events adds to the hazards, and to the hazards times the
// means of z, as they fall on a patient at risk (whole), and on one who has the event
// (part): of the l-th of d tied events such a patient meets the share 1 - l/d. atEvent
// is the mean of z that the events are compared with.
type share struct {
	whole, part                  float64
	wholeMean, partMean, atEvent []float64
}

// share of a moment, in units of its own shift.
func (m *moment) share(breslow bool) *share {
	p := len(m.mean)
	out := &share{wholeMean: make([]float64, p), partMean: make([]float64, p), atEvent: make([]float64, p)}
	each := m.weight / float64(m.deaths)
	for l := range m.deaths {
		phi := float64(l) / float64(m.deaths)
		if breslow {
			phi = 0
		}
		s := m.risk0 - phi*m.dead0
		out.whole += each / s
		out.part += each * (1 - phi) / s
		for j := range m.mean {
			v := each * (m.risk1[j] - phi*m.dead1[j]) / (s * s)
			out.wholeMean[j] += v
			out.partMean[j] += (1 - phi) * v
		}
	}
	for j := range m.mean {
		out.atEvent[j] = m.mean[j] / m.weight
	}
	return out
}
