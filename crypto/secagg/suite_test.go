package secagg

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// The numbers of the specification, written out once more.
func TestSuitesAreFrozen(t *testing.T) {
	want := []struct {
		name                 string
		degree, chunk, share int
		payload, cap         uint // cap: log2 q for 128 bits, the stricter of both tables
		primes               []uint64
	}{
		{"rlwe2048", 2048, 13568, 4096, 32, 54, []uint64{9007199254614017}},
		{"rlwe4096", 4096, 54272, 8192, 85, 106, []uint64{9007199254429697, 9007199254364161}},
		{"rlwe8192", 8192, 217088, 16384, 191, 214, []uint64{9007199254429697, 9007199254364161, 9007199254331393, 9007199253921793}},
	}
	if len(suites) != len(want) {
		t.Fatalf("%d suites, want %d", len(suites), len(want))
	}
	for i, w := range want {
		s := suites[i]
		if s.name != w.name || s.degree != w.degree || s.payload != w.payload || s.chunkBytes() != w.chunk || s.shareBytes() != w.share {
			t.Errorf("suite %s: %d %d %d %d", s.name, s.degree, s.payload, s.chunkBytes(), s.shareBytes())
		}
		q := big.NewInt(1)
		for j, p := range s.primes {
			b := new(big.Int).SetUint64(p.p)
			if p.p != w.primes[j] || p.p >= 1<<53 || p.p <= 1<<52 || !b.ProbablyPrime(64) || p.p%(2*uint64(s.degree)) != 1 {
				t.Errorf("suite %s: %d is not the expected prime below 2^53 that is 1 mod 2N", s.name, p.p)
			}
			// A primitive 2N-th root of unity: its N-th power is -1.
			power := new(big.Int).Exp(new(big.Int).SetUint64(p.root), big.NewInt(int64(s.degree)), b)
			if power.Add(power, big.NewInt(1)).Cmp(b) != 0 {
				t.Errorf("suite %s: %#x is not a primitive 2N-th root of unity mod %d", s.name, p.root, p.p)
			}
			q.Mul(q, b)
		}
		if uint(q.BitLen()) > w.cap || uint(q.BitLen()-1)-noiseBits != s.payload {
			t.Errorf("suite %s: q has %d bits", s.name, q.BitLen())
		}
		// The sum of the contributions, noise included, stays below q.
		top := new(big.Int).Lsh(big.NewInt(1), s.payload+noiseBits)
		if top.Cmp(q) >= 0 {
			t.Errorf("suite %s: a full coefficient does not stay below q", s.name)
		}
	}
}

func TestNoiseMargin(t *testing.T) {
	if window := 2*sumBound(MaxInvited) + 1; window >= 1<<noiseBits/16 {
		t.Errorf("a random coefficient passes the noise check with probability %d / 2^%d", window, noiseBits)
	}
	if MaxInvited > 1<<(64-residueBits) {
		t.Error("residues of every invited site do not add up in 64 bits")
	}
}

func TestSelectSuiteIsFrozen(t *testing.T) {
	tests := []struct {
		name               string
		layout             Layout
		invited, committee int
		threshold          int
		want               string
		bytes              int // of the ciphertext and of the key shares that travel
	}{
		{"one count", Layout{{"n", 1, 0, 1000}}, 3, 3, 3, "rlwe2048", 13568 + 1*4096},
		{"as wide as a coefficient", Layout{{"v", 160, 0, 1<<26 - 1}}, 17, 17, 12, "rlwe2048", 13568 + 6*4096},
		{"wider by a bit", Layout{{"v", 160, 0, 1 << 26}}, 17, 17, 12, "rlwe4096", 54272 + 6*8192},
		{"regression, 17 hospitals", Layout{{"gram", 160, 40, 1 << 33}}, 17, 17, 12, "rlwe4096", 54272 + 6*8192},
		{"one value that is wide", Layout{{"n", 2000, 0, 1000}, {"v", 1, 60, 1 << 33}}, 17, 17, 12, "rlwe8192", 217088 + 6*16384},
		{"a level of a tree", Layout{{"cells", 30000, 0, 65535}}, 20, 20, 14, "rlwe4096", 3*54272 + 7*8192},
		{"a smaller one", Layout{{"cells", 12000, 0, 65535}}, 20, 20, 14, "rlwe2048", 6*13568 + 7*4096},
		{"a smaller one, where one share travels", Layout{{"cells", 12000, 0, 65535}}, 20, 20, 20, "rlwe4096", 54272 + 8192},
		{"a hundred thousand at 16 bits, small committee", Layout{{"v", 100000, 0, 32767}}, 16, 4, 3, "rlwe4096", 7*54272 + 2*8192},
		{"a million at 16 bits", Layout{{"v", 1000000, 0, 32767}}, 16, 16, 11, "rlwe8192", 14*217088 + 6*16384},
	}
	for _, tt := range tests {
		got, err := SelectSuite(tt.layout, tt.invited, tt.committee, tt.threshold)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		s, _ := suiteNamed(got)
		total := newPacking(tt.layout, tt.invited, s).chunks*s.chunkBytes() + (tt.committee-tt.threshold+1)*s.shareBytes()
		if got != tt.want || total != tt.bytes {
			t.Errorf("%s: %s with %d bytes, want %s with %d", tt.name, got, total, tt.want, tt.bytes)
		}
	}
}

// The rule itself: no other suite sends fewer bytes, and of equals the smaller
// ring is taken.
func TestSelectSuiteSendsLeast(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	chosen := map[string]int{}
	for range 2000 {
		invited := 2 + random.IntN(60)
		committee := 2 + random.IntN(invited-1)
		threshold := committee/2 + 1 + random.IntN(committee-committee/2)
		l := Layout{{Name: "v", Length: 1 + random.IntN(1<<random.IntN(21)), FracBits: random.IntN(60), Bound: 1 + 1e9*random.Float64()}}
		got, err := SelectSuite(l, invited, committee, threshold)
		if err != nil {
			t.Fatal(err)
		}
		chosen[got]++
		total := func(s *suite) int {
			return newPacking(l, invited, s).chunks*s.chunkBytes() + (committee-threshold+1)*s.shareBytes()
		}
		mine, _ := suiteNamed(got)
		for _, s := range suites {
			if !s.carries(l, invited) {
				if s == mine {
					t.Fatalf("%+v, %d invited: chose %s, whose coefficients are narrower than a value", l, invited, got)
				}
				continue
			}
			if total(s) < total(mine) || total(s) == total(mine) && s.degree < mine.degree {
				t.Fatalf("%+v, %d invited, committee %d, threshold %d: chose %s, but %s sends less", l, invited, committee, threshold, got, s.name)
			}
		}
	}
	if len(chosen) != len(suites) {
		t.Errorf("only %v were ever chosen", chosen)
	}
}

func TestComposeAndCentreAgainstBigIntegers(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, s := range suites {
		a := newArithmetic(s)
		q := big.NewInt(1)
		for _, p := range s.primes {
			q.Mul(q, new(big.Int).SetUint64(p.p))
		}
		top := new(big.Int).Lsh(big.NewInt(1), s.payload)
		for trial := range 2000 {
			message := new(big.Int).Rand(bigRandom(random), top)
			noise := random.Int64N(1<<noiseBits) - 1<<(noiseBits-1)
			switch trial {
			case 0, 1:
				message.SetInt64(0)
				noise = []int64{-1 << 19, 1<<19 - 1}[trial]
			case 2, 3:
				message.Sub(top, big.NewInt(1))
				noise = []int64{-1 << 19, 1<<19 - 1}[trial-2]
			}
			x := new(big.Int).Lsh(message, noiseBits)
			x.Add(x, big.NewInt(noise)).Mod(x, q)
			var residues [maxPrimes]uint64
			for i, p := range s.primes {
				residues[i] = new(big.Int).Mod(x, new(big.Int).SetUint64(p.p)).Uint64()
			}
			composed := a.compose(&residues)
			if bigWords(composed[:]).Cmp(x) != 0 {
				t.Fatalf("%s: compose: %x, want %x", s.name, composed, x)
			}
			m, e := a.centre(composed)
			if bigWords(m[:]).Cmp(message) != 0 || e != noise {
				t.Fatalf("%s: centre: %x %d, want %x %d", s.name, m, e, message, noise)
			}
			// And the way there.
			for i, p := range s.primes {
				want := new(big.Int).Lsh(message, noiseBits)
				want.Mod(want, new(big.Int).SetUint64(p.p))
				if got := a.reduceMessage(m[:s.messageWords()], i); got != want.Uint64() {
					t.Fatalf("%s: reduceMessage: %d, want %v", s.name, got, want)
				}
			}
		}
	}
}

// Garner's digits at the edges, where one prime's residue exceeds the next prime.
func TestComposeAtTheEdgesOfTheResidues(t *testing.T) {
	for _, s := range suites {
		a := newArithmetic(s)
		q := bigWords(a.modulus[:])
		n := len(s.primes)
		for pattern := range 1 << (2 * n) {
			var residues [maxPrimes]uint64
			want := new(big.Int)
			for i, p := range s.primes {
				residues[i] = []uint64{0, 1, p.p - 1, p.p / 2}[pattern>>(2*i)&3]
				prime := new(big.Int).SetUint64(p.p)
				others := new(big.Int).Div(q, prime)
				term := new(big.Int).ModInverse(others, prime)
				want.Add(want, term.Mul(term, others).Mul(term, new(big.Int).SetUint64(residues[i])))
			}
			composed := a.compose(&residues)
			if bigWords(composed[:]).Cmp(want.Mod(want, q)) != 0 {
				t.Fatalf("%s, residues %d: %x, want %v", s.name, residues, composed, want)
			}
		}
	}
}

func bigWords(words []uint64) *big.Int {
	z := new(big.Int)
	for i := len(words) - 1; i >= 0; i-- {
		z.Lsh(z, 64).Or(z, new(big.Int).SetUint64(words[i]))
	}
	return z
}
