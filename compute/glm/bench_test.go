package glm

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// manyNumbers is a site of the given size.
func manyNumbers(b *testing.B, outcome, family string, rows, features int) (*study.Study, *study.Matrix, []float64) {
	b.Helper()
	var list []string
	columns := []string{"y"}
	for j := range features {
		list = append(list, fmt.Sprintf("{column: x%d, type: number, range: [0, 1]}", j))
		columns = append(columns, fmt.Sprintf("x%d", j))
	}
	s := parse(b, fmt.Sprintf("study: many\nversion: 1\noutcome: %s\nfeatures: [%s]\nmodel: {kind: glm, family: %s}\n", outcome, strings.Join(list, ", "), family))
	random := rand.New(rand.NewPCG(1, 2))
	builder, err := s.NewBuilder(columns)
	if err != nil {
		b.Fatal(err)
	}
	var pooled []float64
	for range rows {
		record := []string{strconv.Itoa(random.IntN(2))}
		pooled = append(pooled, 1)
		for range features {
			x := random.Float64()
			record, pooled = append(record, strconv.FormatFloat(x, 'g', -1, 64)), append(pooled, x)
		}
		builder.Add(record)
	}
	return s, builder.Matrix(), pooled
}

// BenchmarkAnswer measures a site's work for one round beside one plain product
// of the same matrix with itself, in values (records times columns) per second.
func BenchmarkAnswer(b *testing.B) {
	const rows, features = 5000, 99
	report := func(b *testing.B) {
		b.ReportMetric(float64(rows*(features+1))*float64(b.N)/b.Elapsed().Seconds(), "values/s")
	}
	for _, c := range []struct{ outcome, family, step string }{
		{`{column: y, type: number, range: [0, 1]}`, study.Gaussian, StepGram},
		{`{column: y, type: binary, positive: ["1"]}`, study.Binomial, StepNewton},
		{`{column: y, type: count, range: [0, 1]}`, study.Poisson, StepNewton},
	} {
		s, m, pooled := manyNumbers(b, c.outcome, c.family, rows, features)
		p := features + 1
		var parameters []byte
		var err error
		if c.step == StepGram {
			parameters, err = compute.EncodeParameters(gramParameters{Centre{Columns: make([]float64, p)}})
		} else {
			parameters, err = compute.EncodeParameters(newtonParameters{Coefficients: make([]float64, p), Centre: Centre{Columns: make([]float64, p)}})
		}
		if err != nil {
			b.Fatal(err)
		}
		size := fmt.Sprintf("rows=%d/terms=%d", rows, p)
		b.Run(c.step+"/"+c.family+"/"+size, func(b *testing.B) {
			for b.Loop() {
				if _, err := Answer(s, c.step, parameters, m); err != nil {
					b.Fatal(err)
				}
			}
			report(b)
		})
		if c.step != StepGram {
			continue
		}
		b.Run("pooled/"+size, func(b *testing.B) {
			out := make([]float64, p*p)
			for b.Loop() {
				blas64.Syrk(blas.Trans, 1, blas64.General{Rows: rows, Cols: p, Stride: p, Data: pooled},
					0, blas64.Symmetric{N: p, Stride: p, Data: out, Uplo: blas.Upper})
			}
			report(b)
		})
	}
}
