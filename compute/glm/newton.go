package glm

import (
	"errors"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// StepNewton asks for the log-likelihood and its derivatives.
const StepNewton = "glm/newton"

// reach bounds the linear predictor that a site will evaluate. A fit that runs
// further has no finite estimate and is diagnosed long before.
const reach = 1 << 36

// newtonParameters is where the log-likelihood is to be evaluated: scaled
// coefficients of all terms, and where the columns are centred.
type newtonParameters struct {
	Coefficients []float64 `json:"coefficients"`
	Centre       Centre    `json:"centre"`
	Theta        *float64  `json:"theta,omitempty"` // of the negative binomial; of a gamma model with a random intercept its shape
	SD           *float64  `json:"sd,omitempty"`    // of a random intercept
}

func (q newtonParameters) family(s *study.Study) *family {
	theta := 0.0
	if q.Theta != nil {
		theta = *q.Theta
	}
	return familyOf(s, theta)
}

// newtonLayout is, at the coefficients asked for, the log-likelihood, its
// gradient and the upper triangle of the expected information X'WX, with what
// the families need besides. The gamma family's log-likelihood is taken at
// dispersion 1 and without what depends on the outcome alone. Where every site
// has its own intercept all are of the profile likelihood, and the intercepts
// and what they depend on are summed over sites, each weighted with its
// patients.
func newtonLayout(s *study.Study, f *family) []compute.Field {
	p, most, b := len(s.Terms()), maxRows*heaviest(s), f.bounds()
	layout := []compute.Field{count("patients")}
	if f.name == study.Binomial {
		layout = append(layout, count("positives"))
	}
	if s.Model.Weights != nil {
		layout = append(layout, numbers("weight", 1, most))
	}
	layout = append(layout, numbers("log_likelihood", 1, most*b.value))
	if f.name != study.Binomial {
		layout = append(layout, numbers("deviance", 1, most*b.deviance))
	}
	layout = append(layout,
		numbers("gradient", p, most*largest*b.slope),
		numbers("information", triangle(p), most*largest*largest*b.weight))
	switch f.name {
	case study.Gamma:
		layout = append(layout, numbers("pearson", 1, most*mostPearson),
			numbers("log_outcome", 1, most*max(1, math.Abs(math.Log(f.lo)), math.Abs(math.Log(f.hi)))))
	case study.NegativeBinomial:
		theta := 2*b.slope + b.weight
		layout = append(layout, numbers("theta_score", 1, most*theta), numbers("theta_information", 1, most*theta))
	}
	if s.Model.SiteEffects == study.FixedSiteEffects {
		layout = append(layout, count("sites"), numbers("site_weight", 1, most), numbers("intercepts", 1, most*mostIntercept),
			numbers("intercept_slopes", p, most*largest), numbers("intercept_variance", 1, most*mostVariance))
	}
	return layout
}

const (
	mostIntercept = 2 * reach
	// mostVariance cuts the variance of a site's own intercept, in units of one
	// patient's.
	mostVariance = 1 << 40
)

func readNewton(s *study.Study, parameters []byte) (q newtonParameters, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if err := q.Centre.check(s); err != nil {
		return q, err
	}
	if (q.Theta != nil) != (s.Model.Family == study.NegativeBinomial) {
		return q, errors.New("theta belongs to the negative binomial family, and only there")
	}
	if q.Theta != nil && !(*q.Theta >= smallestTheta && *q.Theta <= largestTheta) {
		return q, errors.New("theta is outside the range in which sites evaluate the model")
	}
	if q.SD != nil {
		return q, errors.New("this step has no random intercept")
	}
	return q, checkCoefficients(s, q.Coefficients)
}

func checkCoefficients(s *study.Study, coefficients []float64) error {
	magnitudes := make([]float64, len(s.Terms()))
	for j := range magnitudes {
		magnitudes[j] = largest
	}
	return compute.CheckCoefficients(coefficients, magnitudes, reach)
}

func answerNewton(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	q, err := readNewton(s, parameters)
	if err != nil {
		return nil, err
	}
	f, c := q.family(s), newScale(s, q.Centre)
	own := s.Model.SiteEffects == study.FixedSiteEffects
	eta := predictors(m, c, q.Coefficients)
	intercept, informative := 0.0, true
	if own {
		intercept, informative = ownIntercept(f, m, eta)
	}
	t := newTotals(f, len(c.mid))
	if informative {
		for i := range eta {
			eta[i] += intercept
		}
		t.addAll(m, c, eta, own)
	}
	return t.vector(s, m, own, intercept), nil
}

// predictors are the linear predictors of all records, their offset included.
func predictors(m *study.Matrix, c scale, coefficients []float64) []float64 {
	eta := make([]float64, m.Rows())
	eachBlock(m, c, func(x []float64, from, n int) { times(x, n, coefficients, eta[from:from+n]) })
	for i := range eta {
		eta[i] += m.Offset(i)
	}
	return eta
}

// totals of one site.
type totals struct {
	family      *family
	p           int
	positives   int
	scalars     *compute.Accumulator // log-likelihood, deviance, pearson, log outcome, theta score and information
	gradient    *columnSums
	information *crossProducts
	weightAt    []float64 // X'W1, filled where sites have their own intercepts
	curvature   float64   // 1'W1
	any         bool
}

const (
	ofValue = iota
	ofDeviance
	ofPearson
	ofLogOutcome
	ofThetaScore
	ofThetaInformation
	scalars
)

func newTotals(f *family, p int) *totals {
	return &totals{family: f, p: p, scalars: compute.NewAccumulator(scalars), gradient: newColumnSums(p), information: newCrossProducts(p), weightAt: make([]float64, p)}
}

// addAll adds every record at its linear predictor. Where the site has its own
// intercept the information is that of the others given it: the columns are
// taken less their mean with the weights of the information.
func (t *totals) addAll(m *study.Matrix, c scale, eta []float64, own bool) {
	slopes, weights := make([]float64, len(eta)), make([]float64, len(eta))
	for i := range eta {
		slopes[i], weights[i] = t.add(m.Weight(i), m.Outcome(i), eta[i])
		if weights[i] > 0 {
			t.any = true
		}
	}
	shift := make([]float64, t.p)
	if own {
		sums, total := newColumnSums(t.p), compute.NewAccumulator(1)
		eachBlock(m, c, func(x []float64, from, n int) { sums.add(x, weights[from:from+n]) })
		for _, w := range weights {
			total.Add(0, w)
		}
		t.weightAt, t.curvature = sums.values(), total.Values()[0]
		for j := range shift {
			if t.curvature > 0 {
				shift[j] = t.weightAt[j] / t.curvature
			}
		}
	}
	eachBlock(m, c, func(x []float64, from, n int) {
		if own {
			for i := range x {
				x[i] -= shift[i%t.p]
			}
		}
		t.gradient.add(x, slopes[from:from+n])
		scaleRows(x, weights[from:from+n])
		t.information.add(x, n)
	})
}

// add a record; it returns the slope and the weight that its row gets.
func (t *totals) add(w, y, eta float64) (slope, weight float64) {
	if w == 0 {
		return 0, 0
	}
	f := t.family
	at := f.at(y, eta)
	t.scalars.Add(ofValue, w*at.value)
	t.scalars.Add(ofDeviance, w*at.deviance)
	switch f.name {
	case study.Binomial:
		if y == 1 {
			t.positives++
		}
	case study.Gamma:
		t.scalars.Add(ofPearson, w*min(at.slope*at.slope, mostPearson))
		t.scalars.Add(ofLogOutcome, w*math.Log(y))
	case study.NegativeBinomial:
		score, information := f.thetaSlope(y, eta)
		t.scalars.Add(ofThetaScore, w*score)
		t.scalars.Add(ofThetaInformation, w*information)
	}
	return w * at.slope, w * at.weight
}

func (t *totals) vector(s *study.Study, m *study.Matrix, own bool, intercept float64) []float64 {
	records, weight := weighted(m)
	sums := t.scalars.Values()
	var out vector
	out.count(records)
	switch {
	case t.family.name == study.Binomial && !t.any && own:
		out.count(positives(m))
	case t.family.name == study.Binomial:
		out.count(t.positives)
	}
	if s.Model.Weights != nil {
		out.one(weight)
	}
	out.one(sums[ofValue])
	if t.family.name != study.Binomial {
		out.one(sums[ofDeviance])
	}
	out.all(t.gradient.values())
	out.all(t.information.values())
	switch t.family.name {
	case study.Gamma:
		out.all(sums[ofPearson : ofLogOutcome+1])
	case study.NegativeBinomial:
		out.all(sums[ofThetaScore:])
	}
	if !own {
		return out
	}
	out.count(min(records, 1))
	if !(t.curvature > 0) {
		weight = 0 // an intercept at infinity is no part of the average
	}
	out.one(weight)
	out.one(weight * intercept)
	for _, sum := range t.weightAt {
		if weight > 0 {
			sum *= -weight / t.curvature
		}
		out.one(sum)
	}
	if weight > 0 {
		weight *= min(weight/t.curvature, mostVariance)
	}
	out.one(weight)
	return out
}

func positives(m *study.Matrix) int {
	n := 0
	for i := range m.Rows() {
		if m.Weight(i) > 0 && m.Outcome(i) == 1 {
			n++
		}
	}
	return n
}

// ownIntercept is where the likelihood of a site's records is largest, given
// the rest of their linear predictors. It is at infinity, and the records say
// nothing about the other coefficients, when every outcome is at the same end.
func ownIntercept(f *family, m *study.Matrix, eta []float64) (intercept float64, informative bool) {
	least, most := math.Inf(1), math.Inf(-1)
	for i := range eta {
		if m.Weight(i) > 0 {
			least, most = min(least, m.Outcome(i)), max(most, m.Outcome(i))
		}
	}
	constant := least == most && (f.name == study.Binomial || least == 0)
	if least > most || constant {
		return 0, false
	}
	slope := func(at float64) (score, information float64) {
		sums := compute.NewAccumulator(2)
		for i, e := range eta {
			if w := m.Weight(i); w > 0 {
				p := f.at(m.Outcome(i), e+at)
				sums.Add(0, w*p.slope)
				sums.Add(1, w*p.weight)
			}
		}
		v := sums.Values()
		return v[0], v[1]
	}
	// The slope falls from above zero to below: between the predictors at which
	// every record is at the floor and at which it is at the ceiling.
	lo, hi := math.Inf(1), math.Inf(-1)
	for i, e := range eta {
		if m.Weight(i) > 0 {
			lo, hi = min(lo, f.floor-e), max(hi, f.ceiling-e)
		}
	}
	at := lo/2 + hi/2
	for range 200 {
		score, information := slope(at)
		if score > 0 {
			lo = at
		} else {
			hi = at
		}
		step := score / information
		if f.log() {
			step = math.Log1p(score / information) // exact for Poisson and gamma
		}
		next := at + step
		if !(next > lo && next < hi) {
			next = lo/2 + hi/2
		}
		if math.Abs(next-at) <= 1e-14*(1+math.Abs(at)) {
			return next, true
		}
		at = next
	}
	return at, true
}
