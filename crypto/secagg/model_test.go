package secagg

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// model opens a round from the bytes on the wire alone, the slow way: whole
// numbers of any size, polynomials multiplied and evaluated term by term,
// Shamir's scheme from the textbook, slots as the comment of packing
// words them. It shares no code with the package but the
// suites' constants.
type model struct {
	suite    *suite
	id       [32]byte
	layout   Layout
	invited  int
	shamir   *big.Int
	moduli   []*big.Int
	modulus  *big.Int // q
	elements int      // of the ring
}

func newModel(r *Round) *model {
	m := &model{
		suite: r.suite, id: r.spec.ID, layout: r.spec.Layout, invited: r.spec.Invited,
		shamir: big.NewInt(65521), modulus: big.NewInt(1), elements: r.degree,
	}
	for _, p := range r.suite.primes {
		m.moduli = append(m.moduli, new(big.Int).SetUint64(p.p))
		m.modulus.Mul(m.modulus, m.moduli[len(m.moduli)-1])
	}
	return m
}

// residues cuts a chunk into each prime's 53-bit integers.
func (m *model) residues(chunk []byte) [][]*big.Int {
	var out [][]*big.Int
	size := m.elements * 53 / 8
	mask := new(big.Int).SetUint64(1<<53 - 1)
	for i := range m.moduli {
		part := slices.Clone(chunk[i*size : (i+1)*size])
		slices.Reverse(part) // little-endian
		whole := new(big.Int).SetBytes(part)
		var rs []*big.Int
		for k := range m.elements {
			r := new(big.Int).Rsh(whole, uint(53*k))
			rs = append(rs, r.And(r, mask))
		}
		out = append(out, rs)
	}
	return out
}

// public is the ring element a of a chunk, transformed, for one prime.
func (m *model) public(chunk, prime int) []*big.Int {
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	info := binary.BigEndian.AppendUint32([]byte("consilium secure sum, public element a"), uint32(chunk))
	info = binary.BigEndian.AppendUint32(info, uint32(prime))
	block, err := aes.NewCipher(mac(mac(make([]byte, 32), m.id[:]), info, []byte{1})[:16])
	if err != nil {
		panic(err)
	}
	var stream []byte
	for counter := uint64(0); ; counter++ {
		var b [16]byte
		binary.BigEndian.PutUint64(b[8:], counter)
		block.Encrypt(b[:], b[:])
		stream = append(stream, b[:]...)
		if len(stream) > 8*m.elements+1024 {
			break
		}
	}
	var out []*big.Int
	for len(out) < m.elements {
		v := new(big.Int).SetUint64(binary.LittleEndian.Uint64(stream) & (1<<53 - 1))
		stream = stream[8:]
		if v.Cmp(m.moduli[prime]) < 0 {
			out = append(out, v)
		}
	}
	return out
}

// point is where element k of a transformed polynomial is its value.
func (m *model) point(prime, k int) *big.Int {
	reversed := bits.Reverse64(uint64(k)) >> (64 - bits.Len(uint(m.elements-1)))
	root := new(big.Int).SetUint64(m.suite.primes[prime].root)
	return root.Exp(root, new(big.Int).SetUint64(2*reversed+1), m.moduli[prime])
}

// value evaluates a polynomial with small coefficients, term by term (Horner).
// This is the model's one inner loop, N^2 times for each prime, so it divides
// machine words.
func (m *model) value(polynomial []int64, prime int, at *big.Int) *big.Int {
	p, x, sum := m.moduli[prime].Uint64(), at.Uint64(), uint64(0)
	for _, c := range slices.Backward(polynomial) {
		hi, lo := bits.Mul64(sum, x)
		lo, carry := bits.Add64(lo, uint64(c+int64(p)), 0)
		sum = bits.Rem64(hi+carry, lo, p)
	}
	return new(big.Int).SetUint64(sum)
}

// key interpolates the summed key from the plain shares of members.
func (m *model) key(shares [][][]byte, members []int) []int64 {
	out := make([]int64, m.elements)
	half := new(big.Int).Rsh(m.shamir, 1)
	for k := range out {
		secret := new(big.Int)
		for _, j := range members {
			y := new(big.Int)
			for _, contribution := range shares {
				y.Add(y, big.NewInt(int64(contribution[j][2*k])+256*int64(contribution[j][2*k+1])))
			}
			for _, o := range members {
				if o != j {
					under := new(big.Int).ModInverse(big.NewInt(int64(o-j)), m.shamir)
					y.Mul(y, big.NewInt(int64(o+1))).Mul(y, under).Mod(y, m.shamir)
				}
			}
			secret.Add(secret, y)
		}
		secret.Mod(secret, m.shamir)
		if secret.Cmp(half) > 0 {
			secret.Sub(secret, m.shamir)
		}
		out[k] = secret.Int64()
	}
	return out
}

// coefficient undoes the transform for one coefficient: the mean of the values
// times the inverse powers of their points.
func (m *model) coefficient(transformed, points []*big.Int, prime, k int) *big.Int {
	sum, term := new(big.Int), new(big.Int)
	p := m.moduli[prime]
	for i, v := range transformed {
		// -point^(N-k) is point^-k, since point^N is -1.
		term.Exp(points[i], big.NewInt(int64(m.elements-k)), p)
		sum.Sub(sum, term.Mul(term, v))
	}
	sum.Mul(sum, new(big.Int).ModInverse(big.NewInt(int64(m.elements)), p))
	return sum.Mod(sum, p)
}

// open returns the sums and the largest noise of a single chunk.
func (m *model) open(contributions []*Contribution, members []int) (sums []*big.Int, noise *big.Int) {
	var shares [][][]byte
	total := make([][]*big.Int, len(m.moduli))
	for i := range total {
		for range m.elements {
			total[i] = append(total[i], new(big.Int))
		}
	}
	for _, c := range contributions {
		shares = append(shares, c.Shares)
		for i, rs := range m.residues(c.Chunks[0]) {
			for k, r := range rs {
				total[i][k].Add(total[i][k], r)
			}
		}
	}
	key := m.key(shares, members)
	points := make([][]*big.Int, len(m.moduli))
	for i, p := range m.moduli {
		a := m.public(0, i)
		for k := range m.elements {
			at := m.point(i, k)
			points[i] = append(points[i], at)
			masked := m.value(key, i, at)
			masked.Mul(masked, a[k])
			total[i][k].Sub(total[i][k], masked).Mod(total[i][k], p)
		}
	}

	noise = new(big.Int)
	payload := func(k int) *big.Int { // the summed message of a coefficient
		x := new(big.Int)
		for i, p := range m.moduli { // Chinese remainder theorem
			others := new(big.Int).Div(m.modulus, p)
			term := new(big.Int).ModInverse(new(big.Int).Mod(others, p), p)
			term.Mul(term, m.coefficient(total[i], points[i], i, k)).Mul(term, others)
			x.Add(x, term)
		}
		x.Mod(x, m.modulus)
		message := new(big.Int).Add(x, big.NewInt(1<<19))
		if message.Cmp(m.modulus) >= 0 {
			message.Sub(message, m.modulus)
			x.Sub(x, m.modulus)
		}
		message.Rsh(message, 20)
		e := new(big.Int).Sub(x, new(big.Int).Lsh(message, 20))
		if e.CmpAbs(noise) > 0 {
			noise.Abs(e)
		}
		return message
	}

	spare := bits.Len(uint(m.invited - 1)) // ceil(log2 n)
	k := 0
	for _, f := range m.layout {
		bound := nearestInteger(f.Bound, f.FracBits)
		width := bound.BitLen() + 1 + spare
		offset := new(big.Int).Mul(bound, big.NewInt(int64(len(contributions))))
		fits := int(m.suite.payload) / width
		for done := 0; done < f.Length; done += fits {
			rest := payload(k)
			k++
			for range min(fits, f.Length-done) {
				slot := new(big.Int).Mod(rest, new(big.Int).Lsh(big.NewInt(1), uint(width)))
				rest.Rsh(rest, uint(width))
				sums = append(sums, slot.Sub(slot, offset))
			}
		}
	}
	return sums, noise
}

func TestModelOpensTheSameSum(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			if testing.Short() && s.degree > 2048 {
				t.Skip("the model takes seconds for a large ring")
			}
			random := rand.New(rand.NewPCG(1, uint64(s.degree)))
			l := Layout{widthField(3, 5), widthField(20, 9), widthField(64, 2), widthField(110, 1)}
			l = carried(s, l, 4)
			f := seal(t, suiteRound(t, s.name, l, 4, 4), randomValues(random, l, 4))
			contributors := []int{0, 1, 3}
			sum, err := f.open(t, contributors, all(4))
			if err != nil {
				t.Fatal(err)
			}
			got, noise := newModel(f.Round).open([]*Contribution{f.contributions[0], f.contributions[1], f.contributions[3]}, []int{3, 0, 2})
			want := exactSum(l, f.values, contributors)
			for i := range want {
				if got[i].Cmp(want[i]) != 0 || sum.Integer(i).Cmp(want[i]) != 0 {
					t.Errorf("value %d: model %v, package %v, want %v", i, got[i], sum.Integer(i), want[i])
				}
			}
			if noise.Sign() == 0 || noise.Cmp(big.NewInt(3*42)) > 0 {
				t.Errorf("largest noise %v", noise)
			}
		})
	}
}

// The transform and product that lattigo computes are those of the ring: a*s
// in coefficients, by schoolbook multiplication modulo X^N + 1.
func TestRingProductAgainstSchoolbook(t *testing.T) {
	for _, s := range suites {
		a := newArithmetic(s)
		random := rand.New(rand.NewPCG(2, uint64(s.degree)))
		for i, sr := range a.rings {
			x, y := make([]uint64, s.degree), make([]uint64, s.degree)
			for k := range x {
				x[k] = random.Uint64N(sr.Modulus)
				y[k] = random.Uint64N(sr.Modulus)
			}
			product := make([]uint64, s.degree)
			fx, fy := make([]uint64, s.degree), make([]uint64, s.degree)
			sr.NTT(x, fx)
			sr.NTT(y, fy)
			sr.MForm(fy, fy)
			sr.MulCoeffsMontgomeryThenAdd(fx, fy, product)
			sr.INTT(product, product)
			for _, k := range []int{0, 1, s.degree / 2, s.degree - 1} {
				want := new(big.Int)
				for j := range s.degree { // x[j] * y[k-j], with X^N = -1
					term := new(big.Int).SetUint64(x[j])
					if j <= k {
						want.Add(want, term.Mul(term, new(big.Int).SetUint64(y[k-j])))
					} else {
						want.Sub(want, term.Mul(term, new(big.Int).SetUint64(y[s.degree+k-j])))
					}
				}
				want.Mod(want, new(big.Int).SetUint64(sr.Modulus))
				if product[k] != want.Uint64() {
					t.Errorf("%s, prime %d, coefficient %d: %d, want %v", s.name, i, k, product[k], want)
				}
			}
		}
	}
}
