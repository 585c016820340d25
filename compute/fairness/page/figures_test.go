package page_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness/page"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// What the audit has is on the page: gaps drawn, calibration by group, several
// rates at once, and tables by subject.
func TestPageShowsTheFigures(t *testing.T) {
	one := strings.Replace(protocol, "  minimum_cell: 11\n", "  minimum_cell: 11\n  minimum_sites: 1\n  largest_share: 1\n", 1)
	for binary, want := range map[bool][]string{
		false: {"Gap of the mean absolute error", "Mean predicted and mean actual outcome by group", "The widest gap of each attribute", "Correlation", "detectable"},
		true:  {"Gap of the true positive rate", "Calibration by group", "Both kinds of mistakes together", "How unequally groups are called positive", "by its bins", "Calibration intercept", "Theil index", "How the groups differ before any model", "Jensen–Shannon", "At other thresholds", "from all patients: ", "d = "},
	} {
		_, _, r := complete(t, one, binary)
		html, err := page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: r.Audit})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(string(html), text) {
				t.Errorf("binary %v: the page lacks %q", binary, text)
			}
		}
	}
}

const lifetimes = `
study: lifetimes
version: 1
outcome: {type: survival, time: {column: days, range: [0, 100], grid: {step: 5}, unit: d}, event: {column: dead, positive: ["1"]}}
features:
  - {column: a, type: number, range: [-10, 10]}
model: {kind: cox}
fairness:
  disclosure: primary
  attributes: [{column: g, levels: [x, y]}]
  times: [30]
  minimum_sites: 1
  largest_share: 1
  hospitals: [{metric: oe, edges: [0.5, 2]}, {metric: oe, attribute: g, level: x, against: y, edges: [0]}]
`

// A survival study has its own figures: observed over expected, and risks at the
// declared time; hospitals that are too few to be counted are hidden, not zero.
func TestPageOfSurvival(t *testing.T) {
	s, err := study.Parse([]byte(lifetimes))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 1))
	var sites []*study.Matrix
	for range 4 {
		b, err := s.NewBuilder([]string{"days", "dead", "a", "g"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			a := random.NormFloat64()
			b.Add([]string{fmt.Sprint(min(99, 1+int(random.ExpFloat64()*60))), fmt.Sprint(random.IntN(2)), fmt.Sprint(a), string("xy"[i%2])})
		}
		sites = append(sites, b.Matrix())
	}
	session := pipeline.New(s)
	for {
		q, done, err := session.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		var total []float64
		for i, m := range sites {
			values, err := pipeline.Answer(s, q.Step, q.Parameters, pipeline.Site{Name: study.SiteID(fmt.Sprint(i)), Records: m})
			if err != nil {
				t.Fatal(err)
			}
			if total == nil {
				total = make([]float64, len(values))
			}
			for k, v := range values {
				total[k] += v
			}
		}
		sum, err := compute.NewSum(len(sites), q.Layout, total)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
	r := session.Result()
	html, err := page.Render(page.Document{Cohort: r.Cohort, Audit: r.Audit})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Are as many events seen as expected up to 30 d?", "Predicted minus observed risk at 30 d", "Predicted and observed risk at 30 d by group",
		"Gap of the C-index", "Hospitals by their", "fewer than 7 hospitals have enough patients"} {
		if !strings.Contains(string(html), text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if strings.Contains(string(html), "true positive rate") || strings.Contains(string(html), "NaN") {
		t.Error("the page has figures of another kind of outcome, or none")
	}
}
