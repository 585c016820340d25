package glm

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/compute"
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
