package secagg

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// The benchmarks of one contribution at 16 bits (sign included) for 16 invited
// sites, all of them on the committee. Each reports values/s and, where
// something crosses the wire, bytes/value. values/core-s is the same by the
// processor time of this process, which a busy machine does not distort. Beside
// them, in the same run, stands what the same step costs without protection
// (Plain) and with what others use (LattigoCKKS, ckks_bench_test.go). The names
// are stable: docs/performance.md is made from them.
//
//	go test -run '^$' -bench . -cpu 1 ./crypto/secagg

const (
	benchSites = 16
	bench16    = 1<<15 - 1 // bound of a 16-bit value
)

// benchLengths fill whole chunks of the suite that a plan would use for them.
var benchLengths = map[string]int{"rlwe2048": 4 * 2048, "rlwe4096": 8 * 4 * 4096, "rlwe8192": 16 * 9 * 8192}

func benchRound(b *testing.B, suite string) (*Round, []float64) {
	b.Helper()
	r := newRound(b, Layout{{"v", benchLengths[suite], 0, bench16}}, benchSites, benchSites)
	if r.name != suite {
		b.Fatalf("a plan would use %s", r.name)
	}
	return r, benchValues(benchLengths[suite])
}

func benchValues(n int) []float64 {
	values := make([]float64, n)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = float64(random.IntN(2*bench16+1) - bench16)
	}
	return values
}

// stopwatch measures processor time; begin is the first thing in the loop.
type stopwatch struct {
	begun bool
	at    time.Duration
}

func (s *stopwatch) begin() {
	if !s.begun {
		s.begun, s.at = true, processorTime()
	}
}

func (s *stopwatch) report(b *testing.B, values, bytes int) {
	b.Helper()
	all := float64(values) * float64(b.N)
	b.ReportMetric(all/(processorTime()-s.at).Seconds(), "values/core-s")
	b.ReportMetric(all/b.Elapsed().Seconds(), "values/s")
	if bytes > 0 {
		b.ReportMetric(float64(bytes)/float64(values), "bytes/value")
	}
}

// BenchmarkSeal is all of a site's secure sum but the sealing of the key
// shares to their members: from float64 values to the bytes that travel.
func BenchmarkSeal(b *testing.B) {
	for _, s := range suites {
		b.Run(fmt.Sprintf("suite=%s/bits=16", s.name), func(b *testing.B) {
			r, values := benchRound(b, s.name)
			var watch stopwatch
			for b.Loop() {
				watch.begin()
				if _, err := r.Seal(values); err != nil {
					b.Fatal(err)
				}
			}
			watch.report(b, len(values), r.Chunks()*r.ChunkBytes()+benchSites*r.ShareBytes())
		})
	}
}

// BenchmarkAggregate takes one more contribution as it came over the wire:
// checks every residue and adds.
func BenchmarkAggregate(b *testing.B) {
	for _, s := range suites {
		b.Run("suite="+s.name, func(b *testing.B) {
			r, values := benchRound(b, s.name)
			c, err := r.Seal(values)
			if err != nil {
				b.Fatal(err)
			}
			sums := make([]uint64, len(r.primes)*r.degree)
			var watch stopwatch
			for b.Loop() {
				watch.begin()
				clear(sums)
				for _, chunk := range c.Chunks {
					if err := r.addChunk(chunk, sums); err != nil {
						b.Fatal(err)
					}
				}
			}
			watch.report(b, len(values), r.Chunks()*r.ChunkBytes())
		})
	}
}

// BenchmarkOpen opens the sum of two contributions with the shares of a
// threshold of the committee: interpolation, adding, decryption, decoding.
func BenchmarkOpen(b *testing.B) {
	for _, s := range suites {
		b.Run("suite="+s.name, func(b *testing.B) {
			r, values := benchRound(b, s.name)
			f := seal(b, r, [][]float64{values, values})
			openings, read := f.openings(b, all(2), all(r.spec.Threshold)), f.reader(all(2))
			var watch stopwatch
			for b.Loop() {
				watch.begin()
				if _, err := r.Open(2, read, openings); err != nil {
					b.Fatal(err)
				}
			}
			watch.report(b, len(values), 0)
		})
	}
}

// inverseTransform is the one that opening uses: the ring library's own, or its
// faster twin where the processor has one (bench_amd64_test.go).
var inverseTransform = func(r *Round, prime int, v []uint64) { r.rings[prime].INTT(v, v) }

// BenchmarkInverseNTT is the part of BenchmarkOpen that is inverse transforms.
func BenchmarkInverseNTT(b *testing.B) {
	for _, s := range suites {
		b.Run("suite="+s.name, func(b *testing.B) {
			r, values := benchRound(b, s.name)
			v := make([]uint64, r.degree)
			var watch stopwatch
			for b.Loop() {
				watch.begin()
				for range r.Chunks() {
					for i := range r.rings {
						clear(v)
						inverseTransform(r, i, v)
					}
				}
			}
			watch.report(b, len(values), 0)
		})
	}
}

// BenchmarkKeyShares shares the key of the largest ring, as every contribution
// does once, however long its vector. A value here is a coefficient of the key.
func BenchmarkKeyShares(b *testing.B) {
	s := suites[len(suites)-1]
	for _, members := range []int{3, 8, 16, 20} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			key := make([]int64, s.degree)
			random := testGenerator(1)
			random.gaussian(key)
			var watch stopwatch
			for b.Loop() {
				watch.begin()
				shareKey(key, members, Supermajority(members), random)
			}
			watch.report(b, s.degree, members*s.shareBytes())
		})
	}
}

func BenchmarkPlainFloat32Encode(b *testing.B) {
	values := benchValues(benchLengths["rlwe8192"])
	out := make([]byte, 4*len(values))
	var watch stopwatch
	for b.Loop() {
		watch.begin()
		for i, v := range values {
			binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(float32(v)))
		}
	}
	watch.report(b, len(values), len(out))
}

func BenchmarkPlainFloat64Accumulate(b *testing.B) {
	values := benchValues(benchLengths["rlwe8192"])
	sums := make([]float64, len(values))
	var watch stopwatch
	for b.Loop() {
		watch.begin()
		for i, v := range values {
			sums[i] += v
		}
	}
	watch.report(b, len(values), 0)
}

// BenchmarkSealStream seals a vector that is never in memory as a whole and
// reports how much memory that takes.
func BenchmarkSealStream(b *testing.B) {
	for _, values := range []int{1e6, 1e8} {
		b.Run(fmt.Sprintf("values=%d", values), func(b *testing.B) {
			r := newRound(b, Layout{{"v", values, 0, bench16}}, benchSites, benchSites)
			source := benchValues(1 << 16)
			h := newHeap()
			var watch stopwatch
			for b.Loop() {
				watch.begin()
				_, err := r.SealStream(
					func(out []float64) error {
						for len(out) > 0 {
							out = out[copy(out, source):]
						}
						return nil
					},
					func(chunk int, _ []byte) error {
						if chunk == r.Chunks()/2 {
							h.sample()
						}
						return nil
					})
				if err != nil {
					b.Fatal(err)
				}
			}
			watch.report(b, values, r.Chunks()*r.ChunkBytes()+benchSites*r.ShareBytes())
			b.ReportMetric(float64(h.peak)/1e6, "peak-MB")
		})
	}
}
