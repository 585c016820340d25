package secagg

// The steps of a chunk beside its transforms, eight lanes at a time. Each has
// a plain twin that is its oracle; what the elements are and why nothing
// overflows is said at vectorPrime.

// spreadPrime is what spreadWords needs of a prime: p, and 2^53, 2^106 and
// 2^159 to multiply by.
type spreadPrime struct {
	p     uint64
	limbs [3]vectorFactor
}

// spreadWords writes, prime after prime, n elements of magnitude up to 3*p,
// congruent to 2^20 * message + noise. The shifted message is cut into limbs of
// 53 bits; the product with 2^53 <= 2^20 mod p and that with 2^106 have
// quotients below 2^40, that with 2^159 one of up to 2^52, so that one rounded
// sum of the three is off by at most 3/2.
//
//go:noescape
func spreadWords(message *uint64, words int, noise, out *int64, n int, primes *spreadPrime, count int)

// maskPack writes work + a*key, canonical, as n packed residues: a from the
// stream's 64-bit words, cut to 53 bits. It says whether one of these is not
// below p. inverse is the float64 nearest to 1/p. The key's elements are at most
// 2^52 + 2^30 in magnitude, so the product's quotient too, and with the three
// roundings behind it and its own it is off by little more than 2.
//
//go:noescape
func maskPack(work, key *int64, stream *byte, n int, p uint64, inverse float64, out *byte) (rejected uint64)

// unmask writes sums - a*key, of magnitude up to 0.51*p, for sums of up to
// 2^10 residues.
//
//go:noescape
func unmask(sums *uint64, key *int64, stream *byte, n int, p uint64, inverse float64, out *int64) (rejected uint64)

// unpackAdd adds n packed residues to sums and says whether one of them is not
// below p.
//
//go:noescape
func unpackAdd(in *byte, sums *uint64, n int, p uint64) (above uint64)

// garnerPrime is what composeWords needs of a prime: p, the inverse of the
// degree, and those of the primes before it.
type garnerPrime struct {
	p             uint64
	inverseDegree vectorFactor
	inverses      [maxPrimes - 1]vectorFactor
}

// mixture is what composeWords needs to make integers of mixed-radix digits:
// how much each prime is below 2^53, at most 2^20, and q in limbs of 53 bits.
type mixture struct {
	deficits [maxPrimes]uint64
	modulus  [maxPrimes]uint64
}

// composeWords turns n elements of each prime in turn, degree times a residue
// and of magnitude up to 200*p, into integers modulo q, and writes the words of
// what is above their noise. It says whether some noise is larger than bound in
// magnitude. There are as many words as primes, but three to four primes.
//
// Its twin is arithmetic.compose with arithmetic.centre. A product with p =
// 2^53 - d is a shift less a product with d, so that numbers in limbs of 53 bits,
// carried with their sign, need no product wider than 32 bits by 32.
//
//go:noescape
func composeWords(data *int64, n int, primes *garnerPrime, count int, mix *mixture, bound uint64, message *uint64) (overflow uint64)
