package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/study"
)

const trainingStudy = `
study: train
version: 1
outcome: %s
features:
  - {column: x, type: number, range: [-4, 4]}
  - {column: ward, type: category, levels: [a, b, c]}
model: %s
fairness:
  bootstrap: 0
  attributes:
    - {column: sex, levels: [f, m]}
`

const monitorSection = `monitor:
  release: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  periods: {column: visit, type: number, cuts: [0, 1, 2, 3, 4, 5, 6]}
`

func monitored(training, section string) string {
	return strings.NewReplacer("study: train", "study: watch", "  bootstrap: 0\n", "").Replace(training) + section
}

var monitoredKinds = []struct{ name, outcome, model, section string }{
	{"glm", `{column: y, type: binary, positive: ["1"]}`, "{kind: glm, family: binomial}", monitorSection},
	{"splines", `{column: y, type: binary, positive: ["1"]}`, `{kind: glm, family: binomial, splines: ["spline(x, df: 4)"]}`, monitorSection},
	{"trees", `{column: y, type: binary, positive: ["1"]}`, "{kind: boost, loss: logistic, trees: 20, depth: 2}", monitorSection},
	{"neural", `{column: y, type: binary, positive: ["1"]}`, "{kind: neural, hidden: [8]}", monitorSection},
	{"dose", "{column: dose, type: number, range: [1, 99], unit: mg}", "{kind: glm, family: gaussian}", monitorSection + "  margin: 2\n"},
	{"cox", `{type: survival, time: {column: time, range: [0, 12], grid: [1, 2, 3, 4, 5, 6, 8, 10]}, event: {column: y, positive: ["1"]}}`, "{kind: cox, stratify: none}", monitorSection + "  horizon: 6\n"},
	{"trees of survival", `{type: survival, time: {column: time, range: [0, 12], grid: [1, 2, 3, 4, 5, 6, 8, 10]}, event: {column: y, positive: ["1"]}}`, "{kind: boost, loss: cox, baseline: breslow, trees: 10, depth: 2}", monitorSection + "  horizon: 6\n"},
}

// monitoredSites are hospitals with patients of six periods; from the fourth on
// the outcomes of women are off by so much.
func monitoredSites(t *testing.T, s *study.Study, seed uint64, off float64) []*study.Matrix {
	r := rand.New(rand.NewPCG(seed, 9))
	var records [][]string
	for range 6000 {
		visit, x, sex := 6*r.Float64(), max(-4, min(4, r.NormFloat64())), []string{"f", "m"}[r.IntN(2)]
		eta := -0.5 + 0.7*x
		if sex == "f" && visit >= 3 {
			eta += off
		}
		y := 0
		if r.Float64() < 1/(1+math.Exp(-eta)) {
			y = 1
		}
		dose := max(1, min(99, 50+8*eta+5*r.NormFloat64()))
		time, event := r.ExpFloat64()/(0.12*math.Exp(eta)), 1
		if censored := 2 + 9*r.Float64(); time > censored {
			time, event = censored, 0
		}
		if s.Outcome.Type == study.Survival {
			y = event
		}
		records = append(records, []string{fmt.Sprint(visit), fmt.Sprint(y), fmt.Sprint(dose), fmt.Sprint(max(0.01, time)), fmt.Sprint(x), []string{"a", "b", "c"}[r.IntN(3)], sex})
	}
	return matrices(t, s, []string{"visit", "y", "dose", "time", "x", "ward", "sex"}, records, func(i int) string { return string(rune('A' + i%4)) })
}

// Rule: every kind of model that can be released can be watched: without a drift
// there is no alert, and a planted one is found in its group, from fixed-point
// sums as in production.
func TestReleasedModelsAreWatched(t *testing.T) {
	for _, kind := range monitoredKinds {
		t.Run(kind.name, func(t *testing.T) {
			training := fmt.Sprintf(trainingStudy, kind.outcome, kind.model)
			first := parse(t, training)
			trained, err := federate(t, first, monitoredSites(t, first, 1, 0), plain)
			if err != nil {
				t.Fatal(err)
			}
			s := parse(t, monitored(training, kind.section))
			if err := Watches(s, first); err != nil {
				t.Fatal(err)
			}
			installed[s] = trained.Model
			defer delete(installed, s)
			for _, c := range []struct {
				off            float64
				whole, f, m    string
				seed, earliest uint64
			}{{0, drift.NoAlert, drift.NoAlert, drift.NoAlert, 2, 0}, {0.9, drift.Alert, drift.Alert, drift.NoAlert, 3, 3}} {
				result, err := federate(t, s, monitoredSites(t, s, c.seed, c.off), fixedPoint)
				if err != nil {
					t.Fatal(err)
				}
				m := result.Monitor
				if m.Verdict != c.whole || m.Groups[1].Verdict != c.f || m.Groups[2].Verdict != c.m {
					t.Errorf("off by %g: %s, women %s, men %s: %+v", c.off, m.Verdict, m.Groups[1].Verdict, m.Groups[2].Verdict, m.Alerts)
				}
				for _, a := range m.Alerts {
					if a.Window < int(c.earliest) {
						t.Errorf("an alert before the drift: %+v", a)
					}
				}
				if result.Model != nil || result.Audit != nil || result.Cohort != nil {
					t.Error("a monitor fits and audits nothing")
				}
			}
		})
	}
}

// Rule: a hospital that has not installed the release does not answer, and a
// release of another study's columns or model is not taken for the one meant.
func TestOnlyTheInstalledReleaseIsWatched(t *testing.T) {
	kind := monitoredKinds[0]
	training := fmt.Sprintf(trainingStudy, kind.outcome, kind.model)
	first := parse(t, training)
	s := parse(t, monitored(training, kind.section))
	site := Site{Name: "A", Records: monitoredSites(t, s, 2, 0)[0]}
	q, _, err := New(s).Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Answer(s, q.Step, q.Parameters, site); err == nil || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("answered without the release: %v", err)
	}
	for _, other := range []string{
		strings.Replace(training, "[-4, 4]", "[-5, 4]", 1),
		strings.Replace(training, "levels: [a, b, c]", "levels: [b, a, c]", 1),
		strings.Replace(training, "family: binomial", "family: binomial, ridge: 1", 1),
		strings.Replace(training, `positive: ["1"]`, `positive: ["0"]`, 1),
		training + "missing: [unknown]\n",
	} {
		if Watches(s, parse(t, other)) == nil {
			t.Errorf("watches the release of\n%s", other)
		}
	}
	if _, err := Answer(first, q.Step, q.Parameters, site); err == nil {
		t.Error("a study that watches nothing answers about a window")
	}
	if _, _, waits := WindowOf(s, q.Step, []byte(`{"window":99}`)); waits {
		t.Error("a window that is not there is waited for")
	}
	for _, step := range Steps(s, 4) {
		if !strings.HasPrefix(step.Step, "monitor/") || step.Rounds != 6 || step.Numbers == 0 {
			t.Errorf("step %+v", step)
		}
	}
}
