package fairness

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// An audit of 60 crossed groups, many of them small, at three thresholds.
func BenchmarkAudit_groups77_patients8000_sites4(b *testing.B) {
	levels := func(n int, prefix string) string {
		var out []string
		for i := range n {
			out = append(out, prefix+strconv.Itoa(i))
		}
		return strings.Join(out, ", ")
	}
	s, err := study.Parse([]byte(`
study: wide
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: x, type: number, range: [0, 1]}
model: {kind: glm, family: binomial}
fairness:
  attributes:
    - {column: g, levels: [` + levels(9, "g") + `]}
    - {column: h, levels: [` + levels(5, "h") + `]}
  intersections: 2
  thresholds: [0.2, 0.5, 0.7]
`))
	if err != nil {
		b.Fatal(err)
	}
	var sites []*study.Matrix
	for i := range 4 {
		builder, err := s.NewBuilder([]string{"y", "x", "g", "h"})
		if err != nil {
			b.Fatal(err)
		}
		for r := range 2000 {
			g := 9 * math.Pow(float64((31*r+i)%2000)/2000, 3)
			h := 5 * math.Pow(float64((17*r+3*i)%1999)/2000, 2)
			builder.Add([]string{strconv.Itoa((r / 3 % 7) / 5), "1", "g" + strconv.Itoa(int(g)), "h" + strconv.Itoa(int(h))})
		}
		sites = append(sites, builder.Matrix())
	}
	for b.Loop() {
		a, _ := audited(b, s, sites, func(i, r int) float64 { return float64((13*r+i)%100) / 100 })
		shown := 0
		for _, g := range a.Groups {
			if g.State == OK {
				shown++
			}
		}
		b.ReportMetric(float64(shown), "groups-shown")
	}
}
