package secagg

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/tuneinsight/lattigo/v5/ring"
)

// needVectors skips on processors that never run what the test is about.
func needVectors(t testing.TB) {
	t.Helper()
	alone(t)
	if !hasVectors {
		t.Skip("this processor has no AVX-512")
	}
}

// canonical is v mod p, by division.
func canonical(v int64, p uint64) uint64 {
	if v %= int64(p); v < 0 {
		v += int64(p)
	}
	return uint64(v)
}

// lazy are representatives of residues: random ones and the extremes of +-limit*p.
func lazy(random *rand.Rand, n int, limit float64, p uint64) []int64 {
	bound := int64(limit * float64(p))
	out := make([]int64, n)
	for i := range out {
		switch random.IntN(4) {
		case 0:
			out[i] = bound - random.Int64N(3)
		case 1:
			out[i] = -bound + random.Int64N(3)
		default:
			out[i] = int64(random.Uint64N(2*uint64(bound))) - bound
		}
	}
	return out
}

func TestVectorTransforms(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(3, 4))
	for _, s := range suites {
		a := arithmetics[s.name]()
		for i, sr := range a.rings {
			v := newVectorPrime(sr)
			for range 20 {
				check := func(what string, limit float64, in []int64, fast func([]int64), slow func(in, out []uint64)) {
					want := make([]uint64, s.degree)
					for k, x := range in {
						want[k] = canonical(x, v.p)
					}
					slow(want, want)
					fast(in)
					for k, x := range in {
						if got := canonical(x, v.p); got != want[k] {
							t.Fatalf("%s, prime %d, %s, element %d: %d, want %d", s.name, i, what, k, got, want[k])
						}
						if float64(x) > limit*float64(v.p) || float64(x) < -limit*float64(v.p) {
							t.Fatalf("%s, prime %d, %s, element %d: %d is beyond %g*p", s.name, i, what, k, x, limit)
						}
					}
				}
				check("forward", 600, lazy(random, s.degree, 3, v.p), v.transform, sr.NTT)
				check("inverse", 200, lazy(random, s.degree, 0.5, v.p), v.untransform, func(in, out []uint64) {
					sr.INTT(in, out)
					sr.MulScalarMontgomery(out, ring.MForm(uint64(s.degree), sr.Modulus, sr.BRedConstant), out)
				})
			}
		}
	}
}

// The one reduction within the forward transform is there for elements of up to
// 813*p, which random inputs do not reach.
func TestVectorTransformReduces(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(5, 6))
	for _, s := range suites {
		for i, sr := range arithmetics[s.name]().rings {
			v := newVectorPrime(sr)
			m := s.degree / 128
			data := lazy(random, s.degree, 813, v.p)
			small := make([]int64, s.degree)
			for k, x := range data {
				small[k] = int64(canonical(x, v.p))
			}
			nttForward8(&data[0], &v.forward.w[0], &v.forward.ratio[0], s.degree, m, v.p, true)
			nttForward8(&small[0], &v.forward.w[0], &v.forward.ratio[0], s.degree, m, v.p, false)
			for k := range data {
				if canonical(data[k], v.p) != canonical(small[k], v.p) {
					t.Fatalf("%s, prime %d, element %d", s.name, i, k)
				}
			}
		}
	}
}

// The bounds in the comment of vectorPrime, in exact arithmetic.
func TestVectorTransformBounds(t *testing.T) {
	for _, s := range suites {
		for i, p := range s.primes {
			limit := new(big.Int).Div(big.NewInt(1<<63-1), new(big.Int).SetUint64(p.p)).Int64()
			grow := func(k float64, layers int, factor float64) float64 {
				for range layers {
					if k = factor*k + 0.5; k > float64(limit) {
						t.Errorf("%s, prime %d: an element of %g*p overflows", s.name, i, k)
					}
				}
				return k
			}
			layers := 0
			for 1<<layers < s.degree {
				layers++
			}
			const reduced = 0.51
			grow(3, layers-7, 2.5) // all but the last pass of three and the last four
			grow(reduced, 7, 2.5)
			grow(reduced, 4, 3)
			if k := grow(reduced, 5, 3); k > 200 {
				t.Errorf("the inverse transform leaves %g*p", k)
			}
		}
	}
}

func BenchmarkVectorTransform(b *testing.B) {
	needVectors(b)
	for _, s := range suites {
		a := arithmetics[s.name]()
		v := newVectorPrime(a.rings[0])
		b.Run(s.name+"/forward", func(b *testing.B) {
			data := make([]int64, s.degree)
			for b.Loop() {
				clear(data)
				v.transform(data)
			}
		})
		b.Run(s.name+"/forward/ring", func(b *testing.B) {
			data := make([]uint64, s.degree)
			for b.Loop() {
				a.rings[0].NTT(data, data)
			}
		})
		b.Run(s.name+"/inverse", func(b *testing.B) {
			data := make([]int64, s.degree)
			for b.Loop() {
				clear(data)
				v.untransform(data)
			}
		})
		b.Run(s.name+"/inverse/ring", func(b *testing.B) {
			data := make([]uint64, s.degree)
			for b.Loop() {
				a.rings[0].INTT(data, data)
			}
		})
	}
}
