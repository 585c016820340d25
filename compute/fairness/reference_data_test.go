package fairness

import (
	"math"
	"testing"
)

// AIF360's metrics of the data, before any model (tests/sklearn/test_metrics.py):
// attribute 1111000 with weights 1234321, and its labels.
func TestAIF360sData(t *testing.T) {
	near(t, "class imbalance", classImbalance(3+2+1, 1+2+3+4), -0.25, 1e-12)
	near(t, "class imbalance, swapped", classImbalance(1+2+3+4, 3+2+1), 0.25, 1e-12)
	// Labels 0120012 with weights 1234433, of attribute 1 and 0: counts of 0, 1, 2.
	one, zero := []float64{1 + 4, 2, 3}, []float64{4, 3, 3}
	near(t, "KL", divergence(one, zero), 0.0304788, 1e-7)
	// Attribute 0011222, y 0101010, weights 1234321.
	without, with := []float64{1, 3, 3 + 1}, []float64{2, 4, 2}
	var weights, values []float64
	for k := range with {
		weights = append(weights, without[k]+with[k])
		values = append(values, demographicDisparity(without[k], with[k], 8, 8))
	}
	near(t, "CDD", weightedMean(weights, values), 0.015625, 1e-12)
}

// Jensen and Shannon's divergence has no direction, is nothing of like
// distributions, ln 2 of those that share no class, and finite where Kullback and
// Leibler's is not.
func TestJensenShannon(t *testing.T) {
	p, q := []float64{5, 2, 3}, []float64{40, 30, 30}
	// The middle is 0.45, 0.25, 0.3.
	near(t, "JS", jensenShannon(p, q), (0.5*math.Log(10./9)+0.2*math.Log(0.8)+0.4*math.Log(8./9)+0.3*math.Log(1.2))/2, 1e-12)
	near(t, "JS, swapped", jensenShannon(q, p), jensenShannon(p, q), 1e-15)
	near(t, "of itself", jensenShannon(p, []float64{50, 20, 30}), 0, 1e-15)
	near(t, "apart", jensenShannon([]float64{3, 0}, []float64{0, 9}), math.Ln2, 1e-15)
	if !math.IsInf(divergence([]float64{3, 1}, []float64{9, 0}), 1) {
		t.Error("a class that the other has none of, and a finite divergence")
	}
}

// Fairlearn's guide: the groups against all, as its to_overall has it; and its
// second attribute.
func TestFairlearnsGuideAgainstAll(t *testing.T) {
	y, p := "011110101000111111", "001011100111100110"
	by := confusions(y, p, "bbabbcccaacabccbcc")
	for _, c := range []struct {
		rate              func(Confusion) float64
		difference, ratio float64
	}{{Confusion.TPR, 0.1, 0.8}, {Confusion.FPR, 2. / 3, 0}, {Confusion.Selection, 0.194444, 0.740741}} {
		_, difference, ratio := fromWhole(c.rate(by["all"]), []float64{c.rate(by["a"]), c.rate(by["b"]), c.rate(by["c"])})
		near(t, "difference to all", difference, c.difference, 1e-6)
		near(t, "ratio to all", ratio, c.ratio, 1e-6)
	}
	if far, _, _ := fromWhole(5./9, []float64{0.75, 0.5, 0.5}); far != 0 {
		t.Error("the farthest group is not the one with the widest gap")
	}
	for g, want := range map[string]Confusion{"a": {TP: 1, FP: 2, FN: 1}, "b": {TP: 3, TN: 1, FN: 2}, "c": {TP: 2, FP: 2, TN: 1, FN: 3}, "all": {TP: 6, FP: 4, TN: 2, FN: 6}} {
		if by[g] != want {
			t.Errorf("%s is %+v", g, by[g])
		}
	}
	group, second := "bbabbcccaacabccbcc", "868888666866668666"
	keys := []byte(group)
	for i := range keys {
		if second[i] == '8' {
			keys[i] -= 'a' - 'A'
		}
	}
	by = confusions(y, p, string(keys))
	for g, want := range map[string][3]float64{"a": {0, 0, 2}, "A": {1, 0.5, 2}, "b": {2. / 3, 1, 3}, "B": {0.5, 1, 3}, "c": {0.5, 2. / 3, 6}, "C": {0, 0, 2}} {
		near(t, g+" recall", by[g].TPR(), want[0], 1e-12)
		near(t, g+" precision", by[g].PPV(), want[1], 1e-12)
		near(t, g+" n", by[g].N(), want[2], 0)
	}
}

// Aequitas: counts, what four fifths would say of each ratio, and a model that
// calls nobody or everybody.
func TestAequitasExtremes(t *testing.T) {
	y, groups := "1111100000", "HLHLHLHLHL"
	by := confusions(y, "1001110011", groups)
	if by["H"] != (Confusion{TP: 2, FP: 1, TN: 1, FN: 1}) || by["L"] != (Confusion{TP: 1, FP: 2, TN: 1, FN: 1}) {
		t.Errorf("%+v", by)
	}
	for name, c := range map[string]struct {
		rate func(Confusion) float64
		like bool
	}{"FNR": {Confusion.FNR, false}, "FPR": {Confusion.FPR, false}, "FDR": {Confusion.FDR, false}, "FOR": {Confusion.FOR, true}, "PPrev": {Confusion.Selection, true},
		"PPR": {func(c Confusion) float64 { return (c.TP + c.FP) / (by["all"].TP + by["all"].FP) }, true}} {
		if r := Spread(c.rate, by["H"], by["L"]).Ratio; (r >= 0.8) != c.like {
			t.Errorf("%s: ratio %v", name, r)
		}
	}
	everyone := confusions(y, "1111111111", groups)
	near(t, "FDR of H", everyone["H"].FDR(), 0.4, 1e-12)
	near(t, "FDR of L", everyone["L"].FDR(), 0.6, 1e-12)
	near(t, "FDR ratio", everyone["L"].FDR()/everyone["H"].FDR(), 1.5, 1e-12)
	if r := everyone["L"].FNR() / everyone["H"].FNR(); !math.IsNaN(r) || !math.IsNaN(everyone["L"].FOR()) {
		t.Error("nobody is missed, and there is a ratio")
	}
	nobody := confusions(y, "0000000000", groups)
	near(t, "FOR of H", nobody["H"].FOR(), 0.6, 1e-12)
	near(t, "FOR of L", nobody["L"].FOR(), 0.4, 1e-12)
	near(t, "FOR ratio", nobody["L"].FOR()/nobody["H"].FOR(), 0.6667, 1e-4)
	near(t, "FPR", nobody["H"].FPR(), 0, 0)
	near(t, "FNR", nobody["L"].FNR(), 1, 0)
	if !math.IsNaN(nobody["H"].FDR()) {
		t.Error("nobody is called positive, and there is an FDR")
	}
}
