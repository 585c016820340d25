package pipeline

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/differencing"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// asked is a question with the sum that was opened.
type asked struct {
	question compute.Question
	sum      compute.Sum
}

// noisily runs a study whose sites draw their noise from seeds.
func noisily(t testing.TB, s *study.Study, sites []*study.Matrix, seed uint64) (*Result, []asked) {
	t.Helper()
	session := New(s)
	var history []asked
	for range 100 {
		q, done, err := session.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return session.Result(), history
		}
		layout, err := Layout(s, q.Step, q.Parameters)
		if err != nil || !slices.Equal(layout, q.Layout) {
			t.Fatalf("%s: a site computes another layout than the coordinator: %v", q.Step, err)
		}
		var all [][]float64
		for i, m := range sites {
			values, err := Answer(s, q.Step, q.Parameters, Site{Name: "H", Records: m, Random: rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(i)})})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, values)
		}
		sum, err := compute.NewSum(len(sites), layout, total(t, layout, all, fixedPoint))
		if err != nil {
			t.Fatal(err)
		}
		history = append(history, asked{q, sum})
		if err := session.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the study does not end")
	return nil, nil
}

// withNoise is the warfarin study without race among the features, which the model
// would count exactly.
func withNoise(source, noise string) string {
	race := "  - {column: race4, type: category, levels: [White, Asian, Black or African American, Mixed/missing], reference: White}\n"
	return strings.NewReplacer("  disclosure: primary\n", "", "  minimum_cell: 11\n", "  minimum_cell: 11\n  noise: "+noise+"\n", race, "", "minimum_contributors: 3", "minimum_contributors: 11").Replace(source)
}

// On the real cohort the figures under noise are near the exact ones, further than
// the noise explains in few; the audit asks one question, and nothing else of the
// study counts a group.
func TestRealCohortUnderNoise(t *testing.T) {
	columns, records, site := iwpc(t)
	noisy := parse(t, withNoise(warfarin(weeklyDose, sixLevels, linear), "{epsilon: 2, clip: 40}"))
	exact := parse(t, strings.Replace(string(noisy.Source()), "  noise: {epsilon: 2, clip: 40}\n", "  disclosure: primary\n", 1))
	e, err := federate(t, exact, present(matrices(t, exact, columns, records, site)), plain)
	if err != nil {
		t.Fatal(err)
	}
	sites := present(matrices(t, noisy, columns, records, site))
	n, history := noisily(t, noisy, sites, 1)

	var steps []string
	for _, h := range history {
		if steps = append(steps, h.question.Step); h.sum.Field("groups") != nil {
			t.Errorf("%s counts groups exactly", h.question.Step)
		}
	}
	if want := []string{"describe/counts", "glm/gram", fairness.StepNoisy}; !slices.Equal(steps, want) {
		t.Errorf("asked %v, not %v", steps, want)
	}
	if len(n.Cohort.Attributes) > 0 {
		t.Errorf("the cohort describes the groups: %+v", n.Cohort.Attributes)
	}
	far, compared := 0, 0
	for i, g := range n.Audit.Groups {
		x := e.Audit.Groups[i]
		if g.N == nil || x.N == nil {
			continue
		}
		if math.Abs(float64(*g.N-*x.N)) > 5**g.Noise {
			t.Errorf("%s: %d patients, %d exactly, where the noise has a standard deviation of %.1f", g.Level, *g.N, *x.N, *g.Noise)
		}
		for name, m := range g.Metrics {
			// Large errors are clipped in these, and not in the exact ones.
			if slices.Contains([]string{"mse", "rmse"}, name) {
				continue
			}
			compared++
			if want := x.Metrics[name].Estimate; want < *m.Lower || want > *m.Upper {
				far++
				t.Logf("%s %s: %.2f (%.2f to %.2f), exactly %.2f", g.Level, name, m.Estimate, *m.Lower, *m.Upper, want)
			}
		}
	}
	if compared < 30 || far > compared/10 {
		t.Errorf("%d of %d figures are further from the exact ones than their intervals", far, compared)
	}
	black := n.Audit.Group("race4", "Black or African American").Metrics["mae"].Estimate
	asian := n.Audit.Group("race4", "Asian").Metrics["mae"].Estimate
	t.Logf("mean absolute error: %.1f and %.1f mg/wk; exactly 11.6 and 6.6 with race as a feature", black, asian)

	// Whoever replays the opened sums gets the same audit, byte for byte, and needs
	// no randomness for it.
	replayed := New(noisy)
	for _, h := range history {
		q, _, err := replayed.Next()
		if err != nil || !reflect.DeepEqual(q, h.question) {
			t.Fatalf("the replay asks %s, not %s: %v", q.Step, h.question.Step, err)
		}
		if err := replayed.Absorb(h.sum); err != nil {
			t.Fatal(err)
		}
	}
	a, _ := json.Marshal(n)
	b, err := json.Marshal(replayed.Result())
	if err != nil || string(a) != string(b) {
		t.Errorf("the replay comes to another result: %v", err)
	}
	if again, _ := noisily(t, noisy, sites, 2); reflect.DeepEqual(again.Audit.Groups, n.Audit.Groups) {
		t.Error("other noise gives the same audit")
	}
}

// There is no way to an exact answer: without a source of randomness the step is
// refused, and the exact steps are none of the study's.
func TestNoExactAnswerUnderNoise(t *testing.T) {
	columns, records, site := iwpc(t)
	s := parse(t, withNoise(warfarin(weeklyDose, sixLevels, linear), "{epsilon: 2, clip: 40}"))
	sites := present(matrices(t, s, columns, records, site))
	_, history := noisily(t, s, sites, 1)
	q := history[len(history)-1].question
	if _, err := Answer(s, q.Step, q.Parameters, Site{Name: "H", Records: sites[0]}); err == nil {
		t.Error("answered without randomness")
	}
	random := rand.NewChaCha8([32]byte{})
	for _, step := range []string{fairness.StepSizes, fairness.StepShares, fairness.StepHospitals, fairness.Step, fairness.StepRecalibration} {
		if _, err := Answer(s, step, q.Parameters, Site{Name: "H", Records: sites[0], Random: random}); err == nil {
			t.Errorf("%s is answered", step)
		}
		if _, err := Layout(s, step, q.Parameters); err == nil {
			t.Errorf("%s has a layout", step)
		}
	}
	if steps := Steps(s, 5); strings.Contains(steps[0].Purpose, "group") || !strings.Contains(Steps(parse(t, warfarin(weeklyDose, sixLevels, linear)), 5)[0].Purpose, "in each group") {
		t.Errorf("%s: %s", steps[0].Step, steps[0].Purpose)
	}
	noted := strings.Join(Shown(s), "\n")
	for _, words := range []string{"epsilon 2", "all but any 1 of them make all of its noise", "stay exact", "adds its epsilon"} {
		if !strings.Contains(noted, words) {
			t.Errorf("who approves the study is not told %q: %s", words, noted)
		}
	}
	if both := Shown(parse(t, strings.Replace(warfarin(weeklyDose, sixLevels, linear), "  disclosure: primary\n", "  noise: {epsilon: 2, clip: 40}\n", 1))); !strings.Contains(strings.Join(both, "\n"), "the model sees what the audit divides by, race4") {
		t.Errorf("nobody is told that race is counted exactly as a feature: %v", both)
	}
}

// Counts under noise less the exact ones of another report are the noise: they are a
// few patients apart everywhere, and nothing is withheld for that. Beside others a
// report under noise is as one without an audit.
func TestNoisyReportsAreNotHeldAgainstOthers(t *testing.T) {
	columns, records, site := iwpc(t)
	noisy := parse(t, withNoise(warfarin(weeklyDose, sixLevels, linear), "{epsilon: 2, clip: 40}"))
	exact := parse(t, strings.Replace(string(noisy.Source()), "  noise: {epsilon: 2, clip: 40}\n", "  disclosure: primary\n", 1))
	e, err := federate(t, exact, present(matrices(t, exact, columns, records, site)), plain)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := noisily(t, noisy, present(matrices(t, noisy, columns, records, site)), 3)
	for name, pair := range map[string]struct {
		now, before  *Result
		of, beforeOf *study.Study
	}{"noise after exact": {n, e, noisy, exact}, "exact after noise": {e, n, exact, noisy}} {
		text, err := json.Marshal(pair.before)
		if err != nil {
			t.Fatal(err)
		}
		earlier, err := ReadReport(pair.beforeOf, pair.before.Study, text)
		if err != nil {
			t.Fatal(err)
		}
		after, err := pair.now.After(pair.of, nil, []differencing.Report{earlier})
		if err != nil {
			t.Fatal(err)
		}
		now, silent := *pair.now, earlier
		if pair.of == noisy {
			now.Audit = nil
		} else {
			silent.Audit = nil
		}
		want, err := now.After(pair.of, nil, []differencing.Report{silent})
		if err != nil {
			t.Fatal(err)
		}
		if after.Earlier == nil || !reflect.DeepEqual(after.Earlier, want.Earlier) {
			t.Errorf("%s: %+v, and without the noisy counts %+v", name, after.Earlier, want.Earlier)
		}
	}
}
