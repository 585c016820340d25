package secagg

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Draws next to every entry of the table, in every lane, are compared as the
// plain sampler does, down to the last of their 128 bits.
func TestVectorGaussian(t *testing.T) {
	needVectors(t)
	var draws []uint64
	for _, entry := range gaussianTable {
		for _, d := range []word128{entry, entry.sub(word128{0, 1}), entry.sub(word128{0, 2}), entry.add(word128{0, 1}), entry.add(word128{1, 0}), entry.sub(word128{1, 0}), {entry.hi, 0}, {entry.hi, math.MaxUint64}} {
			draws = append(draws, d.hi, d.lo)
		}
	}
	draws = append(draws, 0, 0, 0, 1, math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64-1)
	for shift := range 8 { // each in each lane
		all := append(append(make([]uint64, 2*shift), draws...), make([]uint64, 62)...)
		for words := range slices.Chunk(all[:len(all)/64*64], 448) { // a generator's buffer holds 512
			want, got := make([]int64, len(words)/2), make([]int64, len(words)/2)
			scripted(words...).gaussianPlain(want)
			b := make([]byte, 8*len(words))
			scripted(words...).fill(b, 8)
			gaussian32(&b[0], &got[0], len(got), &gaussianLookup)
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("shift %d, draw %x %x: %d, want %d", shift, words[2*i], words[2*i+1], got[i], want[i])
				}
			}
		}
	}
	one, two := testGenerator(8), testGenerator(8)
	one.draw16()
	two.draw16()
	for _, n := range []int{1, 31, 255, 256, 257, 2048, 8192} {
		want, got := make([]int64, n), make([]int64, n)
		one.gaussianPlain(want)
		gaussianLanes(two, got)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("sample %d of %d: %d, want %d", i, n, got[i], want[i])
			}
		}
	}
}

// messages of a chunk: random ones, all bits, none.
func messages(random *rand.Rand, s *suite) map[string][]uint64 {
	n, words := s.degree, s.messageWords()
	out := map[string][]uint64{"none": make([]uint64, n*words), "all": make([]uint64, n*words), "random": make([]uint64, n*words)}
	for k := range n {
		for w := range words {
			mask := uint64(math.MaxUint64)
			if bits := int(s.payload) - 64*w; bits < 64 {
				mask = 1<<bits - 1
			}
			out["all"][k*words+w] = mask
			out["random"][k*words+w] = random.Uint64() & mask
		}
	}
	return out
}

// The keys of the two twins write the same chunks, read the same messages from
// sums of few and many chunks, and refuse the same noise.
func TestVectorKey(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(9, 10))
	for _, s := range suites {
		r := suiteRound(t, s.name, Layout{{"v", 10, 0, 100}}, 4, 4)
		n := r.degree
		uniform := make([]int64, n)
		testGenerator(3).gaussian(uniform)
		of := func(x int64) []int64 {
			out := make([]int64, n)
			for k := range out {
				out[k] = x
			}
			return out
		}
		large := make([]int64, n) // the sum of many keys
		for k := range large {
			large[k] = random.Int64N(2*MaxInvited*errorBound+1) - MaxInvited*errorBound
		}
		for keyName, key := range map[string][]int64{"drawn": uniform, "none": of(0), "least": of(-errorBound), "most": of(errorBound), "summed": large} {
			slow, fast := newPlainKey(r, key), newLaneKey(r, key)
			for messageName, message := range messages(random, s) {
				for _, noise := range [][]int64{uniform, of(0), of(errorBound), of(-errorBound), of(2*errorBound + 1)} {
					name := fmt.Sprintf("%s, key %s, message %s, noise %d", s.name, keyName, messageName, noise[0])
					want, got := make([]byte, r.ChunkBytes()), make([]byte, r.ChunkBytes())
					slow.encrypt(7, message, noise, want)
					fast.encrypt(7, message, noise, got)
					if !bytes.Equal(got, want) {
						t.Fatalf("%s: chunks differ", name)
					}
					sums := make([]uint64, len(r.primes)*n)
					if err := addResiduesOf(r.suite, want, sums); err != nil {
						t.Fatal(err)
					}
					for _, contributors := range []int{1, 2, 3} {
						a, b := make([]uint64, len(message)), make([]uint64, len(message))
						accepted := slow.decrypt(7, sumBound(contributors), append([]uint64(nil), sums...), a)
						if got := fast.decrypt(7, sumBound(contributors), append([]uint64(nil), sums...), b); got != accepted {
							t.Fatalf("%s, %d contributors: accepted %v, want %v", name, contributors, got, accepted)
						}
						if accepted != (noise[0] != 2*errorBound+1 || contributors > 2) {
							t.Fatalf("%s, %d contributors: accepted %v", name, contributors, accepted)
						}
						for w := range a {
							if accepted && (a[w] != b[w] || a[w] != message[w]) {
								t.Fatalf("%s: word %d is %x, plain %x, was %x", name, w, b[w], a[w], message[w])
							}
						}
					}
				}
			}
			slow.wipe()
			fast.wipe()
		}
	}
}

func addResiduesOf(s *suite, chunk []byte, sums []uint64) error {
	size := s.chunkBytes() / len(s.primes)
	for i, p := range s.primes {
		if err := addResiduesPlain(chunk[i*size:(i+1)*size], sums[i*s.degree:(i+1)*s.degree], p.p); err != nil {
			return err
		}
	}
	return nil
}

// Under a key that does not fit anything comes out; the twins agree on all of it,
// also for sums as large as they get.
func TestVectorKeyOnArbitrarySums(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(11, 12))
	for _, s := range suites {
		r := suiteRound(t, s.name, Layout{{"v", 10, 0, 100}}, 4, 4)
		key := make([]int64, r.degree)
		testGenerator(3).gaussian(key)
		slow, fast := newPlainKey(r, key), newLaneKey(r, key)
		for round := range 6 {
			sums := make([]uint64, len(r.primes)*r.degree)
			for i, p := range r.primes {
				for k := range r.degree {
					v := random.Uint64N(p.p)
					switch round {
					case 0:
						v = MaxInvited * (p.p - 1)
					case 1:
						v = MaxInvited*(p.p-1) - random.Uint64N(8)
					case 2:
						v = random.Uint64N(MaxInvited*(p.p-1) + 1)
					}
					sums[i*r.degree+k] = v
				}
			}
			// A bound above any noise: every message is read.
			const bound = 1 << (noiseBits - 1)
			a, b := make([]uint64, r.degree*r.messageWords()), make([]uint64, r.degree*r.messageWords())
			if !slow.decrypt(0, bound, append([]uint64(nil), sums...), a) || !fast.decrypt(0, bound, sums, b) {
				t.Fatal("noise beyond its bits")
			}
			for w := range a {
				if a[w] != b[w] {
					t.Fatalf("%s, round %d, word %d: %x, want %x", s.name, round, w, b[w], a[w])
				}
			}
		}
	}
}

// The integers next to 0 and to q, and next to where the noise changes sign,
// come apart as arithmetic.compose and centre have it.
func TestVectorComposition(t *testing.T) {
	needVectors(t)
	for _, s := range suites {
		a := arithmetics[s.name]()
		tables := laneTablesOf[s]()
		offsets := []int64{0, 1, 2, 1 << 19, 1<<19 - 1, 1<<19 + 1, 1 << 20, 1<<20 - 1, 1 << 40}
		n := 2 * len(offsets)
		n += -n & 7
		data := make([]int64, len(s.primes)*n)
		var want []uint64
		for k := range n {
			var residues [maxPrimes]uint64
			for i, p := range s.primes {
				if v := offsets[k/2%len(offsets)]; k%2 == 0 {
					residues[i] = uint64(v) % p.p
				} else {
					residues[i] = (p.p - uint64(v)%p.p) % p.p
				}
				// times the degree, as the inverse transform leaves it
				data[i*n+k] = reduced(int64(mulMod(residues[i], uint64(s.degree), p.p)), int64(p.p))
			}
			m, _ := a.centre(a.compose(&residues))
			want = append(want, m[:s.messageWords()]...)
		}
		got := make([]uint64, len(want))
		if composeWords(&data[0], n, &tables.garner[0], len(tables.garner), &tables.mix, 1<<19, &got[0]) != 0 {
			t.Errorf("%s: refused", s.name)
		}
		for w := range want {
			if got[w] != want[w] {
				t.Errorf("%s, word %d: %x, want %x", s.name, w, got[w], want[w])
			}
		}
	}
}

func mulMod(a, b, p uint64) uint64 {
	r := uint64(0)
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			r = (r + a) % p
		}
		a = 2 * a % p
	}
	return r
}

// A draw of a that is not below the prime is seen in every lane.
func TestVectorMaskSeesEveryRejectedDraw(t *testing.T) {
	needVectors(t)
	p := suites[0].primes[0].p
	const n = 24
	for at := range n {
		for _, draw := range []uint64{p - 1, p, 1<<53 - 1} {
			words := make([]uint64, n)
			words[at] = draw | 0x7ff<<53
			stream := make([]byte, 8*n)
			scripted(words...).fill(stream, 8)
			work, key, sums, out := make([]int64, n), make([]int64, n), make([]uint64, n), make([]byte, n*residueBits/8)
			masked := maskPack(&work[0], &key[0], &stream[0], n, p, 1/float64(p), &out[0]) != 0
			unmasked := unmask(&sums[0], &key[0], &stream[0], n, p, 1/float64(p), &work[0]) != 0
			if want := draw >= p; masked != want || unmasked != want {
				t.Errorf("draw %x as number %d: rejected %v and %v", draw, at, masked, unmasked)
			}
		}
	}
}

// One draw in 2^33 is drawn again. The first round has one in the chunk below,
// found by search; the elements after it move up.
func TestVectorKeyDrawsAgain(t *testing.T) {
	needVectors(t)
	const chunk, prime, at = 3148792, 3, 4109
	s := suites[2]
	r := suiteRound(t, s.name, Layout{{"v", 10, 0, 100}}, 4, 4)
	r.spec.ID = [32]byte{}
	words := make([]uint64, s.degree)
	g := newPublicElements(r.spec.ID).generator(chunk, prime)
	for k := range words {
		words[k] = g.uint64() & residueMask
	}
	if words[at] < s.primes[prime].p {
		t.Fatal("the draw is not one that is drawn again")
	}
	key := make([]int64, s.degree)
	testGenerator(3).gaussian(key)
	slow, fast := newPlainKey(r, key), newLaneKey(r, key)
	message := messages(rand.New(rand.NewPCG(17, 18)), s)["random"]
	want, got := make([]byte, r.ChunkBytes()), make([]byte, r.ChunkBytes())
	slow.encrypt(chunk, message, key, want)
	fast.encrypt(chunk, message, key, got)
	if !bytes.Equal(got, want) {
		t.Error("chunks differ")
	}
	sums, opened := make([]uint64, len(r.primes)*r.degree), make([]uint64, len(message))
	if err := addResiduesOf(s, got, sums); err != nil {
		t.Fatal(err)
	}
	if !fast.decrypt(chunk, sumBound(1), sums, opened) {
		t.Fatal("noise out of bounds")
	}
	for w := range message {
		if opened[w] != message[w] {
			t.Fatalf("word %d: %x, want %x", w, opened[w], message[w])
		}
	}
}

func TestVectorAddResidues(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(13, 14))
	p := suites[2].primes[1].p
	for _, n := range []int{64, 128, 8192} {
		residues := make([]uint64, n)
		packed := make([]byte, n*residueBits/8)
		for range 20 {
			for k := range residues {
				residues[k] = p - 1 - random.Uint64N(2)*random.Uint64N(p)
			}
			packResidues(residues, packed)
			sums, want := make([]uint64, n), make([]uint64, n)
			for k := range sums {
				sums[k] = random.Uint64N(1 << 63)
				want[k] = sums[k] + residues[k]
			}
			if err := addResiduesLanes(packed, sums, p); err != nil {
				t.Fatal(err)
			}
			for k := range sums {
				if sums[k] != want[k] {
					t.Fatalf("residue %d of %d: sum %d, want %d", k, n, sums[k], want[k])
				}
			}
		}
		for k := 0; k < n; k += 1 + n/100 {
			for _, above := range []uint64{p, 1<<53 - 1} {
				kept := residues[k]
				residues[k] = above
				packResidues(residues, packed)
				residues[k] = kept
				got, want := addResiduesLanes(packed, make([]uint64, n), p), addResiduesPlain(packed, make([]uint64, n), p)
				if !errors.Is(got, ErrMalformed) || got.Error() != want.Error() {
					t.Errorf("%d as residue %d: %v, want %v", above, k, got, want)
				}
			}
		}
	}
}

// Fields of every width below a word, of lengths around whole groups, are
// encoded and decoded as the plain twins do.
func TestVectorSlots(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(15, 16))
	const contributors = 3
	for _, s := range suites {
		for width := uint(1); width <= 60; width++ {
			for _, length := range []int{1, 7, 9, 64, 1000, 3*s.degree + 5} {
				l := Layout{widthField(int(width), length)}
				if !s.carries(l, contributors) {
					continue
				}
				p := newPacking(l, contributors, s)
				g := &p.segments[0]
				if g.slotBits >= 64 {
					continue
				}
				values := randomValues(random, l, 1)[0]
				n := (length + g.perCoeff - 1) / g.perCoeff
				want, got := make([]uint64, n*p.words), make([]uint64, n*p.words)
				g.encodeSlotsPlain(values, p.words, want)
				encodeLanes(g, values, p.words, got)
				for w := range want {
					if got[w] != want[w] {
						t.Fatalf("%s, width %d, length %d, word %d: %x, want %x", s.name, width, length, w, got[w], want[w])
					}
				}

				read := func(message []uint64, lanes bool) (run, bool) {
					out := newRun(length, g.slotBits)
					done, ok := 0, true
					if lanes {
						done, ok = decodeLanes(g, 0, contributors, p.words, message, out)
					}
					if ok {
						_, ok = g.decodeSlotsPlain(done, contributors, p.words, message[done*p.words:], out)
					}
					return out, ok
				}
				check := func(message []uint64) {
					t.Helper()
					a, accepted := read(message, false)
					b, ok := read(message, true)
					if ok != accepted {
						t.Fatalf("%s, width %d, length %d: accepted %v, want %v", s.name, width, length, ok, accepted)
					}
					for i := range length {
						if ok && a.at(i) != b.at(i) {
							t.Fatalf("%s, width %d, length %d, value %d: %v, want %v", s.name, width, length, i, b.at(i), a.at(i))
						}
					}
				}
				check(want)
				for range 20 { // a bit set that may be beyond the slot's range, or unused
					forged := append([]uint64(nil), want...)
					forged[random.IntN(len(forged))] |= 1 << random.IntN(64)
					check(forged)
				}
			}
		}
	}
}

func TestVectorBounds(t *testing.T) {
	needVectors(t)
	const bound = 1.5
	for _, n := range []int{0, 1, 7, 8, 9, 64, 100} {
		values := make([]float64, n)
		for i := range values {
			values[i] = bound * float64(1-2*(i%2))
		}
		if got := outOfBoundLanes(values, bound); got != -1 {
			t.Errorf("%d values within: %d", n, got)
		}
		for at := range values {
			for _, bad := range []float64{math.Nextafter(bound, 2), -math.Nextafter(bound, 2), math.NaN(), -math.NaN(), math.Inf(1), math.Inf(-1)} {
				kept := values[at]
				values[at] = bad
				if got := outOfBoundLanes(values, bound); got != at {
					t.Errorf("%g as value %d of %d: %d", bad, at, n, got)
				}
				values[at] = kept
			}
		}
	}
}

// The twins combine alike: rows and weights at their least and most, where the
// sums are largest, and of any.
func TestVectorCombinations(t *testing.T) {
	needVectors(t)
	random := rand.New(rand.NewPCG(13, 14))
	for _, width := range []int{64, 128, 2048} {
		for _, count := range []int{1, 2, 3, 14, 683, MaxInvited} {
			for _, edges := range [][]uint64{{shamirPrime - 1}, {0}, {shamirPrime - 1, 0}, {0x7fff, 0x8000, 1, shamirPrime - 1}, nil} {
				draw := func() uint64 {
					if edges == nil {
						return random.Uint64N(shamirPrime)
					}
					return edges[random.IntN(len(edges))]
				}
				weights, rows := make([]uint32, count), make([][]byte, count)
				for i := range rows {
					weights[i], rows[i] = uint32(draw()), make([]byte, 2*width)
					for k := range width {
						setElement(rows[i], k, draw())
					}
				}
				want, got := make([]byte, 2*width), make([]byte, 2*width)
				combinePlain(weights, rows, want)
				combineLanes(weights, rows, got)
				if !bytes.Equal(got, want) {
					t.Fatalf("%d rows of %d, of %d: they differ", count, width, edges)
				}
			}
		}
	}
}

// Every product that one step of the kernel can be given, of some weights, and
// the plain twin is right.
func TestVectorProducts(t *testing.T) {
	needVectors(t)
	const width = 1 << 16
	row, want, got := make([]byte, 2*width), make([]byte, 2*width), make([]byte, 2*width)
	for k := range width {
		setElement(row, k, uint64(k)%shamirPrime)
	}
	for w := uint32(0); w < shamirPrime; w += 1 + w/16 {
		combinePlain([]uint32{w}, [][]byte{row}, want)
		combineLanes([]uint32{w}, [][]byte{row}, got)
		if !bytes.Equal(got, want) {
			t.Fatalf("products with %d differ", w)
		}
		for k := range shamirPrime {
			if element(want, k) != uint64(k)*uint64(w)%shamirPrime {
				t.Fatalf("%d * %d is %d", k, w, element(want, k))
			}
		}
	}
}

func TestVectorKeyShares(t *testing.T) {
	needVectors(t)
	fast := kernel
	for _, length := range []int{64, 1, 2048} {
		key := make([]int64, length)
		testGenerator(1).gaussian(key)
		key[0] = -errorBound
		for _, c := range [][2]int{{1, 1}, {2, 2}, {3, 2}, {16, 11}, {20, 14}, {MaxInvited, 2}, {MaxInvited, 683}} {
			// Draws that are not below the prime, here and there in the stream.
			words := []uint64{math.MaxUint64, 0xfff1_0000_ffff_fff0, 5, math.MaxUint64}
			one, two := scripted(words...), scripted(words...)
			kernel = plain
			want := shareKey(key, c[0], c[1], one)
			kernel = fast
			got := shareKey(key, c[0], c[1], two)
			for j := range want {
				if !bytes.Equal(got[j], want[j]) {
					t.Fatalf("threshold %d, share %d of %d differs", c[1], j, c[0])
				}
			}
			if one.uint64() != two.uint64() {
				t.Errorf("threshold %d: what is drawn next differs", c[1])
			}
		}
	}
}
