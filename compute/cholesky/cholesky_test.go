package cholesky

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// Without equilibration a column in units of 1e-9 beside one of 1e9 would be
// lost in the factor.
func TestFactorSolvesAcrossScales(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	scales := []float64{1, 1e-9, 1e9, 1e3}
	columns := make([][]float64, 4)
	for j := range columns {
		columns[j] = make([]float64, 40)
		for i := range columns[j] {
			columns[j][i] = scales[j] * (random.Float64() - 0.3)
		}
	}
	a := mat.NewSymDense(len(columns), nil)
	for i, one := range columns {
		for j, other := range columns {
			sum := 0.0
			for r := range one {
				sum += one[r] * other[r]
			}
			a.SetSym(i, j, sum)
		}
	}
	want := []float64{1, 2e9, -3e-9, 4e-3}
	b := make([]float64, 4)
	for i := range b {
		for j := range want {
			b[i] += a.At(i, j) * want[j]
		}
	}
	f, ok := Factorise(a)
	if !ok {
		t.Fatal("not factorised")
	}
	for i, x := range f.Solve(b) {
		if math.Abs(x-want[i]) > 1e-12*math.Abs(want[i]) {
			t.Errorf("x[%d] = %v, want %v", i, x, want[i])
		}
	}
	inverse := f.Inverse()
	for i := range want {
		for j := range want {
			v, expected := 0.0, 0.0
			for k := range want {
				v += a.At(i, k) * inverse.At(k, j) * scales[j] / scales[i]
			}
			if i == j {
				expected = 1
			}
			if d := v - expected; d > 1e-12 || d < -1e-12 {
				t.Errorf("a times its inverse at %d,%d: %v", i, j, v)
			}
		}
	}
}

// The determinant of a matrix in other units is the product of their squares.
func TestDeterminantAcrossScales(t *testing.T) {
	f, ok := Factorise(mat.NewSymDense(2, []float64{4e-18, 1, 1, 1e18}))
	if !ok {
		t.Fatal("not factorised")
	}
	if got := f.LogDet(); math.Abs(got-math.Log(3)) > 1e-12 {
		t.Errorf("log of the determinant %v, want that of 3", got)
	}
}

func TestWhatIsNotPositiveDefiniteIsRefused(t *testing.T) {
	for _, a := range [][]float64{{0}, {-1}, {math.Inf(1)}, {math.NaN()}, {1, 2, 2, 1}} {
		n := int(math.Sqrt(float64(len(a))))
		if _, ok := Factorise(mat.NewSymDense(n, a)); ok {
			t.Errorf("%v is factorised", a)
		}
	}
}
