package glm

import (
	"fmt"
	"strconv"
	"testing"
)

// A model does not say how many have the outcome where they, or the others, are fewer
// than the minimum cell: the cohort beside it withholds that.
func TestFewWithTheOutcomeAreNotCounted(t *testing.T) {
	const n = 300
	for _, effects := range []string{"", ", site_effects: fixed", ", site_effects: random"} {
		for _, have := range []int{8, 11, n - 11, n - 8} {
			s := parse(t, fmt.Sprintf(`
study: few
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: x, type: number, range: [0, 10]}
model: {kind: glm, family: binomial%s}
`, effects))
			var records [][]string
			for i := range n {
				y := "0"
				if i*7%n < have { // every site has some
					y = "1"
				}
				records = append(records, []string{strconv.Itoa(i % 11), y})
			}
			m, _, err := federate(t, s, matrices(t, s, []string{"x", "y"}, records, 3, func(i int) int { return i % 3 }))
			if err != nil {
				t.Fatalf("%d%s: %v", have, effects, err)
			}
			if few := have < 11 || n-have < 11; few != (m.Positives == nil) || !few && *m.Positives != have {
				t.Errorf("%d of %d%s: the model says %v", have, n, effects, m.Positives)
			}
		}
	}
}
