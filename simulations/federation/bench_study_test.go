package federation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// BenchmarkStudy measures a whole study, from enrolment to the verified release,
// on made-up patients: what `simulate run` does, encryption included, but that no
// bundle is left. Beside it is the pooled twin: the same computations on all
// records in one matrix, with nothing sent. Records are in memory before the clock
// starts; both read and check them.
func BenchmarkStudy(b *testing.B) {
	const patients, features, sites = 100_000, 100, 20
	columns, rows := madeUp(patients, features)
	pooled := records.Memory(columns, rows)
	var bySite []records.Source
	for i := range sites {
		bySite = append(bySite, records.Memory(columns, rows[i*patients/sites:(i+1)*patients/sites]))
	}
	rows = nil // both sources have them packed
	for _, c := range []struct{ name, model string }{
		{"gaussian", "{kind: glm, family: gaussian}"},
		{"boost50", "{kind: boost, loss: squared, trees: 50, depth: 6, bins: 64, learning_rate: 0.1, min_leaf: 20}"},
		{"boost100", "{kind: boost, loss: squared, trees: 100, depth: 6, bins: 64, learning_rate: 0.1, min_leaf: 20}"},
	} {
		var protocol strings.Builder
		fmt.Fprintf(&protocol, "study: bench\nversion: 1\noutcome: {column: y, type: number, range: [-100, 100]}\nmodel: %s\nfeatures:\n", c.model)
		for _, column := range columns[1:] {
			fmt.Fprintf(&protocol, "  - {column: %s, type: number, range: [-10, 10]}\n", column)
		}
		size := fmt.Sprintf("model=%s/patients=%d/features=%d", c.name, patients, features)
		b.Run(fmt.Sprintf("%s/sites=%d", size, sites), func(b *testing.B) {
			spec := Spec{Protocol: []byte(protocol.String())}
			for i := range sites {
				spec.Sites = append(spec.Sites, Site{Name: fmt.Sprintf("site-%02d", i+1), Records: bySite[i]})
			}
			before := processorTime()
			for b.Loop() {
				result, err := Run(b.Context(), spec)
				if err != nil {
					b.Fatal(err)
				}
				if result.Model == nil || !result.Verification.Holds {
					b.Fatal("no verified model")
				}
				up := uint64(0)
				for _, r := range result.Rounds {
					up += r.BytesUp
				}
				b.ReportMetric(float64(len(result.Rounds)), "rounds")
				b.ReportMetric(float64(up)/1e6/sites, "MB/site")
			}
			b.ReportMetric((processorTime()-before).Seconds()/float64(b.N), "core-s")
			b.ReportMetric(float64(patients*features)*float64(b.N)/b.Elapsed().Seconds(), "values/s")
		})
		b.Run(size+"/pooled", func(b *testing.B) {
			s, err := study.Parse([]byte(protocol.String()))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				fitPooled(b, s, pooled)
			}
			b.ReportMetric(float64(patients*features)*float64(b.N)/b.Elapsed().Seconds(), "values/s")
		})
	}
}

// fitPooled runs a study's computations on one matrix.
func fitPooled(b *testing.B, s *study.Study, source records.Source) {
	matrix, _, err := records.Load(s, source)
	if err != nil {
		b.Fatal(err)
	}
	session := pipeline.New(s)
	for {
		question, done, err := session.Next()
		if err != nil {
			b.Fatal(err)
		}
		if done {
			return
		}
		values, err := pipeline.Answer(s, question.Step, question.Parameters, pipeline.Site{Name: "pooled", Records: matrix})
		if err != nil {
			b.Fatal(err)
		}
		sum, err := compute.NewSum(1, question.Layout, values)
		if err != nil {
			b.Fatal(err)
		}
		if err := session.Absorb(sum); err != nil {
			b.Fatal(err)
		}
	}
}

// madeUp patients have normal features of which every fifth matters, some of
// them not in proportion.
func madeUp(patients, features int) (columns []string, rows [][]string) {
	random := rand.New(rand.NewPCG(20261122, 4))
	columns = []string{"y"}
	for j := range features {
		columns = append(columns, fmt.Sprintf("x%d", j))
	}
	for range patients {
		row := make([]string, 1+features)
		y := random.NormFloat64()
		for j := range features {
			x := math.Round(1000*min(max(random.NormFloat64(), -10), 10)) / 1000
			row[1+j] = strconv.FormatFloat(x, 'f', -1, 64)
			if j%5 == 0 {
				y += 0.5*x + 0.2*math.Abs(x)
			}
		}
		row[0] = strconv.FormatFloat(min(max(y, -100), 100), 'f', 4, 64)
		rows = append(rows, row)
	}
	return columns, rows
}
