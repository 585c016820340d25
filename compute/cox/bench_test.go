package cox

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// A site's answer to one step of the fit: its patients, or the columns of
// features, per second.
func BenchmarkAnswer(b *testing.B) {
	for _, stratify := range strata {
		for _, size := range [][2]int{{5000, 20}, {5000, 100}, {100000, 20}} {
			patients, columns := size[0], size[1]
			b.Run(fmt.Sprintf("stratify=%s/patients=%d/columns=%d", stratify, patients, columns), func(b *testing.B) {
				s, m := wide(b, stratify, patients, columns)
				at := point{Coefficients: make([]float64, columns), Centre: make([]float64, columns)}
				if stratify == study.StratifyNone {
					for k := range s.Outcome.Grid {
						at.Intervals, at.Leave = append(at.Intervals, k), append(at.Leave, k)
					}
				}
				for b.Loop() {
					if stratify == study.StratifyNone {
						answerPooled(s, at, m)
					} else {
						answerStratum(s, at, m)
					}
				}
				b.ReportMetric(float64(patients)*float64(b.N)/b.Elapsed().Seconds(), "patients/s")
			})
		}
	}
}

func wide(t testing.TB, stratify string, patients, columns int) (*study.Study, *study.Matrix) {
	t.Helper()
	var features strings.Builder
	names := []string{"t", "e"}
	for j := range columns {
		fmt.Fprintf(&features, "  - {column: x%d, type: number, range: [-10, 10]}\n", j)
		names = append(names, fmt.Sprintf("x%d", j))
	}
	s := parse(t, fmt.Sprintf(`
study: wide
version: 1
outcome: {type: survival, time: {column: t, range: [0, 100]}, event: {column: e, positive: ["1"]}}
features:
%smodel: {kind: cox, stratify: %s, ties: efron}
`, features.String(), stratify))
	builder, err := s.NewBuilder(names)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range patients {
		row := []string{text(math.Ceil(10*min(-20*math.Log(random.Float64()), 100)) / 10), strconv.Itoa(random.IntN(2))}
		for range columns {
			row = append(row, text(random.NormFloat64()))
		}
		builder.Add(row)
	}
	return s, builder.Matrix()
}
