package secagg

import (
	"math"
	"math/big"
	"testing"
)

// What is published about a suite is what its rings compute with.
func TestParametersAreThoseInUse(t *testing.T) {
	published := Suites()
	if len(published) != len(suites) {
		t.Fatalf("%d suites are published of %d", len(published), len(suites))
	}
	for i, s := range suites {
		p := published[i]
		if p.Suite != s.name || p.Degree != s.degree {
			t.Errorf("suite %d: %+v", i, p)
		}
		a := arithmetics[s.name]()
		q := new(big.Int)
		for w := len(a.modulus) - 1; w >= 0; w-- {
			q.Add(q.Lsh(q, 64), new(big.Int).SetUint64(a.modulus[w]))
		}
		if p.Modulus.Cmp(q) != 0 {
			t.Errorf("%s: modulus %v, the ring's is %v", s.name, p.Modulus, q)
		}
	}
	// The standard deviation of the table.
	variance := 0.0
	previous := new(big.Int)
	for k := range errorBound + 1 {
		next := new(big.Int).Lsh(big.NewInt(1), 128)
		if k < errorBound {
			next = gaussianTable[k].unsigned()
		}
		p, _ := new(big.Float).SetInt(new(big.Int).Sub(next, previous)).Float64()
		variance += math.Ldexp(p, -128) * float64(k*k)
		previous = next
	}
	if got := math.Sqrt(variance); math.Abs(got-sigma) > 1e-12 {
		t.Errorf("the table's standard deviation is %.13f, published as %v", got, sigma)
	}
}
