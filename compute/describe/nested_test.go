package describe

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/consilium-fl/consilium/compute/disclosure/attack"
)

const regions = `
study: regions
version: 1
outcome: {column: y, type: count, range: [0, 50]}
features:
  - {column: country, type: category, levels: [K, L]}
  - {column: region, type: category, levels: [K1, K2, L1, L2, L3]}
  - {column: x, type: category, levels: [p, q, r]}
model: {kind: describe}
fairness: {minimum_cell: 5}
`

// Rule: where the levels of one column divide those of another, what a cross table with
// the one shows does not give away what that with the other withholds.
func TestNothingFollowsFromLevelsThatDivideOthers(t *testing.T) {
	const floor = 5
	s := parse(t, regions)
	random := rand.New(rand.NewPCG(4, 4))
	small, shown := 0, 0
	for round := range 40 {
		var truth [5][3]int
		var records [][]string
		for region, name := range []string{"K1", "K2", "L1", "L2", "L3"} {
			for x, level := range []string{"p", "q", "r"} {
				if truth[region][x] = random.IntN(9); random.IntN(2) == 0 {
					truth[region][x] += 10
				}
				for range truth[region][x] {
					records = append(records, []string{"3", name[:1], name, level})
				}
			}
		}
		sites := divide(t, s, []string{"y", "country", "region", "x"}, 3, records, func(i int) int { return i % 3 })
		d := tabled(t, s, sites)
		d.protected(d.cells, nil)

		a := &attack.Attacker{Atoms: 15}
		withheld := map[string][]int{}
		see := func(name string, c Count, of []int) {
			n := 0
			for _, i := range of {
				n += truth[i/3][i%3]
			}
			switch {
			case c.State != Suppressed:
				shown++
				a.Is(of, *c.N)
				if *c.N != n {
					t.Fatalf("%s is %d, shown as %d", name, n, *c.N)
				}
			default:
				a.AtLeast(of, 1)
				if n < floor {
					withheld[name] = of
				}
			}
		}
		within := map[string]func(i int) bool{}
		for k, name := range []string{"K1", "K2", "L1", "L2", "L3"} {
			within["region "+name] = func(i int) bool { return i/3 == k }
		}
		for k, name := range []string{"p", "q", "r"} {
			within["x "+name] = func(i int) bool { return i%3 == k }
		}
		within["country K"], within["country L"] = func(i int) bool { return i < 6 }, func(i int) bool { return i >= 6 }
		where := func(names ...string) (of []int) {
			for i := range 15 {
				in := true
				for _, name := range names {
					in = in && within[name](i)
				}
				if in {
					of = append(of, i)
				}
			}
			return of
		}
		see("all", d.cohort.Patients, where())
		for _, v := range d.cohort.Features {
			for _, l := range v.Levels {
				name := v.Column + " " + l.Name
				see(name, l.Count, where(name))
			}
		}
		for _, table := range d.out.CrossTables {
			for i, row := range table.Cells {
				for j, c := range row {
					of := where(table.Rows+" "+table.RowNames[i], table.Columns+" "+table.ColumnNames[j])
					see(fmt.Sprint(table.Rows, " ", table.RowNames[i], ", ", table.Columns, " ", table.ColumnNames[j]), c, of)
				}
			}
		}
		for name, of := range withheld {
			small++
			n := 0
			for _, i := range of {
				n += truth[i/3][i%3]
			}
			if lo, hi := a.Interval(of, n, floor); hi-lo < floor {
				t.Errorf("round %d: %s must be from %d to %d", round, name, lo, hi)
			}
		}
	}
	t.Logf("%d small counts withheld, %d counts shown", small, shown)
	if small < 100 || shown < 500 {
		t.Error("the cohorts test too little")
	}
}
