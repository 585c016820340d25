package federation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/internal/records"
)

// BenchmarkAudit measures the bias audit of a large study in its consortium,
// encryption included: from the moment the model is known to the release that
// every hospital has tried on its own patients. The groups of two attributes and
// their 60 intersections are audited, figures of several counts with 200
// bootstrap replicates. Those are drawn from the opened counts (compute/fairness,
// chance.go), so that they cost the coordinator arithmetic and nobody a byte.
//
//	go test -run '^$' -bench Audit -benchtime 1x -cpu 2 ./simulations/federation
func BenchmarkAudit(b *testing.B) {
	const sites, intersections = 20, 60
	for _, patients := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("patients=%d/intersections=%d/replicates=200/sites=%d", patients, intersections, sites), func(b *testing.B) {
			columns, rows := diverse(patients)
			protocol := fmt.Sprintf(wideAudit, names("g", 9), names("h", 5))
			spec := Spec{Protocol: []byte(protocol)}
			for i := range sites {
				spec.Sites = append(spec.Sites, Site{Name: fmt.Sprintf("site-%02d", i+1), Records: records.Memory(columns, rows[i*patients/sites:(i+1)*patients/sites])})
			}
			watch := new(stopwatch)
			spec.Progress = watch.heard
			for b.Loop() {
				result, err := Run(b.Context(), spec)
				if err != nil {
					b.Fatal(err)
				}
				if result.Model == nil || !result.Verification.Holds {
					b.Fatal("no verified model")
				}
				shown, values, bytes := 0, 0, uint64(0)
				for _, g := range result.Fairness.Groups {
					if len(g.Metrics) > 0 {
						shown++
					}
				}
				for _, r := range result.Rounds {
					if strings.HasPrefix(r.Step, "fairness/") {
						values++
						bytes += r.BytesUp
					}
				}
				if shown < intersections {
					b.Fatalf("only %d groups have figures", shown)
				}
				b.ReportMetric(float64(values), "rounds")
				b.ReportMetric(float64(bytes)/sites, "bytes/site")
			}
			n := float64(b.N)
			b.ReportMetric(watch.took.Seconds()/n, "audit-s")
			b.ReportMetric(watch.worked.Seconds()/n, "audit-core-s")
			b.ReportMetric(float64(patients)*n/watch.took.Seconds(), "patients/s")
		})
	}
}

const wideAudit = `
study: wide
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: x, type: number, range: [-10, 10]}
  - {column: z, type: number, range: [-10, 10]}
model: {kind: glm, family: binomial}
fairness:
  attributes:
    - {column: g, levels: [%s]}
    - {column: h, levels: [%s]}
  intersections: 2
  bootstrap: 200
`

func names(prefix string, n int) string {
	var out []string
	for i := range n {
		out = append(out, prefix+strconv.Itoa(i))
	}
	return strings.Join(out, ", ")
}

// diverse patients have groups of unequal sizes, unknown ones included, and a
// model that is wrong in one of them.
func diverse(patients int) (columns []string, rows [][]string) {
	random := rand.New(rand.NewPCG(20261122, 7))
	groups := func(prefix string, n int) string {
		return prefix + strconv.Itoa(int(float64(n)*math.Pow(random.Float64(), 1.5)))
	}
	number := func(x float64) string {
		return strconv.FormatFloat(math.Round(1000*min(max(x, -10), 10))/1000, 'f', -1, 64)
	}
	for range patients {
		x, z, g, h := random.NormFloat64(), random.NormFloat64(), groups("g", 10), groups("h", 6)
		eta := x - 0.5*z - 1
		if g == "g3" {
			eta = 0.3*x - 1
		}
		y := "0"
		if random.Float64() < 1/(1+math.Exp(-eta)) {
			y = "1"
		}
		rows = append(rows, []string{y, number(x), number(z), g, h})
	}
	return []string{"y", "x", "z", "g", "h"}, rows
}

// stopwatch runs from the last round before the audit to the hospitals'
// decisions about the release.
type stopwatch struct {
	mu           sync.Mutex
	since        time.Time
	used         time.Duration
	took, worked time.Duration
}

func (w *stopwatch) heard(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case strings.HasPrefix(line, "round ") && !strings.Contains(line, "fairness/"):
		w.since, w.used = time.Now(), processorTime()
	case strings.HasPrefix(line, "release: "):
		w.took += time.Since(w.since)
		w.worked += processorTime() - w.used
	}
}
