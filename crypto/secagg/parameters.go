package secagg

import "math/big"

// Parameters are the numbers of a suite that its security rests on. They are
// for those who estimate it: nothing in this package takes them as an argument.
type Parameters struct {
	Suite   string
	Degree  int      // N: the ring is Z_q[X]/(X^N + 1)
	Modulus *big.Int // q
	Sigma   float64  // standard deviation of every coefficient of a key and of an error
}

// sigma is the standard deviation that gaussianTable is computed from.
const sigma = 4.6

// Suites returns the parameters of every suite, the smallest first.
func Suites() []Parameters {
	out := make([]Parameters, len(suites))
	for i, s := range suites {
		q := big.NewInt(1)
		for _, p := range s.primes {
			q.Mul(q, new(big.Int).SetUint64(p.p))
		}
		out[i] = Parameters{Suite: s.name, Degree: s.degree, Modulus: q, Sigma: sigma}
	}
	return out
}
