package secagg

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// federation is a whole round in memory: what every site sealed and the exact
// sum of what it encoded.
type federation struct {
	*Round
	contributions []*Contribution
	values        [][]float64
}

func newRound(t testing.TB, l Layout, invited, committee int) *Round {
	t.Helper()
	return newRoundWith(t, l, invited, committee, Supermajority(committee))
}

func newRoundWith(t testing.TB, l Layout, invited, committee, threshold int) *Round {
	t.Helper()
	suite, err := SelectSuite(l, invited, committee, threshold)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRound(RoundSpec{ID: [32]byte{byte(invited), 9}, Suite: suite, Layout: l, Invited: invited, Committee: committee, Threshold: threshold})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// carried are the fields of a layout that a suite's coefficients are as wide as.
func carried(s *suite, l Layout, invited int) Layout {
	return slices.DeleteFunc(slices.Clone(l), func(f Field) bool { return !s.carries(Layout{f}, invited) })
}

// suiteRound is a round of the given suite whatever its layout calls for, so
// that small vectors reach the large rings.
func suiteRound(t testing.TB, suite string, l Layout, invited, committee int) *Round {
	t.Helper()
	if err := l.Validate(invited); err != nil {
		t.Fatal(err)
	}
	a := arithmetics[suite]()
	if !a.carries(l, invited) {
		t.Fatalf("%s does not carry %v", suite, l)
	}
	spec := RoundSpec{ID: [32]byte{byte(invited), 8}, Suite: suite, Layout: l, Invited: invited, Committee: committee, Threshold: Supermajority(committee)}
	return &Round{spec: spec, packing: newPacking(l, invited, a.suite), arithmetic: a}
}

// seal seals one vector for each contributor.
func seal(t testing.TB, r *Round, values [][]float64) *federation {
	t.Helper()
	f := &federation{Round: r, values: values}
	for _, v := range values {
		c, err := r.Seal(v)
		if err != nil {
			t.Fatal(err)
		}
		f.contributions = append(f.contributions, c)
	}
	return f
}

// openings is what the given members answer for the given contributors.
func (f *federation) openings(t testing.TB, contributors, members []int) map[int][]byte {
	t.Helper()
	out := map[int][]byte{}
	for _, j := range members {
		var shares [][]byte
		for _, i := range contributors {
			shares = append(shares, f.contributions[i].Shares[j])
		}
		opening, err := f.AddShares(shares)
		if err != nil {
			t.Fatal(err)
		}
		out[j] = opening
	}
	return out
}

func (f *federation) reader(contributors []int) func(int, int) ([]byte, error) {
	return func(i, c int) ([]byte, error) { return f.contributions[contributors[i]].Chunks[c], nil }
}

func (f *federation) open(t testing.TB, contributors, members []int) (*Sum, error) {
	t.Helper()
	return f.Open(len(contributors), f.reader(contributors), f.openings(t, contributors, members))
}

// checkSum opens and compares every integer with the exact sum.
func (f *federation) checkSum(t testing.TB, contributors, members []int) {
	t.Helper()
	sum, err := f.open(t, contributors, members)
	if err != nil {
		t.Fatalf("contributors %v, members %v: %v", contributors, members, err)
	}
	if sum.Contributors() != len(contributors) {
		t.Errorf("contributors: %d, want %d", sum.Contributors(), len(contributors))
	}
	want := exactSum(f.spec.Layout, f.values, contributors)
	floats := sum.Values()
	i := 0
	for _, field := range f.spec.Layout {
		for k := range field.Length {
			if got := sum.Integer(i); got.Cmp(want[i]) != 0 {
				t.Fatalf("suite %s, field %+v, value %d: %v, want %v", f.spec.Suite, field, k, got, want[i])
			}
			rational := new(big.Rat).SetFrac(want[i], new(big.Int).Lsh(big.NewInt(1), uint(field.FracBits)))
			if nearest, _ := rational.Float64(); floats[i] != nearest {
				t.Fatalf("suite %s, field %+v, value %d: %g, want %g", f.spec.Suite, field, k, floats[i], nearest)
			}
			i++
		}
	}
}

// exactSum rounds and adds with rationals.
func exactSum(l Layout, values [][]float64, contributors []int) []*big.Int {
	out := make([]*big.Int, l.Length())
	i := 0
	for _, f := range l {
		for range f.Length {
			out[i] = new(big.Int)
			for _, c := range contributors {
				out[i].Add(out[i], nearestInteger(values[c][i], f.FracBits))
			}
			i++
		}
	}
	return out
}

// nearestInteger is v * 2^fracBits rounded to nearest, ties to even.
func nearestInteger(v float64, fracBits int) *big.Int {
	x := new(big.Rat).SetFloat64(v)
	x.Mul(x, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(fracBits))))
	floor := new(big.Int).Div(x.Num(), x.Denom()) // Euclidean: floor, the denominator is positive
	rest := x.Sub(x, new(big.Rat).SetInt(floor))
	switch half := rest.Cmp(big.NewRat(1, 2)); {
	case half > 0, half == 0 && floor.Bit(0) == 1:
		floor.Add(floor, big.NewInt(1))
	}
	return floor
}

func all(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func some(r *rand.Rand, n, least int) []int {
	picked := r.Perm(n)[:least+r.IntN(n-least+1)]
	slices.Sort(picked)
	return picked
}

// randomValues mixes uniform values with the extremes of each field.
func randomValues(r *rand.Rand, l Layout, sites int) [][]float64 {
	out := make([][]float64, sites)
	for s := range out {
		for _, f := range l {
			for range f.Length {
				v := f.Bound * (2*r.Float64() - 1)
				switch r.IntN(8) {
				case 0:
					v = f.Bound
				case 1:
					v = -f.Bound
				case 2:
					v = 0
				case 3: // halfway between two integers, where it can be
					v = math.Ldexp(math.RoundToEven(math.Ldexp(v, f.FracBits))+0.5, -f.FracBits)
					v = min(max(v, -f.Bound), f.Bound)
				}
				out[s] = append(out[s], v)
			}
		}
	}
	return out
}

func uniformValues(l Layout, sites int, of func(Field) float64) [][]float64 {
	out := make([][]float64, sites)
	for s := range out {
		for _, f := range l {
			out[s] = append(out[s], slices.Repeat([]float64{of(f)}, f.Length)...)
		}
	}
	return out
}

// widthField is a field whose integer bound has exactly the given bits.
func widthField(bits, length int) Field {
	frac := max(0, bits-50)
	return Field{Name: fmt.Sprintf("w%d", bits), Length: length, FracBits: frac, Bound: math.Ldexp(1, bits-1-frac)}
}

func cloneOpenings(m map[int][]byte) map[int][]byte {
	out := maps.Clone(m)
	for k, v := range out {
		out[k] = slices.Clone(v)
	}
	return out
}

// alone keeps a test out of the run under the race detector, in which one goroutine
// computes and no other is there.
func alone(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out what one goroutine computes alone, and takes long")
	}
}
