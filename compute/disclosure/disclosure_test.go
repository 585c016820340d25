package disclosure

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// crossed is a table of two attributes with its totals: the whole first, then
// the rows' totals, the columns' totals, the cells row by row.
func crossed(cells [][]int) Table {
	r, c := len(cells), len(cells[0])
	t := Table{Counts: make([]int, 1+r+c+r*c)}
	rows, columns := Sum{Total: 0}, Sum{Total: 0}
	for i := range r {
		rows.Parts = append(rows.Parts, 1+i)
		sum := Sum{Total: 1 + i}
		for j := range c {
			at := 1 + r + c + i*c + j
			sum.Parts = append(sum.Parts, at)
			t.Counts[at] = cells[i][j]
			t.Counts[0] += cells[i][j]
			t.Counts[1+i] += cells[i][j]
			t.Counts[1+r+j] += cells[i][j]
		}
		t.Sums = append(t.Sums, sum)
	}
	for j := range c {
		columns.Parts = append(columns.Parts, 1+r+j)
		sum := Sum{Total: 1 + r + j}
		for i := range r {
			sum.Parts = append(sum.Parts, 1+r+c+i*c+j)
		}
		t.Sums = append(t.Sums, sum)
	}
	t.Sums = append(t.Sums, rows, columns)
	return t
}

func whole(t Table) []bool {
	public := make([]bool, len(t.Counts))
	public[0] = true
	return public
}

// attacker is what a reader can derive: the least and the largest value of each
// withheld count, by trying every table of whole numbers. It shares no code with
// Protect.
func attacker(t Table, hidden []bool) (lo, hi []int) {
	lo, hi = slices.Repeat([]int{1 << 30}, len(t.Counts)), slices.Repeat([]int{-1}, len(t.Counts))
	low, high := make([]int, len(t.Counts)), make([]int, len(t.Counts))
	for i, count := range t.Counts {
		low[i], high[i] = count, count
		if hidden[i] {
			low[i], high[i] = 1, t.Counts[0]
		}
	}
	var try func(low, high []int)
	try = func(low, high []int) {
		for changed := true; changed; {
			changed = false
			for _, s := range t.Sums {
				least, most := 0, 0
				for _, i := range s.Parts {
					least, most = least+low[i], most+high[i]
				}
				narrow := func(i, l, h int) {
					if l > low[i] {
						low[i], changed = l, true
					}
					if h < high[i] {
						high[i], changed = h, true
					}
				}
				narrow(s.Total, least, most)
				for _, i := range s.Parts {
					narrow(i, low[s.Total]-(most-high[i]), high[s.Total]-(least-low[i]))
				}
			}
			for i := range low {
				if low[i] > high[i] {
					return
				}
			}
		}
		free := -1
		for i := range low {
			if low[i] < high[i] && (free < 0 || high[i]-low[i] < high[free]-low[free]) {
				free = i
			}
		}
		if free < 0 {
			for i := range low {
				lo[i], hi[i] = min(lo[i], low[i]), max(hi[i], low[i])
			}
			return
		}
		for v := low[free]; v <= high[free]; v++ {
			l, h := slices.Clone(low), slices.Clone(high)
			l[free], h[free] = v, v
			try(l, h)
		}
	}
	try(low, high)
	return lo, hi
}

func check(t *testing.T, what string, table Table, hidden []bool, floor int, secret ...int) {
	t.Helper()
	lo, hi := attacker(table, hidden)
	for i, count := range table.Counts {
		switch {
		case !hidden[i] && Small(count, floor):
			t.Errorf("%s: count %d of %d is shown", what, i, count)
		case hidden[i] && count == 0:
			t.Errorf("%s: a zero is withheld", what)
		case hidden[i] && (Small(count, floor) || slices.Contains(secret, i)) && hi[i]-lo[i] < floor:
			t.Errorf("%s: withheld count %d must be from %d to %d", what, i, lo[i], hi[i])
		}
	}
}

func TestALoneSmallGroupTakesASecondWithIt(t *testing.T) {
	table := Table{Counts: []int{120, 60, 40, 15, 5}, Sums: []Sum{{0, []int{1, 2, 3, 4}}}}
	hidden := table.Protect(11, nil, whole(table), nil)
	if !slices.Equal(hidden, []bool{false, false, false, true, true}) {
		t.Errorf("withheld %v", hidden)
	}
	check(t, "one attribute", table, hidden, 11)
}

func TestZeroIsShownAndProtectsNobody(t *testing.T) {
	table := Table{Counts: []int{50, 30, 15, 5, 0}, Sums: []Sum{{0, []int{1, 2, 3, 4}}}}
	hidden := table.Protect(11, nil, whole(table), nil)
	if hidden[4] || !hidden[2] || !hidden[3] {
		t.Errorf("withheld %v", hidden)
	}
}

// A group that one hospital dominates is withheld whatever its size, and cannot
// be had as the rest of the whole.
func TestDominatedGroupIsProtectedLikeASmallOne(t *testing.T) {
	table := Table{Counts: []int{300, 100, 90, 110}, Sums: []Sum{{0, []int{1, 2, 3}}}}
	hidden := table.Protect(11, []bool{false, false, false, true}, whole(table), nil)
	if !slices.Equal(hidden, []bool{false, false, true, true}) {
		t.Errorf("withheld %v", hidden)
	}
	check(t, "dominance", table, hidden, 11, 3)
}

// Cells of every row and every column come in pairs here, and still the four
// totals give each of them away: 1 and 11 in a row of 12 leave one choice only.
func TestPairsInEveryLineAreNotEnough(t *testing.T) {
	table := crossed([][]int{{3, 20, 9}, {20, 3, 9}, {30, 30, 30}})
	hidden := table.Protect(11, nil, whole(table), nil)
	check(t, "crossed", table, hidden, 11)
}

// Two intersections that share an attribute are one system: what one withholds
// the other must not give away.
func TestOverlappingIntersections(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			table := overlapping(random, 2, 2, 3)
			hidden := table.Protect(3, nil, whole(table), nil)
			check(t, "overlapping", table, hidden, 3)
		})
	}
}

// overlapping is a table of all, of attributes A, B and C, of A by B and A by C.
func overlapping(random *rand.Rand, a, b, c int) Table {
	counts := make([]int, a*b*c)
	for i := range counts {
		counts[i] = random.IntN(6)
		if random.IntN(3) == 0 {
			counts[i] += 6
		}
	}
	t := Table{}
	of := map[string]int{}
	at := func(key string) int {
		if i, ok := of[key]; ok {
			return i
		}
		of[key] = len(t.Counts)
		t.Counts = append(t.Counts, 0)
		return of[key]
	}
	at("all")
	type key struct{ total, attribute int }
	groups := map[key]*Sum{}
	var keys []key
	link := func(total, attribute, part int) {
		k := key{total, attribute}
		if groups[k] == nil {
			groups[k] = &Sum{Total: total}
			keys = append(keys, k)
		}
		if !slices.Contains(groups[k].Parts, part) {
			groups[k].Parts = append(groups[k].Parts, part)
		}
	}
	for i := range a {
		for j := range b {
			for k := range c {
				n := counts[(i*b+j)*c+k]
				A, B, C := at(fmt.Sprint("a", i)), at(fmt.Sprint("b", j)), at(fmt.Sprint("c", k))
				AB, AC := at(fmt.Sprint("a", i, "b", j)), at(fmt.Sprint("a", i, "c", k))
				for _, x := range []int{0, A, B, C, AB, AC} {
					t.Counts[x] += n
				}
				link(0, 0, A)
				link(0, 1, B)
				link(0, 2, C)
				link(A, 1, AB)
				link(B, 0, AB)
				link(A, 2, AC)
				link(C, 0, AC)
			}
		}
	}
	for _, k := range keys {
		t.Sums = append(t.Sums, *groups[k])
	}
	return t
}

// Nothing below the floor can be derived from what is shown of any small table:
// an attacker who tries every table of whole numbers finds, for each withheld
// count, values at least the floor apart.
func TestNothingBelowTheFloorCanBeDerived(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	withheld, shown := 0, 0
	for range 300 {
		rows, columns, floor := 2+random.IntN(2), 2+random.IntN(3), 2+random.IntN(3)
		cells := make([][]int, rows)
		for i := range cells {
			cells[i] = make([]int, columns)
			for j := range cells[i] {
				if cells[i][j] = random.IntN(2 * floor); random.IntN(2) == 0 {
					cells[i][j] += floor
				}
			}
		}
		table := crossed(cells)
		hidden := table.Protect(floor, nil, whole(table), nil)
		lo, hi := attacker(table, hidden)
		for i, h := range hidden {
			if !h {
				shown++
				if Small(table.Counts[i], floor) && i > 0 {
					t.Errorf("%v: %d is shown", cells, table.Counts[i])
				}
				continue
			}
			withheld++
			// Everything that could be withheld is: then the whole is all that is known.
			exhausted := true
			for k, other := range hidden {
				exhausted = exhausted && (k == 0 || other || table.Counts[k] == 0)
			}
			if Small(table.Counts[i], floor) && hi[i]-lo[i] < floor && !exhausted {
				t.Errorf("%v, floor %d: withheld count %d is from %d to %d", cells, floor, i, lo[i], hi[i])
			}
		}
	}
	if withheld < 500 || shown < 500 {
		t.Errorf("%d withheld and %d shown: the tables test too little", withheld, shown)
	}
}

// Percentage and n give the number away.
func TestASharePassesOnlyIfBothPartsDo(t *testing.T) {
	for _, c := range []struct {
		k, n int
		want bool
	}{{0, 50, true}, {50, 50, true}, {3, 50, false}, {47, 50, false}, {11, 50, true}, {39, 50, true}, {40, 50, false}, {10, 21, false}, {11, 22, true}} {
		if got := Share(c.k, c.n, 11); got != c.want {
			t.Errorf("%d of %d: %v", c.k, c.n, got)
		}
	}
}

// The same table is protected the same way, whatever came before.
func TestProtectIsAFunction(t *testing.T) {
	table := crossed([][]int{{3, 20, 9}, {20, 3, 9}, {30, 30, 30}})
	first := table.Protect(11, nil, whole(table), nil)
	for range 3 {
		if !slices.Equal(first, table.Protect(11, nil, whole(table), nil)) {
			t.Fatal("differs")
		}
	}
}

// A large audit is decided in reasonable time: 60 crossed groups.
func BenchmarkProtect_cells60(b *testing.B) {
	random := rand.New(rand.NewPCG(5, 6))
	cells := make([][]int, 6)
	for i := range cells {
		for range 10 {
			cells[i] = append(cells[i], random.IntN(40))
		}
	}
	table := crossed(cells)
	for b.Loop() {
		table.Protect(11, nil, whole(table), nil)
	}
}
