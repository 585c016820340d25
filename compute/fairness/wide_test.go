package fairness

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// wideAudit has attributes with so many levels each, all pairs of them crossed, of a
// number in so many bands. Tallies are made of whole counts: patients are drawn by
// group and band, more of the same band than of others.
func wideAudit(t testing.TB, attributes, levels, bands, patients int) (*study.Study, question, []*tally) {
	t.Helper()
	var columns []string
	for a := range attributes {
		var of []string
		for k := range levels - 1 { // and the unknown
			of = append(of, fmt.Sprintf("l%d", k))
		}
		columns = append(columns, fmt.Sprintf("    - {column: a%d, levels: [%s]}", a, strings.Join(of, ", ")))
	}
	var cuts []string
	for b := 1; b < bands; b++ {
		cuts = append(cuts, fmt.Sprint(100*b/bands))
	}
	s, err := study.Parse([]byte(fmt.Sprintf(`study: wide
version: 1
outcome: {column: y, type: number, range: [0, 100]}
features:
  - {column: x, type: number, range: [0, 100]}
model: {kind: glm, family: gaussian}
fairness:
  attributes:
%s
  intersections: 2
  bands: [%s]
  minimum_sites: 1
  largest_share: 1
  bootstrap: 0
  disclosure: complementary
`, strings.Join(columns, "\n"), strings.Join(cuts, ", "))))
	if err != nil {
		t.Fatal(err)
	}
	known := cells(s)
	tallies := make([]*tally, len(known))
	for i := range tallies {
		tallies[i] = &tally{bands: make([]float64, bands*bands)}
	}
	random := rand.New(rand.NewPCG(5, 5))
	crossed := crossings(s)
	for range patients {
		group := make([]int, attributes)
		for a := range group {
			group[a] = int(float64(levels) * math.Pow(random.Float64(), 1.5))
		}
		actual := random.IntN(bands)
		predicted := min(max(actual+int(math.Round(random.NormFloat64()*0.7)), 0), bands-1)
		miss := math.Abs(random.NormFloat64())
		for _, c := range crossed {
			one := tallies[c.at(func(a int) int { return group[a] })]
			one.n++
			one.bands[actual*bands+predicted]++
			for k, within := range []float64{0.6, 1.2, 1.8} {
				if miss < within {
					one.within[k]++
				}
			}
			if miss >= 1.2 {
				if actual > predicted {
					one.under++
				} else {
					one.over++
				}
			}
		}
	}
	q := question{}
	n := make([]int, len(known))
	for i := range n {
		n[i] = int(tallies[i].n)
	}
	table := disclosure.Table{Counts: n, Sums: sums(s, known, func(int) bool { return true })}
	public := make([]bool, len(n))
	public[0] = true
	var open []*tally
	for i, gone := range table.Protect(11, nil, public, nil) {
		if !gone && n[i] > 0 {
			q.Cells, open = append(q.Cells, i), append(open, tallies[i])
		}
	}
	return s, q, open
}

// The gate of an audit of 6 attributes of 4 groups and their 15 crossings, 265 groups in all, in 11 by 11 bands of the actual and the predicted dose, the most that a study can declare.
func BenchmarkWithheld_groups265_bands121(b *testing.B) {
	s, q, open := wideAudit(b, 6, 4, 11, 20000)
	for b.Loop() {
		withheld(s, q, open, 11, nil)
	}
	b.ReportMetric(float64(len(open)*(121+9)), "counts")
}

func BenchmarkWithheld_groups265_bands9(b *testing.B) {
	s, q, open := wideAudit(b, 6, 4, 3, 20000)
	for b.Loop() {
		withheld(s, q, open, 11, nil)
	}
}
