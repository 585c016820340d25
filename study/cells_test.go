package study

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// A number is read as strconv reads it, to the last bit, and where it is not one
// as the alphabet of numbers allows, it is none.
func TestNumbersAreReadAsTheirNearestFloat(t *testing.T) {
	random := rand.New(rand.NewPCG(40, 1))
	cells := []string{"0", "-0", "-0.0", ".5", "5.", "-.5", "007", "0.1", "123456789012345", "999999999999999", "9999999999999999",
		"0.000000000000001", "-123456.789012345", "1e3", "+1", "1E-2", "4.9e-324", "9007199254740993", "0.30000000000000004"}
	for range 20000 {
		cells = append(cells, strconv.FormatFloat(math.Ldexp(random.NormFloat64(), random.IntN(60)-30), 'f', random.IntN(14), 64))
		cells = append(cells, fmt.Sprintf("%d.%0*d", random.IntN(1e6), 1+random.IntN(9), random.IntN(1e9)))
	}
	for _, cell := range cells {
		want, err := strconv.ParseFloat(cell, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := parseNumber(cell); !ok || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%q is read as %v, %v, want %v", cell, got, ok, want)
		}
	}
	for _, cell := range []string{"", "-", ".", "-.", "1.2.3", "--1", "1-", "NaN", "Inf", "0x10", "1_000", "1 2", "1,5", "1e999", "e5"} {
		if got, ok := parseNumber(cell); ok {
			t.Errorf("%q is read as %v", cell, got)
		}
	}
}

func BenchmarkReadRecord(b *testing.B) {
	const features = 100
	protocol := "study: bench\nversion: 1\noutcome: {column: y, type: number, range: [-100, 100]}\nmodel: {kind: glm, family: gaussian}\nfeatures:\n"
	columns, record := []string{"y"}, []string{"1.5"}
	for j := range features {
		protocol += fmt.Sprintf("  - {column: x%d, type: number, range: [-10, 10]}\n", j)
		columns, record = append(columns, fmt.Sprintf("x%d", j)), append(record, fmt.Sprintf("-%d.%03d", j%3, 37*j%1000))
	}
	s, err := Parse([]byte(protocol))
	if err != nil {
		b.Fatal(err)
	}
	builder, err := s.NewBuilder(columns)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		builder.Add(record)
		if state := builder.state(); len(state.rows.outcomes) == 5000 {
			state.rows = newRows(s)
		}
	}
	b.ReportMetric(float64(features)*float64(b.N)/b.Elapsed().Seconds(), "values/s")
}
