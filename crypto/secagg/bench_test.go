package secagg

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// Every benchmark works on the values of one contribution at 16 bits (sign
// included) for 16 invited sites, and reports values/s and, where something
// crosses the wire, bytes/value. The Plain benchmarks are what the same step
// costs without any protection.
//
//	go test -run '^$' -bench . ./crypto/secagg

const benchSites = 16

// benchLengths fill a few chunks of each suite.
var benchLengths = map[string]int{"rlwe2048": 8 * 2048, "rlwe4096": 8 * 4 * 4096, "rlwe8192": 8 * 9 * 8192}

func bench16(b *testing.B, suite string, committee int) (*Round, []float64) {
	b.Helper()
	r := suiteRound(b, suite, Layout{{"v", benchLengths[suite], 0, 1<<15 - 1}}, benchSites, committee)
	values := make([]float64, r.packing.values)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = float64(random.IntN(1<<16-1) - (1<<15 - 1))
	}
	return r, values
}

func report(b *testing.B, values, bytes int) {
	b.ReportMetric(float64(values)*float64(b.N)/b.Elapsed().Seconds(), "values/s")
	if bytes > 0 {
		b.ReportMetric(float64(bytes)/float64(values), "bytes/value")
	}
}

// BenchmarkSeal includes the key shares, for a committee of two.
func BenchmarkSeal(b *testing.B) {
	for _, s := range suites {
		b.Run(fmt.Sprintf("suite=%s/bits=16", s.name), func(b *testing.B) {
			r, values := bench16(b, s.name, 2)
			for b.Loop() {
				if _, err := r.Seal(values); err != nil {
					b.Fatal(err)
				}
			}
			report(b, len(values), r.Chunks()*r.ChunkBytes()+2*r.ShareBytes())
		})
	}
}

// BenchmarkAggregate checks and adds one more contribution.
func BenchmarkAggregate(b *testing.B) {
	for _, s := range suites {
		b.Run(fmt.Sprintf("suite=%s/bits=16", s.name), func(b *testing.B) {
			r, values := bench16(b, s.name, 2)
			c, err := r.Seal(values)
			if err != nil {
				b.Fatal(err)
			}
			sums := make([]uint64, len(r.primes)*r.degree)
			for b.Loop() {
				clear(sums)
				for _, chunk := range c.Chunks {
					if err := r.addChunk(chunk, sums); err != nil {
						b.Fatal(err)
					}
				}
			}
			report(b, len(values), r.Chunks()*r.ChunkBytes())
		})
	}
}

// BenchmarkOpen opens a sum of two contributions with a threshold of two.
func BenchmarkOpen(b *testing.B) {
	for _, s := range suites {
		b.Run(fmt.Sprintf("suite=%s/bits=16", s.name), func(b *testing.B) {
			r, values := bench16(b, s.name, 2)
			f := seal(b, r, [][]float64{values, values})
			openings, read := f.openings(b, all(2), all(2)), f.reader(all(2))
			for b.Loop() {
				if _, err := r.Open(2, read, openings); err != nil {
					b.Fatal(err)
				}
			}
			report(b, len(values), 0)
		})
	}
}

// BenchmarkKeyShares shares one key; its cost does not depend on the vector.
func BenchmarkKeyShares(b *testing.B) {
	for _, s := range suites {
		for _, committee := range []int{5, 17} {
			b.Run(fmt.Sprintf("suite=%s/committee=%d", s.name, committee), func(b *testing.B) {
				key := make([]int64, s.degree)
				random := testGenerator(1)
				random.gaussian(key)
				for b.Loop() {
					shareKey(key, committee, Supermajority(committee), random)
				}
				b.ReportMetric(float64(committee*s.shareBytes()), "bytes")
			})
		}
	}
}

func BenchmarkPlainFloat32Encode(b *testing.B) {
	_, values := bench16(b, "rlwe8192", 2)
	out := make([]byte, 4*len(values))
	for b.Loop() {
		for i, v := range values {
			binary.LittleEndian.PutUint32(out[4*i:], math.Float32bits(float32(v)))
		}
	}
	report(b, len(values), len(out))
}

func BenchmarkPlainFloat64Accumulate(b *testing.B) {
	_, values := bench16(b, "rlwe8192", 2)
	sums := make([]float64, len(values))
	for b.Loop() {
		for i, v := range values {
			sums[i] += v
		}
	}
	report(b, len(values), 0)
}
