package mitigation

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const (
	newtonRounds = 25
	// newtonTolerance on a step of the logit, over all scores, ends Newton's
	// method.
	newtonTolerance = 1e-11
	mostStep        = 2 // of the logit
	leastExpected   = 1e-6
)

// Recalibration finds the line of each group.
//
// Of a survival outcome, the factor on the hazard that makes as many events
// expected as were seen until [Horizon]: a line without slope of the logarithm of
// the hazard. Of a count, the factor that makes the predictions add up to the
// outcomes. Of a number, the least squares line of the outcome on the prediction. Of a
// binary outcome, the logistic line of the outcome on the logit of the
// probability, by Newton's method from the identity. Without a slope the line
// only moves predictions up or down.
type Recalibration struct {
	study  *study.Study
	groups *Groups
	open   []int              // groups that are still asked about
	at     [][2]float64       // where they stand; of a binary outcome, the slope is of the logit over mostLogit
	lines  map[int][2]float64 // of a survival outcome, the factor and nothing
	why    map[int]string     // groups that take part and have no line
	cut    float64            // predictions that were cut
	rounds int
}

// NewRecalibration begins after the groups.
func NewRecalibration(s *study.Study, g *Groups) *Recalibration {
	r := &Recalibration{study: s, groups: g, open: g.Open(), lines: map[int][2]float64{}, why: map[int]string{}}
	for range r.open {
		r.at = append(r.at, [2]float64{0, mostLogit})
	}
	return r
}

// Next is the question whose sum Absorb expects.
func (r *Recalibration) Next() (q compute.Question, done bool, err error) {
	if len(r.open) == 0 {
		return q, true, nil
	}
	asked := question{Groups: r.open}
	if r.study.Outcome.Type == study.Binary {
		asked.At = r.at
	}
	q = compute.Question{Step: StepLines, Layout: layout(r.study, StepLines, len(r.open))}
	q.Parameters, err = compute.EncodeParameters(asked)
	return q, false, err
}

// line adds a patient to the sums of a group's line.
func (v vector) line(s *study.Study, q question, at int, p, y float64) {
	v.add("patients", at, 1)
	if s.Outcome.Type == study.Binary {
		z := logit(p) / mostLogit
		mean := logistic(q.At[at][0] + q.At[at][1]*z)
		w := mean * (1 - mean)
		v.add("positives", at, y)
		v.add("slope", at, y-mean)
		v.add("slope_score", at, (y-mean)*z)
		v.add("curvature", at, w)
		v.add("curvature_score", at, w*z)
		v.add("curvature_score_squared", at, w*z*z)
		return
	}
	if s.Outcome.Type == study.Survival {
		v.add("expected", at, min(p, mostHazard))
		return
	}
	if s.Outcome.Type == study.Count {
		x := p / s.Outcome.Range.Hi
		if x > mostWidths {
			v.add("cut", at, 1)
			x = mostWidths
		}
		v.add("predicted", at, x)
		v.add("outcome", at, y/s.Outcome.Range.Hi)
		return
	}
	lo, width := s.Outcome.Range.Lo, s.Outcome.Range.Hi-s.Outcome.Range.Lo
	x := (p - lo) / width
	if x < -mostWidths || x > mostWidths+1 {
		v.add("cut", at, 1)
		x = min(max(x, -mostWidths), mostWidths+1)
	}
	outcome := (y - lo) / width
	v.add("predicted", at, x)
	v.add("outcome", at, outcome)
	v.add("predicted_squared", at, x*x)
	v.add("predicted_outcome", at, x*outcome)
}

// Absorb takes the opened sum.
func (r *Recalibration) Absorb(sum compute.Sum) error {
	if err := check(layout(r.study, StepLines, len(r.open)), sum); err != nil {
		return err
	}
	if r.study.Outcome.Type == study.Binary {
		r.newton(sum)
		return nil
	}
	for i, k := range r.open {
		switch r.study.Outcome.Type {
		case study.Survival:
			r.factor(sum, i, k)
		case study.Count:
			r.ratio(sum, i, k)
		default:
			r.leastSquares(sum, i, k)
		}
	}
	r.open = nil
	return nil
}

// tooFew is the least that a line may rest on.
func (r *Recalibration) tooFew(n float64) bool { return n < float64(r.study.Fairness.MinimumCell) }

// Horizon is the time until which events are compared with those expected: the
// last of the audit's times, or the end of the grid.
func Horizon(s *study.Study) float64 {
	if t := s.Fairness.Times; t != nil {
		return t[len(t)-1]
	}
	return s.Outcome.Grid[len(s.Outcome.Grid)-1]
}

func (r *Recalibration) factor(sum compute.Sum, i, k int) {
	n, events, expected := math.Round(sum.Field("patients")[i]), math.Round(sum.Field("events")[i]), sum.Field("expected")[i]
	switch {
	case r.tooFew(min(events, n-events)):
		r.why[k] = fmt.Sprintf("fewer than %d of its patients had the event, or had it not", r.study.Fairness.MinimumCell)
	case !(expected > leastExpected):
		r.why[k] = "the model expects no event in it"
	default:
		r.lines[k] = [2]float64{events / expected, 0}
	}
}

func (r *Recalibration) ratio(sum compute.Sum, i, k int) {
	n, outcome, predicted := math.Round(sum.Field("patients")[i]), sum.Field("outcome")[i], sum.Field("predicted")[i]
	switch {
	case r.tooFew(n):
		r.why[k] = fmt.Sprintf("fewer than %d of its patients have a prediction", r.study.Fairness.MinimumCell)
	case !(outcome*r.study.Outcome.Range.Hi > 0.5 && predicted*r.study.Outcome.Range.Hi > leastExpected):
		r.why[k] = "its counts, or those predicted, are all zero"
	default:
		r.cut += math.Round(sum.Field("cut")[i])
		r.lines[k] = [2]float64{0, outcome / predicted}
	}
}

func (r *Recalibration) leastSquares(sum compute.Sum, i, k int) {
	n := math.Round(sum.Field("patients")[i])
	if r.tooFew(n) {
		r.why[k] = fmt.Sprintf("fewer than %d of its patients have a prediction", r.study.Fairness.MinimumCell)
		return
	}
	if cut := math.Round(sum.Field("cut")[i]); cut > 0 {
		r.cut += cut
	}
	x, y := sum.Field("predicted")[i]/n, sum.Field("outcome")[i]/n
	spread := sum.Field("predicted_squared")[i] - n*x*x
	slope := 1.0
	if r.study.Mitigation.Slope && spread > 1e-12*n {
		slope = (sum.Field("predicted_outcome")[i] - n*x*y) / spread
	}
	lo, width := r.study.Outcome.Range.Lo, r.study.Outcome.Range.Hi-r.study.Outcome.Range.Lo
	r.lines[k] = [2]float64{width*(y-slope*x) + lo*(1-slope), slope}
}

// newton takes a step for each group that is asked about; one that has arrived,
// or cannot, is asked about no more.
func (r *Recalibration) newton(sum compute.Sum) {
	r.rounds++
	var open []int
	var at [][2]float64
	for i, k := range r.open {
		n, positives := math.Round(sum.Field("patients")[i]), math.Round(sum.Field("positives")[i])
		if r.tooFew(min(positives, n-positives)) {
			r.why[k] = fmt.Sprintf("fewer than %d of its patients have the outcome, or have it not", r.study.Fairness.MinimumCell)
			continue
		}
		g0, g1 := sum.Field("slope")[i], sum.Field("slope_score")[i]
		h0, h1, h2 := sum.Field("curvature")[i], sum.Field("curvature_score")[i], sum.Field("curvature_score_squared")[i]
		step := [2]float64{g0 / h0, 0}
		if d := h0*h2 - h1*h1; r.study.Mitigation.Slope && d > 1e-14*h0*h2 {
			step = [2]float64{(h2*g0 - h1*g1) / d, (h0*g1 - h1*g0) / d}
		}
		size := math.Abs(step[0]) + math.Abs(step[1])/mostLogit
		if size > mostStep {
			step[0], step[1] = step[0]*mostStep/size, step[1]*mostStep/size
		}
		line := [2]float64{r.at[i][0] + step[0] + 0, r.at[i][1] + step[1] + 0}
		switch {
		case math.IsNaN(size) || r.rounds == newtonRounds && size > newtonTolerance:
			r.why[k] = "its line does not settle: those with and without the outcome are told apart by the probability"
		case size <= newtonTolerance:
			r.lines[k] = [2]float64{line[0], line[1] / mostLogit}
		default:
			open, at = append(open, k), append(at, line)
		}
	}
	r.open, r.at = open, at
}

// Changes are the lines at a strength.
func (r *Recalibration) Changes(strength float64) []Change {
	out := r.groups.changes()
	for k := range out {
		if line, ok := r.lines[k]; ok && r.study.Outcome.Type == study.Survival {
			factor := math.Pow(line[0], strength)
			out[k].Factor = &factor
		} else if ok {
			a, b := strength*line[0]+0, 1+strength*(line[1]-1)+0
			out[k].Intercept, out[k].Slope = &a, &b
		} else if out[k].General == "" {
			out[k].General = r.why[k]
		}
	}
	return out
}

// Cut is how many predictions were so far outside the outcome's range that they
// count as less far.
func (r *Recalibration) Cut() int { return int(r.cut) }
