package boost

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/consilium-fl/consilium/compute"
)

// growth is a tree on its way. A level is complete when every open node that is
// large enough to be split has its histogram.
type growth struct {
	tree   tree
	open   []*branch
	asked  []int // of the open nodes, ascending
	gains  []gain
	parted bool // children whose histograms do not belong to their parents' are being asked anew
}

// branch is an open node.
type branch struct {
	total     cell // as its parent's histogram has it
	limits    limits
	sibling   int    // among the open nodes; -1 for the root
	parent    []cell // shared with the sibling
	bound     int64  // the squares of the parent's gradients
	plan      *plan  // of a node that is asked beside its parent
	histogram []cell // nil until known
	actual    cell   // the total that belongs to the histogram
	squares   int64  // of its gradients
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
	answer, err := q.open(sum)
	if err != nil {
		return err
	}
	var apart []int
	var filling sync.WaitGroup // of nodes that have nothing in common
	defer filling.Wait()
	for i, n := range g.asked {
		b := g.open[n]
		b.actual, b.squares = answer.totals[i], answer.squares[i]
		if b.plan == nil {
			if !q.holds(i, b) {
				return fmt.Errorf("node %d has more patients than the sums have room for: hospitals came that were not counted", q.Nodes[i])
			}
			b.total = b.actual
			filling.Go(func() {
				b.histogram = (&plan{grid: q.grids[i], rest: make([]uint8, len(q.bins))}).fill(q.bins, b.actual, answer.cells[i], nil)
			})
			continue
		}
		other := g.open[b.sibling]
		if b.actual != b.total || b.squares > b.bound {
			apart = append(apart, n, b.sibling)
			continue
		}
		filling.Go(func() {
			b.histogram = b.plan.fill(q.bins, b.actual, answer.cells[i], b.parent)
			if other.total.count >= 2*r.minLeaf {
				other.actual, other.histogram, other.squares = other.total, b.parent, b.bound-b.squares
				for k := range other.histogram {
					other.histogram[k] = other.histogram[k].less(b.histogram[k])
				}
			}
		})
	}
	filling.Wait()
	if len(apart) > 0 {
		slices.Sort(apart)
		g.asked, g.parted = apart, true
		for _, n := range apart {
			g.open[n].plan = nil
		}
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
	type choice struct {
		found
		ok bool
	}
	best := make([]choice, len(open))
	var choosing sync.WaitGroup
	for k, n := range open {
		// With other hospitals than at the parent a node can be too small.
		if n.histogram != nil && n.actual.count >= r.minLeaf {
			n.total = n.actual
			choosing.Go(func() {
				best[k].found, best[k].ok = r.best(b, n.histogram, n.total, n.limits, monotone)
			})
		}
	}
	choosing.Wait()
	var planning sync.WaitGroup
	defer planning.Wait()
	for k, n := range open {
		f := best[k].found
		if !best[k].ok {
			value, _ := r.value(n.total, n.limits)
			g.tree = g.tree.close(float64(value * rate))
			continue
		}
		g.tree = g.tree.split(f.column, f.bin, f.left)
		g.gains = append(g.gains, gain{f.column, f.gain})
		left, right := f.below(n.limits, monotone[f.column])
		at := len(g.open)
		low := &branch{total: f.low, limits: left, sibling: at + 1, parent: n.histogram, bound: n.squares}
		high := &branch{total: f.high, limits: right, sibling: at, parent: n.histogram, bound: n.squares}
		g.open = append(g.open, low, high)
		// The smaller child is asked if either can be split.
		if level+1 >= depth || max(low.total.count, high.total.count) < 2*r.minLeaf {
			continue
		}
		above, smaller := g.tree[len(g.tree)-1], low
		if high.total.count < low.total.count {
			smaller, at = high, at+1
		}
		planning.Go(func() {
			smaller.plan = newPlan(b, n.histogram, above, smaller == high, smaller.total, r.minLeaf)
		})
		g.asked = append(g.asked, at)
	}
	if len(g.asked) == 0 { // leaves all
		for _, n := range g.open {
			value, _ := r.value(n.total, n.limits)
			g.tree = g.tree.close(float64(value * rate))
		}
		g.open = nil
	}
}

// opened are the sums of the nodes that were asked.
type opened struct {
	totals  []cell
	squares []int64
	cells   [][]cell // of the groups of the lots, one after another
}

// open takes the sums of the nodes out of that of a question.
func (q *treeQuestion) open(sum compute.Sum) (*opened, error) {
	totals := sum.Field("totals")
	if len(totals) != 4*len(q.Nodes) {
		return nil, errHistogram
	}
	limbs := sum.Field("cells")
	if len(limbs) != q.limbs.limbs {
		return nil, errHistogram
	}
	cells := q.limbs.read(limbs)
	out := &opened{cells: make([][]cell, len(q.Nodes))}
	for i := range q.Nodes {
		t := totals[4*i:]
		out.totals = append(out.totals, cell{int64(t[0]), int64(t[1]), int64(t[3])})
		out.squares = append(out.squares, int64(t[2]))
		out.cells[i] = make([]cell, 0, q.bins.cells())
		for k, l := range q.grids[i] {
			at := len(out.cells[i])
			out.cells[i] = append(out.cells[i], make([]cell, len(l.groups))...)
			cells.lot(out.cells[i][at:], q.cells[i][k], q.loss.constant())
		}
	}
	return out, nil
}

// holds reports whether the cells of a node of which nothing was known had room for
// all its patients. No gradient is more than the root of their number times the
// squares of all.
func (q *treeQuestion) holds(i int, b *branch) bool {
	w := q.cells[i]
	squares := math.Ldexp(float64(b.squares), q.Scale.Squares)
	gradient := widthOf(math.Ceil(math.Sqrt(float64(b.actual.count)*squares) * (1 + 1e-9)))
	return b.actual.count <= 2*int64(q.Counts[i]) && (len(w) == 0 || gradient < w[0].gradient &&
		(q.loss.constant() || bits.Len64(uint64(b.actual.hessian)) <= int(w[0].hessian)))
}

var errHistogram = errors.New("the opened sum does not fit the histograms that were asked for")
