package fairness

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/disclosure/attack"
	"github.com/consilium-fl/consilium/study"
)

// figures are what an audit of one kind of outcome shows, over classes of patients:
// each class has one outcome and one prediction.
type figures struct {
	study   string // its outcome, features and model
	fair    string // of its fairness section
	records [][]string
	predict []float64
	free    func(prediction, time float64) float64
	sizes   Sizes
	// shares are metrics, each with those who count and of whom; counts are metrics
	// that give a count away, whatever else they are made of.
	shares map[string][2][]int
	counts map[string][]int
	unit   map[string]float64
	// small must not follow from what is shown, of any group.
	small map[string][]int
	times int      // as many patients; 0 for once
	again *figures // of another model for the same patients: predictions and shares
	more  func(r *attack.Attacker, s *study.Study, a *Audit, i int, in func(classes []int) []int, truth []int)
}

func classesWhere(n int, keep func(class int) bool) (out []int) {
	for c := range n {
		if keep(c) {
			out = append(out, c)
		}
	}
	return out
}

// cohort audits a small skewed cohort over three hospitals and returns how many
// patients each atom has: group of g, group of h, class.
func (f figures) cohort(t *testing.T, random *rand.Rand, floor int) (*study.Study, []*Audit, []int) {
	t.Helper()
	s := parsed(t, f.study+fmt.Sprintf(`
fairness:
  attributes:
    - {column: g, levels: [A, B]}
    - {column: h, levels: [U, V]}
  intersections: 2
  minimum_cell: %d
  minimum_sites: 1
  largest_share: 1
  bootstrap: 0
  disclosure: complementary
%sprivacy: {minimum_contributors: 2}
`, floor, f.fair))
	k := len(f.records)
	truth := make([]int, 9*k)
	odds := make([]float64, len(truth))
	total := 0.0
	var skew [2][3]float64
	for i := range skew {
		if skew[i] = [3]float64{1, random.Float64(), 0}; random.IntN(3) == 0 {
			skew[i][2] = 0.2
		}
	}
	for at := range odds {
		odds[at] = skew[0][at/k/3] * skew[1][at/k%3] * random.ExpFloat64() * random.ExpFloat64()
		total += odds[at]
	}
	columns := append(strings.Fields("y e")[:len(f.records[0])], "x", "g", "h")
	builders := make([]*study.Builder, 3)
	predictions, second := make([][]float64, 3), make([][]float64, 3)
	for i := range builders {
		var err error
		if builders[i], err = s.NewBuilder(columns); err != nil {
			t.Fatal(err)
		}
	}
	for i := range (60 + random.IntN(120)) * max(f.times, 1) {
		u, at := random.Float64()*total, 0
		for u > odds[at] && at < len(odds)-1 {
			u -= odds[at]
			at++
		}
		truth[at]++
		record := append(slices.Clone(f.records[at%k]), "1", []string{"A", "B", ""}[at/k/3], []string{"U", "V", ""}[at/k%3])
		builders[i%3].Add(record)
		predictions[i%3] = append(predictions[i%3], f.predict[at%k])
		if f.again != nil {
			second[i%3] = append(second[i%3], f.again.predict[at%k])
		}
	}
	var sites []*study.Matrix
	for _, b := range builders {
		sites = append(sites, b.Matrix())
	}
	sizes := f.sizes
	sizes.Unseen = true
	says := func(predictions [][]float64) func(i int) Forecast {
		return func(i int) Forecast {
			out := Forecast{Values: predictions[i]}
			if f.free != nil {
				out.Free = func(record int, time float64) float64 { return f.free(predictions[i][record], time) }
			}
			return out
		}
	}
	first := New(s, sizes)
	out := []*Audit{toEnd(t, first, sites, says(predictions))}
	if f.again != nil {
		out = append(out, toEnd(t, first.Again(nil), sites, says(second)))
	}
	return s, out, truth
}

// toEnd asks the hospitals whatever an audit asks.
func toEnd(t *testing.T, a *Session, sites []*study.Matrix, forecast func(i int) Forecast) *Audit {
	t.Helper()
	for {
		q, done, err := a.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return a.Audit()
		}
		total := []float64{}
		for i, m := range sites {
			values, err := Answer(a.study, q.Step, q.Parameters, m, forecast(i))
			if err != nil {
				t.Fatal(err)
			}
			total = append(total, make([]float64, len(values)-len(total))...)
			for k, v := range values {
				total[k] += v
			}
		}
		sum, err := compute.NewSum(len(sites), q.Layout, total)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
}

// attacked puts everything that the audit shows into one system and returns the
// small counts that follow from it.
func (f figures) attacked(t *testing.T, random *rand.Rand, floor int) (found []string, tried, shown int) {
	t.Helper()
	s, audits, truth := f.cohort(t, random, floor)
	a, k := audits[0], len(f.records)
	r := &attack.Attacker{Atoms: len(truth)}
	count := func(of []int) (n int) {
		for _, i := range of {
			n += truth[i]
		}
		return n
	}
	every := classesWhere(k, func(int) bool { return true })
	atoms := func(g, h int, classes []int) (out []int) {
		for i := range 3 {
			for j := range 3 {
				if (g < 0 || i == g) && (h < 0 || j == h) {
					for _, c := range classes {
						out = append(out, (i*3+j)*k+c)
					}
				}
			}
		}
		return out
	}
	var targets []func()
	for i, group := range a.Groups {
		g, h := groupsOf(i)
		own := atoms(g, h, every)
		switch group.State {
		case Zero:
			r.Is(own, 0)
			continue
		case Suppressed, Merged:
			r.AtLeast(own, 1)
			if n := count(own); 0 < n && n < floor {
				targets = append(targets, func() {
					tried++
					if lo, hi := r.Interval(own, n, floor); hi-lo < floor {
						found = append(found, fmt.Sprintf("%s %s has from %d to %d patients", group.Attribute, group.Level, lo, hi))
					}
				})
			}
			continue
		}
		members := [][2]int{{g, h}}
		for _, name := range group.With {
			for level, of := range []string{"A", "B", study.Unknown} {
				if g >= 0 && h < 0 && of == name {
					members = append(members, [2]int{level, h})
				}
			}
			for level, of := range []string{"U", "V", study.Unknown} {
				if h >= 0 && g < 0 && of == name {
					members = append(members, [2]int{g, level})
				}
			}
		}
		if g >= 0 && h >= 0 && group.With != nil {
			continue // which of the two is joined the attribute's own row says
		}
		in := func(classes []int) (out []int) {
			for _, m := range members {
				out = append(out, atoms(m[0], m[1], classes)...)
			}
			return out
		}
		if count(in(every)) != *group.N {
			t.Fatalf("%s %s has %d patients, shown as %d", group.Attribute, group.Level, count(in(every)), *group.N)
		}
		r.Is(in(every), *group.N)
		if f.again != nil {
			for name, m := range audits[1].Groups[i].Metrics {
				if share, ok := f.again.shares[name]; ok {
					r.Share(in(share[0]), in(share[1]), m.Estimate)
					shown++
				}
			}
		}
		for name, m := range group.Metrics {
			if share, ok := f.shares[name]; ok {
				unit := max(f.unit[name], 1)
				if is := unit * float64(count(in(share[0]))) / float64(count(in(share[1]))); math.Abs(is-m.Estimate) > 1e-9*unit {
					t.Fatalf("%s of %s is %v, not %v", name, group.Level, m.Estimate, is)
				}
				r.Share(in(share[0]), in(share[1]), m.Estimate/unit)
				shown++
			}
			if of, ok := f.counts[name]; ok {
				r.Is(in(of), count(in(of)))
				shown++
			}
		}
		if f.more != nil {
			f.more(r, s, a, i, in, truth)
		}
		for name, classes := range f.small {
			if n := count(in(classes)); 0 < n && n < floor {
				targets = append(targets, func() {
					tried++
					if lo, hi := r.Interval(in(classes), n, floor); hi-lo < floor {
						found = append(found, fmt.Sprintf("%s of %s %s are from %d to %d of %d", name, group.Attribute, group.Level, lo, hi, *group.N))
					}
				})
			}
		}
	}
	for _, try := range targets {
		try()
	}
	slices.Sort(found)
	return found, tried, shown
}

// hold runs the attack on seeded cohorts.
func (f figures) hold(t *testing.T, rounds, atLeastTried, atLeastShown int) {
	random := rand.New(rand.NewPCG(19, 9))
	tried, shown := 0, 0
	for round := range rounds {
		floor := 3 + random.IntN(3)
		found, n, k := f.attacked(t, random, floor)
		tried, shown = tried+n, shown+k
		for _, what := range found {
			t.Errorf("round %d, floor %d: %s", round, floor, what)
		}
	}
	t.Logf("%d small counts, %d figures", tried, shown)
	if tried < atLeastTried || shown < atLeastShown {
		t.Errorf("%d small counts and %d figures: the cohorts test too little", tried, shown)
	}
}

// doses are classes of patients: what they take, and how much more or less the model
// says. Nearly every pair of a share of the dose and a size of the error is among
// them, so that neither tells the other.
var doses = [][2]float64{
	{20, 0}, {20, 3}, {20, -5}, {20, 5}, {20, -8}, {20, 8}, {20, -15}, {20, 15},
	{60, 5}, {60, 8}, {60, 11.5}, {60, -11.5}, {60, 14}, {60, -14}, {60, -20}, {60, 20},
	{90, 0}, {90, 3}, {90, 5}, {90, 8}, {90, 15}, {90, -15}, {90, 20}, {90, -20},
}

func dosesShown() figures {
	f := figures{study: `study: attacked
version: 1
outcome: {column: y, type: number, range: [0, 100]}
features:
  - {column: x, type: number, range: [0, 100]}
model: {kind: glm, family: gaussian}
validation: {kind: k-fold, folds: 5}`, shares: map[string][2][]int{}, unit: map[string]float64{}, small: map[string][]int{}}
	half := 11.0
	f.sizes.HalfWidth = &half
	for _, d := range doses {
		f.records, f.predict = append(f.records, []string{fmt.Sprint(d[0])}), append(f.predict, d[0]+d[1])
	}
	where := func(keep func(y, e float64) bool) []int {
		return classesWhere(len(doses), func(c int) bool { return keep(doses[c][0], doses[c][1]) })
	}
	all := where(func(_, _ float64) bool { return true })
	share := func(name string, keep func(y, e float64) bool) {
		f.shares[name], f.unit[name] = [2][]int{where(keep), all}, 100
		f.small[name] = where(keep)
		f.small["not "+name] = where(func(y, e float64) bool { return !keep(y, e) })
	}
	share("within10", func(y, e float64) bool { return math.Abs(e) <= y/10 })
	share("within20", func(y, e float64) bool { return math.Abs(e) <= y/5 })
	share("within30", func(y, e float64) bool { return math.Abs(e) <= 0.3*y })
	share("under20", func(y, e float64) bool { return e < -y/5 })
	share("over20", func(y, e float64) bool { return e > y/5 })
	share("interval_coverage", func(_, e float64) bool { return math.Abs(e) <= half })
	share("above_interval", func(_, e float64) bool { return e < -half })
	share("below_interval", func(_, e float64) bool { return e > half })
	for k := range spreadBins {
		if of := where(func(_, e float64) bool { return spreadBin(math.Abs(e)/100) == k }); of != nil {
			f.small[fmt.Sprint("errors in bin ", k)] = of
		}
	}
	f.more = func(r *attack.Attacker, s *study.Study, a *Audit, i int, in func([]int) []int, truth []int) {
		quantile := func(share int) bool {
			_, shown := a.Groups[i].Metrics[fmt.Sprintf("absolute_error_p%d", share)]
			return shown
		}
		if i > 6 || !slices.ContainsFunc(spreadShares, quantile) { // combinations have none
			return
		}
		for _, step := range stepsShown(s, a, i, truth) {
			of := in(where(func(_, e float64) bool {
				b := spreadBin(math.Abs(e) / 100)
				return step[0] <= b && b < step[1]
			}))
			n := 0
			for _, at := range of {
				n += truth[at]
			}
			r.Is(of, n)
		}
	}
	return f
}

// stepsShown are the steps that a group's quantiles are read off: of them the reader
// is given every count, which is more than the quantiles tell.
func stepsShown(s *study.Study, a *Audit, i int, truth []int) (out [][2]int) {
	bins := func(g, h int) []float64 {
		n := make([]float64, spreadBins)
		for at, patients := range truth {
			k := len(doses)
			if (g < 0 || at/k/3 == g) && (h < 0 || at/k%3 == h) {
				n[spreadBin(math.Abs(doses[at%k][1])/100)] += float64(patients)
			}
		}
		return n
	}
	// Those inside the interval divide a bin whether their number is shown or not.
	divide := func(t *tally, row, g, h int) {
		_, shown := a.Groups[row].Metrics["interval_coverage"]
		t.interval, t.hidden = &interval{half: 11}, map[string]bool{"covered": !shown}
		t.interval.covered = covered(truth, g, h)
		for _, name := range a.Groups[row].With {
			for level, of := range []string{"AU", "BV", study.Unknown} {
				if of == name || strings.Contains(of, name) && len(name) == 1 {
					if g < 0 {
						t.interval.covered += covered(truth, -1, level)
					} else {
						t.interval.covered += covered(truth, level, -1)
					}
				}
			}
		}
	}
	fewest := float64(s.Fairness.MinimumCell)
	all := &tally{n: float64(a.N), spread: bins(-1, -1), width: 100}
	divide(all, 0, -1, -1)
	ends := all.wholeSteps(fewest, true)
	if i > 0 {
		first := 1 + (i-1)/3*3
		var groups []*tally
		at := -1
		for k := first; k < first+3; k++ {
			if a.Groups[k].State != OK {
				continue
			}
			if k == i {
				at = len(groups)
			}
			g, h := groupsOf(k)
			t := &tally{spread: bins(g, h), width: 100}
			for _, name := range a.Groups[k].With {
				for level, of := range []string{"AU", "BV", study.Unknown} {
					if of == name || strings.Contains(of, name) && len(name) == 1 {
						more := bins(level, -1)
						if g < 0 {
							more = bins(-1, level)
						}
						for b := range more {
							t.spread[b] += more[b]
						}
					}
				}
			}
			for _, n := range t.spread {
				t.n += n
			}
			divide(t, k, g, h)
			groups = append(groups, t)
		}
		ends = groupSteps(all, groups, ends, fewest, true)[at]
	}
	from := 0
	for _, to := range ends {
		out, from = append(out, [2]int{from, to}), to
	}
	return out
}

func covered(truth []int, g, h int) (n float64) {
	for at, patients := range truth {
		k := len(doses)
		if (g < 0 || at/k/3 == g) && (h < 0 || at/k%3 == h) && math.Abs(doses[at%k][1]) <= 11 {
			n += float64(patients)
		}
	}
	return n
}

// Rule: no small count follows from shares of doses, bands, intervals and quantiles
// together.
func TestNothingBelowTheFloorFollowsFromDoses(t *testing.T) { dosesShown().hold(t, 4, 100, 20) }

// survivalShown has patients by interval of follow-up and whether the event happened.
func survivalShown() figures {
	f := figures{study: `study: attacked
version: 1
outcome:
  type: survival
  time: {column: y, range: [0, 4], grid: {step: 1}}
  event: {column: e, positive: ["1"], negative: ["0"]}
features:
  - {column: x, type: number, range: [0, 100]}
model: {kind: cox}`, fair: "  times: [1, 3]\n", counts: map[string][]int{}, shares: map[string][2][]int{}, unit: map[string]float64{}, small: map[string][]int{}}
	for k := range 4 {
		for e := range 2 {
			f.records, f.predict = append(f.records, []string{fmt.Sprint(float64(k) + 0.5), fmt.Sprint(e)}), append(f.predict, float64(k-2)/4)
		}
	}
	f.free = func(prediction, time float64) float64 { return math.Exp(-0.1 * time * math.Exp(prediction)) }
	of := func(keep func(k, e int) bool) []int {
		return classesWhere(8, func(c int) bool { return keep(c/2, c%2) })
	}
	all := of(func(int, int) bool { return true })
	f.shares["event_share"] = [2][]int{of(func(_, e int) bool { return e == 1 }), all}
	// With the exact limits of a ratio of observed to expected goes the observed.
	for name, until := range map[string]int{"oe": 1, "oe_at_3": 3} {
		f.counts[name] = of(func(k, e int) bool { return e == 1 && k < until })
	}
	f.shares["observed_risk"] = [2][]int{of(func(k, e int) bool { return e == 1 && k < 1 }), all}
	f.small = map[string][]int{
		"events": of(func(_, e int) bool { return e == 1 }), "censored": of(func(_, e int) bool { return e == 0 }),
		"events by 1": of(func(k, e int) bool { return e == 1 && k < 1 }), "events by 3": of(func(k, e int) bool { return e == 1 && k < 3 }),
		"events from 1 to 3": of(func(k, e int) bool { return e == 1 && k >= 1 && k < 3 }), "events after 3": of(func(k, e int) bool { return e == 1 && k >= 3 }),
		"beyond 1": of(func(k, _ int) bool { return k >= 1 }), "beyond 3": of(func(k, _ int) bool { return k >= 3 }),
		"gone by 1": of(func(k, e int) bool { return e == 0 && k < 1 }),
	}
	return f
}

// Rule: no small count follows from shares of events, from observed over expected
// and from risks at declared times together.
func TestNothingBelowTheFloorFollowsFromSurvival(t *testing.T) { survivalShown().hold(t, 24, 100, 100) }

// rates are those at the thresholds of the attacked study, of classes with a
// probability and an outcome, and the counts that they are made of.
func rates(n int, of func(class int) (p float64, up bool), shares map[string][2][]int, small map[string][]int) {
	where := func(keep func(p float64, up bool) bool) []int {
		return classesWhere(n, func(c int) bool { return keep(of(c)) })
	}
	all := where(func(float64, bool) bool { return true })
	up := where(func(_ float64, up bool) bool { return up })
	down := where(func(_ float64, up bool) bool { return !up })
	shares["prevalence"] = [2][]int{up, all}
	small["positives"], small["negatives"] = up, down
	for _, cut := range []struct {
		suffix string
		from   float64
	}{{"", 0.36}, {"_at_0.7", 0.7}} {
		tp, fp := where(func(p float64, up bool) bool { return up && p >= cut.from }), where(func(p float64, up bool) bool { return !up && p >= cut.from })
		fn, tn := where(func(p float64, up bool) bool { return up && p < cut.from }), where(func(p float64, up bool) bool { return !up && p < cut.from })
		selected, rejected := append(slices.Clone(tp), fp...), append(slices.Clone(fn), tn...)
		for name, x := range map[string][2][]int{"tpr": {tp, up}, "fnr": {fn, up}, "fpr": {fp, down}, "tnr": {tn, down}, "ppv": {tp, selected}, "fdr": {fp, selected},
			"npv": {tn, rejected}, "for": {fn, rejected}, "selection_rate": {selected, all}, "accuracy": {append(slices.Clone(tp), tn...), all}} {
			shares[name+cut.suffix] = x
		}
		for name, x := range map[string][]int{"true positives": tp, "false positives": fp, "false negatives": fn, "true negatives": tn, "selected": selected, "rejected": rejected} {
			small[name+cut.suffix] = x
		}
	}
}

const binaryAttacked = `study: attacked
version: 1
outcome: {column: y, type: binary, positive: [yes], negative: [no]}
features:
  - {column: x, type: number, range: [0, 100]}
model: {kind: glm, family: binomial}`

// twoModelsShown are patients by the probabilities of two models and their outcome.
func twoModelsShown() figures {
	scores := []float64{0.2, 0.8}
	f := figures{study: binaryAttacked, fair: "  thresholds: [0.36]\n", shares: map[string][2][]int{}, unit: map[string]float64{}, small: map[string][]int{}}
	f.again = &figures{shares: map[string][2][]int{}}
	for c := range 8 {
		f.records = append(f.records, []string{[]string{"no", "yes"}[c%2]})
		f.predict, f.again.predict = append(f.predict, scores[c/2%2]), append(f.again.predict, scores[c/4])
	}
	rates(8, func(c int) (float64, bool) { return f.predict[c], c%2 == 1 }, f.shares, f.small)
	other := map[string][]int{}
	rates(8, func(c int) (float64, bool) { return f.again.predict[c], c%2 == 1 }, f.again.shares, other)
	for name, classes := range other {
		f.small[name+" of the other model"] = classes
	}
	return f
}

// Rule: no small count follows from the audits of two models for the same patients,
// as of a mitigation before and after, or of a model on the way and at its end.
func TestNothingBelowTheFloorFollowsFromTwoModels(t *testing.T) {
	twoModelsShown().hold(t, 24, 100, 100)
}

// probabilitiesShown has patients by predicted probability and outcome, with curves
// whose bins the thresholds divide.
func probabilitiesShown() figures {
	scores := []float64{0.05, 0.25, 0.34, 0.38, 0.55, 0.75}
	f := figures{study: binaryAttacked, fair: "  thresholds: [0.36, 0.7]\n", shares: map[string][2][]int{}, unit: map[string]float64{}, small: map[string][]int{}}
	for _, p := range scores {
		for _, y := range []string{"no", "yes"} {
			f.records, f.predict = append(f.records, []string{y}), append(f.predict, p)
		}
	}
	of := func(keep func(p float64, up bool) bool) []int {
		return classesWhere(len(f.records), func(c int) bool { return keep(scores[c/2], c%2 == 1) })
	}
	rates(len(f.records), func(c int) (float64, bool) { return scores[c/2], c%2 == 1 }, f.shares, f.small)
	// Between two cuts of anything that is shown.
	f.small["positives from 0.3 to 0.36"] = of(func(p float64, up bool) bool { return up && p >= 0.3 && p < 0.36 })
	f.small["positives from 0.36 to 0.4"] = of(func(p float64, up bool) bool { return up && p >= 0.36 && p < 0.4 })
	f.small["positives below 0.1"] = of(func(p float64, up bool) bool { return up && p < 0.1 })
	for b := range bins {
		f.small[fmt.Sprint("positives in bin ", b)] = of(func(p float64, up bool) bool { return up && int(p*bins) == b })
		f.small[fmt.Sprint("negatives in bin ", b)] = of(func(p float64, up bool) bool { return !up && int(p*bins) == b })
	}
	f.more = func(r *attack.Attacker, _ *study.Study, a *Audit, i int, in func([]int) []int, truth []int) {
		curve := a.Groups[i].Calibration
		if i == 0 {
			curve = a.Calibration
		}
		for _, b := range curve {
			within := func(p float64) bool { return p >= b.From-1e-9 && p < b.To-1e-9 }
			n := in(of(func(p float64, _ bool) bool { return within(p) }))
			if b.N == nil {
				r.AtLeast(n, 1)
				continue
			}
			r.Is(n, *b.N)
			if b.Observed != nil {
				r.Is(in(of(func(p float64, up bool) bool { return up && within(p) })), int(math.Round(b.Observed.Estimate*float64(*b.N))))
			}
		}
	}
	return f
}

// Rule: no small count follows from rates at thresholds and from calibration curves
// of all patients and of groups together.
func TestNothingBelowTheFloorFollowsFromCurvesAndRates(t *testing.T) {
	probabilitiesShown().hold(t, 12, 100, 50)
}

// bandsShown are patients by actual and predicted band.
func bandsShown() figures {
	f := figures{study: `study: attacked
version: 1
outcome: {column: y, type: number, range: [0, 100]}
features:
  - {column: x, type: number, range: [0, 100]}
model: {kind: glm, family: gaussian}`, fair: "  bands: [40, 70]\n", times: 10, shares: map[string][2][]int{}, unit: map[string]float64{}, small: map[string][]int{}}
	at := []float64{20, 50, 80}
	for k := range 9 {
		f.records, f.predict = append(f.records, []string{fmt.Sprint(at[k/3])}), append(f.predict, at[k%3])
		f.small[fmt.Sprintf("band %d predicted as %d", k/3, k%3)] = []int{k}
	}
	for b := range 3 {
		f.small[fmt.Sprint("actual band ", b)] = classesWhere(9, func(c int) bool { return c/3 == b })
		f.small[fmt.Sprint("predicted band ", b)] = classesWhere(9, func(c int) bool { return c%3 == b })
	}
	same := classesWhere(9, func(c int) bool { return c/3 == c%3 })
	f.small["same band"], f.small["other band"] = same, classesWhere(9, func(c int) bool { return c/3 != c%3 })
	f.shares["same_band"], f.unit["same_band"] = [2][]int{same, classesWhere(9, func(int) bool { return true })}, 100
	f.more = func(r *attack.Attacker, _ *study.Study, a *Audit, i int, in func([]int) []int, _ []int) {
		for k, n := range a.Groups[i].Bands {
			r.Is(in([]int{k}), n)
		}
	}
	return f
}

// Rule: no small count follows from the clinical bands of all groups together.
func TestNothingBelowTheFloorFollowsFromBands(t *testing.T) { bandsShown().hold(t, 24, 100, 5) }
