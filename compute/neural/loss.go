package neural

import (
	"math"

	"github.com/consilium-fl/consilium/study"
)

// loss of one record and its slope in eta, the network's output.
type loss func(eta, y float64) (value, slope float64)

// lossOf is nil for a type that a network does not predict.
func lossOf(t study.Type) loss {
	switch t {
	case study.Number:
		return squared
	case study.Binary:
		return logLoss
	case study.Count:
		return deviance
	}
	return nil
}

// squared error of a standardised outcome: 1 for a model that knows nothing.
func squared(eta, y float64) (value, slope float64) {
	return (eta - y) * (eta - y), 2 * (eta - y)
}

func logLoss(eta, y float64) (value, slope float64) {
	return math.Max(eta, 0) + math.Log1p(math.Exp(-math.Abs(eta))) - y*eta, sigmoid(eta) - y
}

// maxLog bounds the logarithm of an expected count. Beyond it the deviance goes
// on as a straight line, so that neither it nor its slope overflows.
const maxLog = 20

// deviance of a Poisson count with mean exp(eta).
func deviance(eta, y float64) (value, slope float64) {
	within := min(max(eta, -maxLog), maxLog)
	mu := math.Exp(within)
	value, slope = 2*(mu-y-y*within), 2*(mu-y)
	if y > 0 {
		value += 2 * y * math.Log(y)
	}
	// Neither rounding nor a count beyond exp(maxLog) makes a prediction better
	// than perfect.
	return max(value+slope*(eta-within), 0), slope
}

func sigmoid(eta float64) float64 {
	e := math.Exp(-math.Abs(eta))
	if eta < 0 {
		return e / (1 + e)
	}
	return 1 / (1 + e)
}

// bounded keeps x within [-bound, bound]; what is not a number becomes 0. It
// reports whether x was changed.
func bounded(x, bound float64) (y float64, changed bool) {
	switch {
	case math.IsNaN(x):
		return 0, true
	case math.Abs(x) > bound:
		return math.Copysign(bound, x), true
	}
	return x, false
}
