package secagg

import (
	"fmt"
	"math/big"
	"math/bits"
	"sync"

	"github.com/tuneinsight/lattigo/v5/ring"
)

const (
	noiseBits    = 20 // nu: the low bits of a coefficient, where the error terms add up
	residueBits  = 53 // of every prime, and of every residue on the wire
	maxRingWords = 4  // 64-bit words that hold an integer below any suite's q
	maxPrimes    = 4
)

// suite is a frozen, named parameter set. Changing any number of a suite
// breaks every stored transcript and every known-answer vector: a change is a
// new suite with a new name.
type suite struct {
	name    string
	degree  int     // N
	primes  []prime // q is their product
	payload uint    // floor(log2 q) - noiseBits: message bits per coefficient
}

// prime is a modulus p below 2^53 that is 1 mod 2N, and the primitive 2N-th
// root of unity that fixes the order of a transformed polynomial: element k is
// its value at root^(2*rev(k) + 1), rev reversing the log2 N bits of k.
type prime struct{ p, root uint64 }

// The primes are the largest below 2^53 that are 1 mod 2N. log2 q stays under
// the 128-bit caps of the HomomorphicEncryption.org standard (54, 109, 218)
// and of the 2024 Security Guidelines for Implementing Homomorphic Encryption
// (ePrint 2024/463; 106 at N = 4096, 214 at N = 8192). The roots are lattigo's.
var suites = []*suite{
	{name: "rlwe2048", degree: 2048, payload: 32, primes: []prime{
		{0x1ffffffffe1001, 0x16b89b6fa92c12},
	}},
	{name: "rlwe4096", degree: 4096, payload: 85, primes: []prime{
		{0x1ffffffffb4001, 0x00c6de3d6e8536},
		{0x1ffffffffa4001, 0x1eb4f20a488574},
	}},
	{name: "rlwe8192", degree: 8192, payload: 191, primes: []prime{
		{0x1ffffffffb4001, 0x001af22b8609ec},
		{0x1ffffffffa4001, 0x12a1a0843202b7},
		{0x1ffffffff9c001, 0x1dfaec97ef5461},
		{0x1ffffffff38001, 0x06f00e149d32ac},
	}},
}

func suiteNamed(name string) (*suite, error) {
	for _, s := range suites {
		if s.name == name {
			return s, nil
		}
	}
	return nil, &SpecError{"suite", fmt.Sprintf("there is none named %q", name)}
}

func (s *suite) chunkBytes() int { return len(s.primes) * s.degree * residueBits / 8 }
func (s *suite) shareBytes() int { return 2 * s.degree }

// messageWords is the number of 64-bit words that hold the message bits of a
// coefficient, and whatever a wrong key makes of them.
func (s *suite) messageWords() int { return (int(s.payload) + 1 + 63) / 64 }

// SelectSuite names the suite that a plan must use: of those whose coefficients
// are as wide as the layout's slots, the one with the least bytes of ciphertext and
// key shares in a contribution, chunks * chunk bytes + (committee - threshold + 1)
// * 2N, as threshold - 1 of the shares are agreed on and not sent; of equals, the
// one with the smaller ring. The widest slot that a layout may have fits the
// largest. The rule is frozen. Sites recompute it and refuse a plan that chose
// otherwise.
func SelectSuite(l Layout, invited, committee, threshold int) (string, error) {
	if err := l.Validate(invited); err != nil {
		return "", err
	}
	if committee < 2 || committee > invited {
		return "", &SpecError{"committee", fmt.Sprintf("%d members of %d invited sites; needs at least 2 and at most all", committee, invited)}
	}
	// With 2t <= m two halves of the committee could open two different sets,
	// and the difference of two sums can be one site's vector.
	if threshold > committee || 2*threshold <= committee {
		return "", &SpecError{"threshold", fmt.Sprintf("%d of a committee of %d; needs more than half and at most all", threshold, committee)}
	}
	sent := committee - threshold + 1
	best, least := "", 0
	for _, s := range suites {
		if !s.carries(l, invited) {
			continue
		}
		if total := chunksOf(l, invited, s)*s.chunkBytes() + sent*s.shareBytes(); best == "" || total < least {
			best, least = s.name, total
		}
	}
	return best, nil
}

// arithmetic is a suite's ring with its precomputed constants. It is read-only
// once made: unlike lattigo's samplers and encoders, its SubRing holds no
// scratch space, so rounds share it across goroutines.
type arithmetic struct {
	*suite
	rings []*ring.SubRing // one for each prime

	// Memory of sealers and keys that are done with, for the next ones: fresh
	// memory costs more than what is done in it. Nothing secret is left there.
	sealers, laneKeys sync.Pool

	// 2^(64w + noiseBits) mod prime i in Montgomery form: reduces a shifted
	// message of several words.
	wordFactor [maxPrimes][3]uint64

	// garner[i][j] is the inverse of prime j modulo prime i, j < i, in
	// Montgomery form.
	garner [maxPrimes][maxPrimes]uint64

	modulus [maxRingWords]uint64 // q
}

var arithmetics = func() map[string]func() *arithmetic {
	m := make(map[string]func() *arithmetic, len(suites))
	for _, s := range suites {
		m[s.name] = sync.OnceValue(func() *arithmetic { return newArithmetic(s) })
	}
	return m
}()

func newArithmetic(s *suite) *arithmetic {
	moduli := make([]uint64, len(s.primes))
	for i, p := range s.primes {
		moduli[i] = p.p
	}
	r, err := ring.NewRing(s.degree, moduli)
	if err != nil {
		panic("secagg: suite " + s.name + ": " + err.Error()) // the constants above are wrong
	}
	a := &arithmetic{suite: s, rings: r.SubRings}
	q := big.NewInt(1)
	for i, sr := range a.rings {
		// The order of a ciphertext's elements must survive a new lattigo.
		if root := ring.IMForm(sr.RootsForward[s.degree/2], sr.Modulus, sr.MRedConstant); root != s.primes[i].root {
			panic("secagg: suite " + s.name + ": the ring library transforms with another root of unity")
		}
		p := new(big.Int).SetUint64(sr.Modulus)
		q.Mul(q, p)
		for w := range a.wordFactor[i] {
			f := new(big.Int).Lsh(big.NewInt(1), uint(64*w+noiseBits))
			a.wordFactor[i][w] = ring.MForm(f.Mod(f, p).Uint64(), sr.Modulus, sr.BRedConstant)
		}
		for j := range i {
			inv := new(big.Int).ModInverse(new(big.Int).SetUint64(s.primes[j].p), p)
			a.garner[i][j] = ring.MForm(inv.Uint64(), sr.Modulus, sr.BRedConstant)
		}
	}
	for w := range a.modulus {
		a.modulus[w] = new(big.Int).Rsh(q, uint(64*w)).Uint64() // Uint64 keeps the low 64 bits
	}
	return a
}

// compose turns the residues of one coefficient into the integer in [0, q)
// that has them, by Garner's mixed-radix form of the Chinese remainder theorem
// (Knuth, The Art of Computer Programming 2, 4.3.2, equation 24).
func (a *arithmetic) compose(residues *[maxPrimes]uint64) [maxRingWords]uint64 {
	var digits [maxPrimes]uint64
	n := len(a.primes)
	for i := range n {
		p, mont := a.primes[i].p, a.rings[i].MRedConstant
		v := residues[i]
		for j := range i {
			d := digits[j]
			if d >= p { // all primes lie between 2^52 and 2^53
				d -= p
			}
			v += p - d
			v = ring.MRed(v, a.garner[i][j], p, mont)
		}
		digits[i] = v
	}
	var x [maxRingWords]uint64
	x[0] = digits[n-1]
	for i := n - 2; i >= 0; i-- {
		carry := digits[i]
		for w := range x {
			hi, lo := bits.Mul64(x[w], a.primes[i].p)
			var c uint64
			x[w], c = bits.Add64(lo, carry, 0)
			carry = hi + c
		}
	}
	return x
}

// centre splits x = 2^nu * message + noise in [0, q), taken modulo q, into the
// message and the noise in [-2^(nu-1), 2^(nu-1)).
func (a *arithmetic) centre(x [maxRingWords]uint64) (message [3]uint64, noise int64) {
	const half = 1 << (noiseBits - 1)
	var carry uint64
	x[0], carry = bits.Add64(x[0], half, 0)
	for w := 1; w < maxRingWords; w++ {
		x[w], carry = bits.Add64(x[w], 0, carry)
	}
	var y [maxRingWords]uint64
	var borrow uint64
	for w := range y {
		y[w], borrow = bits.Sub64(x[w], a.modulus[w], borrow)
	}
	if borrow == 0 {
		x = y
	}
	noise = int64(x[0]&(1<<noiseBits-1)) - half
	for w := range message {
		message[w] = x[w]>>noiseBits | x[w+1]<<(64-noiseBits)
	}
	return message, noise
}

// reduceMessage returns 2^nu * message mod prime i.
func (a *arithmetic) reduceMessage(message []uint64, i int) uint64 {
	p, mont := a.primes[i].p, a.rings[i].MRedConstant
	var r uint64
	for w, m := range message {
		r += ring.MRed(m, a.wordFactor[i][w], p, mont)
	}
	return ring.BRedAdd(r, p, a.rings[i].BRedConstant)
}
