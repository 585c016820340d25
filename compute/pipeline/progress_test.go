package pipeline

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

const followedStudy = `
study: followed
version: 1
outcome: {column: y, type: number, range: [0, 100]}
features:
  - {column: x, type: number, range: [-4, 4]}
  - {column: z, type: number, range: [-4, 4]}
model: %s
%s
schedule: {rounds: 7}
fairness:
  every: %d
  bootstrap: 0
  attributes:
    - {column: sex, levels: [f, m]}
`

func followedSites(t *testing.T, s *study.Study) []*study.Matrix {
	r := rand.New(rand.NewPCG(4, 4))
	var records [][]string
	for range 1200 {
		x, z := max(-4, min(4, r.NormFloat64())), max(-4, min(4, r.NormFloat64()))
		sex, y := "m", 50+8*x+4*z+2*r.NormFloat64()
		switch r.IntN(40) {
		case 0, 11:
			sex = "unknown-to-the-study"
		case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
			sex, y = "f", y-6*x
		}
		records = append(records, []string{fmt.Sprint(max(0, min(100, y))), fmt.Sprint(x), fmt.Sprint(z), sex})
	}
	return matrices(t, s, []string{"y", "x", "z", "sex"}, records, func(i int) string { return string(rune('A' + i%4)) })
}

const (
	followedTrees   = "{kind: boost, loss: squared, trees: 6, depth: 2}"
	followedNetwork = "{kind: neural, hidden: [4], epochs: 2, batch: 64, seed: 1, optimizer: {name: sgd, rate: 0.05}}"
)

// Rule: the model is audited every so many rounds, on the same patients as in the
// end, in groups whose sizes are opened once; and the last model of the series is
// judged as the final audit judges it.
func TestAuditsOnTheWay(t *testing.T) {
	for _, c := range []struct {
		name, model, validation string
		every                   int
		rounds                  []int
	}{
		{"trees", followedTrees, "", 2, []int{2, 4, 6}},
		{"network", followedNetwork, "", 3, []int{3, 6}},
		{"network, every round", followedNetwork, "", 1, []int{1, 2, 3, 4, 5, 6, 7}},
		{"held out", followedTrees, "validation: {kind: holdout, fraction: 0.3}", 3, []int{3, 6}},
		{"folds", followedTrees, "validation: {kind: k-fold, folds: 2}", 3, []int{3, 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, fmt.Sprintf(followedStudy, c.model, c.validation, c.every))
			sites := followedSites(t, s)
			asked := map[string]int{}
			result, err := federateSeeing(t, s, sites, plain, func(q compute.Question) { asked[q.Step]++ })
			if err != nil {
				t.Fatal(err)
			}
			audit := result.Audit
			var rounds []int
			for _, p := range audit.Progress {
				rounds = append(rounds, p.Round)
				i := 0
				for _, g := range audit.Groups {
					if g.State != fairness.OK {
						continue
					}
					if i == len(p.Groups) || p.Groups[i].Level != g.Level || p.Groups[i].Metrics["mae"].Estimate <= 0 {
						t.Fatalf("after %d rounds there are %d groups without %s", p.Round, len(p.Groups), g.Level)
					}
					i++
				}
				if i < 3 || i != len(p.Groups) {
					t.Errorf("after %d rounds %d groups are shown, in the end %d", p.Round, len(p.Groups), i)
				}
			}
			if !reflect.DeepEqual(rounds, c.rounds) {
				t.Errorf("audited after %v rounds, want %v", rounds, c.rounds)
			}
			sizes := 1
			if strings.Contains(c.validation, "k-fold") {
				sizes = 2 // on other models' predictions
			}
			if asked[fairness.StepSizes] != sizes || asked[fairness.StepShares] != sizes || asked[fairness.Step] != len(c.rounds)+1 {
				t.Errorf("asked %v", asked)
			}
			for _, step := range Steps(s, len(sites)) {
				if asked[step.Step] > step.Rounds {
					t.Errorf("%s was asked %d times, hospitals are told at most %d", step.Step, asked[step.Step], step.Rounds)
				}
			}
			last := audit.Progress[len(audit.Progress)-1]
			if last.Round == 6 && sizes == 1 && c.model == followedTrees || last.Round == 7 {
				for i, stand := range last.Groups {
					if !reflect.DeepEqual(stand.Metrics["mae"], audit.Groups[i].Metrics["mae"]) {
						t.Errorf("%s: the last model of the series has %+v, the released one %+v", stand.Level, stand.Metrics["mae"], audit.Groups[i].Metrics["mae"])
					}
				}
			}
		})
	}
}

// Rule: being followed changes nothing about the model.
func TestFollowingDoesNotTouchTheModel(t *testing.T) {
	for _, model := range []string{followedTrees, followedNetwork} {
		src := fmt.Sprintf(followedStudy, model, "", 2)
		followed := parse(t, src)
		alone := parse(t, strings.Replace(src, "  every: 2\n", "", 1))
		sites := followedSites(t, alone)
		a, err := federate(t, followed, followedSites(t, followed), plain)
		if err != nil {
			t.Fatal(err)
		}
		b, err := federate(t, alone, sites, plain)
		if err != nil {
			t.Fatal(err)
		}
		one, _ := json.Marshal(a.Model)
		other, _ := json.Marshal(b.Model)
		if string(one) != string(other) {
			t.Error("the model that is followed is another one")
		}
		if b.Audit.Progress != nil {
			t.Error("nobody asked to follow this one")
		}
	}
}

// Rule: a group that may not be shown is not part of the audits on the way.
func TestSmallGroupsAreNotFollowed(t *testing.T) {
	s := parse(t, strings.Replace(fmt.Sprintf(followedStudy, followedNetwork, "", 2), "  bootstrap: 0", "  bootstrap: 0\n  minimum_cell: 100", 1))
	result, err := federate(t, s, followedSites(t, s), plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range result.Audit.Progress {
		for _, stand := range p.Groups {
			if stand.Level == study.Unknown {
				t.Errorf("after %d rounds a group of about 60 is shown", p.Round)
			}
		}
		if len(p.Groups) != 3 {
			t.Errorf("%d groups after %d rounds", len(p.Groups), p.Round)
		}
	}
}

func TestOnlyWhatIsTrainedInRoundsIsFollowed(t *testing.T) {
	if _, err := study.Parse([]byte(fmt.Sprintf(followedStudy, "{kind: glm, family: gaussian}", "", 2))); err == nil || !strings.Contains(err.Error(), "fairness.every") {
		t.Errorf("a regression that is to be audited every other iteration: %v", err)
	}
}
