package boost

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// large are 10^5 patients with 100 numbers at so many sites.
func large(b *testing.B, loss string, sites int) (*study.Study, []*study.Matrix) {
	b.Helper()
	const n, numbers = 100_000, 100
	s := parse(b, protocol(loss, ", trees: 100, depth: 6, bins: 64, min_leaf: 20", numbers, 10))
	random := rand.New(rand.NewPCG(1, 2))
	names := columns(numbers)
	var out []*study.Matrix
	for range sites {
		builder, err := s.NewBuilder(names)
		if err != nil {
			b.Fatal(err)
		}
		row := make([]string, len(names))
		for range n / sites {
			eta := 0.0
			for j := range numbers {
				x := random.NormFloat64()
				if j < 10 {
					eta += x
				}
				row[j] = strconv.FormatFloat(min(max(x, -10), 10), 'g', 8, 64)
			}
			row[numbers], row[numbers+1], row[numbers+2] = "AG", strconv.FormatFloat(min(max(eta+random.NormFloat64(), -20), 60), 'g', 8, 64), "0"
			if loss == study.LossLogistic {
				row[numbers+1] = strconv.Itoa(int(min(max(eta+1, 0), 1)))
			}
			builder.Add(row)
		}
		out = append(out, builder.Matrix())
	}
	return s, out
}

// plain adds up answers without any encryption.
func plain(b *testing.B, s *study.Study, q compute.Question, sites []*study.Matrix) (sum compute.Sum, values int) {
	b.Helper()
	var total []float64
	for _, m := range sites {
		answer, err := Answer(s, q.Step, q.Parameters, m)
		if err != nil {
			b.Fatal(err)
		}
		if total == nil {
			total = answer
			continue
		}
		for i, v := range answer {
			total[i] += v
		}
	}
	sum, err := compute.NewSum(len(sites), q.Layout, total)
	if err != nil {
		b.Fatal(err)
	}
	return sum, len(total)
}

// BenchmarkAnswerTree grows trees of depth 6, all sites on one core after another,
// beside the same on one site: what the division into sites costs, without
// encryption. Values are the numbers that the sites send.
func BenchmarkAnswerTree(b *testing.B) {
	for _, loss := range []string{study.LossSquared, study.LossLogistic} {
		for _, sites := range []int{20, 1} {
			b.Run(fmt.Sprintf("loss=%s/patients=100000/features=100/bins=64/depth=6/sites=%d", loss, sites), func(b *testing.B) {
				s, matrices := large(b, loss, sites)
				f := begin(b, s, matrices)
				values, bytes := 0, 0
				step := func() {
					q, done, err := f.Next()
					if err != nil || done {
						b.Fatal("the fit is over", err)
					}
					sum, n := plain(b, s, q, matrices)
					values, bytes = values+n, bytes+len(q.Parameters)
					if err := f.Absorb(sum); err != nil {
						b.Fatal(err)
					}
				}
				for f.edges == nil {
					step()
				}
				step() // bins the records
				values, bytes = 0, 0
				grown := 0
				b.ResetTimer()
				for range b.N {
					for grown = len(f.trees); len(f.trees) == grown; {
						step()
					}
				}
				b.ReportMetric(float64(values)*float64(sites)/b.Elapsed().Seconds(), "values/s")
				b.ReportMetric(float64(values)/float64(b.N), "values/tree/site")
				b.ReportMetric(float64(bytes)/float64(b.N), "parameterbytes/tree")
			})
		}
	}
}
