package glm

import (
	"errors"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// StepBetween asks for the cross products of a linear model with a random
// intercept at a ratio of its variances.
const StepBetween = "glm/between"

const (
	// Ratios of the variance between sites to that within.
	smallestRatio = 1e-7
	largestRatio  = 1e7
	ratioStep     = 1e-9 // relative; the last
)

// betweenParameters are a ratio and where the columns are centred.
type betweenParameters struct {
	Centre Centre  `json:"centre"`
	Ratio  float64 `json:"ratio"`
}

// betweenLayout: with the weights W of a site's records, their total w and the
// ratio r, the inverse covariance of its outcomes is, but for sigma^2,
// W - c W11'W with c = r/(1+rw). "within" is the triangle of the columns and the
// outcome with it; "slope" and "curve" are its first and second derivative by
// ln(r), negative, which are multiples of the products of the column sums. No
// entry is larger than of the cross products themselves. Then follow ln(1+rw)
// with its derivatives, and the sum of the logarithms of the weights.
func betweenLayout(s *study.Study) []compute.Field {
	size, product := triangle(len(s.Terms())+1), maxRows*heaviest(s)*largest*largest
	return []compute.Field{
		count("patients"), count("sites"),
		numbers("within", size, product), numbers("slope", size, product), numbers("curve", size, product),
		numbers("logarithms", 4, maxRows*mostLogWeight),
	}
}

func readBetween(s *study.Study, parameters []byte) (q betweenParameters, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if !(q.Ratio >= smallestRatio && q.Ratio <= largestRatio) {
		return q, errors.New("the ratio of the variances is outside the range in which sites evaluate the model")
	}
	return q, q.Centre.check(s)
}

func answerBetween(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	q, err := readBetween(s, parameters)
	if err != nil {
		return nil, err
	}
	c := newScale(s, q.Centre)
	records, weight := weighted(m)
	sums := siteColumns(s, c, m)
	squares := siteProducts(s, c, m, nil)
	r := q.Ratio * weight
	// c in units of 1/weight, and its derivatives by ln(ratio).
	share := r / (1 + r)
	slope := share / (1 + r)
	curve := slope * (1 - r) / (1 + r)
	n := len(sums)
	within, slopes, curves := make([]float64, 0, len(squares)), make([]float64, 0, len(squares)), make([]float64, 0, len(squares))
	for i := range n {
		for j := i; j < n; j++ {
			product := 0.0
			if weight > 0 {
				product = sums[i] / weight * sums[j]
			}
			within = append(within, squares[packed(n, i, j)]-share*product)
			slopes = append(slopes, slope*product)
			curves = append(curves, curve*product)
		}
	}
	var out vector
	out.count(records)
	out.count(min(records, 1))
	out.all(within)
	out.all(slopes)
	out.all(curves)
	out.all([]float64{math.Log1p(r), share, slope, logWeights(m)})
	return out, nil
}

// between is the coordinator's half of restricted maximum likelihood: a search
// in one dimension, the ratio of the variances, by Newton's method between
// brackets. Coefficients and sigma^2 have closed forms at any ratio.
type between struct {
	linear *linear // the fit without site effects: the ratio zero
	ratio  float64
	lo, hi float64 // where the criterion falls, and where it rises; 0 if not known
	n      int     // patients of the last round
	rounds int
	model  *Model
}

func newBetween(l *linear) *between { return &between{linear: l, ratio: 0.1} }

func (b *between) parameters() ([]byte, error) {
	return compute.EncodeParameters(betweenParameters{Centre: b.linear.design.centre, Ratio: b.ratio})
}

// criterion is minus twice the restricted log-likelihood at a ratio, but for
// constants, with its derivatives by ln(ratio) and the estimates there.
type criterion struct {
	value, slope, curve float64
	beta                []float64
	inverse             *mat.SymDense
	rss, logDet         float64
	logWeight           float64
	n, sites            int
}

func (b *between) evaluate(sum compute.Sum) (*criterion, error) {
	d := b.linear.design
	if err := checkSum(sum, betweenLayout(d.study)); err != nil {
		return nil, err
	}
	all := append(append([]int(nil), d.free...), len(d.terms))
	read := func(field string) *mat.SymDense {
		values := sum.Field(field)
		out := mat.NewSymDense(len(all), nil)
		for i := range all {
			for j := i; j < len(all); j++ {
				out.SetSym(i, j, values[packed(len(d.terms)+1, all[i], all[j])])
			}
		}
		return out
	}
	within, slope, curve := read("within"), read("slope"), read("curve")
	p := len(d.free)
	xtx, xty := mat.NewSymDense(p, nil), make([]float64, p)
	for i := range p {
		xty[i] = within.At(i, p)
		for j := i; j < p; j++ {
			xtx.SetSym(i, j, within.At(i, j))
		}
	}
	f, ok := cholesky.Factorise(xtx)
	if !ok {
		return nil, nearlyDependent(d)
	}
	k := &criterion{n: int(math.Round(sum.Field("patients")[0])), sites: int(math.Round(sum.Field("sites")[0]))}
	if k.n <= p {
		return nil, tooFew(p)
	}
	k.beta = f.Solve(xty)
	k.beta = add(k.beta, f.Solve(residual(xtx, k.beta, xty)))
	k.inverse = f.Inverse()
	k.rss = sumOfSquares(xtx, xty, within.At(p, p), k.beta)
	k.logDet = f.LogDet()
	logarithms := sum.Field("logarithms")
	k.logWeight = logarithms[3]

	// The residual sum of squares is e'We with e = (-beta, 1): its derivative is
	// that of W alone, for beta minimises it; the second one has beta's own move.
	e := mat.NewVecDense(p+1, nil)
	for i, v := range k.beta {
		e.SetVec(i, -v)
	}
	e.SetVec(p, 1)
	var slopeE mat.VecDense
	slopeE.MulVec(slope, e)
	rss1 := -mat.Dot(e, &slopeE)
	move := make([]float64, p) // of X'We
	for i := range move {
		move[i] = -slopeE.AtVec(i)
	}
	rss2 := -mat.Inner(e, curve, e)
	for i, v := range f.Solve(move) {
		rss2 -= 2 * v * move[i]
	}
	// ln det(X'WX): trace(A W1) and trace(A W2) - trace(A W1 A W1).
	var product, twice, second mat.Dense
	product.Mul(k.inverse, slope.SliceSym(0, p))
	twice.Mul(&product, &product)
	second.Mul(k.inverse, curve.SliceSym(0, p))
	det1, det2 := -mat.Trace(&product), -mat.Trace(&second)-mat.Trace(&twice)

	free := float64(k.n - p)
	k.value = free*math.Log(k.rss) + k.logDet + logarithms[0]
	k.slope = free*rss1/k.rss + det1 + logarithms[1]
	k.curve = free*(rss2/k.rss-rss1*rss1/(k.rss*k.rss)) + det2 + logarithms[2]
	return k, nil
}

func (b *between) absorb(sum compute.Sum) error {
	k, err := b.evaluate(sum)
	if err != nil {
		return err
	}
	b.rounds++
	if k.n != b.n {
		b.n, b.lo, b.hi = k.n, 0, 0 // brackets are those of the patients who were there
	}
	if k.slope < 0 {
		b.lo = b.ratio
	} else {
		b.hi = b.ratio
	}
	// Newton by the ratio itself, or by its logarithm where that fails.
	step := math.NaN()
	if curvature := k.curve - k.slope; curvature > 0 {
		step = math.Log1p(max(-k.slope/curvature, -1))
	} else if k.curve > 0 {
		step = -k.slope / k.curve
	}
	next := b.ratio * math.Exp(step)
	atEdge := k.slope >= 0 && b.ratio <= smallestRatio
	switch {
	case atEdge:
		b.finish(k, 0, sum.Contributors)
		return nil
	case math.Abs(step) <= ratioStep:
		b.finish(k, b.ratio, sum.Contributors)
		return nil
	case b.rounds >= b.linear.design.study.Schedule.Rounds:
		return &compute.Diagnosis{Kind: compute.NoConvergence,
			Message: "the ratio of the variances between and within sites did not settle; allow more rounds in schedule.rounds, or use site_effects: fixed"}
	case b.lo > 0 && b.hi > 0 && !(next > b.lo && next < b.hi):
		next = math.Sqrt(b.lo * b.hi)
	case b.hi == 0 && !(next <= 100*b.ratio):
		next = 100 * b.ratio
	case b.lo == 0 && !(next >= b.ratio/100):
		next = b.ratio / 100
	}
	next = min(max(next, smallestRatio), largestRatio)
	if next == b.ratio {
		b.finish(k, b.ratio, sum.Contributors)
		return nil
	}
	b.ratio = next
	return nil
}

// finish reports. At the edge, a ratio of zero, the model is the one without
// site effects.
func (b *between) finish(k *criterion, ratio float64, contributors int) {
	l := b.linear
	d, p := l.design, len(l.beta)
	f0, _ := cholesky.Factorise(l.xtx)
	logDet := f0.LogDet()
	free := float64(k.n - p)
	without := free*math.Log(l.sse) + logDet
	same := k.n == l.n // or a site has left since the first sum
	if ratio == 0 && same {
		k.beta, k.inverse, k.rss, k.logDet, k.value = l.beta, l.inverse, l.sse, logDet, without
	}
	sigma2 := k.rss / free
	unit := d.scale.outHalf * d.scale.outHalf
	means := make([]float64, len(d.terms))
	for j := range d.terms {
		means[j] = d.scale.mid[j] + d.scale.half[j]*l.sum.Field("cross_products")[j]/l.weight
	}
	m := d.newModel(k.beta, scaled(k.inverse, sigma2), k.n, k.n-p, contributors, means)
	m.Link, m.Iterations = "identity", b.rounds
	m.Dispersion, m.Deviance, m.NullDeviance = sigma2*unit, k.rss*unit, l.total*unit
	icc := ratio / (1 + ratio)
	m.RandomEffects = &RandomEffects{Method: "REML", Variance: ratio * m.Dispersion, Residual: m.Dispersion, ICC: &icc, Sites: k.sites}

	// The determinant in original units, as the densities of the outcomes are.
	restricted := k.value - free*math.Log(k.rss) + free*(1+math.Log(2*math.Pi*m.Dispersion))
	for _, j := range d.free {
		restricted += 2 * math.Log(d.scale.half[j])
	}
	restricted -= k.logWeight
	m.LogLike = -restricted / 2
	m.AIC = restricted + 2*float64(p+2)
	m.BIC = restricted + math.Log(float64(k.n))*float64(p+2)
	m.finish(d, nil)
	if same {
		m.Tests.RandomEffect = halfTest(max(0, without-k.value))
	}
	b.model = m
}

// halfTest is the test of a variance: chi-squared with one degree of freedom or,
// as likely, zero.
func halfTest(statistic float64) *Test {
	return &Test{Name: "site", Distribution: "half chi-squared", DF: 1, Statistic: statistic, PValue: chiSquaredTail(statistic, 1) / 2}
}
