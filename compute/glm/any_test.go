package glm

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
)

// Whatever the data, a fit ends with a model of finite numbers or with a named
// reason, in the rounds that the study allows.
func TestFitsEndWithAModelOrAReason(t *testing.T) {
	models := 0
	for seed := uint64(0); seed < 150; seed++ {
		r := rand.New(rand.NewPCG(seed, 9))
		families := []string{"gaussian", "binomial", "poisson", "gamma", "negative-binomial"}
		family := families[r.IntN(5)]
		effects := []string{"", "", ", site_effects: fixed", ", site_effects: random", ", standard_errors: robust"}[r.IntN(5)]
		more := effects
		if r.IntN(3) == 0 {
			more += ", weights: w"
		}
		if r.IntN(3) == 0 {
			more += ", offset: o"
		}
		if r.IntN(4) == 0 {
			more += `, interactions: ["a:c", "a:b"]`
		}
		n := 30 + r.IntN(300)
		k := 2 + r.IntN(8)
		scale := math.Pow(10, float64(r.IntN(7)-3))
		effect := r.NormFloat64() * 0.5
		mean := math.Pow(10, float64(r.IntN(4)-1))
		outcome := map[string]string{
			"gaussian": `{column: y, type: number, range: [-1e6, 1e6]}`, "binomial": `{column: y, type: binary, positive: ["1"]}`,
			"poisson": `{column: y, type: count, range: [0, 1000000]}`, "negative-binomial": `{column: y, type: count, range: [0, 1000000]}`, "gamma": `{column: y, type: number, range: [1e-6, 1e6]}`}[family]
		s := parse(t, fmt.Sprintf(`
study: stress
version: 1
outcome: %s
features:
  - {column: a, type: number, range: [%g, %g]}
  - {column: b, type: number, range: [-100, 100]}
  - {column: c, type: category, levels: [u, v, w], reference: u}
model: {kind: glm, family: %s%s}
schedule: {rounds: 40, tolerance: 1e-8}
`, outcome, -100*scale, 100*scale, family, more))
		var records [][]string
		for i := range n {
			a, b, c := r.NormFloat64(), r.NormFloat64()*3, r.IntN(3)
			o := math.Round(r.NormFloat64()*100) / 100
			eta := math.Log(mean) + effect*a + 0.05*b + 0.3*float64(c) + 0.2*float64(i%k)
			y := 0.0
			e := math.Exp(eta + o)
			poisson := func(m float64) float64 {
				if m > 500 {
					return math.Max(0, math.Round(m+math.Sqrt(m)*r.NormFloat64()))
				}
				l, p, c := math.Exp(-m), 1.0, 0.0
				for {
					p *= r.Float64()
					if p <= l {
						return c
					}
					c++
				}
			}
			switch family {
			case "gaussian":
				y = eta + o + r.NormFloat64()
			case "binomial":
				if r.Float64() < 1/(1+1/e) {
					y = 1
				}
			case "poisson":
				y = poisson(e)
			case "negative-binomial":
				y = poisson(e * r.ExpFloat64())
			case "gamma":
				y = max(1e-5, e*(r.ExpFloat64()+r.ExpFloat64())/2)
			}
			y = min(y, 9e5)
			records = append(records, []string{strconv.FormatFloat(y, 'f', -1, 64), fmt.Sprint(a * scale), fmt.Sprint(b), string("uvw"[c]), fmt.Sprint(o), fmt.Sprint(r.IntN(3))})
		}
		columns := []string{"y", "a", "b", "c", "o", "w"}
		if checkStudy(s) != nil {
			continue
		}
		m, _, err := federate(t, s, matrices(t, s, columns, records, k, func(i int) int { return i % k }))
		var d *compute.Diagnosis
		if err != nil {
			if !errors.As(err, &d) {
				t.Errorf("seed %d %s%s: %v", seed, family, more, err)
				continue
			}
			continue
		}
		models++
		for _, term := range m.Terms {
			if math.IsNaN(term.Estimate) || math.IsNaN(term.StdError) || math.IsInf(term.Estimate, 0) || math.Abs(term.Estimate) > 1e5/min(scale, 1) {
				t.Errorf("seed %d %s%s: %+v", seed, family, more, term)
			}
		}
		if math.IsNaN(m.LogLike) || math.IsNaN(m.AIC) || m.Iterations > 40 {
			t.Errorf("seed %d %s%s: ll %v, %d iterations", seed, family, more, m.LogLike, m.Iterations)
		}
	}
	if models < 100 {
		t.Errorf("%d of 150 fits end with a model", models)
	}
}
