package fairness

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/disclosure/attack"
	"github.com/consilium-fl/consilium/study"
)

const attacked = `
study: attacked
version: 1
outcome: {column: y, type: binary, positive: [yes], negative: [no]}
features:
  - {column: x, type: number, range: [0, 100]}
model: {kind: glm, family: binomial}
fairness:
  attributes:
    - {column: g, levels: [A, B]}
    - {column: h, levels: [U, V]}
  intersections: 2
  thresholds: [0.3, 0.6]
  minimum_cell: %d
  minimum_sites: 1
  largest_share: 1
  bootstrap: 0
  disclosure: %s
privacy: {minimum_contributors: 2}
`

// Atoms: group of g, group of h, outcome, class of the score.
const scoreClasses = 3

func atomOf(g, h, up, class int) int { return ((g*3+h)*2+up)*scoreClasses + class }

// atoms of the groups, -1 for any, whose outcome and class are among those given.
func atomsOf(g, h int, ups, classes []int) (out []int) {
	for i := range 3 {
		for j := range 3 {
			if g >= 0 && i != g || h >= 0 && j != h {
				continue
			}
			for _, up := range ups {
				for _, class := range classes {
					out = append(out, atomOf(i, j, up, class))
				}
			}
		}
	}
	return out
}

// linear are the metrics that are a share of one count in another: who counts, and
// of whom.
func linear(name string) (of, in [2][]int, ok bool) {
	both, all := []int{0, 1}, []int{0, 1, 2}
	selected, rejected := []int{1, 2}, []int{0}
	if rest, high := strings.CutSuffix(name, "_at_0.6"); high {
		name, selected, rejected = rest, []int{2}, []int{0, 1}
	}
	up, down := []int{1}, []int{0}
	switch name {
	case "prevalence":
		return [2][]int{up, all}, [2][]int{both, all}, true
	case "selection_rate":
		return [2][]int{both, selected}, [2][]int{both, all}, true
	case "tpr":
		return [2][]int{up, selected}, [2][]int{up, all}, true
	case "fnr":
		return [2][]int{up, rejected}, [2][]int{up, all}, true
	case "fpr":
		return [2][]int{down, selected}, [2][]int{down, all}, true
	case "tnr":
		return [2][]int{down, rejected}, [2][]int{down, all}, true
	case "ppv":
		return [2][]int{up, selected}, [2][]int{both, selected}, true
	case "fdr":
		return [2][]int{down, selected}, [2][]int{both, selected}, true
	case "npv":
		return [2][]int{down, rejected}, [2][]int{both, rejected}, true
	case "for":
		return [2][]int{up, rejected}, [2][]int{both, rejected}, true
	}
	return of, in, false
}

// reader knows everything linear that an audit shows: sizes, rates, gaps between
// rates, bins of the calibration curve, and accuracy.
func reader(t *testing.T, a *Audit, truth []int) *attack.Attacker {
	t.Helper()
	r := &attack.Attacker{Atoms: len(truth)}
	count := func(of []int) (n int) {
		for _, i := range of {
			n += truth[i]
		}
		return n
	}
	every := func(g, h int) []int { return atomsOf(g, h, []int{0, 1}, []int{0, 1, 2}) }
	for i, group := range a.Groups {
		g, h := groupsOf(i)
		switch group.State {
		case Zero:
			r.Is(every(g, h), 0)
			continue
		case Suppressed, Merged:
			r.AtLeast(every(g, h), 1)
			continue
		}
		members := [][2]int{{g, h}}
		for _, name := range group.With { // of one attribute; intersections name both
			for k, level := range []string{"A", "B", study.Unknown} {
				if g >= 0 && h < 0 && level == name {
					members = append(members, [2]int{k, h})
				}
			}
			for k, level := range []string{"U", "V", study.Unknown} {
				if h >= 0 && g < 0 && level == name {
					members = append(members, [2]int{g, k})
				}
			}
		}
		if g >= 0 && h >= 0 && group.With != nil {
			continue // which of the two is joined the attribute's own row says
		}
		in := func(x [2][]int) (out []int) {
			for _, m := range members {
				out = append(out, atomsOf(m[0], m[1], x[0], x[1])...)
			}
			return out
		}
		all := in([2][]int{{0, 1}, {0, 1, 2}})
		if count(all) != *group.N {
			t.Fatalf("%s %s has %d patients, shown as %d", group.Attribute, group.Level, count(all), *group.N)
		}
		r.Is(all, *group.N)
		for name, m := range group.Metrics {
			of, whole, ok := linear(name)
			if !ok {
				continue
			}
			k, n := count(in(of)), count(in(whole))
			if math.Abs(m.Estimate-float64(k)/float64(n)) > 1e-9 {
				t.Fatalf("%s of %s is %v, not %d of %d", name, group.Level, m.Estimate, k, n)
			}
			r.Share(in(of), in(whole), m.Estimate)
		}
		for _, high := range []string{"", "_at_0.6"} {
			if m, ok := group.Metrics["accuracy"+high]; ok {
				tp, _, _ := linear("tpr" + high)
				tn, _, _ := linear("tnr" + high)
				r.Share(append(in(tp), in(tn)...), all, m.Estimate)
			}
		}
	}
	return r
}

// groupsOf a position in the report: all, g, h, g by h.
func groupsOf(i int) (g, h int) {
	switch {
	case i == 0:
		return -1, -1
	case i < 4:
		return i - 1, -1
	case i < 7:
		return -1, i - 4
	}
	return (i - 7) / 3, (i - 7) % 3
}

// attackedAudit is of a small skewed cohort over three hospitals.
func attackedAudit(t *testing.T, random *rand.Rand, floor int, disclosure string) (*Audit, []int) {
	t.Helper()
	s := parsed(t, fmt.Sprintf(attacked, floor, disclosure))
	truth := make([]int, 3*3*2*scoreClasses)
	odds := make([]float64, len(truth))
	total := 0.0
	skew := [2][3]float64{}
	for k := range skew {
		skew[k] = [3]float64{1, random.Float64(), random.Float64() * 0.3}
	}
	for g := range 3 {
		for h := range 3 {
			for up := range 2 {
				for class := range scoreClasses {
					at := atomOf(g, h, up, class)
					odds[at] = skew[0][g] * skew[1][h] * random.ExpFloat64()
					total += odds[at]
				}
			}
		}
	}
	n := 60 + random.IntN(120)
	scores := []float64{0.2, 0.45, 0.8}
	rows, predictions := make([][][]string, 3), make([][]float64, 3)
	for i := range n {
		u, at := random.Float64()*total, 0
		for u > odds[at] && at < len(odds)-1 {
			u -= odds[at]
			at++
		}
		truth[at]++
		class, up, h, g := at%scoreClasses, at/scoreClasses%2, at/scoreClasses/2%3, at/scoreClasses/6
		rows[i%3] = append(rows[i%3], []string{[]string{"no", "yes"}[up], "1", []string{"A", "B", ""}[g], []string{"U", "V", ""}[h]})
		predictions[i%3] = append(predictions[i%3], scores[class])
	}
	var sites []*study.Matrix
	for _, list := range rows {
		b, err := s.NewBuilder([]string{"y", "x", "g", "h"})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range list {
			b.Add(row)
		}
		sites = append(sites, b.Matrix())
	}
	a, _ := audited(t, s, sites, func(i, r int) float64 { return predictions[i][r] })
	return a, truth
}

// The counts that rates are made of, of a group.
var figured = map[string][2][]int{
	"positives": {{1}, {0, 1, 2}}, "negatives": {{0}, {0, 1, 2}},
	"true positives": {{1}, {1, 2}}, "false positives": {{0}, {1, 2}}, "false negatives": {{1}, {0}}, "true negatives": {{0}, {0}},
	"true positives at 0.6": {{1}, {2}}, "false positives at 0.6": {{0}, {2}}, "false negatives at 0.6": {{1}, {0, 1}}, "true negatives at 0.6": {{0}, {0, 1}},
	"selected": {{0, 1}, {1, 2}}, "selected at 0.6": {{0, 1}, {2}},
}

// derived are the small counts of a report that a reader can narrow down to fewer
// whole numbers than the floor, by what they count.
func derived(t *testing.T, a *Audit, truth []int, floor int) (sizes, rates []string, tried int) {
	t.Helper()
	r := reader(t, a, truth)
	try := func(of []int) (lo, hi int, hit bool) {
		n := 0
		for _, i := range of {
			n += truth[i]
		}
		if n == 0 || n >= floor {
			return 0, 0, false
		}
		tried++
		lo, hi = r.Interval(of, n, floor)
		return lo, hi, hi-lo < floor
	}
	for i, group := range a.Groups {
		g, h := groupsOf(i)
		if group.State == Suppressed || group.State == Merged {
			if lo, hi, hit := try(atomsOf(g, h, []int{0, 1}, []int{0, 1, 2})); hit {
				sizes = append(sizes, fmt.Sprintf("%s %s must be from %d to %d", group.Attribute, group.Level, lo, hi))
			}
			continue
		}
		if group.State != OK || group.With != nil {
			continue
		}
		for name, x := range figured {
			if lo, hi, hit := try(atomsOf(g, h, x[0], x[1])); hit {
				rates = append(rates, fmt.Sprintf("%s of %s %s must be from %d to %d of %d", name, group.Attribute, group.Level, lo, hi, *group.N))
			}
		}
	}
	return sizes, rates, tried
}

// Everything linear that a whole audit shows, put into one system: the sizes and
// all rates of all groups and intersections.
func TestNothingBelowTheFloorFollowsFromAnAudit(t *testing.T) {
	random := rand.New(rand.NewPCG(18, 8))
	tried, shown := 0, 0
	for round := range 16 { // the twelfth is one that tables gated one by one give away
		floor := 3 + random.IntN(3)
		a, truth := attackedAudit(t, random, floor, "complementary")
		sizes, rates, n := derived(t, a, truth, floor)
		tried += n
		for _, g := range a.Groups[1:] {
			for name := range g.Metrics {
				if _, _, ok := linear(name); ok {
					shown++
				}
			}
		}
		for _, what := range append(sizes, rates...) {
			t.Errorf("round %d, floor %d: %s", round, floor, what)
		}
	}
	if tried < 100 || shown < 50 {
		t.Errorf("%d small counts and %d rates of groups shown: the cohorts test too little", tried, shown)
	}
}

// With primary withholding the attack succeeds: a lone small group is the rest of
// the others, and a rate of few is shown. SECURITY.md lists both.
func TestPrimaryAuditCanBeWorkedOut(t *testing.T) {
	random := rand.New(rand.NewPCG(18, 8))
	var sizes, rates []string
	for range 2 {
		a, truth := attackedAudit(t, random, 4, "primary")
		s, r, _ := derived(t, a, truth, 4)
		sizes, rates = append(sizes, s...), append(rates, r...)
	}
	if len(sizes) == 0 || len(rates) == 0 {
		t.Errorf("%d sizes and %d rates follow: is the choice of primary withholding still what is documented?", len(sizes), len(rates))
	}
}
