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
	return &l
}

// cox says that records of a site are compared with each other.
func (l *loss) cox() bool { return l.kind == study.LossCox }

// constant says that every hessian is 1, so that their sum is the count.
func (l *loss) constant() bool { return l.kind == study.LossSquared }

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
func (l *loss) coxSlopes(times []float64, events []bool, scores, g, h, value []float64) {
	n := len(times)
	risk := make([]float64, n) // of the risk set at the record's time
	total := 0.0
	for i := 0; i < n; {
		j := i
		for ; j < n && times[j] == times[i]; j++ {
			total += math.Exp(l.clamp(scores[j]))
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
				hazard += 1 / risk[j]
				squared += 1 / (risk[j] * risk[j])
			}
		}
		for ; i > j; i-- {
			s := l.clamp(scores[i])
			e := math.Exp(s)
			g[i], h[i], value[i] = e*hazard, max(e*hazard-e*e*squared, 0), 0
			if events[i] {
				g[i]--
				value[i] = max(math.Log(risk[i])-s, 0)
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

// scale says how records are rounded to whole numbers: a value v becomes the
// whole number nearest v * 2^bits.
type scale struct {
	Gradient int `json:"gradient"`
	Hessian  int `json:"hessian"`
	Loss     int `json:"loss"`
}

// Trees need little of a single record's slope: LightGBM grows as good ones with
// three bits of it (Shi et al., NeurIPS 2022). An error of the squared loss here
// is less than a part in 500 of the outcome's standard deviation, and records of
// a leaf err in both directions. Of a rare event all the slopes of a leaf can be
// alike and far below the typical one: these losses keep more.
const (
	squaredBits  = 9  // of a gradient below the typical one
	gradientBits = 12 // the same of the other losses
	hessianBits  = 10
	lossBits     = 30 // below the largest loss of a record
)

// scale chooses the finest rounding whose sums float64 has exactly, but no
// finer than the loss needs: ciphertexts grow with every bit.
func (l *loss) scale(m moments) scale {
	typicalGradient, typicalHessian, bits := m.spread, 1.0, gradientBits
	switch l.kind {
	case study.LossSquared:
		bits = squaredBits
	case study.LossLogistic:
		typicalGradient = math.Sqrt(m.mean * (1 - m.mean))
		typicalHessian = m.mean * (1 - m.mean)
	case study.LossPoisson:
		typicalHessian = m.mean
	case study.LossCox:
		typicalGradient = float64(max(m.events, 1)) / float64(max(m.patients, 1))
		typicalHessian = typicalGradient
	}
	records := m.patients // whose bounds add up
	if l.cox() {
		records = m.events
	}
	room := func(wanted int, bound float64) int {
		for wanted > -60 && float64(records)*(bound*math.Ldexp(1, wanted)+1)+float64(m.patients) >= math.Ldexp(1, exactBits) {
			wanted--
		}
		return wanted
	}
	out := scale{
		Gradient: room(bits-exponent(typicalGradient), l.gradient),
		Loss:     room(lossBits-exponent(l.value), l.value),
	}
	if !l.constant() {
		out.Hessian = room(hessianBits-exponent(typicalHessian), l.hessian)
	}
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
	return float64(records) * math.Ceil(one*math.Ldexp(1, fracBits))
}
