package glm

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// gramParameters say where the columns and the outcome are centred.
type gramParameters struct {
	Centre Centre `json:"centre"`
}

// GramLayout is the vector of StepGram: the number of patients, and of the
// scaled columns X and outcome y the upper triangle of X'X, X'y and y'y.
func GramLayout(s *study.Study) []compute.Field {
	const product = maxRows * largest * largest
	p := len(s.Terms())
	return []compute.Field{
		{Name: "patients", Length: 1, Bound: maxRows},
		{Name: "cross_products", Length: triangle(p), FracBits: fracBits, Bound: product},
		{Name: "outcome_products", Length: p, FracBits: fracBits, Bound: product},
		{Name: "outcome_squared", Length: 1, FracBits: fracBits, Bound: product},
	}
}

// GramParameters of the one question of a linear model.
func (d *Design) GramParameters() ([]byte, error) {
	return compute.EncodeParameters(gramParameters{d.centre})
}

// CheckGram refuses parameters that are not those of this study.
func CheckGram(s *study.Study, parameters []byte) error {
	_, err := readGram(s, parameters)
	return err
}

func readGram(s *study.Study, parameters []byte) (Centre, error) {
	var q gramParameters
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return Centre{}, err
	}
	return q.Centre, q.Centre.check(s)
}

// AnswerGram is a site's vector for StepGram.
func AnswerGram(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	if err := checkRows(m); err != nil {
		return nil, err
	}
	centre, err := readGram(s, parameters)
	if err != nil {
		return nil, err
	}
	c := newScale(s, centre)
	p := len(c.mid)
	sums := compute.NewAccumulator(triangle(p) + p + 1)
	var row []float64
	for r := range m.Rows() {
		row = m.AppendRow(row[:0], r)
		c.apply(row)
		y := (s.Outcome.Transform(m.Outcome(r)) - c.outMid) / c.outHalf
		at := 0
		for i := range p {
			for j := i; j < p; j++ {
				if row[i] != 0 && row[j] != 0 {
					sums.Add(at, row[i]*row[j])
				}
				at++
			}
		}
		for j := range p {
			sums.Add(at+j, row[j]*y)
		}
		sums.Add(at+p, y*y)
	}
	return append([]float64{float64(m.Rows())}, sums.Values()...), nil
}

// negligible is the share of the outcome's spread below which a residual sum
// of squares is rounding: the sums carry about 16 digits.
const negligible = 1e-14

// FitGaussian solves the normal equations. Remarks are diagnoses that do not
// prevent an estimate; an error that is a *compute.Diagnosis does.
func FitGaussian(d *Design, sum compute.Sum) (m *Model, remarks []compute.Diagnosis, err error) {
	if err := checkSum(sum, GramLayout(d.study)); err != nil {
		return nil, nil, err
	}
	n := int(math.Round(sum.Field("patients")[0]))
	p := len(d.kept)
	if n <= p {
		return nil, nil, tooFew(p)
	}
	xtx := d.keepMatrix(sum.Field("cross_products"))
	xty := d.keep(sum.Field("outcome_products"))
	yty := sum.Field("outcome_squared")[0]

	// The intercept is the first column, so X'y begins with the sum of y.
	total := yty - xty[0]*xty[0]/float64(n)
	if !(total/float64(n) > constant) {
		return nil, nil, &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "every patient has the same outcome, so there is nothing to explain"}
	}

	penalty := d.penalty()
	normal := mat.NewSymDense(p, nil)
	normal.CopySym(xtx)
	for i, k := range penalty {
		normal.SetSym(i, i, normal.At(i, i)+k)
	}
	if dependent := diagnoseCollinearity(normal, d.names()); dependent != nil {
		return nil, nil, dependent
	}
	f, ok := factorise(normal)
	if !ok {
		return nil, nil, &compute.Diagnosis{Kind: compute.Collinearity, Terms: d.names(), Message: "the columns are so nearly dependent that no estimate is accurate; leave some out, or use a ridge"}
	}
	beta := f.solve(xty)
	// One step of refinement against the equations as given.
	beta = add(beta, f.solve(residual(normal, beta, xty)))

	sse := sumOfSquares(xtx, xty, yty, beta)
	if sse < negligible*total {
		sse = negligible * total
		remarks = append(remarks, compute.Diagnosis{Kind: compute.PerfectFit, Message: "the model explains the outcome completely; standard errors and p-values then measure only rounding"})
	}
	inverse := f.inverse()
	sigma2 := sse / float64(n-p)
	covariance := mat.NewSymDense(p, nil)
	covariance.ScaleSym(sigma2, inverse)

	means := make([]float64, len(d.terms))
	for j := range d.terms {
		// Row 0 of X'X holds the column sums.
		means[j] = d.scale.mid[j] + d.scale.half[j]*sum.Field("cross_products")[j]/float64(n)
	}
	m = d.newModel(beta, covariance, n, sum.Contributors, means)
	m.Link, m.Statistic, m.Iterations = "identity", "t", 1
	for i := range m.Terms {
		m.Terms[i].PValue = studentTail(m.Terms[i].Statistic, float64(n-p))
	}
	unit := d.scale.outHalf * d.scale.outHalf
	m.Dispersion = sigma2 * unit
	m.Deviance = sse * unit
	m.NullDeviance = total * unit
	r2 := 1 - sse/total
	adjusted := 1 - (sse/float64(n-p))/(total/float64(n-1))
	m.R2, m.AdjustedR2 = &r2, &adjusted
	m.LogLike = -float64(n) / 2 * (math.Log(2*math.Pi*m.Deviance/float64(n)) + 1)
	m.AIC = -2*m.LogLike + 2*float64(p+1)
	m.BIC = -2*m.LogLike + math.Log(float64(n))*float64(p+1)
	if d.study.Model.Ridge > 0 {
		d.describePenalty(m, beta, penalty, unit, xtx, inverse)
	}
	return m, remarks, nil
}

// describePenalty adds the penalised deviance and the effective degrees of
// freedom, trace(H (H + K)^-1) of the unpenalised information H.
func (d *Design) describePenalty(m *Model, beta, penalty []float64, unit float64, information, inverse *mat.SymDense) {
	deviance := m.Deviance
	for i, k := range penalty {
		deviance += unit * k * beta[i] * beta[i]
	}
	df := 0.0
	for i := range beta {
		for j := range beta {
			df += information.At(i, j) * inverse.At(j, i)
		}
	}
	m.PenalisedDeviance, m.EffectiveDF = &deviance, &df
}

// sumOfSquares is y'y - 2 b'X'y + b'X'Xb.
func sumOfSquares(xtx *mat.SymDense, xty []float64, yty float64, beta []float64) float64 {
	terms := compute.NewAccumulator(1)
	terms.Add(0, yty)
	for i, b := range beta {
		terms.Add(0, -2*b*xty[i])
		for j, c := range beta {
			terms.Add(0, b*c*xtx.At(i, j))
		}
	}
	return terms.Values()[0]
}

func residual(a *mat.SymDense, x, b []float64) []float64 {
	out := make([]float64, len(b))
	for i := range b {
		sum := compute.NewAccumulator(1)
		sum.Add(0, b[i])
		for j := range x {
			sum.Add(0, -a.At(i, j)*x[j])
		}
		out[i] = sum.Values()[0]
	}
	return out
}

func add(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}

func tooFew(p int) *compute.Diagnosis {
	return &compute.Diagnosis{Kind: compute.TooFewPatients,
		Message: fmt.Sprintf("a model of %d coefficients needs more patients than coefficients; leave out features or gather levels", p)}
}
