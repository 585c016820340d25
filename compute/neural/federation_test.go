package neural

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Outcomes of the made-up patients.
const (
	numberOutcome = `{column: y, type: number, range: [-50, 150]}`
	binaryOutcome = `{column: y, type: binary, at_least: 10}`
	countOutcome  = `{column: y, type: count, range: [0, 1000]}`
)

// parse makes a study of the made-up patients.
func parse(t testing.TB, outcome, model, schedule string) *study.Study {
	t.Helper()
	s, err := study.Parse(fmt.Appendf(nil, `
study: neural
version: 1
outcome: %s
features:
  - {column: a, type: number, range: [-10, 10]}
  - {column: b, type: number, range: [0, 1000]}
  - {column: c, type: category, levels: [u, v, w], reference: u}
model: %s
fairness: {attributes: [{column: c, levels: [u, v, w]}], minimum_cell: 5}
schedule: %s
`, outcome, model, schedule))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// patients makes up records whose outcome is a curved function of a, b and c.
func patients(n int, seed uint64) [][]string {
	random := rand.New(rand.NewPCG(seed, 77))
	var out [][]string
	for range n {
		a, b, c := random.NormFloat64(), 500+100*random.NormFloat64(), random.IntN(3)
		a, b = min(max(a, -10), 10), min(max(b, 0), 1000)
		y := 10 + 3*a + 2*math.Sin(2*a) + (b-500)/50 - 2*float64(c) + random.NormFloat64()
		out = append(out, []string{strconv.Itoa(int(math.Round(max(y, 0)))),
			strconv.FormatFloat(a, 'g', -1, 64), strconv.FormatFloat(b, 'g', -1, 64), string("uvw"[c])})
	}
	return out
}

// divide gives each record to one of k sites; the last has none.
func divide(t testing.TB, s *study.Study, records [][]string, k int, site func(i int) int) []*study.Matrix {
	t.Helper()
	var builders []*study.Builder
	for range k {
		b, err := s.NewBuilder([]string{"y", "a", "b", "c"})
		if err != nil {
			t.Fatal(err)
		}
		builders = append(builders, b)
	}
	for i, r := range records {
		builders[site(i)].Add(r)
	}
	var out []*study.Matrix
	total := 0
	for _, b := range builders {
		m := b.Matrix()
		out, total = append(out, m), total+m.Rows()
	}
	if total != len(records) {
		t.Fatalf("the study can use %d of %d records", total, len(records))
	}
	return out
}

func apart(k int) func(int) int { return func(i int) int { return i % k } }

// ask lets the sites answer and opens the sum, as the secure sum carries it.
func ask(t testing.TB, s *study.Study, q compute.Question, sites []*study.Matrix) compute.Sum {
	t.Helper()
	layout, err := Layout(s, q.Step, q.Parameters)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(layout, q.Layout) {
		t.Fatalf("step %s: a site computes another layout than the coordinator", q.Step)
	}
	var total []float64
	for _, m := range sites {
		values, err := Answer(s, q.Step, q.Parameters, m)
		if err != nil {
			t.Fatal(err)
		}
		if total == nil {
			total = make([]float64, len(values))
		}
		checkBounds(t, layout, values)
		at := 0
		for _, f := range layout {
			for range f.Length {
				total[at] += math.Ldexp(math.RoundToEven(math.Ldexp(values[at], f.FracBits)), -f.FracBits)
				at++
			}
		}
	}
	sum, err := compute.NewSum(len(sites), layout, total)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// checkBounds fails where a vector does not fit its layout.
func checkBounds(t testing.TB, layout []compute.Field, values []float64) {
	t.Helper()
	at := 0
	for _, f := range layout {
		if bits := math.Ceil(math.Log2(f.Bound)) + float64(f.FracBits) + 1 + 10; bits > 127 {
			t.Fatalf("field %s needs %v bits for a thousand sites", f.Name, bits)
		}
		for range f.Length {
			if at >= len(values) || !(math.Abs(values[at]) <= f.Bound) {
				t.Fatalf("field %s: a number is missing or beyond its bound", f.Name)
			}
			at++
		}
	}
	if at != len(values) {
		t.Fatalf("%d numbers for a layout of %d", len(values), at)
	}
}

// federate runs a fit to its end.
func federate(t testing.TB, s *study.Study, sites []*study.Matrix) (*Fit, error) {
	t.Helper()
	f, err := New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3*s.Schedule.Rounds + 3 {
		q, done, err := f.Next()
		if done || err != nil {
			return f, err
		}
		again, _, _ := f.Next()
		if !bytes.Equal(q.Parameters, again.Parameters) {
			t.Fatal("asked again, the question is another")
		}
		if err := f.Absorb(ask(t, s, q, sites)); err != nil {
			return f, err
		}
	}
	t.Fatal("the fit does not end")
	return nil, nil
}

// train is federate where nothing may go wrong.
func train(t testing.TB, s *study.Study, sites []*study.Matrix) *Model {
	t.Helper()
	f, err := federate(t, s, sites)
	if err != nil {
		t.Fatal(err)
	}
	return f.Model()
}

// weights of a model, as numbers.
func (m *Model) numbers(t testing.TB) []float64 {
	t.Helper()
	w, err := readFloats(m.Weights, m.Precision, maxWeight)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func farthest(a, b []float64) float64 {
	far := 0.0
	for i := range a {
		far = max(far, math.Abs(a[i]-b[i]))
	}
	return far
}

func losses(curve []compute.Point) (out []float64) {
	for _, p := range curve {
		out = append(out, p.Loss)
	}
	return out
}
