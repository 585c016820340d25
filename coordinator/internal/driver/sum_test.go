package driver

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// watched measures the heap while chunks are read.
type watched struct {
	blobs.Store
	reads int
	peak  uint64
}

func (w *watched) Get(name statement.Digest) ([]byte, error) {
	if w.reads++; w.reads%8 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.peak = max(w.peak, m.HeapAlloc)
	}
	return w.Store.Get(name)
}

// seal stores the contributions of n sites of a round whose committee is the
// first four, and gives what opens their sum.
func seal(t *testing.T, store blobs.Store, n, length int) *summing {
	t.Helper()
	layout := secagg.Layout{{Name: "v", Length: length, FracBits: 8, Bound: 100}}
	suite, err := secagg.SelectSuite(layout, n, 4, 3)
	if err != nil {
		t.Fatal(err)
	}
	crypto, err := secagg.NewRound(secagg.RoundSpec{ID: [32]byte{byte(n)}, Suite: suite, Layout: layout, Invited: n, Committee: 4, Threshold: 3})
	if err != nil {
		t.Fatal(err)
	}
	s := &summing{crypto: crypto, openings: map[int][]byte{}}
	shares := make([][][]byte, 4)
	values := make([]float64, length)
	for i := range n {
		for k := range values {
			values[k] = float64(i)
		}
		c, err := crypto.Seal(values)
		if err != nil {
			t.Fatal(err)
		}
		var names []statement.Digest
		for _, chunk := range c.Chunks {
			b := blobs.New(chunk)
			if err := store.Put(b); err != nil {
				t.Fatal(err)
			}
			names = append(names, b.Name())
		}
		s.contributors = append(s.contributors, fmt.Sprint(i))
		s.chunks = append(s.chunks, names)
		for j := range shares {
			shares[j] = append(shares[j], c.Shares[j])
		}
	}
	for j := range 3 {
		if s.openings[j], err = crypto.AddShares(shares[j]); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// The coordinator's memory follows the vector's length, not the number of sites
// times the length: 24 sites take no more than 4.
func TestMemoryDoesNotGrowWithTheSites(t *testing.T) {
	const length = 60_000
	files, err := blobs.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	peak := func(n int) uint64 {
		s := seal(t, files, n, length)
		runtime.GC()
		w := &watched{Store: files}
		sum, found, err := s.open(w)
		if err != nil || found != nil {
			t.Fatal(err, found)
		}
		for _, v := range sum.Values() {
			if v != float64(n*(n-1)/2) {
				t.Fatalf("a sum over %d sites is %v", n, v)
			}
		}
		if want := n * s.crypto.Chunks(); w.reads != want {
			t.Errorf("%d chunks were read, there are %d", w.reads, want)
		}
		return w.peak
	}
	few, many := peak(4), peak(24)
	t.Logf("peak heap: %d KB with 4 sites, %d KB with 24", few>>10, many>>10)
	if allowed := few + few/4; many > allowed {
		t.Errorf("24 sites take %d bytes where 4 take %d", many, few)
	}
}

// A stored contribution that rots is found before it can enter a sum, and ends
// the round.
func TestADamagedContributionEndsTheRound(t *testing.T) {
	files, err := blobs.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := seal(t, files, 4, 100)
	s.chunks[2][0] = statement.DigestOf([]byte("gone"))
	sum, found, err := s.open(files)
	if sum != nil || found == nil || err != nil {
		t.Errorf("opened %v, found %v, %v", sum, found, err)
	}
}
