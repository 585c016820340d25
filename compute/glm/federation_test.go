package glm

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

func parse(t testing.TB, src string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// matrices divides records over sites.
func matrices(t testing.TB, s *study.Study, columns []string, records [][]string, sites int, site func(i int) int) []*study.Matrix {
	t.Helper()
	out := make([]*study.Matrix, sites)
	for k := range out {
		b, err := s.NewBuilder(columns)
		if err != nil {
			t.Fatal(err)
		}
		for i, record := range records {
			if site(i) == k {
				b.Add(record)
			}
		}
		if skipped := b.Skipped(); len(skipped) > 0 {
			t.Fatalf("records skipped: %v", skipped)
		}
		out[k] = b.Matrix()
	}
	return out
}

// federate runs a fit to its end. Every contribution is rounded to the fixed
// point of its layout and checked against its bound, no question is asked twice,
// and the model survives JSON.
func federate(t testing.TB, s *study.Study, sites []*study.Matrix) (*Model, []compute.Diagnosis, error) {
	t.Helper()
	return federateWith(t, s, func(int) []*study.Matrix { return sites })
}

func federateWith(t testing.TB, s *study.Study, present func(round int) []*study.Matrix) (*Model, []compute.Diagnosis, error) {
	t.Helper()
	f, err := New(s, counts(t, s, present(0)))
	if err != nil {
		return nil, nil, err
	}
	asked := map[string]bool{}
	for round := 0; ; round++ {
		q, done, err := f.Next()
		if err != nil {
			return nil, f.Remarks(), err
		}
		if done {
			break
		}
		if key := q.Step + string(q.Parameters); asked[key] {
			t.Fatalf("a question is asked twice: %s", key)
		} else {
			asked[key] = true
		}
		if err := f.Absorb(ask(t, s, q, present(round))); err != nil {
			return nil, f.Remarks(), err
		}
	}
	m := f.Model()
	first, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back Model
	if err := json.Unmarshal(first, &back); err != nil {
		t.Fatal(err)
	}
	if second, _ := json.Marshal(&back); !slices.Equal(first, second) {
		t.Error("the model does not survive JSON")
	}
	return m, f.Remarks(), nil
}

func counts(t testing.TB, s *study.Study, sites []*study.Matrix) *describe.Counts {
	t.Helper()
	layout, err := describe.Layout(s, describe.Step, nil)
	if err != nil {
		t.Fatal(err)
	}
	total := make([]float64, 0)
	for _, m := range sites {
		values, err := describe.Answer(s, describe.Step, nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if len(total) == 0 {
			total = make([]float64, len(values))
		}
		total = add(total, values)
	}
	sum, err := compute.NewSum(len(sites), layout, total)
	if err != nil {
		t.Fatal(err)
	}
	c, err := describe.Read(s, sum)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(t testing.TB, s *study.Study, q compute.Question, sites []*study.Matrix) compute.Sum {
	t.Helper()
	layout, err := Layout(s, q.Step, q.Parameters)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(layout, q.Layout) {
		t.Fatalf("step %s: a site computes another layout than the coordinator", q.Step)
	}
	size := 0
	for _, f := range layout {
		if bits := math.Ceil(math.Log2(f.Bound)) + float64(f.FracBits) + 1 + 10; bits > 127 {
			t.Fatalf("field %s needs %v bits for a thousand sites", f.Name, bits)
		}
		size += f.Length
	}
	integers := make([]*big.Int, size)
	for i := range integers {
		integers[i] = new(big.Int)
	}
	for _, m := range sites {
		values, err := Answer(s, q.Step, q.Parameters, m)
		if err != nil {
			t.Fatal(err)
		}
		if len(values) != size {
			t.Fatalf("step %s: %d numbers, the layout has %d", q.Step, len(values), size)
		}
		at := 0
		for _, f := range layout {
			for range f.Length {
				v := values[at]
				if !(math.Abs(v) <= f.Bound) {
					t.Fatalf("step %s: field %s: %v is beyond its bound %v", q.Step, f.Name, v, f.Bound)
				}
				if m.Rows() == 0 && v != 0 {
					t.Errorf("step %s: field %s: a site without records sends %v", q.Step, f.Name, v)
				}
				scaled := new(big.Float).SetMantExp(big.NewFloat(v), f.FracBits)
				i, _ := new(big.Float).SetPrec(300).Add(scaled, big.NewFloat(math.Copysign(0.5, v))).Int(nil)
				integers[at].Add(integers[at], i)
				at++
			}
		}
	}
	values := make([]float64, 0, size)
	for _, f := range layout {
		for range f.Length {
			rounded := new(big.Float).SetInt(integers[len(values)])
			v, _ := rounded.SetMantExp(rounded, -f.FracBits).Float64()
			values = append(values, v)
		}
	}
	sum, err := compute.NewSum(len(sites), layout, values)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// near fails unless got equals want to a relative tolerance.
func near(t testing.TB, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Abs(want)) {
		t.Errorf("%s = %.17g, want %.17g, off by %.2g", what, got, want, math.Abs(got/want-1))
	}
}

// synthetic makes the records of testdata/reference.R, bit for bit.
func synthetic() (columns []string, records [][]string, site func(i int) int) {
	state := int64(20261122)
	u := func() float64 {
		state = state * 16807 % 2147483647
		return float64(state) / 2147483647
	}
	text := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	var sites []int
	for range 400 {
		a := math.Floor(u()*1000) / 100
		b := math.Floor(u()*1000)/50 - 10
		c, v, k := "w", 0.0, 1.0
		switch r := u(); {
		case r < 0.4:
			c, k = "u", 0
		case r < 0.75:
			c, v, k = "v", 1, 0
		}
		d := "z"
		if u() < 0.5 {
			d = "x"
		}
		offset := math.Floor(u()*1000) / 500
		w := math.Floor(u() * 4)
		at := math.Floor(u() * 6)
		y := 2 + 0.5*a - 0.2*b + 1.5*v + 0.1*a*k + 0.4*at + (u()+u()+u()+u()-2)*3
		s := u()
		pos := (1 + 0.3*a + v) * (0.1 + s*s*3)
		s = u()
		count := math.Floor(0.3*(1+0.3*a)*(1+0.6*v)*(1+0.25*at)*(1+offset)*(s*s*2) + u())
		bin := "0"
		if u() < 0.1+0.05*a+0.2*k+0.04*at {
			bin = "1"
		}
		records = append(records, []string{text(a), text(b), c, d, text(offset), text(10*offset - 5), text(w), text(w + 1), text(y), text(pos), text(count), bin})
		sites = append(sites, int(at))
	}
	columns = []string{"a", "b", "c", "d", "logt", "far", "w", "w1", "y", "pos", "count", "bin"}
	return columns, records, func(i int) int { return sites[i] }
}

// outcomes of the synthetic records by family.
var outcomes = map[string]string{
	study.Gaussian:         `{column: y, type: number, range: [-20, 40]}`,
	study.Binomial:         `{column: bin, type: binary, positive: ["1"]}`,
	study.Poisson:          `{column: count, type: count, range: [0, 100]}`,
	study.NegativeBinomial: `{column: count, type: count, range: [0, 100]}`,
	study.Gamma:            `{column: pos, type: number, range: [0.01, 200]}`,
}

// describeStudy is a study of the synthetic records.
func describeStudy(features, family, more string) string {
	return fmt.Sprintf(`
study: synthetic
version: 1
outcome: %s
features: [%s]
model: {kind: glm, family: %s%s}
schedule: {rounds: 60, tolerance: 1e-10}
`, outcomes[family], features, family, more)
}

const (
	abc = `{column: a, type: number, range: [0, 10]}, {column: b, type: number, range: [-10, 10]}, {column: c, type: category, levels: [u, v, w], reference: u}`
	acd = `{column: a, type: number, range: [0, 10]}, {column: c, type: category, levels: [u, v, w], reference: u}, {column: d, type: category, levels: [x, z], reference: x}`
)
