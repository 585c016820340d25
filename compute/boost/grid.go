package boost

// lot is what is asked of one column in one node: groups of neighbouring bins,
// ascending, each for one cell. What is in no group is the node's total less
// the groups.
type lot struct {
	column         int
	groups         []group
	count, hessian uint // bits of the sums of a cell, over all sites
}

// group of bins from first to last.
type group struct{ first, last uint8 }

// grid are the lots of a node, by ascending column. A column of which nothing is
// asked has none.
type grid []lot

// plan is a grid, and how the node's histogram is made of its answer.
type plan struct {
	grid
	rest []uint8 // by column: the bin that is given what is in no group
	// The split above: nothing is asked of its column, whose cells are the
	// parent's on the child's side. A leaf if nothing is known.
	above node
	right bool
}

// everything is the plan of a node of which nothing is known: all bins but the
// first of each column. A hospital that has come since the patients were counted
// has room in the sums.
func (q *treeQuestion) everything(patients int) grid {
	var out grid
	count := uint(bitLength(patients)) + 1
	hessian := uint(0)
	if !q.loss.constant() {
		hessian = widthOf(q.loss.bound(q.loss.hessian, q.Scale.Hessian, patients, q.Events)) + 1
	}
	for j, c := range q.bins {
		if c.width() == 0 {
			continue
		}
		groups := make([]group, c.width()-1)
		for k := range groups {
			groups[k] = group{uint8(k + 1), uint8(k + 1)}
		}
		out = append(out, lot{j, groups, count, hessian})
	}
	return out
}

// newPlan says what must be asked of a child of a split to know its histogram:
// no bin that is empty in the parent, no bins one by one between which the
// parent already has too few patients on a side, and of the others all but the
// largest. It leaves nothing out that a split of the child, or of a node below,
// could turn on. The parent's histogram is made as coarse as the child's will be.
func newPlan(b bins, parent []cell, above node, right bool, child cell, minLeaf int64) *plan {
	p := &plan{rest: make([]uint8, len(b)), above: above, right: right}
	total := int64(0)
	at := 0
	for j, c := range b {
		width := c.width()
		if width == 0 {
			continue
		}
		cells := parent[at : at+width]
		at += width
		if total == 0 {
			for _, x := range cells {
				total += x.count
			}
		}
		lead, tail := c.coarsen(cells, total, minLeaf)
		if j == int(above.column) {
			continue
		}
		l := lot{column: j}
		most, rest := int64(0), -1
		for bin, x := range cells {
			if x.count > most {
				most, rest = x.count, bin
			}
		}
		if rest < 0 {
			continue
		}
		p.rest[j] = uint8(rest)
		for bin, x := range cells {
			if x.count == 0 || bin == rest {
				continue
			}
			g := group{uint8(bin), uint8(bin)}
			switch bin {
			case lead:
				g.first = 0
			case tail:
				g.last = uint8(len(c.edges))
			}
			l.groups = append(l.groups, g)
			l.count = max(l.count, uint(bitLength(int(min(x.count, child.count)))))
			l.hessian = max(l.hessian, uint(bitLength(int(min(x.hessian, child.hessian)))))
		}
		if len(l.groups) > 0 {
			p.grid = append(p.grid, l)
		}
	}
	return p
}

// coarsen joins a column's cells between which no split leaves enough patients on
// both sides, whatever becomes of the missing: those up to lead into lead, those
// from tail on into tail, of those that are values.
func (c column) coarsen(cells []cell, total, minLeaf int64) (lead, tail int) {
	last := len(c.edges)
	missing := int64(0)
	if c.missing {
		missing = cells[last+1].count
	}
	low := int64(0)
	lead, tail = last, -1 // the first and the last bin after which there may be a split, then one more
	for bin := range last {
		low += cells[bin].count
		if low+missing >= minLeaf && lead == last {
			lead = bin
		}
		if total-low >= minLeaf {
			tail = bin
		}
	}
	tail++
	if lead >= tail { // none
		lead, tail = last, last
	}
	join(cells[:lead+1], lead)
	join(cells[tail:last+1], 0)
	if lead == last && min(missing, total-missing) < minLeaf {
		join(cells, last)
	}
	return lead, tail
}

// join moves all cells into one.
func join(cells []cell, into int) {
	all := cell{}
	for _, x := range cells {
		all = all.plus(x)
	}
	clear(cells)
	cells[into] = all
}

// fill makes the histogram of the cells that were asked, as the grid has them;
// parent is that of the node above.
func (p *plan) fill(b bins, total cell, asked, parent []cell) []cell {
	out := make([]cell, b.cells())
	at, next := 0, 0
	for j, c := range b {
		width := c.width()
		if width == 0 {
			continue
		}
		cells := out[at : at+width]
		at += width
		if j == int(p.above.column) {
			for bin := range cells {
				if c.goesLeft(p.above, bin) != p.right {
					cells[bin] = parent[at-width+bin]
				}
			}
			continue
		}
		rest := total
		if next < len(p.grid) && p.grid[next].column == j {
			for _, g := range p.grid[next].groups {
				// Where bins are joined, the parent has all in one of them.
				bin := int(g.last)
				if g.first > 0 && g.last > g.first {
					bin = int(g.first)
				}
				cells[bin] = asked[0]
				rest, asked = rest.less(asked[0]), asked[1:]
			}
			next++
		}
		cells[p.rest[j]] = cells[p.rest[j]].plus(rest)
	}
	return out
}
