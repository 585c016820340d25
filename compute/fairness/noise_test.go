package fairness

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/noise"
	"github.com/consilium-fl/consilium/study"
)

func noisyStudy(t testing.TB, outcome, declared, more string) *study.Study {
	t.Helper()
	family := "gaussian"
	if strings.Contains(outcome, "binary") {
		family = "binomial"
	}
	model := "{kind: glm, family: " + family + "}"
	if strings.Contains(outcome, "survival") {
		model = "{kind: cox}"
	}
	s, err := study.Parse(fmt.Appendf(nil, `study: noisy
version: 1
outcome: %s
features: [{column: age, type: number, range: [0, 100]}]
model: %s
fairness:
  attributes:
    - {column: sex, levels: [f, m]}
    - {column: ward, levels: [n, s]}
  intersections: 2
  noise: %s
%sprivacy: {minimum_contributors: 3}
`, outcome, model, declared, more))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	doseOutcome     = "{column: y, type: number, range: [0, 100], unit: mg}"
	binaryOutcome   = "{column: y, type: binary, positive: [\"1\"]}"
	survivalOutcome = "{type: survival, time: {column: y, range: [0, 100], grid: {step: 5}, unit: d}, event: {column: event, positive: [\"1\"]}}"
)

// person is a patient with a prediction.
type person struct {
	y, predicted float64
	sex, ward    string
}

func matrixOf(t testing.TB, s *study.Study, people []person) (*study.Matrix, []float64) {
	t.Helper()
	b, err := s.NewBuilder([]string{"y", "age", "sex", "ward"})
	if err != nil {
		t.Fatal(err)
	}
	var predicted []float64
	for _, p := range people {
		b.Add([]string{fmt.Sprint(p.y), "50", p.sex, p.ward})
		predicted = append(predicted, p.predicted)
	}
	m := b.Matrix()
	if m.Rows() != len(people) {
		t.Fatalf("%d of %d people are usable", m.Rows(), len(people))
	}
	return m, predicted
}

// random people of an outcome, whose predictions are off.
func somePeople(r *rand.Rand, n int, binary bool) (out []person) {
	for i := range n {
		p := person{sex: []string{"f", "m", "x"}[r.IntN(3)], ward: []string{"n", "s"}[i%2]}
		if p.predicted = r.Float64(); binary {
			p.y = one(r.Float64() < p.predicted)
		} else {
			p.y = math.Round(1000*(10+80*r.Float64())) / 1000
			p.predicted = p.y * (0.5 + r.Float64())
		}
		out = append(out, p)
	}
	return out
}

// auditedNoisily runs the step under noise over hospitals, all of whose noise comes from
// one seeded source; without one there is none.
func auditedNoisily(t testing.TB, s *study.Study, hospitals [][]person, source *rand.ChaCha8) *Audit {
	t.Helper()
	var sites []hospital
	for _, h := range hospitals {
		m, predicted := matrixOf(t, s, h)
		sites = append(sites, hospital{m, Forecast{Values: predicted}})
	}
	return auditedOver(t, s, sites, source)
}

// hospital is records with what a model says of them.
type hospital struct {
	records *study.Matrix
	said    Forecast
}

// without is the vector of a hospital without its noise.
func (h hospital) without(t testing.TB, s *study.Study) []float64 {
	t.Helper()
	values, err := quiet(s, h.records, h.said, rand.NewChaCha8([32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func auditedOver(t testing.TB, s *study.Study, hospitals []hospital, source *rand.ChaCha8) *Audit {
	t.Helper()
	var total []float64
	for _, h := range hospitals {
		values := h.without(t, s)
		if source != nil {
			var err error
			if values, err = AnswerNoisy(s, nil, h.records, h.said, 0, source); err != nil {
				t.Fatal(err)
			}
		}
		if total == nil {
			total = make([]float64, len(values))
		}
		for i, x := range values {
			total[i] += x
		}
	}
	session := New(s, Sizes{Unseen: true})
	q, done, err := session.Next()
	if err != nil || done || q.Step != StepNoisy || q.Parameters != nil {
		t.Fatalf("%+v, %v, %v", q, done, err)
	}
	sum, err := compute.NewSum(len(hospitals), q.Layout, total)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Absorb(sum); err != nil {
		t.Fatal(err)
	}
	if _, done, err := session.Next(); !done || err != nil {
		t.Fatalf("the audit asks more than one question: %v", err)
	}
	return session.Audit()
}

// What a patient changes is the ground on which the guarantee stands: one count, by
// 1; one of the sums of errors and one of the sums of squares, by no more than the
// steps up to the clip. Whatever the patient is.
func TestOnePatientChangesOneCountAndTheSumsByTheirSensitivity(t *testing.T) {
	for _, binary := range []bool{false, true} {
		s := noisyStudy(t, doseOutcome, "{epsilon: 1, clip: 5}", "")
		if binary {
			s = noisyStudy(t, binaryOutcome, "{epsilon: 1}", "  thresholds: [0.2, 0.7]\n")
		}
		r := rand.New(rand.NewPCG(1, 2))
		everyone := somePeople(r, 40, binary)
		extreme := []person{{y: 0, predicted: 0, sex: "f", ward: "n"}, {y: 1, predicted: 1, sex: "m", ward: "?"}, {y: 1, predicted: 0, sex: "", ward: ""}}
		if !binary {
			extreme = append(extreme, person{y: 0, predicted: 1e300, sex: "f", ward: "n"}, person{y: 100, predicted: -1e300, sex: "f", ward: "s"}, person{y: 100, predicted: math.Inf(1), sex: "m", ward: "s"})
		}
		without, predicted := matrixOf(t, s, everyone)
		before := hospital{without, Forecast{Values: predicted}}.without(t, s)
		for _, p := range append(extreme, somePeople(r, 200, binary)...) {
			m, predicted := matrixOf(t, s, append(slices.Clone(everyone), p))
			after := hospital{m, Forecast{Values: predicted}}.without(t, s)
			at := 0
			sums := map[string]float64{}
			for _, f := range noisyFields(s) {
				for range s.Fairness.BaseCells() * f.width {
					if d := after[at] - before[at]; d < 0 || d != math.Trunc(d) {
						t.Fatalf("%s changes by %g", f.name, d)
					} else {
						sums[f.name] += d
					}
					at++
				}
			}
			if at != len(after) || sums["classes"] != 1 || sums["high"]+sums["low"] > steps || sums["predicted"] > steps || sums["squares"] > steps {
				t.Fatalf("%+v changes %v, of %d steps", p, sums, steps)
			}
		}
	}
}

// The epsilons of the questions, each its share over its sensitivity, add up to the
// one that is declared: no more is asked.
func TestEpsilonIsSpentOnce(t *testing.T) {
	for _, s := range []*study.Study{noisyStudy(t, doseOutcome, "{epsilon: 0.7, clip: 5}", ""), noisyStudy(t, binaryOutcome, "{epsilon: 0.7}", ""),
		noisyStudy(t, survivalOutcome, "{epsilon: 0.7, clip: 2}", ""), noisyStudy(t, survivalOutcome, "{epsilon: 0.7, clip: 2}", "  times: [20, 60]\n")} {
		total := 0.0
		for _, f := range noisyFields(s) {
			sensitivity := 1.0
			if f.name != "classes" {
				sensitivity = steps
			}
			if f.name == "low" {
				continue // a patient is in high or in low
			}
			total += sensitivity * float64(f.scale.Epsilon) / float64(f.scale.Sensitivity)
		}
		stated := 0.0
		for _, q := range newNoise(s, compute.Sum{Contributors: 3}).Queries {
			stated += q.Epsilon
		}
		if math.Abs(total-0.7) > 1e-12 || math.Abs(stated-0.7) > 1e-12 {
			t.Errorf("%s: %g is spent and %g stated of 0.7", s.Outcome.Type, total, stated)
		}
		if steps := Steps(s); len(steps) != 1 || steps[0].Step != StepNoisy || steps[0].Rounds != 1 {
			t.Errorf("%s: the audit has other steps: %+v", s.Outcome.Type, steps)
		}
	}
}

// Without noise the classes and sums give what the exact audit gives.
func TestSumsOfBaseCellsAreTheExactAudit(t *testing.T) {
	for _, binary := range []bool{false, true} {
		outcome, declared := doseOutcome, "{epsilon: 1, clip: 100}"
		if binary {
			outcome, declared = binaryOutcome, "{epsilon: 1}"
		}
		s := noisyStudy(t, outcome, declared, "")
		everyone := somePeople(rand.New(rand.NewPCG(3, 4)), 6000, binary)
		m, predicted := matrixOf(t, s, everyone)
		whole := auditedNoisily(t, s, [][]person{everyone}, nil)
		exact, err := Local(s, whole, m, Forecast{Values: predicted})
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range whole.Groups {
			x := exact.Groups[i]
			if x.State == Zero {
				if g.State != Suppressed || g.N != nil {
					t.Errorf("%s: an empty group is %s", g.Level, g.State)
				}
				continue
			}
			if *g.N != *x.N || len(g.Metrics) < 9 {
				t.Errorf("%s: %d patients with %d metrics, not %d", g.Level, *g.N, len(g.Metrics), *x.N)
			}
			for name, have := range g.Metrics {
				want, known := x.Metrics[name]
				tolerance := 100.0 / (2 * steps)
				if name == "mse" {
					tolerance *= 100
				}
				if !known || math.Abs(have.Estimate-want.Estimate) > tolerance {
					t.Errorf("%s: %s is %g, exactly %g", g.Level, name, have.Estimate, want.Estimate)
				}
				if !(*have.Lower <= have.Estimate && have.Estimate <= *have.Upper) {
					t.Errorf("%s: %s is outside its interval", g.Level, name)
				}
				if want.Lower != nil && *have.Upper-*have.Lower < 0.99*(*want.Upper-*want.Lower) {
					t.Errorf("%s: %s has a narrower interval than without noise", g.Level, name)
				}
			}
		}
	}
}

func TestWithoutNoiseTheIntervalIsWilsons(t *testing.T) {
	for _, c := range [][2]float64{{0, 20}, {3, 20}, {81, 263}, {20, 20}} {
		lower, upper, ok := noisyShare{k: c[0], n: c[1]}.limits()
		wantLower, wantUpper := wilson(c[0], c[1])
		if !ok || math.Abs(lower-wantLower) > 1e-12 || math.Abs(upper-wantUpper) > 1e-12 {
			t.Errorf("%g of %g: %g to %g, not %g to %g", c[0], c[1], lower, upper, wantLower, wantUpper)
		}
	}
}

// Rule: what epsilon promises is not made larger in words than in the number beside
// them: an epsilon of 10 allows a factor of 22 026, which is not "hardly".
func TestMeaningOfALargeEpsilonIsNotPraised(t *testing.T) {
	s := noisyStudy(t, doseOutcome, "{epsilon: 10, clip: 20}", "")
	everyone := slices.Repeat([]person{{y: 50, predicted: 52, sex: "f", ward: "n"}}, 500)
	a := auditedNoisily(t, s, [][]person{everyone, nil, nil}, rand.NewChaCha8([32]byte{}))
	if said := a.Noise.Meaning; !strings.Contains(said, "22026 times") || strings.Contains(said, "hardly") {
		t.Error(said)
	}
}

// Three states that are not to be confused: too few by the noisy count; enough, but
// not beside the noise; and zero, which nobody can know.
func TestStatesUnderNoise(t *testing.T) {
	s := noisyStudy(t, doseOutcome, "{epsilon: 0.1, clip: 20}", "")
	var everyone []person
	for i := range 6000 {
		p := person{y: 50, predicted: 52, sex: "f", ward: "n"}
		if i < 150 {
			p.sex = "m"
		}
		everyone = append(everyone, p)
	}
	seen := map[string]int{}
	for seed := range 8 {
		a := auditedNoisily(t, s, [][]person{everyone, nil, nil}, rand.NewChaCha8([32]byte{byte(seed)}))
		for _, g := range a.Groups {
			seen[g.State]++
			switch g.State {
			case OK:
				if g.N == nil || len(g.Metrics) == 0 {
					t.Errorf("%s has no figures", g.Level)
				}
			case Suppressed:
				if g.N != nil || g.Metrics != nil || g.Undefined != nil {
					t.Errorf("%s is withheld and has figures", g.Level)
				}
			case NotEstimable:
				if g.N == nil || *g.N < s.Fairness.MinimumCell || len(g.Metrics) != 0 || g.Undefined["mae"] != loud || g.Undefined["r2"] != unpaid {
					t.Errorf("%s: %+v", g.Level, g)
				}
			default:
				t.Errorf("%s is %s, which noise does not let anybody know", g.Level, g.State)
			}
		}
		for _, h := range a.Hidden {
			if !strings.Contains(h.Why, "by the noisy count") {
				t.Errorf("%s is hidden because %s", h.Level, h.Why)
			}
		}
	}
	if seen[OK] < 8 || seen[Suppressed] == 0 || seen[NotEstimable] == 0 {
		t.Errorf("states seen: %v", seen)
	}
}

// drawnPeople are two groups of whom all is known: errors of a dose of 50 are
// normal, too high by 2 on average; of probabilities, half are 0.2 and half 0.6, and
// mean it. In the second group errors are shifted, and outcomes rarer.
func drawnPeople(r *rand.Rand, n int, binary bool, shift float64) (out []person) {
	for i := range n {
		p := person{sex: []string{"f", "m"}[i%2], ward: "n"}
		planted := shift * float64(i%2)
		if binary {
			p.predicted = []float64{0.2, 0.6}[r.IntN(2)]
			p.y = one(r.Float64() < p.predicted-planted)
		} else {
			p.y = 50
			p.predicted = 52 + planted + 10*r.NormFloat64()
		}
		out = append(out, p)
	}
	return out
}

// oneAttribute is the study without its second attribute, for two hospitals.
func oneAttribute(t testing.TB, of *study.Study) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(strings.NewReplacer("    - {column: ward, levels: [n, s]}\n  intersections: 2\n", "", "contributors: 3", "contributors: 2").Replace(string(of.Source()))))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Over 1 000 seeded studies the intervals hold what is true of the population 93 to
// 100 times in 100, and two groups that are alike are called different, in one
// metric, at most 6 times in 100; a planted disparity is found.
func TestIntervalsUnderNoiseHoldWhatTheySay(t *testing.T) {
	phi := func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
	for _, c := range []struct {
		outcome, noise, more string
		binary               bool
		planted              float64
		truth                map[string]float64
		compared             []string
	}{
		{doseOutcome, "{epsilon: 2, clip: 60}", "", false, 12, map[string]float64{
			"bias": 2, "mae": 10*math.Sqrt(2/math.Pi)*math.Exp(-0.02) + 2*(1-2*phi(-0.2)), "mse": 104, "rmse": math.Sqrt(104),
			"within20": 100 * (phi(0.8) - phi(-1.2)), "under20": 100 * phi(-1.2), "over20": 100 * phi(-0.8),
		}, []string{"bias", "mae", "within20"}},
		{binaryOutcome, "{epsilon: 2}", "  thresholds: [0.4]\n", true, 0.19, map[string]float64{
			"prevalence": 0.4, "tpr": 0.75, "fnr": 0.25, "fpr": 1 / 3.0, "tnr": 2 / 3.0, "ppv": 0.6, "npv": 0.8, "accuracy": 0.7, "selection_rate": 0.5,
			"brier": 0.2, "calibration_in_the_large": 0, "mean_predicted": 0.4, "observed_over_expected": 1,
		}, []string{"tpr", "fpr", "calibration_in_the_large"}},
	} {
		s := oneAttribute(t, noisyStudy(t, c.outcome, c.noise, c.more))
		const studies = 1000
		held, alarms := map[string]int{}, map[string]int{}
		for seed := range studies {
			r := rand.New(rand.NewPCG(uint64(seed), 77))
			a := auditedNoisily(t, s, [][]person{drawnPeople(r, 1200, c.binary, 0), nil}, rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1}))
			g := a.Group("sex", "m")
			for name, want := range c.truth {
				if m, ok := g.Metrics[name]; ok && *m.Lower <= want && want <= *m.Upper {
					held[name]++
				}
			}
			for _, gap := range a.Gaps {
				if gap.Lower > 0 || gap.Upper < 0 {
					alarms[gap.Metric]++
				}
			}
		}
		for name := range c.truth {
			if share := float64(held[name]) / studies; share < 0.93 {
				t.Errorf("%s: %s is within its interval in %.1f%% of the studies", s.Outcome.Type, name, 100*share)
			}
		}
		for _, metric := range c.compared {
			if alarms[metric] > 6*studies/100 {
				t.Errorf("%s: groups that are alike differ in %s in %d of %d studies", s.Outcome.Type, metric, alarms[metric], studies)
			}
		}
		found := 0
		for seed := range 50 {
			r := rand.New(rand.NewPCG(uint64(seed), 78))
			a := auditedNoisily(t, s, [][]person{drawnPeople(r, 4000, c.binary, c.planted), nil}, rand.NewChaCha8([32]byte{byte(seed), 2}))
			found += int(one(slices.ContainsFunc(a.Gaps, func(g Gap) bool { return g.Verdict == Disparity })))
		}
		if found < 48 {
			t.Errorf("%s: a planted disparity is found in %d of 50 studies", s.Outcome.Type, found)
		}
		t.Logf("%s: held %v, alarms %v, of %d; planted found %d of 50", s.Outcome.Type, held, alarms, studies, found)
	}
}

// What the hospitals add is the noise that the report states, and that epsilon needs,
// in every field. Where the plan requires all of nine hospitals it is hardly more,
// though the study's minimum is three.
func TestNoiseIsAsLargeAsTheReportSays(t *testing.T) {
	s := noisyStudy(t, doseOutcome, "{epsilon: 10, clip: 5}", "") // one hospital may take its noise off
	nobody, predicted := matrixOf(t, s, nil)
	source := rand.NewChaCha8([32]byte{5})
	for _, c := range []struct {
		hospitals, required int
		surplus             float64 // of the variance
	}{{3, 0, 3.0 / 2}, {9, 0, 9.0 / 2}, {9, 9, 9.0 / 8}} {
		squares, numbers := map[string]float64{}, map[string]float64{}
		for range 250 {
			var total []float64
			for range c.hospitals {
				values, err := AnswerNoisy(s, nil, nobody, Forecast{Values: predicted}, c.required, source)
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
			at := 0
			for _, f := range noisyFields(s) {
				for range s.Fairness.BaseCells() * f.width {
					squares[f.name] += total[at] * total[at]
					numbers[f.name]++
					at++
				}
			}
		}
		stated := newNoise(s, compute.Sum{Contributors: c.hospitals, Required: c.required})
		for i, f := range noisyFields(s) {
			sd := math.Sqrt(squares[f.name]/numbers[f.name]) * f.unit
			q := stated.Queries[[]int{0, 1, 1, 2}[i]]
			if math.Abs(sd/q.SD-1) > 0.06 {
				t.Errorf("%s: the noise has a standard deviation of %.4g, and the report says %.4g", f.name, sd, q.SD)
			}
			alone := math.Sqrt(f.scale.Variance()) * f.unit
			if ratio := q.SD * q.SD / alone / alone; math.Abs(ratio-c.surplus) > 1e-9 {
				t.Errorf("%s: %d hospitals of whom %d are required: %.3g times the variance that epsilon needs, not %.3g", f.name, c.hospitals, c.required, ratio, c.surplus)
			}
		}
	}
}

// Where the noise is most of the uncertainty, the interval of a share is still right,
// and without the noise in it, it would be far too narrow.
func TestSharesOfFewPatientsAllowForTheNoise(t *testing.T) {
	const studies, n, p = 2000, 200, 0.3
	scale := noise.Scale{Epsilon: 1, Sensitivity: 8}
	r, source := rand.New(rand.NewPCG(6, 7)), rand.NewChaCha8([32]byte{6})
	held, bare := 0, 0
	for range studies {
		k := 0.0
		for range n {
			k += one(r.Float64() < p)
		}
		parts := []float64{k, n - k}
		if err := noise.Add(parts, scale, 1, 1e9, source); err != nil {
			t.Fatal(err)
		}
		s := noisyShare{k: parts[0], n: parts[0] + parts[1], noiseK: scale.Variance(), noiseRest: scale.Variance()}
		lower, upper, ok := s.limits()
		held += int(one(!ok || lower <= p && p <= upper))
		s.noiseK, s.noiseRest = 0, 0
		lower, upper, _ = s.limits()
		bare += int(one(lower <= p && p <= upper))
	}
	if share := float64(held) / studies; share < 0.94 || share > 0.985 {
		t.Errorf("intervals hold the share in %.1f%% of the studies", 100*share)
	}
	if share := float64(bare) / studies; share > 0.9 {
		t.Errorf("without the noise intervals hold it in %.1f%%: the test has lost its point", 100*share)
	}
}
