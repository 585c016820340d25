package boost

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// loss is what the trees make small. A score is the sum of the base score and
// of a leaf of every tree: the outcome on the scale of the fit, or the log
// odds, the log mean, the log hazard. Beyond [lo, hi] it counts as lo or hi,
// which bounds everything that a record can add to a sum.
type loss struct {
	kind   string
	lo, hi float64
	// Bounds of one record, or, for the Cox loss, of any set of a site's
	// records, for each event at the site.
	gradient, hessian, value float64
	step                     float64 // bound on a leaf before the learning rate; 0 is none
	weighted                 bool    // slopes and loss of a record are times its weight; of the Cox loss its part in risk sets is, too
}

func newLoss(s *study.Study) *loss {
	l := loss{kind: s.Model.Boost.Loss}
	switch l.kind {
	case study.LossSquared:
		lo, hi := s.Outcome.Bounds()
		w := hi - lo
		l = loss{kind: l.kind, lo: lo, hi: hi, gradient: w, hessian: 1, value: w * w}
	case study.LossLogistic:
		l = loss{kind: l.kind, lo: -scoreBound, hi: scoreBound, gradient: 1, hessian: 0.25, value: scoreBound + 1}
	case study.LossPoisson:
		// A step of at most 0.7 is XGBoost's default (max_delta_step): the
		// curvature of the exponential changes too much beyond.
		most := max(s.Outcome.Range.Hi, 1)
		l = loss{kind: l.kind, lo: -scoreBound, hi: math.Log(most), gradient: most, hessian: most,
			value: 2 * (most*(math.Log(most)+scoreBound) + most), step: 0.7}
	case study.LossCox:
		// exp(score) over its risk set is at most 1 at each event, and so are its
		// sum over records and the hessian's; the log of a risk set's sum less a
		// score is at most the log of its size plus the range of scores.
		l = loss{kind: l.kind, lo: -scoreBound, hi: scoreBound, gradient: 1 + 1e-6, hessian: 1 + 1e-6, value: 2*scoreBound + 20}
	}
	// A mitigation's weights multiply whatever a record adds.
	if w := s.Model.Weights; w != nil {
		l.weighted = true
		l.gradient, l.hessian, l.value = l.gradient*w.Range.Hi, l.hessian*w.Range.Hi, l.value*w.Range.Hi
	}
	return &l
}

// cox says that records of a site are compared with each other.
func (l *loss) cox() bool { return l.kind == study.LossCox }

// constant says that every hessian is 1, so that their sum is the count.
func (l *loss) constant() bool { return l.kind == study.LossSquared && !l.weighted }

func (l *loss) clamp(score float64) float64 { return min(max(score, l.lo), l.hi) }

// at gives gradient, hessian and loss of a record; not for the Cox loss. The
// loss is the squared error, the log loss, or the Poisson deviance.
func (l *loss) at(score, y float64) (g, h, value float64) {
	score = l.clamp(score)
	switch l.kind {
	case study.LossSquared:
		d := score - y
		return d, 1, d * d
	case study.LossLogistic:
		// Stable on both sides: p from exp of a number that is not positive.
		e := math.Exp(-math.Abs(score))
		p, q := 1/(1+e), e/(1+e)
		if score < 0 {
			p, q = q, p
		}
		value = math.Log1p(e) + math.Max(score, 0)
		if y == 1 {
			return -q, p * q, value - score
		}
		return p, p * q, value
	default:
		mu := math.Exp(score)
		value = mu - y
		if y > 0 {
			value += y * (math.Log(y) - score)
		}
		return mu - y, mu, 2 * max(value, 0)
	}
}

// coxSlopes are those of the partial likelihood of one site with Breslow's
// ties, the hessian's diagonal only, as XGBoost's survival:cox. The records
// come by descending time. The value is that of the event, 0 for the censored.
// A record's weight is that of its part in the risk sets and of its event; the
// loss of an event is less by the logarithm of its weight, which no tree changes,
// so that it is not below 0.
func (l *loss) coxSlopes(times []float64, events []bool, weights, scores, g, h, value []float64) {
	n := len(times)
	risk := make([]float64, n) // of the risk set at the record's time
	total := 0.0
	for i := 0; i < n; {
		j := i
		for ; j < n && times[j] == times[i]; j++ {
			total += weights[j] * math.Exp(l.clamp(scores[j]))
		}
		for ; i < j; i++ {
			risk[i] = total
		}
	}
	hazard, squared := 0.0, 0.0 // sums over the events at or before the time
	for i := n - 1; i >= 0; {
		j := i
		for ; j >= 0 && times[j] == times[i]; j-- {
			if events[j] {
				hazard += weights[j] / risk[j]
				squared += weights[j] / (risk[j] * risk[j])
			}
		}
		for ; i > j; i-- {
			s := l.clamp(scores[i])
			w := weights[i]
			e := w * math.Exp(s)
			g[i], h[i], value[i] = e*hazard, max(e*hazard-e*e*squared, 0), 0
			if events[i] && w > 0 {
				g[i] -= w
				value[i] = w * max(math.Log(risk[i]/w)-s, 0)
			}
		}
	}
}

// moments describe the outcome over all sites, as far as a loss asks: the mean
// and standard deviation of a number or count on the scale of the fit, the
// share of positives or of events.
type moments struct {
	patients, events int // that train
	mean, spread     float64
}

// start is the score before the first tree.
func (l *loss) start(m moments) float64 {
	switch l.kind {
	case study.LossLogistic:
		return math.Log(m.mean / (1 - m.mean))
	case study.LossPoisson:
		return math.Log(m.mean)
	case study.LossCox:
		return 0
	}
	return m.mean
}

// diagnose says why the outcome gives trees nothing to learn.
func (l *loss) diagnose(m moments) *compute.Diagnosis {
	message := ""
	switch {
	case l.kind == study.LossSquared && m.spread > 0, l.kind == study.LossLogistic && m.mean > 0 && m.mean < 1,
		l.kind == study.LossPoisson && m.mean > 0 && m.spread > 0, l.cox() && m.events > 0:
		return nil
	case l.cox():
		message = "no patient has the event, so nothing distinguishes those who have it"
	default:
		message = "the outcome is the same for every patient, so nothing distinguishes those who respond"
	}
	return &compute.Diagnosis{Kind: compute.ConstantTarget, Message: message}
}

// scale says how records are rounded to whole numbers: a value v becomes one of
// the two next to v * 2^bits, and the square of such a gradient is rounded up to
// a multiple of 2^squares.
type scale struct {
	Gradient int `json:"gradient"`
	Hessian  int `json:"hessian"`
	Loss     int `json:"loss"`
	Squares  int `json:"squares,omitempty"`
}

// Trees need little of a single record's slope: LightGBM grows as good ones with
// two or three bits of the largest, rounded up or down by chance so that sums err
// in neither direction (Shi et al., NeurIPS 2022). Here a gradient has fewBits below
// the power of two above the typical one where a level of a tree asks many cells,
// whose every bit costs, and up to manyBits where it asks few. The mean over n
// records then errs, in its standard deviation, by a typical gradient over 2^fewBits
// times the root of n at most: a quarter of what chance has done to that mean
// already, which is the accuracy of six patients in a hundred.
const (
	fewBits   = 2
	manyBits  = 16
	manyCells = 17 // bits of a number of cells that is many
	curveBits = 2  // that a hessian has more: the denominator of a leaf
	lossBits  = 30 // below the largest loss of a record
)

// precision of gradients, in bits, where the widest level asks so many cells.
func precision(cells int) int {
	return min(max(fewBits+2*(manyCells-bitLength(cells)), fewBits), manyBits)
}

// typical slopes: the root of the mean square of the gradients, and the mean
// of the hessians.
type typical struct{ gradient, hessian float64 }

// expected slopes at the base score.
func (l *loss) expected(m moments) typical {
	switch l.kind {
	case study.LossLogistic:
		return typical{math.Sqrt(m.mean * (1 - m.mean)), m.mean * (1 - m.mean)}
	case study.LossPoisson:
		return typical{m.spread, m.mean}
	case study.LossCox:
		share := float64(max(m.events, 1)) / float64(max(m.patients, 1))
		return typical{share, share}
	}
	return typical{m.spread, 1}
}

// scale chooses a rounding of so many bits below the typical slopes, or the
// finest whose sums float64 has exactly, with twice the patients there are.
func (l *loss) scale(patients, events int, t typical, bits int) scale {
	records := 2 * patients // whose bounds add up
	if l.cox() {
		records = 2 * events
	}
	// A limb holds a sum with its sign, and where nothing is known with a bit more.
	room := func(wanted int, bound float64) int {
		for wanted > -60 && float64(records)*(bound*math.Ldexp(1, wanted)+2)+float64(2*patients) >= math.Ldexp(1, mostLimb-2) {
			wanted--
		}
		return wanted
	}
	out := scale{
		Gradient: room(bits-exponent(t.gradient), l.gradient),
		Loss:     room(lossBits-exponent(l.value), l.value),
	}
	if !l.constant() {
		out.Hessian = room(bits+curveBits-exponent(t.hessian), l.hessian)
	}
	out.Squares = max(exponent(l.squares(out, 2*patients, 2*events))-exactBits+2, 0)
	return out
}

func exponent(x float64) int {
	_, e := math.Frexp(x)
	return e
}

// bound of the magnitude of the sum, at one site, of whole numbers made at a
// rounding of so many bits of so many records with so many events at the site.
func (l *loss) bound(one float64, fracBits, records, events int) float64 {
	if l.cox() {
		return math.Ceil(float64(events)*one*math.Ldexp(1, fracBits)) + float64(records)
	}
	return float64(records) * (math.Ceil(one*math.Ldexp(1, fracBits)) + 1)
}

// squares is the bound of the sum of the squares of so many records' gradients.
func (l *loss) squares(to scale, records, events int) float64 {
	if l.cox() { // at most the square of the sum of all magnitudes
		all := 2 * l.bound(l.gradient, to.Gradient, records, events)
		return math.Ceil(math.Ldexp(all*all, -to.Squares)) + float64(records)
	}
	one := l.bound(l.gradient, to.Gradient, 1, 0)
	return float64(records) * (math.Ceil(math.Ldexp(one*one, -to.Squares)) + 1)
}
