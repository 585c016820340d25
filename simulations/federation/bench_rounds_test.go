package federation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/internal/records"
)

// BenchmarkRounds measures what a round costs whatever is computed: a whole
// study of many rounds, from enrolment to verification, on so few records that
// nothing else counts.
func BenchmarkRounds(b *testing.B) {
	for _, c := range []struct{ sites, trees int }{{20, 5}} {
		const patients, features = 4000, 4
		columns, rows := madeUp(patients, features)
		var protocol strings.Builder
		protocol.WriteString("study: bench\nversion: 1\noutcome: {column: y, type: number, range: [-100, 100]}\n")
		fmt.Fprintf(&protocol, "model: {kind: boost, loss: squared, trees: %d, depth: 6, bins: 16, learning_rate: 0.1, min_leaf: 20}\nfeatures:\n", c.trees)
		for _, column := range columns[1:] {
			fmt.Fprintf(&protocol, "  - {column: %s, type: number, range: [-10, 10]}\n", column)
		}
		b.Run(fmt.Sprintf("sites=%d/trees=%d", c.sites, c.trees), func(b *testing.B) {
			spec := Spec{Protocol: []byte(protocol.String())}
			for i := range c.sites {
				spec.Sites = append(spec.Sites, Site{Name: fmt.Sprintf("site-%02d", i+1), Records: records.Memory(columns, rows[i*patients/c.sites:(i+1)*patients/c.sites])})
			}
			rounds := 0
			before := processorTime()
			for b.Loop() {
				result, err := Run(b.Context(), spec)
				if err != nil {
					b.Fatal(err)
				}
				if result.Model == nil || !result.Verification.Holds {
					b.Fatal("no verified model")
				}
				rounds += len(result.Rounds)
			}
			b.ReportMetric(float64(rounds)/float64(b.N), "rounds")
			b.ReportMetric(1000*(processorTime()-before).Seconds()/float64(rounds), "core-ms/round")
			b.ReportMetric(1000*b.Elapsed().Seconds()/float64(rounds), "ms/round")
		})
	}
}
