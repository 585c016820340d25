package fairness

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// The smallest difference that the report says these patients would show in four
// of five studies is found in about that many: the interval leaves out zero. And
// where nothing is planted it is left out in about one of twenty. 1 000 seeded
// studies of each kind of figure; three standard errors of a share of 0.8 are
// 0.038, of 0.05 are 0.021, and a discrete figure with few events is given 0.02
// more of each.
func TestDetectableIsFoundInFourOfFive(t *testing.T) {
	const studies = 1000
	type drawing func(random *rand.Rand, gap float64) (figure, figure)
	for name, draw := range map[string]drawing{
		// Shares of 0.3 in 300 and 500 patients.
		"share": func(random *rand.Rand, gap float64) (figure, figure) {
			at := func(n, p float64) figure { return share{distuv.Binomial{N: n, P: p, Src: random}.Rand(), n} }
			return at(300, 0.3+gap/2), at(500, 0.3-gap/2)
		},
		// Absolute errors, exponential, of 80 and 120 patients.
		"mean": func(random *rand.Rand, gap float64) (figure, figure) {
			at := func(n int, shift float64) figure {
				x := sample{n: float64(n)}
				for range n {
					e := 5*random.ExpFloat64() + shift
					x.sum, x.squares = x.sum+e, x.squares+e*e
				}
				return x
			}
			return at(80, gap), at(120, 0)
		},
		// Events where 60 and 90 are expected.
		"observed over expected": func(random *rand.Rand, gap float64) (figure, figure) {
			at := func(expected, ratio float64) figure {
				return events{distuv.Poisson{Lambda: ratio * expected, Src: random}.Rand(), expected}
			}
			return at(60, 1+gap/2), at(90, 1-gap/2)
		},
		// A concordance or an area with its standard error.
		"estimate": func(random *rand.Rand, gap float64) (figure, figure) {
			return estimated{0.7 + gap + 0.03*random.NormFloat64(), 0.03}, estimated{0.7 + 0.04*random.NormFloat64(), 0.04}
		},
	} {
		random := rand.New(rand.NewPCG(11, 12))
		found := func(gap float64) (share, width float64) {
			for range studies {
				x, y := draw(random, gap)
				lower, upper, _, ok := x.minus(y)
				if !ok {
					t.Fatalf("%s: no interval", name)
				}
				share += one(lower > 0 || upper < 0) / studies
				width += Detectable(lower, upper) / studies
			}
			return share, width
		}
		alarms, claimed := found(0)
		power, _ := found(claimed)
		t.Logf("%s: %.3f detectable, found in %.3f; nothing there, found in %.3f", name, claimed, power, alarms)
		if math.Abs(power-0.8) > 0.058 {
			t.Errorf("%s: a gap of %.3f is found in %.3f, the report says 0.8", name, claimed, power)
		}
		if math.Abs(alarms-0.05) > 0.041 {
			t.Errorf("%s: false alarms in %.3f of the studies, want about 0.05", name, alarms)
		}
	}
}

// Whole audits of groups that are alike: of 200, the widest gap passes its noise
// floor in about one of twenty, and disparities are found beyond the margin in
// fewer than one of twenty.
func TestWidestGapOfAlikeGroupsStaysBelowItsFloor(t *testing.T) {
	const audits = 200
	s := parsed(t, strings.Replace(planted, "disclosure: complementary", "disclosure: primary", 1))
	sites := hospitals(t, s, 3, 120, halves)
	random := rand.New(rand.NewPCG(13, 14))
	passed, total, disparities, gaps := 0, 0, 0, 0
	for range audits {
		a, _ := audited(t, s, sites, func(i, r int) float64 { return sites[i].Outcome(r) + 5*random.NormFloat64() })
		for _, l := range a.Largest {
			if l.Metric == "mae" && l.Attribute == "g × h" {
				total++
				passed += int(one(l.Estimate > l.Floor))
			}
		}
		for _, g := range a.Gaps {
			gaps++
			disparities += int(one(g.Verdict == Disparity))
			if !(g.Detectable > 0) {
				t.Errorf("%s of %s does not say what it could have seen", g.Metric, g.Level)
			}
		}
	}
	t.Logf("floor passed in %d of %d audits; %d disparities in %d comparisons", passed, total, disparities, gaps)
	if total != audits || passed < 2 || passed > 22 {
		t.Errorf("the floor was passed in %d of %d audits, want about 10", passed, total)
	}
	if float64(disparities) > 0.05*float64(gaps) {
		t.Errorf("%d disparities in %d comparisons of alike groups", disparities, gaps)
	}
}
