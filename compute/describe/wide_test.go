package describe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// wide is a description of so many categories and their cross tables, of patients
// whose levels hang together a little and are skewed, before anything is withheld.
func wide(t testing.TB, categories, levels, patients, floor int, seed uint64) *Descriptions {
	t.Helper()
	var features []string
	columns := []string{"y"}
	names := make([]string, levels)
	for l := range names {
		names[l] = fmt.Sprint("l", l)
	}
	for c := range categories {
		columns = append(columns, fmt.Sprint("c", c))
		features = append(features, fmt.Sprintf("  - {column: c%d, type: category, levels: [%s]}\n", c, strings.Join(names, ", ")))
	}
	s := parse(t, fmt.Sprintf("study: wide\nversion: 1\noutcome: {column: y, type: binary, positive: [yes]}\nfeatures:\n%smodel: {kind: describe}\nfairness: {minimum_cell: %d, disclosure: complementary}\n",
		strings.Join(features, ""), floor))
	random := rand.New(rand.NewPCG(seed, 8))
	var records [][]string
	for range patients {
		own := random.Float64()
		record := []string{[]string{"no", "yes"}[int(random.Float64()*random.Float64()*2)]}
		for range categories {
			l := float64(levels) * math.Pow(0.8*random.Float64()+0.2*own, 1.5)
			record = append(record, names[min(int(l), levels-1)])
		}
		records = append(records, record)
	}
	return tabled(t, s, divide(t, s, columns, 3, records, func(i int) int { return i % 3 }))
}

// tabled is a description whose cross tables have been asked for, and are not yet
// protected.
func tabled(t testing.TB, s *study.Study, sites []*study.Matrix) *Descriptions {
	t.Helper()
	counts, err := Read(s, ask(t, compute.Question{Step: Step, Layout: CountsLayout(s)}, sites, func(m *study.Matrix) ([]float64, error) { return AnswerCounts(s, m) }))
	if err != nil {
		t.Fatal(err)
	}
	d := NewDescription(s, counts)
	parameters, err := compute.EncodeParameters(tableParameters{d.means()})
	if err != nil {
		t.Fatal(err)
	}
	d.cells = ask(t, compute.Question{Step: StepTables, Layout: tablesLayout(s)}, sites, func(m *study.Matrix) ([]float64, error) { return answerTables(s, parameters, m) }).Field("cells")
	return d
}

// bounded is a reader of a description without missing records: by dimension and level, and by cell of each cross
// table, the least and the most that a count can be, by going over all totals again and again.
type bounded struct {
	lo, hi []int
	sums   [][]int // the total first
}

func (b *bounded) count(n Count, truth, most int) int {
	lo, hi := truth, truth
	if n.State == Suppressed {
		lo, hi = 1, most
	}
	b.lo, b.hi = append(b.lo, lo), append(b.hi, hi)
	return len(b.lo) - 1
}

func (b *bounded) narrow() {
	for changed := true; changed; {
		changed = false
		for _, sum := range b.sums {
			least, most := 0, 0
			for _, i := range sum[1:] {
				least, most = least+b.lo[i], most+b.hi[i]
			}
			set := func(i, lo, hi int) {
				if lo > b.lo[i] {
					b.lo[i], changed = lo, true
				}
				if hi < b.hi[i] {
					b.hi[i], changed = hi, true
				}
			}
			set(sum[0], least, most)
			for _, i := range sum[1:] {
				set(i, b.lo[sum[0]]-(most-b.hi[i]), b.hi[sum[0]]-(least-b.lo[i]))
			}
		}
	}
}

// Rule: nothing below the floor follows from a description, however many counts it has.
// Of these 98 small counts follow where each cross table is protected by itself.
func TestNothingFollowsFromAWideDescription(t *testing.T) {
	if testing.Short() {
		t.Skip("a long computation of one goroutine")
	}
	small := 0
	const floor = 11
	d := wide(t, 12, 5, 340, floor, 2)
	d.protected(d.cells, nil)
	b := &bounded{}
	n := d.counts.Patients
	all := b.count(Count{State: OK}, n, n)
	of := map[string][]int{}
	var truth []int
	var shown []Count
	truth, shown = append(truth, n), append(shown, Count{State: OK})
	add := func(c Count, x int) int {
		truth, shown = append(truth, x), append(shown, c)
		return b.count(c, x, n)
	}
	for f, v := range d.cohort.Features {
		for l, level := range v.Levels {
			of[v.Column] = append(of[v.Column], add(level.Count, d.counts.levels[d.counts.index.levelAt[f]+l]))
		}
		b.sums = append(b.sums, append([]int{all}, of[v.Column]...))
	}
	up := *d.cohort.Outcome.Positives
	of["y"] = []int{add(Count{State: up.State}, n-d.counts.Positives), add(up, d.counts.Positives)}
	b.sums = append(b.sums, append([]int{all}, of["y"]...))
	counts := crossedCounts(crossings(d.study), whole(d.cells))
	for k, table := range d.out.CrossTables {
		columns := make([][]int, len(table.ColumnNames))
		for i, row := range table.Cells {
			line := []int{of[table.Rows][i]}
			for j, c := range row {
				at := add(c, counts[k][i][j])
				line, columns[j] = append(line, at), append(columns[j], at)
			}
			b.sums = append(b.sums, line)
		}
		for j, column := range columns {
			b.sums = append(b.sums, append([]int{of[table.Columns][j]}, column...))
		}
	}
	b.narrow()
	derived := 0
	for i, c := range shown {
		if c.State != Suppressed || truth[i] >= floor {
			continue
		}
		small++
		if b.hi[i]-b.lo[i] < floor {
			if derived++; derived < 4 {
				t.Errorf("withheld count %d is from %d to %d", truth[i], b.lo[i], b.hi[i])
			}
		}
	}
	open := 0
	for _, c := range shown {
		if c.State != Suppressed {
			open++
		}
	}
	t.Logf("%d counts, %d shown, %d derived", len(shown), open, derived)
	if open < 300 {
		t.Errorf("only %d of %d counts are shown", open, len(shown))
	}
	if small < 400 {
		t.Errorf("%d small counts: the descriptions test too little", small)
	}
}

func benchmarkProtected(b *testing.B, categories, levels, patients int) {
	d := wide(b, categories, levels, patients, 11, 1)
	for b.Loop() {
		d.out.CrossTables = nil
		d.protected(d.cells, nil)
	}
	withheld := 0
	for _, t := range d.out.CrossTables {
		for _, row := range t.Cells {
			for _, c := range row {
				if c.State == Suppressed {
					withheld++
				}
			}
		}
	}
	b.ReportMetric(float64(len(d.cells)), "counts")
	b.ReportMetric(float64(withheld), "withheld")
}

func BenchmarkProtected_categories12_levels5(b *testing.B) { benchmarkProtected(b, 12, 5, 600) }
func BenchmarkProtected_categories40_levels5(b *testing.B) { benchmarkProtected(b, 40, 5, 1000) }

// Where nothing of the cross tables can be shown the levels still are.
func TestLevelsWithoutCrossTables(t *testing.T) {
	d := wide(t, 3, 4, 120, 11, 1)
	for i, n := range d.cells {
		d.cells[i] = min(n, 10)
	}
	d.protected(d.cells, nil)
	shown := 0
	for _, v := range d.cohort.Features {
		for _, level := range v.Levels {
			if level.Count.State == OK {
				shown++
			}
		}
	}
	if d.out.CrossTables != nil || shown == 0 {
		t.Errorf("%d cross tables and %d levels", len(d.out.CrossTables), shown)
	}
}
