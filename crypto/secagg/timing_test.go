package secagg

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// How long the sampler takes must not depend on what it draws. The test is that
// of Reparaz, Balasch and Verbauwhede ("dude, is my code constant time?", DATE
// 2017): time two classes of input in random order, drop the slowest
// measurements, which are the machine's and not the code's, and compare the
// means with Welch's t. Beyond leakThreshold they call a leak certain enough.
//
// Noise can push a single t over the threshold, a leak does so every time: only
// a leak in all attempts fails the test. A sampler that leaves its table early
// is measured beside it and must be found out. What it does not see: anything
// finer than the clock, and what another processor would do.
const (
	leakThreshold    = 10
	timingAttempts   = 8
	timingMeasures   = 6000
	timingCutPercent = 80
)

// draws is what a generator's buffer holds.
type draws = [len(generator{}.buffer)]byte

// drawn is a generator's buffer in which every 128-bit draw is what of gives.
func drawn(of func() (hi, lo uint64)) (buffer draws) {
	for k := 0; k < len(buffer); k += 16 {
		hi, lo := of()
		binary.LittleEndian.PutUint64(buffer[k:], hi)
		binary.LittleEndian.PutUint64(buffer[k+8:], lo)
	}
	return buffer
}

// welch times sample on buffers of two classes and returns Welch's t.
func welch(sample func(*generator, []int64), classes [2][]draws, random *rand.Rand) float64 {
	g := testGenerator(1)
	out := make([]int64, len(g.buffer)/16)
	times := [2][]float64{}
	var pooled []float64
	for range timingMeasures {
		class := random.IntN(2)
		g.buffer = classes[class][random.IntN(len(classes[class]))]
		g.next = 0
		start := time.Now()
		sample(g, out)
		took := float64(time.Since(start))
		times[class] = append(times[class], took)
		pooled = append(pooled, took)
	}
	slices.Sort(pooled)
	limit := pooled[len(pooled)*timingCutPercent/100]
	var mean, variance, n [2]float64
	for class := range times {
		for _, v := range times[class] {
			if v <= limit {
				n[class]++
				d := v - mean[class]
				mean[class] += d / n[class]
				variance[class] += d * (v - mean[class])
			}
		}
		if n[class] < 2 {
			return math.Inf(1) // nearly all of a class is slower: no test is needed
		}
		variance[class] /= n[class] - 1
	}
	return (mean[0] - mean[1]) / math.Sqrt(variance[0]/n[0]+variance[1]/n[1]+1e-9)
}

// leaks says whether the class of the input shows in that many attempts in a row.
func leaks(t *testing.T, sample func(*generator, []int64), classes [2][]draws, attempts int) bool {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	welch(sample, classes, random) // warms up
	for range attempts {
		v := welch(sample, classes, random)
		t.Logf("t = %.1f", v)
		if math.Abs(v) < leakThreshold {
			return false
		}
	}
	return true
}

func TestSamplerTakesTheSameTimeWhateverItDraws(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time: wants a machine that is not crowded, and a second of it")
	}
	source := rand.New(rand.NewPCG(3, 4))
	anything := func() (hi, lo uint64) { return source.Uint64(), source.Uint64() }
	many := func(of func() (hi, lo uint64)) (out []draws) {
		for range 64 {
			out = append(out, drawn(of))
		}
		return out
	}
	mixed := many(anything)
	samplers := map[string]func(*generator, []int64){"in use": kernel.gaussian, "plain": plain.gaussian}
	for name, class := range map[string]struct {
		draw func() (hi, lo uint64)
		want int64
	}{
		"all zero":           {func() (hi, lo uint64) { return 0, 0 }, 0},
		"all at the far end": {func() (hi, lo uint64) { return math.MaxUint64, math.MaxUint64 }, -errorBound},
	} {
		t.Run(name, func(t *testing.T) {
			fixed := many(class.draw)
			// The classes reach the sampler: it gives what they say.
			g := testGenerator(1)
			g.buffer, g.next = fixed[0], 0
			out := make([]int64, len(g.buffer)/16)
			g.gaussian(out)
			if !slices.Equal(out, slices.Repeat([]int64{class.want}, len(out))) {
				t.Fatal("the sampler does not draw from the buffer that this test fills")
			}
			classes := [2][]draws{fixed, mixed}
			for sampler, sample := range samplers {
				if leaks(t, sample, classes, timingAttempts) {
					t.Errorf("%s: the time depends on what is drawn", sampler)
				}
			}
			if !slices.ContainsFunc(make([]int, timingAttempts), func(int) bool { return leaks(t, leavesEarly, classes, 1) }) {
				t.Error("a sampler that leaves its table early was not found out: this test shows nothing on this machine")
			}
		})
	}
}

// leavesEarly is the sampler as one would write it without a thought.
func leavesEarly(g *generator, out []int64) {
	for k := range out {
		hi, lo := g.uint64(), g.uint64()
		magnitude := int64(0)
		for _, entry := range gaussianTable {
			_, borrow := bits.Sub64(lo, entry.lo, 0)
			if _, borrow = bits.Sub64(hi, entry.hi, borrow); borrow == 1 {
				break
			}
			magnitude++
		}
		if lo&1 == 1 {
			magnitude = -magnitude
		}
		out[k] = magnitude
	}
}

// The careless sampler differs from the real one in nothing but time.
func TestTheCarelessSamplerDrawsTheSame(t *testing.T) {
	a, b := make([]int64, 5000), make([]int64, 5000)
	testGenerator(9).gaussian(a)
	leavesEarly(testGenerator(9), b)
	if !slices.Equal(a, b) {
		t.Error("the two samplers differ")
	}
}
