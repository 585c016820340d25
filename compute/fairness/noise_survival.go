package fairness

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/consilium-fl/consilium/study"
)

// Of a survival outcome a patient's class is the interval in which the follow-up
// ended, and whether with the event: who had it by a time, who left, and who was
// still followed are sums of classes. Beside them two sums are asked: of the events
// that the model expects in the time the patient was followed, and of the predicted
// risks. Both grow from one declared time to the next, so what is asked is by how
// much, and a patient's parts of all times together are at most the last one's: the
// clip, and 1.

// fewIntervals is about how many intervals under noise the time up to the last
// declared one has. The finer they are, the more noise the observed risk adds up; the
// coarser, the more it matters in which order events and leaving came within one.
const fewIntervals = 8

// noisyEnds are the ends of the intervals: the declared times and some of the grid's
// times between them, about evenly. Where nothing is looked at but the grid's last time
// it is the only end.
func noisyEnds(s *study.Study) (ends []float64) {
	last := intervals(s)
	switch {
	case last == 0 && s.Fairness.Noise.Risks == nil:
		return horizons(s)
	case last == 0:
		last = len(s.Outcome.Grid)
	}
	stride := (last + fewIntervals - 1) / fewIntervals
	for i, t := range s.Outcome.Grid[:last] {
		if (last-1-i)%stride == 0 || slices.Contains(s.Fairness.Times, t) {
			ends = append(ends, t)
		}
	}
	return ends
}

// survivalClass is the class of a patient: by interval, those who were followed beyond
// the last one at the end; then by event; then by band of the predicted risk.
func survivalClass(s *study.Study, ends []float64, time float64, event bool, risk float64) int {
	at, _ := slices.BinarySearch(ends, time)
	cuts := s.Fairness.Noise.Risks
	return (2*at+int(one(event)))*(len(cuts)+1) + band(cuts, risk)
}

// dither rounds up as often as the fraction says, with one draw for all of a patient's
// numbers: so many small ones add up to what they are, and growing ones keep growing.
type dither struct {
	random io.Reader
	err    error
}

func (d *dither) next() float64 {
	var b [8]byte
	if d.err == nil {
		_, d.err = io.ReadFull(d.random, b[:])
	}
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}

// quietSurvival is the vector before the noise. Its rounding is random.
func quietSurvival(s *study.Study, m *study.Matrix, f Forecast, random io.Reader) ([]float64, error) {
	cells, ends, until, width := base(s), noisyEnds(s), horizons(s), Classes(s)
	counts := make([]float64, cells.size*width)
	expected, risks := make([]float64, cells.size*len(until)), make([]float64, cells.size*len(s.Fairness.Times))
	d := &dither{random: random}
	// grow adds the steps by which a quantity grows from each time to the next.
	grow := func(sums []float64, at, times int, up float64, quantity func(i int) float64) {
		before := 0.0
		for i := range times {
			now := max(before, math.Floor(steps*min(max(quantity(i), 0), 1)+up))
			sums[at*times+i] += now - before
			before = now
		}
	}
	for i, p := range f.Values {
		if math.IsNaN(p) {
			continue
		}
		at, time, up := cells.at(func(a int) int { return m.Group(i, a) }), m.Outcome(i), d.next()
		counts[at*width+survivalClass(s, ends, time, m.Event(i), 1-f.Free(i, until[len(until)-1]))]++
		grow(expected, at, len(until), up, func(k int) float64 { return -math.Log(f.Free(i, min(time, until[k]))) / s.Fairness.Noise.Clip })
		grow(risks, at, len(s.Fairness.Times), up, func(k int) float64 { return 1 - f.Free(i, s.Fairness.Times[k]) })
	}
	return slices.Concat(counts, expected, risks), d.err
}

// noisySurvival is what a group's sums say, at each declared time.
type noisySurvival struct {
	times []float64
	until []int // by horizon: intervals up to it
	bands int   // of the predicted risk
	// Sums up to a time, with the variance of their noise.
	expected, noiseExpected []float64
	risks, noiseRisks       []float64
}

func newNoisySurvival(s *study.Study) *noisySurvival {
	t := &noisySurvival{times: s.Fairness.Times, bands: len(s.Fairness.Noise.Risks) + 1}
	ends := noisyEnds(s)
	for _, h := range horizons(s) {
		t.until = append(t.until, 1+slices.Index(ends, h))
	}
	return t
}

// grown adds up what a sum grew by until each time, each with noise of its own.
func grown(by []float64, noise float64) (sums, variances []float64) {
	total := 0.0
	for i, x := range by {
		total += x
		sums, variances = append(sums, total), append(variances, float64(i+1)*noise)
	}
	return sums, variances
}

// ended is in which interval the follow-up of a class ended, and whether with the event.
func (t *noisySurvival) ended(class int) (interval int, event bool) {
	return class / t.bands / 2, class/t.bands%2 == 1
}

func (t *noisySurvival) withEvent(class int) bool {
	_, event := t.ended(class)
	return event
}

// expectation is observed and expected events until a horizon.
func (t *noisy) expectation(i int) noisyEvents {
	up := t.share(func(class int) bool {
		interval, event := t.survival.ended(class)
		return event && interval < t.survival.until[i]
	}, every)
	return noisyEvents{up.k, t.survival.expected[i], up.noiseK, t.survival.noiseExpected[i]}
}

// predictedRisk is the mean at a declared time, which is taken as given but for its
// noise.
func (t *noisy) predictedRisk(i int) estimated {
	return noisyMean(t.survival.risks[i], t.survival.noiseRisks[i], t.n, t.noiseN(), 0)
}

// observedRisk is one less the life table's estimate at a declared time: of those who
// leave in an interval half count as at risk in it (Cutler and Ederer, Journal of
// Chronic Diseases 8, 1958), which matters where intervals are as coarse as here. bound
// is how far any other order of events and leaving could move it. sampling is the
// variance of its logarithm (Greenwood's), and slope, by class, what one more patient
// adds to that. False where too few were followed beyond the time for their noise.
func (t *noisy) observedRisk(i int) (free, bound, sampling float64, slope []float64, ok bool) {
	free, most, least := 1.0, 1.0, 1.0
	slope = make([]float64, len(t.classes))
	left, last, bands := t.n, t.survival.until[i], t.survival.bands
	for k := range last {
		first := 2 * k * bands // class of those who leave in the interval
		gone, died := floats.Sum(t.classes[first:first+bands]), floats.Sum(t.classes[first+bands:first+2*bands])
		at := left - gone/2
		if at-died < 1 || left-gone-died < 1 {
			return 0, 0, 0, nil, false
		}
		free *= 1 - died/at
		most *= 1 - died/left
		least *= 1 - died/(left-gone)
		sampling += died / (at * (at - died))
		// Of ln(at - died) - ln(at).
		alive := 1/(at-died) - 1/at
		for c := first; c < len(slope); c++ {
			switch {
			case c < first+bands:
				slope[c] += alive / 2
			case c < first+2*bands:
				slope[c] -= 1 / at
			default:
				slope[c] += alive
			}
		}
		left -= gone + died
	}
	// Who is left was counted in the other classes.
	enough := left > audible*math.Sqrt(t.class*float64(len(slope)-2*last*bands)) && left >= t.fewest && t.n > audible*math.Sqrt(t.noiseN())
	return min(max(free, 0), 1), max(0, most-free, free-least), max(0, sampling), slope, enough
}

// observedMetric has its interval on the scale of log(-log), as in an audit without
// noise, or on its own where that is not inside 0 and 1.
func (t *noisy) observedMetric(i int) (m Metric, ok bool) {
	free, bound, variance, slope, ok := t.observedRisk(i)
	if !ok {
		return m, false
	}
	for _, g := range slope {
		variance += heavier * t.class * g * g
	}
	m = Metric{Estimate: 1 - free}
	if bound > 0 {
		m.Bound = &bound
	}
	margin := normal * math.Sqrt(variance)
	lower, upper := max(1-free-free*margin, 0), min(1-free+free*margin, 1)
	if m.Lower, m.Upper, m.Method = &lower, &upper, "life table with Greenwood's variance, widened by the noise"; lower > 0 && upper < 1 {
		margin /= math.Abs(math.Log(free))
		lower, upper = 1-math.Pow(free, math.Exp(-margin)), 1-math.Pow(free, math.Exp(margin))
		m.Method += ", on the scale of log(-log)"
	}
	return m, true
}

// calibrated is predicted less observed risk. Both have the noise of the counts.
func (t *noisy) calibrated(i int) estimated {
	free, _, variance, slope, ok := t.observedRisk(i)
	predicted := t.predictedRisk(i)
	if !ok || math.IsNaN(predicted.of) {
		return estimated{math.NaN(), 0}
	}
	variance *= free * free
	for _, g := range slope {
		change := free*g - predicted.of/t.n
		variance += heavier * t.class * change * change
	}
	variance += heavier * t.survival.noiseRisks[i] / (t.n * t.n)
	return estimated{predicted.of - (1 - free), math.Sqrt(variance)}
}

// survivalFigure is of a metric at the first declared time, by which groups are
// compared.
func (t *noisy) survivalFigure(metric string) (f figure, known bool) {
	switch {
	case metric == "event_share":
		return t.share(t.survival.withEvent, every), true
	case metric == "cindex" && t.survival.bands > 1:
		c, _ := t.concordance()
		return c, true
	case metric == "oe":
		return t.expectation(0), true
	case metric == "calibration_in_the_large" && t.survival.times != nil:
		return t.calibrated(0), true
	}
	return nil, false
}

// measureSurvival fills in a group's row.
func (t *noisy) measureSurvival(s *study.Study, put func(name string, f figure, low, high, unit float64), g *Group) {
	put("event_share", t.share(t.survival.withEvent, every), 0, 1, 1)
	for i, h := range horizons(s) {
		suffix := ""
		if i > 0 {
			suffix = "_at_" + strconv.FormatFloat(h, 'g', -1, 64)
		}
		put("oe"+suffix, t.expectation(i), 0, math.Inf(1), 1)
		if t.survival.times == nil {
			continue
		}
		put("predicted_risk"+suffix, t.predictedRisk(i), 0, 1, 1)
		put("calibration_in_the_large"+suffix, t.calibrated(i), -1, 1, 1)
		if m, ok := t.observedMetric(i); ok {
			g.Metrics["observed_risk"+suffix] = m
		} else {
			g.Undefined["observed_risk"+suffix] = loud
		}
	}
	if t.survival.bands == 1 {
		g.Undefined["cindex"] = unpaid
		return
	}
	c, bound := t.concordance()
	put("cindex", c, 0, 1, 1)
	if m, ok := g.Metrics["cindex"]; ok {
		m.Bound = &bound
		g.Metrics["cindex"] = m
	}
}

// noisyEvents are observed events, and those that a model expects which is taken as
// given, both noisy.
type noisyEvents struct{ observed, expected, noiseObserved, noiseExpected float64 }

// counts reports whether there is enough to divide by.
func (e noisyEvents) counts() bool { return e.expected > audible*math.Sqrt(e.noiseExpected) }

func (e noisyEvents) value() float64 {
	if !e.counts() {
		return math.NaN()
	}
	return max(e.observed, 0) / e.expected
}

func (noisyEvents) method() string { return "MOVER of the score limits, widened by the noise" }

// variance of observed less r times expected.
func (e noisyEvents) variance(r float64) float64 {
	return r*e.expected + heavier*(e.noiseObserved+r*r*e.noiseExpected)
}

// se is the standard error of the ratio as it is.
func (e noisyEvents) se() float64 { return math.Sqrt(e.variance(e.value())) / e.expected }

// limits are the ratios that observed and expected are compatible with: those of the
// score test of a Poisson count, which they are without noise, by Fieller's argument.
func (e noisyEvents) limits() (lower, upper float64, ok bool) {
	if !e.counts() {
		return 0, 0, false
	}
	z2, observed := normal*normal, max(e.observed, 0)
	a := e.expected*e.expected - z2*heavier*e.noiseExpected
	b := 2*observed*e.expected + z2*e.expected
	c := observed*observed - z2*heavier*e.noiseObserved
	root := math.Sqrt(max(0, b*b-4*a*c))
	r := e.value() // which rounding must not leave outside
	return min(max((b-root)/(2*a), 0), r), max((b+root)/(2*a), r), a > 0
}

func (e noisyEvents) minus(other figure) (lower, upper, p float64, ok bool) {
	o := other.(noisyEvents)
	l1, u1, ok1 := e.limits()
	l2, u2, ok2 := o.limits()
	if !ok1 || !ok2 {
		return 0, 0, 1, false
	}
	r1, r2 := e.value(), o.value()
	pooled := max(e.observed+o.observed, 0) / (e.expected + o.expected)
	p = 1
	if se := math.Hypot(math.Sqrt(e.variance(pooled))/e.expected, math.Sqrt(o.variance(pooled))/o.expected); se > 0 {
		p = 2 * distuv.UnitNormal.CDF(-math.Abs(r1-r2)/se)
	}
	d := r1 - r2
	return d - math.Hypot(r1-l1, u2-r2), d + math.Hypot(u1-r1, r2-l2), p, true
}

// over is the delta method on the logarithm, of events that are audible themselves.
func (e noisyEvents) over(other figure) (lower, upper float64, ok bool) {
	o := other.(noisyEvents)
	variance := 0.0
	for _, x := range []noisyEvents{e, o} {
		if !x.counts() || x.observed < 1 || x.observed <= audible*math.Sqrt(x.noiseObserved) {
			return 0, 0, false
		}
		r := x.value()
		variance += x.variance(r) / (r * x.expected * r * x.expected)
	}
	ratio, factor := e.value()/o.value(), math.Exp(normal*math.Sqrt(variance))
	return ratio / factor, ratio * factor, true
}
