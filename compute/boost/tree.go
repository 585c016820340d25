package boost

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// tree is a list of nodes, level by level, each level from left to right. The
// children of the k-th node that is split, counted from 0, are nodes 2k+1 and
// 2k+2. A tree that still grows lacks the nodes of its last level: they are
// open.
type tree []node

type node struct {
	column uint16  // term of the study; 0, the intercept, for a leaf
	bin    uint8   // a value in this bin or one below goes left
	left   bool    // a missing value goes left
	child  int32   // the left one; the right follows
	value  float32 // of a leaf, learning rate included
}

func (n node) leaf() bool { return n.column == 0 }

// split appends a node with children.
func (t tree) split(column int, bin uint8, left bool) tree {
	return append(t, node{column: uint16(column), bin: bin, left: left, child: int32(t.size())})
}

// close appends a leaf.
func (t tree) close(value float64) tree {
	return append(t, node{value: float32(value) + 0})
}

// size is the number of nodes, the open ones included.
func (t tree) size() int {
	for i := len(t) - 1; i >= 0; i-- {
		if !t[i].leaf() {
			return int(t[i].child) + 2
		}
	}
	return 1
}

// open is the number of nodes that are neither split nor leaves.
func (t tree) open() int { return t.size() - len(t) }

// continues says that the tree is another one, perhaps grown further.
func (t tree) continues(other tree) bool {
	return len(other) <= len(t) && slices.Equal(t[:len(other)], other)
}

// depths of all nodes, the open ones included.
func (t tree) depths() []int {
	out := make([]int, t.size())
	for i, n := range t {
		if !n.leaf() {
			out[n.child], out[n.child+1] = out[i]+1, out[i]+1
		}
	}
	return out
}

// append writes a tree: for each node the column and, of a split, the bin
// twice plus one if missing values go left, of a leaf its value.
func (t tree) append(out []byte) []byte {
	for _, n := range t {
		out = binary.AppendUvarint(out, uint64(n.column))
		if n.leaf() {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(n.value))
			continue
		}
		side := uint64(0)
		if n.left {
			side = 1
		}
		out = binary.AppendUvarint(out, uint64(n.bin)<<1|side)
	}
	return out
}

var errTree = errors.New("a tree cannot be read")

// reader reads trees into one array; a question has hundreds.
type reader struct {
	bins   bins
	depth  int
	nodes  []node
	levels []uint8
}

func newReader(b bins, depth, bytes int) *reader {
	// A tree has one leaf more than splits, of 5 bytes and of 2 at least.
	return &reader{bins: b, depth: depth, nodes: make([]node, 0, bytes/3+1), levels: make([]uint8, 0, 1<<(depth+1))}
}

// read reads one tree: until no node is open, or, of one that grows, to the
// end of the bytes.
func (r *reader) read(in []byte, grows bool) (t tree, rest []byte, err error) {
	first := len(r.nodes)
	levels := append(r.levels[:0], 0)
	n := 0 // nodes read
	for ; (grows && len(in) > 0) || (!grows && n < len(levels)); n++ {
		if n == len(levels) {
			return nil, nil, errTree // more nodes than the splits have children
		}
		column, size := shortest(in)
		if size == 0 || column >= uint64(len(r.bins)) {
			return nil, nil, errTree
		}
		in = in[size:]
		if column == 0 {
			if len(in) < 4 {
				return nil, nil, errTree
			}
			v := math.Float32frombits(binary.LittleEndian.Uint32(in))
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) || v == 0 && math.Signbit(f) {
				return nil, nil, errTree
			}
			r.nodes, in = append(r.nodes, node{value: v}), in[4:]
			continue
		}
		c := &r.bins[column]
		bin, size := shortest(in)
		if size == 0 || int(levels[n]) >= r.depth || !c.splits(bin>>1) || bin&1 == 1 && !c.missing {
			return nil, nil, errTree
		}
		r.nodes = append(r.nodes, node{column: uint16(column), bin: uint8(bin >> 1), left: bin&1 == 1, child: int32(len(levels))})
		in, levels = in[size:], append(levels, levels[n]+1, levels[n]+1)
	}
	// A growing tree is whole but for its last level.
	if n < len(levels) && (levels[n] != levels[len(levels)-1] || n > 0 && levels[n-1] == levels[n]) {
		return nil, nil, errTree
	}
	return r.nodes[first:len(r.nodes):len(r.nodes)], in, nil
}

// splits says that a split after the bin has something on both sides.
func (c column) splits(bin uint64) bool {
	if c.missing {
		return bin <= uint64(len(c.edges))
	}
	return bin < uint64(len(c.edges))
}

// appendTrees writes finished trees one after another.
func appendTrees(trees []tree) []byte {
	var out []byte
	for _, t := range trees {
		out = t.append(out)
	}
	return out
}

// readTrees reads what appendTrees writes, at most so many.
func readTrees(b bins, depth, most int, encoded []byte) ([]tree, error) {
	var out []tree
	r := newReader(b, depth, len(encoded))
	for rest := encoded; len(rest) > 0; {
		if len(out) == most {
			return nil, errTree
		}
		t, after, err := r.read(rest, false)
		if err != nil {
			return nil, err
		}
		out, rest = append(out, t), after
	}
	return out, nil
}

// readGrowing reads a tree without its last level.
func readGrowing(b bins, depth int, encoded []byte) (tree, error) {
	t, _, err := newReader(b, depth, len(encoded)).read(encoded, true)
	return t, err
}

// goesLeft says on which side of a split a bin of its column is.
func (c column) goesLeft(n node, bin int) bool {
	if c.missing && bin == len(c.edges)+1 {
		return n.left
	}
	return bin <= int(n.bin)
}
