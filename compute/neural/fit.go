package neural

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// Fit is the coordinator's half: what the opened sums have made of a network.
type Fit struct {
	network *network
	step    string // of the open question; empty when done
	failed  *compute.Diagnosis

	patients int // on whom it trains, as the moments count them
	fitted   fitted
	round    int
	server   optimizer
	previous []float64   // scaffold: the weights of the round before
	control  []float64   // scaffold: the mean gradient there
	past     [][]float64 // fairfed: the weights of all rounds before
	wholes   []whole     // fairfed: what was opened of each round, this one's too
	curve    []compute.Point
	clipped  float64 // numbers cut to their bound, over all sites and rounds
	remarks  []compute.Diagnosis
	model    *Model
}

// New starts a fit. The network asks for the moments of its columns itself,
// since it may train on a part of the patients that the counts are about.
func New(s *study.Study, _ *describe.Counts) (*Fit, error) {
	n, err := newNetwork(s)
	if err != nil {
		return nil, err
	}
	return &Fit{network: n, step: StepMoments, server: optimizer{rule: n.model.Server}}, nil
}

// Next is the question whose sum Absorb expects; asked again it is the same.
func (f *Fit) Next() (q compute.Question, done bool, err error) {
	if f.failed != nil {
		return q, true, f.failed
	}
	if f.step == "" {
		return q, true, nil
	}
	n := f.network
	q.Step = f.step
	switch f.step {
	case StepMoments:
		q.Layout = n.momentsLayout()
	case StepRound:
		q.Layout = n.roundLayout()
		q.Parameters, err = n.encodeRound(question{f.round, f.patients, f.fitted, f.previous, f.control, f.past, f.wholes})
	case StepRates:
		q.Layout = n.ratesLayout()
		q.Parameters, err = compute.EncodeParameters(fairParameters{f.round, n.encode(f.fitted), nil})
	case StepGap:
		q.Layout = n.gapLayout()
		q.Parameters, err = compute.EncodeParameters(fairParameters{f.round, n.encode(f.fitted), &f.wholes[len(f.wholes)-1]})
	case StepImportance:
		q.Layout = n.importanceLayout()
		q.Parameters, err = compute.EncodeParameters(encodedParameters{n.encode(f.fitted)})
	}
	return q, false, err
}

// Absorb takes the opened sum of the question of Next.
func (f *Fit) Absorb(sum compute.Sum) (err error) {
	if f.failed != nil || f.step == "" {
		return errors.New("the fit is over: no sum is expected")
	}
	switch f.step {
	case StepMoments:
		err = f.absorbMoments(sum)
	case StepRates:
		err = f.absorbRates(sum)
	case StepGap:
		err = f.absorbGap(sum)
	case StepRound:
		err = f.absorbRound(sum)
	case StepImportance:
		err = f.absorbImportance(sum)
	}
	errors.As(err, &f.failed)
	return err
}

// Model is the finished model, nil before.
func (f *Fit) Model() *Model { return f.model }

// Remarks are what a reader of the model should know and what did not prevent it.
func (f *Fit) Remarks() []compute.Diagnosis { return f.remarks }

func (f *Fit) absorbMoments(sum compute.Sum) error {
	n := f.network
	patients, c, outcome, err := n.readMoments(sum)
	if err != nil {
		return err
	}
	if names := c.constant(); names != nil {
		f.remarks = append(f.remarks, compute.Diagnosis{Kind: compute.UnusedColumn, Terms: names,
			Message: "all patients have the same value here, so the network does not use it, whatever the value of another patient"})
	}
	f.patients = patients
	f.fitted = fitted{c, n.initial(start(n.study.Outcome.Type, outcome))}
	n.settle(f.fitted.weights)
	f.step = f.next()
	return nil
}

// next is the first question of a round.
func (f *Fit) next() string {
	if f.network.model.GapWeights != nil {
		return StepRates
	}
	return StepRound
}

// start is the output that predicts the mean outcome for everyone.
func start(t study.Type, mean float64) float64 {
	switch t {
	case study.Binary:
		return math.Log(mean / (1 - mean))
	case study.Count:
		return math.Log(mean)
	}
	return 0
}

func (f *Fit) absorbRound(sum compute.Sum) error {
	n := f.network
	patients, err := f.learn(sum, n.roundLayout())
	if err != nil {
		return err
	}
	if sites := math.Round(sum.Field("overflows")[0]); sites > 0 {
		return f.diverged(fmt.Sprintf("training left the finite numbers in round %d", f.round+1))
	}
	f.clipped += math.Round(sum.Field("clipped")[0])
	// The sites' shares are of all patients; where a site is missing they do not
	// add up to one.
	whole := float64(f.patients) / patients
	mean := func(field string) []float64 {
		numbers := slices.Clone(sum.Field(field))
		scale(whole, numbers)
		return numbers
	}
	weights := slices.Clone(f.fitted.weights)
	switch n.model.Strategy {
	case study.FedSGD:
		gradient := mean("gradient")
		n.decay(weights, gradient)
		f.server.step(weights, gradient)
	case study.FedAdam, study.FedYogi:
		f.server.adaptive(weights, mean("change"))
	default:
		switch { // the shares of numerator and denominator cancel
		case n.model.Q > 0:
			whole = 1 / sum.Field("curvature")[0]
		case n.model.GapWeights != nil:
			whole = 1 / sum.Field("weight")[0]
			f.past = append(f.past, f.fitted.weights)
		}
		for i, d := range mean("change") {
			weights[i] += d
		}
	}
	if n.model.Strategy == study.Scaffold {
		f.previous, f.control = f.fitted.weights, mean("control")
		for i, c := range f.control {
			f.control[i], _ = bounded(float64(float32(c)), controlBound)
			f.control[i] += 0 // a minus zero is a second spelling of zero
		}
	}
	if !n.settle(weights) {
		return f.diverged(fmt.Sprintf("a weight exceeds %d after round %d", maxWeight, f.round+1))
	}
	f.fitted.weights = weights
	f.round++
	if f.step = f.next(); f.round == n.study.Schedule.Rounds || f.settled() {
		f.step = StepImportance
	}
	return nil
}

// learn reads the patients of a sum and puts its loss on the curve.
func (f *Fit) learn(sum compute.Sum, layout []compute.Field) (patients float64, err error) {
	if err := checkSum(sum, layout); err != nil {
		return 0, err
	}
	patients = math.Round(sum.Field("patients")[0])
	if patients < 1 {
		return 0, &compute.Diagnosis{Kind: compute.TooFewPatients, Message: "the hospitals that took part in this round have no patients to train on"}
	}
	loss := sum.Field("loss")[0] / patients
	f.curve = append(f.curve, compute.Point{Round: f.round, Loss: loss})
	// No start is so good that a loss below the floor means divergence.
	const outOfProportion, floor = 10, 0.1
	if first := f.curve[0].Loss; !(loss <= outOfProportion*max(first, floor)) {
		return 0, f.diverged(fmt.Sprintf("the training loss has grown from %.3g to %.3g in %d rounds", first, loss, f.round))
	}
	return patients, nil
}

func (f *Fit) diverged(what string) *compute.Diagnosis {
	n := f.network
	key, rate := "optimizer.rate", n.model.Optimizer.Rate
	switch n.model.Strategy {
	case study.FedSGD, study.FedAdam, study.FedYogi:
		key, rate = "server.rate", n.model.Server.Rate
	}
	return &compute.Diagnosis{Kind: compute.Divergence,
		Message: fmt.Sprintf("%s: the steps are too long; lower model.%s, now %g, to a tenth, or bound each record's influence with model.clip", what, key, rate)}
}

// settled reports that the last round changed the loss by no more than the
// tolerance.
func (f *Fit) settled() bool {
	if len(f.curve) < 2 {
		return false
	}
	before, after := f.curve[len(f.curve)-2].Loss, f.curve[len(f.curve)-1].Loss
	return math.Abs(after-before) <= float64(f.network.study.Schedule.Tolerance*before)
}

func (f *Fit) absorbImportance(sum compute.Sum) error {
	n := f.network
	patients, err := f.learn(sum, n.importanceLayout())
	if err != nil {
		return err
	}
	if f.clipped > 0 {
		f.remarks = append(f.remarks, compute.Diagnosis{Kind: compute.ClippedUpdate,
			Message: fmt.Sprintf("%.0f numbers that hospitals answered with in %d rounds were cut to their declared bound; a lower rate or model.clip avoids that", f.clipped, f.round)})
	}
	if first, last := f.curve[0].Loss, f.curve[len(f.curve)-1].Loss; last >= first {
		f.remarks = append(f.remarks, *f.diverged(fmt.Sprintf("after %d rounds the training loss is %.3g, no less than the %.3g before the first, when everybody's prediction was near the mean", f.round, last, first)))
	}
	f.model = n.newModel(f.fitted)
	f.model.N, f.model.Contributors = int(patients), sum.Contributors
	f.model.Rounds, f.model.Curve = f.round, f.curve
	f.model.Loss = f.curve[len(f.curve)-1].Loss
	f.model.Importance = n.importance(f.fitted.scaling, sum.Field("slopes"), patients)
	f.step = ""
	return nil
}
