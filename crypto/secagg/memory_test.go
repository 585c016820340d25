package secagg

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// heap measures live memory: what is reachable now, on top of what was when it
// was made. It collects garbage first, so that the figure does not depend on
// when the collector happens to run.
type heap struct {
	mu         sync.Mutex
	base, peak int64
}

func newHeap() *heap {
	h := &heap{}
	runtime.GC() // pools are emptied by the second collection
	h.sample()
	h.base, h.peak = h.peak, 0
	return h
}

func (h *heap) sample() {
	h.mu.Lock()
	defer h.mu.Unlock()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.peak = max(h.peak, int64(m.HeapAlloc)-h.base)
}

// openPeak is the most memory that opening a sum takes, the sum included,
// beside the length of one contribution's ciphertext. The sites take turns to
// send one of two contributions, read afresh each time as from a disk.
func openPeak(t testing.TB, sites, chunks int) (peak, packed int64) {
	t.Helper()
	slots := newPacking(Layout{{"v", 1, 0, bench16}}, sites, suites[2]).segments[0].perCoeff
	r := suiteRound(t, suites[2].name, Layout{{"v", chunks * slots * suites[2].degree, 0, bench16}}, sites, min(sites, 20))
	values := benchValues(r.packing.values)
	two := seal(t, r, [][]float64{values, values})
	turns := make([]int, sites)
	for i := range turns {
		turns[i] = i % 2
	}
	openings := two.openings(t, turns, all(r.spec.Threshold))
	h := newHeap()
	sum, err := r.Open(sites, func(contributor, chunk int) ([]byte, error) {
		if contributor%(sites/2) == 0 {
			h.sample()
		}
		return bytes.Clone(two.contributions[turns[contributor]].Chunks[chunk]), nil
	}, openings)
	if err != nil {
		t.Fatal(err)
	}
	h.sample()
	runtime.KeepAlive(sum)
	runtime.KeepAlive(two)
	runtime.KeepAlive(values)
	return h.peak, int64(chunks * r.ChunkBytes())
}

// Target "memory at the coordinator" of the cost model: O(vector), not
// O(sites x vector), and at most three packed vectors, the opened sum included.
// The sum's canonical bytes, 16 to a value, are not: Sum.WriteTo streams them.
func TestOpenTakesThreePackedVectorsWhateverTheSites(t *testing.T) {
	const chunks = 8
	most := 320
	if testing.Short() {
		most = 60
	}
	few, packed := openPeak(t, 20, chunks)
	many, _ := openPeak(t, most, chunks)
	t.Logf("20 sites: %.2f packed vectors, %d sites: %.2f", float64(few)/float64(packed), most, float64(many)/float64(packed))
	if worst := max(few, many); worst > 3*packed {
		t.Errorf("opening takes %d bytes, %.2f packed vectors", worst, float64(worst)/float64(packed))
	}
	if many > few+packed/4 {
		t.Errorf("opening takes %d bytes for 20 sites and %d for %d, where one vector has %d", few, many, most, packed)
	}
}

// BenchmarkOpenPeak reports the memory of opening in packed vectors.
func BenchmarkOpenPeak(b *testing.B) {
	for _, sites := range []int{16, 256} {
		b.Run(fmt.Sprintf("sites=%d", sites), func(b *testing.B) {
			var peak, packed int64
			for b.Loop() {
				peak, packed = openPeak(b, sites, 16)
			}
			b.ReportMetric(float64(peak)/float64(packed), "peak/packed")
		})
	}
}

// Target "10^8 values go through in constant memory at the site".
func TestSealStreamNeedsMemoryForAChunkOrTwo(t *testing.T) {
	few, chunk := streamPeak(t, 4)
	many, _ := streamPeak(t, 64)
	t.Logf("4 chunks: %.1f chunks of memory, 64 chunks: %.1f", float64(few)/float64(chunk), float64(many)/float64(chunk))
	if many > few+chunk/2 {
		t.Errorf("sealing 4 chunks takes %d bytes and 64 chunks %d, where a chunk has %d", few, many, chunk)
	}
}

// streamPeak is the most memory that sealing a vector of so many chunks takes.
func streamPeak(t testing.TB, chunks int) (peak, chunkBytes int64) {
	t.Helper()
	const sites = 16
	slots := newPacking(Layout{{"v", 1, 0, bench16}}, sites, suites[2]).segments[0].perCoeff
	r := suiteRound(t, suites[2].name, Layout{{"v", chunks * slots * suites[2].degree, 0, bench16}}, sites, sites)
	h := newHeap()
	_, err := r.SealStream(
		func(values []float64) error {
			for i := range values {
				values[i] = float64(i % bench16)
			}
			return nil
		},
		func(chunk int, _ []byte) error {
			if chunk%(chunks/4) == 0 || chunk == chunks-1 {
				h.sample()
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return h.peak, int64(r.ChunkBytes())
}
