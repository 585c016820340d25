package glm

import (
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute/cholesky"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/mathext"
)

// Tests of several coefficients at once.
type Tests struct {
	// LikelihoodRatio compares the model with the null model: twice the
	// difference of their log-likelihoods (lrtest of R's lmtest). Absent with a
	// ridge and with a random intercept of a gaussian model.
	LikelihoodRatio *Test `json:"likelihood_ratio,omitempty"`
	// RandomEffect asks whether sites differ at all. Zero is at the edge of what a
	// variance can be, so the p-value is half that of chi-squared (Self and Liang,
	// J. Am. Stat. Assoc. 82, 1987).
	RandomEffect *Test `json:"random_effect,omitempty"`
	// Wald tests all slopes of the model together, then each feature with all its
	// levels or the terms of its spline, then the bend of each spline, then each
	// interaction. Where the terms' tests are t it is an F statistic.
	Wald []Test `json:"wald,omitempty"`
}

// Test that coefficients are zero.
type Test struct {
	Name         string   `json:"name"`
	Terms        []string `json:"terms,omitempty"`
	Distribution string   `json:"distribution"` // chi-squared or F
	DF           int      `json:"df"`
	DFResidual   int      `json:"df_residual,omitempty"` // of an F statistic
	Statistic    float64  `json:"statistic"`
	PValue       float64  `json:"p_value"`
}

// test all that can be tested.
func (m *Model) test(d *design) *Tests {
	t := &Tests{}
	slopes := len(d.kept) - 1
	if m.Ridge == 0 && m.RandomEffects == nil && slopes > 0 {
		statistic := max(0, 2*(m.LogLike-m.NullLogLike))
		t.LikelihoodRatio = &Test{Name: "model", Distribution: "chi-squared", DF: slopes, Statistic: statistic, PValue: chiSquaredTail(statistic, slopes)}
	}
	for _, g := range groupsOf(d) {
		if test, ok := m.wald(g); ok {
			t.Wald = append(t.Wald, test)
		}
	}
	return t
}

// group of coefficients, by index into the model's terms.
type group struct {
	name string
	at   []int
}

func groupsOf(d *design) []group {
	var features, bends, products []group
	put := func(groups []group, name string, i int) []group {
		k := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
		if k < 0 {
			return append(groups, group{name, []int{i}})
		}
		groups[k].at = append(groups[k].at, i)
		return groups
	}
	all := group{name: "model"}
	for i, j := range d.kept {
		t := d.terms[j]
		switch {
		case j == 0:
			continue
		case t.Product != nil:
			var columns []string
			for _, factor := range t.Product {
				columns = append(columns, d.study.Features[d.terms[factor].Feature].Column)
			}
			products = put(products, strings.Join(columns, ":"), i)
		case t.Feature >= 0:
			features = put(features, d.study.Features[t.Feature].Column, i)
		}
		if t.Knot > 0 {
			bends = put(bends, d.study.Features[t.Feature].Column+" (bend)", i)
		}
		all.at = append(all.at, i)
	}
	out := append(features, append(bends, products...)...)
	if len(out) > 1 {
		out = append([]group{all}, out...)
	}
	return out
}

// wald is b'V^-1 b, divided by its degrees of freedom for an F statistic. There
// is none where the covariance has not the rank, as with fewer clusters than
// coefficients.
func (m *Model) wald(g group) (Test, bool) {
	p, k := len(m.Terms), len(g.at)
	v, b := mat.NewSymDense(max(1, k), nil), make([]float64, k)
	t := Test{Name: g.name, Distribution: "chi-squared", DF: k}
	for i, at := range g.at {
		b[i] = m.Terms[at].Estimate
		t.Terms = append(t.Terms, m.Terms[at].Name)
		for j := i; j < k; j++ {
			v.SetSym(i, j, m.Covariance[at*p+g.at[j]])
		}
	}
	if k == 0 || m.Clusters != nil && *m.Clusters <= k {
		return t, false
	}
	f, ok := cholesky.Factorise(v)
	if !ok {
		return t, false
	}
	for i, x := range f.Solve(b) {
		t.Statistic += b[i] * x
	}
	t.Statistic = max(0, t.Statistic)
	if m.Statistic == "t" {
		t.Distribution, t.DFResidual = "F", m.DFResidual
		t.Statistic /= float64(k)
		t.PValue = fisherTail(t.Statistic, float64(k), float64(m.DFResidual))
	} else {
		t.PValue = chiSquaredTail(t.Statistic, k)
	}
	return t, true
}

// chiSquaredTail is the probability that chi-squared is larger.
func chiSquaredTail(statistic float64, df int) float64 {
	if statistic == 0 {
		return 1
	}
	return mathext.GammaIncRegComp(float64(df)/2, statistic/2)
}

// fisherTail is the probability that F is larger (Abramowitz and Stegun
// 26.6.2).
func fisherTail(statistic, df1, df2 float64) float64 {
	if statistic == 0 {
		return 1
	}
	return incompleteBeta(df2/2, df1/2, df2/(df2+df1*statistic), df1*statistic/(df2+df1*statistic))
}
