package fairness

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

var studies = flag.Int("studies", 0, "seeded studies over which the coverage of every interval is measured and printed, as in docs/decisions/2026-11-23-what-the-intervals-cover.md")

// ranker draws the score of a patient with the outcome or without: normal scores
// with a chance of so much that the one is above the other.
type ranker struct {
	name  string
	score func(random *rand.Rand, has bool, auc float64) float64
}

var rankers = []ranker{
	{"scores that are shifted", func(random *rand.Rand, has bool, auc float64) float64 {
		return random.NormFloat64() + one(has)*math.Sqrt2*distuv.UnitNormal.Quantile(auc)
	}},
	{"more spread with the outcome", spreadWithOutcome(1.5)},
	{"less spread with the outcome", spreadWithOutcome(0.7)},
	{"some who are far out", func(random *rand.Rand, has bool, auc float64) float64 {
		return random.NormFloat64() + 4*one(has && random.Float64() < 2*auc-1)
	}},
}

func spreadWithOutcome(sd float64) func(random *rand.Rand, has bool, auc float64) float64 {
	return func(random *rand.Rand, has bool, auc float64) float64 {
		if !has {
			return random.NormFloat64()
		}
		return sd*random.NormFloat64() + math.Sqrt(1+sd*sd)*distuv.UnitNormal.Quantile(auc)
	}
}

// group draws so many patients, by score and outcome.
func (r ranker) group(random *rand.Rand, n int, prevalence, auc float64) (up, down []float64) {
	up, down = make([]float64, scores), make([]float64, scores)
	for range n {
		has := random.Float64() < prevalence
		p := logistic(0.9*r.score(random, has, auc) - 0.5)
		b := min(int(scores*p), scores-1)
		up[b], down[b] = up[b]+one(has), down[b]+one(!has)
	}
	return up, down
}

// held is in how many of the groups that have limits these hold the mean figure of
// such groups, of how many groups, and how wide they are.
type held struct{ ndcg, adjusted, groups, width float64 }

func (r ranker) held(studies, n int, prevalence, auc float64) held {
	random := rand.New(rand.NewPCG(uint64(n), math.Float64bits(prevalence+auc)))
	var drawn []ranking
	var h held
	ndcg, adjusted := 0.0, 0.0
	for range studies {
		if one := newRanking(r.group(random, n, prevalence, auc)); one.ndcg.known() {
			drawn = append(drawn, one)
			ndcg, adjusted = ndcg+one.ndcg.of, adjusted+one.adjusted.of
		}
	}
	h.groups = float64(len(drawn))
	for _, d := range drawn {
		h.ndcg += one(d.ndcg.lower <= ndcg/h.groups && ndcg/h.groups <= d.ndcg.upper) / h.groups
		h.adjusted += one(d.adjusted.lower <= adjusted/h.groups && adjusted/h.groups <= d.adjusted.upper) / h.groups
		h.width += (d.adjusted.upper - d.adjusted.lower) / h.groups
	}
	return h
}

// Limits at 95% hold the mean of groups as large in 93 of 100 or more where scores
// are what the limits suppose, and in 88 or more where they are not: with the top of
// the list better, or worse, than the rest of it lets expect. The few studies here
// are allowed three standard errors; -studies 1000 -v prints the whole table.
func TestLimitsOfTheRankingHold(t *testing.T) {
	if *studies > 0 {
		printHeld(t)
		return
	}
	const few = 200
	for _, c := range []struct {
		ranker          int
		n               int
		prevalence, auc float64
		least           float64
	}{{0, 100, 0.3, 0.6, 0.93}, {0, 200, 0.05, 0.75, 0.93}, {0, 1000, 0.02, 0.6, 0.93}, {0, 400, 0.1, 0.9, 0.93}, {0, 200, 0.3, 0.9, 0.93},
		{1, 1000, 0.02, 0.6, 0.9}, {2, 200, 0.1, 0.9, 0.9}, {3, 200, 0.05, 0.75, 0.9}} {
		h := rankers[c.ranker].held(few, c.n, c.prevalence, c.auc)
		slack := 3 * math.Sqrt(0.05*0.95/h.groups)
		if h.ndcg < c.least-slack || h.adjusted < c.least-slack || h.groups < few/4 {
			t.Errorf("%s, %+v: limits hold in %.3f and %.3f of %v groups", rankers[c.ranker].name, c, h.ndcg, h.adjusted, h.groups)
		}
		if h.width > 1 {
			t.Errorf("%s, %+v: limits are %.2f apart, which tells nothing", rankers[c.ranker].name, c, h.width)
		}
	}
}

func printHeld(t *testing.T) {
	sizes := []int{50, 100, 200, 500, 1000, 2000}
	var out strings.Builder
	for _, r := range rankers {
		fmt.Fprintf(&out, "\n%s\n\n| AUC | outcome |", r.name)
		for _, n := range sizes {
			fmt.Fprintf(&out, " %d |", n)
		}
		out.WriteString("\n|---|---|" + strings.Repeat("---|", len(sizes)) + "\n")
		for _, auc := range []float64{0.6, 0.75, 0.9} {
			for _, prevalence := range []float64{0.02, 0.05, 0.1, 0.3} {
				fmt.Fprintf(&out, "| %g | %g |", auc, prevalence)
				for _, n := range sizes {
					if h := r.held(*studies, n, prevalence, auc); h.groups < float64(*studies)/20 {
						out.WriteString(" – |")
					} else {
						fmt.Fprintf(&out, " %.1f, %.1f (±%.2f) |", 100*h.ndcg, 100*h.adjusted, h.width/2)
					}
				}
				out.WriteString("\n")
			}
		}
	}
	t.Log(out.String())
}

// Where fewer have the outcome than limits can be made of, there are none, and no
// gap.
func TestRankingOfFewHasNoLimits(t *testing.T) {
	up, down := make([]float64, scores), make([]float64, scores)
	up[80], up[60], down[70], down[20] = 5, 4, 30, 60
	few := newRanking(up, down)
	up[60]++
	enough := newRanking(up, down)
	if few.ndcg.known() || few.adjusted.known() || !enough.ndcg.known() || !enough.adjusted.known() {
		t.Errorf("nine with the outcome: %+v; ten: %+v", few, enough)
	}
	if _, _, p, ok := enough.ndcg.minus(few.ndcg); ok || p != 1 {
		t.Error("a gap of a figure without limits has an interval")
	}
	if _, ok := alike([]figure{few.ndcg, enough.ndcg}); ok {
		t.Error("groups are drawn that have no standard error")
	}
}

// Limits are about the estimate, also of orders that no truth asked about has: the
// best and the worst. Where all have one score there is no order, and there are none.
func TestLimitsOfTheBestAndTheWorstOrder(t *testing.T) {
	for _, c := range []struct{ up, down int }{{99, 0}, {0, 99}, {50, 50}} {
		up, down := make([]float64, scores), make([]float64, scores)
		up[c.up] += 20
		down[c.down] += 80
		r := newRanking(up, down)
		for _, l := range []limited{r.ndcg, r.adjusted} {
			if !(l.lower <= l.of && l.of <= l.upper && l.upper <= 1 && l.known() == (c.up != c.down)) {
				t.Errorf("%+v: %+v", c, l)
			}
		}
	}
}

// The interval of a difference leaves out zero where its p-value is below 0.05.
func TestDifferenceOfLimitsAgreesWithItsPValue(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for range 200 {
		draw := func() limited {
			at := random.Float64()
			return limited{at, at - 0.5*random.Float64(), at + 0.5*random.Float64()}
		}
		lower, upper, p, ok := draw().minus(draw())
		if !ok || (lower > 0 || upper < 0) != (p < 0.05) {
			t.Errorf("%v to %v, p %v", lower, upper, p)
		}
	}
}
