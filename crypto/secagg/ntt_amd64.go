package secagg

import (
	"github.com/tuneinsight/lattigo/v5/ring"
	"golang.org/x/sys/cpu"
)

// The transforms of package ring for processors with AVX-512, eight lanes at a
// time. The ring library's are their oracle: TestVectorTransforms.
//
// An element is a signed 64-bit integer v that stands for its residue modulo
// p, with p < 2^53. A product with a constant w, |w| < p/2, is
//
//	v*w - round(float64(v) * ratio) * p,  ratio the float64 nearest to w/p
//
// computed modulo 2^64, and exact as long as the result fits. With u = 2^-53,
// the conversion of v, the division behind ratio and the multiplication are
// each off by a factor of at most 1 +- u, so the quotient by at most
// |v| * |w/p| * 3u(1+2u), and by 1/2 for rounding. With |v| <= K*p that makes
// the result at most (1/2 + 3/2*K) * p in magnitude, since p/2 * 3u < 3/2:
// always congruent, never quite reduced. It takes no branch, no comparison and
// no division, and its time does not depend on v: the floating-point numbers
// are integers below 2^63 and never subnormal.
//
// A butterfly of the forward transform turns a bound of K into 5/2*K + 1/2, one
// of the inverse into 3*K + 1/2. A 64-bit lane holds 1023*p. So, beginning
// with K = 3:
//
//	forward, n = 8192:  3, [8, 20.5, 51.8], [130, 325, 813], reduced to
//	                    0.51, [1.8, 4.9, 12.8], [32.4, 81.6, 205, 512]
//	inverse, n = 8192:  0.51, [2.1, 6.6, 20.3, 61.4], reduced to 0.51,
//	                    [2.1, 6.6, 20.3], and reduced before each further pass
//
// where brackets are passes over memory: of four layers within 16 elements, and
// of three layers elsewhere. The smaller rings begin with a pass of two layers
// or one, and stay below that.
type vectorPrime struct {
	p                uint64
	forward, inverse twiddles
}

// vectorFactor is a constant to multiply by: centred modulo p, and over p.
type vectorFactor struct {
	w     int64
	ratio float64
}

func newVectorFactor(w, p uint64) vectorFactor {
	c := int64(w)
	if w > p/2 {
		c -= int64(p)
	}
	return vectorFactor{c, float64(c) / float64(p)} // both conversions are exact
}

// twiddles are the powers of the root of unity in the order of package ring.
type twiddles struct {
	w     []int64
	ratio []float64
}

func newTwiddles(sr *ring.SubRing, roots []uint64) twiddles {
	t := twiddles{make([]int64, len(roots)), make([]float64, len(roots))}
	for i, r := range roots {
		f := newVectorFactor(ring.IMForm(r, sr.Modulus, sr.MRedConstant), sr.Modulus)
		t.w[i], t.ratio[i] = f.w, f.ratio
	}
	return t
}

func newVectorPrime(sr *ring.SubRing) *vectorPrime {
	return &vectorPrime{sr.Modulus, newTwiddles(sr, sr.RootsForward), newTwiddles(sr, sr.RootsBackward)}
}

// hasVectors says whether the processor and the operating system have what the
// assembly of this package uses.
var hasVectors = cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasBMI1

//go:noescape
func nttForward8(data, w *int64, ratio *float64, n, m int, p uint64, reduce bool)

//go:noescape
func nttForward4(data, w *int64, ratio *float64, n int, p uint64)

//go:noescape
func nttForward2(data, w *int64, ratio *float64, n int, p uint64)

//go:noescape
func nttForward16(data, w *int64, ratio *float64, n int, p uint64)

//go:noescape
func nttInverse8(data, w *int64, ratio *float64, n, m int, p uint64)

//go:noescape
func nttInverse4(data, w *int64, ratio *float64, n int, p uint64)

//go:noescape
func nttInverse2(data, w *int64, ratio *float64, n int, p uint64)

//go:noescape
func nttInverse16(data, w *int64, ratio *float64, n int, p uint64)

// transform replaces data, of magnitude up to 3*p, by its transform, of
// magnitude below 600*p.
func (v *vectorPrime) transform(data []int64) {
	n, d, w, ratio := len(data), &data[0], &v.forward.w[0], &v.forward.ratio[0]
	m := 1
	switch n {
	case 2048:
		nttForward2(d, w, ratio, n, v.p)
		m = 2
	case 4096:
		nttForward4(d, w, ratio, n, v.p)
		m = 4
	}
	for ; m < n/16; m *= 8 {
		nttForward8(d, w, ratio, n, m, v.p, 8*m == n/16)
	}
	nttForward16(d, w, ratio, n, v.p)
}

// untransform replaces data, of magnitude up to 0.51*p, by degree times its
// inverse transform, of magnitude below 200*p.
func (v *vectorPrime) untransform(data []int64) {
	n, d, w, ratio := len(data), &data[0], &v.inverse.w[0], &v.inverse.ratio[0]
	nttInverse16(d, w, ratio, n, v.p)
	m := n / 16
	for ; m >= 8; m /= 8 {
		nttInverse8(d, w, ratio, n, m/8, v.p)
	}
	switch m {
	case 2:
		nttInverse2(d, w, ratio, n, v.p)
	case 4:
		nttInverse4(d, w, ratio, n, v.p)
	}
}
