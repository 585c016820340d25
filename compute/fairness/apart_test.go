package fairness

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Of groups that are alike, intervals of how far apart they are reach to being
// alike, and an interval has its estimate inside, whatever the groups. The middle
// of the replicates did neither.
func TestGroupsThatAreAlikeAreNotShownApart(t *testing.T) {
	const studies = 200
	random := rand.NewPCG(3, 4)
	draw := &chance{source: random}
	c := &chance{replicates: 200, source: rand.NewPCG(5, 6)}
	rates := []float64{30, 15, 70, 35} // TP, FP, TN, FN of either group
	confusion := func() Confusion { d := draw.poisson(rates); return Confusion{d[0], d[1], d[2], d[3]} }
	up, down := []float64{4, 8, 16, 32}, []float64{32, 16, 8, 4}
	holds := map[string]int{}
	for range studies {
		x, y := confusion(), confusion()
		groups := []Confusion{x, y}
		again := func() []Confusion { return []Confusion{c.drawn(x), c.drawn(y)} }
		u1, d1, u2, d2 := draw.poisson(up), draw.poisson(down), draw.poisson(up), draw.poisson(down)
		between, _ := abroca(u1, d1, u2, d2)
		epsilon, _, _ := differential(groups)
		for _, m := range []struct {
			name  string
			alike float64
			Metric
		}{
			{"equalized odds", 0, c.apart(EqualizedOdds(x, y), func() float64 { return EqualizedOdds(c.drawn(x), c.drawn(y)) })},
			{"equalized odds ratio", 1, c.ratioApart(EqualizedOddsRatio(x, y), func() float64 { return EqualizedOddsRatio(c.drawn(x), c.drawn(y)) })},
			{"abroca", 0, c.apart(between, func() float64 {
				v, _ := abroca(c.poisson(u1), c.poisson(d1), c.poisson(u2), c.poisson(d2))
				return v
			})},
			{"differential", 0, c.apart(epsilon, func() float64 { e, _, _ := differential(again()); return e })},
			{"between", 0, c.apart(BetweenGEI(groups...), func() float64 { return BetweenGEI(again()...) })},
		} {
			if m.Lower == nil || *m.Lower > m.Estimate || *m.Upper < m.Estimate {
				t.Fatalf("%s: %v is not inside its interval", m.name, m.Metric)
			}
			if *m.Lower == m.alike || *m.Upper == m.alike {
				holds[m.name]++
			}
		}
	}
	for name, n := range holds {
		if 100*n < 85*studies {
			t.Errorf("%s: of %d pairs of groups that are alike only %d have an interval that says so", name, studies, n)
		}
	}
	if len(holds) != 5 {
		t.Errorf("intervals that reach to being alike: %v", holds)
	}
	t.Log(holds)
}

// Groups that are far apart are shown so, with about the interval that the
// replicates have.
func TestGroupsThatAreApartAreShownSo(t *testing.T) {
	c := &chance{replicates: 400, source: rand.NewPCG(7, 8)}
	x, y := Confusion{TP: 80, FP: 10, TN: 90, FN: 20}, Confusion{TP: 40, FP: 10, TN: 90, FN: 60}
	m := c.apart(EqualizedOdds(x, y), func() float64 { return EqualizedOdds(c.drawn(x), c.drawn(y)) })
	near(t, "lower limit", *m.Lower, 0.4-1.96*math.Sqrt(0.8*0.2/100+0.4*0.6/100), 0.03)
	near(t, "upper limit", *m.Upper, 0.4+1.96*math.Sqrt(0.8*0.2/100+0.4*0.6/100), 0.03)
}
