package boost

import (
	"errors"
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/compute"
)

// growth is a tree on its way. A level is complete when every open node that is
// large enough to be split has its histogram.
type growth struct {
	tree   tree
	open   []*branch
	asked  []int // of the open nodes, ascending
	gains  []gain
	parted bool // siblings that could not be derived are being asked
}

// branch is an open node.
type branch struct {
	total     cell // as its parent's histogram has it
	limits    limits
	sibling   int // among the open nodes; -1 for the root
	parent    []cell
	histogram []cell // nil until known
	actual    cell   // the total that belongs to the histogram
}

// gain of a split, for the importance of its column.
type gain struct {
	column int
	by     float64
}

func newGrowth(patients int) *growth {
	root := &branch{total: cell{count: int64(patients)}, limits: unlimited(), sibling: -1}
	return &growth{open: []*branch{root}, asked: []int{0}}
}

func (g *growth) root() bool { return len(g.tree) == 0 }

// absorb takes the histograms of the nodes that were asked and, when the level
// is complete, splits its nodes. The tree is whole when no node is open.
func (g *growth) absorb(q *treeQuestion, sum compute.Sum, r *rule, depth int, rate float64, monotone []int) error {
	for i, n := range q.Nodes {
		b := g.open[n]
		var err error
		if b.actual, b.histogram, err = q.read(sum, i); err != nil {
			return err
		}
	}
	var apart []int
	for _, n := range g.asked {
		b := g.open[n]
		if b.sibling < 0 {
			b.total = b.actual
			continue
		}
		other := g.open[b.sibling]
		if other.histogram != nil || other.total.count < 2*r.minLeaf {
			continue
		}
		if b.actual != b.total {
			apart = append(apart, b.sibling)
			continue
		}
		other.actual, other.histogram = other.total, b.parent
		for k := range other.histogram {
			other.histogram[k] = other.histogram[k].less(b.histogram[k])
		}
	}
	if len(apart) > 0 && !g.parted {
		slices.Sort(apart)
		g.asked, g.parted = apart, true
		return nil
	}
	g.split(q.bins, r, depth, rate, monotone)
	return nil
}

// split decides every open node and opens the next level.
func (g *growth) split(b bins, r *rule, depth int, rate float64, monotone []int) {
	level := 0
	if !g.root() {
		level = g.tree.depths()[len(g.tree)]
	}
	open := g.open
	g.open, g.asked, g.parted = nil, nil, false
	for _, n := range open {
		var f found
		ok := false
		// With other hospitals than at the parent a node can be too small.
		if n.histogram != nil && n.actual.count >= r.minLeaf {
			n.total = n.actual
			f, ok = r.best(b, n.histogram, n.total, n.limits, monotone)
		}
		if !ok {
			value, _ := r.value(n.total, n.limits)
			g.tree = g.tree.close(float64(value * rate))
			continue
		}
		g.tree = g.tree.split(f.column, f.bin, f.left)
		g.gains = append(g.gains, gain{f.column, f.gain})
		left, right := f.below(n.limits, monotone[f.column])
		k := len(g.open)
		g.open = append(g.open,
			&branch{total: f.low, limits: left, sibling: k + 1, parent: n.histogram},
			&branch{total: f.high, limits: right, sibling: k, parent: n.histogram})
	}
	for k := 0; k < len(g.open) && level+1 < depth; k += 2 {
		// The smaller child is asked if either can be split.
		low, high := g.open[k].total.count, g.open[k+1].total.count
		if max(low, high) < 2*r.minLeaf {
			continue
		}
		if high < low {
			g.asked = append(g.asked, k+1)
		} else {
			g.asked = append(g.asked, k)
		}
	}
	if len(g.asked) == 0 { // leaves all
		for _, n := range g.open {
			value, _ := r.value(n.total, n.limits)
			g.tree = g.tree.close(float64(value * rate))
		}
		g.open = nil
	}
}

// read takes the histogram of the i-th node asked out of a sum: its total and
// the cells of every column, of which the first is the total less the others.
func (q *treeQuestion) read(sum compute.Sum, i int) (total cell, histogram []cell, err error) {
	totals := sum.Field("totals")
	p, length := q.packing(q.Counts[i]), q.bins.asked()
	in := make([][]float64, len(p.bounds))
	for w, f := range q.nodeFields(i) {
		if in[w] = sum.Field(f.Name); len(in[w]) != length {
			return total, nil, errHistogram
		}
	}
	if len(totals) != 3*len(q.Nodes) {
		return total, nil, errHistogram
	}
	total = cell{int64(totals[3*i]), int64(totals[3*i+1]), int64(totals[3*i+2])}
	if total.count > int64(q.Counts[i]) {
		return total, nil, fmt.Errorf("node %d has more patients than its parent had: the sums overlap", q.Nodes[i])
	}
	histogram = make([]cell, 0, q.bins.cells())
	at := 0
	words := make([]int64, len(in))
	for _, c := range q.bins {
		width := c.width()
		if width == 0 {
			continue
		}
		first := len(histogram)
		histogram = append(histogram, total)
		for range width - 1 {
			for w := range words {
				words[w] = int64(in[w][at])
			}
			x := p.get(words)
			histogram = append(histogram, x)
			histogram[first] = histogram[first].less(x)
			at++
		}
	}
	return total, histogram, nil
}

var errHistogram = errors.New("the opened sum does not fit the histograms that were asked for")
