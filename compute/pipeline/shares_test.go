package pipeline

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sharesStudy is one of each kind that shows shares.
func sharesStudy(kind string, floor int) string {
	text := `study: shares
version: 1
OUTCOME
features:
  - {column: x, type: number, range: [0, 10]}
  - {column: c, type: category, levels: [p, q]}
MODEL
fairness:
  attributes: [{column: g, levels: [A, B]}, {column: h, levels: [U, V]}]
  intersections: 2
  minimum_cell: %d
  minimum_sites: 1
  largest_share: 1
  disclosure: complementary
FAIRNESSprivacy: {minimum_contributors: 3}
`
	with := map[string][3]string{
		"binary": {"outcome: {column: y, type: binary, positive: [\"1\"], negative: [\"0\"]}", "model: {kind: glm, family: binomial, ridge: 1}\nvalidation: {kind: k-fold, folds: 3}", ""},
		"number": {"outcome: {column: z, type: number, range: [0, 40]}", "model: {kind: glm, family: gaussian}\nvalidation: {kind: holdout, fraction: 0.4}", "  bands: [12, 20]\n"},
		"survival": {"outcome:\n  type: survival\n  time: {column: t, range: [0, 4], grid: {step: 1}}\n  event: {column: y, positive: [\"1\"], negative: [\"0\"]}",
			"model: {kind: cox, ridge: 1}\nvalidation: {kind: k-fold, folds: 3}", "  times: [2]\n"},
		"network": {"outcome: {column: y, type: binary, positive: [\"1\"], negative: [\"0\"]}", "model: {kind: neural, hidden: [2], epochs: 1}\nschedule: {rounds: 4}", "  every: 2\n"},
	}[kind]
	return fmt.Sprintf(strings.NewReplacer("OUTCOME", with[0], "MODEL", with[1], "FAIRNESS", with[2]).Replace(text), floor)
}

// denominator is the n of which a share has this Wilson interval; NaN if it says
// none.
func denominator(share, lower, upper float64) float64 {
	const z = 1.959963984540054
	// The width is 2z sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n), which falls with n.
	width := func(n float64) float64 {
		return 2 * z * math.Sqrt(share*(1-share)/n+z*z/(4*n*n)) / (1 + z*z/n)
	}
	low, high := 1.0, 1e7
	for range 200 {
		middle := math.Sqrt(low * high)
		if width(middle) > upper-lower {
			low = middle
		} else {
			high = middle
		}
	}
	if n := math.Round(low); math.Abs(width(n)-(upper-lower)) < 1e-6 && math.Abs(share*n-math.Round(share*n)) < 1e-4 {
		return n
	}
	return math.NaN()
}

// Rule 3: every share of the result, whose interval tells of how many, and every
// count, in whatever part, is of nobody or of at least the minimum cell, and so is
// the rest.
func TestEveryShareAndCountOfAResultIsOfEnough(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	const floor = 5
	shares, counts, withheld := 0, 0, 0
	for _, kind := range []string{"binary", "number", "survival", "network"} {
		for range 6 {
			s := parse(t, sharesStudy(kind, floor))
			var records [][]string
			for range 120 + random.IntN(100) {
				x, g, h := 10*random.Float64(), "A", "U"
				if random.IntN(4) == 0 {
					g = []string{"B", "B", ""}[random.IntN(3)]
				}
				if random.IntN(3) == 0 {
					h = []string{"V", "V", "V", ""}[random.IntN(4)]
				}
				y := "0"
				if random.Float64() < x/25 {
					y = "1"
				}
				records = append(records, []string{y, strconv.FormatFloat(10+x+2*random.NormFloat64(), 'g', -1, 64), strconv.FormatFloat(0.1+3.8*random.Float64(), 'g', -1, 64),
					strconv.FormatFloat(x, 'g', -1, 64), []string{"p", "p", "p", "q"}[random.IntN(4)], g, h})
			}
			r, err := federate(t, s, matrices(t, s, []string{"y", "z", "t", "x", "c", "g", "h"}, records, func(i int) string { return fmt.Sprint(i % 4) }), plain)
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			withheld += strings.Count(string(text), `"withheld"`) + strings.Count(string(text), `"suppressed"`)
			var all any
			if err := json.Unmarshal(text, &all); err != nil {
				t.Fatal(err)
			}
			walk(all, "", func(path string, v any) {
				enough := func(what string, k, n float64) {
					for _, part := range []float64{k, n - k} {
						if m := math.Round(part); m > 0 && m < floor {
							t.Errorf("%s: %s%s is %v of %v", kind, path, what, k, n)
						}
					}
				}
				object, ok := v.(map[string]any)
				if !ok {
					key := path[strings.LastIndex(path, ".")+1:]
					if n, number := v.(float64); number && slices.Contains([]string{"n", "patients", "events", "positives", "at_risk", "censored", "missing", "cut"}, key) {
						counts++
						enough("", n, n)
					}
					if strings.Contains(path, ".bands[") && strings.Contains(path, ".groups[") {
						counts++
						enough("", v.(float64), v.(float64))
					}
					return
				}
				estimate, _ := object["estimate"].(float64)
				lower, upper := object["lower"], object["upper"]
				if object["method"] != "Wilson" {
					return
				}
				for _, unit := range []float64{1, 100} {
					if n := denominator(estimate/unit, lower.(float64)/unit, upper.(float64)/unit); !math.IsNaN(n) {
						shares++
						enough("", estimate/unit*n, n)
						return
					}
				}
				t.Errorf("%s: %s is no share that can be read: %v", kind, path, object)
			})
			// Who trained a model that is tried on others is the difference of two counts.
			at := 1
			for _, attribute := range r.Cohort.Attributes {
				for _, group := range attribute.Groups {
					audited := r.Audit.Groups[at]
					at++
					if group.Count.N == nil || audited.N == nil || audited.With != nil {
						continue
					}
					counts++
					if rest := *group.Count.N - *audited.N; 0 < rest && rest < floor {
						t.Errorf("%s: of %s %s %d trained", kind, attribute.Column, group.Name, rest)
					}
				}
			}
			if v := r.Validation; v != nil {
				for name, unit := range map[string]float64{"within20": 100, "prevalence": 1} {
					if share, shown := v.Metrics[name]; shown {
						shares++
						if k := math.Round(share / unit * float64(v.N)); k > 0 && k < floor || k < float64(v.N) && float64(v.N)-k < floor {
							t.Errorf("%s: %s of the validation is %v of %d", kind, name, k, v.N)
						}
					}
				}
			}
		}
	}
	t.Logf("%d shares, %d counts, %d marks of what is withheld", shares, counts, withheld)
	if shares < 100 || counts < 200 || withheld < 50 {
		t.Errorf("%d shares, %d counts and %d withheld: the cohorts test too little", shares, counts, withheld)
	}
}

// walk visits every value of JSON, objects before what is in them.
func walk(v any, path string, visit func(path string, v any)) {
	switch x := v.(type) {
	case map[string]any:
		visit(path, x)
		for key, value := range x {
			walk(value, path+"."+key, visit)
		}
	case []any:
		for i, value := range x {
			walk(value, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case float64:
		visit(path, x)
	}
}

// Who approves a study that shows what small groups can be worked out from is told so.
func TestPrimaryDisclosureIsSaid(t *testing.T) {
	source := string(parse(t, warfarin(weeklyDose, sixLevels, linear)).Source())
	for _, c := range []struct {
		source string
		said   bool
	}{{source, true}, {strings.Replace(source, "  disclosure: primary\n", "", 1), false}} {
		if said := strings.Contains(strings.Join(Shown(parse(t, c.source)), "\n"), "disclosure: primary: fewer than 11 patients"); said != c.said {
			t.Errorf("said: %v, want %v", said, c.said)
		}
	}
}

// Two hospitals hide nothing from each other, and whoever approves is told.
func TestAFloorOfTwoIsSaidToHideNothing(t *testing.T) {
	three := warfarin(weeklyDose, sixLevels, linear)
	two := strings.Replace(three, "minimum_contributors: 3", "minimum_contributors: 2", 1)
	for source, want := range map[string]bool{three: false, two: true} {
		if said := strings.Contains(strings.Join(Shown(parse(t, source)), "\n"), "privacy: a sum over two hospitals"); said != want {
			t.Errorf("said is %v, want %v", said, want)
		}
	}
	if two == three {
		t.Error("the study does not say how many contribute")
	}
}
