package neural

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
)

// q-FedAvg (Li, Sanjabi, Beirami and Smith, Fair resource allocation in
// federated learning, ICLR 2020, algorithm 2) makes the sum over hospitals of
// p F^(q+1) / (q+1) small, F being a hospital's mean loss and p its share of the
// patients: the larger q, the more a hospital counts that loses more. With the
// change d of local training and L = 1 / rate,
//
//	weights += sum of p F^q d / sum of p (q F^(q-1) L |d|^2 + F^q)
//
// which for q = 0 is fedavg. Both sums are opened, neither of a hospital alone.

// A hospital's mean loss is kept between these: a network that knows nothing has
// about 1.
const (
	leastSiteLoss = 1.0 / 1024
	mostSiteLoss  = 16
)

// fairBits carry numbers that a small F^q has made small.
const fairBits = 44

// mostFactor bounds F^q, and F^(q-1), for every q up to study.MostQ.
const mostFactor = 1024

// factors are F^q and F^(q-1) of a site's summed loss.
func (n *network) factors(loss float64, rows int) (f, slope float64) {
	mean := min(max(loss/float64(max(rows, 1)), leastSiteLoss), mostSiteLoss)
	return math.Pow(mean, n.model.Q), math.Pow(mean, n.model.Q-1)
}

// curvature is the site's part of the denominator, before its share.
func (n *network) curvature(change []float64, f, slope float64) float64 {
	square := 0.0
	for _, d := range change {
		d, _ = bounded(d, updateBound)
		square += d * d
	}
	return n.model.Q*slope*square/n.model.Optimizer.Rate + f
}

func (n *network) curvatureField() compute.Field {
	most := n.model.Q*mostFactor*updateBound*updateBound*float64(n.parameters())/n.model.Optimizer.Rate + mostFactor
	return compute.Field{Name: "curvature", Length: 1, FracBits: fairBits, Bound: most}
}
