package glm

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// stepTheta is Newton's relative step of one over theta, in which the
// likelihood is well behaved up to Poisson's at zero.
func (it *iteration) stepTheta(e *evaluation) float64 {
	if it.family.name != study.NegativeBinomial {
		return 0
	}
	score, information := e.sum.Field("theta_score")[0], e.sum.Field("theta_information")[0]
	curvature := information - 2*score
	if !(curvature > 0) {
		return math.Copysign(0.5, -score)
	}
	return min(max(-score/curvature, -0.9), 2)
}

func (it *iteration) checkTheta() error {
	if it.family.name != study.NegativeBinomial {
		return nil
	}
	if it.theta > poissonTheta {
		return &compute.Diagnosis{Kind: compute.NoConvergence, Message: "the counts vary no more than Poisson's do, so theta is infinite; use family: poisson"}
	}
	it.theta = max(it.theta, smallestTheta)
	return nil
}
