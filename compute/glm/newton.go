package glm

import (
	"errors"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// reach bounds the linear predictor that a site will evaluate. A fit that runs
// further has no finite estimate and is diagnosed long before.
const reach = 1 << 36

// likelihoodBits are the fractional bits of the log-likelihood, whose bound is
// much wider than the other sums'.
const likelihoodBits = 50

// newtonParameters is where the log-likelihood is to be evaluated: scaled
// coefficients of all terms, and where the columns are centred.
type newtonParameters struct {
	Coefficients []float64 `json:"coefficients"`
	Centre       Centre    `json:"centre"`
}

// NewtonLayout is the vector of StepNewton: patients, positives, and at the
// coefficients asked for the log-likelihood, its gradient X'(y-p) and the upper
// triangle of the information X'WX with W = p(1-p) <= 1/4.
func NewtonLayout(s *study.Study) []compute.Field {
	p := len(s.Terms())
	return []compute.Field{
		{Name: "patients", Length: 1, Bound: maxRows},
		{Name: "positives", Length: 1, Bound: maxRows},
		{Name: "log_likelihood", Length: 1, FracBits: likelihoodBits, Bound: maxRows * 2 * reach},
		{Name: "gradient", Length: p, FracBits: fracBits, Bound: maxRows * largest},
		{Name: "information", Length: triangle(p), FracBits: fracBits, Bound: maxRows * largest * largest / 4},
	}
}

// CheckNewton refuses parameters that are not those of this study.
func CheckNewton(s *study.Study, parameters []byte) error {
	_, err := readNewton(s, parameters)
	return err
}

func readNewton(s *study.Study, parameters []byte) (q newtonParameters, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if err := q.Centre.check(s); err != nil {
		return q, err
	}
	magnitudes := make([]float64, len(s.Terms()))
	for j := range magnitudes {
		magnitudes[j] = largest
	}
	return q, compute.CheckCoefficients(q.Coefficients, magnitudes, reach)
}

// AnswerNewton is a site's vector for StepNewton.
func AnswerNewton(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	if err := checkRows(m); err != nil {
		return nil, err
	}
	if s.Outcome.Type != study.Binary {
		return nil, errors.New("a logistic model needs a binary outcome")
	}
	q, err := readNewton(s, parameters)
	if err != nil {
		return nil, err
	}
	beta, c := q.Coefficients, newScale(s, q.Centre)
	p := len(beta)
	sums := compute.NewAccumulator(2 + p + triangle(p))
	var row []float64
	for r := range m.Rows() {
		row = m.AppendRow(row[:0], r)
		c.apply(row)
		y := m.Outcome(r)
		eta := 0.0
		for j, x := range row {
			eta += beta[j] * x
		}
		mu, variance := logistic(eta)
		// y - mu without cancellation when mu is near 1.
		rest := y - mu
		if y == 1 {
			rest, _ = logistic(-eta)
		}
		sums.Add(0, y)
		sums.Add(1, y*eta-softplus(eta))
		at := 2
		for j := range p {
			sums.Add(at+j, row[j]*rest)
		}
		at += p
		for i := range p {
			w := row[i] * variance
			for j := i; j < p; j++ {
				if w != 0 && row[j] != 0 {
					sums.Add(at, w*row[j])
				}
				at++
			}
		}
	}
	return append([]float64{float64(m.Rows())}, sums.Values()...), nil
}

// logistic returns 1/(1+exp(-eta)) and the variance mu(1-mu), both accurate
// in the tails.
func logistic(eta float64) (mu, variance float64) {
	e := math.Exp(-math.Abs(eta))
	small := e / (1 + e)
	variance = small / (1 + e)
	if eta < 0 {
		return small, variance
	}
	return 1 / (1 + e), variance
}

// softplus is ln(1 + exp(eta)).
func softplus(eta float64) float64 {
	return math.Max(eta, 0) + math.Log1p(math.Exp(-math.Abs(eta)))
}
