// Package noise draws the whole numbers that hide a patient in a sum.
//
// Every hospital adds its share before it encrypts: the difference of two
// negative binomial numbers with shape 1/h. The shares of h hospitals add up to
// the two-sided geometric distribution, P(x) proportional to exp(-epsilon |x| / d),
// which makes a sum that one patient moves by at most d epsilon-differentially
// private (Ghosh, Roughgarden and Sundararajan, SIAM Journal on Computing 41,
// 2012); the shares of more hospitals make it somewhat wider. No hospital, and not
// the coordinator, knows the noise of the sum (Goryczka and Xiong, IEEE TDSC 14, 2017).
//
// Noise that is drawn with floating-point numbers has holes: values that one count
// can lead to and its neighbour cannot, which give the count away (Mironov, CCS
// 2012). Here nothing but whole numbers is drawn and compared, so that the
// distributions are the ones named, exactly, given a source of independent bits:
//
//   - a coin of probability exp(-a/b), and from it a geometric number (Canonne,
//     Kamath and Steinke, The Discrete Gaussian for Differential Privacy, 2020,
//     algorithms 1 and 2);
//   - from a geometric number a hospital's share of it. If h independent negative
//     binomial numbers of shape 1/h add up to x, then each of them is distributed as
//     the balls of one colour among x that are drawn from Pólya's urn, which holds
//     1/h of a ball of that colour and 1 in all. Draws from the urn have rational
//     probabilities. So a hospital draws its own x and the urn, and forgets x.
//
// How long a draw takes depends on what is drawn. It happens at the hospital, where
// the records are.
package noise

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// Scale is how wide the noise of a sum is: epsilon of the guarantee over what one
// patient moves the sum by, as a fraction of whole numbers. The sums themselves are
// whole.
type Scale struct{ Epsilon, Sensitivity uint64 }

// Limits of a scale, far from where the arithmetic would overflow.
const (
	most       = 1 << 40
	maxHolders = 1 << 20
)

// alpha is the ratio of neighbouring probabilities.
func (s Scale) alpha() float64 { return math.Exp(-float64(s.Epsilon) / float64(s.Sensitivity)) }

// Variance of the two-sided geometric distribution.
func (s Scale) Variance() float64 {
	// 2 alpha / (1 - alpha)^2, without the cancellation of 1 - alpha.
	half := math.Sinh(float64(s.Epsilon) / float64(s.Sensitivity) / 2)
	return 1 / (2 * half * half)
}

// Probability of x.
func (s Scale) Probability(x int) float64 {
	a := s.alpha()
	return (1 - a) / (1 + a) * math.Pow(a, math.Abs(float64(x)))
}

// Within is the least number that the noise is at most, up or down, with a
// probability of at least p.
func (s Scale) Within(p float64) int {
	a := s.alpha()
	for k := 0; ; k++ {
		if 1-2*math.Pow(a, float64(k+1))/(1+a) >= p {
			return k
		}
	}
}

// Add adds a hospital's share of the noise to each of the sums, where any holders
// hospitals together hold all of it. Each result is within the bound; that noise
// would carry it beyond has, for bounds such as ours, a probability of less than
// 2^-1000, and is an error.
func Add(sums []float64, s Scale, holders int, bound float64, random io.Reader) error {
	if random == nil {
		return errors.New("noise needs a source of randomness")
	}
	if s.Epsilon == 0 || s.Sensitivity == 0 || s.Epsilon > most || s.Sensitivity > most || holders < 1 || holders > maxHolders {
		return fmt.Errorf("there is no noise of scale %d/%d held by %d", s.Epsilon, s.Sensitivity, holders)
	}
	d := newDrawer(random)
	defer clear(d.ahead[:])
	for i, x := range sums {
		if x != math.Trunc(x) {
			return errors.New("noise of whole numbers hides whole numbers only")
		}
		up := d.share(d.geometric(s), uint64(holders))
		down := d.share(d.geometric(s), uint64(holders))
		if d.err != nil {
			return fmt.Errorf("no noise can be drawn: %w", d.err)
		}
		noisy := x + float64(int64(up)-int64(down))
		if !(math.Abs(noisy) <= bound) {
			return errors.New("a sum with its noise is beyond its bound")
		}
		sums[i] = noisy
	}
	return nil
}
