package mitigation

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Reweighing finds the weights of groups and classes.
type Reweighing struct {
	study  *study.Study
	groups *Groups
	open   []int       // groups that have weights
	counts [][]float64 // of those, by class
}

// NewReweighing begins after the groups.
func NewReweighing(s *study.Study, g *Groups) *Reweighing {
	r := &Reweighing{study: s, groups: g}
	if s.Mitigation.Balance == study.BalanceSize {
		r.open = g.Open()
		for _, k := range r.open { // the sizes are known
			r.counts = append(r.counts, []float64{float64(g.patients[k])})
		}
	}
	return r
}

// Next is the question whose sum Absorb expects.
func (r *Reweighing) Next() (q compute.Question, done bool, err error) {
	open := r.groups.Open()
	if r.counts != nil || len(open) == 0 {
		return q, true, nil
	}
	q = compute.Question{Step: StepClasses, Layout: layout(r.study, StepClasses, len(open))}
	q.Parameters, err = compute.EncodeParameters(question{Groups: open})
	return q, false, err
}

// Absorb takes the opened sum.
func (r *Reweighing) Absorb(sum compute.Sum) error {
	open, classes := r.groups.Open(), r.study.Classes()
	if err := check(layout(r.study, StepClasses, len(open)), sum); err != nil {
		return err
	}
	r.counts = [][]float64{}
	for i, k := range open {
		var of []float64
		few := false
		for _, n := range sum.Field("classes")[i*classes : (i+1)*classes] {
			if n = math.Round(n); n < 0 {
				return errors.New("the opened sums are not counts")
			}
			few = few || n > 0 && n < float64(r.study.Fairness.MinimumCell)
			of = append(of, n)
		}
		if few && r.study.Fairness.Complementary { // weights of the others would tell how few
			r.groups.why[k] = fmt.Sprintf("a class of its outcome has fewer than %d patients", r.study.Fairness.MinimumCell)
			continue
		}
		r.open, r.counts = append(r.open, k), append(r.counts, of)
	}
	return nil
}

// Changes are the weights at a strength. A class of which a group has fewer
// patients than the minimum cell weighs 1 there; a weight beyond the largest
// counts as that. The numbers that a weight is made of are those of the groups
// that take part.
func (r *Reweighing) Changes(strength float64) []Change {
	out := r.groups.changes()
	open := r.open
	n, of := 0.0, make([]float64, r.study.Classes())
	group := make([]float64, len(open))
	for i := range open {
		for y, count := range r.counts[i] {
			n, of[y], group[i] = n+count, of[y]+count, group[i]+count
		}
	}
	for i, k := range open {
		for y, count := range r.counts[i] {
			w := 1.0
			switch {
			case r.study.Mitigation.Balance == study.BalanceSize:
				w = n / (float64(len(open)) * group[i])
			case count >= float64(r.study.Fairness.MinimumCell):
				w = group[i] * of[y] / (n * count)
			}
			out[k].Weights = append(out[k].Weights, min(1+strength*(w-1), study.MostMitigationWeight))
		}
	}
	return out
}

// Weights are those of the changes, by group and class.
func Weights(s *study.Study, changes []Change) [][]float64 { return weightsOf(s, changes) }

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
