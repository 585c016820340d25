package pipeline

import (
	"fmt"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// The rounds of a step are those of the list of steps, however many other studies
// were asked about in between.
func TestRoundsAreThoseThatTheStepsList(t *testing.T) {
	parsed := func(trees int) *study.Study {
		s, err := study.Parse(fmt.Appendf(nil, "study: s\nversion: 1\noutcome: {column: y, type: number, range: [0, 1]}\nfeatures: [{column: x, type: number, range: [0, 1]}]\nmodel: {kind: boost, loss: squared, trees: %d, depth: 3}\n", trees))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for range 2 {
		for trees := 1; trees <= fewLists+1; trees++ {
			s := parsed(trees)
			for _, sites := range []int{0, 4} {
				for _, step := range Steps(s, sites) {
					if most, known := Rounds(s, step.Step, sites); !known || most != step.Rounds {
						t.Errorf("%d trees among %d hospitals: %d rounds of %s, %v; want %d", trees, sites, most, step.Step, known, step.Rounds)
					}
				}
				if _, known := Rounds(s, "glm/gram", sites); known {
					t.Error("a study of trees has a step of a linear model")
				}
			}
		}
	}
}
