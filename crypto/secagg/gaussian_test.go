package secagg

import (
	"math"
	"math/big"
	"testing"
)

// probabilities computes P(|x| = k), k = 0 .. 42, of the truncated discrete
// Gaussian from its definition, in 512-bit arithmetic: 2 * 4.6^2 is 1058/25.
func probabilities() []*big.Float {
	number := func(n int64) *big.Float { return new(big.Float).SetPrec(512).SetInt64(n) }
	p := make([]*big.Float, errorBound+1)
	total := number(0)
	for k := range p {
		exponent := new(big.Float).Quo(number(int64(25*k*k)), number(1058))
		series, term := number(1), number(1) // of exp(exponent), which is below e^42
		for i := int64(1); i < 500; i++ {
			term.Quo(term.Mul(term, exponent), number(i))
			series.Add(series, term)
		}
		p[k] = number(1)
		if k > 0 {
			p[k] = number(2)
		}
		p[k].Quo(p[k], series)
		total.Add(total, p[k])
	}
	for _, v := range p {
		v.Quo(v, total)
	}
	return p
}

func TestGaussianTable(t *testing.T) {
	cumulative := new(big.Float).SetPrec(512)
	for k, p := range probabilities()[:errorBound] {
		cumulative.Add(cumulative, p)
		scaled := new(big.Float).SetMantExp(cumulative, 127)
		want, _ := scaled.Add(scaled, big.NewFloat(0.5)).Int(nil)
		if want.Lsh(want, 1); gaussianTable[k].unsigned().Cmp(want) != 0 {
			t.Errorf("entry %d: %x, want %x", k, gaussianTable[k].unsigned(), want)
		}
		if k > 0 && gaussianTable[k].hi <= gaussianTable[k-1].hi {
			t.Errorf("entry %d: the vector kernel wants high words that differ", k)
		}
	}
}

// testGenerator is the secret generator under a fixed seed.
func testGenerator(seed byte) *generator {
	key := make([]byte, 32)
	key[0] = seed
	return newGenerator(key)
}

func TestGaussianSamplerDistribution(t *testing.T) {
	const samples = 1 << 21
	random := testGenerator(1)
	counts := map[int64]float64{}
	var sum, squares float64
	buffer := make([]int64, 1<<12)
	for range samples / len(buffer) {
		random.gaussian(buffer)
		for _, x := range buffer {
			if x < -errorBound || x > errorBound {
				t.Fatalf("sample %d is beyond the bound", x)
			}
			counts[x]++
			sum += float64(x)
			squares += float64(x * x)
		}
	}
	// Cells of both signs, the tail beyond 20 in one cell for each sign.
	magnitudes := probabilities()
	chi, cells := 0.0, 0
	add := func(got, p float64) {
		want := p * samples
		chi += (got - want) * (got - want) / want
		cells++
	}
	var tailP, tailLow, tailHigh float64
	for k, v := range magnitudes {
		p, _ := v.Float64()
		switch x := int64(k); {
		case k == 0:
			add(counts[0], p)
		case k <= 20:
			add(counts[x], p/2)
			add(counts[-x], p/2)
		default:
			tailP += p / 2
			tailHigh += counts[x]
			tailLow += counts[-x]
		}
	}
	add(tailLow, tailP)
	add(tailHigh, tailP)
	checkChiSquare(t, "gaussian", chi, cells-1)

	if mean := sum / samples; math.Abs(mean) > 5*4.6/math.Sqrt(samples) {
		t.Errorf("mean %g", mean)
	}
	if sigma := math.Sqrt(squares / samples); math.Abs(sigma-4.6) > 0.02 {
		t.Errorf("standard deviation %g, want 4.6", sigma)
	}
}

// checkChiSquare fails when a chi-square statistic is beyond five standard
// deviations on either side (Wilson and Hilferty's normal approximation). The
// streams under test are seeded, so that a pass is a pass for ever.
func checkChiSquare(t *testing.T, what string, chi float64, degrees int) {
	t.Helper()
	d := 2 / (9 * float64(degrees))
	if z := (math.Cbrt(chi/float64(degrees)) - 1 + d) / math.Sqrt(d); math.Abs(z) > 5 {
		t.Errorf("%s: chi-square %.1f with %d degrees of freedom is %.1f standard deviations off", what, chi, degrees, z)
	}
}

// The sampler inverts the table: a draw just below an entry and one at it
// differ by one in magnitude, and the sign is the draw's lowest bit.
func TestGaussianSamplerInvertsTable(t *testing.T) {
	sample := func(draw word128) int64 {
		var out [1]int64
		scripted(draw.hi, draw.lo).gaussian(out[:])
		return out[0]
	}
	for k, entry := range gaussianTable {
		if got := sample(entry.sub(word128{0, 2})); got != int64(k) {
			t.Errorf("below entry %d: %d", k, got)
		}
		if got := sample(entry); got != int64(k+1) {
			t.Errorf("at entry %d: %d", k, got)
		}
		if got := sample(entry.add(word128{0, 1})); got != -int64(k+1) {
			t.Errorf("at entry %d, sign set: %d", k, got)
		}
	}
	if got := sample(word128{math.MaxUint64, math.MaxUint64}); got != -errorBound {
		t.Errorf("highest draw: %d", got)
	}
}

func TestResidueOfSmallIntegers(t *testing.T) {
	const p = 97
	for x := int64(-50); x <= 50; x++ {
		if got := residue(x, p); got != uint64((x+p)%p) {
			t.Errorf("%d: %d", x, got)
		}
	}
}
