package fairness

import (
	"math"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

const whoIsInTheData = `
study: who
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: x, type: number, range: [0, 1]}
model: {kind: glm, family: binomial}
fairness:
  attributes:
    - {column: g, levels: [A, B, C, few]}
    - {column: h, levels: [U, V]}
  intersections: 2
  reference: {g: A}
  disclosure: complementary
`

// people are patients of three hospitals: g, h, and whether they have the outcome.
func people(t *testing.T, s *study.Study, counts map[string][2]int) (sites []*study.Matrix) {
	t.Helper()
	for range 3 {
		b, err := s.NewBuilder([]string{"y", "x", "g", "h"})
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []string{"AU", "AV", "BU", "BV", "CU", "CV", "fewU"} {
			for y, n := range counts[who] {
				for range n {
					b.Add([]string{strconv.Itoa(y), "0.5", who[:len(who)-1], who[len(who)-1:]})
				}
			}
		}
		sites = append(sites, b.Matrix())
	}
	return sites
}

func represented1(a *Audit, attribute, level string) *Represented {
	for i, r := range a.Representation {
		if r.Attribute == attribute && r.Level == level {
			return &a.Representation[i]
		}
	}
	return nil
}

// Who is in the data, against the same from the records: the disparity of B is
// there only because B is mostly V, and vanishes when h is held fixed.
func TestWhoIsInTheData(t *testing.T) {
	s := parsed(t, whoIsInTheData)
	a, _ := audited(t, s, people(t, s, map[string][2]int{"AU": {80, 20}, "AV": {20, 20}, "BU": {80, 20}, "BV": {60, 60}}),
		func(i, r int) float64 { return 0.4 + 0.2*float64(r%2) })
	b := represented1(a, "g", "B")
	if b == nil || b.Reference != "A" || len(b.Conditional) != 1 || b.Conditional[0].On != "h" || b.Conditional[0].Covered != 1 {
		t.Fatalf("%+v", a.Representation)
	}
	near(t, "share", *b.Share, 220./360, 1e-12)
	near(t, "balance", *b.Imbalance, 80./360, 1e-12)
	near(t, "KL", b.KL.Estimate, divergence([]float64{100, 40}, []float64{140, 80}), 1e-12)
	near(t, "JS", b.JS.Estimate, jensenShannon([]float64{140, 80}, []float64{100, 40}), 1e-12)
	near(t, "disparity", b.Disparity.Estimate, 140./240-80./120, 1e-12)
	near(t, "given h", b.Conditional[0].Estimate.Estimate, 0, 1e-12)
	if m := b.Conditional[0].Estimate; !(*m.Lower < 0 && *m.Upper > 0) || !(*b.Disparity.Upper < 0) {
		t.Errorf("intervals %v to %v and %v to %v", *m.Lower, *m.Upper, *b.Disparity.Lower, *b.Disparity.Upper)
	}
	if r := represented1(a, "g", "A"); r == nil || r.Reference != "" || r.KL != nil || r.Imbalance != nil || r.Disparity == nil {
		t.Errorf("the reference %+v", r)
	}
	for _, o := range a.Odds {
		if o.Parity == nil || math.Abs(o.Parity.Mean.Estimate) > 1 || *o.Parity.Mean.Bound <= 0 {
			t.Errorf("parity %+v", o.Parity)
		}
	}
}

// What is made of a count that is withheld is not there: the outcomes of a group
// of which fewer than the minimum cell have it, and a group that is too small.
func TestRepresentationIsSilentWhereCountsAreWithheld(t *testing.T) {
	s := parsed(t, whoIsInTheData)
	a, _ := audited(t, s, people(t, s, map[string][2]int{"AU": {80, 20}, "AV": {60, 20}, "BU": {40, 10}, "BV": {60, 60}, "CU": {30, 1}, "CV": {30, 1}, "fewU": {1, 1}}),
		func(i, r int) float64 { return 0.4 + 0.2*float64(r%2) })
	c, group := represented1(a, "g", "C"), a.Group("g", "C")
	if group.State != OK || len(group.Withheld) == 0 {
		t.Fatalf("the outcomes of C are shown: %+v", group)
	}
	if c == nil || c.Share == nil || c.KL != nil || c.JS != nil || c.Disparity != nil || c.Conditional != nil {
		t.Errorf("C: %+v", c)
	}
	for _, g := range a.Groups {
		if r := represented1(a, g.Attribute, g.Level); r != nil && g.State != OK {
			t.Errorf("%s is %s and has %+v", g.Level, g.State, r)
		}
	}
	// A disparity of nearly everyone is as good as the count of the rest.
	for _, r := range a.Representation {
		if g := a.Group(r.Attribute, r.Level); r.Disparity != nil && len(g.Withheld) > 0 && g.Metrics["prevalence"].Estimate == 0 {
			t.Errorf("%s: a disparity without a prevalence", r.Level)
		}
	}
}
