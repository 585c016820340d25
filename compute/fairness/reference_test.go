package fairness

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/internal/publicdata"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

// confusions counts by group; y, predictions and groups are strings of digits
// and letters.
func confusions(y, predicted, group string) map[string]Confusion {
	out := map[string]Confusion{}
	for i := range y {
		var c Confusion
		switch y[i:i+1] + predicted[i:i+1] {
		case "11":
			c.TP = 1
		case "10":
			c.FN = 1
		case "01":
			c.FP = 1
		case "00":
			c.TN = 1
		}
		for _, g := range []string{"all", group[i : i+1]} {
			out[g] = out[g].Plus(c)
		}
	}
	return out
}

// Fairlearn's user guide: by group, their extent, and equalized odds.
func TestFairlearnsGuide(t *testing.T) {
	by := confusions("011110101000111111", "001011100111100110", "bbabbcccaacabccbcc")
	for g, want := range map[string][3]float64{"all": {0.5, 2. / 3, 5. / 9}, "a": {0.5, 1, 0.75}, "b": {0.6, 0, 0.5}, "c": {0.4, 2. / 3, 0.5}} {
		near(t, g+" TPR", by[g].TPR(), want[0], 1e-12)
		near(t, g+" FPR", by[g].FPR(), want[1], 1e-12)
		near(t, g+" selection", by[g].Selection(), want[2], 1e-12)
	}
	groups := []Confusion{by["a"], by["b"], by["c"]}
	for _, c := range []struct {
		rate              func(Confusion) float64
		difference, ratio float64
	}{{Confusion.TPR, 0.2, 2. / 3}, {Confusion.FPR, 1, 0}, {Confusion.Selection, 0.25, 2. / 3}} {
		got := Spread(c.rate, groups...)
		near(t, "difference", got.Difference, c.difference, 1e-12)
		near(t, "ratio", got.Ratio, c.ratio, 1e-12)
	}
	near(t, "equalized odds", max(EqualizedOdds(by["a"], by["b"]), EqualizedOdds(by["b"], by["c"]), EqualizedOdds(by["a"], by["c"])), 1, 1e-12)
	near(t, "equalized odds ratio", EqualizedOddsRatio(groups...), 0, 0)
}

// Fairlearn's guide again: accuracy within a control feature.
func TestFairlearnsControlFeature(t *testing.T) {
	y, p := "000110110101010101010110111110", "110110101010101110001110011001"
	control, sensitive := "HLHLHLLHHLLHHLLHLLHHLHLLHHLLHL", "ABBCCBAABACBCACCBBCABBCABABBAA"
	keys := []rune{}
	for i := range y { // one letter for each combination
		keys = append(keys, rune(sensitive[i]))
		if control[i] == 'L' {
			keys[i] += 'a' - 'A'
		}
	}
	by := confusions(y, p, string(keys))
	for g, want := range map[string]float64{"A": 1. / 5, "B": 2. / 5, "C": 3. / 4, "a": 2. / 5, "b": 2. / 7, "c": 2. / 4} {
		near(t, g, by[g].Accuracy(), want, 1e-12)
	}
	if by["A"].N()+by["B"].N()+by["C"].N() != 14 || by["a"].N()+by["b"].N()+by["c"].N() != 16 {
		t.Error("14 are high and 16 low")
	}
	near(t, "high", by["A"].Plus(by["B"]).Plus(by["C"]).Accuracy(), 6./14, 1e-12)
	near(t, "low", by["a"].Plus(by["b"]).Plus(by["c"]).Accuracy(), 6./16, 1e-12)
	near(t, "gap in H", Spread(Confusion.Accuracy, by["A"], by["B"], by["C"]).Difference, 0.55, 1e-12)
	near(t, "gap in L", Spread(Confusion.Accuracy, by["a"], by["b"], by["c"]).Difference, 0.214286, 1e-6)
}

// Aequitas; what it has no denominator for stays without a value.
func TestAequitas(t *testing.T) {
	by := confusions("1111100000", "1001110011", "HLHLHLHLHL")
	h, l := by["H"], by["L"]
	for name, c := range map[string]struct {
		rate func(Confusion) float64
		want float64
	}{"FNR": {Confusion.FNR, 1.5}, "FPR": {Confusion.FPR, 4. / 3}, "FOR": {Confusion.FOR, 1}, "FDR": {Confusion.FDR, 2}, "PPrev": {Confusion.Selection, 1}} {
		near(t, name, c.rate(l)/c.rate(h), c.want, 1e-12)
	}
	everyone := Confusion{TP: 3, FP: 2}
	if !math.IsNaN(everyone.FOR()) {
		t.Error("nobody is called negative, and there is a FOR")
	}
	near(t, "FDR", everyone.FDR(), 0.4, 1e-12)
	if e := Spread(Confusion.FOR, everyone, h); !math.IsNaN(e.Difference) || !math.IsNaN(e.Ratio) {
		t.Error("a group without the rate was left out in silence")
	}
	if nobody := (Confusion{TN: 2, FN: 3}); !math.IsNaN(nobody.FDR()) || nobody.FPR() != 0 || nobody.FNR() != 1 || nobody.FOR() != 0.6 {
		t.Errorf("%+v", nobody)
	}
}

// AIF360: entropy of benefits.
func TestAIF360(t *testing.T) {
	// y 1001001011; two false negatives and two false positives.
	c := Confusion{TP: 3, FP: 2, TN: 3, FN: 2}
	near(t, "GEI", c.GEI(), 0.2, 1e-12)
	near(t, "Theil", c.Theil(), 0.2772589, 1e-7)
	// Groups 0,0, 1 x4, 2 x4 with benefits 1,1, 1.25 x4, 0.75 x4.
	near(t, "between-group GEI", BetweenGEI(Confusion{TP: 2}, Confusion{TP: 3, FP: 1}, Confusion{TN: 3, FN: 1}), 0.025, 1e-12)
	near(t, "GEI of the other prediction", confusions("1001001011", "0110000111", "aaaaaaaaaa")["all"].GEI(), 0.3, 1e-12)
}

// Holistic AI.
func TestHolisticAI(t *testing.T) {
	a := Confusion{TP: 2, FP: 1, TN: 1}
	b := Confusion{TP: 2, FN: 1, TN: 3}
	near(t, "statistical parity", a.Selection()-b.Selection(), 5./12, 1e-12)
	near(t, "disparate impact", a.Selection()/b.Selection(), 9./4, 1e-12)
	near(t, "four fifths", Spread(Confusion.Selection, a, b).Ratio, 4./9, 1e-12)
	near(t, "equal opportunity", a.TPR()-b.TPR(), 1./3, 1e-12)
	near(t, "FPR gap", a.FPR()-b.FPR(), 1./2, 1e-12)
	near(t, "average odds", AverageOdds(a, b), 5./12, 1e-12)
	near(t, "accuracy gap", a.Accuracy()-b.Accuracy(), -1./12, 1e-12)
	near(t, "z", math.Sqrt2*math.Erfinv(1-scoreP(3, 4, 2, 6)), 1.2909944, 1e-6)
}

// declearn, whose scores are on a grid: the area is exact.
func TestDeclearnsArea(t *testing.T) {
	up, down := make([]float64, 10), make([]float64, 10)
	down[4], down[8], up[6], up[8] = 1, 1, 1, 1
	auc, _ := area(up, down)
	near(t, "AUC", auc, 0.625, 1e-12)
}

// fixture is Fairlearn's test data.
type fixture struct {
	Y         []int               `json:"y_true"`
	Predicted []int               `json:"y_pred"`
	Scores    []float64           `json:"y_score"`
	Groups    map[string][]string `json:"groups"`
}

func readFixture(t *testing.T) fixture {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(publicdata.Dir(t), "fairness", "fairness_reference.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Fixture fixture `json:"fairlearn_fixture"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Fixture.Y) != 71 {
		t.Fatalf("%d rows, Fairlearn has 71", len(file.Fixture.Y))
	}
	return file.Fixture
}

// binned counts those of a group with the outcome and without by score.
func (f fixture) binned(b int, in func(i int) bool) (up, down []float64) {
	up, down = make([]float64, b), make([]float64, b)
	for i, y := range f.Y {
		if k := min(int(f.Scores[i]*float64(b)), b-1); in(i) && y == 1 {
			up[k]++
		} else if in(i) {
			down[k]++
		}
	}
	return up, down
}

// The area from bins is within its bound of the area of the scores.
func TestAreaFromBinsIsWithinItsBound(t *testing.T) {
	f := readFixture(t)
	everyone := func(int) bool { return true }
	for b, want := range map[int][2]float64{10: {0.4367521, 0.0452991}, 100: {0.4354701, 0.0047009}} {
		auc, bound := area(f.binned(b, everyone))
		near(t, "AUC", auc, want[0], 1e-7)
		near(t, "bound", bound, want[1], 1e-7)
		near(t, "the scores' own", auc, 0.4358974, bound)
	}
	brier := 0.0
	for i, y := range f.Y {
		binaryErrors(func(name string, _ int, v float64) {
			if name == "error_squared" {
				brier += v / float64(len(f.Y))
			}
		}, f.Scores[i], float64(y), []float64{0.5})
	}
	near(t, "Brier", brier, 0.3687490, 1e-7)
}

// Every group of Fairlearn's four attributes: its counts, its area, and DeLong's
// standard error, which of bins as narrow as these scores is that of the scores
// (scikit-learn's roc_auc_score, and numpy on the pairs).
func TestFairlearnsGroups(t *testing.T) {
	f := readFixture(t)
	for _, c := range []struct {
		attribute, level string
		confusion        Confusion
		auc, se          float64
	}{
		{"g_1", "aa", Confusion{TP: 15, FP: 7, TN: 7, FN: 7}, 0.3181818, 0.0971525},
		{"g_1", "ba", Confusion{TP: 18, FP: 6, TN: 6, FN: 5}, 0.5652174, 0.1079631},
		{"g_2", "f", Confusion{TP: 16, FP: 8, TN: 5, FN: 7}, 0.4214047, 0.1042682},
		{"g_2", "g", Confusion{TP: 17, FP: 5, TN: 8, FN: 5}, 0.4370629, 0.1066700},
		{"g_3", "kk", Confusion{TP: 14, FP: 8, TN: 6, FN: 8}, 0.4123377, 0.1012203},
		{"g_3", "m", Confusion{TP: 19, FP: 5, TN: 7, FN: 4}, 0.4637681, 0.1091995},
		{"g_4", "pp", Confusion{TP: 17, FP: 7, TN: 6, FN: 6}, 0.4682274, 0.1000562},
		{"g_4", "q", Confusion{TP: 16, FP: 6, TN: 7, FN: 6}, 0.3776224, 0.1143978},
		{"", "all", Confusion{TP: 33, FP: 13, TN: 13, FN: 12}, 0.4358974, 0.0730291},
	} {
		in := func(i int) bool { return c.attribute == "" || f.Groups[c.attribute][i] == c.level }
		var counted Confusion
		for i, y := range f.Y {
			if !in(i) {
				continue
			}
			binaryErrors(func(name string, _ int, v float64) {
				switch name { // as the report makes them of what is opened
				case "selected_positives":
					counted.TP, counted.FP = counted.TP+v, counted.FP-v
				case "selected":
					counted.FP += v
				}
			}, float64(f.Predicted[i]), float64(y), []float64{0.5})
			counted.FN += float64(y)
			counted.TN += float64(1 - y)
		}
		counted.FN, counted.TN = counted.FN-counted.TP, counted.TN-counted.FP
		if counted != c.confusion {
			t.Errorf("%s: %+v", c.level, counted)
		}
		up, down := f.binned(1_000_000, in)
		auc, bound := area(up, down)
		near(t, "AUC of "+c.level, auc, c.auc, 1e-7)
		near(t, "bound of "+c.level, bound, 0, 0)
		near(t, "standard error of "+c.level, math.Sqrt(areaVariance(up, down)), c.se, 1e-7)
		for _, b := range []int{10, 20, 100} {
			auc, bound := area(f.binned(b, in))
			near(t, "AUC of "+c.level+" from bins", auc, c.auc, bound+1e-7)
		}
	}
}

// Two groups with the same curve have nothing between them; a model that ranks
// one perfectly and the other backwards has everything.
func TestABROCA(t *testing.T) {
	good, bad := []float64{0, 0, 10}, []float64{10, 0, 0}
	between, bound := abroca(good, bad, good, bad)
	near(t, "same", between, 0, 1e-12)
	near(t, "bound", bound, 0, 1e-12)
	between, _ = abroca(good, bad, bad, good)
	near(t, "opposite", between, 1, 1e-12)
	if none, _ := abroca(good, []float64{0, 0, 0}, good, bad); !math.IsNaN(none) {
		t.Error("a curve of patients who all have the outcome")
	}
}

// Holm's adjustment as R's p.adjust gives it.
func TestHolmEqualsR(t *testing.T) {
	for i, want := range []float64{0.03, 0.06, 0.06, 0.02} {
		near(t, "adjusted", holm([]float64{0.01, 0.04, 0.03, 0.005})[i], want, 1e-12)
	}
}

// Simpson's paradox: inside each of two hospitals the group fares better by 0.1,
// over both it fares worse. Mantel and Haenszel's difference is that inside.
func TestHospitalsTermsShowTheReversal(t *testing.T) {
	site := func(k1, n1, k2, n2 float64) [terms]float64 {
		return siteTerms(sample{n1, k1, k1}, sample{n2, k2, k2}, true)
	}
	one, other := site(90, 100, 720, 900), site(270, 900, 20, 100)
	var sum [terms]float64
	for k := range sum {
		sum[k] = one[k] + other[k]
	}
	near(t, "inside", sum[termWeighted]/sum[termWeight], 0.1, 1e-12)
	if crude := 360./1000 - 740./1000; crude > 0 {
		t.Error("the example has no reversal")
	}
	q, i2 := heterogeneity(2, sum[termPrecision], sum[termPrecise], sum[termPreciseSquared])
	near(t, "Q", q, 0, 1e-9)
	near(t, "I2", i2, 0, 0)
	// Differences of 0 and 1 with weights 100 each: Q = 100*0.25*2.
	q, i2 = heterogeneity(2, 200, 100, 100)
	near(t, "Q", q, 50, 1e-12)
	near(t, "I2", i2, 0.98, 1e-12)
}

// Holistic AI's doses: predicted and actual of two groups.
func TestHolisticAIsDoses(t *testing.T) {
	s := parsed(t, `
study: doses
version: 1
outcome: {column: y, type: number, range: [0, 1]}
features:
  - {column: x, type: number, range: [0, 1]}
model: {kind: glm, family: gaussian}
fairness:
  attributes: [{column: g, levels: [A, B]}]
`)
	b, err := s.NewBuilder([]string{"y", "x", "g"})
	if err != nil {
		t.Fatal(err)
	}
	var f Forecast
	for _, p := range []struct {
		predicted float64
		y, g      string
	}{{0.9, "0.8", "A"}, {0.7, "0.9", "A"}, {0.3, "0.2", "A"}, {0.2, "0.1", "A"},
		{0.8, "0.7", "B"}, {1, "0.9", "B"}, {0.8, "0.9", "B"}, {0.2, "0.3", "B"}, {0.1, "0.2", "B"}, {0.2, "0.1", "B"}} {
		b.Add([]string{p.y, "0", p.g})
		f.Values = append(f.Values, p.predicted)
	}
	a, err := Local(s, &Audit{}, b.Matrix(), f)
	if err != nil {
		t.Fatal(err)
	}
	first, second := a.Group("g", "A").Metrics, a.Group("g", "B").Metrics
	for name, want := range map[string][2]float64{"mae": {0.125, 0.1}, "rmse": {0.1322876, 0.1}, "bias": {0.025, 0}, "correlation": {0.9390591, 0.9611013}} {
		near(t, name+" of A", first[name].Estimate, want[0], 1e-7)
		near(t, name+" of B", second[name].Estimate, want[1], 1e-7)
	}
	near(t, "gap of the means", first["mean_predicted"].Estimate-second["mean_predicted"].Estimate, 0.1/12, 1e-12)
	near(t, "ratio of the means", first["mean_predicted"].Estimate/second["mean_predicted"].Estimate, 1.0161290, 1e-7)
	near(t, "RMSE ratio", first["rmse"].Estimate/second["rmse"].Estimate, 1.3228757, 1e-7)
	near(t, "MAE ratio", first["mae"].Estimate/second["mae"].Estimate, 1.25, 1e-12)
	near(t, "gap of r", first["correlation"].Estimate-second["correlation"].Estimate, -0.0220421, 1e-7)
}

// declearn's counts at the thresholds 0, 0.1 to 1.
func TestDeclearnsThresholds(t *testing.T) {
	var thresholds []float64
	for k := range 11 {
		thresholds = append(thresholds, float64(k)/10)
	}
	selected, right := make([]float64, 11), make([]float64, 11)
	for i, p := range []float64{0.4, 0.8, 0.6, 0.8} {
		binaryErrors(func(name string, at int, v float64) {
			switch name {
			case "selected":
				selected[at] += v
			case "selected_positives":
				right[at] += v
			}
		}, p, one(i >= 2), thresholds)
	}
	for k, want := range []struct{ tp, fp float64 }{{2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 2}, {2, 1}, {2, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}} {
		if right[k] != want.tp || selected[k]-right[k] != want.fp {
			t.Errorf("at %v: %v true, %v false positives", thresholds[k], right[k], selected[k]-right[k])
		}
	}
}

// The Poisson bootstrap of Fairlearn's selection rates has the quantiles of its
// own, up to what a hundred of their replicates leave open.
func TestFairlearnsBootstrap(t *testing.T) {
	c := &chance{replicates: 4000, source: rand.NewPCG(1, 2)}
	for _, g := range []struct{ k, n, low, middle, high float64 }{{5, 7, 0.5, 0.7, 0.892}, {5, 11, 0.333, 0.441, 0.583}, {10, 18, 0.444, 0.556, 0.667}} {
		var rates []float64
		for range c.replicates {
			d := c.poisson([]float64{g.k, g.n - g.k})
			if d[0]+d[1] > 0 {
				rates = append(rates, d[0]/(d[0]+d[1]))
			}
		}
		slices.Sort(rates)
		for p, want := range map[float64]float64{0.159: g.low, 0.5: g.middle, 0.841: g.high} {
			near(t, "quantile", rates[int(p*float64(len(rates)))], want, 0.06)
		}
	}
}
