package glm

import (
	"math"
	"testing"
)

func relative(got, want float64) float64 {
	if want == 0 {
		return math.Abs(got)
	}
	return math.Abs(got/want - 1)
}

// The tails of Student's t have closed forms for 1, 2 and 4 degrees of freedom.
func TestStudentTailEqualsClosedForms(t *testing.T) {
	for exponent := -6.0; exponent <= 12; exponent += 0.25 {
		x := math.Pow(10, exponent)
		r2 := math.Sqrt(x*x + 2)
		s := x / math.Sqrt(x*x+4)
		left := 4 / ((x*x + 4) * (1 + s)) // 1 - s without cancellation
		for _, c := range []struct{ df, want float64 }{
			{1, 2 / math.Pi * math.Atan2(1, x)},
			{2, 2 / (r2 * (r2 + x))},
			{4, left * left * (2 + s) / 2},
		} {
			if got := studentTail(x, c.df); relative(got, c.want) > 1e-12 {
				t.Errorf("df %v, t %.3g: %.17g, want %.17g", c.df, x, got, c.want)
			}
			if studentTail(-x, c.df) != studentTail(x, c.df) {
				t.Error("the test is two-sided")
			}
		}
	}
}

// With very many degrees of freedom Student's t is the normal, up to a
// correction of order z^4/df.
func TestStudentTailApproachesNormal(t *testing.T) {
	for _, z := range []float64{0.1, 1, 2, 3, 5} {
		if got, want := studentTail(z, 1e9), normalTail(z); relative(got, want) > 1e-6 {
			t.Errorf("z %v: %v, want %v", z, got, want)
		}
	}
}

// The wanted values are from the continued fraction of Mills' ratio in 60 digits.
func TestNormalTailIsAccurateFarOut(t *testing.T) {
	for z, want := range map[float64]float64{
		0:                1,
		1.95996398454005: 0.0500000000000004951,
		5:                5.73303143758387823e-07,
		30:               9.81342785429637412e-198,
	} {
		if got := normalTail(z); relative(got, want) > 1e-12 {
			t.Errorf("z %v: %.17g, want %.17g", z, got, want)
		}
	}
}
