package fairness

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The interval of an area covers it also in groups of a few patients, of a model
// that is nearly always right: where all pairs are in order it is not a point.
func TestIntervalsOfAreasCoverInSmallGroups(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	const samples = 600
	for _, of := range []struct{ area, shift, with, without float64 }{{0.9, 1.812388, 6, 6}, {0.9, 1.812388, 11, 14}, {0.97, 2.659870, 11, 14}, {0.73, 0.866634, 60, 80}, {0.8, 1.190233, 10, 190}} {
		covered := 0
		for range samples {
			up, down := make([]float64, 1000), make([]float64, 1000)
			for range int(of.with) {
				up[bin(of.shift+random.NormFloat64())]++
			}
			for range int(of.without) {
				down[bin(random.NormFloat64())]++
			}
			lower, upper, ok := (&tally{n: of.with + of.without, positives: of.with, scoresUp: up, scoresDown: down}).ranked().limits()
			if !ok || lower > upper {
				t.Fatal("an area without an interval")
			}
			covered += int(one(lower <= of.area && of.area <= upper))
		}
		if share := float64(covered) / samples; share < 0.93 {
			t.Errorf("area %v of %v and %v patients: covered in %.3f of the samples", of.area, of.with, of.without, share)
		}
	}
}

func bin(x float64) int { return min(max(int((x+5)*100), 0), 999) }

// The limits where no pair is out of order, by solving for them with scipy:
// brentq(lambda t: (1-t) - 1.959964*sqrt(t*(1-t)/36*(1+5*((1-t)/(2-t)+t/(1+t)))), 0.01, 0.999).
func TestAreaOfOneHasALowerLimit(t *testing.T) {
	lower, upper, ok := ordered{estimated{1, 0}, 6, 6}.limits()
	if !ok || upper != 1 {
		t.Fatal(lower, upper, ok)
	}
	at := 1 - lower
	size := normal * math.Sqrt(lower*at/36*(1+5*(at/(1+at)+lower/(1+lower))))
	near(t, "distance", at, size, 1e-9)
	if _, _, ok := (ordered{estimated: estimated{1, 0}}).limits(); ok {
		t.Error("a concordance without a standard error has an interval")
	}
}

// A gap to a group whose area is 1 is as unsure as that area.
func TestGapToAnAreaOfOneIsUnsure(t *testing.T) {
	large, perfect := ordered{estimated{0.8, 0.02}, 200, 200}, ordered{estimated{1, 0}, 6, 6}
	lower, upper, p, ok := perfect.minus(large)
	if !ok || lower > 0 || upper < 0.2 || p < 0.05 {
		t.Errorf("a gap of 0.2 (%v to %v, p %v, %v)", lower, upper, p, ok)
	}
	l, u, q, _ := large.minus(perfect)
	near(t, "the other way", l+upper, 0, 1e-12)
	near(t, "the other way", u+lower, 0, 1e-12)
	near(t, "its p-value", q, p, 1e-12)
	// Far from the ends it is that of the standard errors.
	other := ordered{estimated{0.75, 0.02}, 200, 200}
	lower, upper, p, _ = large.minus(other)
	near(t, "lower", lower, 0.05-normal*math.Hypot(0.02, 0.02), 2e-3)
	near(t, "upper", upper, 0.05+normal*math.Hypot(0.02, 0.02), 2e-3)
	near(t, "p", p, 0.0771, 0.005)
	if r, s, ok := large.over(other); !ok || r > 0.8/0.75 || s < 0.8/0.75 {
		t.Error(r, s, ok)
	}
}
