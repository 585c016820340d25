package boost

import "math"

// packing is how a site adds up a cell's sums in as few words as hold them: the
// gradient highest, then the hessian, then the count. A gradient above others stays
// readable because what is below it is never negative and never leaves its bits.
// The constant hessian of the squared loss is not there.
type packing struct {
	constant       bool
	count, hessian uint // bits
	words          int  // one to three
}

// pack finds the fewest words of at most most bits for sums of so many bits.
func pack(constant bool, gradient, hessian, count, most uint) packing {
	p := packing{constant: constant, count: count, hessian: hessian}
	if constant {
		p.hessian = 0
	}
	low := p.hessian + p.count
	switch {
	case gradient+low <= most:
		p.words = 1
	case low <= most:
		p.words = 2
	default:
		p.words = 3
	}
	return p
}

// widths of the cells of a lot of the i-th node that is asked. Where nothing is
// known of the node there is room for twice the patients.
func (q *treeQuestion) widths(i int, l *lot) widths {
	patients := min(1<<min(l.count, 40)-1, q.Counts[i])
	w := widths{1 + max(widthOf(q.gradientBound(i, patients)), 1), l.hessian, l.count}
	if q.loose() {
		w.gradient++
	}
	if q.loss.constant() {
		w.hessian = 0
	}
	return w
}

// widthOf is the number of bits of a whole number up to the bound.
func widthOf(bound float64) uint {
	_, bits := math.Frexp(bound)
	return uint(max(bits, 0))
}

// gradientBound of so many records of the i-th node that is asked. What n of
// them add up to is at most the root of n times the sum of their squares (Cauchy
// and Schwarz): where that sum is known, it is much less than the widest
// gradient for each.
func (q *treeQuestion) gradientBound(i, patients int) float64 {
	widest := q.loss.bound(q.loss.gradient, q.Scale.Gradient, patients, q.Events)
	if q.loose() {
		return widest
	}
	squares := math.Ldexp(float64(q.Squares[i]), q.Scale.Squares)
	return min(widest, math.Ceil(math.Sqrt(float64(patients)*squares)*(1+1e-9)))
}

// put writes a cell's words.
func (p *packing) put(x cell, words []int64) {
	if p.constant {
		x.hessian = 0
	}
	switch p.words {
	case 1:
		words[0] = (x.gradient<<p.hessian+x.hessian)<<p.count + x.count
	case 2:
		words[0], words[1] = x.gradient, x.hessian<<p.count+x.count
	default:
		words[0], words[1], words[2] = x.gradient, x.hessian, x.count
	}
}

// counts, hessians and gradients are what sums of words hold, which have as many.
func (p *packing) counts(words [3][]int64, out []int64) {
	mask := int64(1)<<p.count - 1
	for i, x := range words[p.words-1] {
		out[i] = x & mask
	}
}

func (p *packing) hessians(words [3][]int64, out []int64) {
	if p.words == 3 {
		copy(out, words[1])
		return
	}
	mask, shift := int64(1)<<p.hessian-1, p.count&63
	for i, x := range words[p.words-1] {
		out[i] = x >> shift & mask
	}
}

func (p *packing) gradients(words [3][]int64, out []int64) {
	shift := uint(0)
	if p.words == 1 {
		shift = (p.count + p.hessian) & 63
	}
	for i, x := range words[0] {
		out[i] = x >> shift
	}
}
