package glm

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// StepGram asks for the cross products of a linear model.
const StepGram = "glm/gram"

// gramParameters say where the columns and the outcome are centred.
type gramParameters struct {
	Centre Centre `json:"centre"`
}

// gramLayout is, of the scaled columns X and outcome y with weights W, the
// upper triangle of X'WX, X'Wy and y'Wy. Where every site has its own intercept
// both are less their means at the site.
func gramLayout(s *study.Study) []compute.Field {
	p, most := len(s.Terms()), maxRows*heaviest(s)
	product := most * largest * largest
	layout := []compute.Field{
		count("patients"),
		numbers("cross_products", triangle(p), product),
		numbers("outcome_products", p, product),
		numbers("outcome_squared", 1, product),
	}
	if s.Model.Weights != nil {
		layout = append(layout, numbers("log_weight", 1, maxRows*mostLogWeight))
	}
	if s.Model.SiteEffects == study.FixedSiteEffects {
		layout = append(layout, count("sites"), numbers("weight", 1, most),
			numbers("columns", p, most*largest), numbers("outcome", 1, most*largest))
	}
	return layout
}

// mostLogWeight bounds the logarithm of any positive float64.
const mostLogWeight = 750

func readGram(s *study.Study, parameters []byte) (Centre, error) {
	var q gramParameters
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return Centre{}, err
	}
	return q.Centre, q.Centre.check(s)
}

// siteProducts is the triangle of the weighted cross products of the columns
// and, after them, the outcome, all scaled and less their shift.
func siteProducts(s *study.Study, c scale, m *study.Matrix, shift []float64) []float64 {
	p := len(c.mid)
	squares := newCrossProducts(p + 1)
	block, weights := make([]float64, blockRows*(p+1)), make([]float64, blockRows)
	eachBlock(m, c, func(x []float64, from, n int) {
		for i := range n {
			weights[i] = m.Weight(from + i)
			row := block[i*(p+1) : (i+1)*(p+1)]
			copy(row, x[i*p:(i+1)*p])
			row[p] = (explainedOutcome(s, m, from+i) - c.outMid) / c.outHalf
			for j, d := range shift {
				row[j] -= d
			}
		}
		rows := block[:n*(p+1)]
		if s.Model.Weights != nil {
			scaleRows(rows, weights[:n])
		}
		squares.add(rows, n)
	})
	return squares.values()
}

func answerGram(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	centre, err := readGram(s, parameters)
	if err != nil {
		return nil, err
	}
	c := newScale(s, centre)
	p := len(c.mid)
	records, weight := weighted(m)
	own := s.Model.SiteEffects == study.FixedSiteEffects
	var sums, shift []float64 // of the columns and the outcome at the site
	if own {
		sums = siteColumns(s, c, m)
		shift = make([]float64, p+1)
		for j := range shift {
			shift[j] = sums[j] / max(weight, math.SmallestNonzeroFloat64)
		}
	}
	var out vector
	out.count(records)
	out.all(split(siteProducts(s, c, m, shift), p))
	if s.Model.Weights != nil {
		out.one(logWeights(m))
	}
	if own {
		out.count(min(records, 1))
		out.one(weight)
		out.all(sums)
	}
	return out, nil
}

// siteColumns are the weighted sums of the columns and the outcome.
func siteColumns(s *study.Study, c scale, m *study.Matrix) []float64 {
	p := len(c.mid)
	sums := compute.NewAccumulator(p + 1)
	var row []float64
	for i := range m.Rows() {
		w := m.Weight(i)
		row = m.AppendRow(row[:0], i)
		c.apply(row)
		for j, z := range row {
			sums.Add(j, w*z)
		}
		sums.Add(p, w*(explainedOutcome(s, m, i)-c.outMid)/c.outHalf)
	}
	return sums.Values()
}

// split takes the triangle over p columns and the outcome apart: the triangle
// of the columns, their products with the outcome, the outcome's square.
func split(squares []float64, p int) []float64 {
	out := make([]float64, 0, len(squares))
	with := make([]float64, 0, p+1)
	for i := range p {
		first := packed(p+1, i, i)
		out = append(out, squares[first:first+p-i]...)
		with = append(with, squares[first+p-i])
	}
	return append(append(out, with...), squares[len(squares)-1])
}

func logWeights(m *study.Matrix) float64 {
	sum := compute.NewAccumulator(1)
	for i := range m.Rows() {
		if w := m.Weight(i); w > 0 {
			sum.Add(0, math.Log(w))
		}
	}
	return sum.Values()[0]
}

// negligible is the share of the outcome's spread below which a residual sum
// of squares is rounding: the sums carry about 16 digits.
const negligible = 1e-14

// linear is a linear model that has been solved but not yet reported: robust
// standard errors need one more sum.
type linear struct {
	design   *design
	sum      compute.Sum
	n, sites int
	weight   float64
	df       int // residual degrees of freedom
	beta     []float64
	xtx      *mat.SymDense
	inverse  *mat.SymDense // of the penalised cross products
	penalty  []float64
	sse      float64
	total    float64 // sum of squares about the mean
	remarks  []compute.Diagnosis
}

// solveLinear solves the normal equations. An error that is a
// *compute.Diagnosis says why they have no solution.
func solveLinear(d *design, sum compute.Sum) (*linear, error) {
	if err := checkSum(sum, gramLayout(d.study)); err != nil {
		return nil, err
	}
	l := &linear{design: d, sum: sum, n: int(math.Round(sum.Field("patients")[0])), sites: 1}
	l.weight = sum.Field("cross_products")[0]
	estimated := len(d.free)
	if d.ownIntercepts() {
		l.weight = sum.Field("weight")[0]
		l.sites = int(math.Round(sum.Field("sites")[0]))
		estimated += l.sites
	}
	l.df = l.n - estimated
	if l.df < 1 {
		return nil, tooFew(estimated)
	}
	l.xtx = d.pickMatrix(sum.Field("cross_products"))
	xty := d.pick(sum.Field("outcome_products"))
	yty := sum.Field("outcome_squared")[0]

	// The intercept is the first column, so X'Wy begins with the sum of Wy.
	l.total = yty
	if !d.ownIntercepts() {
		l.total -= xty[0] * xty[0] / l.weight
	}
	if !(l.total/l.weight > constant) {
		return nil, &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "every patient has the same outcome, so there is nothing to explain"}
	}
	if len(d.free) == 0 {
		return nil, noFeatures()
	}

	l.penalty = d.penalty()
	normal := penalised(l.xtx, l.penalty)
	if dependent := diagnoseCollinearity(normal, d.names(), l.weight); dependent != nil {
		return nil, dependent
	}
	f, ok := cholesky.Factorise(normal)
	if !ok {
		return nil, nearlyDependent(d)
	}
	l.beta = f.Solve(xty)
	// One step of refinement against the equations as given.
	l.beta = add(l.beta, f.Solve(residual(normal, l.beta, xty)))
	l.inverse = f.Inverse()

	l.sse = sumOfSquares(l.xtx, xty, yty, l.beta)
	if l.sse < negligible*l.total {
		l.sse = negligible * l.total
		l.remarks = append(l.remarks, compute.Diagnosis{Kind: compute.PerfectFit, Message: "the model explains the outcome completely; standard errors and p-values then measure only rounding"})
	}
	return l, nil
}

// report is the model. The meat is that of robust standard errors, nil for
// those of the model.
func (l *linear) report(meat *clusters) *Model {
	d := l.design
	sigma2 := l.sse / float64(l.df)
	covariance := scaled(l.inverse, sigma2)
	if meat != nil {
		covariance = meat.sandwich(l.inverse)
	}
	beta, means := l.beta, make([]float64, len(d.terms))
	columns := l.sum.Field("cross_products") // row 0 of X'WX holds the column sums
	if d.ownIntercepts() {
		columns = l.sum.Field("columns")
		a := average{intercept: l.sum.Field("outcome")[0] / l.weight, variance: sigma2 / l.weight, slopes: make([]float64, len(d.free))}
		for i, j := range d.free {
			a.slopes[i] = -columns[j] / l.weight
			a.intercept += a.slopes[i] * beta[i]
		}
		beta, covariance = d.withAverage(beta, covariance, a)
	}
	for j := range d.terms {
		means[j] = d.scale.mid[j] + d.scale.half[j]*columns[j]/l.weight
	}
	m := d.newModel(beta, covariance, l.n, l.df, l.sum.Contributors, means)
	m.Link, m.Iterations = "identity", 1
	unit := d.scale.outHalf * d.scale.outHalf
	m.Dispersion = sigma2 * unit
	m.Deviance = l.sse * unit
	m.NullDeviance = l.total * unit
	r2 := 1 - l.sse/l.total
	adjusted := 1 - sigma2/(l.total/float64(l.df+len(l.beta)-first(d)))
	m.R2, m.AdjustedR2 = &r2, &adjusted
	logWeight := 0.0
	if d.study.Model.Weights != nil {
		logWeight = l.sum.Field("log_weight")[0]
	}
	n := float64(l.n)
	likelihood := func(deviance float64) float64 {
		return -n/2*(math.Log(2*math.Pi*deviance/n)+1) + logWeight/2
	}
	m.LogLike, m.NullLogLike = likelihood(m.Deviance), likelihood(m.NullDeviance)
	parameters := float64(l.n - l.df + 1)
	m.AIC = -2*m.LogLike + 2*parameters
	m.BIC = -2*m.LogLike + math.Log(n)*parameters
	if d.study.Model.Ridge > 0 {
		d.describePenalty(m, l.beta, l.penalty, unit, l.xtx, l.inverse)
	}
	if d.ownIntercepts() {
		m.Sites = &l.sites
	}
	m.finish(d, meat)
	return m
}

// first is how many of the free terms the null model has: the intercept.
func first(d *design) int {
	if d.ownIntercepts() {
		return 0
	}
	return 1
}

// describePenalty adds the penalised deviance and the effective degrees of
// freedom, trace(H (H + K)^-1) of the unpenalised information H.
func (d *design) describePenalty(m *Model, beta, penalty []float64, unit float64, information, inverse *mat.SymDense) {
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

func penalised(a *mat.SymDense, penalty []float64) *mat.SymDense {
	out := mat.NewSymDense(a.SymmetricDim(), nil)
	out.CopySym(a)
	for i, k := range penalty {
		out.SetSym(i, i, out.At(i, i)+k)
	}
	return out
}

func scaled(a *mat.SymDense, factor float64) *mat.SymDense {
	out := mat.NewSymDense(a.SymmetricDim(), nil)
	out.ScaleSym(factor, a)
	return out
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

func noFeatures() *compute.Diagnosis {
	return &compute.Diagnosis{Kind: compute.EmptyLevel,
		Message: "no feature of the study varies, so nothing is left to estimate beside the sites' own intercepts"}
}

func nearlyDependent(d *design) *compute.Diagnosis {
	return &compute.Diagnosis{Kind: compute.Collinearity, Terms: d.names(), Message: "the columns are so nearly dependent that no estimate is accurate; leave some out, or use a ridge"}
}
