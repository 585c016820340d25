package secagg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"testing"
)

// usePlain runs a test on the twins that every processor has. It is not for
// parallel tests.
func usePlain(t *testing.T) {
	t.Helper()
	fast := kernel
	kernel = plain
	t.Cleanup(func() { kernel = fast })
}

// The known answers are those of the plain steps, too.
func TestKnownAnswersOnEveryProcessor(t *testing.T) {
	usePlain(t)
	TestKnownAnswers(t)
}

// fill takes the words that single draws would, from wherever they begin.
func TestFillIsManyDraws(t *testing.T) {
	for _, before := range []int{0, 1, 2, 3, 4, 5, 2043, 2044, 2045, 2046, 2047, 2048, 2049} { // draws of 16 bits
		for _, n := range []int{1, 2, 500, 512, 513, 1023, 1024, 4097} {
			one, many := testGenerator(4), testGenerator(4)
			for range before {
				one.draw16()
				many.draw16()
			}
			got := make([]byte, 8*n)
			many.fill(got, 8)
			for i := range n {
				if want := one.uint64(); binary.LittleEndian.Uint64(got[8*i:]) != want {
					t.Fatalf("%d words of 64 bits after %d of 16: word %d differs", n, before, i)
				}
			}
			got = got[:2*n]
			many.fill(got, 2)
			for i := range n {
				if want := one.draw16(); element(got, i) != want {
					t.Fatalf("%d words of 16 bits after %d: word %d differs", n, before, i)
				}
			}
			if one.uint64() != many.uint64() {
				t.Fatalf("%d words after %d: what comes next differs", n, before)
			}
		}
	}
	g := testGenerator(4)
	g.fill(make([]byte, 4000), 8)
	if !bytes.Equal(g.buffer[:4000], make([]byte, 4000)) {
		t.Error("words given out are still in the buffer")
	}
}

// streamed seals with SealStream's window, under a given seed.
func streamed(r *Round, values []float64, seed []byte) (c Contribution, err error) {
	w := window{read: func(out []float64) error {
		n := copy(out, values)
		values = values[n:]
		if n < len(out) {
			return errors.New("asked for more values than the layout has")
		}
		return nil
	}}
	c.Shares, err = r.sealChunks(bytes.NewReader(seed), w.slide,
		func(*sealer) []byte { return make([]byte, r.ChunkBytes()) },
		func(chunk int, b []byte) error {
			if chunk != len(c.Chunks) {
				return errors.New("chunks out of order")
			}
			c.Chunks = append(c.Chunks, b)
			return nil
		})
	if err == nil && len(values) > 0 {
		err = errors.New("values were left over")
	}
	return c, err
}

// A stream gives the bytes of Seal, whatever lies in a chunk.
func TestSealStreamIsSeal(t *testing.T) {
	layouts := []Layout{
		{{"v", 20000, 0, 32767}},
		{{"v", 1, 0, 1}},
		{widthField(110, 1500), widthField(20, 9000), widthField(64, 1900), widthField(120, 2000), widthField(3, 70000)},
	}
	random := rand.New(rand.NewPCG(5, 6))
	for _, s := range suites {
		for i, l := range layouts {
			l := carried(s, l, 4)
			r := suiteRound(t, s.name, l, 4, 4)
			values := randomValues(random, l, 1)[0]
			seed := bytes.Repeat([]byte{byte(i)}, 32)
			want, err := r.seal(values, bytes.NewReader(seed))
			if err != nil {
				t.Fatal(err)
			}
			got, err := streamed(r, values, seed)
			if err != nil {
				t.Fatalf("%s, layout %d: %v", s.name, i, err)
			}
			checkSame(t, got, *want)
		}
	}
}

// However many processors share the work, and whatever they are faster at, the
// bytes are the same, and chunks come in order.
func TestSealersTakeTurns(t *testing.T) {
	l := Layout{{"v", 40000, 0, 32767}}
	values := randomValues(rand.New(rand.NewPCG(7, 8)), l, 1)[0]
	for _, length := range []int{1, 3000, 40000} { // 1, 2 and 20 chunks
		l[0].Length = length
		r := suiteRound(t, "rlwe2048", l, 4, 4)
		var want *Contribution
		for _, processors := range []int{1, 2, 3, 4, 9} {
			before := runtime.GOMAXPROCS(processors)
			got, err := streamed(r, values[:length], make([]byte, 32))
			runtime.GOMAXPROCS(before)
			if err != nil {
				t.Fatalf("%d values, %d processors: %v", length, processors, err)
			}
			if want == nil {
				want = &got
			}
			checkSame(t, got, *want)
		}
	}
}

func checkSame(t *testing.T, got, want Contribution) {
	t.Helper()
	if len(got.Chunks) != len(want.Chunks) || len(got.Shares) != len(want.Shares) {
		t.Fatalf("%d chunks and %d shares, want %d and %d", len(got.Chunks), len(got.Shares), len(want.Chunks), len(want.Shares))
	}
	for k := range want.Chunks {
		if !bytes.Equal(got.Chunks[k], want.Chunks[k]) {
			t.Fatalf("chunk %d differs", k)
		}
	}
	for j := range want.Shares {
		if !bytes.Equal(got.Shares[j], want.Shares[j]) {
			t.Fatalf("share %d differs", j)
		}
	}
}

func TestSealStreamOpens(t *testing.T) {
	l := Layout{{"v", 20000, 0, 32767}}
	r := newRound(t, l, 3, 3)
	values := uniformValues(l, 2, func(f Field) float64 { return f.Bound })
	f := seal(t, r, values)
	var c Contribution
	rest := values[1]
	shares, err := r.SealStream(
		func(out []float64) error { rest = rest[copy(out, rest):]; return nil },
		func(_ int, chunk []byte) error { c.Chunks = append(c.Chunks, bytes.Clone(chunk)); return nil })
	if err != nil {
		t.Fatal(err)
	}
	c.Shares = shares
	f.contributions[1] = &c
	f.checkSum(t, all(2), all(3))
}

func TestSealStreamStopsAtTheFirstError(t *testing.T) {
	l := Layout{{"before", 5, 0, 9}, {"v", 70000, 0, 32767}}
	r := suiteRound(t, "rlwe4096", l, 3, 3)
	fill := func([]float64) error { return nil }
	drop := func(int, []byte) error { return nil }
	broken := errors.New("broken")
	calls := 0
	second := func() error {
		if calls++; calls == 2 {
			return broken
		}
		return nil
	}
	if shares, err := r.SealStream(func([]float64) error { return second() }, drop); !errors.Is(err, broken) || shares != nil || calls != 2 {
		t.Errorf("a read that fails: %v after %d calls", err, calls)
	}
	calls = 0
	if shares, err := r.SealStream(fill, func(int, []byte) error { return second() }); !errors.Is(err, broken) || shares != nil || calls != 2 {
		t.Errorf("an emit that fails: %v after %d calls", err, calls)
	}
	for _, bad := range []float64{32768, -32768, math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, at := range []int{5, 12, 20000, 69999} {
			seen := 0
			_, err := r.SealStream(func(values []float64) error {
				clear(values)
				if i := at - seen; i >= 0 && i < len(values) {
					values[i] = bad
				}
				seen += len(values)
				return nil
			}, drop)
			var outside *RangeError
			if !errors.As(err, &outside) || outside.Field != "v" || outside.Index != at-5 {
				t.Errorf("%g as value %d: %v", bad, at, err)
			}
		}
	}
}

// The largest sums that a slot is made for, of both signs, are exact.
func TestSumsAtTheEndOfTheirRange(t *testing.T) {
	var l Layout
	for width := 3; width <= 120; width++ {
		l = append(l, widthField(width, 3))
	}
	for _, s := range suites {
		l := carried(s, l, 4)
		r := suiteRound(t, s.name, l, 4, 3)
		for _, sign := range []float64{1, -1} {
			f := seal(t, r, uniformValues(l, 4, func(f Field) float64 { return sign * f.Bound }))
			f.checkSum(t, all(4), all(3))
		}
	}
}

// A sum's fields take the memory that their slots need, and say the same.
func TestSumWritesItsBytes(t *testing.T) {
	l := Layout{widthField(3, 1000), widthField(30, 20), widthField(31, 20), widthField(32, 20), widthField(33, 20), widthField(62, 20), widthField(63, 20), widthField(64, 20), widthField(120, 3)}
	random := rand.New(rand.NewPCG(7, 8))
	f := seal(t, newRound(t, l, 5, 3), randomValues(random, l, 5))
	sum, err := f.open(t, all(5), all(3))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	n, err := sum.WriteTo(&b)
	if err != nil || n != int64(b.Len()) || !bytes.Equal(b.Bytes(), sum.Bytes()) {
		t.Errorf("wrote %d bytes of %d: %v", n, len(sum.Bytes()), err)
	}
	again, err := f.ParseSum(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	values := sum.Values()
	for i, want := range exactSum(l, f.values, all(5)) {
		if nearest, _ := new(big.Float).SetInt(want).Float64(); values[i] != math.Ldexp(nearest, -f.spec.Layout.fieldOf(i).FracBits) {
			t.Errorf("value %d: %g, want %v", i, values[i], want)
		}
		if sum.Integer(i).Cmp(want) != 0 || again.Integer(i).Cmp(want) != 0 {
			t.Errorf("value %d: %v, parsed %v, want %v", i, sum.Integer(i), again.Integer(i), want)
		}
	}
	full := errors.New("full")
	if _, err := sum.WriteTo(failingWriter{full}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
}

func (l Layout) fieldOf(i int) Field {
	for _, f := range l {
		if i < f.Length {
			return f
		}
		i -= f.Length
	}
	panic("no such value")
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
