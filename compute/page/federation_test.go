package page_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

const hostile = `Dose <b>of</b> "a drug" & <script>alert(1)</script>`

// kinds are a study of every kind, by what its page is called in a failure.
var kinds = map[string]string{
	"gaussian": protocol(number, "{kind: glm, family: gaussian}", "validation: {kind: k-fold, folds: 3, by: id}"),
	"curves":   protocol(number, `{kind: glm, family: gaussian, splines: ["spline(a, df: 3)"], interactions: ["b:c"]}`, ""),
	"binomial": protocol(binary, "{kind: glm, family: binomial}", "validation: {kind: holdout, fraction: 0.4, by: id}"),
	"poisson":  protocol(counted, "{kind: glm, family: poisson}", ""),
	"robust":   protocol(counted, "{kind: glm, family: negative-binomial, standard_errors: robust}", ""),
	"random":   protocol(number, "{kind: glm, family: gaussian, site_effects: random}", ""),
	"mixed":    protocol(counted, "{kind: glm, family: negative-binomial, site_effects: random}", ""),
	"cox":      protocol(survives, "{kind: cox}", "validation: {kind: leave-one-site-out}"),
	"pooled":   protocol(survives, "{kind: cox, stratify: none, standard_errors: robust}", ""),
	"boost":    protocol(number, "{kind: boost, trees: 8, depth: 2, bins: 8, early_stopping: {patience: 3, fraction: 0.2}}", "validation: {kind: holdout, fraction: 0.3}"),
	"neural":   protocol(binary, "{kind: neural, hidden: [4]}", "validation: {kind: holdout, fraction: 0.3}"),
	"describe": protocol(survives, "{kind: describe}", ""),
	"tables":   protocol(binary, "{kind: describe}", ""),
}

const (
	number   = `{column: y, type: number, range: [-20, 20], unit: mg/wk}`
	binary   = `{column: z, type: binary, positive: ["1"]}`
	counted  = `{column: k, type: count, range: [0, 60]}`
	survives = `{type: survival, time: {column: days, range: [0, 1000], unit: d, grid: {step: 50}}, event: {column: died, positive: ["1"]}}`
)

func protocol(outcome, model, validation string) string {
	return fmt.Sprintf(`
study: small
version: 1
title: '%s'
outcome: %s
features:
  - {column: a, type: number, range: [-10, 10], unit: kg}
  - {column: b, type: number, range: [-10, 10]}
  - {column: c, type: category, levels: ["<i>u</i>", v, rare], reference: "<i>u</i>"}
model: %s
%s
fairness:
  disclosure: primary
  attributes:
    - {column: g, levels: ["<script>alert(1)</script>", y, few]}
  minimum_cell: 11
schedule: {rounds: 30}
`, hostile, outcome, model, validation)
}

// hospitals make patients of three hospitals; few have the rare level, fewer
// are in the group few.
func hospitals(t testing.TB, s *study.Study) []*study.Matrix {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 5))
	var out []*study.Matrix
	for site := range 3 {
		b, err := s.NewBuilder([]string{"id", "y", "z", "k", "days", "died", "a", "b", "c", "g", "twice"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 150 {
			a, x, c := random.NormFloat64(), random.NormFloat64(), i%2
			eta := a - 0.5*x + 0.8*float64(c) + 0.2*float64(site)
			g := []string{"<script>alert(1)</script>", "y"}[i/2%2]
			if i < 2 {
				g = "few"
			}
			level := []string{"<i>u</i>", "v"}[c]
			if i%50 == 7 {
				level = "rare"
			}
			z := random.Float64() < 1/(1+math.Exp(-eta))
			died := random.Float64() < 0.8
			days := math.Round(min(300*math.Exp(-0.5*eta)*random.ExpFloat64(), 1000))
			b.Add([]string{fmt.Sprintf("%d-%d", site, i), text(1 + eta + random.NormFloat64()), truth(z), strconv.Itoa(int(min(60, math.Exp(0.5*eta)*3*random.Float64()))),
				text(days), truth(died), text(a), text(x), level, g, text(2 * a)})
		}
		out = append(out, b.Matrix())
	}
	return out
}

func text(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func truth(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// complete runs a study to its end in one place.
func complete(t testing.TB, protocol string) (*study.Study, *pipeline.Result) {
	t.Helper()
	s, err := study.Parse([]byte(protocol))
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s, hospitals(t, s))
}

func run(t testing.TB, s *study.Study, sites []*study.Matrix) *pipeline.Result {
	t.Helper()
	session := pipeline.New(s)
	for range 1000 {
		q, done, err := session.Next()
		if done {
			return session.Result() // a diagnosis, if any, is in it
		}
		if err != nil {
			t.Fatal(err)
		}
		total := make([]float64, 0)
		var names []string
		for i, m := range sites {
			name := fmt.Sprintf("Hospital %02d", i+1)
			names = append(names, name)
			values, err := pipeline.Answer(s, q.Step, q.Parameters, pipeline.Site{Name: study.SiteID(name), Records: m})
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
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
		sum.Sites = names
		if err := session.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the study does not end")
	return nil
}
