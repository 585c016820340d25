// Package glm fits generalised linear models to records that no one sees
// together: a linear model (gaussian, identity link) from one secure sum, a
// logistic model (binomial, logit link) by Newton's method with one sum per
// step.
//
// Both are exact. The sums hold what a pooled fit would compute from all the
// records, so coefficients, standard errors and test statistics are those of
// the pooled fit; they do not depend on how patients are divided over
// hospitals. Hospitals work in coordinates centred at the means that the counts
// have opened and scaled by the study's declared ranges, where fixed point loses
// nothing; the model is reported in original units.
//
// The penalty of a ridge is lambda/2 times the sum of the squared coefficients
// of the columns in original units, without the intercept.
//
// Where there is no estimate there is a diagnosis with a name, never a number
// that looks like one: separation, collinearity, too few patients, an outcome
// that does not vary, no convergence.
//
// Formulas: McCullagh and Nelder, Generalized Linear Models, 2nd ed., chapters
// 2 and 4; for penalised standard errors, the inverse of the penalised
// information.
package glm

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// InterceptName is the name of the first term of every model.
const InterceptName = study.Intercept

// Steps.
const (
	StepGram   = "glm/gram"
	StepNewton = "glm/newton"
)

const (
	maxRows = 1 << 24 // of one site
	// Products of centred columns are small where a declared range is wide: 80
	// bits keep them to eleven digits when the spread is a millionth of it.
	fracBits = 80
)

// Design is what the coordinator's half knows of a model before it is fitted:
// the columns, and which of them have patients.
type Design struct {
	study  *study.Study
	terms  []study.Term
	centre Centre
	scale  scale
	kept   []int // indices of the terms in the fit, ascending
}

// NewDesign leaves out the terms of empty levels, given by index.
func NewDesign(s *study.Study, empty []int, centre Centre) *Design {
	d := &Design{study: s, terms: s.Terms(), centre: centre, scale: newScale(s, centre)}
	out := make(map[int]bool, len(empty))
	for _, j := range empty {
		out[j] = true
	}
	for j := range d.terms {
		if !out[j] {
			d.kept = append(d.kept, j)
		}
	}
	return d
}

func (d *Design) names() []string {
	names := make([]string, len(d.kept))
	for i, j := range d.kept {
		names[i] = d.terms[j].Name
	}
	return names
}

func (d *Design) dropped() []string {
	var names []string
	next := 0
	for j, t := range d.terms {
		if next < len(d.kept) && d.kept[next] == j {
			next++
			continue
		}
		names = append(names, t.Name)
	}
	return names
}

// keep selects the kept elements of a vector over all terms.
func (d *Design) keep(all []float64) []float64 {
	out := make([]float64, len(d.kept))
	for i, j := range d.kept {
		out[i] = all[j]
	}
	return out
}

// spread is the reverse of keep: a term left out has coefficient 0.
func (d *Design) spread(kept []float64) []float64 {
	out := make([]float64, len(d.terms))
	for i, j := range d.kept {
		out[j] = kept[i]
	}
	return out
}

// keepMatrix reads the kept rows and columns of a packed upper triangle.
func (d *Design) keepMatrix(triangle []float64) *mat.SymDense {
	p := len(d.terms)
	m := mat.NewSymDense(len(d.kept), nil)
	for a, i := range d.kept {
		for b := a; b < len(d.kept); b++ {
			m.SetSym(a, b, triangle[packed(p, i, d.kept[b])])
		}
	}
	return m
}

// penalty is the ridge on the scaled coefficients, one per kept term: with
// b = beta*outHalf/half, lambda*b^2 in original units is lambda/half^2*beta^2
// in units where the outcome is scaled too.
func (d *Design) penalty() []float64 {
	k := make([]float64, len(d.kept))
	for i, j := range d.kept {
		if d.terms[j].Feature >= 0 {
			k[i] = d.study.Model.Ridge / (d.scale.half[j] * d.scale.half[j])
		}
	}
	return k
}

// packed is the position of (i, j), i <= j, in an upper triangle by rows.
func packed(p, i, j int) int { return i*p - i*(i-1)/2 + j - i }

func triangle(p int) int { return p * (p + 1) / 2 }

// original takes scaled coefficients and their covariance to original units.
// The map is affine: b_j = outHalf*beta_j/half_j, and the intercept takes up
// what the shifts by mid leave.
func (d *Design) original(beta []float64, covariance *mat.SymDense) ([]float64, *mat.SymDense) {
	p := len(d.kept)
	t := mat.NewDense(p, p, nil)
	for i, j := range d.kept {
		t.Set(i, i, d.scale.outHalf/d.scale.half[j])
		if i > 0 {
			t.Set(0, i, -d.scale.outHalf*d.scale.mid[j]/d.scale.half[j])
		}
	}
	var b mat.VecDense
	b.MulVec(t, mat.NewVecDense(p, beta))
	estimates := mat.Col(nil, 0, &b)
	estimates[0] += d.scale.outMid

	var left, both mat.Dense
	left.Mul(t, covariance)
	both.Mul(&left, t.T())
	out := mat.NewSymDense(p, nil)
	for i := range p {
		for j := i; j < p; j++ {
			out.SetSym(i, j, both.At(i, j)/2+both.At(j, i)/2)
		}
	}
	return estimates, out
}

// checkSum makes sure that an opened sum has the fields of a layout.
func checkSum(sum compute.Sum, layout []compute.Field) error {
	for _, f := range layout {
		if len(sum.Field(f.Name)) != f.Length {
			return fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	return nil
}

func checkRows(m *study.Matrix) error {
	if m.Rows() > maxRows {
		return fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	}
	return nil
}
