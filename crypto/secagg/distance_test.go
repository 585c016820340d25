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

// The issue of the sampler's precision asks for 2^-64 in total variation from
// the discrete Gaussian over ALL integers. The cut at 42 decides; the table adds
// nothing that shows.
func TestSamplerIsWithin2ToMinus64OfTheDiscreteGaussian(t *testing.T) {
	masses, total := gaussianMass(160) // what lies beyond 160 is below 2^-870
	d, tail := distance(masses, total), tailBeyond(errorBound)
	t.Logf("distance 2^%.4f, tail 2^%.4f", log2(d), log2(tail))
	if log2(d) > -64 {
		t.Errorf("total variation distance is 2^%.2f", log2(d))
	}
	if rest := new(big.Float).Sub(d, tail); rest.Sign() != 0 && log2(rest.Abs(rest)) > -120 {
		t.Errorf("the distance differs from the tail by 2^%.1f", log2(rest))
	}
	if log2(tailBeyond(errorBound-1)) < -64 {
		t.Error("a shorter table would do")
	}
}

// tailBeyond is the probability of a magnitude above last.
func tailBeyond(last int) *big.Float {
	masses, total := gaussianMass(160)
	tail := bigNumber(0)
	for _, m := range masses[last+1:] {
		tail.Add(tail, m)
	}
	return tail.Quo(tail, total)
}

// Against the distribution that the table is made for, the Gaussian cut at 42,
// what is left is the rounding of 42 entries to multiples of 2^-127.
func TestTheTableIsOffByRoundingAlone(t *testing.T) {
	masses, total := gaussianMass(errorBound)
	d := distance(masses, total)
	t.Logf("distance 2^%.1f", log2(d))
	if log2(d) > -122 { // 43 roundings of at most 2^-127 each, halved
		t.Errorf("total variation distance is 2^%.1f", log2(d))
	}
}

// The cut distribution is the whole one, given that no coefficient lies beyond
// the cut: who finds a secret of the cut one with probability p finds one of the
// whole one with at least p times the probability of that condition. For telling
// a ciphertext from noise the same factor enters through the Renyi divergence
// (Bai and others, ASIACRYPT 2015). Over 2^30 coefficients, about the most
// that a layout allows, it is 1 to ten digits.
func TestTheTailCostsNothing(t *testing.T) {
	p, _ := tailBeyond(errorBound).Float64()
	const coefficients = 1 << 30
	if bits := -coefficients * math.Log1p(-p) / math.Ln2; !(bits < 1e-10) {
		t.Errorf("cutting the tail may cost %g bits over 2^30 coefficients", bits)
	}
}

// Sums of honest keys and of honest errors keep their bound: as far as 780
// contributors always, and beyond with a probability that Chernoff's inequality
// bounds, with the probabilities of the table: for every s > 0
//
//	P(|x_1 + .. + x_n| > b) <= 2 * (sum_k P(k) * cosh(s*k))^n * exp(-s*b).
//
// And no two sums within the bound are the same element of the shares' field.
func TestHonestSumsAreWithinTheirBound(t *testing.T) {
	probabilities := make([]float64, errorBound+1)
	for k := range probabilities {
		probabilities[k], _ = tableProbability(k).Float64()
	}
	always := 0
	for n := 1; n <= MaxInvited; n++ {
		bound := sumBound(n)
		if 2*bound+1 > shamirPrime {
			t.Fatalf("%d contributors: sums up to %d do not fit the field", n, bound)
		}
		if bound == int64(n)*errorBound {
			always = n
			continue
		}
		s := float64(bound) / (float64(n) * sigma * sigma)
		mean := 0.0
		for k, p := range probabilities {
			mean += p * math.Cosh(s*float64(k))
		}
		if log := 1 + (float64(n)*math.Log(mean)-s*float64(bound))/math.Ln2; !(log < -35000) {
			t.Fatalf("%d contributors: an honest sum may be beyond %d with probability 2^%.0f", n, bound, log)
		}
	}
	if always != 780 {
		t.Errorf("sums of up to %d are always within, documented as 780", always)
	}
}
