package neural

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// FairFed (Ezzeldin, Yan, He, Ferrara and Avestimehr, FairFed: Enabling group
// fairness in federated learning, AAAI 2023, algorithm 1) lets a hospital count
// more in a round the nearer its gap between groups is to that of all patients.
// With the global network at the start of the round, F its gap over all patients
// and F_k over those of hospital k,
//
//	d_k = |F - F_k|, or |A - A_k| of the accuracies where F_k is not defined
//	w_k = w_k of the round before - beta (d_k - mean of d over the hospitals)
//	weights += sum of w_k change_k / sum of w_k
//
// and w_k of the round before the first is the hospital's share of the patients.
// For beta = 0 it is fedavg.
//
// A round is three questions, as in the paper: the counts that F and A are made
// of, the sum of d, and the weighted changes. Of each only the sum over hospitals
// is opened: no hospital's F, d or w. A hospital has nothing to remember between
// rounds: a question carries the networks of the rounds before, with what was
// opened of them, and w_k follows from these and from the hospital's records.
//
// Unlike in the paper w_k stays between a tenth of the hospital's share and the
// study's largest share: none drops out, and none makes the model alone.
// Where nobody is called positive the mean loss stands for a rate and for the
// accuracy.

// Steps of a round of FairFed, before the round itself.
const (
	StepRates = "neural/rates"
	StepGap   = "neural/gap"
)

const (
	leastOfShare = 0.1 // of a hospital's share of the patients
	mostFairLoss = 16  // at which the loss of a record is cut off in a gap
	gapBits      = 48
)

// rates are what a gap is made of: of the reference group and of the others, how
// many patients a rate is of and how many of them the network calls positive; and
// of all, how many it calls rightly. Of a loss, the sums of it.
type rates struct {
	of, positive   [2]float64
	patients, good float64
}

// gap between the reference and the others; ok is false where one has nobody.
func (r rates) gap() (gap float64, ok bool) {
	if r.of[0] == 0 || r.of[1] == 0 {
		return 0, false
	}
	return r.positive[0]/r.of[0] - r.positive[1]/r.of[1], true
}

func (r rates) accuracy() float64 { return r.good / max(r.patients, 1) }

// whole is what was opened of a round: the gap and the accuracy over all patients,
// and then the mean over hospitals of the distances to them.
type whole struct {
	Gap      float64 `json:"gap"`
	Accuracy float64 `json:"accuracy"`
	Mean     float64 `json:"mean"`
}

// mostGap is the largest that there can be.
func (n *network) mostGap() float64 {
	if n.study.Mitigation.Equalize == study.EqualLoss {
		return mostFairLoss
	}
	return 1
}

func (n *network) checkWhole(w whole) error {
	most := n.mostGap()
	if !within(w.Gap, -most, most) || !within(w.Accuracy, 0, most) || !within(w.Mean, 0, 2*most) {
		return errors.New("a gap, an accuracy or a mean distance is beyond its bounds, or spelt in a second way")
	}
	return nil
}

func (n *network) ratesLayout() []compute.Field {
	total := func(name string, length int) compute.Field {
		if n.study.Mitigation.Equalize == study.EqualLoss {
			return compute.Field{Name: name, Length: length, FracBits: lossBits, Bound: maxRows * mostFairLoss}
		}
		return compute.Field{Name: name, Length: length, Bound: maxRows}
	}
	return []compute.Field{{Name: "patients", Length: 1, Bound: maxRows}, total("good", 1), {Name: "of", Length: 2, Bound: maxRows}, total("positive", 2)}
}

func (n *network) gapLayout() []compute.Field {
	return []compute.Field{{Name: "hospitals", Length: 1, Bound: 1}, {Name: "distance", Length: 1, FracBits: gapBits, Bound: 2 * n.mostGap()}}
}

// ratesAt is the key under which a matrix remembers its rates.
type ratesAt struct {
	network [32]byte
	groups  string
}

// ratesOf counts a site's records with a network.
func (n *network) ratesOf(f fitted, m *study.Matrix) rates {
	g := n.model.GapWeights
	key := ratesAt{sha256.Sum256(n.encode(f)), fmt.Sprint(g.Reference, g.Others)}
	return m.Memo(key, func() any { return n.count(f, m) }).(rates)
}

func (n *network) count(f fitted, m *study.Matrix) (r rates) {
	s, g := n.study, n.model.GapWeights
	t := n.newTrainer(f.scaling, m)
	sums := compute.NewAccumulator(3) // of the losses: all, the reference, the others
	t.chunks(f.weights, t.everyone(), func(records []int) {
		for k, i := range records {
			r.patients++
			side := slices.Index([]bool{m.Group(i, s.Mitigation.Attribute) == g.Reference, slices.Contains(g.Others, m.Group(i, s.Mitigation.Attribute))}, true)
			if s.Mitigation.Equalize == study.EqualLoss {
				value, _ := n.loss(t.tape.eta(k), t.outcome(i))
				if !(value <= mostFairLoss) {
					value = mostFairLoss // or no number
				}
				sums.Add(0, value)
				if side >= 0 {
					r.of[side]++
					sums.Add(1+side, value)
				}
				continue
			}
			called, has := sigmoid(t.tape.eta(k)) >= s.Cut(), m.Outcome(i) == 1
			if called == has {
				r.good++
			}
			if side < 0 || s.Mitigation.Equalize == "tpr" && !has || s.Mitigation.Equalize == "fpr" && has {
				continue
			}
			r.of[side]++
			if called {
				r.positive[side]++
			}
		}
	})
	if s.Mitigation.Equalize == study.EqualLoss {
		total := sums.Values()
		r.good, r.positive = total[0], [2]float64{total[1], total[2]}
	}
	return r
}

// distance of a site's gap from that of the whole; of the accuracies where the
// site has no gap.
func (n *network) distance(w whole, r rates) float64 {
	if gap, ok := r.gap(); ok {
		return math.Abs(w.Gap - gap)
	}
	return math.Abs(w.Accuracy - r.accuracy())
}

// hospitalWeight is w_k of the question's round.
func (n *network) hospitalWeight(q question, m *study.Matrix) float64 {
	if m.Rows() == 0 {
		return 0
	}
	share := float64(m.Rows()) / float64(q.patients)
	least, most := leastOfShare*share, max(n.study.Fairness.LargestShare, share)
	w := share
	for k, all := range q.wholes {
		at := q.fitted
		if k < len(q.past) {
			at.weights = q.past[k]
		}
		w -= n.model.GapWeights.Beta * (n.distance(all, n.ratesOf(at, m)) - all.Mean)
		w = min(max(w, least), most)
	}
	return w
}

func (n *network) answerRates(f fitted, m *study.Matrix) []float64 {
	r := n.ratesOf(f, m)
	return []float64{r.patients, r.good, r.of[0], r.of[1], r.positive[0], r.positive[1]}
}

func (n *network) answerGap(f fitted, w whole, m *study.Matrix) []float64 {
	if m.Rows() == 0 {
		return []float64{0, 0}
	}
	return []float64{1, min(n.distance(w, n.ratesOf(f, m)), 2*n.mostGap())}
}

// fairParameters are those of StepRates and StepGap.
type fairParameters struct {
	Round   int    `json:"round"` // from 0: no two rounds ask the same, even of the same network
	Network []byte `json:"network"`
	Whole   *whole `json:"whole,omitempty"` // gap: what the rates have opened
}

func (n *network) readFair(step string, parameters []byte) (f fitted, w whole, err error) {
	if len(parameters) > n.longest() {
		return f, w, errors.New("the parameters of the step are longer than the network accounts for")
	}
	var p fairParameters
	if err := compute.DecodeParameters(parameters, &p); err != nil {
		return f, w, err
	}
	if p.Round < 0 || p.Round >= n.study.Schedule.Rounds {
		return f, w, fmt.Errorf("the study has %d rounds, and the question is for round %d", n.study.Schedule.Rounds, p.Round+1)
	}
	if (p.Whole != nil) != (step == StepGap) {
		return f, w, errors.New("what was opened of the rates belongs to the question after them")
	}
	if p.Whole != nil {
		w = *p.Whole
	}
	if w.Mean != 0 {
		return f, w, errors.New("the mean distance is what the step asks for")
	}
	if f, err = n.decode(p.Network); err != nil {
		return f, w, err
	}
	return f, w, n.checkWhole(w)
}

// absorbRates takes the gap and the accuracy of all patients.
func (f *Fit) absorbRates(sum compute.Sum) error {
	n := f.network
	if err := checkSum(sum, n.ratesLayout()); err != nil {
		return err
	}
	r := rates{patients: math.Round(sum.Field("patients")[0]), good: sum.Field("good")[0]}
	for side := range r.of {
		r.of[side], r.positive[side] = math.Round(sum.Field("of")[side]), sum.Field("positive")[side]
	}
	gap, ok := r.gap()
	if !ok {
		return &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: "no patient of the reference group, or none of the others, is of the kind that mitigation.equalize compares"}
	}
	most := n.mostGap()
	f.wholes = append(f.wholes, whole{Gap: min(max(gap, -most), most) + 0, Accuracy: min(max(r.accuracy(), 0), most) + 0})
	f.step = StepGap
	return nil
}

// absorbGap takes the mean of the distances.
func (f *Fit) absorbGap(sum compute.Sum) error {
	n := f.network
	if err := checkSum(sum, n.gapLayout()); err != nil {
		return err
	}
	hospitals := math.Round(sum.Field("hospitals")[0])
	if hospitals < 1 {
		return &compute.Diagnosis{Kind: compute.TooFewPatients, Message: "the hospitals that took part in this round have no patients to train on"}
	}
	f.wholes[len(f.wholes)-1].Mean = min(max(sum.Field("distance")[0]/hospitals, 0), 2*n.mostGap()) + 0
	f.step = StepRound
	return nil
}
