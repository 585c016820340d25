package glm

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// StepMeans asks for weighted means. A study without products, splines,
// weights, offset and site effects does without: the counts know its means.
const StepMeans = "glm/means"

// needsMeans says that the counts do not know all that a fit starts from.
func needsMeans(s *study.Study) bool {
	m := s.Model
	if m.Weights != nil || m.Offset != nil || m.SiteEffects == study.FixedSiteEffects {
		return true
	}
	return m.Family != study.Gaussian && m.Family != study.Binomial || len(m.Interactions) > 0 || len(m.Splines) > 0
}

// middle scales everything by its declared range alone.
func middle(s *study.Study) scale {
	terms := s.Terms()
	means := make([]float64, len(terms))
	for j, t := range terms {
		means[j] = t.Lo/2 + t.Hi/2
	}
	lo, hi := s.Outcome.Bounds()
	if s.Model.Family == study.Gaussian {
		lo, hi = explained(s)
	}
	c := newScale(s, newCentre(s, means, lo/2+hi/2))
	if s.Model.Family != study.Gaussian {
		c.outMid, c.outHalf = 0, max(math.Abs(lo), math.Abs(hi))
	}
	return c
}

func offsetScale(s *study.Study) (mid, half float64) {
	if o := s.Model.Offset; o != nil {
		return o.Range.Lo/2 + o.Range.Hi/2, o.Range.Hi/2 - o.Range.Lo/2
	}
	return 0, 1
}

func meansLayout(s *study.Study) []compute.Field {
	p, most := len(s.Terms()), maxRows*heaviest(s)
	return []compute.Field{
		count("patients"),
		numbers("weight", 1, most),
		numbers("columns", p, most*largest),
		numbers("columns_squared", p, most),
		numbers("outcome", 1, most*largest),
		numbers("outcome_squared", 1, most*largest*largest),
		numbers("offset", 1, most),
	}
}

func answerMeans(s *study.Study, m *study.Matrix) []float64 {
	terms, c := s.Terms(), middle(s)
	p := len(terms)
	size := make([]float64, p)
	for j, t := range terms {
		size[j] = max(math.Abs(t.Lo), math.Abs(t.Hi))
	}
	offsetMid, offsetHalf := offsetScale(s)
	sums, squares, rest := compute.NewAccumulator(p), compute.NewAccumulator(p), compute.NewAccumulator(3)
	var row []float64
	for i := range m.Rows() {
		w := m.Weight(i)
		row = m.AppendRow(row[:0], i)
		for j, x := range row {
			if x != 0 {
				squares.Add(j, w*(x/size[j])*(x/size[j]))
			}
		}
		c.apply(row)
		for j, z := range row {
			if z != 0 {
				sums.Add(j, w*z)
			}
		}
		y := explainedOutcome(s, m, i)
		y = (y - c.outMid) / c.outHalf
		rest.Add(0, w*y)
		rest.Add(1, w*y*y)
		rest.Add(2, w*(m.Offset(i)-offsetMid)/offsetHalf)
	}
	records, weight := weighted(m)
	var out vector
	out.count(records)
	out.one(weight)
	out.all(sums.Values())
	out.all(squares.Values())
	out.all(rest.Values())
	return out
}

// explainedOutcome is the outcome as the model takes it: that of a linear model
// on its scale and less the offset, any other as it is.
func explainedOutcome(s *study.Study, m *study.Matrix, i int) float64 {
	if s.Model.Family == study.Gaussian {
		return s.Outcome.Transform(m.Outcome(i)) - m.Offset(i)
	}
	return m.Outcome(i)
}

// start is what a fit begins with.
type start struct {
	means   []float64 // of all columns, original units
	empty   []int     // terms that are zero for every patient with a weight
	outcome float64   // mean of what is explained, original units
	spread  float64   // its variance
	offset  float64   // mean
}

// readMeans takes the opened sum of StepMeans apart.
func readMeans(s *study.Study, sum compute.Sum) (*start, error) {
	if err := checkSum(sum, meansLayout(s)); err != nil {
		return nil, err
	}
	weight := sum.Field("weight")[0]
	if !(weight > 0) {
		return nil, &compute.Diagnosis{Kind: compute.TooFewPatients, Message: "no patient has a weight above zero, so there is nothing to fit"}
	}
	terms, c := s.Terms(), middle(s)
	out := &start{means: make([]float64, len(terms))}
	for j, t := range terms {
		out.means[j] = c.mid[j] + c.half[j]*sum.Field("columns")[j]/weight
		if (t.Level >= 0 || t.Product != nil) && sum.Field("columns_squared")[j] == 0 {
			out.empty = append(out.empty, j)
		}
	}
	u := sum.Field("outcome")[0] / weight
	out.outcome = c.outMid + c.outHalf*u
	out.spread = c.outHalf * c.outHalf * max(0, sum.Field("outcome_squared")[0]/weight-u*u)
	mid, half := offsetScale(s)
	out.offset = mid + half*sum.Field("offset")[0]/weight
	return out, nil
}
