package compute

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestAccumulatorLosesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	a := NewAccumulator(2)
	exact := new(big.Float).SetPrec(500)
	for range 10000 {
		x := (random.Float64() - 0.5) * float64(uint64(1)<<random.IntN(60))
		a.Add(1, x)
		exact.Add(exact, big.NewFloat(x))
	}
	want, _ := exact.Float64()
	if got := a.Values(); got[1] != want || got[0] != 0 {
		t.Errorf("%v, want 0 and %v", got, want)
	}
	b := NewAccumulator(1)
	for _, x := range []float64{1, 1e100, 1, -1e100} {
		b.Add(0, x)
	}
	if b.Values()[0] != 2 {
		t.Errorf("%v, want 2", b.Values()[0])
	}
}

func TestSumFitsItsLayout(t *testing.T) {
	layout := []Field{{Name: "a", Length: 1}, {Name: "b", Length: 2}}
	s, err := NewSum(3, layout, []float64{1, 2, 3})
	if err != nil || !slices.Equal(s.Field("a"), []float64{1}) || !slices.Equal(s.Field("b"), []float64{2, 3}) || s.Field("c") != nil {
		t.Errorf("%v %v", s, err)
	}
	for _, values := range [][]float64{nil, {1}, {1, 2}, {1, 2, 3, 4}} {
		if _, err := NewSum(3, layout, values); err == nil {
			t.Errorf("%d values fit a layout of 3", len(values))
		}
	}
}

func TestDiagnosisReadsAsASentence(t *testing.T) {
	d := &Diagnosis{Kind: Separation, Terms: []string{"a=b", "c"}, Message: "no one responds"}
	if got := d.Error(); got != "separation (a=b, c): no one responds" {
		t.Error(got)
	}
	if got := (&Diagnosis{Kind: TooFewPatients, Message: "x"}).Error(); !strings.HasPrefix(got, "too-few-patients: ") {
		t.Error(got)
	}
}
