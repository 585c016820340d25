package noise

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"gonum.org/v1/gonum/stat/distuv"
)

func seeded(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// fit is the p-value of Pearson's test that the drawn counts have these
// probabilities; what is rare is counted together.
func fit(counts map[int]int, probability func(int) float64, lowest, highest int) float64 {
	total, seen, left := 0, 0, 1.0
	for _, n := range counts {
		total += n
	}
	statistic, df := 0.0, 0.0
	for x := lowest; x <= highest; x++ {
		expected := probability(x) * float64(total)
		if expected < 20 {
			continue
		}
		difference := float64(counts[x]) - expected
		statistic, df = statistic+difference*difference/expected, df+1
		seen, left = seen+counts[x], left-probability(x)
	}
	if expected := left * float64(total); expected > 5 {
		difference := float64(total-seen) - expected
		statistic, df = statistic+difference*difference/expected, df+1
	}
	return distuv.ChiSquared{K: df - 1}.Survival(statistic)
}

// The numbers of the working reference, section 7, rule 8.
func TestNoiseIsAsWideAsTheReferenceSays(t *testing.T) {
	for _, c := range []struct {
		s      Scale
		sd     float64
		within int
	}{{Scale{1, 1}, 1.36, 3}, {Scale{1, 2}, 2.80, 6}, {Scale{1, 10}, 14.1, 30}} {
		if sd := math.Sqrt(c.s.Variance()); math.Abs(sd-c.sd) > 0.05 {
			t.Errorf("%v: standard deviation %.3f, not %.2f", c.s, sd, c.sd)
		}
		if k := c.s.Within(0.95); k != c.within {
			t.Errorf("%v: 95%% are within %d, not %d", c.s, k, c.within)
		}
		variance, all := 0.0, 0.0
		for x := -2000; x <= 2000; x++ {
			variance, all = variance+float64(x*x)*c.s.Probability(x), all+c.s.Probability(x)
		}
		if math.Abs(all-1) > 1e-12 || math.Abs(variance/c.s.Variance()-1) > 1e-9 {
			t.Errorf("%v: probabilities add up to %g, with a variance of %g, not %g", c.s, all, variance, c.s.Variance())
		}
	}
}

func TestCoinsAndGeometricNumbersAreExact(t *testing.T) {
	d := newDrawer(seeded(1))
	for _, c := range [][2]uint64{{0, 1}, {1, 1}, {1, 3}, {7, 10}} {
		heads, n, p := 0, 200_000, math.Exp(-float64(c[0])/float64(c[1]))
		for range n {
			if d.coin(c[0], c[1]) {
				heads++
			}
		}
		if off := float64(heads) - p*float64(n); math.Abs(off) > 4*math.Sqrt(p*(1-p)*float64(n)) {
			t.Errorf("exp(-%d/%d): %d heads of %d, where %.0f are expected", c[0], c[1], heads, n, p*float64(n))
		}
	}
	for _, s := range []Scale{{1, 1}, {1, 2}, {3, 2}, {250, 1000}} {
		counts := map[int]int{}
		for range 200_000 {
			counts[int(d.geometric(s))]++
		}
		a := s.alpha()
		if p := fit(counts, func(x int) float64 { return (1 - a) * math.Pow(a, float64(x)) }, 0, 100); p < 0.001 {
			t.Errorf("%v: a geometric distribution is refused, p = %g", s, p)
		}
	}
}

// A share alone is negative binomial with shape 1/h: the urn is not an
// approximation of it.
func TestShareOfOneHospitalIsNegativeBinomial(t *testing.T) {
	for _, holders := range []uint64{1, 2, 3, 7} {
		d := newDrawer(seeded(holders))
		s := Scale{1, 2}
		counts := map[int]int{}
		for range 200_000 {
			counts[int(d.share(d.geometric(s), holders))]++
		}
		r, a := 1/float64(holders), s.alpha()
		probability := func(x int) float64 {
			up, _ := math.Lgamma(float64(x) + r)
			over, _ := math.Lgamma(r)
			factorial, _ := math.Lgamma(float64(x) + 1)
			return math.Exp(up - over - factorial + r*math.Log1p(-a) + float64(x)*math.Log(a))
		}
		if p := fit(counts, probability, 0, 100); p < 0.001 {
			t.Errorf("%d hospitals: a negative binomial distribution of shape 1/%d is refused, p = %g", holders, holders, p)
		}
	}
}

// totals are the noise of sums over so many hospitals.
func totals(t *testing.T, s Scale, sites, holders, sums int, random io.Reader) (counts map[int]int, variance float64) {
	all := make([]float64, sums)
	for range sites {
		one := make([]float64, sums)
		if err := Add(one, s, holders, 1e9, random); err != nil {
			t.Fatal(err)
		}
		for i, x := range one {
			all[i] += x
		}
	}
	counts = map[int]int{}
	for _, x := range all {
		counts[int(x)]++
		variance += x * x / float64(sums)
	}
	return counts, variance
}

func TestSharesOfAllHoldersAddUpToGeometricNoise(t *testing.T) {
	for i, sites := range []int{1, 2, 3, 10} {
		for _, s := range []Scale{{1, 1}, {1, 2}, {2, 5}} {
			counts, _ := totals(t, s, sites, sites, 50_000, seeded(uint64(10+i)))
			if p := fit(counts, s.Probability, -80, 80); p < 0.001 {
				t.Errorf("%d hospitals, scale %v: the two-sided geometric distribution is refused, p = %g", sites, s, p)
			}
		}
	}
	counts, _ := totals(t, Scale{1, 1}, 9, 10, 50_000, seeded(20))
	if p := fit(counts, Scale{1, 1}.Probability, -80, 80); p > 1e-6 {
		t.Errorf("the test does not see that one share of ten is missing, p = %g", p)
	}
}

func TestMoreHospitalsThanHoldersMakeTheNoiseWiderAndNeverNarrower(t *testing.T) {
	s := Scale{1, 4}
	for _, sites := range []int{3, 4, 6} {
		want := s.Variance() * float64(sites) / 3
		if _, got := totals(t, s, sites, 3, 20_000, seeded(30)); math.Abs(got/want-1) > 0.06 {
			t.Errorf("%d hospitals where 3 hold the noise: variance %.2f, not %.2f", sites, got, want)
		}
	}
}

func TestWhatCannotBeHiddenIsRefused(t *testing.T) {
	ok := Scale{1, 1}
	for name, add := range map[string]func() error{
		"no source":          func() error { return Add([]float64{1}, ok, 2, 100, nil) },
		"a source that ends": func() error { return Add([]float64{1}, ok, 2, 100, iotest.ErrReader(errors.New("closed"))) },
		"a broken number":    func() error { return Add([]float64{1.5}, ok, 2, 100, seeded(1)) },
		"not a number":       func() error { return Add([]float64{math.NaN()}, ok, 2, 100, seeded(1)) },
		"no epsilon":         func() error { return Add([]float64{1}, Scale{0, 1}, 2, 100, seeded(1)) },
		"nobody":             func() error { return Add([]float64{1}, ok, 0, 100, seeded(1)) },
		"beyond its bound":   func() error { return Add([]float64{101}, ok, 1000, 100, seeded(1)) },
	} {
		if add() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkShare(b *testing.B) {
	x := make([]float64, 100)
	for b.Loop() {
		clear(x)
		if err := Add(x, Scale{1000, 4000 * 1024}, 2, 1e12, seeded(1)); err != nil {
			b.Fatal(err)
		}
	}
}
