package mitigation

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Bounding searches, for one strength, for the weights under which no group that
// takes part loses more than the bound, as far as such weights can: a round is a
// fit, and the losses of its model by group.
//
// With lambda on the simplex of the groups and of the whole, the fit makes
//
//	(1-s) mean loss + s (lambda(0) mean loss + sum over a of lambda(a) loss(a))
//
// small, where lambda(a) is in proportion to exp(rate sum over rounds of
// (loss(a) - bound) / mean loss at first), and lambda(0) to 1. The model of the
// search is the fit at the mean of lambda over the rounds, which converges where
// the last does not.
type Bounding struct {
	study    *study.Study
	groups   *Groups
	strength float64
	scale    float64   // mean loss of the model without mitigation
	score    []float64 // by group that takes part: the exponent
	total    []float64 // of lambda over the rounds, the whole first
	rounds   int
}

// NewBounding begins a search.
func NewBounding(s *study.Study, g *Groups, strength float64) *Bounding {
	open := len(g.Open())
	return &Bounding{study: s, groups: g, strength: strength, score: make([]float64, open), total: make([]float64, 1+open)}
}

// Losses asks what a model's predictions lose in each group.
type Losses struct {
	study  *study.Study
	groups *Groups
	n      []float64
	mean   []float64 // by group that takes part
}

// NewLosses begins the question.
func NewLosses(s *study.Study, g *Groups) *Losses { return &Losses{study: s, groups: g} }

// Next is the question whose sum Absorb expects.
func (l *Losses) Next() (q compute.Question, done bool, err error) {
	open := l.groups.Open()
	if l.mean != nil || len(open) == 0 {
		return q, true, nil
	}
	q = compute.Question{Step: StepLosses, Layout: layout(l.study, StepLosses, len(open))}
	q.Parameters, err = compute.EncodeParameters(question{Groups: open})
	return q, false, err
}

// Absorb takes the opened sum.
func (l *Losses) Absorb(sum compute.Sum) error {
	open := l.groups.Open()
	if err := check(layout(l.study, StepLosses, len(open)), sum); err != nil {
		return err
	}
	for i, total := range sum.Field("loss") {
		n := math.Round(sum.Field("patients")[i])
		if n < 1 {
			return &compute.Diagnosis{Kind: compute.TooFewPatients, Message: fmt.Sprintf("no patient of a group of %s has a prediction", l.study.Fairness.Attributes[l.study.Mitigation.Attribute].Column)}
		}
		l.n, l.mean = append(l.n, n), append(l.mean, total/n)
	}
	return nil
}

// Round takes the losses of the latest model, the first without mitigation, and
// returns the changes to fit next; done says that they are those of the search's
// model.
func (b *Bounding) Round(l *Losses) (changes []Change, done bool) {
	var n, all float64
	for i, mean := range l.mean {
		n, all = n+l.n[i], all+l.n[i]*mean
	}
	if b.scale == 0 {
		b.scale = max(all/n, 1e-300)
	}
	bound := b.study.Mitigation.Bound
	if o := b.study.Outcome; o.Type != study.Binary {
		bound /= o.Range.Hi - o.Range.Lo
		bound *= bound
	}
	for i, mean := range l.mean {
		b.score[i] += b.study.Mitigation.Rate * (mean - bound) / b.scale
	}
	lambda := simplex(b.score)
	for i, x := range lambda {
		b.total[i] += x
	}
	if b.rounds++; b.rounds < b.study.Mitigation.Rounds {
		return b.changes(l.n, n, lambda), false
	}
	mean := make([]float64, len(b.total))
	for i, x := range b.total {
		mean[i] = x / float64(b.rounds)
	}
	return b.changes(l.n, n, mean), true
}

// simplex is the softmax of zero and the scores.
func simplex(scores []float64) []float64 {
	most := 0.0
	for _, x := range scores {
		most = max(most, x)
	}
	out := []float64{math.Exp(-most)}
	sum := out[0]
	for _, x := range scores {
		out = append(out, math.Exp(x-most))
		sum += out[len(out)-1]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

func (b *Bounding) changes(sizes []float64, n float64, lambda []float64) []Change {
	out := b.groups.changes()
	for i, k := range b.groups.Open() {
		w := 1 - b.strength + b.strength*(lambda[0]+lambda[1+i]*n/sizes[i])
		out[k].Weights = []float64{min(w, study.MostMitigationWeight)}
	}
	return out
}
