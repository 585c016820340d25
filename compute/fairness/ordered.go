package fairness

import (
	"math"

	"github.com/consilium-fl/consilium/compute/validation"
)

// ordered is how often two patients of a group are in the right order: the area
// under a curve, or a concordance. Its estimate lies near 1 in small groups by
// chance, where its standard error vanishes: of six patients with the outcome and
// six without, whom a model orders rightly in nine of ten pairs, one sample in
// five has no error at all. Wald's interval, which then has no width, covers that
// model's area in 80 of 100 samples. So the interval is made on the scale of the
// logit; where the standard error is zero it is Newcombe's by a score (Statistics in
// Medicine 25, 2006, method 5). The standard error of ten with the outcome among two
// hundred is itself so unsure that the logit holds in 85 of 100 samples: of areas of
// a few, limits are the outer ones of both.
type ordered struct {
	estimated
	with, without float64 // patients with the outcome and without, of an area; 0 of a concordance
}

// fewOrdered with the outcome or without are as many as standard errors go by.
const fewOrdered = 30

func (ordered) method() string { return "MOVER of the limits on the logit" }

// limits are false where nothing says how far the estimate may be off.
func (o ordered) limits() (lower, upper float64, ok bool) {
	switch {
	case o.estimated.se > 0 && o.of > 0 && o.of < 1:
		i := validation.OnTheLogit(o.of, o.estimated.se)
		if o.with > 0 && min(o.with, o.without) < fewOrdered {
			i.Lower, i.Upper = min(i.Lower, o.score(0)), max(i.Upper, o.score(1))
		}
		return i.Lower, i.Upper, true
	case o.with > 0 && o.without > 0:
		return o.score(0), o.score(1), true
	}
	return 0, 0, false
}

// score is the area towards an end at which the estimate would be 1.96 standard
// errors away, with Hanley and McNeil's standard error of that area, their two
// sizes replaced by the mean of both.
func (o ordered) score(end float64) float64 {
	inside, outside := o.of, end
	size := (o.with + o.without) / 2
	for range 60 {
		a := (inside + outside) / 2
		variance := a * (1 - a) / (o.with * o.without) * (1 + (size-1)*((1-a)/(2-a)+a/(1+a)))
		if math.Abs(o.of-a) <= normal*math.Sqrt(variance) {
			inside = a
		} else {
			outside = a
		}
	}
	return inside
}

// limited is the estimate with these limits.
func (o ordered) limited() limited {
	lower, upper, ok := o.limits()
	if !ok {
		return limited{o.of, math.NaN(), math.NaN()}
	}
	return limited{o.of, lower, upper}
}

func (o ordered) se() float64 { return o.limited().se() }

func (o ordered) minus(other figure) (lower, upper, p float64, ok bool) {
	return o.limited().minus(other.(ordered).limited())
}

func (o ordered) over(other figure) (lower, upper float64, ok bool) {
	return o.limited().over(other.(ordered).limited())
}
