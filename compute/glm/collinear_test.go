package glm

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"gonum.org/v1/gonum/mat"
)

func gram(columns ...[]float64) *mat.SymDense {
	out := mat.NewSymDense(len(columns), nil)
	for i, a := range columns {
		for j, b := range columns {
			sum := compute.NewAccumulator(1)
			for r := range a {
				sum.Add(0, a[r]*b[r])
			}
			out.SetSym(i, j, sum.Values()[0])
		}
	}
	return out
}

func TestCollinearityNamesWhatDependsOnWhat(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	one, a, b, c, sum, constant := make([]float64, 50), make([]float64, 50), make([]float64, 50), make([]float64, 50), make([]float64, 50), make([]float64, 50)
	for i := range one {
		one[i], a[i], b[i], c[i] = 1, random.Float64(), random.Float64(), random.Float64()
		sum[i], constant[i] = 2*a[i]-b[i]+0.5, 0.25
	}
	names := []string{InterceptName, "a", "b", "c", "x"}
	if d := diagnoseCollinearity(gram(one, a, b, c), names, 50); d != nil {
		t.Errorf("independent columns: %v", d)
	}
	d := diagnoseCollinearity(gram(one, a, b, c, sum), names, 50)
	if d == nil || d.Kind != compute.Collinearity || !slices.Equal(d.Terms, []string{"x", "a", "b"}) {
		t.Errorf("x = 2a - b + 1/2: %v", d)
	}
	d = diagnoseCollinearity(gram(one, a, b, c, constant), names, 50)
	if d == nil || !slices.Equal(d.Terms, []string{"x"}) {
		t.Errorf("a constant column: %v", d)
	}
	d = diagnoseCollinearity(gram(one, a, b, c, make([]float64, 50)), names, 50)
	if d == nil || !slices.Equal(d.Terms, []string{"x"}) {
		t.Errorf("a column of zeros: %v", d)
	}
}

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
	a := gram(columns...)
	want := []float64{1, 2e9, -3e-9, 4e-3}
	b := make([]float64, 4)
	for i := range b {
		for j := range want {
			b[i] += a.At(i, j) * want[j]
		}
	}
	f, ok := cholesky.Factorise(a)
	if !ok {
		t.Fatal("not factorised")
	}
	for i, x := range f.Solve(b) {
		if relative(x, want[i]) > 1e-12 {
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
