package boost

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Counting ascending values is the same as looking up the bin of each.
func TestCountsAreThoseOfTheBins(t *testing.T) {
	random := rand.New(rand.NewPCG(40, 1))
	for _, edges := range [][]float64{nil, {0}, {-1, 0, 0.5, 2}, {-9, -8}, {8, 9}} {
		c := column{edges: edges, missing: true}
		var values []float64
		want := make([]float64, c.width())
		for range 300 {
			x := float64(random.IntN(13)-6) / 2 // often an edge
			values = append(values, x)
			want[c.bin(x)]++
		}
		want[len(edges)+1] = 7
		slices.Sort(values)
		got := make([]float64, c.width())
		c.count(got, values, len(values)+7)
		if !slices.Equal(got, want) {
			t.Errorf("edges %v: counted %v, want %v", edges, got, want)
		}
	}
}

// What a node's parent leaves open is read as it was written, and the node's
// histogram comes out whole: that of its records, but for bins that are joined
// because no split can be between them.
func TestPlansLeaveNothingOutThatASplitCouldTurnOn(t *testing.T) {
	random := rand.New(rand.NewPCG(41, 1))
	b := bins{{}, {edges: []float64{1, 2, 3, 4, 5, 6, 7}, missing: true}, {edges: []float64{0.5}}, {missing: true}, {edges: []float64{1, 2, 3}}}
	const minLeaf = 6
	joined, left := 0, 0
	for range 500 {
		n := 2*minLeaf + random.IntN(100)
		sparse := random.Float64()
		records := make([][]int, n)
		total := cell{}
		histogram := func(in func(i int) bool) []cell {
			out := make([]cell, b.cells())
			for i, r := range records {
				if !in(i) {
					continue
				}
				at := 0
				for j, c := range b {
					if c.width() > 0 {
						out[at+r[j]] = out[at+r[j]].plus(cell{int64(i%7) - 3, int64(i % 5), 1})
					}
					at += c.width()
				}
			}
			return out
		}
		for i := range records {
			records[i] = make([]int, len(b))
			for j, c := range b {
				if c.width() > 0 {
					records[i][j] = int(float64(c.width()) * random.Float64() * sparse)
				}
			}
		}
		parent, all := histogram(func(int) bool { return true }), cell{}
		for _, x := range parent[:b[1].width()] {
			all = all.plus(x)
		}
		r := &rule{gradient: 1, hessian: 1, lambda: 1, minLeaf: minLeaf}
		f, ok := r.best(b, parent, all, unlimited(), make([]int, len(b)))
		if !ok {
			continue
		}
		above, right := node{column: uint16(f.column), bin: f.bin, left: f.left, child: 1}, random.IntN(2) == 0
		inside := func(i int) bool { return b[f.column].goesLeft(above, records[i][f.column]) != right }
		want := histogram(inside)
		for _, x := range want[:b[1].width()] {
			total = total.plus(x)
		}
		before := slices.Clone(parent)
		p := newPlan(b, parent, above, right, total, minLeaf)
		read, rest, err := readGrid(p.grid.append(nil, b, false), b, false)
		if err != nil || len(rest) > 0 || !slices.EqualFunc(read, p.grid, func(x, y lot) bool {
			return x.column == y.column && slices.Equal(x.groups, y.groups) && x.count == y.count && x.hessian == y.hessian
		}) {
			t.Fatalf("%v was read as %v: %v", p.grid, read, err)
		}
		var asked []cell
		for _, l := range p.grid {
			at := 0
			for _, c := range b[:l.column] {
				at += c.width()
			}
			for _, g := range l.groups {
				sum := cell{}
				for _, x := range want[at+int(g.first) : at+int(g.last)+1] {
					sum = sum.plus(x)
				}
				if sum.count >= 1<<l.count || sum.hessian >= 1<<l.hessian {
					t.Fatalf("a cell of %v in %d and %d bits", sum, l.count, l.hessian)
				}
				asked = append(asked, sum)
			}
			left += b[l.column].width() - len(l.groups)
		}
		got := p.fill(b, total, asked, parent)
		for _, compare := range [][2][]cell{{got, want}, {parent, before}} {
			all := cell{}
			for _, x := range compare[1][:b[1].width()] {
				all = all.plus(x)
			}
			one, any := r.best(b, compare[0], all, unlimited(), make([]int, len(b)))
			two, other := r.best(b, compare[1], all, unlimited(), make([]int, len(b)))
			if one != two || any != other {
				t.Fatalf("the best split is %v, with every bin asked %v", one, two)
			}
			if !slices.Equal(compare[0], compare[1]) {
				joined++
			}
		}
	}
	if joined < 100 || left < 500 {
		t.Errorf("bins were joined in %d histograms, and %d bins not asked", joined, left)
	}
}
