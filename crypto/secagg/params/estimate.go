package main

import "math"

// instance is a Ring-LWE problem seen as plain LWE, which is all that the best
// known attacks use of it: n coordinates of a secret and any number of samples
// modulo q, secret and error Gaussian.
type instance struct {
	n             int
	logQ          float64 // natural logarithm of q
	secret, error float64 // standard deviations
}

// model is what lattice reduction costs: log2 of the number of operations of
// BKZ with block size beta in dimension d.
type model struct {
	name string
	cost func(beta, d float64) float64
}

var (
	// coreSVP counts a single call of the sieve and no polynomial factor. It is
	// a lower bound on everything and comparable with the literature on key
	// encapsulation. [ADPS16], section 6.
	coreSVP = model{"core-SVP", func(beta, d float64) float64 { return 0.292 * beta }}

	// quantumCoreSVP is the same with a quantum sieve. [ADPS16], section 6.
	quantumCoreSVP = model{"quantum", func(beta, d float64) float64 { return 0.265 * beta }}

	// sieve is the model of the HomomorphicEncryption.org standard, whose caps
	// of 54, 109 and 218 bits it gives: 8d calls of a sieve that takes
	// 2^(0.292 beta + 16.4) operations.
	sieve = model{"BDGL16", func(beta, d float64) float64 { return 0.292*beta + 16.4 + math.Log2(8*d) }}

	// matzov is the model of the 2024 Security Guidelines, whose caps of 53, 106
	// and 214 bits it gives: progressive sieving with dimensions for free
	// [Ducas18] and nearest-neighbour search by list decoding, its cost in gates
	// fitted by the lattice estimator to [MATZOV22]'s account.
	matzov = model{"MATZOV", func(beta, d float64) float64 {
		const progressive, slope, constant = 5.46, 0.29613500308205365, 20.387885985467914
		free := max(0, beta*math.Log(4.0/3)/math.Log(beta/(2*math.Pi*math.E)))
		calls := progressive * max(d-beta, 1)
		return math.Log2(calls) + math.Log2(progressive) + slope*(beta-free) + constant
	}}
)

// attack is the cheapest way found to mount an attack.
type attack struct {
	beta, d int
	bits    float64 // log2 of the number of operations
}

const leastBeta, mostBeta = 60, 4000

// logDelta is the logarithm of the root Hermite factor that BKZ reaches with
// block size beta. [Chen13], [APS15] section 3.
func logDelta(beta float64) float64 {
	return math.Log(beta/(2*math.Pi*math.E)*math.Pow(math.Pi*beta, 1/beta)) / (2 * (beta - 1))
}

// primal is the attack through a unique shortest vector in Kannan's embedding,
// the secret's part scaled to the error's [BaiGal14]. BKZ finds the vector when
// its projection on the last beta directions is shorter than what the geometric
// series assumption says is there [ADPS16], [AGVW17]:
//
//	sigma * sqrt(beta) <= delta^(2 beta - d - 1) * volume^(1/d)
//
// The smallest block size that satisfies it in some dimension d is the attack's.
func primal(in instance, m model) attack {
	for beta := leastBeta; beta < mostBeta; beta++ {
		if d := embedding(in, beta); d > 0 {
			return attack{beta, d, m.cost(float64(beta), float64(d))}
		}
	}
	return attack{bits: math.Inf(1)}
}

// embedding is the least dimension in which block size beta is enough, 0 if
// there is none.
func embedding(in instance, beta int) int {
	n, b := float64(in.n), float64(beta)
	delta := logDelta(b)
	short := math.Log(in.error) + math.Log(b)/2
	scaled := math.Log(in.error) + n*math.Log(max(1, in.error/in.secret))
	found := func(d int) bool {
		return short <= (2*b-float64(d)-1)*delta+(scaled+(float64(d)-n-1)*in.logQ)/float64(d)
	}
	least := max(in.n, beta)
	// The right-hand side has one maximum.
	most := max(least, int(math.Sqrt(((n+1)*in.logQ-scaled)/delta)))
	if !found(most) && !found(most+1) {
		return 0
	}
	for d := least; ; d++ {
		if found(d) {
			return d
		}
	}
}

// bestDimension balances the two factors of a reduced vector's length,
// delta^d * q^(n/d). [APS15], section 5.1.
func bestDimension(in instance, beta int) int {
	return int(math.Sqrt(float64(in.n) * in.logQ / logDelta(float64(beta))))
}

// dual is the attack that tells LWE samples from uniform ones by their product
// with short vectors of the dual lattice. A vector of length l has an advantage
// of 4 exp(-2 (pi l sigma / q)^2); the sieve gives 2^(0.2075 beta) of them for
// the price of one, and what the advantage still lacks is paid by repetition.
// [ADPS16], section 6.4.
func dual(in instance, m model) attack {
	best := attack{bits: math.Inf(1)}
	spread := math.Sqrt(in.secret * in.error) // secret and error on one scale
	for beta := leastBeta; m.cost(float64(beta), float64(in.n)) < best.bits && beta < mostBeta; beta++ {
		around := bestDimension(in, beta)
		for d := max(in.n, around-50); d <= around+50; d++ {
			length := float64(d-1)*logDelta(float64(beta)) + float64(in.n)/float64(d)*in.logQ
			tau := math.Exp(length + math.Log(spread) - in.logQ)
			advantage := 2 - 2*math.Pi*math.Pi*tau*tau/math.Ln2 // log2
			bits := m.cost(float64(beta), float64(d)) + max(0, -2*advantage-0.2075*float64(beta))
			if bits < best.bits {
				best = attack{beta, d, bits}
			}
		}
	}
	return best
}
