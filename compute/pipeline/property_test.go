package pipeline

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// The dumb model beside the clever one: a fit over the pooled records that
// shares no code with the federated fit. Householder QR on the raw columns for
// the linear model, with the ridge as extra rows; the logistic model by
// repeated weighted QR.
type pooled struct {
	coefficients, errors []float64
	deviance             float64
}

func pooledLinear(x [][]float64, y []float64, ridge float64) pooled {
	p := len(x[0])
	b, unscaled := leastSquares(x, y, ones(len(x)), ridge, p)
	out := pooled{coefficients: b}
	for i, row := range x {
		e := y[i] - dot(row, b)
		out.deviance += e * e
	}
	for j := range b {
		out.errors = append(out.errors, math.Sqrt(out.deviance/float64(len(x)-p)*unscaled.At(j, j)))
	}
	return out
}

func pooledLogistic(x [][]float64, y []float64, ridge float64) pooled {
	p := len(x[0])
	b := make([]float64, p)
	var unscaled *mat.Dense
	for range 60 {
		z, w := make([]float64, len(x)), make([]float64, len(x))
		for i, row := range x {
			eta := dot(row, b)
			mu := 1 / (1 + math.Exp(-eta))
			w[i] = mu * (1 - mu)
			z[i] = eta + (y[i]-mu)/w[i]
		}
		b, unscaled = leastSquares(x, z, w, ridge, p)
	}
	out := pooled{coefficients: b}
	for i, row := range x {
		eta := dot(row, b)
		out.deviance -= 2 * (y[i]*eta - math.Log1p(math.Exp(eta)))
	}
	for j := range b {
		out.errors = append(out.errors, math.Sqrt(unscaled.At(j, j)))
	}
	return out
}

// leastSquares minimises the weighted squares plus the ridge and returns the
// inverse of the normal matrix too. Columns are brought to size 1 first, which
// is only for the condition of QR.
func leastSquares(x [][]float64, y, w []float64, ridge float64, p int) ([]float64, *mat.Dense) {
	size := make([]float64, p)
	for j := range size {
		for _, row := range x {
			size[j] = max(size[j], math.Abs(row[j]))
		}
	}
	rows := len(x)
	if ridge > 0 {
		rows += p - 1
	}
	a, b := mat.NewDense(rows, p, nil), mat.NewDense(rows, 1, nil)
	for i, row := range x {
		for j := range row {
			a.Set(i, j, math.Sqrt(w[i])*row[j]/size[j])
		}
		b.Set(i, 0, math.Sqrt(w[i])*y[i])
	}
	for j := 1; j < p && ridge > 0; j++ {
		a.Set(len(x)+j-1, j, math.Sqrt(ridge)/size[j])
	}
	var qr mat.QR
	qr.Factorize(a)
	var solution, r, inverse, both mat.Dense
	_ = qr.SolveTo(&solution, false, b)
	qr.RTo(&r)
	_ = inverse.Inverse(r.Slice(0, p, 0, p))
	both.Mul(&inverse, inverse.T())
	out := make([]float64, p)
	for j := range out {
		out[j] = solution.At(j, 0) / size[j]
		for k := range p {
			both.Set(j, k, both.At(j, k)/size[j]/size[k])
		}
	}
	return out, &both
}

func ones(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// pool reads the records of all sites back, for the dumb model.
func pool(sites []*study.Matrix, transform func(float64) float64) (x [][]float64, y []float64) {
	for _, m := range sites {
		for i := range m.Rows() {
			x = append(x, m.Row(i))
			y = append(y, transform(m.Outcome(i)))
		}
	}
	return x, y
}

func agree(t *rapid.T, m *glm.Model, want pooled) {
	for j, term := range m.Terms {
		// A coefficient near zero is known to within a share of its standard error.
		if d := math.Abs(term.Estimate - want.coefficients[j]); d > 1e-8*(math.Abs(want.coefficients[j])+want.errors[j]) {
			t.Fatalf("%s: %v, pooled %v", term.Name, term.Estimate, want.coefficients[j])
		}
		if d := math.Abs(term.StdError/want.errors[j] - 1); d > 1e-8 {
			t.Fatalf("%s: standard error %v, pooled %v", term.Name, term.StdError, want.errors[j])
		}
	}
	if d := math.Abs(m.Deviance - want.deviance); d > 1e-8*(want.deviance+1e-6*m.NullDeviance) {
		t.Fatalf("deviance %v, pooled %v", m.Deviance, want.deviance)
	}
}

const random = `
study: random
version: 1
outcome: %s
features:
  - {column: a, type: number, range: [0, 1]}
  - {column: b, type: number, range: [%g, %g]}
  - {column: c, type: category, levels: [u, v, w], reference: u}
model: {kind: glm, family: %s, ridge: %g}
fairness: {attributes: [{column: g, levels: [x, y]}], minimum_cell: 3}
schedule: {rounds: 60}
`

// However the records are divided over sites, the federated fit is the pooled
// fit. Units differ by up to 18 orders of magnitude.
func TestAnyDivisionOverSitesEqualsThePooledFit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		unit := math.Pow(10, float64(rapid.IntRange(-9, 9).Draw(r, "unit")))
		ridge := rapid.SampledFrom([]float64{0, 0, 0.5, 20}).Draw(r, "ridge")
		binary := rapid.Bool().Draw(r, "binary")
		outcome, family := `{column: y, type: number, range: [-50, 50]}`, "gaussian"
		if binary {
			outcome, family = `{column: y, type: binary, positive: ["1"]}`, "binomial"
		}
		s := parse(t, fmt.Sprintf(random, outcome, -3*unit, 5*unit, family, ridge))

		n := rapid.IntRange(60, 200).Draw(r, "n")
		sites := rapid.IntRange(1, 7).Draw(r, "sites")
		uniform := rapid.Float64Range(0, 1)
		var records [][]string
		home := make([]string, n)
		for i := range n {
			a, b, e := uniform.Draw(r, "a"), 8*uniform.Draw(r, "b")-3, uniform.Draw(r, "e")
			if i < 20 {
				// However the generator shrinks, the columns stay independent and
				// both outcomes occur everywhere.
				a, b, e = float64(i%5)/4, float64(i%4)*2-3, float64(i*7%20)/20
			}
			c := i % 3
			eta := 0.5 + a - 0.3*b + 0.4*float64(c)
			y := eta + 10*(e-0.5)
			text := strconv.FormatFloat(y, 'g', -1, 64)
			if binary {
				text = "0"
				if e < 0.2+0.6/(1+math.Exp(-eta)) {
					text = "1"
				}
			}
			records = append(records, []string{text, strconv.FormatFloat(a, 'g', -1, 64), strconv.FormatFloat(b*unit, 'g', -1, 64), string("uvw"[c]), string("xyz"[i%2])})
			home[i] = strconv.Itoa(rapid.IntRange(1, sites).Draw(r, "site"))
		}
		matrices := matrices(t, s, []string{"y", "a", "b", "c", "g"}, records, func(i int) string { return home[i] })
		result, err := federate(t, s, matrices, rapid.SampledFrom([]encoding{plain, fixedPoint}).Draw(r, "encoding"))
		if err != nil {
			var d *compute.Diagnosis
			if binary && ridge == 0 && errors.As(err, &d) && d.Kind == compute.Separation {
				return // rare, and right: the pooled fit has no finite estimate either
			}
			r.Fatal(err)
		}
		x, y := pool(matrices, s.Outcome.Transform)
		if binary {
			agree(r, result.Model.GLM, pooledLogistic(x, y, ridge))
		} else {
			agree(r, result.Model.GLM, pooledLinear(x, y, ridge))
		}
		if result.Audit == nil || result.Audit.N != n {
			r.Fatal("no audit of all patients")
		}
	})
}
