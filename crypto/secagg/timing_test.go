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

// trial prepares a measurement of a class and returns what is to be timed.
type trial func(class int) func()

// welch times the two classes and returns Welch's t.
func welch(prepare trial, random *rand.Rand) float64 {
	times := [2][]float64{}
	var pooled []float64
	for range timingMeasures {
		class := random.IntN(2)
		timed := prepare(class)
		start := time.Now()
		timed()
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
func leaks(t *testing.T, prepare trial, attempts int) bool {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	welch(prepare, random) // warms up
	for range attempts {
		v := welch(prepare, random)
		t.Logf("t = %.1f", v)
		if math.Abs(v) < leakThreshold {
			return false
		}
	}
	return true
}

// leaksOnce says whether a leak shows in one of many attempts.
func leaksOnce(t *testing.T, prepare trial) bool {
	t.Helper()
	return slices.ContainsFunc(make([]int, timingAttempts), func(int) bool { return leaks(t, prepare, 1) })
}

// sampling is a trial of a sampler on buffers of two classes.
func sampling(sample func(*generator, []int64), classes [2][]draws) trial {
	g := testGenerator(1)
	out := make([]int64, len(g.buffer)/16)
	random := rand.New(rand.NewPCG(5, 6))
	return func(class int) func() {
		g.buffer = classes[class][random.IntN(len(classes[class]))]
		g.next = 0
		return func() { sample(g, out) }
	}
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
				if leaks(t, sampling(sample, classes), timingAttempts) {
					t.Errorf("%s: the time depends on what is drawn", sampler)
				}
			}
			if !leaksOnce(t, sampling(leavesEarly, classes)) {
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

// Nor must the time that sharing a key takes depend on the key: on how large
// its coefficients are, nor on their signs.
func TestSharingTakesTheSameTimeWhateverTheKey(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time: wants a machine that is not crowded, and a second of it")
	}
	source := rand.New(rand.NewPCG(7, 8))
	keys := func(of func() int64) (out [][]int64) {
		for range 64 {
			key := make([]int64, 1024)
			for k := range key {
				key[k] = of()
			}
			out = append(out, key)
		}
		return out
	}
	mixed := keys(func() int64 { return source.Int64N(2*errorBound+1) - errorBound })
	fast := kernel
	t.Cleanup(func() { kernel = fast })
	for name, of := range map[string]int64{"all zero": 0, "all negative": -errorBound} {
		classes := [2][][]int64{keys(func() int64 { return of }), mixed}
		sharing := func(combine func(weights []uint32, rows [][]byte, out []byte)) trial {
			random := testGenerator(2)
			random.refill()
			stream := random.buffer
			return func(class int) func() {
				kernel.combine = combine
				key := classes[class][source.IntN(64)]
				random.buffer, random.next = stream, 0 // the same shares of the first members
				return func() { shareKey(key, 3, 3, random) }
			}
		}
		t.Run(name, func(t *testing.T) {
			for name, combine := range map[string]func([]uint32, [][]byte, []byte){"in use": fast.combine, "plain": plain.combine} {
				if leaks(t, sharing(combine), timingAttempts) {
					t.Errorf("%s: the time depends on the key", name)
				}
			}
			if !leaksOnce(t, sharing(reducesInALoop)) {
				t.Error("a careless combination was not found out: this test shows nothing on this machine")
			}
		})
	}
}

// reducesInALoop combines as one would write it without a thought.
func reducesInALoop(weights []uint32, rows [][]byte, out []byte) {
	for k := range len(out) / 2 {
		var v uint64
		for i, w := range weights {
			v += uint64(w) * element(rows[i], k) % shamirPrime
		}
		for v >= shamirPrime {
			v -= shamirPrime
		}
		setElement(out, k, v)
	}
}

// What is careless differs from the real thing in nothing but time.
func TestTheCarelessTwinsAreTwins(t *testing.T) {
	rows := [][]byte{make([]byte, 2*64), make([]byte, 2*64), make([]byte, 2*64)}
	for _, row := range rows {
		testGenerator(4).fieldElements(row)
	}
	want, got := make([]byte, 2*64), make([]byte, 2*64)
	combinePlain([]uint32{1000, shamirPrime - 1, 7}, rows, want)
	reducesInALoop([]uint32{1000, shamirPrime - 1, 7}, rows, got)
	if !slices.Equal(got, want) {
		t.Error("the two combinations differ")
	}
	a, b := make([]int64, 5000), make([]int64, 5000)
	testGenerator(9).gaussian(a)
	leavesEarly(testGenerator(9), b)
	if !slices.Equal(a, b) {
		t.Error("the two samplers differ")
	}
}
