package boost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// column is how a term of the study is cut into bins. Without edges and
// without a bin for missing values no tree can split it.
type column struct {
	edges   []float64 // ascending
	missing bool      // a bin of its own for missing values, after the others
}

// bin of a value: how many edges are below it.
func (c column) bin(x float64) int {
	if math.IsNaN(x) {
		if c.missing {
			return len(c.edges) + 1
		}
		return c.middle()
	}
	// A binary search without a branch that depends on what is compared.
	first, rest := 0, len(c.edges)
	for rest > 0 {
		half := (rest + 1) / 2
		if c.edges[first+half-1] < x {
			first += half
		}
		rest -= half
	}
	return first
}

// count writes how many of so many records are in each bin; those that are not
// among the ascending values lack one.
func (c column) count(out, values []float64, records int) {
	out[len(c.edges)+1] = float64(records - len(values))
	for bin, edge := range c.edges {
		upTo, _ := slices.BinarySearchFunc(values, edge, func(x, edge float64) int {
			if x <= edge {
				return -1
			}
			return 1
		})
		out[bin], values = float64(upTo), values[upTo:]
	}
	out[len(c.edges)] = float64(len(values))
}

// middle is the bin that stands for a missing value in a column without a bin
// for it: near the median, for edges are at quantiles.
func (c column) middle() int { return len(c.edges) / 2 }

// width is the number of bins; 0 of a column that cannot be split.
func (c column) width() int {
	if len(c.edges) == 0 && !c.missing {
		return 0
	}
	if c.missing {
		return len(c.edges) + 2
	}
	return len(c.edges) + 1
}

// bins are the columns, those of the study's terms first. That of the intercept is empty.
type bins []column

// asked is the length of one histogram as it is sent: of every column the bins
// but the first, which is the node's total less the others.
func (b bins) asked() int {
	n := 0
	for _, c := range b {
		n += max(c.width()-1, 0)
	}
	return n
}

// cells is the length of a whole histogram: the bins of every column.
func (b bins) cells() int {
	n := 0
	for _, c := range b {
		n += c.width()
	}
	return n
}

// Edges travel in 28 bits: sign, exponent and the 16 highest bits of the
// fraction of a float64, so that edges next to each other differ by little
// and their differences are short. A column whose declared range lies far from
// zero has finer ones, by so many bits that they are as close as the range asks:
// between 1 000 000 and 1 000 001 there is no number of 17 bits.
const edgeDropped = 36

// finer is how many bits edges of a number in the range have beyond the usual.
func finer(r study.Range) int {
	width := r.Hi - r.Lo
	if !(width > 0) {
		return 0
	}
	return min(max(exponent(max(math.Abs(r.Lo), math.Abs(r.Hi)))-exponent(width), 0), edgeDropped)
}

// roundEdge is the nearest number that an edge can be, so much finer.
func roundEdge(x float64, finer int) float64 {
	dropped := edgeDropped - finer
	rounded := math.Float64frombits((math.Float64bits(x) + 1<<dropped>>1) &^ (1<<dropped - 1))
	if math.IsInf(rounded, 0) {
		rounded = math.Float64frombits(math.Float64bits(x) &^ (1<<dropped - 1))
	}
	return rounded + 0 // never minus zero
}

// edgeKey orders edges as whole numbers.
func edgeKey(x float64, finer int) uint64 {
	b := math.Float64bits(x)
	if b>>63 == 1 {
		return ^b >> (edgeDropped - finer)
	}
	return (b | 1<<63) >> (edgeDropped - finer)
}

func keyEdge(key uint64, finer int) float64 {
	dropped := edgeDropped - finer
	b := key << dropped
	if b>>63 == 1 {
		return math.Float64frombits(b &^ (1 << 63))
	}
	return math.Float64frombits(^(b | (1<<dropped - 1)) &^ (1<<dropped - 1))
}

// finest is the least by which all edges of the column are finer than usual.
func (c column) finest() int {
	out := 0
	for _, x := range c.edges {
		if x != 0 {
			out = max(out, edgeDropped-bits.TrailingZeros64(math.Float64bits(x)))
		}
	}
	return out
}

// encode writes the columns but the intercept's: by how many bits their edges are
// finer than usual, times 2^9, the number of edges, twice, and one for a missing
// bin, added up; then the differences of the edges' keys.
func (b bins) encode() []byte {
	var out []byte
	for _, c := range b[1:] {
		finer := c.finest()
		head := uint64(finer)<<9 | uint64(len(c.edges))<<1
		if c.missing {
			head |= 1
		}
		out = binary.AppendUvarint(out, head)
		last := uint64(0)
		for _, x := range c.edges {
			out = binary.AppendUvarint(out, edgeKey(x, finer)-last)
			last = edgeKey(x, finer)
		}
	}
	return out
}

var errEdges = errors.New("the edges of the bins cannot be read")

// shortest reads a number in as few bytes as there are for it, which makes its
// spelling the only one; n is 0 if there is none.
func shortest(in []byte) (x uint64, n int) {
	x, n = binary.Uvarint(in)
	if n <= 0 || n > 1 && in[n-1] == 0 {
		return 0, 0
	}
	return x, n
}

// decodeBins reads what encode writes, for a study.
func decodeBins(s *study.Study, encoded []byte) (bins, error) {
	return decodeColumns(s, len(columnsOf(s)), encoded)
}

// decodeColumns reads so many columns, that of the intercept among them.
func decodeColumns(s *study.Study, columns int, encoded []byte) (bins, error) {
	out := make(bins, columns)
	most := uint64(s.Model.Boost.Bins - 1)
	rest := encoded
	for j := range out[1:] {
		c := &out[j+1]
		head, n := shortest(rest)
		if n == 0 {
			return nil, errEdges
		}
		rest = rest[n:]
		if head>>9 > edgeDropped {
			return nil, errEdges
		}
		finer, edges := int(head>>9), head>>1&(1<<8-1)
		if edges > most {
			return nil, fmt.Errorf("a column has %d edges, more than the study's bins allow", edges)
		}
		width := 64 - edgeDropped + finer // of a key
		c.missing = head&1 == 1
		c.edges = make([]float64, edges)
		key := uint64(0)
		for i := range c.edges {
			step, n := shortest(rest)
			if n == 0 || step > 1<<width-1 || i > 0 && step == 0 {
				return nil, errEdges
			}
			rest = rest[n:]
			key += step
			x := keyEdge(key, finer)
			if key < step || key > 1<<width-1 || math.IsNaN(x) || math.IsInf(x, 0) || x == 0 && math.Signbit(x) {
				return nil, errEdges
			}
			c.edges[i] = x
		}
		if c.finest() != finer { // a second spelling of the same edges
			return nil, errEdges
		}
	}
	if len(rest) != 0 {
		return nil, errEdges
	}
	return out, nil
}

// merge joins neighbouring bins until each holds at least least patients.
// counts are of every column's bins and of its missing values.
func (b bins) merge(counts [][]int, least int) bins {
	out := make(bins, len(b))
	for j, c := range b[1:] {
		n := counts[j+1]
		out[j+1].missing = n[len(c.edges)+1] >= least
		held := 0
		for i := range c.edges {
			if held += n[i]; held >= least {
				out[j+1].edges = append(out[j+1].edges, c.edges[i])
				held = 0
			}
		}
		// What is right of the last edge must be enough as well.
		if held += n[len(c.edges)]; held < least && len(out[j+1].edges) > 0 {
			kept := out[j+1].edges
			out[j+1].edges = kept[:len(kept)-1]
		}
		// Nobody is left to tell the missing from.
		if present := sum(n[:len(c.edges)+1]); present < least {
			out[j+1] = column{}
		}
	}
	return out
}

func sum(values []int) int {
	total := 0
	for _, v := range values {
		total += v
	}
	return total
}

// largestBins bound what a study can ask.
func largestBins(s *study.Study) bins {
	terms := columnsOf(s)
	out := make(bins, len(terms))
	number, level := make([]float64, s.Model.Boost.Bins-1), []float64{0.5}
	for j := 1; j < len(terms); j++ {
		out[j] = column{edges: number, missing: true}
		if terms[j].Level >= 0 {
			out[j].edges = level
		}
	}
	return out
}
