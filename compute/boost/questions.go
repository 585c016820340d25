package boost

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// binsQuestion asks how many patients are between edges.
type binsQuestion struct {
	Edges []byte `json:"edges"`

	edges bins
}

func readBinsQuestion(s *study.Study, parameters []byte) (*binsQuestion, error) {
	var q binsQuestion
	err := compute.DecodeParameters(parameters, &q)
	if err != nil {
		return nil, err
	}
	if q.edges, err = decodeBins(s, q.Edges); err != nil {
		return nil, err
	}
	for _, c := range q.edges[1:] {
		if !c.missing {
			return nil, errors.New("missing values have no bin in the question of the bins")
		}
	}
	return &q, nil
}

// A record's outcome, scaled to [-1, 1], is rounded to outcomeBits here.
const outcomeBits = 28

func (q *binsQuestion) layout() []compute.Field { return binsLayout(q.edges) }

func binsLayout(b bins) []compute.Field {
	return []compute.Field{
		{Name: "patients", Length: 2, Bound: maxRows}, // that train, that are held out
		{Name: "events", Length: 2, Bound: maxRows},   // of a survival outcome, likewise
		{Name: "outcome", Length: 2, Bound: maxRows << outcomeBits},
		{Name: "bins", Length: max(b.cells(), 1), Bound: maxRows},
	}
}

// treeQuestion asks for a level of a tree, and at its root for the loss of the
// trees before it. It holds everything that an answer needs, the model so far
// included: a site that was restarted can answer it. Without nodes it asks for
// the loss only.
type treeQuestion struct {
	Edges    []byte  `json:"edges"`
	Base     float64 `json:"base"`
	Scale    scale   `json:"scale"`
	Patients int     `json:"patients"` // that train, over all sites
	HeldOut  int     `json:"held_out"`
	Events   int     `json:"events"`           // of all patients, if the loss is Cox's
	Trees    []byte  `json:"trees,omitempty"`  // whole
	Tree     []byte  `json:"tree,omitempty"`   // without its open nodes
	Nodes    []int   `json:"nodes,omitempty"`  // ascending, of the open ones
	Counts   []int   `json:"counts,omitempty"` // patients in each, over all sites
	// Of nodes whose parents' histograms are known: the squares of the parent's
	// gradients, and the grids, one after another.
	Squares []int64 `json:"squares,omitempty"`
	Grids   []byte  `json:"grids,omitempty"`
	Limb    int     `json:"limb,omitempty"` // bits of the limbs that the cells travel in, if any are asked

	loss   *loss
	bins   bins
	trees  []tree
	tree   tree
	grids  []grid     // of Nodes
	cells  [][]widths // of the grids' lots
	widest uint       // of their sums
	tally  tally      // of them
	limbs  arrangement
}

// lately is the tree question that was read last: a site reads each for its
// layout and again for its answer, with all trees so far.
var lately struct {
	sync.Mutex
	study      [32]byte
	weighted   bool // the same study, with the weights of a mitigation
	parameters []byte
	question   *treeQuestion
}

// readTreeQuestion reads and checks a question, which nobody may change.
func readTreeQuestion(s *study.Study, parameters []byte) (*treeQuestion, error) {
	lately.Lock()
	defer lately.Unlock()
	if lately.question != nil && lately.study == s.Digest() && lately.weighted == (s.Model.Weights != nil) && bytes.Equal(lately.parameters, parameters) {
		return lately.question, nil
	}
	q, err := decodeTreeQuestion(s, parameters)
	if err == nil {
		lately.study, lately.weighted, lately.parameters, lately.question = s.Digest(), s.Model.Weights != nil, bytes.Clone(parameters), q
	}
	return q, err
}

func decodeTreeQuestion(s *study.Study, parameters []byte) (*treeQuestion, error) {
	q := treeQuestion{loss: newLoss(s)}
	err := compute.DecodeParameters(parameters, &q)
	if err != nil {
		return nil, err
	}
	if q.bins, q.trees, err = readEnsemble(s, q.Edges, q.Base, q.Trees); err != nil {
		return nil, err
	}
	if q.tree, err = readGrowing(q.bins, s.Model.Boost.Depth, q.Tree); err != nil {
		return nil, err
	}
	if err := q.check(s.Model.Boost); err != nil {
		return nil, err
	}
	if err := q.readGrids(); err != nil {
		return nil, err
	}
	q.measure()
	if int(q.widest) > q.Limb {
		return nil, errLimbs
	}
	q.inLimbsOf(q.Limb)
	if err := q.checkSums(); err != nil {
		return nil, err
	}
	return &q, nil
}

// readEnsemble reads the trees so far, and what they rest on.
func readEnsemble(s *study.Study, edges []byte, base float64, finished []byte) (b bins, trees []tree, err error) {
	if b, err = decodeBins(s, edges); err != nil {
		return nil, nil, err
	}
	model := s.Model.Boost
	if trees, err = readTrees(b, model.Depth, model.Trees, finished); err != nil {
		return nil, nil, err
	}
	return b, trees, checkBase(base, newLoss(s))
}

// measure finds the widths of all cells.
func (q *treeQuestion) measure() {
	q.cells, q.widest, q.tally = make([][]widths, len(q.grids)), 0, tally{}
	for i, g := range q.grids {
		q.cells[i] = make([]widths, len(g))
		for k := range g {
			w := q.widths(i, &g[k])
			q.cells[i][k] = w
			q.widest = max(q.widest, w.widest())
			if q.widest <= mostLimb {
				q.tally.add(w, len(g[k].groups))
			}
		}
	}
}

// inLimbs has the cells travel among so many sites.
func (q *treeQuestion) inLimbs(sites int) {
	q.measure()
	q.limbs = arrangement{}
	beside := uint(0)
	for _, f := range q.layout() {
		beside = max(beside, 1+widthOf(f.Bound))
	}
	q.inLimbsOf(limbFor(&q.tally, max(int(q.widest), leastLimb), sites, beside))
}

// inLimbsOf has the cells travel in limbs of so many bits.
func (q *treeQuestion) inLimbsOf(limb int) {
	q.Limb, q.limbs = limb, arrange(&q.tally, uint(limb))
}

// loose says that nothing is known of the nodes' histograms.
func (q *treeQuestion) loose() bool { return len(q.Squares) == 0 }

// readGrids reads or makes the grids of the nodes.
func (q *treeQuestion) readGrids() (err error) {
	rest := q.Grids
	for _, count := range q.Counts {
		var g grid
		if q.loose() {
			g = q.everything(count)
		} else if g, rest, err = readGrid(rest, q.bins, q.loss.constant()); err != nil {
			return err
		}
		q.grids = append(q.grids, g)
	}
	if len(rest) > 0 || !q.loose() && !bytes.Equal(q.writeGrids(), q.Grids) {
		return errGrid // not in the only spelling that there is
	}
	return nil
}

func (q *treeQuestion) writeGrids() (out []byte) {
	for _, g := range q.grids {
		out = g.append(out, q.bins, q.loss.constant())
	}
	return out
}

func checkBase(base float64, l *loss) error {
	if !(base >= min(l.lo, -scoreBound) && base <= max(l.hi, scoreBound)) || base == 0 && math.Signbit(base) {
		return errors.New("the base score of the trees is out of its range")
	}
	return nil
}

func (q *treeQuestion) check(b *study.BoostModel) error {
	const most = maxRows * 1024 // at every site a federation can have
	switch {
	case q.Patients < 1 || q.Patients > most || q.HeldOut < 0 || q.HeldOut > most || q.Events < 0 || q.Events > q.Patients+q.HeldOut:
		return errors.New("the counts of patients are out of their range")
	case !q.loss.cox() && q.Events != 0:
		return errors.New("there are events, but the outcome is no survival time")
	case len(q.Squares) != 0 && (q.root() || len(q.Squares) != len(q.Nodes)):
		return errors.New("the open nodes and their squares differ in number, or the root has some")
	case q.HeldOut > 0 && b.Patience == 0:
		return errors.New("there are records held out, but the study stops no fit early")
	case len(q.Nodes) != len(q.Counts):
		return errors.New("the open nodes and their counts differ in number")
	case len(q.Nodes) == 0 && q.Limb != 0, len(q.Nodes) != 0 && (q.Limb < leastLimb || q.Limb > mostLimb):
		return errLimbs
	case len(q.Nodes) == 0 && len(q.Tree) != 0:
		return errors.New("the tree grows, but no open node is asked")
	case len(q.Nodes) != 0 && (len(q.trees) == b.Trees || q.bins.cells() == 0):
		return errors.New("the model is complete, but another tree is asked")
	}
	for i, n := range q.Nodes {
		if n < 0 || n >= q.tree.open() || i > 0 && n <= q.Nodes[i-1] {
			return fmt.Errorf("node %d is not open or not in order", n)
		}
		if q.Counts[i] < b.MinLeaf || q.Counts[i] > q.Patients {
			return fmt.Errorf("node %d has fewer patients than a leaf, or more than there are", n)
		}
	}
	if len(q.Nodes) > 0 && q.tree.depths()[len(q.tree)] >= b.Depth {
		return errors.New("the open nodes are deeper than the study's trees")
	}
	for _, x := range q.Squares {
		if x < 0 || x > 1<<exactBits {
			return errors.New("the squares are out of their range")
		}
	}
	t := q.Scale
	for _, bits := range []int{t.Gradient, t.Hessian, t.Loss} {
		if bits < -1000 || bits > 100 {
			return errors.New("the rounding of the sums is out of its range")
		}
	}
	if t.Squares < 0 || t.Squares > 100 {
		return errors.New("the rounding of the squares is out of its range")
	}
	if q.loss.constant() && t.Hessian != 0 {
		return errors.New("the hessian is always one, but has a rounding")
	}
	return nil
}

// checkSums makes sure that no sum leaves the whole numbers of a float64.
func (q *treeQuestion) checkSums() error {
	for _, f := range q.layout() {
		// Over all sites, too, a sum stays below its bound with all patients.
		if !(f.Bound <= 1<<exactBits) {
			return errInexact
		}
	}
	return nil
}

var errInexact = errors.New("the sums could leave the whole numbers that they are exact in")

// root says that the question begins a tree, or follows the last.
func (q *treeQuestion) root() bool { return len(q.tree) == 0 }

// layout of the answer; all numbers are whole.
func (q *treeQuestion) layout() []compute.Field {
	var out []compute.Field
	if q.root() {
		everyone := max(q.Patients, q.HeldOut)
		out = append(out,
			compute.Field{Name: "loss", Length: 2, Bound: q.loss.bound(q.loss.value, q.Scale.Loss, everyone, q.Events)},
			compute.Field{Name: "patients", Length: 2, Bound: float64(everyone)}, // that train, that are held out
			compute.Field{Name: "events", Length: 2, Bound: float64(max(q.Events, 1))},
		)
	}
	if len(q.Nodes) > 0 {
		total := compute.Field{Name: "totals", Length: 4 * len(q.Nodes)} // gradient, hessian, squares, count
		for i, count := range q.Counts {
			squares := q.loss.squares(q.Scale, count, q.Events)
			if !q.loose() {
				squares = float64(q.Squares[i])
			}
			total.Bound = max(total.Bound, float64(count), squares, q.gradientBound(i, count),
				q.loss.bound(q.loss.hessian, q.Scale.Hessian, count, q.Events))
		}
		out = append(out, total)
	}
	if q.limbs.limbs > 0 {
		out = append(out, compute.Field{Name: "cells", Length: q.limbs.limbs, Bound: math.Ldexp(1, q.Limb-1) - 1})
	}
	return out
}

// Layout of a step: what a site recomputes and compares with the plan it is
// sent.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	switch step {
	case StepQuantiles:
		return describe.QuantilesLayout(s, parameters)
	case StepBins:
		q, err := readBinsQuestion(s, parameters)
		if err != nil {
			return nil, err
		}
		return q.layout(), nil
	case StepTree:
		q, err := readTreeQuestion(s, parameters)
		if err != nil {
			return nil, err
		}
		return q.layout(), nil
	case StepGrid, StepBaseline:
		return baselineStepLayout(s, step, parameters)
	}
	return nil, fmt.Errorf("boosted trees have no step %q", step)
}
