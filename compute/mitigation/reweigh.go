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
