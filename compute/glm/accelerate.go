package glm

import (
	"math"

	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// mostPath is how many steps are looked back upon.
const mostPath = 6

// stretch is a place and the step that was found there, as moves of the linear
// predictor; with the logarithm of theta as the last coordinate.
type stretch struct{ at, step []float64 }

// advance takes the step. The families whose expected information is not the
// observed one come only so much closer with each; for them the last steps are
// combined to the one that leaves least (Anderson, J. ACM 12, 1965): the rounds
// that a fit takes fall by half.
func (it *iteration) advance(step []float64) {
	defer func() { it.family = familyOf(it.design.study, it.theta) }()
	if it.family.name != study.Gamma && it.family.name != study.NegativeBinomial {
		it.beta = add(it.beta, step)
		return
	}
	p := len(it.beta)
	it.jumped = false
	here := stretch{append(it.moves(it.beta), 0), append(it.moves(step), 0)}
	if it.theta > 0 {
		here.at[p], here.step[p] = math.Log(it.theta), -math.Log1p(it.thetaStep)
	}
	next := add(here.at, here.step)
	if n := len(it.path); n > 0 && size(here.step) > 2*size(it.path[n-1].step) {
		it.path = nil // not close enough yet for the past to tell
	}
	it.path = append(it.path, here)
	if len(it.path) > mostPath {
		it.path = it.path[1:]
	}
	if combined, ok := combine(it.path); ok {
		next, it.jumped = combined, true
	}
	for i := range p {
		next[i] /= it.spread[i]
	}
	it.beta = next[:p]
	if it.theta > 0 {
		it.theta = math.Exp(next[p])
	}
}

// combine finds the mixture of the steps that is smallest, and where it leads.
func combine(path []stretch) ([]float64, bool) {
	last := path[len(path)-1]
	n, m := len(last.at), min(len(path)-1, len(last.at)-1)
	if m < 1 || size(last.step) > 0.5 {
		return nil, false
	}
	moves, changes := mat.NewDense(n, m, nil), mat.NewDense(n, m, nil)
	for k := range m {
		a, b := path[len(path)-2-k], path[len(path)-1-k]
		for i := range n {
			moves.Set(i, k, b.at[i]-a.at[i])
			changes.Set(i, k, b.step[i]-a.step[i])
		}
	}
	var qr mat.QR
	qr.Factorize(changes)
	var share mat.VecDense
	if err := qr.SolveVecTo(&share, false, mat.NewVecDense(n, last.step)); err != nil {
		return nil, false
	}
	next := add(last.at, last.step)
	for k := range m {
		if math.Abs(share.AtVec(k)) > 10 {
			return nil, false
		}
		for i := range n {
			next[i] -= share.AtVec(k) * (moves.At(i, k) + changes.At(i, k))
		}
	}
	return next, true
}

func size(v []float64) float64 {
	largest := 0.0
	for _, x := range v {
		largest = max(largest, math.Abs(x))
	}
	return largest
}
