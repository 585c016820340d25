package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

const rareLevel = `study: rare-level
version: 1
outcome: {column: y, type: number, range: [0, 20]}
features:
  - {column: x, type: number, range: [0, 10]}
  - {column: c, type: category, levels: [p, q, r, s]}
model: %s
%sfairness:
  minimum_cell: 11
  minimum_sites: 1
  largest_share: 1
  disclosure: %s
privacy: {minimum_contributors: 3}
`

// meansOf are a model's means by term.
func meansOf(s *study.Study, m *Model) map[string]float64 {
	out := map[string]float64{}
	for j, t := range s.Terms() {
		if m.GLM == nil {
			out[t.Name] = m.Means[j]
		}
	}
	if m.GLM != nil {
		for _, t := range m.GLM.Terms {
			out[t.Name] = t.Mean
		}
	}
	return out
}

// Of 240 patients four have a level. With primary disclosure a model's mean of its
// column says so; otherwise no mean is that of a level that the cohort withholds, nor,
// of a model that some patients did not train, of these alone.
func TestAModelsMeansDoNotTellHowFew(t *testing.T) {
	for _, model := range []string{"{kind: glm, family: gaussian}", "{kind: boost, trees: 3, depth: 2, min_leaf: 11}"} {
		for _, validation := range []string{"", "validation: {kind: holdout, fraction: 0.2}\n"} {
			for _, disclosure := range []string{"primary", "complementary"} {
				s := parse(t, fmt.Sprintf(rareLevel, model, validation, disclosure))
				random := rand.New(rand.NewPCG(5, 1))
				var records [][]string
				for i := range 240 {
					level := []string{"p", "q", "r"}[i%3]
					if i%60 == 7 {
						level = "s"
					}
					x := 10 * random.Float64()
					records = append(records, []string{strconv.FormatFloat(x+5*random.Float64(), 'f', 4, 64), strconv.FormatFloat(x, 'f', 4, 64), level})
				}
				r, err := federate(t, s, matrices(t, s, []string{"y", "x", "c"}, records, func(i int) string { return fmt.Sprint(i % 4) }), plain)
				if err != nil {
					t.Fatal(err)
				}
				trained := 240
				if r.Validation != nil {
					trained -= r.Validation.N
				}
				means := meansOf(s, r.Model)
				few := means["c=s"] * float64(trained)
				if derived := few > 0 && few < 11 && math.Abs(few-math.Round(few)) < 1e-6; derived != (disclosure == "primary") {
					t.Errorf("%s %s%s: %g of %d have the level", model, validation, disclosure, few, trained)
				}
				if disclosure == "primary" {
					continue
				}
				for _, l := range r.Cohort.Features[1].Levels[1:] {
					if mean := means["c="+l.Name]; l.Count.State == describe.OK && math.Abs(mean-float64(*l.Count.N)/240) > 1e-12 {
						t.Errorf("%s %s: the mean of level %s is %g, the cohort has %d of 240", model, validation, l.Name, mean, *l.Count.N)
					}
				}
			}
		}
	}
}
