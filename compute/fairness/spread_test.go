package fairness

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestSpreadBinsHoldTheirErrors(t *testing.T) {
	for _, x := range []float64{0, 1e-9, 1.0 / 800, 0.01, 0.1, 0.25, 0.9, 1, 1.5, mostWidths} {
		k := spreadBin(x)
		if k < 0 || k >= spreadBins || x < spreadEdges[k] || x > spreadEdges[k+1] {
			t.Errorf("%v is in bin %d", x, k)
		}
	}
	if !slices.IsSorted(spreadEdges[:]) || spreadEdges[spreadBins-1] != 1 {
		t.Errorf("edges %v", spreadEdges)
	}
}

// Quantiles of what hospitals hold together differ from those of the pooled
// records by no more than the bound beside them, whether the steps are shared or
// not, and the bound is a small part of the quantile.
func TestQuantilesAreWithinTheirBoundOfThePooledOnes(t *testing.T) {
	random := rand.New(rand.NewPCG(20261122, 4))
	for _, protocol := range []string{planted, strings.Replace(planted, "disclosure: complementary", "disclosure: primary", 1)} {
		s := parsed(t, protocol)
		sites := hospitals(t, s, 5, 400, halves)
		predictions := make([][]float64, len(sites))
		pooled := map[string][]float64{}
		for i, m := range sites {
			for r := range m.Rows() {
				g, _ := halves(i, r)
				e := random.NormFloat64() * 6
				if g == "B" {
					e = random.ExpFloat64() * 15
				}
				predictions[i] = append(predictions[i], m.Outcome(r)+e)
				e = math.Abs(predictions[i][r] - m.Outcome(r))
				pooled[All], pooled[g] = append(pooled[All], e), append(pooled[g], e)
			}
		}
		a, opened := audited(t, s, sites, func(i, r int) float64 { return predictions[i][r] })
		if cells, n := len(opened[Step].Field("patients")), len(opened[Step].Field(spreadName)); n >= cells*spreadBins {
			t.Errorf("%d counts of %d cells: combinations are asked for what is not shown of them", n, cells)
		}
		for _, level := range []string{All, "A", "B"} {
			name := "g"
			if level == All {
				name = All
			}
			g := a.Group(name, level)
			slices.Sort(pooled[level])
			for _, share := range spreadShares {
				want := pooled[level][int(math.Ceil(float64(share)/100*float64(len(pooled[level]))))-1]
				m, ok := g.Metrics[fmt.Sprintf("absolute_error_p%d", share)]
				// Shared steps end where the group with the smaller errors has few patients.
				if !ok && level == "B" && share > 50 && s.Fairness.Complementary && slices.Contains(g.Withheld, fmt.Sprintf("absolute_error_p%d", share)) {
					continue
				}
				if !ok || m.Bound == nil {
					t.Fatalf("%s has no quantile of %d%%", level, share)
				}
				if off := math.Abs(m.Estimate - want); off > *m.Bound+1e-9 || *m.Bound > 0.2*want {
					t.Errorf("%s, %d%%: %v ± %v, pooled %v", level, share, m.Estimate, *m.Bound, want)
				}
			}
		}
		for _, g := range a.Groups {
			if _, there := g.Metrics["absolute_error_p50"]; there && strings.Contains(g.Attribute, "×") {
				t.Errorf("%s has a quantile", g.Level)
			}
		}
	}
}

// Whatever the counts, no step that a quantile is read off tells of fewer than
// the minimum cell: of all patients, of a group, or of those in no group that is
// shown; and steps of groups end where steps of all patients do.
func TestQuantilesAreReadOffStepsThatHoldEnough(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 1))
	const fewest = 11
	check := func(counts []float64, ends []int) {
		t.Helper()
		from := 0
		for _, to := range append(slices.Clone(ends), len(counts)) {
			n := 0.0
			for _, c := range counts[from:to] {
				n += c
			}
			if n > 0 && n < fewest {
				t.Fatalf("%v patients in bins %d to %d", n, from, to)
			}
			from = to
		}
	}
	steps := 0
	for round := range 2000 {
		all, rest := make([]float64, spreadBins), make([]float64, spreadBins)
		groups := make([][]float64, 1+random.IntN(3))
		for k := range groups {
			groups[k] = make([]float64, spreadBins)
		}
		for b := range spreadBins {
			for _, counts := range append(groups, rest) {
				counts[b] = float64(random.IntN(1 << random.IntN(7)))
				all[b] += counts[b]
			}
		}
		shared := round%2 == 0
		whole := &tally{spread: all}
		ends := whole.wholeSteps(fewest, shared)
		check(all, ends)
		var tallies []*tally
		for _, counts := range groups {
			tallies = append(tallies, &tally{spread: counts})
		}
		of := groupSteps(whole, tallies, ends, fewest, shared)
		for k, own := range of {
			steps += len(own)
			if own == nil {
				continue
			}
			check(groups[k], own)
			if shared {
				check(rest, own)
			}
			for _, end := range own {
				if !slices.Contains(ends, end) {
					t.Fatalf("a group's step ends at %d, those of all at %v", end, ends)
				}
			}
		}
	}
	if steps < 2000 {
		t.Errorf("only %d steps", steps)
	}
}

// A group of fewer than two minimum cells has no quantile, and says that it is
// withheld; nor has one whose patients are few where the quantile lies.
func TestQuantilesOfFewPatientsAreWithheld(t *testing.T) {
	s := parsed(t, strings.Replace(planted, "levels: [A, B]", "levels: [A, B, C]", 1))
	group := func(i, r int) (g, h string) {
		switch {
		case r < 4:
			return "C", "U" // 20 patients, spread over the bins
		case r%2 == 0:
			return "A", "V"
		}
		return "B", "U"
	}
	sites := hospitals(t, s, 5, 300, group)
	a, _ := audited(t, s, sites, func(i, r int) float64 { return sites[i].Outcome(r) + 0.3*math.Exp2(float64(r%7)) })
	c := a.Group("g", "C")
	if c.State != OK || *c.N != 20 {
		t.Fatalf("C is %s", c.State)
	}
	for _, share := range spreadShares {
		name := fmt.Sprintf("absolute_error_p%d", share)
		if _, shown := c.Metrics[name]; shown || !slices.Contains(c.Withheld, name) {
			t.Errorf("%s of 20 patients is shown", name)
		}
	}
	if _, shown := a.Group(All, All).Metrics["absolute_error_p50"]; !shown {
		t.Error("all patients have no median")
	}
}
