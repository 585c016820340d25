package boost

import (
	"math"

	"github.com/consilium-fl/consilium/study"
)

// codes are the bins of a site's records, in their order. Columns that can be
// split come in blocks of eight: a record's bins in a block are one number, of
// which the first column has the lowest byte.
type codes struct {
	blocks  [][]uint64
	place   []int    // of a column among those that can be split; -1 for the others
	columns []int    // the other way round
	keys    []uint64 // of the records: the same for the same bins and outcome

	cells [3][perBlock][256]int64 // of a block's columns, for each word: room that sums uses again
}

const perBlock = 8

func newCodes(r *records, m *study.Matrix, b bins) *codes {
	c := &codes{place: make([]int, len(b))}
	for j := range b {
		c.place[j] = -1
		if b[j].width() > 0 {
			c.place[j] = len(c.columns)
			c.columns = append(c.columns, j)
		}
	}
	c.blocks = make([][]uint64, (len(c.columns)+perBlock-1)/perBlock)
	for k := range c.blocks {
		c.blocks[k] = make([]uint64, len(r.order))
	}
	c.keys = make([]uint64, len(r.order))
	var row []float64
	for k, i := range r.order {
		row = r.references.append(m.AppendRow(row[:0], i))
		for at, j := range c.columns {
			c.blocks[at/perBlock][k] |= uint64(b[j].bin(row[j])) << (8 * (at % perBlock))
		}
		key := mix(math.Float64bits(r.outcome[k]))
		if r.events != nil && r.events[k] {
			key++
		}
		for _, block := range c.blocks {
			key = mix(key ^ block[k])
		}
		c.keys[k] = key
	}
	return c
}

// sums adds the words of records up by the bins of every column of a grid, and
// hands each column's sums, one slice for each word, to use.
func (c *codes) sums(g grid, b bins, records []int32, words [][]int64, use func(l *lot, cells [][]int64)) {
	cells := &c.cells
	var of [3][]int64
	for len(g) > 0 {
		k := c.place[g[0].column] / perBlock
		columns := c.columns[k*perBlock : min((k+1)*perBlock, len(c.columns))]
		for w := range words {
			for i, j := range columns {
				clear(cells[w][i][:b[j].width()])
			}
			addUp(&cells[w], c.blocks[k], records, words[w])
		}
		for len(g) > 0 && c.place[g[0].column]/perBlock == k {
			for w := range words {
				of[w] = cells[w][c.place[g[0].column]%perBlock][:b[g[0].column].width()]
			}
			use(&g[0], of[:len(words)])
			g = g[1:]
		}
	}
}

// addUp adds the records' words to the cells of a block's columns.
func addUp(cells *[perBlock][256]int64, block []uint64, records []int32, words []int64) {
	words = words[:len(records)]
	for i, record := range records {
		bins, w := block[record], words[i]
		cells[0][uint8(bins)] += w
		cells[1][uint8(bins>>8)] += w
		cells[2][uint8(bins>>16)] += w
		cells[3][uint8(bins>>24)] += w
		cells[4][uint8(bins>>32)] += w
		cells[5][uint8(bins>>40)] += w
		cells[6][uint8(bins>>48)] += w
		cells[7][uint8(bins>>56)] += w
	}
}

// placed are the records that come by each node of a tree, the open nodes
// included, each list in the order of the records.
type placed struct {
	tree  tree
	lists [][]int32
}

// follow takes all records, so many, down a tree. Where the tree is the last
// one grown further, only the new nodes are gone through.
func (p *placed) follow(t tree, b bins, c *codes, records int) {
	if p.lists == nil || !t.continues(p.tree) {
		all := make([]int32, records)
		for i := range all {
			all[i] = int32(i)
		}
		p.tree, p.lists = nil, [][]int32{all}
	}
	for k := len(p.tree); k < len(t); k++ {
		if !t[k].leaf() {
			left, right := partition(p.lists[k], t[k], b[t[k].column], c)
			p.lists = append(p.lists, left, right)
		}
	}
	p.tree = t
}

// partition parts a node's records between its children.
func partition(records []int32, n node, column column, c *codes) (left, right []int32) {
	var goesLeft [256]bool
	for bin := range column.width() {
		goesLeft[bin] = column.goesLeft(n, bin)
	}
	at := c.place[n.column]
	block, shift := c.blocks[at/perBlock], 8*(at%perBlock)
	count := 0
	for _, i := range records {
		if goesLeft[uint8(block[i]>>shift)] {
			count++
		}
	}
	parts := make([]int32, len(records))
	first, second := 0, count
	for _, i := range records {
		if goesLeft[uint8(block[i]>>shift)] {
			parts[first] = i
			first++
		} else {
			parts[second] = i
			second++
		}
	}
	return parts[:count:count], parts[count:]
}
