package boost

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/bits"
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
	case StepGrid, StepBaseline:
		return answerBaselineStep(s, step, parameters, m)
	}
	return nil, fmt.Errorf("boosted trees have no step %q", step)
}

// cache is what a site keeps between the questions about the same records. It
// only saves work: every part is named by the bytes of the question that it was
// made for, and is made again for others.
type cache struct {
	mu      sync.Mutex
	records *records

	edges []byte
	codes *codes

	base   float64
	trees  []byte // those in the scores
	count  int
	scores []float64
	scale  scale
	slopes *slopes // nil if not of the scores

	placed placed // in the tree that grows

	words [3][]int64 // of the records of a node, from one use to the next
	sums  classes    // of the cells of an answer, likewise
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
	sorted := describe.Sorted(s, m)
	var levels []int
	for j := 1; j < len(q.edges); j++ {
		if x, number := sorted[j]; number {
			q.edges[j].count(out[at[j]:], x, m.Rows())
		} else {
			levels = append(levels, j)
		}
	}
	var row []float64
	references := referencesOf(s)
	for i := 0; len(levels) > 0 && i < m.Rows(); i++ {
		row = references.append(m.AppendRow(row[:0], i))
		for _, j := range levels {
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

var errMore = errors.New("this site alone has more patients, or patients further from the trees, than the coordinator counted over all sites; it joined since then, and takes part again when that count is taken anew")

// scorer is what gives a site's records their scores.
type scorer struct {
	edges []byte
	bins  bins
	base  float64
	trees []byte
	grown []tree
}

// score brings codes and scores up to the trees.
func (c *cache) score(s *study.Study, by scorer, m *study.Matrix) {
	r := c.read(s, m)
	if c.codes == nil || !bytes.Equal(c.edges, by.edges) {
		c.edges, c.codes, c.scores, c.placed = by.edges, newCodes(r, m, by.bins), nil, placed{}
	}
	if c.scores == nil || math.Float64bits(c.base) != math.Float64bits(by.base) || !bytes.HasPrefix(by.trees, c.trees) || c.count > len(by.grown) {
		c.base, c.count, c.scores, c.slopes = by.base, 0, make([]float64, len(r.order)), nil
		for i := range c.scores {
			c.scores[i] = by.base
		}
	}
	for _, t := range by.grown[c.count:] {
		c.slopes = nil
		c.placed.follow(t, by.bins, c.codes, len(r.order))
		for k, rows := range c.placed.lists {
			if t[k].leaf() {
				for _, i := range rows {
					c.scores[i] += float64(t[k].value)
				}
			}
		}
	}
	c.trees, c.count = by.trees, len(by.grown)
}

// prepare brings codes, scores and slopes up to the question.
func (c *cache) prepare(s *study.Study, q *treeQuestion, m *study.Matrix) {
	c.score(s, scorer{q.Edges, q.bins, q.Base, q.Trees, q.trees}, m)
	if c.slopes == nil || c.scale != q.Scale {
		c.scale, c.slopes = q.Scale, q.loss.slopes(c.records, c.codes.keys, c.scores, q.Scale, len(q.trees))
	}
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
	c.placed.follow(q.tree, q.bins, c.codes, len(r.order))
	open := c.placed.lists[len(q.tree):]
	nodes := make([][]int32, len(q.Nodes))
	for i, n := range q.Nodes {
		train, _ := slices.BinarySearch(open[n], int32(r.train)) // the first of those held out
		if train > q.Counts[i] {
			return nil, errMore
		}
		nodes[i] = open[n][:train]
		var sums [3]int64
		for k, numbers := range [][]int64{c.slopes.gradient, c.slopes.hessian, c.slopes.squares} {
			for _, row := range nodes[i] {
				sums[k] += numbers[row]
			}
			out = append(out, float64(sums[k]))
		}
		if !q.loose() && sums[2] > q.Squares[i] {
			return nil, errMore
		}
		out = append(out, float64(train))
	}
	return q.addCells(out, c, nodes)
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

// addCells appends the limbs of the cells of all nodes.
func (q *treeQuestion) addCells(out []float64, c *cache, nodes [][]int32) ([]float64, error) {
	c.sums.clear(&q.tally)
	for i, rows := range nodes {
		own, wire := q.loss.packed(c, rows), q.cells[i]
		c.codes.sums(q.grids[i], q.bins, rows, c.words[:own.words], func(l *lot, sums [][]int64) {
			c.sums.put(sums, l.groups, &own, wire[0])
			wire = wire[1:]
		})
	}
	out, ok := q.limbs.write(out, &c.sums)
	if !ok {
		return nil, errMore
	}
	return out, nil
}

// put the cells of groups of bins, which a site has in words.
func (c *classes) put(words [][]int64, groups []group, own *packing, to widths) {
	var joined [3][]int64
	for w, sums := range words {
		out := c.joined[w][:len(groups)]
		for i, g := range groups {
			x := sums[g.first]
			for bin := int(g.first) + 1; bin <= int(g.last); bin++ {
				x += sums[bin]
			}
			out[i] = x
		}
		joined[w] = out
	}
	own.counts(joined, c.room(unsigned, to.count, len(groups)))
	if !own.constant {
		own.hessians(joined, c.room(unsigned, to.hessian, len(groups)))
	}
	own.gradients(joined, c.room(signed, to.gradient, len(groups)))
}

// packed writes the slopes of records into as few words for each as hold the
// sums of any of them.
func (l *loss) packed(c *cache, rows []int32) packing {
	widest, curved := int64(0), int64(0)
	for _, row := range rows {
		g := c.slopes.gradient[row]
		widest += max(g, -g)
		curved += c.slopes.hessian[row]
	}
	p := pack(l.constant(), uint(bits.Len64(uint64(widest))), uint(bits.Len64(uint64(curved))), uint(bits.Len(uint(len(rows)))), 63)
	for w := range p.words {
		c.words[w] = slices.Grow(c.words[w][:0], len(rows))[:len(rows)]
	}
	var words [3]int64
	for k, row := range rows {
		p.put(cell{c.slopes.gradient[row], c.slopes.hessian[row], 1}, words[:])
		for w := range p.words {
			c.words[w][k] = words[w]
		}
	}
	return p
}
