package glm

import (
	"errors"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// StepScores asks every site for the outer product of the total of its scores:
// the meat of standard errors that are robust to patients of a site being alike.
const StepScores = "glm/scores"

// mostScore cuts a site's total score, measured in roots of the information
// of all patients: at the estimate it is of the order of one.
const mostScore = 1 << 20

// scoreParameters are the final coefficients, and in which units each score is
// sent.
type scoreParameters struct {
	newtonParameters
	Units []float64 `json:"units"`
}

func scoresLayout(s *study.Study) []compute.Field {
	return []compute.Field{count("sites"), numbers("score_products", triangle(len(s.Terms())), mostScore*mostScore)}
}

func readScores(s *study.Study, parameters []byte) (q scoreParameters, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	inner, err := compute.EncodeParameters(q.newtonParameters)
	if err != nil {
		return q, err
	}
	if _, err := readNewton(s, inner); err != nil {
		return q, err
	}
	if len(q.Units) != len(s.Terms()) {
		return q, errors.New("the step needs a unit for every term")
	}
	for _, u := range q.Units {
		if !(u >= 0x1p-100 && u <= 0x1p100) {
			return q, errors.New("a unit of the scores is not a number that scores are measured in")
		}
	}
	return q, nil
}

func answerScores(s *study.Study, parameters []byte, m *study.Matrix) ([]float64, error) {
	q, err := readScores(s, parameters)
	if err != nil {
		return nil, err
	}
	c := newScale(s, q.Centre)
	score := siteScore(s, q.newtonParameters, c, m)
	largest := 0.0
	for j := range score {
		score[j] /= q.Units[j]
		largest = max(largest, math.Abs(score[j]))
	}
	records, _ := weighted(m)
	var out vector
	out.count(min(records, 1))
	for i := range score {
		for j := i; j < len(score); j++ {
			cut := max(1, largest/mostScore)
			out.one(score[i] / cut * (score[j] / cut))
		}
	}
	return out, nil
}

// siteScore is the slope of the log-likelihood of a site's records; of its
// profile where the site has its own intercept. A linear model's is that of
// half the sum of squares.
func siteScore(s *study.Study, q newtonParameters, c scale, m *study.Matrix) []float64 {
	own := s.Model.SiteEffects == study.FixedSiteEffects
	p := len(c.mid)
	slopes := make([]float64, m.Rows())
	if s.Model.Family == study.Gaussian {
		fitted := make([]float64, m.Rows())
		eachBlock(m, c, func(x []float64, from, n int) { times(x, n, q.Coefficients, fitted[from:from+n]) })
		_, weight := weighted(m)
		mean := compute.NewAccumulator(1)
		for i := range slopes {
			slopes[i] = (explainedOutcome(s, m, i)-c.outMid)/c.outHalf - fitted[i]
			mean.Add(0, m.Weight(i)*slopes[i])
		}
		for i := range slopes {
			if own && weight > 0 {
				slopes[i] -= mean.Values()[0] / weight
			}
			slopes[i] *= m.Weight(i)
		}
	} else {
		f, eta := q.family(s), predictors(m, c, q.Coefficients)
		intercept, informative := 0.0, true
		if own {
			intercept, informative = ownIntercept(f, m, eta)
		}
		for i := range slopes {
			if informative {
				slopes[i] = m.Weight(i) * f.at(m.Outcome(i), eta[i]+intercept).slope
			}
		}
	}
	sums := newColumnSums(p)
	eachBlock(m, c, func(x []float64, from, n int) { sums.add(x, slopes[from:from+n]) })
	score := sums.values()
	if own {
		score[0] = 0 // the intercept is the site's
	}
	return score
}

// scoreQuestion is the coordinator's: the units are the roots of the
// information.
func scoreQuestion(d *design, beta []float64, theta float64, information *mat.SymDense) ([]byte, error) {
	q := scoreParameters{newtonParameters: newtonParameters{Coefficients: d.spread(beta), Centre: d.centre}, Units: make([]float64, len(d.terms))}
	if d.study.Model.Family == study.NegativeBinomial {
		q.Theta = &theta
	}
	for j := range q.Units {
		q.Units[j] = 1
	}
	for i, j := range d.free {
		q.Units[j] = math.Sqrt(information.At(i, i))
	}
	return compute.EncodeParameters(q)
}

// clusters is what the opened sum tells.
type clusters struct {
	sites int
	meat  *mat.SymDense // over the free terms
}

func readClusters(d *design, sum compute.Sum, information *mat.SymDense) (*clusters, error) {
	if err := checkSum(sum, scoresLayout(d.study)); err != nil {
		return nil, err
	}
	k := &clusters{sites: int(math.Round(sum.Field("sites")[0])), meat: d.pickMatrix(sum.Field("score_products"))}
	if k.sites < 2 {
		return nil, &compute.Diagnosis{Kind: compute.TooFewPatients, Message: "robust standard errors need patients at two sites at least; use standard_errors: model"}
	}
	n := k.meat.SymmetricDim()
	for i := range n {
		for j := i; j < n; j++ {
			k.meat.SetSym(i, j, k.meat.At(i, j)*math.Sqrt(information.At(i, i)*information.At(j, j)))
		}
	}
	return k, nil
}

// sandwich is the covariance B M B with the bread B, times G/(G-1) for G sites
// (vcovCL of R's sandwich with cadjust = TRUE and type = "HC0").
func (k *clusters) sandwich(bread *mat.SymDense) *mat.SymDense {
	var left, both mat.Dense
	left.Mul(bread, k.meat)
	both.Mul(&left, bread)
	n := bread.SymmetricDim()
	out := mat.NewSymDense(n, nil)
	factor := float64(k.sites) / float64(k.sites-1)
	for i := range n {
		for j := i; j < n; j++ {
			out.SetSym(i, j, factor*(both.At(i, j)/2+both.At(j, i)/2))
		}
	}
	return out
}
