package fairness

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Every interval that an audit prints is held against the truth: the figure of a
// population that is made of the same law, a hundred thousand times as large. What is
// drawn goes the way of records: they are built, answered for, added up over
// hospitals and read.

// world is a law of patients of two groups, and what a model predicts for them.
type world struct {
	name, study string
	half        float64 // of a released interval
	// draw is a patient's records but for the group, and the prediction; Free's rate,
	// of survival.
	draw func(random *rand.Rand, group int) (columns []string, predicted float64)
}

const lawful = `
study: holding
version: VERSION
%s
features:
  - {column: x, type: number, range: [-10, 10]}
%s
fairness:
  attributes: [{column: g, levels: [A, B]}]
  minimum_cell: 3
  reference: {g: A}
%s`

func worlds() (out []world) {
	number := func(x float64) string { return fmt.Sprintf("%.6g", x) }
	// Doses: roots are normal, so errors are skewed and grow with the dose; the second
	// group has larger ones and is predicted too low.
	out = append(out, world{"dose", fmt.Sprintf(lawful, "outcome: {column: y, type: number, range: [0.5, 200]}", "model: {kind: glm, family: gaussian}\nvalidation: {kind: k-fold, folds: 5}",
		"  bands: [21, 49]\n  metrics: [mae, bias, mse, rmse, correlation, mean_predicted, log_fold_error, within10, within20, within30, under20, over20]\n"), 30,
		func(random *rand.Rand, group int) ([]string, float64) {
			x, e := random.NormFloat64(), random.NormFloat64()
			root := 5.5 + 1.0*x + (0.8+0.3*float64(group))*e
			return []string{number(min(max(root*root, 0.6), 199)), "0"}, math.Pow(5.5+1.0*x-0.2*float64(group), 2)
		}})
	for _, c := range []struct {
		name             string
		level, threshold float64
	}{{"outcome in 3 of 10", -1.2, 0.4}, {"outcome in 1 of 20", -3.7, 0.1}} {
		// Probabilities: the model is right for the first group; for the second it is too
		// sure, and knows less.
		out = append(out, world{c.name, fmt.Sprintf(lawful, "outcome: {column: y, type: binary, positive: [\"1\"]}", "model: {kind: glm, family: binomial}",
			fmt.Sprintf("  thresholds: [%g]\n  metrics: [tpr, fpr, ppv, npv, accuracy, selection_rate, brier, log_loss, calibration_in_the_large, auc]\n", c.threshold)), 0,
			func(random *rand.Rand, group int) ([]string, float64) {
				x := random.NormFloat64()
				y := one(random.Float64() < logistic(c.level+(1.3-0.3*float64(group))*x))
				return []string{number(y), "0"}, logistic(c.level + 1.3*x)
			}})
	}
	for _, c := range []struct {
		name string
		rate float64
	}{{"event in 3 of 10", 0.07}, {"event in 1 of 20", 0.01}} {
		out = append(out, world{c.name, fmt.Sprintf(lawful, "outcome: {type: survival, time: {column: t, range: [0, 10], grid: {step: 0.5}, unit: y}, event: {column: y, positive: [\"1\"], negative: [\"0\"]}}", "model: {kind: cox}",
			"  times: [5]\n"), 0,
			func(random *rand.Rand, group int) ([]string, float64) {
				x := random.NormFloat64()
				event := random.ExpFloat64() / (c.rate * math.Exp(0.7*x+0.2*float64(group)-0.25))
				end := min(10, 15*random.Float64())
				return []string{number(one(event <= end)), number(min(event, end))}, 0.7*x + math.Log(c.rate) - 0.25
			}})
	}
	return out
}

// alike is the law in which the second group is as the first.
func (w world) alike() world {
	draw := w.draw
	w.draw = func(random *rand.Rand, _ int) ([]string, float64) { return draw(random, 0) }
	return w
}

// audit draws so many patients per group in each of four hospitals, and reads all
// that can be read of them.
func (w world) audit(t testing.TB, s *study.Study, random *rand.Rand, each int) *Audit {
	t.Helper()
	q := question{Cells: []int{0, 1, 2, 3}, Against: []int{-1, -1, 1, -1}}
	if w.half > 0 {
		q.HalfWidth = &w.half
	}
	if s.Outcome.Type == study.Survival {
		q.Against = nil
	}
	const hospitals = 4
	var sites []*study.Matrix
	var forecasts []Forecast
	for i := range hospitals {
		b, err := s.NewBuilder([]string{"y", "t", "x", "g"})
		if err != nil {
			t.Fatal(err)
		}
		var f Forecast
		for group, level := range []string{"A", "B"} {
			for range (each + i) / hospitals {
				columns, predicted := w.draw(random, group)
				b.Add([]string{columns[0], columns[1], "0", level})
				f.Values = append(f.Values, predicted)
			}
		}
		m := b.Matrix()
		if m.Rows() != len(f.Values) {
			t.Fatalf("%s: %d of %d records are used", w.name, m.Rows(), len(f.Values))
		}
		f.Free = func(r int, time float64) float64 { return math.Exp(-time * math.Exp(f.Values[r])) }
		sites, forecasts = append(sites, m), append(forecasts, f)
	}
	sum := func(layout []compute.Field, answer func(i int) []float64) compute.Sum {
		var total []float64
		for i := range sites {
			values := answer(i)
			if total == nil {
				total = make([]float64, len(values))
			}
			for k, v := range values {
				total[k] += v
			}
		}
		out, err := compute.NewSum(hospitals, layout, total)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	opened := sum(q.layout(s), func(i int) []float64 { return q.answer(s, sites[i], forecasts[i]) })
	r := reading{study: s, question: q, minimum: 1, unseen: true}
	if s.Outcome.Type == study.Binary {
		r.refit = newRecalibration(s, q, opened)
		for !r.refit.done {
			asked := r.refit.question
			if err := r.refit.absorb(sum(recalibrationLayout(len(asked.Cells)), func(i int) []float64 { return asked.answer(s, sites[i], forecasts[i].Values) })); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, err := r.read(opened)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// intervals of an audit, by what they are of.
func intervalsOf(a *Audit) map[string]Metric {
	out := map[string]Metric{}
	add := func(name string, m *Metric) {
		if m != nil {
			out[name] = *m
		}
	}
	for _, g := range a.Groups {
		if g.Level != "B" {
			continue
		}
		for name, m := range g.Metrics {
			add(name, &m)
		}
	}
	for _, g := range a.Gaps {
		if g.Level == "B" {
			add("gap of "+g.Metric, &Metric{Estimate: g.Estimate, Lower: &g.Lower, Upper: &g.Upper, Method: g.Method})
		}
	}
	for _, o := range a.Odds {
		if o.Level == "B" {
			add("equalized odds", o.EqualizedOdds)
			add("equalized odds ratio", o.OddsRatio)
			add("average odds", o.AverageOdds)
			add("abroca", o.ABROCA)
			if o.Parity != nil {
				add("parity, mean", &o.Parity.Mean)
			}
		}
	}
	for _, i := range a.Inequality {
		add("differential", &i.Differential)
		add("inequality between", &i.Between)
	}
	for _, r := range a.Representation {
		if r.Level == "B" {
			add("label_kl", r.KL)
			add("label_js", r.JS)
			add("demographic_disparity", r.Disparity)
			add("called_disparity", r.Called)
		}
	}
	for _, w := range a.Within {
		if w.Level == "B" {
			add("inside hospitals, "+w.Metric, &w.Adjusted)
		}
	}
	return out
}

// coverage is in how many studies an interval holds the truth, of those that have
// it.
type coverage struct {
	method               string
	held, low, high, had float64
}

// studies are the law's, in some versions: what a report draws depends on the digest,
// and the draws of one are as far from their law in every report.
func (w world) studies(t *testing.T) (out []*study.Study) {
	for version := range 40 {
		out = append(out, parsed(t, strings.Replace(w.study, "VERSION", strconv.Itoa(1+version), 1)))
	}
	return out
}

// truth is the law's, by what a population of so many per group shows.
func (w world) truth(t *testing.T, population int) map[string]float64 {
	s := w.studies(t)[0]
	truth := map[string]float64{}
	parts := max(1, population/20_000)
	random := rand.New(rand.NewPCG(1, 2))
	for range parts {
		for name, m := range intervalsOf(w.audit(t, s, random, population/parts)) {
			truth[name] += m.Estimate / float64(parts)
		}
	}
	return truth
}

// measured is the coverage of each interval over seeded studies, and what
// share of the studies have it.
func (w world) measured(t *testing.T, truth map[string]float64, studies, each int) map[string]coverage {
	s := w.studies(t)
	out := map[string]coverage{}
	random := rand.New(rand.NewPCG(uint64(each), 3))
	for k := range studies {
		for name, m := range intervalsOf(w.audit(t, s[k%len(s)], random, each)) {
			if m.Lower == nil {
				continue
			}
			c := out[name]
			c.method, c.had = m.Method, c.had+1
			switch is := truth[name]; {
			case *m.Lower > is:
				c.high++
			case *m.Upper < is:
				c.low++
			default:
				c.held++
			}
			out[name] = c
		}
	}
	return out
}

// alarms are in how many of the studies of groups that are alike a figure says that
// they are not: of the adjusted p-values any, of the widest gaps and of Cochran's
// heterogeneity over hospitals each.
type alarms struct{ adjusted, studies, widest, gaps, heterogeneous, compared float64 }

func (w world) alarmed(t *testing.T, studies, each int) (x alarms) {
	s := w.studies(t)
	random := rand.New(rand.NewPCG(uint64(each), 5))
	for k := range studies {
		a := w.alike().audit(t, s[k%len(s)], random, each)
		any := 0.0
		for _, g := range a.Gaps {
			any = max(any, one(g.Adjusted < 0.05))
		}
		x.adjusted, x.studies = x.adjusted+any, x.studies+1
		for _, l := range a.Largest {
			x.widest, x.gaps = x.widest+one(l.P < 0.05), x.gaps+1
		}
		for _, h := range a.Within {
			x.heterogeneous, x.compared = x.heterogeneous+one(h.QPValue < 0.05), x.compared+1
		}
	}
	return x
}

// holdLess are the intervals that are known to hold the truth less often, and how
// often they do, of a thousand studies.
var holdLess = map[string]float64{
	"dose, agreement_lower, 50": 0.87, "dose, agreement_lower, 200": 0.87, "dose, below_interval, 200": 0.86,
	"outcome in 1 of 20, brier, 50": 0.83, "outcome in 1 of 20, log_loss, 50": 0.81, "outcome in 1 of 20, log_loss, 200": 0.9,
	"outcome in 3 of 10, equalized odds, 50": 0.88, "outcome in 1 of 20, equalized odds, 50": 0.85,
}

// What intervals cover in few studies of groups of 50 and of 200, and in how many of
// these groups that are alike are found to differ.
// docs/decisions/2026-11-23-what-the-intervals-cover.md has all, as -studies 1000 -v
// prints them.
func TestIntervalsHold(t *testing.T) {
	if *studies > 0 {
		printCoverage(t)
		return
	}
	const few = 120
	slack := 3 * math.Sqrt(0.05*0.95/few)
	for _, w := range worlds() {
		truth := w.truth(t, 20_000)
		for _, each := range []int{50, 200} {
			seen := 0
			for name, c := range w.measured(t, truth, few, each) {
				seen++
				level, known := holdLess[fmt.Sprintf("%s, %s, %d", w.name, name, each)]
				if !known {
					level = 0.92
				}
				if c.had > few/2 && c.held/c.had < level-slack {
					t.Errorf("%s, %d patients: the interval of %s (%s) holds the truth in %.3f of %v studies", w.name, each, name, c.method, c.held/c.had, c.had)
				}
			}
			if seen < 9 {
				t.Errorf("%s: %d intervals", w.name, seen)
			}
		}
		x := w.alarmed(t, few, 200)
		if x.adjusted/x.studies > 0.05+slack || x.widest > (0.05+slack)*x.gaps || x.heterogeneous > (0.06+slack)*x.compared {
			t.Errorf("%s: groups that are alike are found to differ: %+v", w.name, x)
		}
	}
}

func printCoverage(t *testing.T) {
	sizes := []int{50, 200, 1000}
	var out strings.Builder
	for _, w := range worlds() {
		by, truth := map[string][]coverage{}, w.truth(t, 100_000)
		for k, n := range sizes {
			for name, c := range w.measured(t, truth, *studies, n) {
				if by[name] == nil {
					by[name] = make([]coverage, len(sizes))
				}
				by[name][k] = c
			}
		}
		fmt.Fprintf(&out, "\n%s\n\n| interval | method |", w.name)
		for _, n := range sizes {
			fmt.Fprintf(&out, " %d |", n)
		}
		out.WriteString("\n|---|---|" + strings.Repeat("---|", len(sizes)) + "\n")
		for _, name := range slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Compare(a, b) }) {
			method := ""
			for _, c := range by[name] {
				method = cmp.Or(method, c.method)
			}
			fmt.Fprintf(&out, "| %s | %s |", name, method)
			for _, c := range by[name] {
				if c.had < float64(*studies)/10 {
					out.WriteString(" – |")
					continue
				}
				fmt.Fprintf(&out, " %.1f (%.1f, %.1f; %.0f) |", 100*c.held/c.had, 100*c.high/c.had, 100*c.low/c.had, 100*c.had/float64(*studies))
			}
			out.WriteString("\n")
		}
	}
	fmt.Fprintf(&out, "\ngroups that are alike\n\n| found to differ by | patients |")
	out.WriteString(" any adjusted p-value | widest gap | Cochran's Q |\n|---|---|---|---|---|\n")
	for _, w := range worlds() {
		for _, n := range sizes {
			x := w.alarmed(t, *studies, n)
			fmt.Fprintf(&out, "| %s | %d | %.1f | %.1f | %.1f |\n", w.name, n, 100*x.adjusted/x.studies, 100*x.widest/x.gaps, 100*x.heterogeneous/x.compared)
		}
	}
	t.Log(out.String())
}
