package card_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/card"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// hostile is a title that would be markup in each of the forms.
const hostile = "Dose <b>of</b> ]]> & | **bold** [x](http://evil.example) `code` <!-- \" -->"

// kinds are a study of every kind, by what its card is called in a failure.
var kinds = map[string]string{
	"holdout":  protocol(number, "{kind: glm, family: gaussian}", "validation: {kind: holdout, fraction: 0.4, by: id}"),
	"folds":    protocol(binary, "{kind: glm, family: binomial}", "validation: {kind: k-fold, folds: 3, by: id}"),
	"sites":    protocol(survives, "{kind: cox}", "validation: {kind: leave-one-site-out}"),
	"outside":  protocol(number, "{kind: glm, family: gaussian}", `validation: {kind: external, sites: ["Hospital 4", "Hospital 5", "Hospital 6"]}`),
	"apparent": protocol(counted, "{kind: glm, family: poisson}", ""),
	"trees":    protocol(number, "{kind: boost, trees: 3, depth: 2, bins: 8}", "validation: {kind: holdout, fraction: 0.3}"),
	"network":  protocol(binary, "{kind: neural, hidden: [3]}", "validation: {kind: holdout, fraction: 0.3}"),
}

const (
	number   = `{column: y, type: number, range: [-20, 20], unit: mg/wk}`
	binary   = `{column: z, type: binary, positive: ["1"]}`
	counted  = `{column: k, type: count, range: [0, 60]}`
	survives = `{type: survival, time: {column: days, range: [0, 1000], unit: d, grid: {step: 100}}, event: {column: died, positive: ["1"]}}`
)

func protocol(outcome, model, validation string) string {
	return fmt.Sprintf(`
study: small
version: 3
title: %q
outcome: %s
features:
  - {column: age_years, type: number, range: [-10, 10], unit: a}
  - {column: gene, type: category, levels: ["<i>u</i>", "*1/*2"], reference: "<i>u</i>"}
cohort: {require: [id], exclude_if: [{column: gene, equals: ["none|seen"]}]}
model: %s
%s
fairness:
  attributes:
    - {column: g, levels: ["<script>x</script>", "a|b", few]}
  minimum_cell: 11
schedule: {rounds: 20}
`, hostile, outcome, model, validation)
}

// hospitals make patients; one of each is in the group few.
func hospitals(t testing.TB, s *study.Study) []*study.Matrix {
	t.Helper()
	random := rand.New(rand.NewPCG(3, 5))
	var out []*study.Matrix
	for site := range 6 {
		b, err := s.NewBuilder([]string{"id", "y", "z", "k", "days", "died", "age_years", "gene", "g"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 90 {
			a, c := random.NormFloat64(), i%2
			eta := a + 0.8*float64(c)
			g := []string{"<script>x</script>", "a|b"}[i/2%2]
			if i < 1 {
				g = "few"
			}
			b.Add([]string{fmt.Sprintf("%d-%d", site, i), text(1 + eta + random.NormFloat64()), truth(random.Float64() < 1/(1+math.Exp(-eta))),
				strconv.Itoa(int(min(60, math.Exp(0.5*eta)*3*random.Float64()))),
				text(math.Round(min(300*math.Exp(-0.5*eta)*random.ExpFloat64(), 1000))), truth(random.Float64() < 0.8), text(a), []string{"<i>u</i>", "*1/*2"}[c], g})
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

// released runs a study to its end in one place.
func released(t testing.TB, name string) card.Release {
	t.Helper()
	s, err := study.Parse([]byte(kinds[name]))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	sites := hospitals(t, s)
	session := pipeline.New(s)
	r := card.Release{Study: s, Digest: "00ff00ff", Signed: time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC), Accepted: 3, Refused: 1}
	for range 1000 {
		q, done, err := session.Next()
		if done {
			if session.Result().Model == nil {
				t.Fatalf("%s has no model: %v", name, err)
			}
			r.Result = session.Result()
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Rounds = append(r.Rounds, card.Round{Step: q.Step, Contributors: len(sites)})
		sum, err := open(s, sites, q)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := session.Absorb(sum); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	t.Fatalf("%s does not end", name)
	return r
}

// open adds up what the hospitals answer.
func open(s *study.Study, sites []*study.Matrix, q compute.Question) (compute.Sum, error) {
	var total []float64
	var names []string
	for i, m := range sites {
		name := fmt.Sprintf("Hospital %d", i+1)
		values, err := pipeline.Answer(s, q.Step, q.Parameters, pipeline.Site{Name: study.SiteID(name), Records: m})
		if err != nil {
			return compute.Sum{}, err
		}
		if total == nil {
			total = make([]float64, len(values))
		}
		for k, v := range values {
			total[k] += v
		}
		names = append(names, name)
	}
	sum, err := compute.NewSum(len(sites), q.Layout, total)
	sum.Sites = names
	return sum, err
}
