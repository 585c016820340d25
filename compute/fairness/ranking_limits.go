package fairness

import (
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// The few patients at the top of a list decide most of its discounted gain, and
// where the outcome is rare there are no more than a few who have it: a standard
// error taken from them, or replicates drawn from them, vary as much as the gain
// does, and the intervals made of either are too narrow by far. So limits are had
// as those of a count of events are: by asking under which truth as much, or as
// little, as was seen would be seen in one of forty groups.
//
// The truths asked about are those in which the logarithm of the odds of the
// outcome is
//
//	a + slope x + bend x²
//
// in the normal score x of a patient's place in the order, a such that as many have
// the outcome as were seen to. The slope runs from the reverse of the best order to
// the best. Of each truth the figure has a mean, a variance and a skewness, which
// follow from the counts by score alone (ordering.under), and thereby quantiles
// (Cornish and Fisher, Revue de l'Institut International de Statistique 5, 1938). A
// limit is the mean of the figure where what was seen is its quantile: the slope
// only carries from one mean to the next, and a limit depends on the shape of the
// truth as far as the variance does.
//
// The bend is where such a truth can be wrong, if the top of the list is better or
// worse than the rest of it lets expect. It is 0, or as much above or below what is
// fitted as its standard error; and the limits are the outermost.
//
// With fewer than fewestRanked patients with the outcome, or without, even so the
// limits do not hold, and there are none. TestLimitsOfTheRankingHold measures them.

// fewestRanked with the outcome and without are needed for limits.
const fewestRanked = 10

// tiedBin is a bin of patients who share ranks.
type tiedBin struct {
	n, up    float64
	discount float64 // mean of its ranks
	score    float64 // normal score of the middle of its ranks, highest for the first
}

// ordering is a group's patients by score, highest first.
type ordering struct {
	bins         []tiedBin
	n, positives float64
	ideal        float64 // gain of the best order
}

// place gives the bins their normal scores.
func (o *ordering) place() {
	before := 0.0
	for i := range o.bins {
		b := &o.bins[i]
		b.score = distuv.UnitNormal.Quantile(1 - (before+b.n/2)/o.n)
		before += b.n
	}
}

// limits of a figure that was seen: of (gain - chance P) / (ideal - chance P) with P
// who have the outcome. NaN where there are too few.
func (o *ordering) limits(seen, chance float64) (lower, upper float64) {
	if min(o.positives, o.n-o.positives) < fewestRanked {
		return math.NaN(), math.NaN()
	}
	lower, upper = seen, seen
	bend, se := o.bend()
	for _, b := range []float64{0, bend - se, bend + se} {
		lower = min(lower, o.limit(seen, chance, b, normal))
		upper = max(upper, o.limit(seen, chance, b, -normal))
	}
	return lower, min(1, upper)
}

// steepest slope that is asked about: one normal score further up, the odds are
// three thousand times as high.
const steepest = 8

// limit is the mean of the figure where what was seen is its quantile of the normal
// deviate z, found by false position (the Illinois rule: Dowell and Jarratt, BIT 11,
// 1971).
func (o *ordering) limit(seen, chance, bend, z float64) (mean float64) {
	t := tilt{bend: bend, level: math.Log(o.positives / (o.n - o.positives))}
	off := func(slope float64) float64 { // the quantile less what was seen
		var sd, skewness float64
		t.slope = slope
		mean, sd, skewness = o.under(&t, chance)
		return mean + sd*(z+skewness*(z*z-1)/6) - seen
	}
	low, high := -float64(steepest), float64(steepest)
	below := off(low)
	if below >= 0 {
		return mean // no slope has less
	}
	above := off(high)
	if above <= 0 {
		return mean
	}
	side := 0 // the end that moved last; where it does twice, the other's weight is halved
	for range 100 {
		at := (low*above - high*below) / (above - below)
		switch d := off(at); {
		case math.Abs(d) < 1e-12:
			return mean
		case d < 0:
			low, below = at, d
			if side < 0 {
				above /= 2
			}
			side = -1
		default:
			high, above = at, d
			if side > 0 {
				below /= 2
			}
			side = 1
		}
	}
	return mean
}

// tilt is a truth: the logarithm of the odds of the outcome by normal score.
type tilt struct{ level, slope, bend float64 }

func (t tilt) risk(b tiedBin) float64 {
	return logistic(t.level + t.slope*b.score + t.bend*b.score*b.score)
}

// settle moves the level to where as many have the outcome as were seen to, and
// returns the risk by bin.
func (o *ordering) settle(t *tilt) []float64 {
	risk := make([]float64, len(o.bins))
	for range 40 {
		expected, spread := 0.0, 1e-9
		for i, b := range o.bins {
			p := t.risk(b)
			risk[i] = p
			expected, spread = expected+b.n*p, spread+b.n*p*(1-p)
		}
		step := min(max((o.positives-expected)/spread, -1.5), 1.5)
		if math.Abs(step) < 1e-12 {
			break
		}
		t.level += step
	}
	return risk
}

// under is the mean, the standard deviation and the skewness of the figure under a
// truth, to the first order: a patient adds what its outcome does to the gain beyond
// what one more with the outcome does to the best order, and what its score does to
// who is at which rank.
func (o *ordering) under(t *tilt, chance float64) (mean, sd, skewness float64) {
	risk := o.settle(t)
	scale := o.ideal - chance*o.positives
	for i, b := range o.bins {
		mean += b.n * risk[i] * (b.discount - chance) / scale
	}
	// One more with the outcome has the discount of the next rank, or of the last.
	longer := (discount(o.positives) + discount(o.positives+1)) / 2
	worth := func(b tiedBin) float64 { return b.discount - chance - mean*(longer-chance) }
	moved := make([]float64, len(o.bins))
	center := 0.0
	for i, b := range o.bins {
		if i > 0 {
			moved[i] = moved[i-1] - (worth(o.bins[i-1])+worth(b))/2*(risk[i-1]-risk[i])
		}
		center += b.n * moved[i] / o.n
	}
	variance, third := 0.0, 0.0
	for i, b := range o.bins {
		p, x, y := risk[i], worth(b), moved[i]-center
		spread := p * (1 - p) * x * x
		variance += b.n * (spread + y*y)
		third += b.n * (spread*(1-2*p)*x + 3*spread*y + y*y*y)
	}
	if !(variance > 0) {
		return mean, 0, 0
	}
	sd = math.Sqrt(variance)
	return mean, sd / scale, third / (variance * sd)
}

// What is known of slope and bend before anything is seen, as inverse variances:
// hardly anything of the one, and of the other that it is small.
const (
	slopePrecision = 0.5
	bendPrecision  = 10
)

// bend fits the order's truth, and returns its bend with the standard error.
func (o *ordering) bend() (bend, se float64) {
	at := mat.NewVecDense(3, []float64{math.Log(o.positives / (o.n - o.positives)), 0, 0})
	step, information := mat.NewVecDense(3, nil), mat.NewSymDense(3, nil)
	var factor mat.Cholesky
	for range 40 {
		slope, curve := at.AtVec(1), at.AtVec(2)
		gradient := mat.NewVecDense(3, []float64{0, -slopePrecision * slope, -bendPrecision * curve})
		information.Zero()
		information.SetSym(1, 1, slopePrecision)
		information.SetSym(2, 2, bendPrecision)
		t := tilt{at.AtVec(0), slope, curve}
		for _, b := range o.bins {
			p, x := t.risk(b), mat.NewVecDense(3, []float64{1, b.score, b.score * b.score})
			gradient.AddScaledVec(gradient, b.up-b.n*p, x)
			information.SymRankOne(information, b.n*p*(1-p), x)
		}
		if !factor.Factorize(information) || factor.SolveVecTo(step, gradient) != nil {
			return 0, 0
		}
		length := mat.Norm(step, math.Inf(1))
		at.AddScaledVec(at, min(1, 1/length), step)
		if length < 1e-9 {
			break
		}
	}
	var inverse mat.SymDense
	if factor.InverseTo(&inverse) != nil {
		return 0, 0
	}
	return at.AtVec(2), math.Sqrt(inverse.At(2, 2))
}
