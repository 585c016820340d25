package boost

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// Answer is a site's vector for a step.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix) ([]float64, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	if m.Rows() > maxRows {
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	}
	switch step {
	case StepQuantiles:
		return describe.AnswerQuantiles(s, parameters, m)
	case StepBins:
		q, err := readBinsQuestion(s, parameters)
		if err != nil {
			return nil, err
		}
		return q.answer(s, known(m), m), nil
	case StepTree:
		q, err := readTreeQuestion(s, parameters)
		if err != nil {
			return nil, err
		}
		return q.answer(s, known(m), m)
	}
	return nil, fmt.Errorf("boosted trees have no step %q", step)
}

// cache is what a site keeps between the questions about the same records. It
// only saves work: every part is named by the bytes of the question that it was
// made for, and is made again for others.
type cache struct {
	mu      sync.Mutex
	records *records

	edges   string
	columns [][]uint8 // bins of the records, by term

	model  string // the question's head that scores belong to
	trees  string // those in the scores
	count  int
	scores []float64
	slopes *slopes
}

type cacheKey struct{}

func known(m *study.Matrix) *cache {
	return m.Memo(cacheKey{}, func() any { return &cache{} }).(*cache)
}

func (c *cache) read(s *study.Study, m *study.Matrix) *records {
	if c.records == nil {
		c.records = newRecords(s, m)
	}
	return c.records
}

func (q *binsQuestion) answer(s *study.Study, c *cache, m *study.Matrix) []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.read(s, m)
	out := []float64{float64(r.train), float64(len(r.order) - r.train), 0, 0, 0, 0}
	if r.events != nil {
		out[2], out[3] = float64(happened(r.events[:r.train])), float64(happened(r.events[r.train:]))
	} else {
		first, second := 0.0, 0.0 // whole, so exact
		mid, half := middle(s)
		for _, y := range r.outcome[:r.train] {
			z := (y - mid) / half
			first += math.RoundToEven(math.Ldexp(z, outcomeBits))
			second += math.RoundToEven(math.Ldexp(z*z, outcomeBits))
		}
		out[4], out[5] = first, second
	}
	at := make([]int, len(q.edges))
	for j := range q.edges {
		at[j] = len(out)
		out = append(out, make([]float64, q.edges[j].width())...)
	}
	var row []float64
	for i := range m.Rows() {
		row = m.AppendRow(row[:0], i)
		for j := 1; j < len(row); j++ {
			out[at[j]+q.edges[j].bin(row[j])]++
		}
	}
	if q.edges.cells() == 0 {
		out = append(out, 0)
	}
	return out
}

// middle and half width of the outcome's range on the scale of the fit.
func middle(s *study.Study) (mid, half float64) {
	lo, hi := 0.0, 1.0
	if s.Outcome.Type != study.Binary {
		lo, hi = s.Outcome.Transform(s.Outcome.Range.Lo), s.Outcome.Transform(s.Outcome.Range.Hi)
	}
	return lo/2 + hi/2, hi/2 - lo/2
}

var errMore = errors.New("this site has more patients here than the coordinator counted over all sites; it joined since then, and takes part again when that count is taken anew")

// prepare brings columns, scores and slopes up to the question.
func (c *cache) prepare(s *study.Study, q *treeQuestion, m *study.Matrix) {
	r := c.read(s, m)
	if edges := string(q.Edges); c.columns == nil || c.edges != edges {
		c.edges, c.columns, c.scores = edges, r.binned(m, q.bins), nil
	}
	model := fmt.Sprint(math.Float64bits(q.Base), q.Scale)
	trees := string(q.Trees)
	if c.scores != nil && c.model == model && c.trees == trees {
		return
	}
	if c.scores == nil || c.model != model || c.count > len(q.trees) || c.trees != trees[:min(len(c.trees), len(trees))] {
		c.model, c.count, c.scores = model, 0, make([]float64, len(r.order))
		for i := range c.scores {
			c.scores[i] = q.Base
		}
	}
	for _, t := range q.trees[c.count:] {
		for k, rows := range t.places(q.bins, c.columns, len(r.order)) {
			if t[k].leaf() {
				for _, i := range rows {
					c.scores[i] += float64(t[k].value)
				}
			}
		}
	}
	c.trees, c.count = trees, len(q.trees)
	c.slopes = q.loss.slopes(r, c.scores, q.Scale)
}

// places takes the first n records down the tree: for each node, the open ones
// included, the records that come by, each list in their order.
func (t tree) places(b bins, columns [][]uint8, n int) [][]int32 {
	out := make([][]int32, t.size())
	out[0] = make([]int32, n)
	for i := range out[0] {
		out[0][i] = int32(i)
	}
	for k, nd := range t {
		if nd.leaf() {
			continue
		}
		column, c, here := columns[nd.column], b[nd.column], out[k]
		var goesLeft [256]bool
		for bin := range c.width() {
			goesLeft[bin] = c.goesLeft(nd, bin)
		}
		// Left from the front, right from the back and turned round.
		sorted, first, last := make([]int32, len(here)), 0, len(here)
		for _, i := range here {
			if goesLeft[column[i]] {
				sorted[first] = i
				first++
			} else {
				last--
				sorted[last] = i
			}
		}
		slices.Reverse(sorted[last:])
		out[nd.child], out[nd.child+1] = sorted[:first], sorted[first:]
	}
	return out
}

func (q *treeQuestion) answer(s *study.Study, c *cache, m *study.Matrix) ([]float64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prepare(s, q, m)
	r := c.records
	total := 0
	layout := q.layout()
	for _, f := range layout {
		total += f.Length
	}
	out := make([]float64, 0, total)
	events := happened(r.events)
	if r.train > q.Patients || len(r.order)-r.train > q.HeldOut || q.loss.cox() && events > q.Events {
		return nil, errMore
	}
	if q.root() {
		trained := happened(r.events[:min(r.train, len(r.events))])
		out = append(out,
			float64(add(c.slopes.value[:r.train])), float64(add(c.slopes.value[r.train:])),
			float64(r.train), float64(len(r.order)-r.train),
			float64(trained), float64(events-trained))
	}
	if len(q.Nodes) == 0 {
		return out, nil
	}
	open := q.tree.places(q.bins, c.columns, r.train)[len(q.tree):]
	for i, n := range q.Nodes {
		if len(open[n]) > q.Counts[i] {
			return nil, errMore
		}
		out = q.histogram(out, c, open[n])
	}
	return out, nil
}

func add(values []int64) int64 {
	total := int64(0)
	for _, v := range values {
		total += v
	}
	return total
}

// cell is what a bin adds up to.
type cell struct{ gradient, hessian, count int64 }

// histogram appends a node's channels, each the total and then the bins of each
// column but its first.
func (q *treeQuestion) histogram(out []float64, c *cache, rows []int32) []float64 {
	records := make([]cell, len(rows))
	var total cell
	for k, i := range rows {
		records[k] = cell{c.slopes.gradient[i], c.slopes.hessian[i], 1}
		total.gradient += records[k].gradient
		total.hessian += records[k].hessian
	}
	total.count = int64(len(rows))
	length := q.bins.asked()
	channels := q.channels(len(out), length)
	out = append(out, make([]float64, length*channels.number)...)
	channels.put(out, 0, total)
	at := 1
	var cells [256]cell
	for j, column := range c.columns {
		width := q.bins[j].width()
		if width == 0 {
			continue
		}
		clear(cells[:width])
		for k, i := range rows {
			bin, record := &cells[column[i]], &records[k]
			bin.gradient += record.gradient
			bin.hessian += record.hessian
			bin.count++
		}
		for _, bin := range cells[1:width] {
			channels.put(out, at, bin)
			at++
		}
	}
	return out
}

// channels say where a cell's numbers stand in a vector, and how many there are.
type channels struct {
	gradient, hessian, count int // offsets; -1 if there is none
	shift                    int
	number                   int
}

func (q *treeQuestion) channels(start, length int) channels {
	switch {
	case q.loss.constant():
		return channels{start, -1, start + length, 0, 2}
	case q.Scale.Shift != 0:
		return channels{start, start + length, -1, q.Scale.Shift, 2}
	}
	return channels{start, start + length, start + 2*length, 0, 3}
}

func (c *channels) put(out []float64, at int, x cell) {
	out[c.gradient+at] = float64(x.gradient)
	if c.hessian >= 0 {
		if c.shift != 0 {
			x.hessian = x.hessian<<c.shift | x.count
		}
		out[c.hessian+at] = float64(x.hessian)
	}
	if c.count >= 0 {
		out[c.count+at] = float64(x.count)
	}
}

// get is put's inverse, of a sum.
func (c *channels) get(in []float64, at int) cell {
	x := cell{gradient: int64(in[c.gradient+at])}
	if c.hessian >= 0 {
		x.hessian = int64(in[c.hessian+at])
		if c.shift != 0 {
			x.hessian, x.count = x.hessian>>c.shift, x.hessian&(1<<c.shift-1)
		}
	}
	if c.count >= 0 {
		x.count = int64(in[c.count+at])
	}
	if c.hessian < 0 {
		x.hessian = x.count
	}
	return x
}
