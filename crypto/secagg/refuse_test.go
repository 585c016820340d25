package secagg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// smallRound is a sealed round of six sites with a committee of six, four of
// whom open it wherever nothing else is said.
func smallRound(t testing.TB) *federation {
	t.Helper()
	l := Layout{{"v", 40, 10, 1000}}
	r := newRoundWith(t, l, 6, 6, 4)
	return seal(t, r, randomValues(rand.New(rand.NewPCG(1, 2)), l, 6))
}

func TestRefusesAChunkOfTheWrongLength(t *testing.T) {
	f := smallRound(t)
	chunk := f.contributions[0].Chunks[0]
	for _, bad := range [][]byte{nil, {}, chunk[:len(chunk)-1], append(slices.Clone(chunk), 0), chunk[:53]} {
		if err := f.CheckChunk(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
		_, err := f.Open(2, func(i, c int) ([]byte, error) {
			if i == 1 {
				return bad, nil
			}
			return chunk, nil
		}, f.openings(t, []int{0, 1}, all(6)))
		var at *ChunkError
		if !errors.As(err, &at) || at.Contributor != 1 || at.Chunk != 0 || !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes, opening: %v", len(bad), err)
		}
	}
	if err := f.CheckChunk(chunk); err != nil {
		t.Errorf("a good chunk: %v", err)
	}
}

func TestRefusesAResidueNotBelowItsPrime(t *testing.T) {
	for _, s := range suites {
		r := suiteRound(t, s.name, Layout{{"v", 1, 0, 1}}, 2, 2)
		for i, p := range s.primes {
			for _, k := range []int{0, 1, 63, 64, s.degree - 1} {
				for _, bad := range []uint64{p.p, p.p + 1, residueMask} {
					chunk := make([]byte, s.chunkBytes())
					residues := make([]uint64, s.degree)
					residues[k] = p.p - 1
					size := s.chunkBytes() / len(s.primes)
					packResidues(residues, chunk[i*size:(i+1)*size])
					if err := r.CheckChunk(chunk); err != nil {
						t.Fatalf("%s: the largest residue of prime %d at %d: %v", s.name, i, k, err)
					}
					residues[k] = bad
					packResidues(residues, chunk[i*size:(i+1)*size])
					if err := r.CheckChunk(chunk); !errors.Is(err, ErrMalformed) {
						t.Errorf("%s: residue p+%d of prime %d at %d: %v", s.name, bad-p.p, i, k, err)
					}
					if err := r.addChunk(chunk, make([]uint64, len(s.primes)*s.degree)); !errors.Is(err, ErrMalformed) {
						t.Errorf("%s: adding residue p+%d of prime %d at %d: %v", s.name, bad-p.p, i, k, err)
					}
				}
			}
		}
	}
}

func TestRefusesAKeyShareOfTheWrongLengthOrField(t *testing.T) {
	f := smallRound(t)
	good := f.contributions[0].Shares[0]
	notInField := slices.Clone(good)
	setElement(notInField, 200, shamirPrime)
	for name, bad := range map[string][]byte{
		"nil": nil, "short": good[:len(good)-2], "odd": good[:len(good)-1], "long": append(slices.Clone(good), 0, 0), "not in field": notInField,
		"all ones": bytes.Repeat([]byte{0xff}, len(good)),
	} {
		if err := f.CheckShare(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		var share *ShareError
		if _, err := f.AddShares([][]byte{good, good, bad}); !errors.As(err, &share) || share.Index != 2 || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, adding: %v", name, err)
		}
		openings := f.openings(t, all(6), all(6))
		openings[3] = bad
		var member *MemberError
		if _, err := f.Open(6, f.reader(all(6)), openings); !errors.As(err, &member) || member.Member != 3 || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, opening: %v", name, err)
		}
	}
	if err := f.CheckShare(good); err != nil {
		t.Errorf("a good share: %v", err)
	}
}

func TestRefusesASumOverFewerThanTwo(t *testing.T) {
	f := smallRound(t)
	openings := f.openings(t, []int{0, 1}, all(6))
	for _, n := range []int{-1, 0, 1} {
		if _, err := f.Open(n, f.reader(all(6)), openings); !errors.Is(err, ErrTooFewContributors) {
			t.Errorf("opening %d: %v", n, err)
		}
	}
	for _, shares := range [][][]byte{nil, {f.contributions[0].Shares[0]}} {
		if _, err := f.AddShares(shares); !errors.Is(err, ErrTooFewContributors) {
			t.Errorf("adding %d shares: %v", len(shares), err)
		}
	}
}

func TestRefusesMoreContributorsThanInvited(t *testing.T) {
	f := smallRound(t)
	never := func(int, int) ([]byte, error) { t.Fatal("read before the refusal"); return nil, nil }
	if _, err := f.Open(7, never, f.openings(t, all(6), all(6))); err == nil {
		t.Error("seven of six contributed")
	}
	if _, err := f.AddShares(slices.Repeat([][]byte{f.contributions[0].Shares[0]}, 7)); err == nil {
		t.Error("seven of six shares were added")
	}
}

func TestRefusesOpeningBelowTheThreshold(t *testing.T) {
	f := smallRound(t)
	for n := range 4 {
		if _, err := f.open(t, all(6), all(n)); !errors.Is(err, ErrTooFewShares) {
			t.Errorf("%d of 4: %v", n, err)
		}
	}
	f.checkSum(t, all(6), all(4))
}

func TestRefusesAnOpeningShareOfNoMember(t *testing.T) {
	f := smallRound(t)
	for _, who := range []int{-1, 6, math.MaxInt, math.MinInt} { // -1 would be Shamir point 0
		openings := f.openings(t, all(6), all(4))
		openings[who] = openings[0]
		var member *MemberError
		if _, err := f.Open(6, f.reader(all(6)), openings); !errors.As(err, &member) || member.Member != who {
			t.Errorf("member %d: %v", who, err)
		}
	}
}

// lie changes a share as a member might who wants to be believed: in one
// coefficient by one.
func lie(share []byte) {
	setElement(share, 50, (element(share, 50)+1)%shamirPrime)
}

func TestNamesTheMemberOffThePolynomial(t *testing.T) {
	f := smallRound(t) // threshold 4 of 6: two shares to spare
	honest := f.openings(t, all(6), all(6))
	for liar := range 6 {
		openings := cloneOpenings(honest)
		lie(openings[liar])
		_, err := f.Open(6, f.reader(all(6)), openings)
		var member *MemberError
		if !errors.As(err, &member) || member.Member != liar || !errors.Is(err, ErrIntegrity) {
			t.Errorf("member %d lies: %v", liar, err)
		}
	}
}

func TestOneShareToSpareFindsTheFaultButNotTheMember(t *testing.T) {
	f := smallRound(t)
	for liar := range 5 {
		openings := f.openings(t, all(6), all(5))
		lie(openings[liar])
		_, err := f.Open(6, f.reader(all(6)), openings)
		var member *MemberError
		if !errors.Is(err, ErrInconsistentShares) || !errors.Is(err, ErrIntegrity) || errors.As(err, &member) {
			t.Errorf("member %d lies: %v", liar, err)
		}
	}
}

func TestTwoLiarsAreFoundButNotNamed(t *testing.T) {
	f := smallRound(t)
	openings := f.openings(t, all(6), all(6))
	lie(openings[1])
	lie(openings[4])
	if _, err := f.Open(6, f.reader(all(6)), openings); !errors.Is(err, ErrInconsistentShares) {
		t.Errorf("got %v", err)
	}
}

// With exactly the threshold there is nothing to compare with, but a lie moves
// the interpolated key out of its range.
func TestALieAmongExactlyTheThresholdOverflowsTheKey(t *testing.T) {
	f := smallRound(t)
	for liar := range 4 {
		openings := f.openings(t, all(6), all(4))
		lie(openings[liar])
		_, err := f.Open(6, f.reader(all(6)), openings)
		if !errors.Is(err, ErrIntegrity) {
			t.Errorf("member %d lies: %v", liar, err)
		}
	}
}

// A member who answered for another set of contributors is off the polynomial.
func TestNamesTheMemberWhoAnsweredForAnotherSet(t *testing.T) {
	f := smallRound(t)
	openings := f.openings(t, all(6), all(6))
	openings[2] = f.openings(t, all(5), []int{2})[2]
	_, err := f.Open(6, f.reader(all(6)), openings)
	var member *MemberError
	if !errors.As(err, &member) || member.Member != 2 {
		t.Errorf("got %v", err)
	}
}

// What a MemberError does not say: the honest member 5 was dealt a wrong share
// by contributor 3, and its own answer is off the polynomial for it.
func TestAWrongShareDealtShowsAtTheMemberDealtIt(t *testing.T) {
	f := smallRound(t)
	lie(f.contributions[3].Shares[5])
	_, err := f.open(t, all(6), all(6))
	var member *MemberError
	if !errors.As(err, &member) || member.Member != 5 {
		t.Errorf("got %v", err)
	}
}

// keyed makes a contribution whose every key coefficient is of, properly
// encrypted and shared.
func keyed(r *Round, values []float64, of, noise int64) *Contribution {
	key := slices.Repeat([]int64{of}, r.degree)
	errs := slices.Repeat([]int64{noise}, r.degree)
	return &Contribution{
		Shares: shareKey(key, r.spec.Committee, r.spec.Threshold, testGenerator(5)),
		Chunks: r.encrypt(values, r.keyTransform(key), func() []int64 { return errs }),
	}
}

func TestRefusesAKeyOverflow(t *testing.T) {
	f := smallRound(t)
	f.contributions[0] = keyed(f.Round, f.values[0], errorBound, 0)
	f.checkSum(t, all(6), all(6)) // at the bound all is well
	for _, of := range []int64{7 * errorBound, -7 * errorBound, shamirPrime / 2, -(shamirPrime / 2)} {
		f.contributions[0] = keyed(f.Round, f.values[0], of, 0)
		if _, err := f.open(t, all(6), all(6)); !errors.Is(err, ErrKeyOverflow) || !errors.Is(err, ErrIntegrity) {
			t.Errorf("key of %d: %v", of, err)
		}
	}
}

// The key bound is exact: |U| * B passes, one more does not.
func TestKeyBoundIsExact(t *testing.T) {
	f := smallRound(t)
	for i := range f.contributions {
		f.contributions[i] = keyed(f.Round, f.values[i], -errorBound, 0)
	}
	f.checkSum(t, all(6), all(6))
	f.contributions[3] = keyed(f.Round, f.values[3], -errorBound-1, 0)
	if _, err := f.open(t, all(6), all(6)); !errors.Is(err, ErrKeyOverflow) {
		t.Errorf("got %v", err)
	}
}

func TestRefusesANoiseOverflow(t *testing.T) {
	f := smallRound(t)
	for i := range f.contributions {
		f.contributions[i] = keyed(f.Round, f.values[i], 1, errorBound)
	}
	f.checkSum(t, all(6), all(6)) // |U| * B is within the bound
	for _, noise := range []int64{errorBound + 1, -6*errorBound - 5*errorBound - 1, 1 << 18} {
		f.contributions[2] = keyed(f.Round, f.values[2], 1, noise)
		if _, err := f.open(t, all(6), all(6)); !errors.Is(err, ErrNoiseOverflow) || !errors.Is(err, ErrIntegrity) {
			t.Errorf("noise of %d: %v", noise, err)
		}
	}
}

// Faults that a network, a disk or a liar can cause: every one of them makes
// the round fail, none gives a wrong number.
func TestDamagedContributionsFailTheRound(t *testing.T) {
	tests := map[string]func(f *federation){
		"a bit flipped":             func(f *federation) { f.contributions[1].Chunks[0][77] ^= 4 },
		"the last byte changed":     func(f *federation) { c := f.contributions[1].Chunks[0]; c[len(c)-1] ^= 1 },
		"a chunk of zeros":          func(f *federation) { clear(f.contributions[1].Chunks[0]) },
		"another site's chunk":      func(f *federation) { f.contributions[1].Chunks = f.contributions[2].Chunks },
		"a chunk under another key": func(f *federation) { c, _ := f.Seal(f.values[1]); f.contributions[1].Chunks = c.Chunks },
		"shares of another key":     func(f *federation) { c, _ := f.Seal(f.values[1]); f.contributions[1].Shares = c.Shares },
	}
	for name, damage := range tests {
		f := smallRound(t)
		damage(f)
		if _, err := f.open(t, all(6), all(6)); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSwappedChunksFailTheRound(t *testing.T) {
	l := Layout{{"v", 9000, 0, 1e6}}
	r := suiteRound(t, "rlwe2048", l, 2, 2)
	f := seal(t, r, randomValues(rand.New(rand.NewPCG(3, 4)), l, 2))
	c := f.contributions[1].Chunks
	c[0], c[1] = c[1], c[0]
	if _, err := f.open(t, all(2), all(2)); !errors.Is(err, ErrIntegrity) {
		t.Errorf("got %v", err)
	}
}

// A contribution of another round does not open in this one, although its
// shape is the same.
func TestAContributionOfAnotherRoundFailsTheRound(t *testing.T) {
	f := smallRound(t)
	spec := f.spec
	spec.ID = [32]byte{77}
	other, err := NewRound(spec)
	if err != nil {
		t.Fatal(err)
	}
	if f.contributions[4], err = other.Seal(f.values[4]); err != nil {
		t.Fatal(err)
	}
	if _, err := f.open(t, all(6), all(6)); !errors.Is(err, ErrIntegrity) {
		t.Errorf("got %v", err)
	}
}

// A share held by one member, given as another's, is off the polynomial.
func TestAShareMovedToAnotherMemberFailsTheRound(t *testing.T) {
	f := smallRound(t)
	s := f.contributions[0].Shares
	s[1], s[2] = s[2], s[1]
	if _, err := f.open(t, all(6), all(6)); !errors.Is(err, ErrIntegrity) {
		t.Errorf("got %v", err)
	}
}

func TestTheWrongNumberOfContributorsFailsTheRound(t *testing.T) {
	f := smallRound(t)
	openings := f.openings(t, all(5), all(6))
	if _, err := f.Open(6, f.reader(all(6)), openings); !errors.Is(err, ErrIntegrity) {
		t.Errorf("six contributions under five keys: %v", err)
	}
	if _, err := f.Open(4, f.reader(all(4)), openings); !errors.Is(err, ErrIntegrity) {
		t.Errorf("four contributions under five keys: %v", err)
	}
}

// forged makes a contribution whose message words were set by hand.
func forged(r *Round, set func(message []uint64)) *Contribution {
	key := make([]int64, r.degree)
	c := &Contribution{Shares: shareKey(key, r.spec.Committee, r.spec.Threshold, testGenerator(6))}
	message := make([]uint64, r.degree*r.packing.words)
	set(message)
	chunk := make([]byte, r.ChunkBytes())
	size := len(chunk) / len(r.primes)
	for i, sr := range r.rings {
		work := make([]uint64, r.degree)
		for k := range work {
			work[k] = r.reduceMessage(message[k*r.packing.words:(k+1)*r.packing.words], i)
		}
		sr.NTT(work, work)
		packResidues(work, chunk[i*size:(i+1)*size])
	}
	c.Chunks = [][]byte{chunk}
	return c
}

// A site that lies about its range is caught as soon as the sum leaves what the
// contributors can make, whichever bits it sets.
func TestRefusesSlotsThatNoContributionsCanMake(t *testing.T) {
	tests := map[string]struct {
		suite string
		field Field
		set   func(message []uint64)
	}{
		"a slot beyond its bound":          {"rlwe4096", Field{"v", 10, 0, 100}, func(m []uint64) { m[0] = 601 }},
		"bits above a coefficient's slots": {"rlwe4096", Field{"v", 10, 0, 1 << 20}, func(m []uint64) { m[1] = 1 << 20 }},
		"a slot past the field's last":     {"rlwe4096", Field{"v", 1, 0, 100}, func(m []uint64) { m[0] = 1 << 10 }},
		"a coefficient past the last":      {"rlwe4096", Field{"v", 1, 0, 100}, func(m []uint64) { m[2*2000] = 1 }},
		"the very last coefficient":        {"rlwe8192", Field{"v", 1, 0, 100}, func(m []uint64) { m[len(m)-1] = 1 }},
		"a wide slot beyond its bound":     {"rlwe8192", Field{"v", 10, 60, 1 << 30}, func(m []uint64) { m[1] = 1<<29 - 1 }},
		"a slot of all the coefficient":    {"rlwe2048", Field{"v", 10, 0, 1 << 28}, func(m []uint64) { m[0] = 1<<32 - 1 }},
	}
	for name, tt := range tests {
		l := Layout{tt.field}
		r := suiteRound(t, tt.suite, l, 3, 3)
		values := uniformValues(l, 3, func(f Field) float64 { return f.Bound })
		f := seal(t, r, values)
		f.contributions[1] = forged(r, func(m []uint64) { r.packing.encode(0, values[1], m) })
		f.checkSum(t, all(3), all(3)) // the forger's tool makes good contributions too
		f.contributions[1] = forged(r, tt.set)
		if _, err := f.open(t, all(3), all(3)); !errors.Is(err, ErrSlotOverflow) || !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusesValuesOutOfTheirBound(t *testing.T) {
	l := Layout{{"counts", 3, 0, 10}, {"sums", 4, 8, 2.5}}
	r := newRound(t, l, 2, 2)
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Nextafter(2.5, 3), -2.6, 1e300, math.MaxFloat64} {
		values := []float64{10, -10, 0, 2.5, -2.5, 0.1, 0}
		if _, err := r.Seal(values); err != nil {
			t.Fatal(err)
		}
		values[5] = bad
		for name, do := range map[string]func() (*Contribution, error){
			"seal":        func() (*Contribution, error) { return r.Seal(values) },
			"unencrypted": func() (*Contribution, error) { return Unencrypted(r, values) },
		} {
			c, err := do()
			var out *RangeError
			if c != nil || !errors.As(err, &out) || out.Field != "sums" || out.Index != 2 {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, n := range []int{0, 6, 8} {
		if _, err := r.Seal(make([]float64, n)); err == nil {
			t.Errorf("%d values were sealed for a layout of 7", n)
		}
	}
}

// No error carries a value of a record.
func TestRangeErrorHidesTheValue(t *testing.T) {
	r := newRound(t, Layout{{"dose", 1, 0, 10}}, 2, 2)
	_, err := r.Seal([]float64{8675309})
	if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "8675309") || strings.Contains(err.Error(), "8.67") {
		t.Errorf("got %v", err)
	}
}

func TestRefusesSumsThatAreNotOfTheRound(t *testing.T) {
	f := smallRound(t)
	sum, err := f.open(t, all(6), all(6))
	if err != nil {
		t.Fatal(err)
	}
	good := sum.Bytes()
	header := sumHeaderBytes
	bound := uint64(6 * 1000 << 10) // six contributors of at most 1000 at ten fractional bits
	tests := map[string]func(b []byte) []byte{
		"empty":                      func(b []byte) []byte { return nil },
		"short":                      func(b []byte) []byte { return b[:len(b)-1] },
		"long":                       func(b []byte) []byte { return append(b, 0) },
		"only a header":              func(b []byte) []byte { return b[:header] },
		"another tag":                func(b []byte) []byte { b[0]++; return b },
		"another round":              func(b []byte) []byte { b[len(sumTag)]++; return b },
		"no contributors":            func(b []byte) []byte { binary.LittleEndian.PutUint32(b[header-4:], 0); return b },
		"one contributor":            func(b []byte) []byte { binary.LittleEndian.PutUint32(b[header-4:], 1); return b },
		"more contributors":          func(b []byte) []byte { binary.LittleEndian.PutUint32(b[header-4:], 7); return b },
		"the most contributors":      func(b []byte) []byte { binary.LittleEndian.PutUint32(b[header-4:], math.MaxUint32); return b },
		"a sum beyond its bound":     func(b []byte) []byte { putWord(b[header:], word128{0, bound + 1}); return b },
		"a sum below its bound":      func(b []byte) []byte { putWord(b[header:], word128{0, bound + 1}.neg()); return b },
		"the most negative 128 bits": func(b []byte) []byte { putWord(b[len(b)-16:], word128{1 << 63, 0}); return b },
		"a value in the high half":   func(b []byte) []byte { putWord(b[header:], word128{1, 0}); return b },
	}
	for name, change := range tests {
		if _, err := f.ParseSum(change(slices.Clone(good))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	one := make([]byte, len(good)) // all zero, so that nothing else is wrong with it
	copy(one, good[:header-4])
	binary.LittleEndian.PutUint32(one[header-4:], 1)
	if _, err := f.ParseSum(one); !errors.Is(err, ErrMalformed) {
		t.Errorf("a sum over one contributor: %v", err)
	}
	at := slices.Clone(good)
	putWord(at[header:], word128{0, bound}.neg())
	if _, err := f.ParseSum(at); err != nil {
		t.Errorf("a sum at its bound: %v", err)
	}
}

func putWord(b []byte, w word128) {
	binary.LittleEndian.PutUint64(b, w.lo)
	binary.LittleEndian.PutUint64(b[8:], w.hi)
}

// A length that a sender chooses allocates nothing: what does not have the
// round's length is refused before it is looked at.
func TestRefusalsAllocateAlmostNothing(t *testing.T) {
	f := smallRound(t)
	huge := make([]byte, 1<<26)
	for name, check := range map[string]func() error{
		"chunk": func() error { return f.CheckChunk(huge) },
		"share": func() error { return f.CheckShare(huge) },
		"sum":   func() error { _, err := f.ParseSum(huge); return err },
		"added": func() error { _, err := f.AddShares([][]byte{huge, huge}); return err },
	} {
		if n := testing.AllocsPerRun(10, func() {
			if check() == nil {
				t.Errorf("%s: 64 MiB of zeros were accepted", name)
			}
		}); n > 10 {
			t.Errorf("%s: %v allocations to refuse", name, n)
		}
	}
}

func TestReadErrorsNameTheChunk(t *testing.T) {
	f := smallRound(t)
	gone := errors.New("disk gone")
	_, err := f.Open(6, func(i, c int) ([]byte, error) {
		if i == 4 {
			return nil, gone
		}
		return f.contributions[i].Chunks[c], nil
	}, f.openings(t, all(6), all(6)))
	var at *ChunkError
	if !errors.As(err, &at) || at.Contributor != 4 || !errors.Is(err, gone) || errors.Is(err, ErrIntegrity) {
		t.Errorf("got %v", err)
	}
}

func TestWipeOverwritesKeyShares(t *testing.T) {
	f := smallRound(t)
	f.contributions[0].Wipe()
	for j, s := range f.contributions[0].Shares {
		if !bytes.Equal(s, make([]byte, f.ShareBytes())) {
			t.Errorf("share %d is still there", j)
		}
	}
}
