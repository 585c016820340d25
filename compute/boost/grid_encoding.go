package boost

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// A grid travels as, for each column that can be split: the number of its
// entries, then the entries, then, if there are any, the bits of the count and,
// unless the hessian is constant, of the hessian. An entry is a number of bins,
// times four, plus one if each is a group and plus two if they are one group.
// A column that is asked like the one before it is the number 1.
const (
	skipped = iota
	singles
	joined
)

func (g grid) append(out []byte, b bins, constant bool) []byte {
	var last, one, entries []byte
	for j, c := range b {
		if c.width() == 0 {
			continue
		}
		if len(g) > 0 && g[0].column == j {
			one, entries = g[0].append(one[:0], entries[:0], constant)
			g = g[1:]
		} else {
			one = append(one[:0], 0)
		}
		if last != nil && bytes.Equal(one, last) {
			out = append(out, 1)
			continue
		}
		out = append(out, one...)
		last, one = one, last
	}
	return out
}

// append the lot, with room for its entries.
func (l *lot) append(out, entries []byte, constant bool) (lot, room []byte) {
	n := uint64(0)
	entry := func(bins, kind int) {
		if bins > 0 {
			entries = binary.AppendUvarint(entries, uint64(bins)<<2|uint64(kind))
			n++
		}
	}
	at, run := 0, 0
	for _, g := range l.groups {
		if int(g.first) > at || g.last > g.first {
			entry(run, singles)
			run = 0
		}
		entry(int(g.first)-at, skipped)
		if g.last > g.first {
			entry(int(g.last-g.first)+1, joined)
		} else {
			run++
		}
		at = int(g.last) + 1
	}
	entry(run, singles)
	out = append(binary.AppendUvarint(out, n<<1), entries...)
	out = append(out, byte(l.count))
	if !constant {
		out = append(out, byte(l.hessian))
	}
	return out, entries
}

var errGrid = errors.New("what is asked of the nodes cannot be read")

// readGrid reads what append writes.
func readGrid(in []byte, b bins, constant bool) (g grid, rest []byte, err error) {
	var last *lot // nil if nothing was asked
	first := true
	for j, c := range b {
		width := c.width()
		if width == 0 {
			continue
		}
		head, n := shortest(in)
		if n == 0 || head == 1 && first || head&1 == 1 && head != 1 {
			return nil, nil, errGrid
		}
		in = in[n:]
		switch {
		case head == 1 && last != nil:
			l := *last
			l.column = j
			g = append(g, l)
		case head > 1:
			l := lot{column: j}
			if in, err = l.read(in, int(min(head>>1, 1<<10)), constant); err != nil {
				return nil, nil, err
			}
			g = append(g, l)
			last = &l
		case head == 0:
			last = nil
		}
		first = false
		if last != nil && int(last.groups[len(last.groups)-1].last) >= width {
			return nil, nil, errGrid
		}
	}
	return g, in, nil
}

func (l *lot) read(in []byte, entries int, constant bool) ([]byte, error) {
	at := 0
	for range entries {
		x, n := shortest(in)
		bins := int(min(x>>2, 1<<10))
		if n == 0 || bins < 1 || at+bins > 256 {
			return nil, errGrid
		}
		in = in[n:]
		switch x & 3 {
		case skipped:
		case singles:
			for k := range bins {
				l.groups = append(l.groups, group{uint8(at + k), uint8(at + k)})
			}
		case joined:
			l.groups = append(l.groups, group{uint8(at), uint8(at + bins - 1)})
		default:
			return nil, errGrid
		}
		at += bins
	}
	bytes := 2
	if constant {
		bytes = 1
	}
	if len(in) < bytes || len(l.groups) == 0 {
		return nil, errGrid
	}
	l.count = uint(in[0])
	if !constant {
		l.hessian = uint(in[1])
	}
	return in[bytes:], nil
}
