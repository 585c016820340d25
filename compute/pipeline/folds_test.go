package pipeline

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const shortNetwork = `{kind: neural, hidden: [4], optimizer: {name: adam, rate: 0.01}, batch: 16, seed: 3}`

// The folds' questions travel together: all folds take no more rounds than the
// slowest alone.
func TestFoldsAreFittedSideBySide(t *testing.T) {
	for _, c := range []struct{ model, validation string }{
		{`{kind: glm, family: gaussian}`, `{kind: k-fold, folds: 4, by: id}`},
		{`{kind: glm, family: gaussian, splines: ["spline(a, df: 3)"]}`, `{kind: leave-one-site-out}`},
		{`{kind: boost, trees: 4, depth: 2, min_leaf: 10}`, `{kind: k-fold, folds: 3, by: id}`},
		{shortNetwork, `{kind: leave-one-site-out}`},
	} {
		src := strings.Replace(fmt.Sprintf(tryout, "", c.validation), "{kind: glm, family: gaussian}", c.model, 1)
		s := parse(t, src+"schedule: {rounds: 6}\n")
		sites := tryoutSites(t, s)
		asked := map[string]int{}
		together := 0
		result, err := federateSeeing(t, s, sites, plain, func(q compute.Question) {
			asked[q.Step]++
			if q.Step == FoldsStep {
				own, err := readFolds(s, q.Parameters)
				if err != nil {
					t.Fatal(err)
				}
				together = max(together, len(own.Folds))
			}
		})
		if err != nil {
			t.Fatal(c.model, err)
		}
		if result.Validation == nil || result.Validation.Models != together {
			t.Errorf("%s: at most %d folds in a round, validation %+v", c.model, together, result.Validation)
		}
		alone := 0 // rounds of the released model
		for _, step := range halves[s.Model.Kind].steps(s) {
			alone += asked[step.Step]
		}
		if rounds := asked[FoldsStep]; rounds < 2 || rounds > alone+4 {
			t.Errorf("%s: %d rounds for all folds, the released model took %d", c.model, rounds, alone)
		}
		for _, step := range Steps(s, len(sites)) {
			if asked[step.Step] > step.Rounds {
				t.Errorf("%s: %d rounds of %s, announced %d", c.model, asked[step.Step], step.Step, step.Rounds)
			}
			delete(asked, step.Step)
		}
		if len(asked) > 0 {
			t.Errorf("%s: steps that were not announced: %v", c.model, asked)
		}
	}
}

// Folds of long models take turns; the models do not depend on it.
func TestFoldsTakeTurnsWhereARoundCannotCarryAll(t *testing.T) {
	s := parse(t, fmt.Sprintf(tryout, "", `{kind: k-fold, folds: 5, by: id}`))
	sites := tryoutSites(t, s)
	var parts []leaveOut
	for fold := range 5 {
		parts = append(parts, leaveOut{Fold: &fold})
	}
	var models [][]trial
	var rounds []int
	for _, abreast := range []int{5, 2, 1} {
		f, err := newFolds(s, parts, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.abreast = abreast
		taken := 0
		for ; taken < 100; taken++ {
			q, done, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			if err := f.Absorb(ask(t, s, sites, q, fixedPoint)); err != nil {
				t.Fatal(err)
			}
		}
		models, rounds = append(models, f.tried()[0]), append(rounds, taken)
	}
	if !reflect.DeepEqual(models[0], models[1]) || !reflect.DeepEqual(models[0], models[2]) {
		t.Error("the models depend on how many folds share a round")
	}
	if !(rounds[0] < rounds[1] && rounds[1] < rounds[2]) {
		t.Errorf("rounds %v", rounds)
	}
	// A network of a million numbers: no round carries more than a few folds, and
	// what is announced says so.
	wide := parse(t, strings.Replace(fmt.Sprintf(tryout, "", `{kind: k-fold, folds: 5, by: id}`), "{kind: glm, family: gaussian}", `{kind: neural, hidden: [1000, 1000]}`, 1))
	if n := abreast(wide); n < 1 || n > 4 {
		t.Errorf("%d models of a million numbers in one round", n)
	}
	for _, step := range Steps(wide, 5) {
		if step.Step == FoldsStep && (step.Numbers > mostFoldNumbers || step.Rounds <= 2*wide.Schedule.Rounds) {
			t.Errorf("announced: %d numbers, %d rounds", step.Numbers, step.Rounds)
		}
	}
}

func TestOnlyTheStudysFoldsAreAnswered(t *testing.T) {
	byFold := parse(t, fmt.Sprintf(tryout, "", `{kind: k-fold, folds: 3, by: id}`))
	bySite := parse(t, fmt.Sprintf(tryout, "", `{kind: leave-one-site-out}`))
	held := parse(t, fmt.Sprintf(tryout, "", `{kind: holdout, fraction: 0.3, by: id}`))
	const counts = `{"step":"describe/counts","parameters":{"leave_out":{"fold":%d}}}`
	fold := func(k int) string { return fmt.Sprintf(counts, k) }
	site := func(name string) string {
		return fmt.Sprintf(`{"step":"describe/counts","parameters":{"leave_out":{"sites":[%q]}}}`, name)
	}
	for _, c := range []struct {
		name  string
		study *study.Study
		folds []string
		good  bool
	}{
		{"one fold", byFold, []string{fold(1)}, true},
		{"all folds", byFold, []string{fold(0), fold(1), fold(2)}, true},
		{"two hospitals", bySite, []string{site("A"), site("B")}, true},
		{"no fold", byFold, nil, false},
		{"a fold twice", byFold, []string{fold(1), fold(1)}, false},
		{"folds out of order", byFold, []string{fold(2), fold(1)}, false},
		{"a fold too many", byFold, []string{fold(3)}, false},
		{"hospitals where folds are due", byFold, []string{site("A")}, false},
		{"hospitals out of order", bySite, []string{site("B"), site("A")}, false},
		{"a study with a hold-out", held, []string{fold(0)}, false},
		{"all patients", byFold, []string{`{"step":"describe/counts","parameters":{}}`}, false},
		{"a step of another model", byFold, []string{`{"step":"cox/newton","parameters":{"leave_out":{"fold":1}}}`}, false},
		{"a step that judges", byFold, []string{`{"step":"validation/errors","parameters":{"leave_out":{"fold":1}}}`}, false},
		{"folds within folds", byFold, []string{`{"step":"validation/folds","parameters":{"folds":[` + fold(1) + `]}}`}, false},
		{"weights", byFold, []string{`{"step":"describe/counts","parameters":{"leave_out":{"fold":1},"q":1}}`}, false},
		{"a key too many", byFold, []string{strings.Replace(fold(1), `"step"`, `"also":1,"step"`, 1)}, false},
		{"another spelling", byFold, []string{" " + fold(1)}, false},
	} {
		parameters := []byte(`{"folds":[` + strings.Join(c.folds, ",") + `]}`)
		if !json.Valid(parameters) {
			t.Fatal(c.name)
		}
		layout, err := Layout(c.study, FoldsStep, parameters)
		if (err == nil) != c.good || c.good && len(layout)%len(c.folds) != 0 {
			t.Errorf("%s: %d fields, %v", c.name, len(layout), err)
		}
		matrix := tryoutSites(t, c.study)[0]
		if _, err := Answer(c.study, FoldsStep, parameters, Site{Name: "A", Records: matrix}); (err == nil) != c.good {
			t.Errorf("%s: answered %v", c.name, err)
		}
	}
}
