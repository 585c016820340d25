package pipeline

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/disclosure/attack"
)

const described = `study: described
version: 1
outcome: {column: y, type: binary, positive: [yes], negative: [no]}
features:
  - {column: a, type: category, levels: [p, q]}
  - {column: b, type: category, levels: [u, v, w]}
model: {kind: describe}
fairness:
  attributes:
    - {column: b, levels: [u, {rest: [v, w]}]}
    - {column: c, levels: [k, l]}
  minimum_cell: %d
  disclosure: %s
privacy: {minimum_contributors: 2}
`

// values of the columns a, b, c and y; the empty one is missing or undeclared.
var domains = [][]string{{"p", "q", ""}, {"u", "v", "w", ""}, {"k", "l", ""}, {"no", "yes"}}

// randomCohort is skewed, so that there are small groups and empty ones.
func randomCohort(random *rand.Rand, n int) (records [][]string) {
	var odds [4][]float64
	for c, domain := range domains {
		for range domain {
			odds[c] = append(odds[c], random.ExpFloat64()*random.ExpFloat64())
		}
		odds[c][0] += 0.5
	}
	for range n {
		var record []string
		for c, domain := range domains {
			total := 0.0
			for _, o := range odds[c] {
				total += o
			}
			u, k := random.Float64()*total, 0
			for u > odds[c][k] && k < len(domain)-1 {
				u -= odds[c][k]
				k++
			}
			record = append(record, domain[k])
		}
		records = append(records, record)
	}
	return records
}

// world is the atoms of a small cohort.
type world struct{ truth []int }

func newWorld(records [][]string) *world {
	w := &world{}
	size := 1
	for _, d := range domains {
		size *= len(d)
	}
	w.truth = make([]int, size)
	for _, r := range records {
		at := 0
		for c, d := range domains {
			at = at*len(d) + slices.Index(d, r[c])
		}
		w.truth[at]++
	}
	return w
}

// where are the atoms in which each column that is named has one of the values.
func (w *world) where(conditions ...condition) (out []int) {
	for at := range w.truth {
		rest, values := at, make([]string, len(domains))
		for c := len(domains) - 1; c >= 0; c-- {
			values[c] = domains[c][rest%len(domains[c])]
			rest /= len(domains[c])
		}
		fits := true
		for _, c := range conditions {
			fits = fits && slices.Contains(c.values, values[c.column])
		}
		if fits {
			out = append(out, at)
		}
	}
	return out
}

type condition struct {
	column int
	values []string
}

func (w *world) count(of []int) (n int) {
	for _, i := range of {
		n += w.truth[i]
	}
	return n
}

// figure is a count of the report.
type figure struct {
	name  string
	of    []int
	count describe.Count
}

// figures are all counts of a description.
func (w *world) figures(r *Result) (out []figure) {
	add := func(name string, n describe.Count, conditions ...condition) {
		out = append(out, figure{name, w.where(conditions...), n})
	}
	groups := map[string][]condition{
		"a": {{0, []string{"p"}}, {0, []string{"q"}}},
		"b": {{1, []string{"u"}}, {1, []string{"v"}}, {1, []string{"w"}}},
		"c": {{2, []string{"k"}}, {2, []string{"l"}}, {2, []string{""}}},
		"y": {{3, []string{"no"}}, {3, []string{"yes"}}},
	}
	c := r.Cohort
	add("all", c.Patients)
	add("y", *c.Outcome.Positives, groups["y"][1])
	for f, v := range c.Features {
		for l, level := range v.Levels {
			add(v.Column+" "+level.Name, level.Count, groups[v.Column][l])
		}
		add(v.Column+" missing", *v.Missing, condition{f, []string{""}})
	}
	rest := []condition{{1, []string{"u"}}, {1, []string{"v", "w"}}, {1, []string{""}}}
	for g, group := range c.Attributes[0].Groups {
		add("group of b "+group.Name, group.Count, rest[g])
	}
	for g, group := range c.Attributes[1].Groups {
		add("group of c "+group.Name, group.Count, groups["c"][g])
	}
	for _, t := range r.Description.CrossTables {
		for i, row := range t.Cells {
			for j, n := range row {
				add(fmt.Sprint(t.Rows, " ", t.RowNames[i], ", ", t.Columns, " ", t.ColumnNames[j]), n, groups[t.Rows][i], groups[t.Columns][j])
			}
		}
	}
	return out
}

// knows is what a reader of the figures knows: what is shown, that what is
// withheld is not zero, and the totals.
func (w *world) knows(t *testing.T, figures []figure) *attack.Attacker {
	a := &attack.Attacker{Atoms: len(w.truth)}
	for _, f := range figures {
		switch truth := w.count(f.of); {
		case f.count.State == describe.Suppressed && truth == 0:
			t.Errorf("%s: a zero is withheld", f.name)
		case f.count.State == describe.Suppressed && f.count.N != nil:
			t.Errorf("%s: a withheld count has a number", f.name)
		case f.count.State == describe.Suppressed:
			a.AtLeast(f.of, 1)
		case *f.count.N != truth:
			t.Errorf("%s is %d, shown as %d", f.name, truth, *f.count.N)
		default:
			a.Is(f.of, *f.count.N)
		}
	}
	return a
}

// Whatever a description shows, put together, leaves every small count at least
// the floor of whole numbers apart: of the cohort, of attributes that are features
// too, of missing records and of all cross tables jointly.
func TestNothingBelowTheFloorFollowsFromADescription(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	small, shown := 0, 0
	for round := range 8 {
		floor := 3 + random.IntN(3)
		s := parse(t, fmt.Sprintf(described, floor, "complementary"))
		records := randomCohort(random, 40+random.IntN(60))
		w := newWorld(records)
		r, err := federate(t, s, matrices(t, s, []string{"a", "b", "c", "y"}, records, func(i int) string { return fmt.Sprint(i % 3) }), plain)
		if err != nil {
			t.Fatal(err)
		}
		figures := w.figures(r)
		a := w.knows(t, figures)
		for _, f := range figures {
			n := w.count(f.of)
			if f.count.State != describe.Suppressed {
				shown++
				if 0 < n && n < floor {
					t.Errorf("round %d: %s is shown, %d", round, f.name, n)
				}
				continue
			}
			if n >= floor {
				continue
			}
			small++
			if lo, hi := a.Interval(f.of, n, floor); hi-lo < floor && !exhausted(figures) {
				t.Errorf("round %d, floor %d: %s must be from %d to %d", round, floor, f.name, lo, hi)
			}
		}
	}
	t.Logf("%d small counts are withheld, %d counts are shown", small, shown)
	if small < 50 || shown < 100 {
		t.Errorf("%d small counts and %d shown: the cohorts test too little", small, shown)
	}
}

// exhausted reports that nothing but the number of patients is shown.
func exhausted(figures []figure) bool {
	for _, f := range figures[1:] {
		if f.count.State == describe.OK {
			return false
		}
	}
	return true
}

// With primary withholding the same attack succeeds: that is what the choice
// means, and SECURITY.md lists it.
func TestPrimaryDescriptionCanBeWorkedOut(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	derived := map[string]bool{}
	for range 4 {
		floor := 3 + random.IntN(3)
		s := parse(t, fmt.Sprintf(described, floor, "primary"))
		records := randomCohort(random, 40+random.IntN(60))
		w := newWorld(records)
		r, err := federate(t, s, matrices(t, s, []string{"a", "b", "c", "y"}, records, func(i int) string { return fmt.Sprint(i % 3) }), plain)
		if err != nil {
			t.Fatal(err)
		}
		figures := w.figures(r)
		a := &attack.Attacker{Atoms: len(w.truth)}
		for _, f := range figures {
			if f.count.N != nil {
				a.Is(f.of, *f.count.N)
			}
		}
		for _, f := range figures {
			if n := w.count(f.of); f.count.N == nil && n > 0 && n < floor {
				if lo, hi := a.Interval(f.of, n, floor); lo == hi {
					kind, _, _ := strings.Cut(f.name, " ")
					if strings.Contains(f.name, ",") {
						kind = "cross table"
					}
					derived[kind] = true
				}
			}
		}
	}
	for _, kind := range []string{"group"} { // cross tables seldom, but not never
		if !derived[kind] {
			t.Errorf("no withheld count of a %s follows: is the choice of primary withholding still what is documented?", kind)
		}
	}
}
