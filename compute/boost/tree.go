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
	column int     // term of the study; 0, the intercept, for a leaf
	bin    uint8   // a value in this bin or one below goes left
	left   bool    // a missing value goes left
	child  int     // the left one; the right follows
	value  float32 // of a leaf, learning rate included
}

func (n node) leaf() bool { return n.column == 0 }

// split appends a node with children.
func (t tree) split(column int, bin uint8, left bool) tree {
	splits := 0
	for i := len(t) - 1; i >= 0; i-- {
		if !t[i].leaf() {
			splits = (t[i].child-1)/2 + 1
			break
		}
	}
	return append(t, node{column: column, bin: bin, left: left, child: 2*splits + 1})
}

// close appends a leaf.
func (t tree) close(value float64) tree {
	return append(t, node{value: float32(value) + 0})
}

// size is the number of nodes, the open ones included.
func (t tree) size() int {
	for i := len(t) - 1; i >= 0; i-- {
		if !t[i].leaf() {
			return t[i].child + 2
		}
	}
	return 1
}

// open is the number of nodes that are neither split nor leaves.
func (t tree) open() int { return t.size() - len(t) }

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

// readTree reads one tree: until no node is open, or, of one that grows, to
// the end of the bytes.
func readTree(b bins, depth int, in []byte, grows bool) (t tree, rest []byte, err error) {
	levels := make([]int, 1, 64)
	for (grows && len(in) > 0) || (!grows && len(t) < len(levels)) {
		if len(t) == len(levels) {
			return nil, nil, errTree // more nodes than the splits have children
		}
		at, n := binary.Uvarint(in)
		if n <= 0 || at >= uint64(len(b)) {
			return nil, nil, errTree
		}
		in = in[n:]
		if at == 0 {
			if len(in) < 4 {
				return nil, nil, errTree
			}
			v := math.Float32frombits(binary.LittleEndian.Uint32(in))
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) || v == 0 && math.Signbit(f) {
				return nil, nil, errTree
			}
			t, in = append(t, node{value: v}), in[4:]
			continue
		}
		bin, n := binary.Uvarint(in)
		level := levels[len(t)]
		if n <= 0 || level >= depth || !b[at].splits(bin>>1) || bin&1 == 1 && !b[at].missing {
			return nil, nil, errTree
		}
		t = append(t, node{column: int(at), bin: uint8(bin >> 1), left: bin&1 == 1, child: len(levels)})
		in, levels = in[n:], append(levels, level+1, level+1)
	}
	// A growing tree is whole but for its last level.
	if len(t) < len(levels) && levels[len(t)] != levels[len(levels)-1] ||
		0 < len(t) && len(t) < len(levels) && levels[len(t)-1] == levels[len(t)] {
		return nil, nil, errTree
	}
	return t, in, nil
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
	for rest := encoded; len(rest) > 0; {
		if len(out) == most {
			return nil, errTree
		}
		t, after, err := readTree(b, depth, rest, false)
		if err != nil {
			return nil, err
		}
		out, rest = append(out, t), after
	}
	if !slices.Equal(appendTrees(out), encoded) {
		return nil, errTree // a second spelling
	}
	return out, nil
}

// goesLeft says on which side of a split a bin of its column is.
func (c column) goesLeft(n node, bin int) bool {
	if c.missing && bin == len(c.edges)+1 {
		return n.left
	}
	return bin <= int(n.bin)
}
