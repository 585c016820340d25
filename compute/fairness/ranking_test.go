package fairness

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// AIF360's ranking of ten scores, scaled to [0, 1]: its discounted cumulative gain,
// and that over the gain of the best order.
func TestAIF360sRanking(t *testing.T) {
	scores := []float64{55, 65, 85, 70, 60, 50, 40, 30, 20, 10}
	scaled, one := make([]float64, len(scores)), make([]float64, len(scores))
	for i, x := range scores {
		scaled[len(scores)-1-i], one[i] = (x-10)/75, 1 // the first is ranked first, and bins ascend
	}
	best := slices.Sorted(slices.Values(scaled))
	near(t, "DCG", gain(scaled, one), 2.6126967, 5e-8)
	near(t, "NDCG", gain(scaled, one)/gain(best, one), 0.9205433, 5e-8)
}

// scikit-learn's ndcg_score([y], [floor(100 score)]) of Fairlearn's groups; that of
// the scores themselves, also scikit-learn's, is within the bound.
func TestRankingOfBinsIsThatOfScikitLearn(t *testing.T) {
	f := readFixture(t)
	for _, c := range []struct {
		attribute, level string
		scores, bins     float64
	}{
		{"", "all", 0.8403313033, 0.8234550493},
		{"g_1", "aa", 0.7121216915, 0.7128163257},
		{"g_1", "ba", 0.9033576137, 0.8993203407},
		{"g_2", "f", 0.8292968338, 0.8293419804},
		{"g_2", "g", 0.7644085439, 0.7636616880},
		{"g_3", "kk", 0.7787467961, 0.7743601531},
		{"g_3", "m", 0.8492186513, 0.8248205943},
		{"g_4", "pp", 0.8808827073, 0.8780115232},
		{"g_4", "q", 0.7311310387, 0.7309186907},
	} {
		in := func(i int) bool { return c.attribute == "" || f.Groups[c.attribute][i] == c.level }
		up, down := f.binned(100, in)
		r := newRanking(up, down)
		near(t, "NDCG of "+c.level, r.ndcg.of, c.bins, 1e-10)
		near(t, "that of the scores", r.ndcg.of, c.scores, r.bound+1e-9)
		if !(r.bound > 0) || !(r.bound < 0.06) {
			t.Errorf("bound of %s is %v", c.level, r.bound)
		}
		fine := newRanking(f.binned(1_000_000, in))
		near(t, "NDCG of fine bins", fine.ndcg.of, c.scores, 1e-10)
		near(t, "their bound", fine.bound, 0, 1e-12)
		if both := gain(up, total(up, down)); math.Abs(both/gain([]float64{0, sum(up)}, []float64{sum(down), sum(up)})-r.ndcg.of) > 1e-12 {
			t.Errorf("%s: two ways to the same figure differ", c.level)
		}
	}
}

func total(a, b []float64) []float64 {
	out := slices.Clone(a)
	for i := range b {
		out[i] += b[i]
	}
	return out
}

func sum(x []float64) (s float64) {
	for _, v := range x {
		s += v
	}
	return s
}

// The bound holds, and is reached, over all orders inside the bins.
func TestBoundOfTheRankingIsThatOfTheOrdersInsideBins(t *testing.T) {
	up, down := []float64{0, 2, 1, 3}, []float64{2, 1, 3, 1}
	r := newRanking(up, down)
	random := rand.New(rand.NewPCG(3, 4))
	ideal := gain([]float64{0, sum(up)}, []float64{sum(down), sum(up)})
	farthest := 0.0
	for range 4000 {
		var order []float64 // lowest first
		for b := range up {
			var bin []float64
			for k := range int(up[b] + down[b]) {
				bin = append(bin, one(k < int(up[b])))
			}
			random.Shuffle(len(bin), func(i, j int) { bin[i], bin[j] = bin[j], bin[i] })
			order = append(order, bin...)
		}
		farthest = max(farthest, math.Abs(gain(order, total(make([]float64, len(order)), slices.Repeat([]float64{1}, len(order))))/ideal-r.ndcg.of))
	}
	near(t, "farthest", farthest, r.bound, 1e-12)
}

// By chance a large group has a high gain and a small one a lower one; the adjusted
// gain is near zero in both.
func TestAdjustedRankingTakesChanceOut(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	small, large := newRanking(scored(random, 100, 0.3, 0)), newRanking(scored(random, 100_000, 0.3, 0))
	if large.ndcg.of-small.ndcg.of < 0.1 {
		t.Errorf("by chance %v of few and %v of many", small.ndcg.of, large.ndcg.of)
	}
	for _, r := range []ranking{small, large} {
		near(t, "adjusted", r.adjusted.of, 0, 3*r.adjusted.se())
		near(t, "what chance has", r.ndcg.of, r.chance, 3*r.ndcg.se())
	}
}

// scored draws patients by score and outcome.
func scored(random *rand.Rand, n int, prevalence, signal float64) (up, down []float64) {
	up, down = make([]float64, scores), make([]float64, scores)
	for range n {
		y := one(random.Float64() < prevalence)
		b := min(max(int(50+15*(random.NormFloat64()+signal*y)), 0), scores-1)
		up[b], down[b] = up[b]+y, down[b]+1-y
	}
	return up, down
}

// A study that names the ranking has it in its groups and gaps, withheld where the
// number with the outcome is; one that does not has none of it.
func TestRankingIsShownWhereTheStudyAsksForIt(t *testing.T) {
	audit := func(fairness string) *Audit {
		s := parsed(t, `
study: ranked
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: x, type: number, range: [0, 1]}
model: {kind: glm, family: binomial}
fairness:
  attributes: [{column: g, levels: [A, B, C, D]}]
`+fairness)
		var sites []*study.Matrix
		random := rand.New(rand.NewPCG(7, 8))
		for range 4 {
			b, err := s.NewBuilder([]string{"y", "x", "g"})
			if err != nil {
				t.Fatal(err)
			}
			for r := range 200 {
				y := random.IntN(3) / 2
				group := r % 4
				if group == 2 { // four of its 200 have the outcome: a count that is withheld
					y = int(one(r == 2))
				}
				b.Add([]string{strconv.Itoa(y), decimal(math.Round(100*(0.2+0.5*random.Float64()+0.2*float64(y))) / 100), string("ABCD"[group])})
			}
			sites = append(sites, b.Matrix())
		}
		a, _ := auditedBy(t, s, Sizes{Unseen: true}, sites, func(i int) Forecast {
			f := Forecast{Values: make([]float64, sites[i].Rows())}
			for r := range f.Values {
				f.Values[r] = sites[i].AppendRow(nil, r)[1]
			}
			return f
		})
		return a
	}
	a := audit("  metrics: [ndcg, ndcg_adjusted]\n  disclosure: primary\n")
	shown := 0
	for _, g := range a.Groups {
		if _, there := g.Metrics["ndcg"]; !there {
			continue
		}
		shown++
		ndcg, adjusted, chance := g.Metrics["ndcg"], g.Metrics["ndcg_adjusted"], g.Metrics["ndcg_by_chance"]
		limits := g.Level != "C" // four of whom have the outcome
		if ndcg.Bound == nil || (ndcg.Lower != nil) != limits || (adjusted.Upper != nil) != limits || chance.Estimate == 0 {
			t.Fatalf("%s: %+v %+v %+v", g.Level, ndcg, adjusted, chance)
		}
		near(t, g.Level, adjusted.Estimate, (ndcg.Estimate-chance.Estimate)/(1-chance.Estimate), 1e-12)
	}
	if shown != 5 {
		t.Errorf("%d groups have it", shown)
	}
	few := audit("  metrics: [ndcg, ndcg_adjusted]\n  disclosure: complementary\n").Group("g", "C")
	if !slices.Contains(few.Withheld, "ndcg") || !slices.Contains(few.Withheld, "ndcg_adjusted") || !slices.Contains(few.Withheld, "ndcg_by_chance") {
		t.Errorf("of a group with four who have the outcome: %v, withheld %v", few.Metrics, few.Withheld)
	}
	gaps := map[string]int{}
	for _, g := range a.Gaps {
		gaps[g.Metric]++
		near(t, g.Metric+" of "+g.Level, g.Estimate, a.Group("g", g.Level).Metrics[g.Metric].Estimate-a.Group("g", g.Reference).Metrics[g.Metric].Estimate, 1e-12)
	}
	if gaps["ndcg"] == 0 || gaps["ndcg"] != gaps["ndcg_adjusted"] || len(gaps) != 2 {
		t.Errorf("gaps %v", gaps)
	}
	if !slices.Contains(a.Limits, rankingLimit) {
		t.Error("the report does not say what the ranking cannot tell")
	}
	for _, g := range audit("  disclosure: primary\n").Groups {
		if _, there := g.Metrics["ndcg"]; there || slices.Contains(g.Withheld, "ndcg") {
			t.Errorf("%s has a ranking that nobody asked for", g.Level)
		}
	}
}
