package secagg

import (
	"math/rand/v2"
	"testing"
)

func TestSumRoundTrip(t *testing.T) {
	for _, n := range []int{2, 3, 17} {
		for _, f := range []Field{
			{Name: "a", Length: 100, FracBits: 0, Bound: 1},
			{Name: "a", Length: 3000, FracBits: 0, Bound: 32767},
			{Name: "a", Length: 160, FracBits: 40, Bound: 1 << 34},
			{Name: "a", Length: 160, FracBits: 100, Bound: 1 << 19},
			{Name: "a", Length: 100000, FracBits: 0, Bound: 32767},
		} {
			l := Layout{f, {Name: "b", Length: 3, FracBits: 2, Bound: 10}}
			suite, err := SelectSuite(l, n, n)
			if err != nil {
				t.Fatal(err)
			}
			r, err := NewRound(RoundSpec{ID: [32]byte{1}, Suite: suite, Layout: l, Invited: n, Committee: n, Threshold: Supermajority(n)})
			if err != nil {
				t.Fatal(err)
			}
			var cs []*Contribution
			want := make([]float64, l.Length())
			for range n {
				v := make([]float64, l.Length())
				for i := range v {
					v[i] = float64(rand.IntN(3) - 1)
					want[i] += v[i]
				}
				c, err := r.Seal(v)
				if err != nil {
					t.Fatal(err)
				}
				cs = append(cs, c)
			}
			openings := map[int][]byte{}
			for j := range n {
				var in [][]byte
				for _, c := range cs {
					in = append(in, c.Shares[j])
				}
				if openings[j], err = r.AddShares(in); err != nil {
					t.Fatal(err)
				}
			}
			s, err := r.Open(n, func(i, c int) ([]byte, error) { return cs[i].Chunks[c], nil }, openings)
			if err != nil {
				t.Fatal(suite, n, f, err)
			}
			for i, v := range s.Values() {
				if v != want[i] {
					t.Fatal(suite, i, v, want[i])
				}
			}
		}
	}
}
