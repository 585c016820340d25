package secagg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// FuzzCheckChunk: nothing panics, and what is accepted is canonical: unpacking
// and packing again gives the same bytes.
func FuzzCheckChunk(f *testing.F) {
	s := suites[0]
	f.Add(make([]byte, s.chunkBytes()))
	f.Add(bytes.Repeat([]byte{0xff}, s.chunkBytes()))
	f.Add([]byte{})
	f.Add(make([]byte, s.chunkBytes()-1))
	good := make([]byte, s.chunkBytes())
	residues := make([]uint64, s.degree)
	testGenerator(1).uniform(residues, s.primes[0].p)
	packResidues(residues, good)
	f.Add(good)
	r := suiteRound(f, s.name, Layout{{"v", 1, 0, 1}}, 2, 2)
	f.Fuzz(func(t *testing.T, chunk []byte) {
		before := bytes.Clone(chunk)
		err := r.CheckChunk(chunk)
		sums := make([]uint64, s.degree)
		if added := r.addChunk(chunk, sums); (added == nil) != (err == nil) {
			t.Fatalf("check: %v, add: %v", err, added)
		}
		if !bytes.Equal(before, chunk) {
			t.Fatal("the chunk was changed")
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		again := make([]byte, len(chunk))
		packResidues(sums, again)
		if !bytes.Equal(again, chunk) {
			t.Fatal("an accepted chunk is not canonical")
		}
	})
}

// FuzzAddShares: nothing panics, a sum of accepted shares is a share, and
// adding does not depend on the order.
func FuzzAddShares(f *testing.F) {
	r := suiteRound(f, "rlwe2048", Layout{{"v", 1, 0, 1}}, 3, 2)
	n := r.ShareBytes()
	f.Add(make([]byte, n), make([]byte, n))
	f.Add(bytes.Repeat([]byte{0xff}, n), make([]byte, n))
	f.Add(bytes.Repeat([]byte{0xfe, 0xff, 0xff, 0x7f}, n/4), bytes.Repeat([]byte{0xfe, 0xff, 0xff, 0x7f}, n/4))
	f.Add([]byte{}, []byte{1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		sum, err := r.AddShares([][]byte{a, b})
		if (err == nil) != (r.CheckShare(a) == nil && r.CheckShare(b) == nil) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		if err := r.CheckShare(sum); err != nil {
			t.Fatal(err)
		}
		other, err := r.AddShares([][]byte{b, a})
		if err != nil || !bytes.Equal(sum, other) {
			t.Fatal("the order of shares matters")
		}
	})
}

// FuzzParseSum: nothing panics, and what is accepted is the one encoding.
func FuzzParseSum(f *testing.F) {
	l := Layout{{"a", 2, 3, 100}, {"b", 1, 70, 1e10}}
	r := newRound(f, l, 3, 3)
	fed := seal(f, r, uniformValues(l, 3, func(f Field) float64 { return -f.Bound }))
	sum, err := fed.open(f, all(3), all(3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sum.Bytes())
	f.Add(sum.Bytes()[:40])
	f.Add(append(sum.Bytes(), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := r.ParseSum(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(s.Bytes(), b) {
			t.Fatal("an accepted sum is not canonical")
		}
		for i, v := range s.Values() {
			if limit := []float64{100, 100, 1e10}[i]; math.Abs(v) > limit*float64(s.Contributors()) {
				t.Fatal("an accepted sum is beyond its bound")
			}
		}
	})
}

// FuzzOpen: whatever a contributor and a member send, Open gives the exact sum
// or an error.
func FuzzOpen(f *testing.F) {
	l := Layout{{"v", 8, 2, 100}}
	r := newRoundWith(f, l, 4, 4, 3)
	fed := seal(f, r, uniformValues(l, 4, func(f Field) float64 { return 12.25 }))
	openings := fed.openings(f, all(4), all(4))
	f.Add(uint16(0), byte(1), uint16(0), byte(0))
	f.Add(uint16(0), byte(0), uint16(3), byte(1))
	f.Add(uint16(13567), byte(128), uint16(4095), byte(128))
	f.Fuzz(func(t *testing.T, at uint16, flip byte, shareAt uint16, shareFlip byte) {
		damaged := bytes.Clone(fed.contributions[2].Chunks[0])
		damaged[int(at)%len(damaged)] ^= flip
		answers := cloneOpenings(openings)
		answers[1][int(shareAt)%r.ShareBytes()] ^= shareFlip
		sum, err := r.Open(4, func(i, c int) ([]byte, error) {
			if i == 2 {
				return damaged, nil
			}
			return fed.contributions[i].Chunks[c], nil
		}, answers)
		if (err == nil) != (flip == 0 && shareFlip == 0) {
			t.Fatalf("flip %d at %d, %d at %d: %v", flip, at, shareFlip, shareAt, err)
		}
		if err == nil && sum.Values()[0] != 49 {
			t.Fatal(sum.Values())
		}
	})
}

// FuzzLayout: a layout that is accepted seals and opens its extremes.
func FuzzLayout(f *testing.F) {
	f.Add(10, 0, 1.0, 3)
	f.Add(3, 40, 1e10, 64)
	f.Add(1, 126, 1e-30, 2)
	f.Add(1, 0, math.Inf(1), 2)
	f.Add(-1, -1, math.NaN(), -1)
	f.Fuzz(func(t *testing.T, length, fracBits int, bound float64, sites int) {
		l := Layout{{"v", length, fracBits, bound}}
		suite, err := SelectSuite(l, sites, 2, 2)
		if (err == nil) != (l.Validate(sites) == nil) {
			t.Fatal(err)
		}
		if err != nil || length > 300 || sites > 8 {
			return
		}
		r, err := NewRound(RoundSpec{Suite: suite, Layout: l, Invited: sites, Committee: 2, Threshold: 2})
		if err != nil {
			t.Fatal(err)
		}
		values := uniformValues(l, sites, func(f Field) float64 { return f.Bound })
		for i := range values[0] {
			values[0][i] = -values[0][i]
		}
		seal(t, r, values).checkSum(t, all(sites), all(2))
	})
}

// The seeds of the fuzzers hold at least one accepted input each; otherwise the
// accepting half of a fuzz target would never run in an ordinary test.
func TestFuzzSeedsReachBothHalves(t *testing.T) {
	r := suiteRound(t, "rlwe2048", Layout{{"v", 1, 0, 1}}, 2, 2)
	if r.CheckChunk(make([]byte, r.ChunkBytes())) != nil || r.CheckShare(make([]byte, r.ShareBytes())) != nil {
		t.Error("zeros are a chunk and a share")
	}
	ones := bytes.Repeat([]byte{0xff}, r.ChunkBytes())
	if r.CheckChunk(ones) == nil || binary.LittleEndian.Uint64(ones)&residueMask < r.primes[0].p {
		t.Error("all ones are not a chunk")
	}
}
