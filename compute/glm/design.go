// Package glm fits generalised linear models to records that no one sees
// together. The families are gaussian (identity link), binomial (logit),
// Poisson, gamma and negative binomial (log), with prior weights, an offset and
// a ridge.
//
// All are exact. The sums hold what a pooled fit would compute from all the
// records, so coefficients, standard errors and test statistics are those of
// the pooled fit; they do not depend on how patients are divided over
// hospitals. A linear model takes one sum of cross products; the others are
// fitted by Newton's method, one sum a step, with the expected information of
// iteratively reweighted least squares. Hospitals work in coordinates centred at
// means that were opened before and scaled by the study's declared ranges, where
// fixed point loses nothing; the model is reported in original units.
//
// What differs between hospitals has three treatments. A fixed effect is an
// intercept that a hospital fits for itself and keeps: it sends the slope and
// the curvature of its likelihood once its intercept has been profiled out. A
// random effect is a normal intercept: a hospital sends the marginal likelihood
// of its patients together, and its derivatives. Robust standard errors take each
// hospital as a cluster: it sends the outer product of the total of its scores.
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
// information; Venables and Ripley, Modern Applied Statistics with S, 4th ed.,
// section 7.4, for the negative binomial; Pinheiro and Bates, Mixed-Effects Models
// in S and S-PLUS, chapters 2 and 7, for random intercepts; Zeileis, Köll and
// Graham, J. Stat. Softw. 95(1), 2020, for clustered standard errors.
package glm

import (
	"fmt"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// InterceptName is the name of the first term of every model.
const InterceptName = study.Intercept

const (
	maxRows = 1 << 24 // of one site
	// Products of centred columns are small where a declared range is wide: 80
	// bits keep them to eleven digits when the spread is a millionth of it.
	fracBits = 80
	// slotBits are what a number may take of a slot's 127 bits, integer and
	// fraction: the rest is for the sign and the number of sites.
	slotBits = 112
)

// design is what the coordinator's half knows of a model before it is fitted:
// the columns, and which of them have patients.
type design struct {
	study  *study.Study
	terms  []study.Term
	centre Centre
	scale  scale
	kept   []int // indices of the terms in the fit, ascending; the first is the intercept's
	free   []int // those that are estimated together: kept, or without the intercept where every site has its own
}

// newDesign leaves out the terms of empty levels, given by index.
func newDesign(s *study.Study, empty []int, centre Centre) *design {
	d := &design{study: s, terms: s.Terms(), centre: centre, scale: newScale(s, centre)}
	out := make(map[int]bool, len(empty))
	for _, j := range empty {
		out[j] = true
	}
	for j := range d.terms {
		if !out[j] {
			d.kept = append(d.kept, j)
		}
	}
	d.free = d.kept
	if d.ownIntercepts() {
		d.free = d.kept[1:]
	}
	return d
}

// ownIntercepts says that every site has its own intercept, and keeps it.
func (d *design) ownIntercepts() bool { return d.study.Model.SiteEffects == study.FixedSiteEffects }

func (d *design) names() []string { return d.namesOf(d.free) }

func (d *design) namesOf(indices []int) []string {
	names := make([]string, len(indices))
	for i, j := range indices {
		names[i] = d.terms[j].Name
	}
	return names
}

func (d *design) dropped() []string {
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

// pick selects the free elements of a vector over all terms.
func (d *design) pick(all []float64) []float64 {
	out := make([]float64, len(d.free))
	for i, j := range d.free {
		out[i] = all[j]
	}
	return out
}

// spread is the reverse of pick: a term left out has coefficient 0. Minus zero
// has no second spelling.
func (d *design) spread(free []float64) []float64 {
	out := make([]float64, len(d.terms))
	for i, j := range d.free {
		out[j] = free[i] + 0
	}
	return out
}

// pickMatrix reads the free rows and columns of a packed upper triangle.
func (d *design) pickMatrix(triangle []float64) *mat.SymDense {
	p := len(d.terms)
	m := mat.NewSymDense(max(1, len(d.free)), nil)
	for a, i := range d.free {
		for b := a; b < len(d.free); b++ {
			m.SetSym(a, b, triangle[packed(p, i, d.free[b])])
		}
	}
	return m
}

// penalty is the ridge on the scaled coefficients, one per free term: with
// b = beta*outHalf/half, lambda*b^2 in original units is lambda/half^2*beta^2
// in units where the outcome is scaled too.
func (d *design) penalty() []float64 {
	k := make([]float64, len(d.free))
	for i, j := range d.free {
		if j > 0 {
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
func (d *design) original(beta []float64, covariance *mat.SymDense) ([]float64, *mat.SymDense) {
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

// average is what the sites tell of the intercepts that they keep: the mean
// over patients, its variance were the slopes known, and how it moves with each
// slope. All scaled.
type average struct {
	intercept, variance float64
	slopes              []float64 // over the free terms
}

// withAverage puts the average intercept before the slopes.
func (d *design) withAverage(beta []float64, covariance *mat.SymDense, a average) ([]float64, *mat.SymDense) {
	p := len(beta)
	out := mat.NewSymDense(p+1, nil)
	variance := a.variance
	for i := range p {
		with := 0.0
		for k := range p {
			out.SetSym(i+1, k+1, covariance.At(i, k))
			with += a.slopes[k] * covariance.At(i, k)
		}
		out.SetSym(0, i+1, with)
		variance += a.slopes[i] * with
	}
	out.SetSym(0, 0, variance)
	return append([]float64{a.intercept}, beta...), out
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
