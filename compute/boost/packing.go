package boost

import "math"

// packing is how the sums of a cell share words, numbers of the secure sum that
// are exact below 2^52: the gradient highest, then the hessian, then the count.
// A slot of the secure sum has room for a sign and for as many contributions as
// there are sites, and one for all costs less of that than three. A gradient
// above others stays readable because what is below it is never negative and
// never reaches it: no hessian is negative, and a node has no more patients than
// the question says. The constant hessian of the squared loss is not sent.
type packing struct {
	bounds   []float64 // of the words of one site, in magnitude
	constant bool
	hessian  uint // bits
	count    uint
}

// packing of the node with so many patients over all sites.
func (q *treeQuestion) packing(patients int) packing {
	const exact = 1 << exactBits
	p := packing{constant: q.loss.constant(), count: uint(bitLength(patients))}
	gradient := q.gradientBound(patients)
	low := float64(patients)
	hessian := 0.0
	if !p.constant {
		hessian = q.loss.bound(q.loss.hessian, q.Scale.Hessian, patients, q.Events)
		_, bits := math.Frexp(hessian)
		p.hessian = uint(max(bits, 0))
		low += math.Ldexp(hessian, int(p.count))
	}
	if all := math.Ldexp(gradient, int(p.hessian+p.count)) + low; all <= exact {
		p.bounds = []float64{all}
	} else if p.constant || low <= exact {
		p.bounds = []float64{gradient, low}
	} else {
		p.bounds = []float64{gradient, hessian, float64(patients)}
	}
	return p
}

// gradientBound of the records of a node with so many patients. Gradients of the
// squared loss are the residuals, and what n of them add up to is at most the
// root of n times the sum of their squares (Cauchy and Schwarz): where that sum
// is known, it is much less than the outcome's range for each.
func (q *treeQuestion) gradientBound(patients int) float64 {
	widest := q.loss.bound(q.loss.gradient, q.Scale.Gradient, patients, q.Events)
	if q.Loss == 0 {
		return widest
	}
	squares := math.Ldexp(float64(q.Loss)+float64(q.Patients), -q.Scale.Loss) // and the rounding of each
	root := math.Sqrt(float64(patients)*squares) * (1 + 1e-9)
	return min(widest, math.Ceil(math.Ldexp(root, q.Scale.Gradient))+float64(patients))
}

// put writes a cell's words.
func (p *packing) put(x cell, words []int64) {
	if p.constant {
		x.hessian = 0
	}
	switch len(p.bounds) {
	case 1:
		words[0] = (x.gradient<<p.hessian+x.hessian)<<p.count + x.count
	case 2:
		words[0], words[1] = x.gradient, x.hessian<<p.count+x.count
	default:
		words[0], words[1], words[2] = x.gradient, x.hessian, x.count
	}
}

// get is put's inverse, of sums.
func (p *packing) get(words []int64) (x cell) {
	switch len(p.bounds) {
	case 1:
		high := words[0] >> p.count
		x = cell{high >> p.hessian, high & (1<<p.hessian - 1), words[0] & (1<<p.count - 1)}
	case 2:
		x = cell{words[0], words[1] >> p.count, words[1] & (1<<p.count - 1)}
	default:
		x = cell{words[0], words[1], words[2]}
	}
	if p.constant {
		x.hessian = x.count
	}
	return x
}
