package mitigation

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

const (
	number = `{column: y, type: number, range: [10, 90]}`
	binary = `{column: y, type: binary, positive: ["1"]}`
	counts = `{column: y, type: count, range: [0, 100]}`
	lives  = `{type: survival, time: {column: t, range: [0, 10], grid: {step: 1}}, event: {column: y, positive: ["1"]}}`
)

func parse(t testing.TB, outcome, mitigation, fairness string) *study.Study {
	t.Helper()
	if !strings.Contains(fairness, "disclosure") {
		fairness += "disclosure: primary,"
	}
	model := map[string]string{number: "{kind: glm, family: gaussian}", binary: "{kind: glm, family: binomial}", counts: "{kind: glm, family: poisson}", lives: "{kind: cox}"}[outcome]
	s, err := study.Parse(fmt.Appendf(nil, `
study: mitigation
version: 1
outcome: %s
features: [{column: x, type: number, range: [0, 1]}]
model: %s
fairness: {attributes: [{column: h, levels: [u]}, {column: g, levels: [A, B, C]}], %s minimum_cell: 11}
mitigation: %s
`, outcome, model, fairness, mitigation))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// site has so many patients of each group, every other one with the outcome.
func site(t testing.TB, s *study.Study, groups map[string]int) *study.Matrix {
	t.Helper()
	b, err := s.NewBuilder([]string{"y", "x", "g", "h", "t"})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []string{"A", "B", "C", ""} {
		for i := range groups[g] {
			y := strconv.Itoa(i % 2)
			if s.Outcome.Type == study.Number {
				y = strconv.Itoa(10 + i%81)
			}
			b.Add([]string{y, "0.5", g, "u", strconv.Itoa(1 + i%9)})
		}
	}
	return b.Matrix()
}

func open(t testing.TB, s *study.Study, step string, parameters []byte, sites []*study.Matrix, predictions []float64) compute.Sum {
	t.Helper()
	fields, err := Layout(s, step, parameters)
	if err != nil {
		t.Fatal(err)
	}
	var total []float64
	for _, m := range sites {
		values, err := Answer(s, step, parameters, m, predictions)
		if err != nil {
			t.Fatal(err)
		}
		if total == nil {
			total = make([]float64, len(values))
		}
		for i, x := range values {
			total[i] += x
		}
	}
	sum, err := compute.NewSum(len(sites), fields, total)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func groupsOfSites(t testing.TB, s *study.Study, sites []*study.Matrix) *Groups {
	t.Helper()
	g := NewGroups(s)
	for {
		q, done, err := g.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return g
		}
		if err := g.Absorb(open(t, s, q.Step, q.Parameters, sites, nil)); err != nil {
			t.Fatal(err)
		}
	}
}

const recalibrate = "{method: recalibrate, attribute: g, strength: [1], release: none}"

func TestWhichGroupsTakePart(t *testing.T) {
	for name, c := range map[string]struct {
		sites    []map[string]int
		fairness string
		open     []int
	}{
		"all":                   {[]map[string]int{{"A": 20, "B": 9, "C": 5}, {"A": 20, "B": 9, "C": 5}, {"A": 20, "B": 9, "C": 5}}, "", []int{0, 1, 2}},
		"below the cell":        {[]map[string]int{{"A": 20, "B": 9, "C": 3}, {"A": 20, "B": 9, "C": 3}, {"A": 20, "B": 9, "C": 4}}, "", []int{0, 1}},
		"too few hospitals":     {[]map[string]int{{"A": 20, "B": 9, "C": 50}, {"A": 20, "B": 9, "C": 50}, {"A": 20, "B": 9}}, "", []int{0, 1}},
		"dominated":             {[]map[string]int{{"A": 20, "B": 9, "C": 90}, {"A": 20, "B": 9, "C": 1}, {"A": 20, "B": 9, "C": 1}}, "", []int{0, 1}},
		"unknown is a group":    {[]map[string]int{{"A": 20, "": 9}, {"A": 20, "": 9}, {"A": 20, "": 9}}, "", []int{0, 3}},
		"the rest gives C away": {[]map[string]int{{"A": 20, "B": 9, "C": 1}, {"A": 20, "B": 9, "C": 1}, {"A": 20, "B": 9, "C": 1}}, "disclosure: complementary,", []int{0}},
		"the rest hides C":      {[]map[string]int{{"A": 20, "B": 9, "C": 3, "": 3}, {"A": 20, "B": 9, "C": 3, "": 3}, {"A": 20, "B": 9, "C": 3, "": 3}}, "disclosure: complementary,", []int{0, 1}},
	} {
		s := parse(t, number, recalibrate, c.fairness)
		var sites []*study.Matrix
		for _, groups := range c.sites {
			sites = append(sites, site(t, s, groups))
		}
		if got := groupsOfSites(t, s, sites).Open(); !slices.Equal(got, c.open) {
			t.Errorf("%s: %v take part, want %v", name, got, c.open)
		}
	}
}

// Whatever a model predicts, an answer keeps the bounds that the layout declares.
func TestAnswersKeepTheirBounds(t *testing.T) {
	for _, c := range []struct {
		outcome, mitigation, step, parameters string
		predictions                           []float64
	}{
		{number, recalibrate, StepLines, `{"groups":[0,1]}`, []float64{math.Inf(1), math.Inf(-1), 1e300, -1e300, math.NaN(), 50}},
		{number, "{method: bounded-group-loss, attribute: g, strength: [1], release: none}", StepLosses, `{"groups":[0,1]}`, []float64{math.Inf(1), math.Inf(-1), 1e300, -1e300, math.NaN(), 50}},
		{binary, "{method: bounded-group-loss, attribute: g, strength: [1], release: none}", StepLosses, `{"groups":[0,1]}`, []float64{0, 1, math.NaN(), 0.5, 1e-300, 1 - 1e-16}},
		{binary, recalibrate, StepLines, `{"groups":[0,1],"at":[[0,15],[10000000000000,-10000000000000]]}`, []float64{0, 1, math.NaN(), 0.5, 1e-300, 1 - 1e-16}},
		{counts, recalibrate, StepLines, `{"groups":[0,1]}`, []float64{math.Inf(1), 1e300, 0, math.NaN(), 50}},
		{lives, recalibrate, StepLines, `{"groups":[0,1]}`, []float64{math.Inf(1), 1e300, 0, math.NaN(), 0.5}},
		{binary, "{method: thresholds, attribute: g, strength: [1], release: none, equalize: tpr}", StepScores, `{"groups":[0,1]}`, []float64{0, 1, math.NaN(), 0.5, 1e-300, 1 - 1e-16}},
	} {
		s := parse(t, c.outcome, c.mitigation, "")
		m := site(t, s, map[string]int{"A": 60, "B": 60, "C": 60})
		predictions := make([]float64, m.Rows())
		for i := range predictions {
			predictions[i] = c.predictions[i%len(c.predictions)]
		}
		fields, err := Layout(s, c.step, []byte(c.parameters))
		if err != nil {
			t.Fatal(c.step, err)
		}
		values, err := Answer(s, c.step, []byte(c.parameters), m, predictions)
		if err != nil {
			t.Fatal(c.step, err)
		}
		at := 0
		for _, f := range fields {
			for range f.Length {
				// A single site's numbers are those of few patients: hold them to the
				// bound of as many.
				if most := f.Bound / maxRows * float64(m.Rows()); !(math.Abs(values[at]) <= max(most, f.Bound/maxRows)) {
					t.Errorf("%s: %s is %v, more than %v", c.step, f.Name, values[at], most)
				}
				at++
			}
		}
		if at != len(values) {
			t.Errorf("%s: %d numbers for a layout of %d", c.step, len(values), at)
		}
	}
}

func TestForeignQuestionsAreRefused(t *testing.T) {
	for _, c := range []struct{ outcome, mitigation, step, parameters, why string }{
		{number, recalibrate, StepClasses, `{"groups":[0]}`, "no step"},
		{number, recalibrate, StepLosses, `{"groups":[0]}`, "no step"},
		{number, recalibrate, StepSizes, `{}`, "without parameters"},
		{number, recalibrate, StepLines, `{"groups":[]}`, "no group"},
		{number, recalibrate, StepLines, `{"groups":[1,0]}`, "ascending"},
		{number, recalibrate, StepLines, `{"groups":[0,0]}`, "ascending"},
		{number, recalibrate, StepLines, `{"groups":[4]}`, "ascending"},
		{number, recalibrate, StepLines, `{"groups":[-1]}`, "ascending"},
		{number, recalibrate, StepLines, `{"groups":[0],"at":[[0,1]]}`, "lines are not"},
		{number, recalibrate, StepLines, `{"groups":[0],"patients":[40]}`, "sizes are not"},
		{number, recalibrate, StepLines, `{"groups":[0] }`, "one spelling"},
		{number, recalibrate, StepShares, `{"groups":[0]}`, "sizes are not"},
		{number, recalibrate, StepShares, `{"groups":[0],"patients":[10]}`, "minimum cell"},
		{binary, recalibrate, StepLines, `{"groups":[0]}`, "lines are not"},
		{binary, recalibrate, StepLines, `{"groups":[0],"at":[[0,1],[0,1]]}`, "lines are not"},
		{binary, recalibrate, StepLines, `{"groups":[0],"at":[[-0,1]]}`, "second way"},
		{binary, recalibrate, StepLines, `{"groups":[0],"at":[[1e14,1]]}`, "one spelling"},
		{binary, recalibrate, StepLines, `{"groups":[0],"at":[[100000000000000,1]]}`, "beyond"},
	} {
		s := parse(t, c.outcome, c.mitigation, "")
		if _, err := Layout(s, c.step, []byte(c.parameters)); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s %s: %v, want %q", c.step, c.parameters, err, c.why)
		}
	}
}

func TestWeightsAreCapped(t *testing.T) {
	s := parse(t, number, "{method: reweigh, attribute: g, strength: [1], release: none, balance: size}", "")
	var sites []*study.Matrix
	for range 3 {
		sites = append(sites, site(t, s, map[string]int{"A": 2000, "B": 4}))
	}
	g := groupsOfSites(t, s, sites)
	r := NewReweighing(s, g)
	if _, done, err := r.Next(); !done || err != nil {
		t.Fatal("the sizes are known: nothing is left to ask")
	}
	weights := Weights(s, r.Changes(1))
	if want := [][]float64{{6012.0 / (2 * 6000)}, {study.MostMitigationWeight}, {1}, {1}}; !slices.EqualFunc(weights, want, slices.Equal) {
		t.Errorf("weights %v, want %v", weights, want)
	}
	if err := CheckWeights(s, weights); err != nil {
		t.Error(err)
	}
}

// Where those with and without the outcome are told apart, a logistic line has no
// end; where there are too few of them, it is not looked for.
func TestALineThatDoesNotSettleIsNone(t *testing.T) {
	s := parse(t, binary, recalibrate, "")
	var sites []*study.Matrix
	for range 3 {
		sites = append(sites, site(t, s, map[string]int{"A": 60, "B": 7}))
	}
	predictions := make([]float64, sites[0].Rows())
	for i := range predictions {
		predictions[i] = 0.2 + 0.6*sites[0].Outcome(i)
	}
	r := NewRecalibration(s, groupsOfSites(t, s, sites))
	rounds := 0
	for {
		q, done, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		if rounds++; rounds > newtonRounds {
			t.Fatal("the search does not end")
		}
		if err := r.Absorb(open(t, s, q.Step, q.Parameters, sites, predictions)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range r.Changes(1)[:2] {
		if c.Slope != nil || c.General == "" {
			t.Errorf("%s: %+v", c.Level, c)
		}
	}
	if lines := (&Applied{Method: study.Recalibrate, Groups: r.Changes(1)}).Lines(); lines.Move(s, 0, 0.3) != 0.3 {
		t.Error("a group without a line has the general model")
	}
}

func TestBinsOfScoresAgreeWithThresholds(t *testing.T) {
	s := parse(t, binary, "{method: thresholds, attribute: g, strength: [1], release: none, equalize: tpr}", "thresholds: [0.123],")
	all := edges(s)
	if len(all) != scoreBins+2 {
		t.Fatalf("%d edges", len(all))
	}
	for _, p := range append(slices.Clone(all[:len(all)-1]), 0, 0.29, 0.57, 0.58, 0.1229999, 0.123, 0.9999, 1) {
		b := bin(all, p)
		for e, edge := range all {
			if (p >= edge) != (b >= e) {
				t.Errorf("%v is in bin %d, and at least %v is %v", p, b, edge, p >= edge)
			}
		}
	}
}

// Weights of the other classes would tell how many patients a small class has.
func TestAGroupWithASmallClassIsNotReweighedWhereThatIsWithheld(t *testing.T) {
	for disclosure, want := range map[string]bool{"primary": true, "complementary": false} {
		s := parse(t, binary, "{method: reweigh, attribute: g, strength: [1], release: none}", "disclosure: "+disclosure+",")
		b, err := s.NewBuilder([]string{"y", "x", "g", "h"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			y := strconv.Itoa(i % 2)
			b.Add([]string{y, "0.5", "A", "u"})
			if i == 2 {
				y = "1" // of B, three in all
			} else {
				y = "0"
			}
			b.Add([]string{y, "0.5", "B", "u"})
		}
		sites := []*study.Matrix{b.Matrix(), b.Matrix(), b.Matrix()}
		r := NewReweighing(s, groupsOfSites(t, s, sites))
		q, _, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Absorb(open(t, s, q.Step, q.Parameters, sites, nil)); err != nil {
			t.Fatal(err)
		}
		c := r.Changes(1)[1]
		if (c.Weights != nil) != want || want && c.Weights[1] != 1 {
			t.Errorf("%s: %+v", disclosure, c)
		}
		if _, done, err := r.Next(); !done || err != nil {
			t.Errorf("%s: the counts are asked for again", disclosure)
		}
	}
}

// Two groups that are alike to the last digit have a gap of zero, not none.
func TestAGapCanBeZero(t *testing.T) {
	of := func(level string, estimate float64) Group {
		lower, upper := estimate-1, estimate+2
		return Group{Level: level, Metrics: map[string]fairness.Metric{"oe": {Estimate: estimate, Lower: &lower, Upper: &upper}}}
	}
	for _, c := range []struct {
		groups    []Group
		high, low string
		gap       float64
	}{
		{[]Group{of("a", 1), of("b", 1)}, "a", "b", 0},
		{[]Group{of("a", 1), of("b", 3), of("c", 2)}, "b", "a", 2},
		{[]Group{of("a", 2), of("b", 1), of("c", 2)}, "a", "b", 1},
	} {
		g := widest(c.groups, "oe")
		if g == nil || g.High != c.high || g.Low != c.low || g.Estimate != c.gap || math.Abs(*g.Upper-c.gap-math.Sqrt(5)) > 1e-12 {
			t.Errorf("%+v", g)
		}
	}
	if g := widest([]Group{of("a", 1), {Level: "b"}}, "oe"); g != nil {
		t.Errorf("one group has a gap of %+v", g)
	}
}

// The reference of a gap is the declared one, or the largest group; whose group is
// unknown is on no side, and neither is a group that is too small.
func TestSidesOfAGap(t *testing.T) {
	const method = "{method: recalibrate, attribute: g, strength: [1], release: none}" // as good as any: the sides are of the groups
	for _, c := range []struct {
		groups    map[string]int
		fairness  string
		reference int
		others    []int
	}{
		{map[string]int{"A": 20, "B": 30, "C": 9, "": 50}, "", 1, []int{0, 2}},
		{map[string]int{"A": 20, "B": 30, "C": 9, "": 50}, "reference: {g: C},", 2, []int{0, 1}},
		{map[string]int{"A": 20, "B": 30, "C": 3}, "", 1, []int{0}},
		{map[string]int{"A": 20, "B": 30, "C": 3}, "reference: {g: C},", -1, nil},
		{map[string]int{"A": 20, "": 50}, "", -1, nil},
	} {
		s := parse(t, number, method, c.fairness)
		g := groupsOfSites(t, s, []*study.Matrix{site(t, s, c.groups), site(t, s, c.groups), site(t, s, c.groups)})
		sides := NewSides(s, g)
		if c.reference < 0 {
			if sides != nil {
				t.Errorf("%v, %s: %+v", c.groups, c.fairness, sides)
			}
			continue
		}
		if sides == nil || sides.Reference != c.reference || !slices.Equal(sides.Others, c.others) || (sides.Changes[3].General == "") {
			t.Errorf("%v, %s: %+v", c.groups, c.fairness, sides)
		}
	}
}
