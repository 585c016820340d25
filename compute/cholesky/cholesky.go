// Package cholesky factorises the information matrices of the models that are
// fitted by their normal equations. It promises the same answer whatever units
// the columns are in. Whether columns depend on each other is for its caller to
// find out and to name; it only refuses what is not positive definite.
package cholesky

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// Factor is the Cholesky factor of a symmetric positive-definite matrix after
// equilibration: rows and columns are divided by the root of the diagonal, so
// that a column measured in large units does not drown one in small units.
type Factor struct {
	cholesky mat.Cholesky
	scale    []float64 // one over the root of the diagonal
}

// Factorise returns false where the matrix is not positive definite.
func Factorise(a *mat.SymDense) (*Factor, bool) {
	n := a.SymmetricDim()
	f := &Factor{scale: make([]float64, n)}
	for i := range n {
		d := a.At(i, i)
		if !(d > 0) || math.IsInf(d, 0) {
			return nil, false
		}
		f.scale[i] = 1 / math.Sqrt(d)
	}
	e := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			e.SetSym(i, j, a.At(i, j)*f.scale[i]*f.scale[j])
		}
	}
	return f, f.cholesky.Factorize(e)
}

// Solve returns x with a x = b.
func (f *Factor) Solve(b []float64) []float64 {
	scaled := make([]float64, len(b))
	for i, v := range b {
		scaled[i] = v * f.scale[i]
	}
	var x mat.VecDense
	// The error is a warning about the condition number; dependent columns
	// were refused before.
	_ = f.cholesky.SolveVecTo(&x, mat.NewVecDense(len(b), scaled))
	out := make([]float64, len(b))
	for i := range out {
		out[i] = x.AtVec(i) * f.scale[i]
	}
	return out
}

// Inverse is that of the matrix.
func (f *Factor) Inverse() *mat.SymDense {
	var inv mat.SymDense
	_ = f.cholesky.InverseTo(&inv)
	n := inv.SymmetricDim()
	for i := range n {
		for j := i; j < n; j++ {
			inv.SetSym(i, j, inv.At(i, j)*f.scale[i]*f.scale[j])
		}
	}
	return &inv
}

// LogDet is the logarithm of the matrix's determinant.
func (f *Factor) LogDet() float64 {
	sum := f.cholesky.LogDet()
	for _, s := range f.scale {
		sum -= 2 * math.Log(s)
	}
	return sum
}
