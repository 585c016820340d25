package cox

import (
	"fmt"
	"math"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"gonum.org/v1/gonum/mat"
)

// collinear is the share of a column's information that must remain once the
// earlier columns have explained what they can. Below it the sums, which carry
// 16 digits, no longer determine the coefficient to useful accuracy.
const collinear = 1e-10

// constant is the information per event, in units of half a column's declared
// range, below which its spread is rounding.
const constant = 1e-17

// quadratic is b' a^-1 b.
func quadratic(f *cholesky.Factor, b []float64) float64 { return dot(b, f.Solve(b)) }

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// dependence walks the columns in order, eliminating each from those after it,
// and names those of which nothing is left together with the earlier columns
// they are a combination of; nil when all are independent.
func dependence(a *mat.SymDense, names []string, events int, stratified bool) *compute.Diagnosis {
	n := a.SymmetricDim()
	rest := mat.NewSymDense(n, nil)
	rest.CopySym(a)
	var kept []int
	var terms, sentences []string
	add := func(name string) {
		for _, known := range terms {
			if known == name {
				return
			}
		}
		terms = append(terms, name)
	}
	for j := range n {
		size := a.At(j, j)
		if size <= constant*float64(events) {
			where := "for every patient"
			if stratified {
				where = "for all patients at risk of a hospital, in every hospital that has events"
			}
			add(names[j])
			sentences = append(sentences, fmt.Sprintf("%s is the same %s", names[j], where))
			continue
		}
		if left := rest.At(j, j); left > collinear*size {
			kept = append(kept, j)
			for i := j + 1; i < n; i++ {
				for k := i; k < n; k++ {
					rest.SetSym(i, k, rest.At(i, k)-rest.At(j, i)*rest.At(j, k)/left)
				}
			}
			continue
		}
		add(names[j])
		var on []string
		for i, w := range combination(a, kept, j) {
			if math.Abs(w)*math.Sqrt(a.At(kept[i], kept[i])) > 1e-4*math.Sqrt(size) {
				on = append(on, names[kept[i]])
				add(names[kept[i]])
			}
		}
		sentences = append(sentences, fmt.Sprintf("%s is determined by %s", names[j], strings.Join(on, ", ")))
	}
	if sentences == nil {
		return nil
	}
	return &compute.Diagnosis{Kind: compute.Collinearity, Terms: terms,
		Message: strings.Join(sentences, "; ") + ": no effect of its own can be told apart; leave one of them out of the study, or use a ridge"}
}

// combination is column j as a combination of kept columns.
func combination(a *mat.SymDense, kept []int, j int) []float64 {
	if len(kept) == 0 {
		return nil
	}
	sub, b := mat.NewSymDense(len(kept), nil), make([]float64, len(kept))
	for i, k := range kept {
		b[i] = a.At(k, j)
		for l, m := range kept[i:] {
			sub.SetSym(i, i+l, a.At(k, m))
		}
	}
	f, ok := cholesky.Factorise(sub)
	if !ok {
		return b
	}
	return f.Solve(b)
}
