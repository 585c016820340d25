package secagg

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// open(sum(seal(v_i))) == sum(v_i), in every suite and for every width of slot
// that a sum over the sites leaves room for, with values at and between the
// extremes.
func TestSumIsExactForEveryWidth(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, 6))
			for _, sites := range []int{2, 5} {
				var l Layout
				for w := 1; w+1+headroom(sites) <= maxSlotBits; w++ {
					l = append(l, widthField(w, 1+random.IntN(12)))
				}
				l = carried(s, l, sites)
				r := suiteRound(t, s.name, l, sites, sites)
				seal(t, r, randomValues(random, l, sites)).checkSum(t, all(sites), all(sites))
			}
		})
	}
}

func TestSumIsExactAtTheExtremes(t *testing.T) {
	extremes := map[string]func(Field) float64{
		"maxima": func(f Field) float64 { return f.Bound },
		"minima": func(f Field) float64 { return -f.Bound },
		"zeros":  func(Field) float64 { return 0 },
		"signs":  func(f Field) float64 { return math.Copysign(0, -1) },
	}
	for _, s := range suites {
		for name, of := range extremes {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				const sites = 3
				var l Layout
				for _, w := range []int{1, 2, 15, 16, 31, 32, 60, 61, 62, 63, 64, 82, 83, 84, 92, 124} {
					l = append(l, widthField(w, 9))
				}
				l = carried(s, l, sites)
				r := suiteRound(t, s.name, l, sites, sites)
				seal(t, r, uniformValues(l, sites, of)).checkSum(t, all(sites), all(sites))
			})
		}
	}
}

// Any number of sites, any survivors, any committee, any openers, any layout.
func TestSumIsExactForSurvivorsAndOpeners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sites := rapid.IntRange(2, 64).Draw(t, "sites")
		committee := rapid.IntRange(2, min(sites, 12)).Draw(t, "committee")
		threshold := rapid.IntRange(committee/2+1, committee).Draw(t, "threshold")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var l Layout
		for i := range rapid.IntRange(1, 4).Draw(t, "fields") {
			f := widthField(rapid.IntRange(1, maxSlotBits-1-bits.Len(uint(sites-1))).Draw(t, "bits"), rapid.IntRange(1, 300).Draw(t, "length"))
			f.Name = fmt.Sprint(f.Name, " ", i)
			f.Bound *= 1 - rapid.Float64Range(0, 0.4).Draw(t, "below")
			l = append(l, f)
		}
		r := newRoundRapid(t, l, sites, committee, threshold)
		f := &federation{Round: r, values: randomValues(random, l, sites)}
		for _, v := range f.values {
			c, err := r.Seal(v)
			if err != nil {
				t.Fatal(err)
			}
			f.contributions = append(f.contributions, c)
		}
		survivors, openers := some(random, sites, 2), some(random, committee, threshold)
		openings := map[int][]byte{}
		for _, j := range openers {
			var shares [][]byte
			for _, i := range survivors {
				shares = append(shares, f.contributions[i].Shares[j])
			}
			opening, err := r.AddShares(shares)
			if err != nil {
				t.Fatal(err)
			}
			openings[j] = opening
		}
		sum, err := r.Open(len(survivors), f.reader(survivors), openings)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range exactSum(l, f.values, survivors) {
			if sum.Integer(i).Cmp(want) != 0 {
				t.Fatalf("value %d: %v, want %v", i, sum.Integer(i), want)
			}
		}
	})
}

func newRoundRapid(t *rapid.T, l Layout, sites, committee, threshold int) *Round {
	suite, err := SelectSuite(l, sites, committee, threshold)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRound(RoundSpec{ID: [32]byte{4}, Suite: suite, Layout: l, Invited: sites, Committee: committee, Threshold: threshold})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEverySubsetOfSurvivorsAndOpeners(t *testing.T) {
	const sites = 5
	l := Layout{{"a", 7, 3, 100}, {"b", 2, 60, 1e9}}
	f := seal(t, newRound(t, l, sites, sites), randomValues(rand.New(rand.NewPCG(7, 8)), l, sites))
	subset := func(mask int) (out []int) {
		for i := range sites {
			if mask>>i&1 != 0 {
				out = append(out, i)
			}
		}
		return out
	}
	opened := 0
	for u := range 1 << sites {
		for o := range 1 << sites {
			if bits.OnesCount(uint(u)) >= 2 && bits.OnesCount(uint(o)) >= f.spec.Threshold {
				f.checkSum(t, subset(u), subset(o))
				opened++
			}
		}
	}
	if opened != 26*6 { // 2..5 of 5 contributors, 4 or 5 of 5 members
		t.Errorf("%d pairs of subsets opened", opened)
	}
}

func TestAThousandSites(t *testing.T) {
	alone(t)
	const sites = 1000
	l := Layout{{"narrow", 20, 0, 1}, {"wide", 5, 40, 1 << 40}}
	r := newRound(t, l, sites, 7)
	random := rand.New(rand.NewPCG(9, 10))
	f := seal(t, r, randomValues(random, l, sites))
	f.checkSum(t, all(sites), all(7))
	f.checkSum(t, some(random, sites, 900), []int{0, 2, 3, 5, 6})

	maxima := seal(t, r, uniformValues(l, sites, func(f Field) float64 { return f.Bound }))
	maxima.checkSum(t, all(sites), all(7))
}

// Vectors longer than a chunk, in the suite that the layout calls for.
func TestLongVectors(t *testing.T) {
	alone(t)
	random := rand.New(rand.NewPCG(11, 12))
	for _, l := range []Layout{
		{{"v", 20000, 0, 32767}},
		{{"a", 5000, 44, 1 << 30}, {"b", 2500, 10, 3}, {"c", 1, 0, 1}},
		{{"v", 80000, 0, 127}, {"w", 1, 0, 127}},
	} {
		for _, s := range suites {
			l := carried(s, l, 3)
			r := suiteRound(t, s.name, l, 3, 3)
			seal(t, r, randomValues(random, l, 3)).checkSum(t, []int{0, 2}, all(3))
		}
	}
}

// A repeated opening of the same set yields identical bytes, whoever answers.
func TestOpeningAgainGivesTheSameBytes(t *testing.T) {
	l := Layout{{"v", 50, 20, 1000}}
	f := seal(t, newRound(t, l, 6, 6), randomValues(rand.New(rand.NewPCG(13, 14)), l, 6))
	first, err := f.open(t, all(6), all(6))
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.open(t, all(6), []int{0, 2, 3, 4, 5})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same set opened to different bytes")
	}
}

func TestSumBytesRoundTrip(t *testing.T) {
	l := Layout{{"narrow", 20, 2, 1000}, {"wide", 20, 70, 1e10}}
	f := seal(t, newRound(t, l, 4, 4), randomValues(rand.New(rand.NewPCG(15, 16)), l, 4))
	sum, err := f.open(t, []int{0, 1, 3}, all(4))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := f.ParseSum(sum.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(parsed.Bytes(), sum.Bytes()) || parsed.Contributors() != 3 {
		t.Error("parsing changed the sum")
	}
	for i, v := range sum.Values() {
		if parsed.Values()[i] != v {
			t.Fatalf("value %d changed", i)
		}
	}
}

// The simulator's unencrypted contributions open like any other, alone or
// among sealed ones.
func TestUnencryptedContributionsOpen(t *testing.T) {
	l := Layout{{"v", 50, 20, 1000}, {"w", 3, 60, 1e9}}
	r := newRound(t, l, 3, 3)
	f := seal(t, r, randomValues(rand.New(rand.NewPCG(17, 18)), l, 3))
	for i := range 3 {
		c, err := Unencrypted(r, f.values[i])
		if err != nil {
			t.Fatal(err)
		}
		f.contributions[i] = c
		f.checkSum(t, all(3), all(3))
	}
}

// One round seals, adds and opens in many goroutines at once. Run with -race.
func TestRoundIsSafeForConcurrentUse(t *testing.T) {
	l := Layout{{"v", 30, 8, 100}}
	r := newRound(t, l, 4, 4)
	values := randomValues(rand.New(rand.NewPCG(19, 20)), l, 4)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			f := &federation{Round: r, values: values}
			for _, v := range values {
				c, err := r.Seal(v)
				if err != nil {
					t.Error(err)
					return
				}
				f.contributions = append(f.contributions, c)
			}
			openings := map[int][]byte{}
			for j := range 4 {
				var shares [][]byte
				for _, c := range f.contributions {
					shares = append(shares, c.Shares[j])
				}
				opening, err := r.AddShares(shares)
				if err != nil {
					t.Error(err)
					return
				}
				openings[j] = opening
			}
			sum, err := r.Open(4, f.reader(all(4)), openings)
			if err != nil {
				t.Error(err)
				return
			}
			for i, want := range exactSum(l, values, all(4)) {
				if sum.Integer(i).Cmp(want) != 0 {
					t.Errorf("value %d differs", i)
				}
			}
		})
	}
	wait.Wait()
}

// The coordinator holds one chunk at a time: Open asks for all contributors'
// chunk 0, then all contributors' chunk 1, and needs a chunk no longer once it
// asks for the next.
func TestOpenKeepsOneChunkAtATime(t *testing.T) {
	l := Layout{{"v", 9000, 0, 1e6}}
	r := suiteRound(t, "rlwe2048", l, 3, 3)
	if r.Chunks() < 4 {
		t.Fatalf("%d chunks are too few to tell", r.Chunks())
	}
	f := seal(t, r, randomValues(rand.New(rand.NewPCG(21, 22)), l, 3))
	one := make([]byte, r.ChunkBytes()) // the only memory that ever holds a chunk
	asked := 0
	sum, err := r.Open(3, func(i, c int) ([]byte, error) {
		if c != asked/3 || i != asked%3 {
			t.Fatalf("asked for chunk %d of contributor %d as number %d", c, i, asked)
		}
		asked++
		copy(one, f.contributions[i].Chunks[c])
		return one, nil
	}, f.openings(t, all(3), all(3)))
	if err != nil {
		t.Fatal(err)
	}
	if asked != 3*r.Chunks() {
		t.Errorf("asked %d times", asked)
	}
	for i, want := range exactSum(l, f.values, all(3)) {
		if sum.Integer(i).Cmp(want) != 0 {
			t.Fatalf("value %d differs", i)
		}
	}
}

// What Open allocates does not grow with the number of contributors. What it takes
// from a pool, and finds there or not, is not counted: the least of some openings is.
func TestOpenMemoryDoesNotGrowWithContributors(t *testing.T) {
	l := Layout{{"v", 9000, 0, 1e6}}
	allocated := func(sites int) float64 {
		r := suiteRound(t, "rlwe2048", l, 64, 2)
		f := seal(t, r, uniformValues(l, sites, func(Field) float64 { return 1 }))
		openings, read := f.openings(t, all(sites), all(2)), f.reader(all(sites))
		least := math.Inf(1)
		for range 20 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := r.Open(sites, read, openings); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			least = min(least, float64(after.TotalAlloc-before.TotalAlloc))
		}
		return least
	}
	few, many := allocated(2), allocated(40)
	if many > 1.1*few {
		t.Errorf("opening allocates %.0f bytes for 2 contributors and %.0f for 40", few, many)
	}
}
