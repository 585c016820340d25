package fairness

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/compute/disclosure/attack"
)

// lone is the audit of one attribute with two groups, both open.
func lone(t *testing.T, outcome, family, more string, floor int) (*reading, question) {
	t.Helper()
	s := parsed(t, fmt.Sprintf(`study: attacked
version: 1
outcome: %s
features:
  - {column: x, type: number, range: [0, 100]}
model: {kind: glm, family: %s}
%s
fairness:
  attributes: [{column: g, levels: [A]}]
  minimum_cell: %d
  disclosure: complementary
`, outcome, family, more, floor))
	return &reading{study: s, minimum: floor}, question{Cells: []int{0, 1, 2}}
}

func hiddenTotals(r *reading, q question, tallies ...*tally) []map[string]bool {
	out := []map[string]bool{{}, {}, {}}
	withholdTotals(r.study, q, tallies, r.minimum, out)
	return out
}

// holding has so many events in all, of patients who have these.
func holding(n float64, events ...float64) *tally {
	t := &tally{n: n}
	squares := 0.0
	for _, y := range events {
		t.outcome, squares = t.outcome+y, squares+y*y
	}
	t.outcomeSpread = squares - t.outcome*t.outcome/n
	return t
}

// Rule: the mean of a count is not shown of a group of which few patients have any;
// nor is it what all have less the other groups.
func TestTotalOfFewHoldersIsWithheld(t *testing.T) {
	r, q := lone(t, "{column: y, type: count, range: [0, 50]}", "poisson", "", 11)
	a, b := slices.Repeat([]float64{1, 2, 3}, 20), []float64{7, 9}
	out := hiddenTotals(r, q, holding(200, append(slices.Clone(a), b...)...), holding(150, a...), holding(50, b...))
	if !out[2][totalOutcome] || !out[1][totalOutcome] {
		t.Errorf("16 events of two patients are all 136 less 120 of the others: %v", out)
	}
	whole := &tally{n: 50, hidden: out[2], err: sample{50, 5, 9}, square: sample{50, 9, 9}, absolute: sample{50, 9, 9}, outcome: 16, outcomeSpread: 100, predictedSpread: 10, width: 50}
	g := Group{Metrics: map[string]Metric{}, Undefined: map[string]string{}}
	whole.measureDose(&g)
	for _, name := range []string{"mean_actual", "bias", "r2", "agreement_lower"} {
		if _, shown := g.Metrics[name]; shown {
			t.Errorf("%s is shown: beside the others it is the sum of two patients", name)
		}
	}
	// Many holders, of whom one has nearly all.
	out = hiddenTotals(r, q, holding(200, append(slices.Clone(a), append(slices.Repeat([]float64{1}, 20), 400)...)...), holding(150, a...), holding(50, append(slices.Repeat([]float64{1}, 20), 400)...))
	if !out[2][totalOutcome] {
		t.Error("a total of which one patient has 400 of 420 is shown")
	}
	out = hiddenTotals(r, q, holding(200, append(slices.Clone(a), a...)...), holding(150, a...), holding(50, a[:40]...))
	if len(out[1])+len(out[2]) != 0 {
		t.Errorf("totals of many patients are withheld: %v", out)
	}
}

// Rule: where predictions are nearly right for everyone, their sum is the number of
// patients with the outcome, and is withheld where that is small.
func TestPredictionsDoNotTellSmallNumbersWithTheOutcome(t *testing.T) {
	r, q := lone(t, "{column: y, type: binary, positive: [yes], negative: [no]}", "binomial", "", 11)
	right := func(n, positives, errors float64) *tally {
		return &tally{n: n, positives: positives, predicted: positives + errors, square: sample{n, errors * errors, 1}, loss: sample{n, 2 * errors, 1}}
	}
	out := hiddenTotals(r, q, right(260, 84, 0.4), right(200, 80, 0.2), right(60, 4, 0.2))
	if !out[2][predictedSum] || !out[1][predictedSum] && !out[0][predictedSum] {
		t.Errorf("4 of 60 are the sum of predictions 4.2, off by 0.4 at most: %v", out)
	}
	out = hiddenTotals(r, q, right(260, 84, 20), right(200, 80, 10), right(60, 4, 10))
	if len(out[0])+len(out[1])+len(out[2]) != 0 {
		t.Errorf("predictions that are far off are withheld: %v", out)
	}
}

// Rule: the score of an interval less its width is the distance by which patients are
// missed; of few it is not shown. Nor is a width from which few patients' is missing.
func TestIntervalScoreDoesNotTellTheMissesOfFew(t *testing.T) {
	one := &tally{n: 60, hidden: map[string]bool{"covered": true}, interval: &interval{n: 60, covered: 58, above: 1, half: 10, width: 20, score: sample{60, 1300, 40000}}}
	g := Group{Metrics: map[string]Metric{}}
	one.interval.measure(one, &g)
	if _, shown := g.Metrics["interval_score"]; shown {
		t.Error("two patients are missed, by 100 fortieths together, and the score is shown")
	}
	r, q := lone(t, "{column: y, type: number, range: [0, 100]}", "gaussian", "validation: {kind: k-fold, folds: 5}", 11)
	half := 10.0
	q.HalfWidth = &half
	wide := func(n, missing float64) *tally {
		return &tally{n: n, interval: &interval{n: n, half: half, width: 20 - missing/n}}
	}
	if out := hiddenTotals(r, q, wide(200, 15), wide(140, 0), wide(60, 15)); !out[2][intervalCut] {
		t.Errorf("a width of which 15 of 20 is missing for one patient or a few is shown: %v", out)
	}
	if out := hiddenTotals(r, q, wide(200, 0), wide(140, 0), wide(60, 0)); len(out[0])+len(out[1])+len(out[2]) != 0 {
		t.Errorf("full widths are withheld: %v", out)
	}
}

// Rule: what is withheld of a group is not given by its gap to another.
func TestGapNeedsWhatItsFiguresNeed(t *testing.T) {
	s := parsed(t, survivalShown().study+"\nfairness: {times: [1, 3]}\n")
	for metric, column := range map[string]string{"cindex": "events", "event_share": "events", "oe": "until0", "calibration_in_the_large": "beyond0"} {
		for _, c := range survivalComparisons(s) {
			if c.metric == metric && c.knows(&tally{hidden: map[string]bool{column: true}}) {
				t.Errorf("a gap of %s is shown where %s is withheld", metric, column)
			}
		}
	}
}

// Rule: the reason why a group has no figure does not say how few it has of what is
// withheld.
func TestReasonDoesNotTellHowFew(t *testing.T) {
	g := Group{Metrics: map[string]Metric{}, Undefined: map[string]string{}}
	(&recalibration{}).measure(&tally{n: 200, positives: 4, hidden: map[string]bool{"positives": true}}, 1, &g)
	if len(g.Undefined) != 0 || len(g.Withheld) != 2 {
		t.Errorf("fewer than ten of 200 have the outcome: %v", g.Undefined)
	}
	g = Group{Metrics: map[string]Metric{}, Undefined: map[string]string{}}
	one := &tally{n: 60, survival: true, hidden: map[string]bool{"beyond0": true}, suffixes: []string{""}, followed: []followUp{{beyond: 4, fewest: 11}}}
	one.measureSurvival(&g)
	if g.Undefined["observed_risk"] != "" || !slices.Contains(g.Withheld, "observed_risk") {
		t.Errorf("fewer than eleven were followed beyond: %v", g.Undefined)
	}
}

// Rule: a risk by a time, beside all who had the event by then and all who were
// followed beyond, does not tell the events of an interval of the grid. With all its
// digits it does.
func TestRiskDoesNotTellTheEventsOfAnInterval(t *testing.T) {
	const n, floor = 60, 5
	course := func(events, gone [3]int, coarse bool) float64 {
		float := func(x [3]int) []float64 { return []float64{float64(x[0]), float64(x[1]), float64(x[2])} }
		f := newFollowed(n, 10, float(events), float(gone), floor)
		if coarse {
			f.coarsen(n)
		}
		return f.free
	}
	parts := func(total int) (out [][3]int) {
		for a := range total + 1 {
			for b := range total - a + 1 {
				out = append(out, [3]int{a, b, total - a - b})
			}
		}
		return out
	}
	events, gone := [3]int{6, 3, 5}, [3]int{4, 7, 5}
	for _, coarse := range []bool{false, true} {
		lo, hi := events, events
		shown := course(events, gone, coarse)
		for _, d := range parts(14) {
			for _, c := range parts(16) {
				if math.Abs(course(d, c, coarse)-shown) < 1e-12 {
					for k := range d {
						lo[k], hi[k] = min(lo[k], d[k]), max(hi[k], d[k])
					}
				}
			}
		}
		for k := range events {
			switch wide := hi[k]-lo[k] >= floor; {
			case coarse && !wide:
				t.Errorf("interval %d has from %d to %d events", k, lo[k], hi[k])
			case !coarse && wide:
				t.Errorf("interval %d has from %d to %d events by the exact risk: the attack is not what it was", k, lo[k], hi[k])
			}
		}
	}
}

// Rule: what follows from rates that are shown is shown.
func TestWhatFollowsFromShownRatesIsShown(t *testing.T) {
	random := rand.New(rand.NewPCG(18, 8))
	followed := 0
	for range 12 {
		a, _ := attackedAudit(t, random, 3+random.IntN(3), "complementary")
		for _, g := range a.Groups {
			for _, at := range []string{"", "_at_0.6"} {
				has := func(names ...string) bool {
					return !slices.ContainsFunc(names, func(name string) bool { _, ok := g.Metrics[name]; return !ok })
				}
				if has("prevalence", "tpr"+at, "fpr"+at) {
					if followed++; !has("selection_rate"+at, "accuracy"+at) {
						t.Errorf("%s %s: the selection rate follows from TPR, FPR and prevalence, and is withheld", g.Attribute, g.Level)
					}
				}
			}
		}
	}
	if followed < 10 {
		t.Errorf("%d groups show all three: the cohorts test too little", followed)
	}
}

// Rule: no small count follows from the rates of an audit that is too large to be
// solved at once: of all groups of two attributes and their combinations, put into
// one system.
func TestNothingBelowTheFloorFollowsFromAWideAudit(t *testing.T) {
	const floor = 11
	s, q, tallies := wideAudit(t, 4, 4, 2, 2500)
	if counts := len(tallies) * 9; counts < 700 {
		t.Fatalf("%d counts: not wide", counts)
	}
	out := withheld(s, q, tallies, floor, nil)
	// Atoms: group of either attribute, by how far off: within 10, 20, 30 %, more; too
	// low or too high.
	const pieces = 6
	inside := map[string][]int{"within0": {0}, "within1": {0, 1}, "within2": {0, 1, 2, 3}, "under": {2, 4}, "over": {3, 5}}
	counts := map[string]func(*tally) float64{
		"within0": func(t *tally) float64 { return t.within[0] }, "within1": func(t *tally) float64 { return t.within[1] }, "within2": func(t *tally) float64 { return t.within[2] },
		"under": func(t *tally) float64 { return t.under }, "over": func(t *tally) float64 { return t.over },
	}
	r := &attack.Attacker{Atoms: 16 * pieces}
	atoms := func(of [2]int, which []int) (list []int) {
		for a := range 4 {
			for b := range 4 {
				if (of[0] < 0 || a == of[0]) && (of[1] < 0 || b == of[1]) {
					for _, k := range which {
						list = append(list, (a*4+b)*pieces+k)
					}
				}
			}
		}
		return list
	}
	known := cells(s)
	var targets []func()
	tried, shown := 0, 0
	for i, c := range q.Cells {
		of := [2]int{-1, -1}
		if slices.ContainsFunc(known[c].attributes, func(a int) bool { return a > 1 }) {
			continue
		}
		for k, a := range known[c].attributes {
			of[a] = known[c].groups[k]
		}
		one := tallies[i]
		r.Is(atoms(of, []int{0, 1, 2, 3, 4, 5}), int(one.n))
		for name, which := range inside {
			n := int(counts[name](one))
			if !out[i][name] {
				shown++
				r.Is(atoms(of, which), n)
			} else if disclosure.Small(n, floor) {
				targets = append(targets, func() {
					tried++
					if lo, hi := r.Interval(atoms(of, which), n, floor); hi-lo < floor {
						t.Errorf("%s of %s %s are from %d to %d of %v", name, known[c].name, known[c].level, lo, hi, one.n)
					}
				})
			}
		}
	}
	for _, try := range targets {
		try()
	}
	if tried < 10 || shown < 20 {
		t.Errorf("%d small counts and %d figures: the audit tests too little", tried, shown)
	}
}
