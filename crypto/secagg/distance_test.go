package secagg

import (
	"math"
	"math/big"
	"testing"
)

const precision = 512 // bits of the arithmetic below

func bigNumber(n int64) *big.Float { return new(big.Float).SetPrec(precision).SetInt64(n) }

// weight is exp(-k^2 / (2 * 4.6^2)) = exp(-25 k^2 / 1058), to about precision
// bits: the Taylor series of the inverse, whose terms are all positive.
func weight(k int64) *big.Float {
	exponent := new(big.Float).Quo(bigNumber(25*k*k), bigNumber(1058))
	series, term := bigNumber(1), bigNumber(1)
	for i := int64(1); term.Sign() > 0 && term.MantExp(nil) > -precision; i++ {
		term.Quo(term.Mul(term, exponent), bigNumber(i))
		series.Add(series, term)
	}
	return new(big.Float).Quo(bigNumber(1), series)
}

// gaussianMass returns the weight of |x| = k for k up to last, and their sum.
func gaussianMass(last int64) (masses []*big.Float, total *big.Float) {
	total = bigNumber(0)
	for k := range last + 1 {
		w := weight(k)
		if k > 0 {
			w.Mul(w, bigNumber(2))
		}
		masses = append(masses, w)
		total.Add(total, w)
	}
	return masses, total
}

// tableProbability is the exact probability with which the sampler gives a
// magnitude of k, a multiple of 2^-128. The sign is a bit of its own.
func tableProbability(k int) *big.Float {
	bound := func(k int) *big.Int {
		switch {
		case k < 0:
			return new(big.Int)
		case k >= errorBound:
			return new(big.Int).Lsh(big.NewInt(1), 128)
		}
		return gaussianTable[k].unsigned()
	}
	p := new(big.Float).SetPrec(precision).SetInt(new(big.Int).Sub(bound(k), bound(k-1)))
	return p.SetMantExp(p, -128)
}

// distance is the total variation distance between the sampler and the weights.
func distance(masses []*big.Float, total *big.Float) *big.Float {
	sum := bigNumber(0)
	for k, mass := range masses {
		want := new(big.Float).Quo(mass, total)
		got := bigNumber(0)
		if k <= errorBound {
			got = tableProbability(k)
		}
		sum.Add(sum, want.Abs(want.Sub(want, got)))
	}
	return sum.Quo(sum, bigNumber(2))
}

func log2(x *big.Float) float64 {
	mantissa := new(big.Float)
	exponent := x.MantExp(mantissa)
	m, _ := mantissa.Float64()
	return math.Log2(m) + float64(exponent)
}

// The specification asks for 2^-64. Against the distribution that is specified,
// the discrete Gaussian cut at 28, the table is far closer: what is left is the
// rounding of 28 entries to multiples of 2^-127.
func TestSamplerIsWithin2ToMinus64OfTheCutGaussian(t *testing.T) {
	masses, total := gaussianMass(errorBound)
	d := distance(masses, total)
	t.Logf("distance 2^%.1f", log2(d))
	if log2(d) > -64 {
		t.Errorf("total variation distance is 2^%.1f", log2(d))
	}
	if log2(d) > -122 { // 29 roundings of at most 2^-127 each, halved
		t.Errorf("total variation distance 2^%.1f is more than rounding can make", log2(d))
	}
}

// Against the discrete Gaussian over ALL integers the cut at six standard
// deviations decides: 2^-30.8, not 2^-64. It costs little that counts. The cut
// distribution is the whole one, given that no coefficient lies beyond 28: who
// finds a secret of the cut one with probability p finds one of the whole one
// with p times the probability of that condition, which for 2^30 coefficients,
// about the most that a layout allows, is still above a half. For telling a
// ciphertext from noise the same factor enters through the Renyi divergence (Bai
// and others, ASIACRYPT 2015). TestTheTailCostsLessThanOneBit holds the factor.
func TestSamplerIs2ToMinus31FromTheWholeGaussianBecauseOfTheCut(t *testing.T) {
	masses, total := gaussianMass(160) // what lies beyond 160 is below 2^-870
	d := distance(masses, total)
	tail := bigNumber(0)
	for _, m := range masses[errorBound+1:] {
		tail.Add(tail, m)
	}
	tail.Quo(tail, total)
	t.Logf("distance 2^%.4f, tail 2^%.4f", log2(d), log2(tail))
	if got := log2(d); got < -31 || got > -30.5 {
		t.Errorf("total variation distance is 2^%.2f, documented as about 2^-31", got)
	}
	// The distance IS the tail, to the precision of the table.
	if rest := new(big.Float).Sub(d, tail); rest.Sign() != 0 && log2(rest.Abs(rest)) > -120 {
		t.Errorf("the distance differs from the tail by 2^%.1f", log2(rest))
	}
}

func TestTheTailCostsLessThanOneBit(t *testing.T) {
	masses, total := gaussianMass(160)
	tail := bigNumber(0)
	for _, m := range masses[errorBound+1:] {
		tail.Add(tail, m)
	}
	p, _ := tail.Quo(tail, total).Float64()
	const coefficients = 1 << 30
	if bits := -coefficients * math.Log1p(-p) / math.Ln2; bits >= 1 {
		t.Errorf("cutting the tail may cost %.2f bits over 2^30 coefficients", bits)
	}
}
