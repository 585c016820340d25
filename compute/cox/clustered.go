package cox

import (
	"errors"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// The patients of a hospital may be alike beyond what the features say. Where
// standard errors are robust the concordance has one more, in which a hospital
// counts as one observation: the infinitesimal jackknife of hospitals, as R's
// concordance(cluster = ). A hospital with C pairs more concordant than discordant,
// of A pairs, moves the difference D = C/A of all by (C - D A)/A. Sums of C^2, C A
// and A^2 would give it too, but would tell of the pairs of each of few
// hospitals; so D is opened first, and then only the sum of the squares.

// influenceBits are fractional: squares of few pairs are not whole.
const influenceBits = 16

// clusters ask for the influence of each hospital on the concordance.
type clusters struct {
	point
	// Difference between the shares of concordant and discordant pairs (Somers' D).
	Difference float64 `json:"difference"`
}

func readClusters(s *study.Study, parameters []byte) (q clusters, err error) {
	if !s.Model.Robust {
		return q, errors.New("the influence of hospitals on the concordance belongs to robust standard errors")
	}
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if d := q.Difference; !(d >= -1 && d <= 1) || d == 0 && math.Signbit(d) {
		return q, errors.New("the difference of concordant and discordant pairs is no share")
	}
	return q, q.check(s)
}

func clustersLayout() []compute.Field {
	const most = 2 * maxRows * maxRows // twice the pairs of patients, of each the difference is at most 2
	return []compute.Field{{Name: "influence_squares", Length: 1, FracBits: influenceBits, Bound: most * most}}
}

func (q clusters) answer(s *study.Study, m *study.Matrix) []float64 {
	pairs := arrange(s, q.point, m).concordance()
	c, d, tied := pairs[0], pairs[1], pairs[2]
	// Of the patients' sum: each pair has two.
	influence := 2 * (c - d - q.Difference*(c+d+tied))
	return []float64{influence * influence}
}

// somers is the difference of the shares of concordant and discordant pairs.
func (c *Concordance) somers() float64 {
	return (c.Concordant-c.Discordant)/c.pairs() + 0
}

func (c *Concordance) pairs() float64 { return c.Concordant + c.Discordant + c.Tied }

// cluster takes the opened sum. Of other hospitals than the pairs were it gives no
// standard error, and neither of one hospital.
func (f *Fit) cluster(sum compute.Sum) {
	if sum.Contributors == f.paired.Contributors && slices.Equal(sum.Sites, f.paired.Sites) && sum.Contributors > 1 {
		c := f.unclustered.Concordance
		se := math.Sqrt(max(0, sum.Field("influence_squares")[0])) / c.pairs() / 2
		c.ClusteredError = &se
	}
	f.model = f.unclustered
}
