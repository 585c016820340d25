package glm

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// blockRows is how many records are multiplied at a time. Within a block the
// products are added as they come, from block to block with compensation: the
// error of a total is that of a hundred additions, however many records.
const blockRows = 128

// eachBlock hands the scaled rows of the design matrix over in blocks: x holds
// n rows of p numbers, the first of them is record from.
func eachBlock(m *study.Matrix, c scale, do func(x []float64, from, n int)) {
	p := len(c.mid)
	block := make([]float64, blockRows*p)
	for from := 0; from < m.Rows(); from += blockRows {
		n := min(blockRows, m.Rows()-from)
		for i := range n {
			c.apply(m.AppendRow(block[i*p:i*p], from+i))
		}
		do(block[:n*p], from, n)
	}
}

// crossProducts is X'X over blocks of rows.
type crossProducts struct {
	p     int
	block []float64
	sums  *compute.Accumulator
}

func newCrossProducts(p int) *crossProducts {
	return &crossProducts{p: p, block: make([]float64, p*p), sums: compute.NewAccumulator(triangle(p))}
}

// add takes n rows of p numbers.
func (c *crossProducts) add(x []float64, n int) {
	blas64.Syrk(blas.Trans, 1, blas64.General{Rows: n, Cols: c.p, Stride: c.p, Data: x},
		0, blas64.Symmetric{N: c.p, Stride: c.p, Data: c.block, Uplo: blas.Upper})
	at := 0
	for i := range c.p {
		for _, v := range c.block[i*c.p+i : (i+1)*c.p] {
			c.sums.Add(at, v)
			at++
		}
	}
}

func (c *crossProducts) values() []float64 { return c.sums.Values() }

// times is X b for a block of n rows; out has room for n numbers.
func times(x []float64, n int, b, out []float64) []float64 {
	out = out[:n]
	blas64.Gemv(blas.NoTrans, 1, blas64.General{Rows: n, Cols: len(b), Stride: len(b), Data: x},
		blas64.Vector{N: len(b), Data: b, Inc: 1}, 0, blas64.Vector{N: n, Data: out, Inc: 1})
	return out
}

// columnSums adds X'v over blocks of rows.
type columnSums struct {
	block []float64
	sums  *compute.Accumulator
}

func newColumnSums(p int) *columnSums {
	return &columnSums{block: make([]float64, p), sums: compute.NewAccumulator(p)}
}

func (c *columnSums) add(x []float64, v []float64) {
	p := len(c.block)
	blas64.Gemv(blas.Trans, 1, blas64.General{Rows: len(v), Cols: p, Stride: p, Data: x},
		blas64.Vector{N: len(v), Data: v, Inc: 1}, 0, blas64.Vector{N: p, Data: c.block, Inc: 1})
	for j, s := range c.block {
		c.sums.Add(j, s)
	}
}

func (c *columnSums) values() []float64 { return c.sums.Values() }

// scaleRows multiplies each row of a block by the root of its weight.
func scaleRows(x []float64, weights []float64) {
	p := len(x) / len(weights)
	for i, w := range weights {
		root := math.Sqrt(w)
		row := x[i*p : (i+1)*p]
		for j := range row {
			row[j] *= root
		}
	}
}

// weighted says how many records have a weight above zero, and adds the
// weights up. A record of weight zero is as good as none.
func weighted(m *study.Matrix) (records int, total float64) {
	sum := compute.NewAccumulator(1)
	for i := range m.Rows() {
		if w := m.Weight(i); w > 0 {
			records++
			sum.Add(0, w)
		}
	}
	return records, sum.Values()[0]
}

// vector collects a contribution field by field.
type vector []float64

func (v *vector) one(x float64)     { *v = append(*v, x) }
func (v *vector) all(xs []float64)  { *v = append(*v, xs...) }
func (v *vector) count(records int) { *v = append(*v, float64(records)) }

// heaviest is the largest weight that the study declares.
func heaviest(s *study.Study) float64 {
	if w := s.Model.Weights; w != nil {
		return w.Range.Hi
	}
	return 1
}

// count and numbers are fields that no site exceeds. The fractional bits are as
// many as a slot has room for, up to fracBits.
func count(name string) compute.Field {
	return compute.Field{Name: name, Length: 1, Bound: maxRows}
}

func numbers(name string, length int, bound float64) compute.Field {
	_, magnitude := math.Frexp(bound)
	return compute.Field{Name: name, Length: length, FracBits: min(fracBits, slotBits-magnitude), Bound: bound}
}
