package boost

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
)

// Fit is the coordinator's half: a pure function of the sums it has absorbed.
type Fit struct {
	study    *study.Study
	loss     *loss
	monotone []int // by term

	wants     []describe.Want
	quantiles *describe.Quantiles // until the bins are counted
	raw       bins                // before they are merged

	bins     bins
	edges    []byte // encoded
	counts   moments
	heldOut  int
	events   int     // of all patients
	typical  typical // slopes at the last tree's root
	scale    scale   // of the tree that grows
	present  int     // patients at the last tree's root, or those counted if they were more
	base     float64
	trees    []tree
	encoded  []byte // the trees
	gains    [][]gain
	growth   *growth       // nil when no tree grows
	asked    *treeQuestion // the question of now; nil until it is made
	curve    []compute.Point
	best     int // trees at the least loss of the held-out
	bestLoss float64
	remarks  []compute.Diagnosis

	runs     *hazard.Runs   // that the baseline tells apart; nil until they are counted
	baseline []hazard.Point // at the runs' ends

	patients, contributors int
	grown, done            bool // the trees; the model
}

// New begins a fit on the patients that the counts count.
func New(s *study.Study, counts *describe.Counts) (*Fit, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	if err := tooFew(s, counts.Patients); err != nil {
		return nil, err
	}
	f := &Fit{study: s, loss: newLoss(s), wants: wants(s, counts.Patients), bestLoss: math.Inf(1)}
	for _, t := range columnsOf(s) {
		direction := 0
		if t.Feature >= 0 && t.Level < 0 {
			direction = s.Model.Boost.Monotone[s.Features[t.Feature].Column]
		}
		f.monotone = append(f.monotone, direction)
	}
	f.quantiles = describe.NewQuantiles(s, counts.Patients, f.wants)
	return f, nil
}

func tooFew(s *study.Study, patients int) error {
	if least := 2 * s.Model.Boost.MinLeaf; patients < least {
		return &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: fmt.Sprintf("a split needs %d patients, twice min_leaf, and fewer can train; lower min_leaf or invite more hospitals", least)}
	}
	return nil
}

// Next is the question whose sum Absorb expects; asked again it is the same.
func (f *Fit) Next() (q compute.Question, done bool, err error) {
	switch {
	case f.done:
		return q, true, nil
	case f.study.HasBaseline() && f.runs == nil:
		q.Step, q.Layout = StepGrid, gridLayout(f.study)
		return q, false, nil
	case f.grown:
		q.Step, q.Layout = StepBaseline, baselineLayout(f.study, *f.runs)
		q.Parameters, err = compute.EncodeParameters(f.lastQuestion())
		return q, false, err
	case f.edges != nil:
		q.Step = StepTree
		t := f.question()
		q.Layout = t.layout()
		q.Parameters, err = compute.EncodeParameters(t)
		return q, false, err
	case f.raw == nil:
		q, done, err = f.quantiles.Next()
		if err != nil || !done {
			q.Step = StepQuantiles
			return q, false, err
		}
		f.raw = cut(f.study, f.wants, f.quantiles.Values())
	}
	q.Step = StepBins
	q.Layout = binsLayout(f.raw)
	q.Parameters, err = compute.EncodeParameters(binsQuestion{Edges: f.raw.encode()})
	return q, false, err
}

// question about the tree that grows, or about the loss of all.
func (f *Fit) question() *treeQuestion {
	if f.asked == nil {
		f.asked = f.newQuestion()
	}
	return f.asked
}

func (f *Fit) newQuestion() *treeQuestion {
	q := &treeQuestion{Edges: f.edges, Base: f.base, Scale: f.scale, Patients: f.present, HeldOut: f.heldOut,
		Events: f.events, Trees: f.encoded, loss: f.loss, bins: f.bins, trees: f.trees}
	if g := f.growth; g != nil {
		q.tree, q.Tree, q.Nodes = g.tree, g.tree.append(nil), g.asked
		for _, n := range g.asked {
			b := g.open[n]
			if b.plan == nil { // patients may have come, whose counts nobody knows
				q.Counts = append(q.Counts, f.present)
				q.grids = append(q.grids, q.everything(f.present))
				continue
			}
			q.Counts = append(q.Counts, int(b.total.count))
			q.Squares = append(q.Squares, b.bound)
			q.grids = append(q.grids, b.plan.grid)
		}
		if !q.loose() {
			q.Grids = q.writeGrids()
		}
		q.inLimbs(f.contributors)
	}
	return q
}

// Absorb takes the opened sum of the question of Next.
func (f *Fit) Absorb(sum compute.Sum) error {
	switch {
	case f.done:
		return errors.New("the trees are grown: no sum is expected")
	case f.study.HasBaseline() && f.runs == nil:
		return f.absorbGrid(sum)
	case f.grown:
		return f.absorbBaseline(sum)
	case f.edges != nil:
		return f.absorbTree(sum)
	case f.raw == nil:
		return f.quantiles.Absorb(sum)
	}
	return f.absorbBins(sum)
}

func (f *Fit) absorbBins(sum compute.Sum) error {
	patients, events := sum.Field("patients"), sum.Field("events")
	outcome, cells := sum.Field("outcome"), sum.Field("bins")
	if len(patients) != 2 || len(events) != 2 || len(outcome) != 2 || len(cells) < f.raw.cells() {
		return errors.New("the opened sum does not fit the question about bins")
	}
	f.contributors = sum.Contributors
	train := int(patients[0])
	f.heldOut = int(patients[1])
	if err := tooFew(f.study, train); err != nil {
		return err
	}
	if k := f.study.Fairness.MinimumCell; f.study.Model.Boost.Patience > 0 && f.heldOut < max(k, 1) {
		return &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: fmt.Sprintf("fewer than %d patients would be held out for early stopping; hold out a larger fraction, or leave early_stopping out", k)}
	}
	f.counts = f.moments(train, int(events[0]), outcome)
	if d := f.loss.diagnose(f.counts); d != nil {
		return d
	}
	if f.loss.cox() {
		f.events = int(events[0] + events[1])
	}
	if f.heldOut > 0 && f.loss.cox() && events[1] == 0 {
		return &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: "no patient held out for early stopping has the event; hold out a larger fraction, or leave early_stopping out"}
	}

	counts := make([][]int, len(f.raw))
	for j, c := range f.raw {
		for range c.width() {
			counts[j] = append(counts[j], int(cells[0]))
			cells = cells[1:]
		}
	}
	least := max(f.study.Fairness.MinimumCell, 1)
	f.bins = f.raw.merge(counts, least)
	referencesOf(f.study).protect(f.bins, counts, least)
	f.edges = f.bins.encode()
	if names := f.unused(); names != nil {
		f.remarks = append(f.remarks, compute.Diagnosis{Kind: compute.UnusedColumn, Terms: names,
			Message: "no tree can split between values here, at most between missing and not: fewer patients than the minimum cell have the level, or another value than all others; or a number is declared in a range so wide, a million times what patients have, that their values look alike"})
	}
	f.base = f.loss.clamp(f.loss.start(f.counts)) + 0
	f.typical = f.loss.expected(moments{train, f.events, f.counts.mean, f.counts.spread})
	f.present = train
	f.begin()
	return nil
}

// unused names the terms in which no two values are told apart.
func (f *Fit) unused() (names []string) {
	for j, t := range columnsOf(f.study) {
		if j > 0 && len(f.bins[j].edges) == 0 {
			names = append(names, t.Name)
		}
	}
	return names
}

// moments of the outcome on the scale of the fit, from the sums over scaled
// records.
func (f *Fit) moments(train, events int, outcome []float64) moments {
	m := moments{patients: train, events: events}
	if f.loss.cox() {
		return m
	}
	mid, half := middle(f.study)
	n := float64(train)
	first, second := math.Ldexp(outcome[0], -outcomeBits)/n, math.Ldexp(outcome[1], -outcomeBits)/n
	m.mean = mid + float64(half*first)
	// Below the rounding of the sums there is no spread.
	if variance := second - float64(first*first); variance > math.Ldexp(1, 2-outcomeBits) {
		m.spread = half * math.Sqrt(variance)
	}
	return m
}

// begin starts a tree, if there is another and it has a column to split.
func (f *Fit) begin() {
	f.growth = nil
	b := f.study.Model.Boost
	f.scale = f.loss.scale(f.present, f.events, f.typical, precision(f.bins.asked()*openMost(b.Depth)))
	if len(f.trees) < b.Trees && f.bins.cells() > 0 {
		f.growth = newGrowth(f.counts.patients)
	}
}

func (f *Fit) absorbTree(sum compute.Sum) error {
	q := f.question()
	f.asked, f.contributors = nil, sum.Contributors
	if q.root() {
		if err := f.absorbLoss(sum); err != nil {
			return err
		}
		if f.growth == nil || f.stops() {
			f.finish()
			return nil
		}
	}
	b := f.study.Model.Boost
	r := &rule{gradient: math.Ldexp(1, -f.scale.Gradient), hessian: math.Ldexp(1, -f.scale.Hessian),
		lambda: b.Lambda, minLeaf: int64(b.MinLeaf), step: f.loss.step}
	g := f.growth
	if q.root() {
		f.measure(sum)
	}
	if err := g.absorb(q, sum, r, b.Depth, b.LearningRate, f.monotone); err != nil {
		return err
	}
	if len(g.open) > 0 {
		return nil
	}
	if len(g.tree) == 1 { // no split lowers the loss, nor would it another time
		f.finish()
		return nil
	}
	f.trees = append(f.trees, g.tree)
	f.encoded = g.tree.append(f.encoded)
	f.gains = append(f.gains, g.gains)
	f.begin()
	return nil
}

// measure takes the typical slopes at a tree's root, by which those of the next
// are rounded.
func (f *Fit) measure(sum compute.Sum) {
	t := sum.Field("totals")
	if len(t) != 4 || !(t[3] > 0) {
		return
	}
	if t[2] > 0 {
		f.typical.gradient = math.Sqrt(math.Ldexp(t[2], f.scale.Squares-2*f.scale.Gradient) / t[3])
	}
	if t[1] > 0 {
		f.typical.hessian = math.Ldexp(t[1], -f.scale.Hessian) / t[3]
	}
	f.present = max(f.counts.patients, int(t[3]))
}

// absorbLoss takes the mean loss of the trees so far.
func (f *Fit) absorbLoss(sum compute.Sum) error {
	loss, patients, events := sum.Field("loss"), sum.Field("patients"), sum.Field("events")
	if len(loss) != 2 || len(patients) != 2 || len(events) != 2 {
		return errors.New("the opened sum has no loss")
	}
	f.patients = int(patients[0] + patients[1])
	of := patients
	if f.loss.cox() {
		of = events
	}
	p := compute.Point{Round: len(f.trees), Loss: math.Ldexp(loss[0], -f.scale.Loss) / max(of[0], 1)}
	held := math.Ldexp(loss[1], -f.scale.Loss) / max(of[1], 1)
	if f.heldOut > 0 {
		p.HeldOut = &held
		if held < f.bestLoss {
			f.best, f.bestLoss = len(f.trees), held
		}
	}
	f.curve = append(f.curve, p)
	return nil
}

// stops says that the held-out records have not gained for long enough.
func (f *Fit) stops() bool {
	patience := f.study.Model.Boost.Patience
	return patience > 0 && len(f.trees)-f.best >= patience
}

// finish keeps the trees up to the best.
func (f *Fit) finish() {
	if f.study.Model.Boost.Patience > 0 {
		f.trees = slices.Clip(f.trees[:f.best])
		f.gains = f.gains[:f.best]
	}
	if len(f.trees) == 0 {
		f.remarks = append(f.remarks, compute.Diagnosis{Kind: compute.NoSplit,
			Message: "no split with min_leaf patients on each side lowers the loss, or none lowers that of the patients held out: the model predicts the same for everybody"})
	}
	if first, last := f.curve[0].Loss, f.curve[min(len(f.trees), len(f.curve)-1)].Loss; len(f.trees) > 0 && last >= first {
		f.remarks = append(f.remarks, compute.Diagnosis{Kind: compute.Divergence,
			Message: fmt.Sprintf("with %d trees the training loss is %.3g, no less than the %.3g without any: the steps are too long; lower model.learning_rate, now %g, or raise model.lambda, now %g", len(f.trees), last, first, f.study.Model.Boost.LearningRate, f.study.Model.Boost.Lambda)})
	}
	f.growth, f.grown = nil, true
	f.done = !f.study.HasBaseline()
}

// Remarks are what the result should say beside the model.
func (f *Fit) Remarks() []compute.Diagnosis { return f.remarks }
